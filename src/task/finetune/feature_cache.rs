//! A labelled set and the network's hidden layers for every spectrum, computed once for all trainings.

use burn::tensor::{Device, Tensor, TensorData};
use thiserror::Error;

use super::gp_correction::GpCorrection;
use super::labelled_set::LabelledSet;
use super::ridge::RidgeHead;
use crate::model::manifest::ModelEntry;
use crate::model::regressor::Regressor;
use crate::nn::state_dict::parameters;
use crate::nn::weights::{Tensors, WeightsError};
use crate::nn::{Mlp, MlpConfig};
use crate::result::Label;
use crate::task::predict::Predictor;

/// Spectra in one pass of the network.
const BATCH: usize = 64;

/// Number of hidden layers up to and including the embedding, which a residual head may take: two, or fewer in a
/// shallower network.
pub(super) fn embedding_depth(widths: &[usize]) -> usize {
    widths.len().saturating_sub(2).min(2)
}

/// Why fine-tuning failed.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum FinetuneError {
    #[error("the compute device returned no data; reload the page")]
    Device,
    #[error("fine-tuning needs a network with a hidden layer; this model has none")]
    Shallow,
    #[error("{0}")]
    Settings(String),
    #[error("too few labels remain for training; use a smaller test fraction, or more folds")]
    NothingLeft,
    #[error("the loss is not finite after epoch {epoch}; lower the learning rate")]
    NotFinite { epoch: usize },
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// A labelled set, the network to fine-tune, and its hidden layers for the spectra.
#[derive(Debug)]
pub struct FeatureCache {
    /// The labelled spectra.
    pub labelled_set: LabelledSet,
    /// The network's entry in the manifest.
    pub entry: ModelEntry,
    /// The base network.
    pub(super) base: Regressor,
    /// All arrays of the base network, on the host.
    pub(super) arrays: Tensors,
    /// The base network's output for the label; `None` for a label that it does not predict.
    pub(super) output_index: Option<usize>,
    /// Second hidden layer of each spectrum.
    embeddings: Vec<Vec<f32>>,
    pub(super) embedding_width: usize,
    /// Last hidden layer, `[n][width]`.
    pub(super) last_hidden: Vec<f32>,
    pub(super) last_width: usize,
    /// Device of the training.
    pub(super) device: Device,
}

/// Embeddings, the second hidden layer, of standardised spectra.
///
/// # Shapes
/// `rows`: `[n · input]` → one embedding per spectrum
pub(super) async fn embeddings(
    base: &Regressor,
    rows: &[f32],
    device: &Device,
) -> Result<Vec<Vec<f32>>, FinetuneError> {
    let depth = embedding_depth(&base.widths);
    let x = matrix(rows.to_vec(), base.input_mean.len(), device);
    let all = values(base.mlp.embed(x, depth)).await?;
    Ok(all.chunks(base.widths[depth]).map(<[f32]>::to_vec).collect())
}

/// Reads a tensor's values without blocking.
pub(super) async fn values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, FinetuneError> {
    let data = tensor.into_data_async().await.map_err(|_| FinetuneError::Device)?;
    data.try_to_vec().map_err(|_| FinetuneError::Device)
}

/// Rows of `width` values as a batch on a device.
pub(super) fn matrix(rows: Vec<f32>, width: usize, device: &Device) -> Tensor<2> {
    let n = rows.len() / width.max(1);
    Tensor::from_data(TensorData::new(rows, [n, width]), device)
}

/// A network to fine-tune.
#[derive(Debug, Clone)]
pub struct BaseNetwork {
    /// Its entry in a manifest.
    pub entry: ModelEntry,
    /// The network.
    pub network: Regressor,
    /// Labels of its outputs.
    pub outputs: Vec<Label>,
}

impl BaseNetwork {
    /// The label network of a model.
    pub fn of(predictor: &Predictor) -> Self {
        let (entry, network) = (predictor.entry().clone(), predictor.label_network().clone());
        Self { entry, network, outputs: predictor.outputs().to_vec() }
    }
}

impl FeatureCache {
    /// Computes the hidden layers for every spectrum with the label network of `predictor`.
    pub async fn new(predictor: &Predictor, labelled_set: LabelledSet, device: &Device) -> Result<Self, FinetuneError> {
        Self::of_network(&BaseNetwork::of(predictor), labelled_set, device).await
    }

