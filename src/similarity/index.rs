//! Compact index of the embeddings of many stars.
//!
//! A row stores the direction of an embedding as integers, since cosines do not depend on its length. At width 256, the
//! cosine error is about 5e-4 with 8-bit integers (largest component ±127). It is 1e-5 with 16-bit integers (unit
//! length 32,767). Products of integers are exact, so every machine gives the same ranking, and equal rows have equal
//! similarities to the last bit.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::thumbnail;
use crate::result::specclip::Modality;

/// Length of a unit vector in 16-bit integers: the dot product of two stays within 31 bits at any width.
pub(super) const UNIT: f32 = 32_767.0;

/// Error of adding to an index, or of using it with another model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum IndexError {
    #[error(
        "the index {index} belongs to the encoders {found}, but the active encoders are {expected}; their embeddings are not comparable. Create the index again with `specola embed`"
    )]
    OtherModel { index: String, found: String, expected: String },
    #[error("an embedding has width {found}; the index has width {expected}")]
    Width { found: usize, expected: usize },
    #[error("an entry has {found} labels; the index has {expected}")]
    Labels { found: usize, expected: usize },
}

/// Description of an index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexMetadata {
    /// Name of the index.
    pub name: String,
    /// Origin of its spectra, in one sentence.
    #[serde(rename = "made_from")]
    pub provenance: String,
    /// Name and version of the encoder pair, for example `lrs-xp-pr 1`.
    pub model: String,
    /// SHA-256 of the pair's weights, lower-case hexadecimal.
    pub model_sha256: String,
    /// Length of an embedding.
    pub width: usize,
    /// Length of the embedding's part that both modalities share.
    pub shared: usize,
    /// Names of the labels.
    pub labels: Vec<String>,
}

/// Bits per element of an embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bits {
    /// One byte: for large sets and for the shipped index.
    Eight,
    /// Two bytes: cosines are accurate to four decimals.
    Sixteen,
}

/// Directions as integers, row after row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Codes {
    /// 8-bit.
    Eight(Vec<i8>),
    /// 16-bit.
    Sixteen(Vec<i16>),
}

impl Codes {
    fn push(&mut self, embedding: &[f32]) {
        match self {
            Self::Eight(codes) => {
                let largest = embedding.iter().fold(0f32, |m, v| m.max(v.abs()));
                codes.extend(embedding.iter().map(|v| round_scaled(*v, 127.0 / largest) as i8));
            }
            Self::Sixteen(codes) => codes.extend(to_sixteen(embedding)),
        }
    }
}

/// Direction of a vector as 16-bit integers of length [`UNIT`].
pub(super) fn to_sixteen(vector: &[f32]) -> impl Iterator<Item = i16> {
    let norm = vector.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    let scale = (f64::from(UNIT) / norm) as f32;
    vector.iter().map(move |v| round_scaled(*v, scale) as i16)
}

/// Rounded product; 0 for a vector without a direction.
fn round_scaled(value: f32, scale: f32) -> f32 {
    let rounded = (value * scale).round();
    if rounded.is_finite() { rounded } else { 0.0 }
}

/// The entries of one modality (optical or Gaia XP).
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    pub(super) modality: Modality,
    pub(super) width: usize,
    pub(super) ids: Vec<String>,
    pub(super) codes: Codes,
    /// Labels, `[n][labels]`; NaN if unknown.
    pub(super) labels: Vec<f32>,
    pub(super) n_labels: usize,
    pub(super) thumbnails: Vec<u8>,
    pub(super) ranges: Vec<[f32; 2]>,
}

impl Rows {
    /// An empty set of rows.
    pub fn new(modality: Modality, width: usize, n_labels: usize, bits: Bits) -> Self {
        let codes = match bits {
            Bits::Eight => Codes::Eight(Vec::new()),
            Bits::Sixteen => Codes::Sixteen(Vec::new()),
        };
        let (ids, labels, thumbnails, ranges) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { modality, width, ids, codes, labels, n_labels, thumbnails, ranges }
    }

    /// Adds an entry: embedding `[width]`, labels (NaN if unknown) and normalised spectrum (`[1462]` or `[343]`).
    pub fn push(&mut self, id: &str, embedding: &[f32], labels: &[f32], flux: &[f32]) -> Result<(), IndexError> {
        if embedding.len() != self.width {
            return Err(IndexError::Width { found: embedding.len(), expected: self.width });
        }
        if labels.len() != self.n_labels {
            return Err(IndexError::Labels { found: labels.len(), expected: self.n_labels });
        }
        let mut flux = flux.to_vec();
        flux.resize(thumbnail::pixels(self.modality), f32::NAN);
        let (bytes, range) = thumbnail::pack(&thumbnail::of(self.modality, &flux));
        self.ids.push(id.into());
        self.codes.push(embedding);
        self.labels.extend(labels);
        self.thumbnails.extend(bytes);
        self.ranges.push(range);
        Ok(())
    }

