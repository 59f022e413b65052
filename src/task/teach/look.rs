//! What the closed form goes by: how the shipped network sees a star, and what it says of it.

use std::ops::Range;

use burn::tensor::Device;

use super::classroom::{TeachError, embedding_depth, matrix, values};
use super::refine;
use crate::model::regressor::Regressor;
use crate::preprocess::grid::MODEL_PIXELS;
use crate::result::Label;
use crate::task::predict::LabelInput;

/// Where a label stands among a network's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// The label that is taught.
    pub taught: usize,
    /// Teff, log g, [Fe/H] and [α/Fe]; `None` for a network that lacks one of them.
    pub all: Option<[usize; 4]>,
}

impl Column {
    /// Of a label among outputs; `None` for a label that is none of them.
    pub fn of(label: Option<Label>, outputs: &[Label]) -> Option<Self> {
        let taught = outputs.iter().position(|l| Some(*l) == label)?;
        Some(Self { taught, all: Self::all(outputs) })
    }

    /// Of Teff, log g, [Fe/H] and [α/Fe]; `None` where one is missing.
    pub fn all(outputs: &[Label]) -> Option<[usize; 4]> {
        let at = |label: Label| outputs.iter().position(|l| *l == label);
        Some([at(Label::Teff)?, at(Label::Logg)?, at(Label::Feh)?, at(Label::AlphaFe)?])
    }
}

/// How the network sees a star.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// Its second hidden layer.
    pub embedding: Vec<f32>,
    /// What its first hidden layer contributes to the label, so that what moves other labels only does not tell stars apart;
    /// empty for a label that is not the network's.
    pub contributions: Vec<f32>,
    /// Its labels, in their units.
    pub labels: Vec<f64>,
    /// Those averaged with what it says of either half of the pixels: what differs between a synthetic spectrum and a real one
    /// differs more in one half than in the other. Empty for a label that is not the network's.
    pub averaged: Vec<f64>,
}

/// A star, as the closed form takes it.
#[derive(Debug, Clone, Copy)]
pub struct Star<'a> {
    /// As the network sees it.
    pub look: &'a Look,
    /// As it was measured.
    pub input: &'a LabelInput,
}

impl Star<'_> {
    /// What the emulator is to refine; `None` where it has nothing to say.
    pub fn to_refine(&self, column: Option<Column>) -> Option<refine::Star<'_>> {
        let order = column?.all?;
        let discrepancy = self.input.discrepancy.as_ref()?;
        let of = |labels: &[f64]| order.map(|i| labels[i]);
        let Look { labels, averaged, .. } = self.look;
        Some(refine::Star { discrepancy, labels: of(labels), from: of(averaged), snr: self.input.snr })
    }
}

/// The halves of the pixels.
pub(super) const HALVES: [Range<usize>; 2] = [0..MODEL_PIXELS / 2, MODEL_PIXELS / 2..MODEL_PIXELS];

/// Standardised inputs with average pixels outside of a half.
pub(super) fn of_half(half: &Range<usize>, rows: &[f32]) -> Vec<f32> {
    rows.iter().enumerate().map(|(i, v)| if half.contains(&(i % MODEL_PIXELS)) { *v } else { 0.0 }).collect()
}

/// How `base` sees some standardised spectra.
///
/// # Shapes
/// `rows`: `[n · 1462]` → one a spectrum
pub(super) async fn looks(
    base: &Regressor,
    column: Option<Column>,
    rows: &[f32],
    device: &Device,
) -> Result<Vec<Look>, TeachError> {
    let by = |values: Vec<f32>, width: usize| -> Vec<Vec<f32>> { values.chunks(width).map(<[f32]>::to_vec).collect() };
    let said = async |rows: Vec<f32>| {
        let outputs = base.run(rows, device).await.ok_or(TeachError::Device)?;
        Ok::<_, TeachError>(base.all_in_units(&outputs))
    };
    let x = matrix(rows.to_vec(), base.input_mean.len(), device);
    let embedded = values(base.mlp.embed(x.clone(), embedding_depth(&base.widths))).await?;
    let embedded = by(embedded, base.widths[embedding_depth(&base.widths)]);
    let labels = said(rows.to_vec()).await?;
    let (mut contributions, mut averaged) = (vec![Vec::new(); labels.len()], vec![Vec::new(); labels.len()]);
    if let Some(column) = column {
        contributions = by(values(base.mlp.contributions(x, column.taught)).await?, base.widths[1]);
        let mut parts = Vec::new();
        for half in &HALVES {
            parts.push(said(of_half(half, rows)).await?);
        }
        let mean = |i: usize, label: usize| (labels[i][label] + parts[0][i][label] + parts[1][i][label]) / 3.0;
        averaged = (0..labels.len()).map(|i| (0..labels[i].len()).map(|label| mean(i, label)).collect()).collect();
    }
    let all = embedded.into_iter().zip(contributions).zip(labels).zip(averaged);
    let look = |(((embedding, contributions), labels), averaged)| Look { embedding, contributions, labels, averaged };
    Ok(all.map(look).collect())
}
