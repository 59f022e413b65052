//! Self-attention of the published masked transformers, scaled twice.

use burn::config::Config;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};

use super::half::{Half, PartnerError};
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
        let kv = self.kv_proj.forward(x.clone());
        self.attend(self.queries(x), kv)
    }

    /// The same for the tokens of one half, which attend to those of both: `others` are the partner's.
    ///
    /// # Shapes
    /// `[batch, tokens of this half, width]` → the same
    pub fn forward_half(&self, x: Tensor<3>, others: usize, half: &Half) -> Result<Tensor<3>, PartnerError> {
        let kv = self.kv_proj.forward(x.clone());
        half.give(&kv)?;
        // A partner that is a little later has meanwhile got as far.
        let q = self.queries(x);
        Ok(self.attend(q, half.whole(kv, others)?))
    }

    /// `[batch, tokens, width]` → `[batch, heads, tokens, depth]`
    fn split(&self, t: Tensor<3>) -> Tensor<4> {
        let [batch, tokens, width] = t.dims();
        t.reshape([batch, tokens, self.heads, width / self.heads]).swap_dims(1, 2)
    }

    /// `[batch, tokens, width]` → `[batch, heads, tokens, depth]`, scaled
    fn queries(&self, x: Tensor<3>) -> Tensor<4> {
        let q = self.split(self.q_proj.forward(x));
        let depth = q.dims()[3];
        q * (depth as f64).powf(-0.5 * f64::from(SCALINGS))
    }

    /// Queries `[batch, heads, tokens, depth]` on keys and values `[batch, all tokens, 2 · width]` → `[batch, tokens, width]`
    fn attend(&self, q: Tensor<4>, kv: Tensor<3>) -> Tensor<3> {
        let [batch, heads, tokens, depth] = q.dims();
        let width = heads * depth;
        let k = self.split(kv.clone().narrow(2, 0, width));
        let v = self.split(kv.narrow(2, width, width));
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