    /// Computes the hidden layers of a network for every spectrum.
    pub async fn of_network(
        base_network: &BaseNetwork,
        labelled_set: LabelledSet,
        device: &Device,
    ) -> Result<Self, FinetuneError> {
        let base = base_network.network.clone();
        let layers = base.widths.len() - 1;
        let depth = embedding_depth(&base.widths);
        if depth == 0 {
            return Err(FinetuneError::Shallow);
        }
        let label = labelled_set.label();
        let output_index = base_network.outputs.iter().position(|output| Some(*output) == label);
        let (mut all_embeddings, mut last_hidden) = (Vec::new(), Vec::new());
        for chunk in labelled_set.spectra.chunks(BATCH) {
            let mut rows = Vec::new();
            chunk.iter().for_each(|s| base.standardise_into(&s.input.norm, &mut rows));
            all_embeddings.extend(embeddings(&base, &rows, device).await?);
            let x = matrix(rows, base.input_mean.len(), device);
            last_hidden.extend(values(base.mlp.embed(x, layers - 1)).await?);
        }
        Ok(Self {
            arrays: parameters(&base.mlp, "").await?,
            embedding_width: base.widths[depth],
            last_width: base.widths[layers - 1],
            labelled_set,
            entry: base_network.entry.clone(),
            base,
            output_index,
            embeddings: all_embeddings,
            last_hidden,
            device: device.clone(),
        })
    }

    /// The base network's prediction for each spectrum, in the label's unit; `None` for a label that it does not
    /// predict.
    pub fn base_predictions(&self) -> Option<Vec<f64>> {
        let (index, head) = (self.output_index?, self.base_head()?);
        let (mean, scale) = (f64::from(self.base.output_mean[index]), f64::from(self.base.output_scale[index]));
        Some((0..self.labelled_set.len()).map(|row| head.at(self.last_hidden(row)) * scale + mean).collect())
    }

    /// Fits the GP correction to the standardised residuals of `rows`. Also gives the leave-one-out prediction of each
    /// row.
    pub(super) fn gp_correction(&self, rows: &[usize], residuals: &[f64]) -> Option<(GpCorrection, Vec<f64>)> {
        let embeddings: Vec<&[f32]> = rows.iter().map(|row| self.embedding(*row)).collect();
        GpCorrection::fit(&embeddings, residuals)
    }

    /// Fits a linear function of the last hidden layer to the standardised residuals of `rows`. Also gives the
    /// leave-one-out prediction of each row.
    pub(super) fn ridge(&self, rows: &[usize], residuals: &[f64]) -> Option<(RidgeHead, Vec<f64>)> {
        let features: Vec<f32> = rows.iter().flat_map(|row| self.last_hidden(*row)).copied().collect();
        RidgeHead::fit(&features, self.last_width, residuals)
    }

    /// Second hidden layer of a row.
    pub(super) fn embedding(&self, row: usize) -> &[f32] {
        &self.embeddings[row]
    }

    pub(super) fn last_hidden(&self, row: usize) -> &[f32] {
        &self.last_hidden[row * self.last_width..(row + 1) * self.last_width]
    }

    fn last_layer(&self) -> String {
        format!("network.{}.", 2 * (self.base.widths.len() - 2))
    }

    /// The base network's output layer for the label.
    pub(super) fn base_head(&self) -> Option<RidgeHead> {
        let (index, outputs, name) = (self.output_index?, self.base.n_outputs(), self.last_layer());
        let weights = self.arrays.get(&format!("{name}weight"), &[outputs, self.last_width]).ok()?;
        let bias = self.arrays.get(&format!("{name}bias"), &[outputs]).ok()?;
        let weights = weights[index * self.last_width..(index + 1) * self.last_width].to_vec();
        Some(RidgeHead { weights, bias: bias[index] })
    }

    /// The base's hidden layers with `head` as the only output.
    pub(super) fn with_head(&self, head: &RidgeHead, device: &Device) -> Result<Mlp, WeightsError> {
        with_head(&self.arrays, &self.base.widths, head, device)
    }
}

/// Widths of the network with one output.
pub(super) fn one_output(widths: &[usize]) -> Vec<usize> {
    let mut widths = widths.to_vec();
    if let Some(last) = widths.last_mut() {
        *last = 1;
    }
    widths
}

/// The hidden layers of `arrays` with `head` as the only output.
pub(super) fn with_head(
    arrays: &Tensors,
    widths: &[usize],
    head: &RidgeHead,
    device: &Device,
) -> Result<Mlp, WeightsError> {
    let mut arrays = arrays.clone();
    let name = format!("network.{}.", 2 * (widths.len() - 2));
    arrays.insert(&format!("{name}weight"), &[1, head.weights.len()], head.weights.clone());
    arrays.insert(&format!("{name}bias"), &[1], vec![head.bias]);
    MlpConfig::new(one_output(widths)).load(&arrays, "", device)
}
