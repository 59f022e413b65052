//! Features of a star from the base network: input of the Gaussian-process correction.

use std::ops::Range;

use burn::tensor::Device;

use super::feature_cache::{FinetuneError, embedding_depth, matrix, values};
use super::label_update;
use crate::model::regressor::Regressor;
use crate::preprocess::grid::MODEL_PIXELS;
use crate::task::output_index::OutputIndex;
use crate::task::predict::LabelInput;

/// Features of a star.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// Second hidden layer.
    pub embedding: Vec<f32>,
    /// Contribution of each unit of the first hidden layer to the label, so that features of other labels do not count.
    /// Empty for a label that is not an output.
    pub contributions: Vec<f32>,
    /// Predicted labels, in their units.
    pub labels: Vec<f64>,
    /// Mean of the predictions from all pixels and from each half of them. The gap between synthetic and real spectra
    /// differs between the halves. Empty for a label that is not an output.
    pub averaged: Vec<f64>,
}

/// Input of the Gaussian-process correction.
#[derive(Debug, Clone, Copy)]
pub struct CorrectionInput<'a> {
    /// Features from the base network.
    pub features: &'a Features,
    /// The normalised spectrum.
    pub input: &'a LabelInput,
}

impl CorrectionInput<'_> {
    /// Input of the label update; `None` without an emulator residual.
    pub fn update_input(&self, output_index: Option<OutputIndex>) -> Option<label_update::UpdateInput<'_>> {
        let order = output_index?.stellar_parameters?;
        let emulator_residual = self.input.emulator_residual.as_ref()?;
        let select = |labels: &[f64]| order.map(|i| labels[i]);
        let Features { labels, averaged, .. } = self.features;
        Some(label_update::UpdateInput {
            emulator_residual,
            labels: select(labels),
            start_labels: select(averaged),
            snr: self.input.snr,
        })
    }
}

/// The two halves of the pixels.
pub(super) const HALVES: [Range<usize>; 2] = [0..MODEL_PIXELS / 2, MODEL_PIXELS / 2..MODEL_PIXELS];

/// Standardised inputs with the pixels outside of a half set to the training mean.
pub(super) fn masked_to_half(half: &Range<usize>, rows: &[f32]) -> Vec<f32> {
    rows.iter().enumerate().map(|(i, v)| if half.contains(&(i % MODEL_PIXELS)) { *v } else { 0.0 }).collect()
}

/// Features of standardised spectra from `base`.
///
/// # Shapes
/// `rows`: `[n · 1462]` → one [`Features`] per spectrum
pub(super) async fn extract_features(
    base: &Regressor,
    output_index: Option<OutputIndex>,
    rows: &[f32],
    device: &Device,
) -> Result<Vec<Features>, FinetuneError> {
    let into_rows =
        |values: Vec<f32>, width: usize| -> Vec<Vec<f32>> { values.chunks(width).map(<[f32]>::to_vec).collect() };
    let predict = async |rows: Vec<f32>| {
        let outputs = base.run(rows, device).await.ok_or(FinetuneError::Device)?;
        Ok::<_, FinetuneError>(base.all_in_units(&outputs))
    };
    let x = matrix(rows.to_vec(), base.input_mean.len(), device);
    let embeddings = values(base.mlp.embed(x.clone(), embedding_depth(&base.widths))).await?;
    let embeddings = into_rows(embeddings, base.widths[embedding_depth(&base.widths)]);
    let labels = predict(rows.to_vec()).await?;
    let (mut contributions, mut averaged) = (vec![Vec::new(); labels.len()], vec![Vec::new(); labels.len()]);
    if let Some(output_index) = output_index {
        contributions = into_rows(values(base.mlp.contributions(x, output_index.target)).await?, base.widths[1]);
        let mut half_labels = Vec::new();
        for half in &HALVES {
            half_labels.push(predict(masked_to_half(half, rows)).await?);
        }
        let mean =
            |i: usize, label: usize| (labels[i][label] + half_labels[0][i][label] + half_labels[1][i][label]) / 3.0;
        averaged = (0..labels.len()).map(|i| (0..labels[i].len()).map(|label| mean(i, label)).collect()).collect();
    }
    let all = embeddings.into_iter().zip(contributions).zip(labels).zip(averaged);
    let assemble =
        |(((embedding, contributions), labels), averaged)| Features { embedding, contributions, labels, averaged };
    Ok(all.map(assemble).collect())
}
