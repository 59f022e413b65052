//! The index's file: safetensors, little-endian.
//!
//! | array | type and shape | what |
//! |---|---|---|
//! | `lrs.vectors`, `xp.vectors` | I8 or I16 `[n, width]` | directions of the embeddings; a row's length means nothing |
//! | `lrs.labels`, `xp.labels` | F32 `[n, labels]` | NaN where unknown |
//! | `lrs.thumbnails`, `xp.thumbnails` | U8 `[n, 122]`, `[n, 115]` | see [`thumbnail`](super::thumbnail) |
//! | `lrs.ranges`, `xp.ranges` | F32 `[n, 2]` | the flux at bytes 0 and 254 |
//! | `usual.quantiles` | F32 `[5, 101]` | cross, reconstruction (LRS, XP), neighbour (LRS, XP); may be missing |
//! | `usual.lrs_rebuilt` … | F32 `[1462]`, `[343]` | what networks leave; with the quantiles |
//!
//! The metadata's one entry `specola-index` is JSON: `format`, what [`About`] says, and the rows' names.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::index::{About, Bits, Codes, Index, Rows};
use super::oddity::{Floors, QUANTILES, Quantiles, Usual};
use super::search::MAX_WIDTH;
use super::thumbnail::{pixels, samples};
use crate::result::catalogue::Modality;

/// Layout of this version.
const FORMAT: u32 = 1;

/// The metadata's entry.
const KEY: &str = "specola-index";

/// Why a file is no index.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum FileError {
    #[error("this is not a safetensors file ({0}); give one that `specola embed` or the page made")]
    Container(#[from] safetensors::SafeTensorError),
    #[error("this safetensors file holds no index (no `{KEY}` in its metadata); make one with `specola embed`")]
    NotIndex,
    #[error("what the index says of itself cannot be read ({0}); make it anew with `specola embed`")]
    About(#[from] serde_json::Error),
    #[error("the index has layout {0}, this version reads {FORMAT}; update Specola or make the index anew")]
    Format(u32),
    #[error("the index says that embeddings have {width} numbers, {shared} of them shared; that cannot be")]
    Width { width: usize, shared: usize },
    #[error("array `{name}` is {found} where {expected} is needed; the file is damaged, make it anew")]
    Array { name: String, found: String, expected: String },
    #[error("array `{0}` holds numbers that cannot be; the file is damaged, make it anew")]
    Numbers(String),
}

#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    #[serde(flatten)]
    about: About,
    lrs_ids: Vec<String>,
    xp_ids: Vec<String>,
}

impl Index {
    /// True for a file that says it is an index.
    pub fn is_index(bytes: &[u8]) -> bool {
        SafeTensors::read_metadata(bytes)
            .is_ok_and(|(_, header)| header.metadata().as_ref().is_some_and(|entries| entries.contains_key(KEY)))
    }

    /// Reads a file.
    pub fn parse(bytes: &[u8]) -> Result<Self, FileError> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let json = header.metadata().as_ref().and_then(|entries| entries.get(KEY)).ok_or(FileError::NotIndex)?;
        let head: Head = serde_json::from_str(json)?;
        if head.format != FORMAT {
            return Err(FileError::Format(head.format));
        }
        let (width, shared) = (head.about.width, head.about.shared);
        if width == 0 || width > MAX_WIDTH || shared == 0 || shared > width {
            return Err(FileError::Width { width, shared });
        }
        let file = SafeTensors::deserialize(bytes)?;
        let lrs = rows(&file, Modality::Lrs, head.lrs_ids, &head.about)?;
        let xp = rows(&file, Modality::Xp, head.xp_ids, &head.about)?;
        Ok(Self { usual: usual(&file)?, about: head.about, lrs, xp })
    }

    /// The file.
    pub fn to_file(&self) -> Result<Vec<u8>, FileError> {
        let head = Head {
            format: FORMAT,
            about: self.about.clone(),
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
        if let Some(usual) = &self.usual {
            let [a, b] = &usual.reconstruction;
            let [c, d] = &usual.neighbour;
            let all: Vec<f32> = [&usual.cross, a, b, c, d].iter().flat_map(|q| q.values().to_vec()).collect();
            arrays.push(("usual.quantiles".into(), Dtype::F32, vec![5, QUANTILES], floats(&all)));
            for (name, floor) in named(&usual.floors) {
                arrays.push((name.into(), Dtype::F32, vec![floor.len()], floats(floor)));
            }
        }
        let views: Result<Vec<_>, _> = arrays
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?)))
            .collect();
        let metadata = HashMap::from([(KEY.to_string(), serde_json::to_string(&head)?)]);
        Ok(safetensors::serialize(views.map_err(FileError::Container)?, Some(metadata))?)
    }
}

