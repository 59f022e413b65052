//! Self-attention of the published masked transformers, with its logits scaled twice.

use burn::config::Config;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};

use super::linear;
use super::state_dict::{StateDict, Transfer};
#[cfg(feature = "token-parallel")]
use super::token_parallel::{PartnerError, TokenHalf};
use crate::nn::weights::WeightsError;

/// Number of divisions of the logits q·k by √D, where D is the width of a head.
///
/// The published code scales the query explicitly and then calls a function that scales again. The released weights
/// were trained with both scalings (docs/model-spec.md §0.1). Do not "correct" it.
const SCALINGS: i32 = 2;

/// Configuration of a [`SelfAttention`].
#[derive(Config, Debug)]
pub struct SelfAttentionConfig {
    /// Width of a token.
    pub width: usize,
    /// Number of heads; it divides the width.
    pub heads: usize,
    /// Standard deviation of the initial weights.
    pub std: f64,
}

/// Multi-head self-attention without a mask: q, a joint k|v projection, softmax(q·k / D) v, output projection.
#[derive(Module, Debug)]
pub struct SelfAttention {
    q_proj: Linear,
    kv_proj: Linear,
    out_proj: Linear,
    heads: usize,
}

impl SelfAttentionConfig {
    /// A layer with normally distributed initial weights and zero bias.
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
    /// Attention of all tokens to all tokens.
    ///
    /// # Shapes
    /// `[batch, tokens, width]` → `[batch, tokens, width]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let kv = self.kv_proj.forward(x.clone());
        self.attend(self.queries(x), kv)
    }

    /// Attention of the tokens of one half to the tokens of both halves; the partner has `others` tokens.
    ///
    /// # Shapes
    /// `[batch, tokens of this half, width]` → `[batch, tokens of this half, width]`
    #[cfg(feature = "token-parallel")]
    pub fn forward_half(&self, x: Tensor<3>, others: usize, half: &TokenHalf) -> Result<Tensor<3>, PartnerError> {
        let kv = self.kv_proj.forward(x.clone());
        half.send(&kv)?;
        // A slower partner catches up during this computation.
        let q = self.queries(x);
        Ok(self.attend(q, half.gather(kv, others)?))
    }

    /// `[batch, tokens, width]` → `[batch, heads, tokens, depth]`
    fn split(&self, t: Tensor<3>) -> Tensor<4> {
        let [batch, tokens, width] = t.dims();
        t.reshape([batch, tokens, self.heads, width / self.heads]).swap_dims(1, 2)
    }

    /// `[batch, tokens, width]` → `[batch, heads, tokens, depth]`, scaled.
    fn queries(&self, x: Tensor<3>) -> Tensor<4> {
        let q = self.split(self.q_proj.forward(x));
        let depth = q.dims()[3];
        q * (depth as f64).powf(-0.5 * f64::from(SCALINGS))
    }

    /// Queries `[batch, heads, tokens, depth]`, keys and values `[batch, all tokens, 2 · width]`
    /// → `[batch, tokens, width]`
    fn attend(&self, q: Tensor<4>, kv: Tensor<3>) -> Tensor<3> {
        let [batch, heads, tokens, depth] = q.dims();
        let width = heads * depth;
        let k = self.split(kv.clone().narrow(2, 0, width));
        let v = self.split(kv.narrow(2, width, width));
        let attended = softmax(q.matmul(k.swap_dims(2, 3)), 3).matmul(v);
        self.out_proj.forward(attended.swap_dims(1, 2).reshape([batch, tokens, width]))
    }
}

impl StateDict for SelfAttention {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        self.q_proj.exchange(&format!("{prefix}q_proj."), transfer)?;
        self.kv_proj.exchange(&format!("{prefix}kv_proj."), transfer)?;
        self.out_proj.exchange(&format!("{prefix}out_proj."), transfer)
    }
}
