//! Cross-attention of one learned query over all tokens, as in `PyTorch`'s `nn.MultiheadAttention`: logits scaled once.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};

use super::state_dict::{StateDict, Transfer, parameter, transposed};
use crate::nn::weights::WeightsError;

/// Configuration of a [`CrossAttention`].
#[derive(Config, Debug)]
pub struct CrossAttentionConfig {
    /// Width of a token.
    pub token_width: usize,
    /// Width of the query and of the output.
    pub width: usize,
    /// Number of heads; it divides the width.
    pub heads: usize,
}

/// Attention of a learned query over tokens, then `LayerNorm`; no residual from the query.
#[derive(Module, Debug)]
pub struct CrossAttention {
    query: Param<Tensor<3>>,
    projections: Projections,
    bias: Param<Tensor<1>>,
    out_proj: Linear,
    layernorm: LayerNorm,
    heads: usize,
}

/// Projection matrices of query, key and value, as `PyTorch` stores them: one matrix if the token is as wide as the
/// query, otherwise three.
#[derive(Module, Debug)]
enum Projections {
    Packed(Param<Tensor<2>>),
    Separate(SeparateProjections),
}

#[derive(Module, Debug)]
struct SeparateProjections {
    q: Param<Tensor<2>>,
    k: Param<Tensor<2>>,
    v: Param<Tensor<2>>,
}

impl CrossAttentionConfig {
    /// Xavier-uniform projections and a query drawn from a normal distribution.
    pub fn init(&self, device: &Device) -> CrossAttention {
        let (token, width) = (self.token_width, self.width);
        let xavier = Initializer::XavierUniform { gain: 1.0 };
        let matrix = |input, output| xavier.init_with([input, output], Some(input), Some(output), device);
        let projections = if token == width {
            Projections::Packed(matrix(width, 3 * width))
        } else {
            Projections::Separate(SeparateProjections {
                q: matrix(width, width),
                k: matrix(token, width),
                v: matrix(token, width),
            })
        };
        CrossAttention {
            query: Initializer::Normal { mean: 0.0, std: 1.0 }.init([1, 1, width], device),
            projections,
            bias: Initializer::Zeros.init([3 * width], device),
            out_proj: LinearConfig::new(width, width).init(device),
            layernorm: LayerNormConfig::new(width).init(device),
            heads: self.heads.max(1),
        }
    }
}

impl CrossAttention {
    /// Output of the attention after its `LayerNorm`.
    ///
    /// # Shapes
    /// `[batch, tokens, token_width]` → `[batch, width]`
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<2> {
        self.layernorm.forward(self.attend(tokens))
    }

    /// Output of the attention before its `LayerNorm`.
    ///
    /// # Shapes
    /// `[batch, tokens, token_width]` → `[batch, width]`
    pub fn attend(&self, tokens: Tensor<3>) -> Tensor<2> {
        let [batch, n, _] = tokens.dims();
        let [_, _, width] = self.query.lazy_shape().dims();
        let (depth, heads) = (width / self.heads, self.heads);
        let part = |matrix: &Param<Tensor<2>>, i: usize| matrix.val().narrow(1, i * width, width);
        let [q, k, v] = match &self.projections {
            Projections::Packed(packed) => [part(packed, 0), part(packed, 1), part(packed, 2)],
            Projections::Separate(separate) => [separate.q.val(), separate.k.val(), separate.v.val()],
        };
        let bias = |i: usize| self.bias.val().narrow(0, i * width, width).reshape([1, 1, width]);
        let split = |t: Tensor<3>, n: usize, batch: usize| t.reshape([batch, n, heads, depth]).swap_dims(1, 2);
        let q = split(self.query.val().matmul(q.unsqueeze_dim(0)) + bias(0), 1, 1) * (depth as f64).sqrt().recip();
        let k = split(tokens.clone().matmul(k.unsqueeze_dim(0)) + bias(1), n, batch);
        let v = split(tokens.matmul(v.unsqueeze_dim(0)) + bias(2), n, batch);
        let q = q.expand([batch, heads, 1, depth]);
        let attended = softmax(q.matmul(k.swap_dims(2, 3)), 3).matmul(v);
        self.out_proj.forward(attended.reshape([batch, width]))
    }
}

impl StateDict for CrossAttention {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        parameter(&mut self.query, &format!("{prefix}query"), transfer)?;
        let attention_prefix = format!("{prefix}multihead_attn.");
        match &mut self.projections {
            Projections::Packed(packed) => transposed(packed, &format!("{attention_prefix}in_proj_weight"), transfer)?,
            Projections::Separate(separate) => {
                transposed(&mut separate.q, &format!("{attention_prefix}q_proj_weight"), transfer)?;
                transposed(&mut separate.k, &format!("{attention_prefix}k_proj_weight"), transfer)?;
                transposed(&mut separate.v, &format!("{attention_prefix}v_proj_weight"), transfer)?;
            }
        }
        parameter(&mut self.bias, &format!("{attention_prefix}in_proj_bias"), transfer)?;
        self.out_proj.exchange(&format!("{attention_prefix}out_proj."), transfer)?;
        self.layernorm.exchange(&format!("{prefix}layernorm."), transfer)
    }
}
