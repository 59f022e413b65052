//! File format of the index: safetensors, little-endian.
//!
//! | array | type and shape | content |
//! |---|---|---|
//! | `lrs.vectors`, `xp.vectors` | I8 or I16 `[n, width]` | directions of the embeddings; their scale follows below |
//! | `lrs.labels`, `xp.labels` | F32 `[n, labels]` | labels; NaN if unknown |
//! | `lrs.thumbnails`, `xp.thumbnails` | U8 `[n, 122]`, `[n, 115]` | see [`thumbnail`](super::thumbnail) |
//! | `lrs.ranges`, `xp.ranges` | F32 `[n, 2]` | flux at bytes 0 and 254 |
//! | `usual.quantiles` | F32 `[5, 101]` | cross, reconstruction (LRS, XP), neighbour (LRS, XP); optional |
//! | `usual.lrs_rebuilt` … | F32 `[1462]`, `[343]` | residuals of the networks; present with the quantiles |
//!
//! Scale of the directions: 8-bit: largest component ±127; 16-bit: length 32,767.
//!
//! The metadata entry `specola-index` is JSON: `format`, the fields of [`IndexMetadata`], and the names of the rows. The
//! other entry is the [checksum].

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::anomaly::{NoiseFloors, QUANTILES, Quantiles, ReferenceStats};
use super::index::{Bits, Codes, Index, IndexMetadata, Rows};
use super::search::MAX_WIDTH;
use super::thumbnail::{pixels, samples};
use crate::nn::checksum::{self, Damaged};
use crate::result::specclip::Modality;

/// Layout version that this program reads and writes.
const FORMAT: u32 = 1;

/// Key of the metadata entry.
const METADATA_KEY: &str = "specola-index";

/// Error of an index file.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum FileError {
    #[error("this is not a safetensors file ({0}); choose an index from `specola embed` or from the page")]
    Container(#[from] safetensors::SafeTensorError),
    #[error(transparent)]
    Damaged(#[from] Damaged),
    #[error(
        "this safetensors file contains no index (no `{METADATA_KEY}` in its metadata); create one with `specola embed`"
    )]
    NotIndex,
    #[error("the metadata of the index are invalid ({0}); create the index again with `specola embed`")]
    IndexMetadata(#[from] serde_json::Error),
    #[error(
        "the index has layout version {0}; this program reads version {FORMAT}. Update Specola or create the index again"
    )]
    Format(u32),
    #[error(
        "the index has an invalid embedding width {width} or shared width {shared}; create the index again with `specola embed`"
    )]
    Width { width: usize, shared: usize },
    #[error("array `{name}` is {found}; it must be {expected}. The file is damaged; create the index again")]
    Array { name: String, found: String, expected: String },
    #[error("array `{0}` contains invalid numbers; the file is damaged. Create the index again")]
    Numbers(String),
}

#[derive(Serialize, Deserialize)]
struct FileHeader {
    format: u32,
    #[serde(flatten)]
    metadata: IndexMetadata,
    lrs_ids: Vec<String>,
    xp_ids: Vec<String>,
}

impl Index {
    /// True if the metadata of a file mark it as an index.
    pub fn is_index(bytes: &[u8]) -> bool {
        SafeTensors::read_metadata(bytes).is_ok_and(|(_, header)| {
            header.metadata().as_ref().is_some_and(|entries| entries.contains_key(METADATA_KEY))
        })
    }

