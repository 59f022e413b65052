//! A fine-tuned network with a Gaussian-process correction. It has its own weights, or the base's hidden layers with an
//! adapter.

use burn::tensor::{Device, Tensor};

use super::feature_cache::{FinetuneError, embedding_depth, matrix, one_output, values, with_head};
use super::features::{CorrectionInput, HALVES, extract_features, masked_to_half};
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
use crate::task::output_index::OutputIndex;
use crate::task::predict::LabelInput;

/// A fine-tuned model of one label.
#[derive(Debug, Clone)]
pub struct FinetunedModel {
    pub(super) strategy: Strategy,
    pub(super) network: InferenceModel,
    /// Output of the base network for this label, if there is one.
    pub(super) output_index: Option<OutputIndex>,
    /// Gaussian-process correction, in standardised units; its kernel uses features of the base network.
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

    /// True when the model needs the residual of the star from the emulator's spectrum.
    pub fn needs_emulator(&self) -> bool {
        self.gp_correction.as_ref().is_some_and(GpCorrection::needs_emulator)
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
            for ((prediction, features), input) in
                predictions.iter_mut().zip(extract_features(base, self.output_index, &rows, device).await?).zip(inputs)
            {
                *prediction += correction.at(&CorrectionInput { features: &features, input }, self.scale);
            }
        }
        Ok(predictions.into_iter().map(|y| y * f64::from(self.scale) + f64::from(self.mean)).collect())
    }

    /// ∂label/∂flux of each pixel, in the label's unit per unit of the continuum; NaN for a missing pixel. The label
    /// update from the emulator counts as constant.
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
            self.add_correction_slopes(correction, base, input, &mut gradients, device).await?;
        }
        Ok(base.gradients_in_units(norm, gradients, self.scale))
    }

    /// Adds the gradient of the Gaussian-process correction to `gradients`, in standardised units.
    async fn add_correction_slopes(
        &self,
        correction: &GpCorrection,
        base: &Regressor,
        input: &LabelInput,
        gradients: &mut [f32],
        device: &Device,
    ) -> Result<(), FinetuneError> {
        let mut add = |gradient: &[f32], factor: f32| {
            gradients.iter_mut().zip(gradient).for_each(|(s, gradient)| *s += factor * gradient)
        };
        let rows = base.standardised(&[&input.norm]);
        let as_row = |rows: &[f32]| matrix(rows.to_vec(), rows.len(), device);
        for features in extract_features(base, self.output_index, &rows, device).await? {
            let [embedding_slopes, hidden_slopes] =
                correction.slopes_at(&CorrectionInput { features: &features, input });
            let depth = embedding_depth(&base.widths);
            add(
                &values(base.mlp.gradients_through_embedding(as_row(&rows), depth, as_row(&embedding_slopes))).await?,
                1.0,
            );
            let Some(OutputIndex { target, .. }) = self.output_index else { continue };
            let contribution_slopes =
                base.mlp.gradients_through_contributions(as_row(&rows), target, as_row(&hidden_slopes));
            add(&values(contribution_slopes).await?, 1.0);
            if !correction.starts_from_update() {
                continue;
            }
            // The correction replaces the prediction from all pixels by the mean of the predictions from all pixels and
            // both halves.
            add(&values(base.mlp.gradients(as_row(&rows), target)).await?, -2.0 / 3.0);
            for half in &HALVES {
                let gradients = values(base.mlp.gradients(as_row(&masked_to_half(half, &rows)), target)).await?;
                add(&masked_to_half(half, &gradients), 1.0 / 3.0);
            }
        }
        Ok(())
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
            correction.store(&mut arrays, "closed_form.");
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
        output_index: Option<OutputIndex>,
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
            Strategy::ZeroShot => {
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
        let widths = [base.widths[embedding_depth(&base.widths)], base.widths[1]];
        let gp_correction = GpCorrection::load(arrays, "closed_form.", output_index, widths)?;
        Ok(Self { strategy, network, output_index, gp_correction, mean, scale })
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
