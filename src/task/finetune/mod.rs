//! Fine-tuning: which part of a network changes, and one optimiser step at a time (docs/model-spec.md §4).
//!
//! The code in this file never reads from the device or waits for it: WebGPU does not allow a blocking read.

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;

use crate::nn::Mlp;
use crate::nn::lora::Lora;
use crate::nn::residual_head::ResidualHead;

mod adamw;
pub mod adapter;
mod augment;
pub mod cross_validation;
pub mod feature_cache;
pub mod gp_correction;
mod init;
pub mod loss_landscape;
pub mod labelled_set;
pub mod mmd;
mod ridge;
mod schedule;
pub mod split;
mod start;
mod train_state;
pub mod landscape_scan;
pub mod finetuned_model;
pub mod training;

pub use adamw::{AdamW, adamw};
pub use augment::smooth_curve;
pub use schedule::WarmupCosine;

/// A network that a [`TrainStep`] can train.
pub trait Forward: Module {
    /// # Shapes
    /// `[batch, input]` → `[batch, outputs]`
    fn forward(&self, x: Tensor<2>) -> Tensor<2>;
}

impl Forward for TrainableModel {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        Self::forward(self, x)
    }
}

impl Forward for ResidualHead {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        Self::forward(self, x)
    }
}

/// A network and its trained part.
#[derive(Module, Debug)]
pub struct TrainableModel {
    base: Mlp,
    adapter: Option<AdapterLayers>,
}

/// The trained layers added to a frozen base network.
#[derive(Module, Debug)]
// One exists at a time; a box would only add an indirection.
#[allow(clippy::large_enum_variant, reason = "a network is loaded once and not moved in a hot loop")]
pub enum AdapterLayers {
    /// Low-rank corrections of the linear layers.
    Lora(Lora),
    /// A small network; its output is added to the base's output.
    Residual(ResidualHead),
}

impl TrainableModel {
    /// Trains all weights, with dropout and batch statistics as configured.
    pub fn full(base: Mlp) -> Self {
        Self { base, adapter: None }
    }

    /// Trains an adapter of a frozen base: its weights and running statistics stay, and it has no dropout.
    pub fn adapted(base: Mlp, adapter: AdapterLayers) -> Self {
        Self { base: base.frozen(), adapter: Some(adapter) }
    }

    /// Output of the model.
    ///
    /// # Shapes
    /// `[batch, input]` → `[batch, outputs]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.forward_from_first(x, None)
    }

    /// The same, with the first layer's output of a frozen base already computed ([`Mlp::first`]).
    ///
    /// # Shapes
    /// `[batch, input]`, `[batch, first hidden]` → `[batch, outputs]`
    pub fn forward_from_first(&self, x: Tensor<2>, first: Option<Tensor<2>>) -> Tensor<2> {
        match &self.adapter {
            None => self.base.forward(x),
            Some(AdapterLayers::Lora(lora)) => lora.forward_from_first(&self.base, x, first),
            Some(AdapterLayers::Residual(head)) => self.base.forward(x.clone()) + head.forward(x),
        }
    }

    /// The base network, without the adapter.
    pub fn base(&self) -> &Mlp {
        &self.base
    }

    /// The adapter, if one is trained.
    pub fn adapter(&self) -> Option<&AdapterLayers> {
        self.adapter.as_ref()
    }
}

/// A model and its optimiser: `AdamW` with `PyTorch`'s constants. Weight decay applies to all trained arrays, biases
/// included.
pub struct TrainStep<P = TrainableModel> {
    /// Taken out during a step, so that its arrays have one owner and change in place.
    model: Option<P>,
    optimiser: ModuleOptimizer,
}

impl<P: Forward> TrainStep<P> {
    /// Prepares the training of `model`, which must be on a device with gradients. The paper's `weight_decay` is 1e-4.
    pub fn new(model: P, weight_decay: f32) -> Self {
        Self { model: Some(model), optimiser: adamw(weight_decay).into() }
    }

    /// One step on the mean square error at learning rate `rate`. Gives the loss before the step, still on the device.
    ///
    /// # Shapes
    /// `[batch, input]`, `[batch, outputs]` → `[1]`
    pub fn step(&mut self, x: Tensor<2>, y: Tensor<2>, rate: f64) -> Tensor<1> {
        self.step_by(|model| model.forward(x), y, rate)
    }

    /// A step like [`Self::step`], with the caller's forward pass.
    ///
    /// # Shapes
    /// output of `pass` and `y`: `[batch, outputs]` → `[1]`
    pub fn step_by(&mut self, pass: impl FnOnce(&P) -> Tensor<2>, y: Tensor<2>, rate: f64) -> Tensor<1> {
        let loss = squared_error(pass(self.model()), y);
        let gradients = GradientsParams::from_grads(loss.backward(), self.model());
        self.model = self.model.take().map(|model| self.optimiser.step(rate, model, gradients));
        loss.detach()
    }

    /// The current model.
    pub fn model(&self) -> &P {
        self.model.as_ref().expect("it is put back after every step")
    }

    /// A copy of the model for inference: no gradients, running statistics, no dropout.
    pub fn trained_model(&self) -> P {
        self.model().clone().valid()
    }
}

impl<P: std::fmt::Debug> std::fmt::Debug for TrainStep<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrainStep").field("model", &self.model).finish_non_exhaustive()
    }
}

/// Mean square error.
///
/// # Shapes
/// two of `[batch, outputs]` → `[1]`
pub fn squared_error(output: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
    (output - target).powi_scalar(2).mean()
}