    /// Parses an index file.
    pub fn parse(bytes: &[u8]) -> Result<Self, FileError> {
        checksum::check(bytes)?;
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let json =
            header.metadata().as_ref().and_then(|entries| entries.get(METADATA_KEY)).ok_or(FileError::NotIndex)?;
        let head: FileHeader = serde_json::from_str(json)?;
        if head.format != FORMAT {
            return Err(FileError::Format(head.format));
        }
        let (width, shared) = (head.metadata.width, head.metadata.shared);
        if width == 0 || width > MAX_WIDTH || shared == 0 || shared > width {
            return Err(FileError::Width { width, shared });
        }
        let file = SafeTensors::deserialize(bytes)?;
        let lrs = rows(&file, Modality::Lrs, head.lrs_ids, &head.metadata)?;
        let xp = rows(&file, Modality::Xp, head.xp_ids, &head.metadata)?;
        Ok(Self { reference_stats: reference_stats(&file)?, metadata: head.metadata, lrs, xp })
    }

    /// Contents of the index file.
    pub fn to_file(&self) -> Result<Vec<u8>, FileError> {
        let head = FileHeader {
            format: FORMAT,
            metadata: self.metadata.clone(),
            lrs_ids: self.lrs.ids.clone(),
            xp_ids: self.xp.ids.clone(),
        };
        let mut arrays: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
        for rows in [&self.lrs, &self.xp] {
            let (n, name) = (rows.len(), rows.modality.name());
            let (dtype, codes) = match &rows.codes {
                Codes::Eight(codes) => (Dtype::I8, codes.iter().map(|c| *c as u8).collect()),
                Codes::Sixteen(codes) => (Dtype::I16, codes.iter().flat_map(|c| c.to_le_bytes()).collect()),
            };
            arrays.push((format!("{name}.vectors"), dtype, vec![n, rows.width], codes));
            arrays.push((format!("{name}.labels"), Dtype::F32, vec![n, rows.n_labels], floats(&rows.labels)));
            let thumbnails = vec![n, samples(rows.modality)];
            arrays.push((format!("{name}.thumbnails"), Dtype::U8, thumbnails, rows.thumbnails.clone()));
            arrays.push((format!("{name}.ranges"), Dtype::F32, vec![n, 2], floats(rows.ranges.as_flattened())));
        }
        if let Some(reference_stats) = &self.reference_stats {
            let [a, b] = &reference_stats.reconstruction;
            let [c, d] = &reference_stats.neighbour;
            let quantiles: Vec<f32> =
                [&reference_stats.cross, a, b, c, d].iter().flat_map(|q| q.values().to_vec()).collect();
            arrays.push(("usual.quantiles".into(), Dtype::F32, vec![5, QUANTILES], floats(&quantiles)));
            for (name, floor) in named_floors(&reference_stats.noise_floors) {
                arrays.push((name.into(), Dtype::F32, vec![floor.len()], floats(floor)));
            }
        }
        let views: Result<Vec<_>, _> = arrays
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?)))
            .collect();
        let metadata = serde_json::to_string(&head)?;
        Ok(checksum::serialize(views.map_err(FileError::Container)?, &[(METADATA_KEY, &metadata)])?)
    }
}

