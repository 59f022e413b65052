//! Batch normalisation as in `PyTorch`.
//!
//! burn updates the running variance with the biased variance of a batch, `PyTorch` with the unbiased variance. The
//! difference is small for a batch of 32 spectra and grows without bound towards a batch of 2. A network fine-tuned
//! with burn's layer would therefore differ from `PyTorch`'s.

use burn::config::Config;
use burn::module::{Module, Param, RunningState};
use burn::tensor::{Device, Tensor};

use super::state_dict::{StateDict, Transfer, parameter, running_statistics};
use crate::nn::weights::WeightsError;

/// Configuration of a [`BatchNorm`].
#[derive(Config, Debug)]
pub struct BatchNormConfig {
    /// Number of features.
    pub features: usize,
    /// Term added to the variance, which avoids a division by zero.
    #[config(default = 1e-5)]
    pub epsilon: f64,
    /// Weight of the newest batch in the running statistics.
    #[config(default = 0.1)]
    pub momentum: f64,
}

/// Batch normalisation: standardises each feature, then scales and shifts it.
///
/// Training uses the statistics of the batch, prediction the running statistics.
#[derive(Module, Debug)]
pub struct BatchNorm {
    gamma: Param<Tensor<1>>,
    beta: Param<Tensor<1>>,
    running_mean: RunningState<Tensor<1>>,
    running_var: RunningState<Tensor<1>>,
    /// Whether a forward pass on an autodiff device uses the batch statistics and updates the running statistics.
    /// False in the frozen base of an adapter.
    pub uses_batch_statistics: bool,
    epsilon: f64,
    momentum: f64,
}

impl BatchNormConfig {
    /// A layer with scale 1, shift 0, running mean 0 and running variance 1.
    pub fn init(&self, device: &Device) -> BatchNorm {
        BatchNorm {
            gamma: Param::from_tensor(Tensor::ones([self.features], device)),
            beta: Param::from_tensor(Tensor::zeros([self.features], device)),
            running_mean: RunningState::new(Tensor::zeros([self.features], device)),
            running_var: RunningState::new(Tensor::ones([self.features], device)),
            uses_batch_statistics: true,
            epsilon: self.epsilon,
            momentum: self.momentum,
        }
    }
}

impl BatchNorm {
    /// Normalises a batch.
    ///
    /// # Shapes
    /// `[batch, features]` → `[batch, features]`; while training the batch has at least 2 rows.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let device = x.device();
        let (mean, var) = if device.is_autodiff() && self.uses_batch_statistics {
            let mean = x.clone().mean_dim(0);
            let var = x.clone().var_bias(0);
            let n = x.dims()[0] as f64;
            let unbiased = var.clone().detach().squeeze_dim::<1>(0) * (n / (n - 1.0).max(1.0));
            self.update_running(&self.running_mean, mean.clone().detach().squeeze_dim(0));
            self.update_running(&self.running_var, unbiased);
            (mean, var)
        } else {
            let as_row = |state: &RunningState<Tensor<1>>| state.value().to_device(&device).unsqueeze_dim(0);
            (as_row(&self.running_mean), as_row(&self.running_var))
        };
        let standardised = (x - mean) / (var + self.epsilon).sqrt();
        standardised * self.gamma.val().unsqueeze_dim(0) + self.beta.val().unsqueeze_dim(0)
    }

    /// Derivative of the output with respect to the input, with the running statistics of prediction.
    ///
    /// # Shapes
    /// `[1, features]`
    pub fn gradient(&self) -> Tensor<2> {
        let gamma = self.gamma.val();
        let var = self.running_var.value().to_device(&gamma.device());
        (gamma / (var + self.epsilon).sqrt()).unsqueeze_dim(0)
    }

    fn update_running(&self, state: &RunningState<Tensor<1>>, batch: Tensor<1>) {
        let old = state.value_sync().to_device(&batch.device());
        state.update((old * (1.0 - self.momentum) + batch * self.momentum).detach());
    }
}

impl StateDict for BatchNorm {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        parameter(&mut self.gamma, &format!("{prefix}weight"), transfer)?;
        parameter(&mut self.beta, &format!("{prefix}bias"), transfer)?;
        running_statistics(&mut self.running_mean, &format!("{prefix}running_mean"), transfer)?;
        running_statistics(&mut self.running_var, &format!("{prefix}running_var"), transfer)
    }
}
