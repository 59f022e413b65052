//! The trained part of a network with its optimiser, and checkpoints of it.

use burn::tensor::{Device, Tensor};

use super::feature_cache::{FeatureCache, FinetuneError, one_output};
use super::finetuned_model::{InferenceModel, head_input_width};
use super::init::seeded_init;
use super::ridge::RidgeHead;
use super::{AdapterLayers, TrainStep, TrainableModel};
use crate::nn::MlpConfig;
use crate::nn::lora::LoraConfig;
use crate::nn::residual_head::{ResidualHead, ResidualHeadConfig};
use crate::result::finetune::{Settings, Strategy};

/// The trained network with its optimiser.
pub(super) enum TrainState {
    /// Nothing is trained by gradient steps.
    Untrained,
    /// A network, or its `LoRA`.
    Network(Box<TrainStep<TrainableModel>>),
    /// A residual head.
    ResidualHead(Box<TrainStep<ResidualHead>>),
}

/// Trained weights, without gradients.
#[derive(Clone)]
pub(super) enum Checkpoint {
    /// No weights.
    Unchanged,
    /// A network, or its `LoRA`.
    Network(TrainableModel),
    /// A residual head.
    ResidualHead(ResidualHead),
}

/// Network input of a batch; also the output of a frozen first layer, if cached.
pub(super) struct TrainingInput {
    /// Input, `[batch, input]`.
    pub x: Tensor<2>,
    /// Output of the first layer, `[batch, first hidden]`.
    pub first_layer: Option<Tensor<2>>,
}

impl TrainState {
    /// The trained part of a strategy before its first step; `head` is the output layer that it starts from.
    pub(super) fn new(
        cache: &FeatureCache,
        strategy: Strategy,
        head: &RidgeHead,
        settings: &Settings,
    ) -> Result<Self, FinetuneError> {
        let device = cache.device.clone().autodiff();
        let seed = settings.seed;
        let network = |model| Self::Network(Box::new(TrainStep::new(model, settings.weight_decay)));
        Ok(match strategy {
            Strategy::ZeroShot | Strategy::Linear | Strategy::Gp => Self::Untrained,
            Strategy::Full => network(TrainableModel::full(cache.with_head(head, &device)?)),
            Strategy::Scratch => {
                let uninitialised = MlpConfig::new(one_output(&cache.base.widths)).init(&device);
                network(TrainableModel::full(seeded_init(uninitialised, seed, |_| false, &device)?))
            }
            Strategy::Lora => {
                let base = cache.with_head(head, &device)?;
                let config = LoraConfig::new().with_rank(settings.lora_rank).with_alpha(settings.lora_alpha);
                let lora = seeded_init(config.init(&base, &device), seed, |name| name.ends_with("lora_B"), &device)?;
                network(TrainableModel::adapted(base, AdapterLayers::Lora(lora)))
            }
            Strategy::Residual => {
                let config = ResidualHeadConfig::new(head_input_width(settings.head_input, &cache.base.widths));
                let head = config.with_hidden(settings.head_width).init(&device);
                let head = seeded_init(head, seed, |name| name.starts_with("2."), &device)?;
                Self::ResidualHead(Box::new(TrainStep::new(head, settings.weight_decay)))
            }
        })
    }

    /// A copy of the present weights.
    pub(super) fn checkpoint(&self) -> Checkpoint {
        match self {
            Self::Untrained => Checkpoint::Unchanged,
            Self::Network(train_step) => Checkpoint::Network(train_step.trained_model()),
            Self::ResidualHead(train_step) => Checkpoint::ResidualHead(train_step.trained_model()),
        }
    }

    /// One optimiser step; gives the loss before it, still on the device.
    pub(super) fn step(&mut self, input_batch: TrainingInput, y: Tensor<2>, rate: f64) -> Option<Tensor<1>> {
        match self {
            Self::Untrained => None,
            Self::Network(train_step) => Some(train_step.step_by(
                |model| model.forward_from_first(input_batch.x, input_batch.first_layer),
                y,
                rate,
            )),
            Self::ResidualHead(train_step) => Some(train_step.step(input_batch.x, y, rate)),
        }
    }
}

impl Checkpoint {
    /// Standardised outputs of the trained part; `None` without one.
    ///
    /// # Shapes
    /// `[batch, input]` → `[batch, 1]`
    pub(super) fn forward(&self, input_batch: TrainingInput) -> Option<Tensor<2>> {
        match self {
            Self::Unchanged => None,
            Self::Network(model) => Some(model.forward_from_first(input_batch.x, input_batch.first_layer)),
            Self::ResidualHead(head) => Some(head.forward(input_batch.x)),
        }
    }

    /// The network for predictions: these weights with the frozen layers that they were trained on.
    pub(super) fn inference_model(
        &self,
        cache: &FeatureCache,
        head: &RidgeHead,
        settings: &Settings,
        device: &Device,
    ) -> Result<InferenceModel, FinetuneError> {
        let frozen = || cache.with_head(head, device);
        Ok(match self {
            Self::Network(model) => match model.adapter() {
                Some(AdapterLayers::Lora(lora)) => InferenceModel::Lora(head.clone(), frozen()?, lora.clone()),
                _ => InferenceModel::Network(model.base().clone()),
            },
            Self::ResidualHead(residual) => {
                InferenceModel::Residual(head.clone(), frozen()?, residual.clone(), settings.head_input)
            }
            Self::Unchanged => InferenceModel::Frozen(head.clone(), frozen()?),
        })
    }
}
