//! Self-attention of the published masked transformers, scaled twice.

use burn::config::Config;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};

use super::keyed::{Keyed, Transfer};
use super::linear;
use crate::model::weights::WeightsError;

/// How often the logits q·k are divided by √D. The published code scales the query by hand and then calls a function
/// that scales again, and the released weights were made with that (MODEL_SPEC §0.1). Do not "mend" it.
const SCALINGS: i32 = 2;

/// Configuration of a [`SelfAttention`].
#[derive(Config, Debug)]
pub struct SelfAttentionConfig {
    /// Width of a token.
    pub width: usize,
    /// Number of heads; it divides the width.
    pub heads: usize,
    /// Standard deviation of the first weights.
    pub std: f64,
}

/// Multi-head self-attention without mask: q and a joint k|v projection, softmax(q·k / D) v, output projection.
#[derive(Module, Debug)]
pub struct SelfAttention {
    q_proj: Linear,
    kv_proj: Linear,
    out_proj: Linear,
    heads: usize,
}

impl SelfAttentionConfig {
    /// Normal weights, no bias.
    pub fn init(&self, device: &Device) -> SelfAttention {
        SelfAttention {
            q_proj: linear(self.width, self.width, self.std, device),
            kv_proj: linear(self.width, 2 * self.width, self.std, device),
            out_proj: linear(self.width, self.width, self.std, device),
            heads: self.heads.max(1),
        }
    }
}

impl SelfAttention {
    /// # Shapes
    /// `[batch, tokens, width]` → the same
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, width] = x.dims();
        let depth = width / self.heads;
        let split = |t: Tensor<3>| t.reshape([batch, tokens, self.heads, depth]).swap_dims(1, 2);
        let q = split(self.q_proj.forward(x.clone())) * (depth as f64).powf(-0.5 * f64::from(SCALINGS));
        let kv = self.kv_proj.forward(x);
        let k = split(kv.clone().narrow(2, 0, width));
        let v = split(kv.narrow(2, width, width));
        let attended = softmax(q.matmul(k.swap_dims(2, 3)), 3).matmul(v);
        self.out_proj.forward(attended.swap_dims(1, 2).reshape([batch, tokens, width]))
    }
}

impl Keyed for SelfAttention {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        self.q_proj.exchange(&format!("{prefix}q_proj."), transfer)?;
        self.kv_proj.exchange(&format!("{prefix}kv_proj."), transfer)?;
        self.out_proj.exchange(&format!("{prefix}out_proj."), transfer)
    }
}
