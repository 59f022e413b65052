//! A fine-tuned network: its own weights, or the base's hidden layers with an adapter; a GP correction may be added.

use burn::tensor::{Device, Tensor};

use super::feature_cache::{FinetuneError, embedding_depth, embeddings, matrix, one_output, values, with_head};
use super::gp_correction::GpCorrection;
use super::ridge::RidgeHead;
use super::{AdapterLayers, TrainableModel};
use crate::model::regressor::Regressor;
use crate::nn::lora::{Lora, LoraConfig};
use crate::nn::residual_head::{ResidualHead, ResidualHeadConfig};
use crate::nn::state_dict::{StateDict, parameters};
use crate::nn::weights::{Tensors, WeightsError};
use crate::nn::{Mlp, MlpConfig};
use crate::result::finetune::{HeadInput, Settings, Strategy};
use crate::task::predict::LabelInput;

/// A fine-tuned model of one label.
#[derive(Debug, Clone)]
pub struct FinetunedModel {
    pub(super) strategy: Strategy,
    pub(super) network: InferenceModel,
    /// GP correction, in standardised units; its kernel uses the embedding of the base network.
    pub(super) gp_correction: Option<GpCorrection>,
    /// Offset of the standardised output, in the label's unit.
    pub(super) mean: f32,
    /// Scale of the standardised output, in the label's unit.
    pub(super) scale: f32,
}

/// A network with one standardised output.
#[derive(Debug, Clone)]
// One exists at a time; a box would only add an indirection.
#[allow(clippy::large_enum_variant, reason = "a network is loaded once and not moved in a hot loop")]
pub(super) enum InferenceModel {
    /// A network whose weights are all fine-tuned.
    Network(Mlp),
    /// The base's hidden layers with one output.
    Frozen(RidgeHead, Mlp),
    /// The base's hidden layers with low-rank corrections, and one output.
    Lora(RidgeHead, Mlp, Lora),
    /// The base's hidden layers with one output, plus a residual head.
    Residual(RidgeHead, Mlp, ResidualHead, HeadInput),
}

impl FinetunedModel {
    /// Strategy of the fine-tuning.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// Predictions for spectra, in the label's unit; `base` is its base network.
    pub async fn predict(
        &self,
        base: &Regressor,
        inputs: &[&LabelInput],
        device: &Device,
    ) -> Result<Vec<f64>, FinetuneError> {
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        let mut rows = Vec::with_capacity(inputs.len() * base.input_mean.len());
        inputs.iter().for_each(|input| base.standardise_into(&input.norm, &mut rows));
        let x = matrix(rows.clone(), base.input_mean.len(), device);
        let embed = |x: &Tensor<2>| base.mlp.embed(x.clone(), embedding_depth(&base.widths));
        let output = match &self.network {
            InferenceModel::Network(network) | InferenceModel::Frozen(_, network) => network.forward(x.clone()),
            InferenceModel::Lora(_, network, lora) => lora.forward(network, x.clone()),
            InferenceModel::Residual(_, network, head, HeadInput::Flux) => {
                network.forward(x.clone()) + head.forward(x.clone())
            }
            InferenceModel::Residual(_, network, head, HeadInput::Embedding) => {
                network.forward(x.clone()) + head.forward(embed(&x))
            }
        };
        let mut predictions: Vec<f64> = values(output).await?.into_iter().map(f64::from).collect();
        if let Some(correction) = &self.gp_correction {
            for (prediction, embedding) in predictions.iter_mut().zip(embeddings(base, &rows, device).await?) {
                *prediction += correction.at(&embedding);
            }
        }
        Ok(predictions.into_iter().map(|y| y * f64::from(self.scale) + f64::from(self.mean)).collect())
    }

