//! The residual head of fine-tuning: a small correction that is added to a frozen network (docs/model-spec.md §4).

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::state_dict::{StateDict, Transfer};
use crate::nn::weights::WeightsError;

/// Configuration of a [`ResidualHead`].
#[derive(Config, Debug)]
pub struct ResidualHeadConfig {
    /// Width of the input.
    pub input: usize,
    /// Width of the hidden layer.
    #[config(default = 384)]
    pub hidden: usize,
    /// Number of labels.
    #[config(default = 1)]
    pub outputs: usize,
}

/// Residual head: Linear → `ReLU` → linear; its output is added to the output of the frozen base.
#[derive(Module, Debug)]
pub struct ResidualHead {
    first: Linear,
    last: Linear,
}

impl ResidualHeadConfig {
    /// A head with burn's Kaiming-uniform weights.
    pub fn init(&self, device: &Device) -> ResidualHead {
        ResidualHead {
            first: LinearConfig::new(self.input, self.hidden).init(device),
            last: LinearConfig::new(self.hidden, self.outputs).init(device),
        }
    }
}

impl ResidualHead {
    /// The correction to the base's output.
    ///
    /// # Shapes
    /// `[batch, input]` → `[batch, outputs]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.last.forward(relu(self.first.forward(x)))
    }
}

impl ResidualHead {
    /// Derivative of one output with respect to each input.
    ///
    /// # Shapes
    /// `[batch, input]` → `[batch, input]`
    pub fn gradients(&self, x: Tensor<2>, output: usize) -> Tensor<2> {
        let last = self.last.weight.val().narrow(1, output, 1).transpose();
        (relu(self.first.forward(x)).sign() * last).matmul(self.first.weight.val().transpose())
    }
}

impl StateDict for ResidualHead {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        self.first.exchange(&format!("{prefix}0."), transfer)?;
        self.last.exchange(&format!("{prefix}2."), transfer)
    }
}