    /// Replaces an existing entry; errors as in [`Rows::push`].
    pub fn replace(
        &mut self,
        row: usize,
        id: &str,
        embedding: &[f32],
        labels: &[f32],
        flux: &[f32],
    ) -> Result<(), IndexError> {
        let bits = match self.codes {
            Codes::Eight(_) => Bits::Eight,
            Codes::Sixteen(_) => Bits::Sixteen,
        };
        let mut entry = Self::new(self.modality, self.width, self.n_labels, bits);
        entry.push(id, embedding, labels, flux)?;
        if row >= self.len() {
            return Ok(());
        }
        let row_range = |n: usize| row * n..(row + 1) * n;
        match (&mut self.codes, entry.codes) {
            (Codes::Eight(all), Codes::Eight(new)) => all[row_range(self.width)].copy_from_slice(&new),
            (Codes::Sixteen(all), Codes::Sixteen(new)) => all[row_range(self.width)].copy_from_slice(&new),
            _ => {}
        }
        self.ids[row] = id.into();
        self.labels[row_range(self.n_labels)].copy_from_slice(&entry.labels);
        self.thumbnails[row_range(thumbnail::samples(self.modality))].copy_from_slice(&entry.thumbnails);
        self.ranges[row] = entry.ranges[0];
        Ok(())
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// True without entries.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Modality of the entries.
    pub fn modality(&self) -> Modality {
        self.modality
    }

    /// Name of an entry.
    pub fn id(&self, row: usize) -> Option<&str> {
        self.ids.get(row).map(String::as_str)
    }

    /// All names, in order.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// Labels of an entry in the index's order, NaN if unknown; empty if the row does not exist.
    pub fn labels(&self, row: usize) -> &[f32] {
        self.labels.get(row * self.n_labels..(row + 1) * self.n_labels).unwrap_or_default()
    }

    /// Thumbnail of an entry; empty if the row does not exist.
    pub fn thumbnail(&self, row: usize) -> Vec<f32> {
        let n = thumbnail::samples(self.modality);
        let Some(bytes) = self.thumbnails.get(row * n..(row + 1) * n) else { return Vec::new() };
        thumbnail::unpack(bytes, self.ranges.get(row).copied().unwrap_or_default())
    }

    /// Direction of an entry, `[width]`, of length 1; zeros if it has no direction.
    pub fn unit(&self, row: usize) -> Vec<f32> {
        let range = row * self.width..(row + 1) * self.width;
        let numbers: Vec<f32> = match &self.codes {
            Codes::Eight(codes) => codes.get(range).unwrap_or_default().iter().map(|c| f32::from(*c)).collect(),
            Codes::Sixteen(codes) => codes.get(range).unwrap_or_default().iter().map(|c| f32::from(*c)).collect(),
        };
        unit(numbers)
    }

    /// Memory of the entries without their names, bytes.
    pub fn bytes(&self) -> usize {
        let codes = match &self.codes {
            Codes::Eight(codes) => codes.len(),
            Codes::Sixteen(codes) => 2 * codes.len(),
        };
        codes + 4 * self.labels.len() + self.thumbnails.len() + 8 * self.ranges.len()
    }
}

/// A vector divided by its length; a zero vector stays unchanged.
pub fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let norm = vector.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    if norm > 0.0 && norm.is_finite() {
        vector.iter_mut().for_each(|v| *v = (f64::from(*v) / norm) as f32);
    }
    vector
}

/// Index of embeddings of both modalities.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    /// Description of the index.
    pub metadata: IndexMetadata,
    /// Optical spectra.
    pub lrs: Rows,
    /// XP spectra.
    pub xp: Rows,
    /// Statistics of the anomaly scores of its entries; only in the shipped index.
    pub reference_stats: Option<super::anomaly::ReferenceStats>,
}

impl Index {
    /// An empty index.
    pub fn new(metadata: IndexMetadata, bits: Bits) -> Self {
        let rows = |modality| Rows::new(modality, metadata.width, metadata.labels.len(), bits);
        Self { lrs: rows(Modality::Lrs), xp: rows(Modality::Xp), metadata, reference_stats: None }
    }

    /// The entries of a modality.
    pub fn rows(&self, modality: Modality) -> &Rows {
        match modality {
            Modality::Lrs => &self.lrs,
            Modality::Xp => &self.xp,
        }
    }

    /// The entries of a modality, mutable.
    pub fn rows_mut(&mut self, modality: Modality) -> &mut Rows {
        match modality {
            Modality::Lrs => &mut self.lrs,
            Modality::Xp => &mut self.xp,
        }
    }

    /// Number of entries of both modalities.
    pub fn len(&self) -> usize {
        self.lrs.len() + self.xp.len()
    }

    /// True without entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks that this encoder pair computed the embeddings of the index.
    pub fn check_model(&self, model: &str, sha256: &str) -> Result<(), IndexError> {
        if self.metadata.model_sha256 == sha256 {
            return Ok(());
        }
        let short = |hash: &str| hash.chars().take(8).collect::<String>();
        Err(IndexError::OtherModel {
            index: self.metadata.name.clone(),
            found: format!("{} ({})", self.metadata.model, short(&self.metadata.model_sha256)),
            expected: format!("{model} ({})", short(sha256)),
        })
    }
}
