//! The masked transformers of both surveys (MODEL_SPEC §2.1 and §2.3).

use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, Initializer, LayerNorm, LayerNormConfig, Linear};
use burn::tensor::{Device, Tensor};

use super::gelu::gelu;
use super::keyed::{Keyed, Transfer, parameter};
use super::linear;
use super::self_attention::{SelfAttention, SelfAttentionConfig};
use super::tokens::{SliceConfig, TokensConfig};
use crate::model::weights::WeightsError;

/// Configuration of a [`MaskedTransformer`]; the fields are the checkpoints' hyper-parameters.
#[derive(Config, Debug)]
pub struct MaskedTransformerConfig {
    /// How a spectrum becomes tokens.
    pub tokens: TokensConfig,
    /// Width of the residual stream, and of the embedding.
    #[config(default = 768)]
    pub embed_dim: usize,
    /// Number of blocks.
    #[config(default = 6)]
    pub num_layers: usize,
    /// Attention heads a block.
    #[config(default = 6)]
    pub num_heads: usize,
    /// Learned positions; at least the number of tokens.
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

    /// The reference's first weights (normal, narrower with depth).
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

/// Tokens → learned embedding and position → pre-norm blocks → final LayerNorm.
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
        let h = h.clone() + self.attention.forward(self.ln1.forward(h));
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

    /// Embedding of every token, also of a spectrum that has more tokens than there are positions (cut off).
    ///
    /// # Shapes
    /// `[batch, tokens, token width]` → `[batch, tokens, embed_dim]`
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [batch, n, width] = tokens.dims();
        let n = n.min(self.position_embed.lazy_shape().dims::<2>()[0]);
        let tokens = tokens.slice([0..batch, 0..n, 0..width]);
        let positions = self.position_embed.val().narrow(0, 0, n).unsqueeze_dim::<3>(0);
        let h = self.dropout.forward(self.data_embed.forward(tokens) + positions);
        let h = self.blocks.iter().fold(h, |h, block| block.forward(h));
        self.final_layernorm.forward(h)
    }

    /// The embedding for downstream use: the mean over all tokens, the special one included.
    ///
    /// # Shapes
    /// `[batch, pixels]` → `[batch, embed_dim]`
    pub fn embed(&self, x: Tensor<2>) -> Tensor<2> {
        self.forward(self.tokens(x)).mean_dim(1).squeeze_dim(1)
    }

    /// Tokens rebuilt from their embeddings: what masked training compares.
    ///
    /// # Shapes
    /// `[batch, tokens, embed_dim]` → `[batch, tokens, token width]`
    pub fn reconstruct(&self, embedding: Tensor<3>) -> Tensor<3> {
        self.head.forward(embedding)
    }
}

impl Keyed for MaskedTransformer {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        self.data_embed.exchange(&format!("{prefix}data_embed."), transfer)?;
        parameter(&mut self.position_embed, &format!("{prefix}position_embed.weight"), transfer)?;
        for (i, block) in self.blocks.iter_mut().enumerate() {
            let at = format!("{prefix}blocks.{i}.");
            block.attention.exchange(&format!("{at}attention."), transfer)?;
            block.ln1.exchange(&format!("{at}ln1."), transfer)?;
            block.ln2.exchange(&format!("{at}ln2."), transfer)?;
            block.up.exchange(&format!("{at}mlp.0."), transfer)?;
            block.down.exchange(&format!("{at}mlp.2."), transfer)?;
        }
        self.final_layernorm.exchange(&format!("{prefix}final_layernorm."), transfer)?;
        self.head.exchange(&format!("{prefix}head."), transfer)
    }
}
