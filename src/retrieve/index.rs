//! Embeddings of many stars in little memory.
//!
//! A row is a direction, kept as whole numbers: cosines need no length. As 8-bit numbers (largest component ±127) a cosine is
//! off by some 5e-4 at width 256, as 16-bit numbers (unit length 32,767) by 1e-5. Products of whole numbers are exact, so that
//! every machine ranks alike and equal rows are equal to the last bit.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::thumbnail;
use crate::result::catalogue::Modality;

/// Length of a unit vector in 16-bit numbers: the product of two stays within 31 bits, whatever their width.
pub(super) const UNIT: f32 = 32_767.0;

/// Why spectra and an index do not go together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum IndexError {
    #[error(
        "the index {index} was made with the encoders {found}, but these are {expected}; their embeddings cannot be compared. Make it anew with `specola embed`"
    )]
    OtherModel { index: String, found: String, expected: String },
    #[error("an embedding has {found} numbers where the index has {expected}")]
    Width { found: usize, expected: usize },
    #[error("an entry has {found} labels where the index has {expected}")]
    Labels { found: usize, expected: usize },
}

/// What an index is of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its name.
    pub name: String,
    /// What it was made from, in a sentence.
    pub made_from: String,
    /// The encoder pair, `lrs-xp-pr 1`.
    pub model: String,
    /// SHA-256 of the pair's weights, lower-case hexadecimal.
    pub model_sha256: String,
    /// Length of an embedding.
    pub width: usize,
    /// Length of its part that both surveys share.
    pub shared: usize,
    /// Names of the labels.
    pub labels: Vec<String>,
}

/// Bits of an embedding's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bits {
    /// One byte: for large sets and what is shipped.
    Eight,
    /// Two bytes: the cosine's four decimals are right.
    Sixteen,
}

/// Directions as whole numbers, row after row.
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
            Codes::Eight(codes) => {
                let largest = embedding.iter().fold(0f32, |m, v| m.max(v.abs()));
                codes.extend(embedding.iter().map(|v| scaled(*v, 127.0 / largest) as i8));
            }
            Codes::Sixteen(codes) => codes.extend(to_sixteen(embedding)),
        }
    }
}

/// A vector's direction as 16-bit numbers of length [`UNIT`].
pub(super) fn to_sixteen(vector: &[f32]) -> impl Iterator<Item = i16> {
    let norm = vector.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    let scale = (f64::from(UNIT) / norm) as f32;
    vector.iter().map(move |v| scaled(*v, scale) as i16)
}

/// Of a vector without a direction 0.
fn scaled(value: f32, scale: f32) -> f32 {
    let scaled = (value * scale).round();
    if scaled.is_finite() { scaled } else { 0.0 }
}

/// The entries of one survey.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    pub(super) modality: Modality,
    pub(super) width: usize,
    pub(super) ids: Vec<String>,
    pub(super) codes: Codes,
    /// `[n][labels]`, NaN where unknown.
    pub(super) labels: Vec<f32>,
    pub(super) n_labels: usize,
    pub(super) thumbnails: Vec<u8>,
    pub(super) ranges: Vec<[f32; 2]>,
}

impl Rows {
    /// None yet.
    pub fn new(modality: Modality, width: usize, n_labels: usize, bits: Bits) -> Self {
        let codes = match bits {
            Bits::Eight => Codes::Eight(Vec::new()),
            Bits::Sixteen => Codes::Sixteen(Vec::new()),
        };
        let (ids, labels, thumbnails, ranges) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { modality, width, ids, codes, labels, n_labels, thumbnails, ranges }
    }

    /// Adds an entry: its embedding `[width]`, labels (NaN where unknown) and normalised spectrum (`[1462]` or `[343]`).
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

