//! Batch normalisation as PyTorch does it.
//!
//! burn's own folds the biased variance of a batch into the running one, PyTorch the unbiased; the difference is small at
//! a batch of 32 and grows without bound towards a batch of 2, so a fine-tuned network would not be PyTorch's.

use burn::config::Config;
use burn::module::{Module, Param, RunningState};
use burn::tensor::{Device, Tensor};

use super::keyed::{Keyed, Transfer, parameter, running};
use crate::model::weights::WeightsError;

/// Configuration of a [`BatchNorm`].
#[derive(Config, Debug)]
pub struct BatchNormConfig {
    /// Number of features.
    pub features: usize,
    /// Added to the variance.
    #[config(default = 1e-5)]
    pub epsilon: f64,
    /// Share of the newest batch in the running statistics.
    #[config(default = 0.1)]
    pub momentum: f64,
}

/// Each feature standardised, then scaled and shifted; by the batch's statistics while training, else by the running ones.
#[derive(Module, Debug)]
pub struct BatchNorm {
    gamma: Param<Tensor<1>>,
    beta: Param<Tensor<1>>,
    running_mean: RunningState<Tensor<1>>,
    running_var: RunningState<Tensor<1>>,
    /// Whether a forward pass on an autodiff device uses and updates batch statistics. Frozen bases of adapters do not.
    pub uses_batch: bool,
    epsilon: f64,
    momentum: f64,
}

impl BatchNormConfig {
    /// Scale 1, shift 0, running mean 0 and variance 1.
    pub fn init(&self, device: &Device) -> BatchNorm {
        BatchNorm {
            gamma: Param::from_tensor(Tensor::ones([self.features], device)),
            beta: Param::from_tensor(Tensor::zeros([self.features], device)),
            running_mean: RunningState::new(Tensor::zeros([self.features], device)),
            running_var: RunningState::new(Tensor::ones([self.features], device)),
            uses_batch: true,
            epsilon: self.epsilon,
            momentum: self.momentum,
        }
    }
}

impl BatchNorm {
    /// # Shapes
    /// `[batch, features]` → `[batch, features]`; while training the batch has at least 2 rows.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let device = x.device();
        let (mean, var) = if device.is_autodiff() && self.uses_batch {
            let mean = x.clone().mean_dim(0);
            let var = x.clone().var_bias(0);
            let n = x.dims()[0] as f64;
            let unbiased = var.clone().detach().squeeze_dim::<1>(0) * (n / (n - 1.0).max(1.0));
            self.fold(&self.running_mean, mean.clone().detach().squeeze_dim(0));
            self.fold(&self.running_var, unbiased);
            (mean, var)
        } else {
            let of = |state: &RunningState<Tensor<1>>| state.value().to_device(&device).unsqueeze_dim(0);
            (of(&self.running_mean), of(&self.running_var))
        };
        let standard = (x - mean) / (var + self.epsilon).sqrt();
        standard * self.gamma.val().unsqueeze_dim(0) + self.beta.val().unsqueeze_dim(0)
    }

    /// How the output changes with the input, as when answering.
    ///
    /// # Shapes
    /// `[1, features]`
    pub fn slope(&self) -> Tensor<2> {
        let gamma = self.gamma.val();
        let var = self.running_var.value().to_device(&gamma.device());
        (gamma / (var + self.epsilon).sqrt()).unsqueeze_dim(0)
    }

    fn fold(&self, state: &RunningState<Tensor<1>>, batch: Tensor<1>) {
        let old = state.value_sync().to_device(&batch.device());
        state.update((old * (1.0 - self.momentum) + batch * self.momentum).detach());
    }
}

impl Keyed for BatchNorm {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        parameter(&mut self.gamma, &format!("{prefix}weight"), transfer)?;
        parameter(&mut self.beta, &format!("{prefix}bias"), transfer)?;
        running(&mut self.running_mean, &format!("{prefix}running_mean"), transfer)?;
        running(&mut self.running_var, &format!("{prefix}running_var"), transfer)
    }
}
