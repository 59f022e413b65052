//! Low-rank adapters on the activation side: y = Wx + b + (α/r)·B(Ax) (MODEL_SPEC §4).
//!
//! burn's own adapter multiplies B·A out to a dense matrix at every step, which at the paper's rank 128 costs several
//! times the work of training everything, and it draws A from another distribution. So this is ours, and burn's is the
//! oracle in its test.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Tensor};

use super::keyed::{Keyed, Transfer, turned};
use super::mlp::Mlp;
use crate::model::weights::WeightsError;

/// Configuration of the adapters of an [`Mlp`].
#[derive(Config, Debug)]
pub struct LoraConfig {
    /// Rank r.
    #[config(default = 128)]
    pub rank: usize,
    /// α; the adapters are scaled by α/r.
    #[config(default = 256.0)]
    pub alpha: f64,
    /// Whether the output layer has an adapter too; the paper's count of parameters says no.
    #[config(default = false)]
    pub output_layer: bool,
}

/// Adapters for the linear layers of an [`Mlp`].
#[derive(Module, Debug)]
pub struct Lora {
    adapters: Vec<Adapter>,
    scale: f64,
}

#[derive(Module, Debug)]
struct Adapter {
    a: Param<Tensor<2>>,
    b: Param<Tensor<2>>,
    position: usize,
}

impl LoraConfig {
    /// A ~ U(±1/√in) and B = 0: at first the adapted network is the base.
    pub fn init(&self, base: &Mlp, device: &Device) -> Lora {
        let widths = base.widths();
        let pairs = widths.windows(2).enumerate();
        let adapted = if self.output_layer { pairs.len() } else { pairs.len().saturating_sub(1) };
        let adapters = pairs.take(adapted).map(|(i, w)| {
            let bound = (w[0] as f64).sqrt().recip();
            Adapter {
                a: Initializer::Uniform { min: -bound, max: bound }.init([w[0], self.rank], device),
                b: Initializer::Zeros.init([self.rank, w[1]], device),
                position: base.position(i),
            }
        });
        Lora { adapters: adapters.collect(), scale: self.alpha / self.rank.max(1) as f64 }
    }
}

impl Lora {
    /// The adapted network. Freeze `base` (and its statistics) while training the adapters.
    ///
    /// # Shapes
    /// `[batch, base's input]` → `[batch, base's output]`
    pub fn forward(&self, base: &Mlp, x: Tensor<2>) -> Tensor<2> {
        self.forward_past(base, x, None)
    }

    /// The same where what the base's first layer alone makes of `x` is known ([`Mlp::first`]): it never changes.
    ///
    /// # Shapes
    /// `[batch, base's input]`, `[batch, base's first hidden]` → `[batch, base's output]`
    pub fn forward_past(&self, base: &Mlp, x: Tensor<2>, first: Option<Tensor<2>>) -> Tensor<2> {
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
    /// The adapted network as one without adapters.
    pub fn merged(&self, base: &Mlp) -> Mlp {
        base.clone().with_weights(|i, weight| match self.adapters.get(i) {
            Some(adapter) => weight + adapter.a.val().matmul(adapter.b.val()) * self.scale,
            None => weight,
        })
    }
}

impl Keyed for Lora {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        for adapter in &mut self.adapters {
            let at = format!("{prefix}network.{}.", adapter.position);
            turned(&mut adapter.a, &format!("{at}lora_A"), transfer)?;
            turned(&mut adapter.b, &format!("{at}lora_B"), transfer)?;
        }
        Ok(())
    }
}
