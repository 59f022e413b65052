//! The masked transformers of both surveys (docs/model-spec.md §2.1 and §2.3).

use std::ops::Range;

use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, Initializer, LayerNorm, LayerNormConfig, Linear};
use burn::tensor::{Device, Tensor};

use super::gelu::gelu;
use super::linear;
use super::self_attention::{SelfAttention, SelfAttentionConfig};
use super::state_dict::{StateDict, Transfer, parameter};
#[cfg(feature = "token-parallel")]
use super::token_parallel::{PartnerError, TokenHalf};
use super::tokens::{SliceConfig, TokensConfig};
use crate::nn::weights::WeightsError;

/// Configuration of a [`MaskedTransformer`]; its fields are the hyper-parameters of the checkpoints.
#[derive(Config, Debug)]
pub struct MaskedTransformerConfig {
    /// Conversion of a spectrum to tokens.
    pub tokens: TokensConfig,
    /// Width of the residual stream, and of the embedding.
    #[config(default = 768)]
    pub embed_dim: usize,
    /// Number of blocks.
    #[config(default = 6)]
    pub num_layers: usize,
    /// Number of attention heads per block.
    #[config(default = 6)]
    pub num_heads: usize,
    /// Number of learned positions; at least the number of tokens.
    #[config(default = 150)]
    pub max_len: usize,
    /// Dropout on the embedded tokens, while training.
    #[config(default = 0.0)]
    pub dropout: f64,
}

impl MaskedTransformerConfig {
    /// The published LRS encoder: 42,677,013 parameters.
    pub fn lrs() -> Self {
        Self::new(TokensConfig::Slices(SliceConfig::new()))
    }

    /// The published XP encoder: 42,802,947 parameters.
    pub fn xp() -> Self {
        Self::new(TokensConfig::Pixels).with_max_len(350)
    }

    /// A network with the reference's initial weights: normal, with a smaller standard deviation in a deeper network.
    pub fn init(&self, device: &Device) -> MaskedTransformer {
        let (width, token) = (self.embed_dim, self.tokens.width());
        let embed_std = (width as f64).sqrt().recip();
        let block = |input: usize| (2.0 * input as f64 * self.num_layers as f64).sqrt().recip();
        let blocks = (0..self.num_layers).map(|_| Block {
            ln1: LayerNormConfig::new(width).init(device),
            attention: SelfAttentionConfig::new(width, self.num_heads, block(width)).init(device),
            ln2: LayerNormConfig::new(width).init(device),
            up: linear(width, 4 * width, block(width), device),
            down: linear(4 * width, width, block(4 * width), device),
        });
        MaskedTransformer {
            data_embed: linear(token, width, embed_std, device),
            position_embed: Initializer::Normal { mean: 0.0, std: embed_std }.init([self.max_len, width], device),
            dropout: DropoutConfig::new(self.dropout).init(),
            blocks: blocks.collect(),
            final_layernorm: LayerNormConfig::new(width).init(device),
            head: linear(width, token, embed_std, device),
            tokens: self.tokens.clone(),
        }
    }
}

/// Masked transformer: tokens → learned embedding and position → pre-norm blocks → final `LayerNorm`.
#[derive(Module, Debug)]
pub struct MaskedTransformer {
    data_embed: Linear,
    position_embed: Param<Tensor<2>>,
    dropout: Dropout,
    blocks: Vec<Block>,
    final_layernorm: LayerNorm,
    head: Linear,
    #[module(skip)]
    tokens: TokensConfig,
}

#[derive(Module, Debug)]
struct Block {
    ln1: LayerNorm,
    attention: SelfAttention,
    ln2: LayerNorm,
    up: Linear,
    down: Linear,
}

impl Block {
    fn forward(&self, h: Tensor<3>) -> Tensor<3> {
        self.feed_forward(h.clone() + self.attention.forward(self.ln1.forward(h)))
    }

    /// Forward pass of one block for the tokens of one half.
    #[cfg(feature = "token-parallel")]
    fn forward_half(&self, h: Tensor<3>, others: usize, half: &TokenHalf) -> Result<Tensor<3>, PartnerError> {
        Ok(self.feed_forward(h.clone() + self.attention.forward_half(self.ln1.forward(h), others, half)?))
    }

