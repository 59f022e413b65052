//! Low-rank adapters (`LoRA`) on the activation side: y = Wx + b + (α/r)·B(Ax) (docs/model-spec.md §4).
//!
//! burn's own adapter multiplies B·A to a dense matrix at every step. At the paper's rank of 128, its cost is several
//! times the cost of training all weights. It also draws A from another distribution. Specola therefore has its own
//! adapter; the test compares it with burn's.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Tensor};

use super::mlp::Mlp;
use super::state_dict::{StateDict, Transfer, transposed};
use crate::nn::weights::WeightsError;

/// Configuration of the adapters of an [`Mlp`].
#[derive(Config, Debug)]
pub struct LoraConfig {
    /// Rank r.
    #[config(default = 128)]
    pub rank: usize,
    /// Scale α; the factor of the adapters is α/r.
    #[config(default = 256.0)]
    pub alpha: f64,
    /// Whether the output layer also has an adapter. The paper's parameter count implies that it has none.
    #[config(default = false)]
    pub output_layer: bool,
}

/// Adapters for the linear layers of an [`Mlp`].
#[derive(Module, Debug)]
pub struct Lora {
    adapters: Vec<LowRankPair>,
    scale: f64,
}

#[derive(Module, Debug)]
struct LowRankPair {
    a: Param<Tensor<2>>,
    b: Param<Tensor<2>>,
    position: usize,
}

impl LoraConfig {
    /// Adapters with A ~ U(±1/√in) and B = 0: the initial adapted network equals the base.
    pub fn init(&self, base: &Mlp, device: &Device) -> Lora {
        let widths = base.widths();
        let pairs = widths.windows(2).enumerate();
        let n_adapters = if self.output_layer { pairs.len() } else { pairs.len().saturating_sub(1) };
        let adapters = pairs.take(n_adapters).map(|(i, w)| {
            let bound = (w[0] as f64).sqrt().recip();
            LowRankPair {
                a: Initializer::Uniform { min: -bound, max: bound }.init([w[0], self.rank], device),
                b: Initializer::Zeros.init([self.rank, w[1]], device),
                position: base.position(i),
            }
        });
        Lora { adapters: adapters.collect(), scale: self.alpha / self.rank.max(1) as f64 }
    }
}

impl Lora {
    /// Forward pass of the adapted network. Freeze `base` and its statistics while training the adapters.
    ///
    /// # Shapes
    /// `[batch, base's input]` → `[batch, base's output]`
    pub fn forward(&self, base: &Mlp, x: Tensor<2>) -> Tensor<2> {
        self.forward_from_first(base, x, None)
    }

    /// Forward pass with the cached output of the base's first layer ([`Mlp::first`]), which never changes.
    ///
    /// # Shapes
    /// `[batch, base's input]`, `[batch, base's first hidden]` → `[batch, base's output]`
    pub fn forward_from_first(&self, base: &Mlp, x: Tensor<2>, first: Option<Tensor<2>>) -> Tensor<2> {
        base.forward_with(x, |i, layer, x| {
            let y = first.clone().filter(|_| i == 0).unwrap_or_else(|| layer.forward(x.clone()));
            match self.adapters.get(i) {
                Some(adapter) => y + x.matmul(adapter.a.val()).matmul(adapter.b.val()) * self.scale,
                None => y,
            }
        })
    }
}

impl Lora {
    /// The adapted network with its adapters merged into the weights.
    pub fn merge(&self, base: &Mlp) -> Mlp {
        base.clone().with_weights(|i, weight| match self.adapters.get(i) {
            Some(adapter) => weight + adapter.a.val().matmul(adapter.b.val()) * self.scale,
            None => weight,
        })
    }
}

impl StateDict for Lora {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        for adapter in &mut self.adapters {
            let layer_prefix = format!("{prefix}network.{}.", adapter.position);
            transposed(&mut adapter.a, &format!("{layer_prefix}lora_A"), transfer)?;
            transposed(&mut adapter.b, &format!("{layer_prefix}lora_B"), transfer)?;
        }
        Ok(())
    }
}