fn named(floors: &Floors) -> [(&'static str, &[f32]); 4] {
    [
        ("usual.lrs_rebuilt", &floors.lrs_rebuilt),
        ("usual.xp_rebuilt", &floors.xp_rebuilt),
        ("usual.lrs_from_xp", &floors.lrs_from_xp),
        ("usual.xp_from_lrs", &floors.xp_from_lrs),
    ]
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// The bytes of an array that must be of one of these types and of this shape; its size was checked with the container.
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

fn f32s(file: &SafeTensors, name: &str, shape: &[usize]) -> Result<Vec<f32>, FileError> {
    let (_, bytes) = array(file, name, &[Dtype::F32], shape)?;
    Ok(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
}

fn rows(file: &SafeTensors, modality: Modality, ids: Vec<String>, about: &About) -> Result<Rows, FileError> {
    let (n, of) = (ids.len(), |what: &str| format!("{}.{what}", modality.name()));
    let (dtype, bytes) = array(file, &of("vectors"), &[Dtype::I8, Dtype::I16], &[n, about.width])?;
    let mut rows = Rows::new(modality, about.width, about.labels.len(), Bits::Eight);
    rows.codes = if dtype == Dtype::I8 {
        Codes::Eight(bytes.iter().map(|b| *b as i8).collect())
    } else {
        Codes::Sixteen(bytes.as_chunks::<2>().0.iter().map(|b| i16::from_le_bytes(*b)).collect())
    };
    rows.labels = f32s(file, &of("labels"), &[n, about.labels.len()])?;
    if rows.labels.iter().any(|v| v.is_infinite()) {
        return Err(FileError::Numbers(of("labels")));
    }
    rows.thumbnails = array(file, &of("thumbnails"), &[Dtype::U8], &[n, samples(modality)])?.1.to_vec();
    rows.ranges = f32s(file, &of("ranges"), &[n, 2])?.as_chunks::<2>().0.to_vec();
    if rows.ranges.iter().any(|[low, high]| !(low.is_finite() && high.is_finite() && low <= high)) {
        return Err(FileError::Numbers(of("ranges")));
    }
    rows.ids = ids;
    rows.must_be_short()?;
    Ok(rows)
}

impl Rows {
    /// 16-bit rows longer than they may be would make products leave 32 bits.
    fn must_be_short(&self) -> Result<(), FileError> {
        let Codes::Sixteen(codes) = &self.codes else { return Ok(()) };
        let is_long = |row: &[i16]| row.iter().map(|c| f64::from(*c).powi(2)).sum::<f64>().sqrt() > 34_000.0;
        match codes.chunks_exact(self.width).any(is_long) {
            true => Err(FileError::Numbers(format!("{}.vectors", self.modality.name()))),
            false => Ok(()),
        }
    }
}

fn usual(file: &SafeTensors) -> Result<Option<Usual>, FileError> {
    if file.tensor("usual.quantiles").is_err() {
        return Ok(None);
    }
    let values = f32s(file, "usual.quantiles", &[5, QUANTILES])?;
    let mut quantiles = values
        .chunks_exact(QUANTILES)
        .map(|part| Quantiles::from_file(part).ok_or_else(|| FileError::Numbers("usual.quantiles".into())));
    let mut next = || quantiles.next().unwrap_or_else(|| Err(FileError::Numbers("usual.quantiles".into())));
    let (cross, reconstruction, neighbour) = (next()?, [next()?, next()?], [next()?, next()?]);
    let floor = |name: &str, modality: Modality| {
        let floor = f32s(file, name, &[pixels(modality)])?;
        match floor.iter().all(|v| v.is_finite() && *v > 0.0) {
            true => Ok(floor),
            false => Err(FileError::Numbers(name.into())),
        }
    };
    let floors = Floors {
        lrs_rebuilt: floor("usual.lrs_rebuilt", Modality::Lrs)?,
        xp_rebuilt: floor("usual.xp_rebuilt", Modality::Xp)?,
        lrs_from_xp: floor("usual.lrs_from_xp", Modality::Lrs)?,
        xp_from_lrs: floor("usual.xp_from_lrs", Modality::Xp)?,
    };
    Ok(Some(Usual { floors, cross, reconstruction, neighbour }))
}
