//! Teaching a network: what of it changes, and one step of the optimiser at a time (MODEL_SPEC §4).
//!
//! Nothing here reads from the device or waits for it, so it runs on WebGPU as well, where nothing may.

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;

use crate::nn::Mlp;
use crate::nn::lora::Lora;
use crate::nn::residual_head::ResidualHead;

mod adamw;
pub mod adapter;
mod augment;
pub mod bake_off;
pub mod classroom;
pub mod closed_form;
mod init;
pub mod landscape;
pub mod lesson;
pub mod look;
pub mod mmd;
pub mod refine;
mod ridge;
mod schedule;
pub mod split;
pub mod survey;
pub mod taught;
pub mod training;

pub use adamw::{AdamW, adamw};
pub use augment::smooth_curve;
pub use schedule::WarmupCosine;

/// A network that a [`Teacher`] can teach.
pub trait Forward: Module {
    /// # Shapes
    /// `[batch, input]` → `[batch, outputs]`
    fn forward(&self, x: Tensor<2>) -> Tensor<2>;
}

impl Forward for Pupil {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        Pupil::forward(self, x)
    }
}

impl Forward for ResidualHead {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        ResidualHead::forward(self, x)
    }
}

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
        self.forward_past(x, None)
    }

    /// The same where what the first layer of a frozen base makes of `x` is known ([`Mlp::first`]).
    ///
    /// # Shapes
    /// `[batch, input]`, `[batch, first hidden]` → `[batch, outputs]`
    pub fn forward_past(&self, x: Tensor<2>, first: Option<Tensor<2>>) -> Tensor<2> {
        match &self.adapter {
            None => self.base.forward(x),
            Some(Adapter::Lora(lora)) => lora.forward_past(&self.base, x, first),
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
pub struct Teacher<P = Pupil> {
    /// Taken out during a step, so that its arrays are nobody else's and change in place.
    pupil: Option<P>,
    optimiser: ModuleOptimizer,
}

impl<P: Forward> Teacher<P> {
    /// The pupil must be on a device with gradients; `weight_decay` is 1e-4 in the paper.
    pub fn new(pupil: P, weight_decay: f32) -> Self {
        Self { pupil: Some(pupil), optimiser: adamw(weight_decay).into() }
    }

    /// One step of the mean square error down this learning rate. Gives the loss before the step, still on the device.
    ///
    /// # Shapes
    /// `[batch, input]`, `[batch, outputs]` → `[1]`
    pub fn step(&mut self, x: Tensor<2>, y: Tensor<2>, rate: f64) -> Tensor<1> {
        self.step_by(|pupil| pupil.forward(x), y, rate)
    }

    /// The same with a forward pass of the caller's.
    ///
    /// # Shapes
    /// of the pass and `y`: `[batch, outputs]` → `[1]`
    pub fn step_by(&mut self, pass: impl FnOnce(&P) -> Tensor<2>, y: Tensor<2>, rate: f64) -> Tensor<1> {
        let loss = squared_error(pass(self.pupil()), y);
        let gradients = GradientsParams::from_grads(loss.backward(), self.pupil());
        self.pupil = self.pupil.take().map(|pupil| self.optimiser.step(rate, pupil, gradients));
        loss.detach()
    }

    /// The pupil as it is now.
    pub fn pupil(&self) -> &P {
        self.pupil.as_ref().expect("it is put back after every step")
    }

    /// The pupil to answer with, away from the gradients: running statistics, no dropout.
    pub fn taught(&self) -> P {
        self.pupil().clone().valid()
    }
}

impl<P: std::fmt::Debug> std::fmt::Debug for Teacher<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Teacher").field("pupil", &self.pupil).finish_non_exhaustive()
    }
}

/// Mean square error.
///
/// # Shapes
/// two of `[batch, outputs]` → `[1]`
pub fn squared_error(got: Tensor<2>, want: Tensor<2>) -> Tensor<1> {
    (got - want).powi_scalar(2).mean()
}