fn named_floors(noise_floors: &NoiseFloors) -> [(&'static str, &[f32]); 4] {
    [
        ("usual.lrs_rebuilt", &noise_floors.lrs_reconstruction),
        ("usual.xp_rebuilt", &noise_floors.xp_reconstruction),
        ("usual.lrs_from_xp", &noise_floors.lrs_from_xp),
        ("usual.xp_from_lrs", &noise_floors.xp_from_lrs),
    ]
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Bytes of an array, which must have one of these types and this shape; the container's reader has checked its size.
fn array<'a>(
    file: &'a SafeTensors,
    name: &str,
    types: &[Dtype],
    shape: &[usize],
) -> Result<(Dtype, &'a [u8]), FileError> {
    let expected = || format!("{types:?} {shape:?}");
    let view = file.tensor(name).map_err(|_| FileError::Array {
        name: name.into(),
        found: "missing".into(),
        expected: expected(),
    })?;
    if !types.contains(&view.dtype()) || view.shape() != shape {
        let found = format!("{:?} {:?}", view.dtype(), view.shape());
        return Err(FileError::Array { name: name.into(), found, expected: expected() });
    }
    Ok((view.dtype(), view.data()))
}

fn read_f32(file: &SafeTensors, name: &str, shape: &[usize]) -> Result<Vec<f32>, FileError> {
    let (_, bytes) = array(file, name, &[Dtype::F32], shape)?;
    Ok(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
}

fn rows(file: &SafeTensors, modality: Modality, ids: Vec<String>, metadata: &IndexMetadata) -> Result<Rows, FileError> {
    let (n, name) = (ids.len(), |suffix: &str| format!("{}.{suffix}", modality.name()));
    let (dtype, bytes) = array(file, &name("vectors"), &[Dtype::I8, Dtype::I16], &[n, metadata.width])?;
    let mut rows = Rows::new(modality, metadata.width, metadata.labels.len(), Bits::Eight);
    rows.codes = if dtype == Dtype::I8 {
        Codes::Eight(bytes.iter().map(|b| *b as i8).collect())
    } else {
        Codes::Sixteen(bytes.as_chunks::<2>().0.iter().map(|b| i16::from_le_bytes(*b)).collect())
    };
    rows.labels = read_f32(file, &name("labels"), &[n, metadata.labels.len()])?;
    if rows.labels.iter().any(|v| v.is_infinite()) {
        return Err(FileError::Numbers(name("labels")));
    }
    rows.thumbnails = array(file, &name("thumbnails"), &[Dtype::U8], &[n, samples(modality)])?.1.to_vec();
    rows.ranges = read_f32(file, &name("ranges"), &[n, 2])?.as_chunks::<2>().0.to_vec();
    if rows.ranges.iter().any(|[low, high]| !(low.is_finite() && high.is_finite() && low <= high)) {
        return Err(FileError::Numbers(name("ranges")));
    }
    rows.ids = ids;
    rows.check_row_lengths()?;
    Ok(rows)
}

impl Rows {
    /// Rejects 16-bit rows whose length would make dot products overflow 32 bits.
    fn check_row_lengths(&self) -> Result<(), FileError> {
        let Codes::Sixteen(codes) = &self.codes else { return Ok(()) };
        let is_long = |row: &[i16]| row.iter().map(|c| f64::from(*c).powi(2)).sum::<f64>().sqrt() > 34_000.0;
        match codes.chunks_exact(self.width).any(is_long) {
            true => Err(FileError::Numbers(format!("{}.vectors", self.modality.name()))),
            false => Ok(()),
        }
    }
}

fn reference_stats(file: &SafeTensors) -> Result<Option<ReferenceStats>, FileError> {
    if file.tensor("usual.quantiles").is_err() {
        return Ok(None);
    }
    let values = read_f32(file, "usual.quantiles", &[5, QUANTILES])?;
    let mut quantiles = values
        .chunks_exact(QUANTILES)
        .map(|part| Quantiles::from_file(part).ok_or_else(|| FileError::Numbers("usual.quantiles".into())));
    let mut next = || quantiles.next().unwrap_or_else(|| Err(FileError::Numbers("usual.quantiles".into())));
    let (cross, reconstruction, neighbour) = (next()?, [next()?, next()?], [next()?, next()?]);
    let floor = |name: &str, modality: Modality| {
        let floor = read_f32(file, name, &[pixels(modality)])?;
        match floor.iter().all(|v| v.is_finite() && *v > 0.0) {
            true => Ok(floor),
            false => Err(FileError::Numbers(name.into())),
        }
    };
    let noise_floors = NoiseFloors {
        lrs_reconstruction: floor("usual.lrs_rebuilt", Modality::Lrs)?,
        xp_reconstruction: floor("usual.xp_rebuilt", Modality::Xp)?,
        lrs_from_xp: floor("usual.lrs_from_xp", Modality::Lrs)?,
        xp_from_lrs: floor("usual.xp_from_lrs", Modality::Xp)?,
    };
    Ok(Some(ReferenceStats { noise_floors, cross, reconstruction, neighbour }))
}