    /// Puts an entry in the place of one that is there; what is wrong with it is said as by [`Rows::push`].
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
        let mut one = Rows::new(self.modality, self.width, self.n_labels, bits);
        one.push(id, embedding, labels, flux)?;
        if row >= self.len() {
            return Ok(());
        }
        let part = |n: usize| row * n..(row + 1) * n;
        match (&mut self.codes, one.codes) {
            (Codes::Eight(all), Codes::Eight(new)) => all[part(self.width)].copy_from_slice(&new),
            (Codes::Sixteen(all), Codes::Sixteen(new)) => all[part(self.width)].copy_from_slice(&new),
            _ => {}
        }
        self.ids[row] = id.into();
        self.labels[part(self.n_labels)].copy_from_slice(&one.labels);
        self.thumbnails[part(thumbnail::samples(self.modality))].copy_from_slice(&one.thumbnails);
        self.ranges[row] = one.ranges[0];
        Ok(())
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Of which survey.
    pub fn modality(&self) -> Modality {
        self.modality
    }

    /// An entry's name.
    pub fn id(&self, row: usize) -> Option<&str> {
        self.ids.get(row).map(String::as_str)
    }

    /// All names, in order.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// An entry's labels in the index's order, NaN where unknown; none of a row that is not there.
    pub fn labels(&self, row: usize) -> &[f32] {
        self.labels.get(row * self.n_labels..(row + 1) * self.n_labels).unwrap_or_default()
    }

    /// An entry's thumbnail; empty of a row that is not there.
    pub fn thumbnail(&self, row: usize) -> Vec<f32> {
        let n = thumbnail::samples(self.modality);
        let Some(bytes) = self.thumbnails.get(row * n..(row + 1) * n) else { return Vec::new() };
        thumbnail::unpack(bytes, self.ranges.get(row).copied().unwrap_or_default())
    }

    /// An entry's direction, `[width]`, of length 1; zeros of one that has none.
    pub fn unit(&self, row: usize) -> Vec<f32> {
        let range = row * self.width..(row + 1) * self.width;
        let numbers: Vec<f32> = match &self.codes {
            Codes::Eight(codes) => codes.get(range).unwrap_or_default().iter().map(|c| f32::from(*c)).collect(),
            Codes::Sixteen(codes) => codes.get(range).unwrap_or_default().iter().map(|c| f32::from(*c)).collect(),
        };
        unit(numbers)
    }

    /// Memory that the entries take, bytes, but for their names.
    pub fn bytes(&self) -> usize {
        let codes = match &self.codes {
            Codes::Eight(codes) => codes.len(),
            Codes::Sixteen(codes) => 2 * codes.len(),
        };
        codes + 4 * self.labels.len() + self.thumbnails.len() + 8 * self.ranges.len()
    }
}

/// A vector divided by its length; zeros stay zeros.
pub fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let norm = vector.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    if norm > 0.0 && norm.is_finite() {
        vector.iter_mut().for_each(|v| *v = (f64::from(*v) / norm) as f32);
    }
    vector
}

/// Entries of both surveys.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    /// What it is of.
    pub about: About,
    /// Optical spectra.
    pub lrs: Rows,
    /// XP spectra.
    pub xp: Rows,
    /// What is usual among its entries; only of what is shipped.
    pub usual: Option<super::oddity::Usual>,
}

impl Index {
    /// Without entries.
    pub fn new(about: About, bits: Bits) -> Self {
        let rows = |modality| Rows::new(modality, about.width, about.labels.len(), bits);
        Self { lrs: rows(Modality::Lrs), xp: rows(Modality::Xp), about, usual: None }
    }

    /// The entries of a survey.
    pub fn rows(&self, modality: Modality) -> &Rows {
        match modality {
            Modality::Lrs => &self.lrs,
            Modality::Xp => &self.xp,
        }
    }

    /// The same, to add to.
    pub fn rows_mut(&mut self, modality: Modality) -> &mut Rows {
        match modality {
            Modality::Lrs => &mut self.lrs,
            Modality::Xp => &mut self.xp,
        }
    }

    /// Entries in all.
    pub fn len(&self) -> usize {
        self.lrs.len() + self.xp.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether its embeddings are those of this encoder pair.
    pub fn must_be_of(&self, model: &str, sha256: &str) -> Result<(), IndexError> {
        if self.about.model_sha256 == sha256 {
            return Ok(());
        }
        let short = |hash: &str| hash.chars().take(8).collect::<String>();
        Err(IndexError::OtherModel {
            index: self.about.name.clone(),
            found: format!("{} ({})", self.about.model, short(&self.about.model_sha256)),
            expected: format!("{model} ({})", short(sha256)),
        })
    }
}
