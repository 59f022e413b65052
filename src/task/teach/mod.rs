//! Teaching a network: what of it changes, and one step of the optimiser at a time (MODEL_SPEC §4).
//!
//! Nothing here reads from the device or waits for it, so it runs on WebGPU as well, where nothing may.

use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;

use crate::nn::Mlp;
use crate::nn::lora::Lora;
use crate::nn::residual_head::ResidualHead;

pub mod landscape;
mod schedule;

pub use schedule::WarmupCosine;

/// A network and the part of it that is taught.
#[derive(Module, Debug)]
pub struct Pupil {
    base: Mlp,
    adapter: Option<Adapter>,
}

/// What is taught beside a frozen base.
#[derive(Module, Debug)]
// One exists at a time, and a box would only add an indirection.
#[allow(clippy::large_enum_variant)]
pub enum Adapter {
    /// Low-rank corrections of its linear layers.
    Lora(Lora),
    /// A small network whose output is added to the base's.
    Residual(ResidualHead),
}

impl Pupil {
    /// All of a network, with dropout and the batch's statistics as it was made.
    pub fn full(base: Mlp) -> Self {
        Self { base, adapter: None }
    }

    /// An adapter of a network that stays as it is: its weights, its running statistics, and no dropout in it.
    pub fn adapted(base: Mlp, adapter: Adapter) -> Self {
        Self { base: base.frozen(), adapter: Some(adapter) }
    }

    /// # Shapes
    /// `[batch, input]` → `[batch, outputs]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        match &self.adapter {
            None => self.base.forward(x),
            Some(Adapter::Lora(lora)) => lora.forward(&self.base, x),
            Some(Adapter::Residual(head)) => self.base.forward(x.clone()) + head.forward(x),
        }
    }

    /// The network, without its adapter.
    pub fn base(&self) -> &Mlp {
        &self.base
    }

    /// The adapter, if one is taught.
    pub fn adapter(&self) -> Option<&Adapter> {
        self.adapter.as_ref()
    }
}

/// A pupil and its optimiser: AdamW with PyTorch's constants, which decays every taught array, biases included.
pub struct Teacher {
    pupil: Pupil,
    optimiser: ModuleOptimizer,
}

impl Teacher {
    /// The pupil must be on a device with gradients; `weight_decay` is 1e-4 in the paper.
    pub fn new(pupil: Pupil, weight_decay: f32) -> Self {
        Self { pupil, optimiser: adamw(weight_decay).init() }
    }

    /// One step of the mean square error down this learning rate. Gives the loss before the step, still on the device.
    ///
    /// # Shapes
    /// `[batch, input]`, `[batch, outputs]` → `[1]`
    pub fn step(&mut self, x: Tensor<2>, y: Tensor<2>, rate: f64) -> Tensor<1> {
        let loss = squared_error(self.pupil.forward(x), y);
        let gradients = GradientsParams::from_grads(loss.backward(), &self.pupil);
        self.pupil = self.optimiser.step(rate, self.pupil.clone(), gradients);
        loss.detach()
    }

    /// The pupil as it is now.
    pub fn pupil(&self) -> &Pupil {
        &self.pupil
    }

    /// The pupil to answer with, away from the gradients: running statistics, no dropout.
    pub fn taught(&self) -> Pupil {
        self.pupil.clone().valid()
    }
}

impl std::fmt::Debug for Teacher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Teacher").field("pupil", &self.pupil).finish_non_exhaustive()
    }
}

/// AdamW as PyTorch has it; burn's own epsilon is a thousand times larger.
pub fn adamw(weight_decay: f32) -> AdamWConfig {
    AdamWConfig::new().with_weight_decay(weight_decay).with_epsilon(1e-8)
}

/// Mean square error.
///
/// # Shapes
/// two of `[batch, outputs]` → `[1]`
pub fn squared_error(got: Tensor<2>, want: Tensor<2>) -> Tensor<1> {
    (got - want).powi_scalar(2).mean()
}