    /// ∂label/∂flux of each pixel, in the label's unit per unit of the continuum; NaN for a missing pixel.
    pub async fn gradients(
        &self,
        base: &Regressor,
        input: &LabelInput,
        device: &Device,
    ) -> Result<Vec<f32>, FinetuneError> {
        let norm = &input.norm;
        let x = matrix(base.standardised(&[norm]), base.input_mean.len(), device);
        let depth = embedding_depth(&base.widths);
        let gradients = match &self.network {
            InferenceModel::Network(network) | InferenceModel::Frozen(_, network) => network.gradients(x.clone(), 0),
            InferenceModel::Lora(_, network, lora) => lora.merge(network).gradients(x.clone(), 0),
            InferenceModel::Residual(_, network, head, HeadInput::Flux) => {
                network.gradients(x.clone(), 0) + head.gradients(x.clone(), 0)
            }
            InferenceModel::Residual(_, network, head, HeadInput::Embedding) => {
                let head_slopes = head.gradients(base.mlp.embed(x.clone(), depth), 0);
                network.gradients(x.clone(), 0) + base.mlp.gradients_through_embedding(x.clone(), depth, head_slopes)
            }
        };
        let mut gradients = values(gradients).await?;
        if let Some(correction) = &self.gp_correction {
            let rows = base.standardised(&[norm]);
            let gradient = correction.gradient_at(&embeddings(base, &rows, device).await?.concat());
            let gradient = matrix(gradient, base.widths[depth], device);
            let more = values(base.mlp.gradients_through_embedding(x, depth, gradient)).await?;
            gradients.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
        Ok(base.gradients_in_units(norm, gradients, self.scale))
    }

    /// Arrays of the model that the base network does not contain.
    pub(super) async fn arrays(&self) -> Result<Tensors, WeightsError> {
        let mut arrays = match &self.network {
            InferenceModel::Network(network) => parameters(network, "own.").await?,
            InferenceModel::Frozen(..) => Tensors::default(),
            InferenceModel::Lora(_, _, lora) => parameters(lora, "lora.").await?,
            InferenceModel::Residual(_, _, head, _) => parameters(head, "residual.").await?,
        };
        if let InferenceModel::Frozen(head, _) | InferenceModel::Lora(head, ..) | InferenceModel::Residual(head, ..) =
            &self.network
        {
            arrays.insert("output.weight", &[head.weights.len()], head.weights.clone());
            arrays.insert("output.bias", &[1], vec![head.bias]);
        }
        if let Some(correction) = &self.gp_correction {
            correction.store(&mut arrays, "gp.");
        }
        arrays.insert("standardisation", &[2], vec![self.mean, self.scale]);
        Ok(arrays)
    }

    /// Loads the arrays of an adapter file on `base`, whose arrays are `base_arrays`.
    pub(super) fn load(
        arrays: &Tensors,
        strategy: Strategy,
        settings: &Settings,
        base: &Regressor,
        base_arrays: &Tensors,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let &[mean, scale] = arrays.get("standardisation", &[2])? else {
            return Err(WeightsError::Missing("standardisation".into()));
        };
        let all_weights = || MlpConfig::new(one_output(&base.widths)).load(arrays, "own.", device);
        let frozen = || {
            let width = base.widths[base.widths.len() - 2];
            let weights = arrays.get("output.weight", &[width])?.to_vec();
            let head = RidgeHead { weights, bias: arrays.get("output.bias", &[1])?[0] };
            let network = with_head(base_arrays, &base.widths, &head, device)?;
            Ok::<_, WeightsError>((head, network))
        };
        let network = match strategy {
            Strategy::Full | Strategy::Scratch => InferenceModel::Network(all_weights()?),
            Strategy::ZeroShot | Strategy::Linear | Strategy::Gp => {
                let (head, network) = frozen()?;
                InferenceModel::Frozen(head, network)
            }
            Strategy::Lora => {
                let (head, network) = frozen()?;
                let config = LoraConfig::new().with_rank(settings.lora_rank).with_alpha(settings.lora_alpha);
                let lora = config.init(&network, device).load(arrays, "lora.", device)?;
                InferenceModel::Lora(head, network, lora)
            }
            Strategy::Residual => {
                let (head, network) = frozen()?;
                let config = ResidualHeadConfig::new(head_input_width(settings.head_input, &base.widths));
                let residual =
                    config.with_hidden(settings.head_width).init(device).load(arrays, "residual.", device)?;
                InferenceModel::Residual(head, network, residual, settings.head_input)
            }
        };
        let gp_correction = GpCorrection::load(arrays, "gp.", base.widths[embedding_depth(&base.widths)])?;
        Ok(Self { strategy, network, gp_correction, mean, scale })
    }

    /// The trained model, for a scan of the loss around its weights.
    pub fn model(&self) -> Option<TrainableModel> {
        match self.network.clone() {
            InferenceModel::Network(network) | InferenceModel::Frozen(_, network) => {
                Some(TrainableModel::full(network))
            }
            InferenceModel::Lora(_, network, lora) => Some(TrainableModel::adapted(network, AdapterLayers::Lora(lora))),
            InferenceModel::Residual(_, network, head, HeadInput::Flux) => {
                Some(TrainableModel::adapted(network, AdapterLayers::Residual(head)))
            }
            InferenceModel::Residual(_, _, _, HeadInput::Embedding) => None,
        }
    }
}

/// Input width of a residual head.
pub(super) fn head_input_width(head_input: HeadInput, widths: &[usize]) -> usize {
    match head_input {
        HeadInput::Flux => widths[0],
        HeadInput::Embedding => widths[embedding_depth(widths)],
    }
}
