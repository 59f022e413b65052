//! CLIP projection heads: from an encoder's output to the space that both surveys share (docs/model-spec.md §2.4).
//!
//! base and pr have one branch. split has two, shared and private; the embedding concatenates them in this order.

use burn::config::Config;
use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::cross_attention::{CrossAttention, CrossAttentionConfig};
use super::gelu::gelu;
use super::state_dict::{StateDict, Transfer};
use crate::nn::weights::WeightsError;

/// Prefix of the parameter names of each branch: one branch in base and pr, two in split.
fn branch_names(branches: usize) -> &'static [&'static str] {
    if branches == 1 { &[""] } else { &["shared_", "private_"] }
}

/// Configuration of an [`LrsProjection`].
#[derive(Config, Debug)]
pub struct LrsProjectionConfig {
    /// Width of the encoder's tokens.
    pub token_width: usize,
    /// Width of each branch: `[768]`, or `[512, 256]` for split.
    pub widths: Vec<usize>,
    /// Number of attention heads of each branch: `[4]`, or `[4, 2]` for split.
    pub heads: Vec<usize>,
}

/// LRS projection head: a learned query attends to all tokens, then a residual MLP follows.
#[derive(Module, Debug)]
pub struct LrsProjection {
    branches: Vec<LrsBranch>,
}

#[derive(Module, Debug)]
struct LrsBranch {
    attention: CrossAttention,
    mlp: FeedForward,
}

impl LrsProjectionConfig {
    /// The head of base and pr: 7,087,104 parameters.
    pub fn base() -> Self {
        Self::new(768, vec![768], vec![4])
    }

    /// The head of split: 4,465,664 parameters.
    pub fn split() -> Self {
        Self::new(768, vec![512, 256], vec![4, 2])
    }

    /// A head with `PyTorch`'s initial weights.
    pub fn init(&self, device: &Device) -> LrsProjection {
        let branch = |(&width, &heads): (&usize, &usize)| LrsBranch {
            attention: CrossAttentionConfig::new(self.token_width, width, heads).init(device),
            mlp: FeedForward::new(width, device),
        };
        LrsProjection { branches: self.widths.iter().zip(&self.heads).take(2).map(branch).collect() }
    }
}

impl LrsProjection {
    /// The embedding.
    ///
    /// # Shapes
    /// `[batch, tokens, token_width]` → `[batch, sum of widths]`; not normalised
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<2> {
        let branch = |b: &LrsBranch| b.mlp.forward(b.attention.forward(tokens.clone()));
        Tensor::cat(self.branches.iter().map(branch).collect(), 1)
    }

    /// Attention output of the first branch, before its `LayerNorm`.
    ///
    /// # Shapes
    /// `[batch, tokens, token_width]` → `[batch, widths[0]]`
    pub fn attend(&self, tokens: Tensor<3>) -> Option<Tensor<2>> {
        self.branches.first().map(|b| b.attention.attend(tokens))
    }
}

impl StateDict for LrsProjection {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        let attention = if self.branches.len() == 1 { "cross_attention" } else { "attention" };
        for (name, branch) in branch_names(self.branches.len()).iter().zip(&mut self.branches) {
            branch.attention.exchange(&format!("{prefix}{name}{attention}."), transfer)?;
            branch.mlp.exchange(&format!("{prefix}{name}mlp."), transfer)?;
        }
        Ok(())
    }
}

/// Configuration of an [`XpProjection`].
#[derive(Config, Debug)]
pub struct XpProjectionConfig {
    /// Width of the encoder's latent vector.
    pub latent_width: usize,
    /// Width of each branch: `[768]`, or `[512, 256]` for split.
    pub widths: Vec<usize>,
    /// Inner width of the feature MLP.
    #[config(default = 1160)]
    pub inner_width: usize,
}

/// XP projection head: a linear projection, a feature MLP with `LayerNorm` before its GELU, then a residual MLP.
#[derive(Module, Debug)]
pub struct XpProjection {
    branches: Vec<XpBranch>,
}

#[derive(Module, Debug)]
struct XpBranch {
    projection: Linear,
    up: Linear,
    up_norm: LayerNorm,
    down: Linear,
    down_norm: LayerNorm,
    mlp: FeedForward,
}

impl XpProjectionConfig {
    /// The head of base and pr: 7,100,568 parameters.
    pub fn base() -> Self {
        Self::new(768, vec![768])
    }

    /// The head of split: 5,006,896 parameters.
    pub fn split() -> Self {
        Self::new(768, vec![512, 256])
    }

    /// A head with `PyTorch`'s initial weights.
    pub fn init(&self, device: &Device) -> XpProjection {
        let branch = |&width: &usize| XpBranch {
            projection: LinearConfig::new(self.latent_width, width).init(device),
            up: LinearConfig::new(width, self.inner_width).init(device),
            up_norm: LayerNormConfig::new(self.inner_width).init(device),
            down: LinearConfig::new(self.inner_width, width).init(device),
            down_norm: LayerNormConfig::new(width).init(device),
            mlp: FeedForward::new(width, device),
        };
        XpProjection { branches: self.widths.iter().take(2).map(branch).collect() }
    }
}

impl XpProjection {
    /// The embedding.
    ///
    /// # Shapes
    /// `[batch, latent_width]` → `[batch, sum of widths]`; not normalised
    pub fn forward(&self, latent: Tensor<2>) -> Tensor<2> {
        let branch = |b: &XpBranch| {
            let inner = gelu(b.up_norm.forward(b.up.forward(b.projection.forward(latent.clone()))));
            b.mlp.forward(b.down_norm.forward(b.down.forward(inner)))
        };
        Tensor::cat(self.branches.iter().map(branch).collect(), 1)
    }
}

impl StateDict for XpProjection {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        for (name, branch) in branch_names(self.branches.len()).iter().zip(&mut self.branches) {
            let branch_prefix = format!("{prefix}{name}");
            branch.projection.exchange(&format!("{branch_prefix}projection."), transfer)?;
            branch.up.exchange(&format!("{branch_prefix}feature_mlp.0."), transfer)?;
            branch.up_norm.exchange(&format!("{branch_prefix}feature_mlp.1."), transfer)?;
            branch.down.exchange(&format!("{branch_prefix}feature_mlp.3."), transfer)?;
            branch.down_norm.exchange(&format!("{branch_prefix}feature_mlp.4."), transfer)?;
            branch.mlp.exchange(&format!("{branch_prefix}mlp."), transfer)?;
        }
        Ok(())
    }
}

/// Residual MLP x + W₂ GELU(W₁ x) with an inner width of four times its outer width.
#[derive(Module, Debug)]
struct FeedForward {
    encoder: Linear,
    decoder: Linear,
}

impl FeedForward {
    fn new(width: usize, device: &Device) -> Self {
        let linear = |input, output| LinearConfig::new(input, output).init(device);
        Self { encoder: linear(width, 4 * width), decoder: linear(4 * width, width) }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.clone() + self.decoder.forward(gelu(self.encoder.forward(x)))
    }
}

impl StateDict for FeedForward {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        self.encoder.exchange(&format!("{prefix}encoder."), transfer)?;
        self.decoder.exchange(&format!("{prefix}decoder."), transfer)
    }
}