    fn feed_forward(&self, h: Tensor<3>) -> Tensor<3> {
        h.clone() + self.down.forward(gelu(self.up.forward(self.ln2.forward(h))))
    }
}

impl MaskedTransformer {
    /// The tokens of spectra, unmasked.
    ///
    /// # Shapes
    /// `[batch, pixels]` → `[batch, tokens, token width]`
    pub fn tokens(&self, x: Tensor<2>) -> Tensor<3> {
        self.tokens.forward(x)
    }

    /// Embedding of every token. Tokens beyond the number of learned positions are cut off.
    ///
    /// # Shapes
    /// `[batch, tokens, token width]` → `[batch, tokens, embed_dim]`
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let all = 0..self.positions(&tokens);
        let h = self.blocks.iter().fold(self.embed_tokens(tokens, all), |h, block| block.forward(h));
        self.final_layernorm.forward(h)
    }

    /// Number of tokens that have a learned position.
    fn positions(&self, tokens: &Tensor<3>) -> usize {
        tokens.dims()[1].min(self.position_embed.lazy_shape().dims::<2>()[0])
    }

    /// Input of the first block: the embedded tokens of a range, with their positions added.
    fn embed_tokens(&self, tokens: Tensor<3>, part: Range<usize>) -> Tensor<3> {
        let positions = self.position_embed.val().narrow(0, part.start, part.len()).unsqueeze_dim::<3>(0);
        let tokens = tokens.narrow(1, part.start, part.len());
        self.dropout.forward(self.data_embed.forward(tokens) + positions)
    }

    /// The embedding for other networks: the mean over all tokens, including the special token.
    ///
    /// # Shapes
    /// `[batch, pixels]` → `[batch, embed_dim]`
    pub fn embed(&self, x: Tensor<2>) -> Tensor<2> {
        self.forward(self.tokens(x)).mean_dim(1).squeeze_dim(1)
    }

    /// The same embedding, computed by two workers.
    ///
    /// Each worker calls this function at the same time on its own copy of the network; both obtain the result.
    ///
    /// # Shapes
    /// `[batch, pixels]` → `[batch, embed_dim]`
    #[cfg(feature = "token-parallel")]
    pub fn embed_half(&self, x: Tensor<2>, half: &TokenHalf) -> Result<Tensor<2>, PartnerError> {
        let tokens = self.tokens(x.clone());
        let n = self.positions(&tokens);
        if n < 2 {
            return Ok(self.embed(x));
        }
        let part = half.range(n);
        let others = n - part.len();
        let h = self.embed_tokens(tokens, part);
        let h = self.blocks.iter().try_fold(h, |h, block| block.forward_half(h, others, half))?;
        let sum = self.final_layernorm.forward(h).sum_dim(1);
        half.send(&sum)?;
        Ok((half.gather(sum, 1)?.sum_dim(1) / n as f64).squeeze_dim(1))
    }

    /// Tokens reconstructed from their embeddings; the loss of masked training compares them with the true tokens.
    ///
    /// # Shapes
    /// `[batch, tokens, embed_dim]` → `[batch, tokens, token width]`
    pub fn reconstruct(&self, embedding: Tensor<3>) -> Tensor<3> {
        self.head.forward(embedding)
    }
}

impl StateDict for MaskedTransformer {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        self.data_embed.exchange(&format!("{prefix}data_embed."), transfer)?;
        parameter(&mut self.position_embed, &format!("{prefix}position_embed.weight"), transfer)?;
        for (i, block) in self.blocks.iter_mut().enumerate() {
            let block_prefix = format!("{prefix}blocks.{i}.");
            block.attention.exchange(&format!("{block_prefix}attention."), transfer)?;
            block.ln1.exchange(&format!("{block_prefix}ln1."), transfer)?;
            block.ln2.exchange(&format!("{block_prefix}ln2."), transfer)?;
            block.up.exchange(&format!("{block_prefix}mlp.0."), transfer)?;
            block.down.exchange(&format!("{block_prefix}mlp.2."), transfer)?;
        }
        self.final_layernorm.exchange(&format!("{prefix}final_layernorm."), transfer)?;
        self.head.exchange(&format!("{prefix}head."), transfer)
    }
}
