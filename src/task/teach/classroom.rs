//! A lesson before a network: what the network says of every spectrum, computed once for all trainings.

use burn::tensor::{Device, Tensor, TensorData};
use thiserror::Error;

use super::closed_form::ClosedForm;
use super::lesson::Lesson;
use super::look::{Column, Look, Star, looks};
use super::ridge::Head;
use crate::model::manifest::ModelEntry;
use crate::model::regressor::Regressor;
use crate::model::weights::{Tensors, WeightsError};
use crate::nn::keyed::parameters;
use crate::nn::{Mlp, MlpConfig};
use crate::task::predict::Predictor;

/// Spectra that go through the network at once.
const BATCH: usize = 64;

/// Hidden layers before the embedding that a residual head may see: two, where there are so many.
pub(super) fn embedding_depth(widths: &[usize]) -> usize {
    widths.len().saturating_sub(2).min(2)
}

/// Why nothing could be taught.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum TeachError {
    #[error("the compute device gave nothing back; reload the page")]
    Device,
    #[error("teaching needs a network with a hidden layer; this one has none")]
    Shallow,
    #[error("{0}")]
    Settings(String),
    #[error("no labels are left to learn from; use a smaller test part or fewer folds")]
    NothingLeft,
    #[error("the loss is not a number any more after epoch {epoch}; lower the learning rate")]
    NotFinite { epoch: usize },
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// A lesson, the network to be taught, and what that says of the lesson's spectra.
#[derive(Debug)]
pub struct Classroom {
    /// The labelled spectra.
    pub lesson: Lesson,
    /// The network's entry in the manifest.
    pub entry: ModelEntry,
    /// The network as it is.
    pub(super) base: Regressor,
    /// All its arrays, on the host.
    pub(super) arrays: Tensors,
    /// Its output that is the lesson's label; none for a label that is not ours.
    pub(super) column: Option<Column>,
    /// How it sees each spectrum.
    looks: Vec<Look>,
    pub(super) embedding_width: usize,
    /// Its last hidden layer, `[n][width]`.
    pub(super) last_hidden: Vec<f32>,
    pub(super) last_width: usize,
    /// Where it is trained.
    pub(super) device: Device,
}

/// Values of a tensor without blocking.
pub(super) async fn values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, TeachError> {
    let data = tensor.into_data_async().await.map_err(|_| TeachError::Device)?;
    data.try_to_vec().map_err(|_| TeachError::Device)
}

/// A batch of rows on a device.
pub(super) fn matrix(rows: Vec<f32>, width: usize, device: &Device) -> Tensor<2> {
    let n = rows.len() / width.max(1);
    Tensor::from_data(TensorData::new(rows, [n, width]), device)
}

impl Classroom {
    /// Shows every spectrum to the label network of `predictor`, once.
    pub async fn new(predictor: &Predictor, lesson: Lesson, device: &Device) -> Result<Self, TeachError> {
        let base = predictor.label_network().clone();
        let layers = base.widths.len() - 1;
        let depth = embedding_depth(&base.widths);
        if depth == 0 {
            return Err(TeachError::Shallow);
        }
        let column = Column::of(lesson.label(), predictor.outputs());
        let (mut seen, mut last_hidden) = (Vec::new(), Vec::new());
        for some in lesson.inputs.chunks(BATCH) {
            let mut rows = Vec::new();
            some.iter().for_each(|input| base.standardise_into(&input.norm, &mut rows));
            seen.extend(looks(&base, column, &rows, predictor.device()).await?);
            let x = matrix(rows, base.input_mean.len(), predictor.device());
            last_hidden.extend(values(base.mlp.embed(x, layers - 1)).await?);
        }
        Ok(Self {
            arrays: parameters(&base.mlp, "").await?,
            embedding_width: base.widths[depth],
            last_width: base.widths[layers - 1],
            lesson,
            entry: predictor.entry().clone(),
            base,
            column,
            looks: seen,
            last_hidden,
            device: device.clone(),
        })
    }

    /// What the network says of each spectrum before it is taught, in the label's unit; `None` for a label that is not ours.
    pub fn before(&self) -> Option<Vec<f64>> {
        let Column { taught, .. } = self.column?;
        Some(self.looks.iter().map(|look| look.labels[taught]).collect())
    }

    /// A row as the closed form takes it.
    pub(super) fn star(&self, row: usize) -> Star<'_> {
        Star { look: &self.looks[row], input: &self.lesson.inputs[row] }
    }

    /// The closed form of some rows' residuals in units of `scale`, and what it says of each when that is left out.
    pub(super) fn closed_form(&self, rows: &[usize], scale: f32, residuals: &[f64]) -> Option<(ClosedForm, Vec<f64>)> {
        let stars: Vec<Star> = rows.iter().map(|row| self.star(*row)).collect();
        ClosedForm::fit(&stars, self.column, scale, residuals)
    }

    pub(super) fn embedding(&self, row: usize) -> &[f32] {
        &self.looks[row].embedding
    }

    pub(super) fn last_hidden(&self, row: usize) -> &[f32] {
        &self.last_hidden[row * self.last_width..(row + 1) * self.last_width]
    }

    fn last_layer(&self) -> String {
        format!("network.{}.", 2 * (self.base.widths.len() - 2))
    }

    /// The network's own output for the lesson's label.
    pub(super) fn own_head(&self) -> Option<Head> {
        let (Column { taught: column, .. }, outputs, name) = (self.column?, self.base.n_outputs(), self.last_layer());
        let weights = self.arrays.get(&format!("{name}weight"), &[outputs, self.last_width]).ok()?;
        let bias = self.arrays.get(&format!("{name}bias"), &[outputs]).ok()?;
        let weights = weights[column * self.last_width..(column + 1) * self.last_width].to_vec();
        Some(Head { weights, bias: bias[column] })
    }

    /// The network's hidden layers with one output of its own.
    pub(super) fn with_head(&self, head: &Head, device: &Device) -> Result<Mlp, WeightsError> {
        with_head(&self.arrays, &self.base.widths, head, device)
    }
}

/// Widths of a network with one output in place of its own.
pub(super) fn one_output(widths: &[usize]) -> Vec<usize> {
    let mut widths = widths.to_vec();
    if let Some(last) = widths.last_mut() {
        *last = 1;
    }
    widths
}

/// The hidden layers of `arrays` with one output.
pub(super) fn with_head(arrays: &Tensors, widths: &[usize], head: &Head, device: &Device) -> Result<Mlp, WeightsError> {
    let mut arrays = arrays.clone();
    let name = format!("network.{}.", 2 * (widths.len() - 2));
    arrays.insert(&format!("{name}weight"), &[1, head.weights.len()], head.weights.clone());
    arrays.insert(&format!("{name}bias"), &[1], vec![head.bias]);
    MlpConfig::new(one_output(widths)).load(&arrays, "", device)
}
