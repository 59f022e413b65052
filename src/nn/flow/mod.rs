//! Normalising flows: the density of labels θ given an embedding x (docs/model-spec.md §3.4).
//!
//! log q(θ|x) = log N(z; 0, I) + Σ log|det|. The flow standardises θ and transforms it into z by masked affine
//! transforms (MAF) or rational-quadratic splines (NSF). The standardised x sets the shapes of the transforms.

use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};

use super::state_dict::{StateDict, Transfer, buffer};
use crate::nn::weights::WeightsError;

mod coupling;
mod lu;
mod maf;
mod noise;
mod permutation;
mod spline;

use coupling::Coupling;
use lu::LuLinear;
use maf::MaskedAffine;
pub use noise::standard_normal;
use permutation::Permutation;

/// Kind of flow.
#[derive(Config, Debug, PartialEq, Copy)]
pub enum FlowKind {
    /// Masked autoregressive flow.
    Maf,
    /// Neural spline flow.
    Nsf,
}

/// Configuration of a [`Flow`].
#[derive(Config, Debug)]
pub struct FlowConfig {
    /// Kind of flow.
    pub kind: FlowKind,
    /// Number of labels.
    pub features: usize,
    /// Width of the embedding.
    pub context: usize,
    /// Width of the hidden layers.
    #[config(default = 60)]
    pub hidden: usize,
    /// Number of transforms.
    #[config(default = 2)]
    pub transforms: usize,
}

/// A conditional normalising flow.
#[derive(Module, Debug)]
pub struct Flow {
    context_mean: Tensor<1>,
    context_std: Tensor<1>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    steps: Vec<Step>,
}

#[derive(Module, Debug)]
// Few of these exist at a time; a `Box` would only add an indirection.
#[allow(clippy::large_enum_variant, reason = "a network is loaded once and not moved in a hot loop")]
enum Step {
    Affine(MaskedAffine),
    Permutation(Permutation),
    Coupling(Coupling),
    Lu(LuLinear),
}

impl FlowConfig {
    /// A flow with burn's initial weights and without standardisation.
    pub fn init(&self, device: &Device) -> Flow {
        let steps = (0..self.transforms).flat_map(|i| match self.kind {
            FlowKind::Maf => vec![
                Step::Affine(MaskedAffine::new(self.features, self.context, self.hidden, device)),
                Step::Permutation(Permutation::reversed(self.features)),
            ],
            FlowKind::Nsf => {
                let coupling = Step::Coupling(Coupling::new(i, self.features, self.context, self.hidden, device));
                let lu = (self.features > 1).then(|| Step::Lu(LuLinear::new(self.features, device)));
                [coupling].into_iter().chain(lu).collect()
            }
        });
        Flow {
            context_mean: Tensor::zeros([self.context], device),
            context_std: Tensor::ones([self.context], device),
            scale: Tensor::ones([self.features], device),
            shift: Tensor::zeros([self.features], device),
            steps: steps.collect(),
        }
    }
}

impl Flow {
    /// Sets mean and standard deviation (unbiased) of embedding and labels, measured on the training set.
    ///
    /// # Shapes
    /// `[context]` twice, `[features]` twice
    pub fn with_standardisation(
        mut self,
        [context_mean, context_std]: [Tensor<1>; 2],
        [theta_mean, theta_std]: [Tensor<1>; 2],
    ) -> Self {
        (self.context_mean, self.context_std) = (context_mean, context_std);
        self.scale = theta_std.recip();
        self.shift = -theta_mean * self.scale.clone();
        self
    }

    /// The standardised embedding.
    ///
    /// # Shapes
    /// `[n, context]` → the same
    pub fn embed_context(&self, x: Tensor<2>) -> Tensor<2> {
        (x - self.context_mean.clone().unsqueeze_dim(0)) / self.context_std.clone().unsqueeze_dim(0)
    }

