//! The ordinary auto-encoders of both surveys (docs/model-spec.md §2.2).

use burn::config::Config;
use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::tensor::{Device, Tensor};

use super::gelu::gelu;
use super::linear;
use super::state_dict::{StateDict, Transfer};
use super::tokens::standardise;
use crate::nn::weights::WeightsError;

/// Statistics that precede the standardised flux in the network's input.
#[derive(Config, Debug, PartialEq)]
pub enum StatisticsConfig {
    /// XP: mean and standard deviation.
    MeanStd,
    /// LRS: log10 of the standard deviation, which is at least 1e-6.
    LogStd,
}

/// Configuration of an [`Autoencoder`].
#[derive(Config, Debug)]
pub struct AutoencoderConfig {
    /// Statistics that precede the standardised flux.
    pub statistics: StatisticsConfig,
    /// Number of pixels of a spectrum.
    pub seq_len: usize,
    /// Width of the vectors between the blocks.
    pub hidden_dim: usize,
    /// Width of the latent vector.
    #[config(default = 768)]
    pub bottleneck_dim: usize,
    /// Number of blocks before the bottleneck.
    #[config(default = 2)]
    pub num_encoder_blocks: usize,
    /// Number of blocks after the bottleneck.
    #[config(default = 2)]
    pub num_decoder_blocks: usize,
    /// Ratio of a block's inner width to its outer width.
    #[config(default = 3)]
    pub expansion_factor: usize,
}

impl AutoencoderConfig {
    /// The published XP encoder: 42,846,129 parameters.
    pub fn xp() -> Self {
        Self::new(StatisticsConfig::MeanStd, 343, 1290)
    }

    /// The LRS auto-encoder of the paper's comparison: 42,791,927 parameters.
    pub fn lrs() -> Self {
        Self::new(StatisticsConfig::LogStd, 1462, 1245)
    }

    /// An auto-encoder with Kaiming-normal weights and zero biases.
    pub fn init(&self, device: &Device) -> Autoencoder {
        let kaiming = |input: usize, output: usize| linear(input, output, (2.0 / input as f64).sqrt(), device);
        let (hidden, inner) = (self.hidden_dim, self.hidden_dim * self.expansion_factor);
        let block = |_| Block {
            norm: LayerNormConfig::new(hidden).init(device),
            up: kaiming(hidden, inner),
            down: kaiming(inner, hidden),
        };
        let input_width = self.seq_len + if self.statistics == StatisticsConfig::MeanStd { 2 } else { 1 };
        Autoencoder {
            input_proj: kaiming(input_width, hidden),
            encoder_blocks: (0..self.num_encoder_blocks).map(block).collect(),
            bottleneck_down: kaiming(hidden, self.bottleneck_dim),
            bottleneck_norm: LayerNormConfig::new(self.bottleneck_dim).init(device),
            bottleneck_up: kaiming(self.bottleneck_dim, hidden),
            decoder_blocks: (0..self.num_decoder_blocks).map(block).collect(),
            output_proj: kaiming(hidden, input_width),
            statistics: self.statistics.clone(),
        }
    }
}

/// Auto-encoder: statistics and standardised flux → latent vector → reconstruction of both.
#[derive(Module, Debug)]
pub struct Autoencoder {
    input_proj: Linear,
    encoder_blocks: Vec<Block>,
    bottleneck_down: Linear,
    bottleneck_norm: LayerNorm,
    bottleneck_up: Linear,
    decoder_blocks: Vec<Block>,
    output_proj: Linear,
    #[module(skip)]
    statistics: StatisticsConfig,
}

/// `LayerNorm` → linear → GELU → linear, without a residual connection.
#[derive(Module, Debug)]
struct Block {
    norm: LayerNorm,
    up: Linear,
    down: Linear,
}

impl Block {
    fn forward(&self, h: Tensor<2>) -> Tensor<2> {
        self.down.forward(gelu(self.up.forward(self.norm.forward(h))))
    }

    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        self.up.exchange(&format!("{prefix}mlp.0."), transfer)?;
        self.down.exchange(&format!("{prefix}mlp.3."), transfer)?;
        self.norm.exchange(&format!("{prefix}norm."), transfer)
    }
}

impl Autoencoder {
    /// Input of the first layer, which is also the target of the reconstruction in training.
    ///
    /// # Shapes
    /// `[batch, pixels]` → `[batch, statistics + pixels]`
    pub fn input(&self, x: Tensor<2>) -> Tensor<2> {
        let (z, mean, std) = standardise(x.clone());
        match self.statistics {
            StatisticsConfig::MeanStd => Tensor::cat(vec![mean, std, z], 1),
            StatisticsConfig::LogStd => {
                let std = std.clamp_min(1e-6);
                let z = (x - mean) / std.clone();
                Tensor::cat(vec![std.log() / std::f64::consts::LN_10, z], 1)
            }
        }
    }

    /// The embedding: the latent vector after its `LayerNorm`.
    ///
    /// # Shapes
    /// `[batch, pixels]` → `[batch, bottleneck_dim]`
    pub fn embed(&self, x: Tensor<2>) -> Tensor<2> {
        let h = self.input_proj.forward(self.input(x));
        let h = self.encoder_blocks.iter().fold(h, |h, block| block.forward(h));
        self.bottleneck_norm.forward(self.bottleneck_down.forward(h))
    }

    /// Reconstructs the network's input from the latent vector.
    ///
    /// # Shapes
    /// `[batch, bottleneck_dim]` → `[batch, statistics + pixels]`
    pub fn reconstruct(&self, latent: Tensor<2>) -> Tensor<2> {
        let h = self.bottleneck_up.forward(latent);
        let h = self.decoder_blocks.iter().fold(h, |h, block| block.forward(h));
        self.output_proj.forward(h)
    }
}

impl StateDict for Autoencoder {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        self.input_proj.exchange(&format!("{prefix}input_proj."), transfer)?;
        for (i, block) in self.encoder_blocks.iter_mut().enumerate() {
            block.exchange(&format!("{prefix}encoder_blocks.{i}."), transfer)?;
        }
        self.bottleneck_down.exchange(&format!("{prefix}bottleneck_down."), transfer)?;
        self.bottleneck_norm.exchange(&format!("{prefix}bottleneck_norm."), transfer)?;
        self.bottleneck_up.exchange(&format!("{prefix}bottleneck_up."), transfer)?;
        for (i, block) in self.decoder_blocks.iter_mut().enumerate() {
            block.exchange(&format!("{prefix}decoder_blocks.{i}."), transfer)?;
        }
        self.output_proj.exchange(&format!("{prefix}output_proj."), transfer)
    }
}