    /// Noise z that corresponds to labels θ, and log|det ∂z/∂θ|.
    ///
    /// # Shapes
    /// `[n, features]`, `[n, context]` → `[n, features]`, `[n]`
    pub fn noise(&self, theta: Tensor<2>, x: Tensor<2>) -> (Tensor<2>, Tensor<1>) {
        let context = self.embed_context(x);
        let n = theta.dims()[0];
        let y = theta * self.scale.clone().unsqueeze_dim(0) + self.shift.clone().unsqueeze_dim(0);
        let log_det = self.scale.clone().abs().log().sum().expand([n]);
        self.steps.iter().fold((y, log_det), |(y, log_det), step| {
            let (y, step_log_det) = match step {
                Step::Affine(step) => step.forward(y, context.clone()),
                Step::Permutation(step) => (step.forward(y), None),
                Step::Coupling(step) => step.forward(y, context.clone()),
                Step::Lu(step) => step.forward(y),
            };
            (y, step_log_det.map_or(log_det.clone(), |step_log_det| log_det + step_log_det))
        })
    }

    /// Labels θ that correspond to noise z, and log|det ∂θ/∂z|.
    ///
    /// # Shapes
    /// `[n, features]`, `[n, context]` (or `[1, context]` for all rows) → `[n, features]`, `[n]`
    pub fn inverse(&self, z: Tensor<2>, x: Tensor<2>) -> (Tensor<2>, Tensor<1>) {
        let context = self.embed_context(x);
        let n = z.dims()[0];
        let log_det = -self.scale.clone().abs().log().sum().expand([n]);
        let (y, log_det) = self.steps.iter().rev().fold((z, log_det), |(z, log_det), step| {
            let (z, step_log_det) = match step {
                Step::Affine(step) => step.inverse(z, context.clone()),
                Step::Permutation(step) => (step.inverse(z), None),
                Step::Coupling(step) => step.inverse(z, context.clone()),
                Step::Lu(step) => step.inverse(z),
            };
            (z, step_log_det.map_or(log_det.clone(), |step_log_det| log_det + step_log_det))
        });
        ((y - self.shift.clone().unsqueeze_dim(0)) / self.scale.clone().unsqueeze_dim(0), log_det)
    }

    /// Log-density of labels θ given embeddings x.
    ///
    /// # Shapes
    /// `[n, features]`, `[n, context]` → `[n]`
    pub fn log_prob(&self, theta: Tensor<2>, x: Tensor<2>) -> Tensor<1> {
        let (z, log_det) = self.noise(theta, x);
        let features = z.dims()[1] as f64;
        let square = z.powi_scalar(2).sum_dim(1).squeeze_dim::<1>(1);
        square * -0.5 + log_det - 0.5 * features * std::f64::consts::TAU.ln()
    }

    /// `n` draws of the labels given one embedding. Seed the device before the call for reproducible draws.
    ///
    /// # Shapes
    /// `[1, context]` → `[n, features]`
    pub fn sample(&self, x: Tensor<2>, n: usize) -> Tensor<2> {
        let z = Tensor::random([n, self.features()], Distribution::Normal(0.0, 1.0), &x.device());
        self.inverse(z, x).0
    }

    /// Number of labels.
    pub fn features(&self) -> usize {
        self.scale.dims()[0]
    }

    /// Width of the embedding.
    pub fn context(&self) -> usize {
        self.context_mean.dims()[0]
    }
}

impl StateDict for Flow {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        buffer(&mut self.context_mean, &format!("{prefix}_embedding_net.0._mean"), transfer)?;
        buffer(&mut self.context_std, &format!("{prefix}_embedding_net.0._std"), transfer)?;
        let transform_prefix = format!("{prefix}_transform._transforms.");
        buffer(&mut self.scale, &format!("{transform_prefix}0._scale"), transfer)?;
        buffer(&mut self.shift, &format!("{transform_prefix}0._shift"), transfer)?;
        for (i, step) in self.steps.iter_mut().enumerate() {
            let transform_prefix = format!("{transform_prefix}{}.", i + 1);
            match step {
                Step::Affine(step) => step.exchange(&transform_prefix, transfer)?,
                Step::Permutation(step) => step.exchange(&transform_prefix, transfer)?,
                Step::Coupling(step) => step.exchange(&transform_prefix, transfer)?,
                Step::Lu(step) => step.exchange(&transform_prefix, transfer)?,
            }
        }
        Ok(())
    }
}
