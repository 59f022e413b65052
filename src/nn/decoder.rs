//! Decoders: from an embedding to a spectrum of the same survey or of the other survey (docs/model-spec.md §2.5).

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::batch_norm::{BatchNorm, BatchNormConfig};
use super::gelu::gelu;
use super::state_dict::{StateDict, Transfer};
use crate::nn::weights::WeightsError;

/// Configuration of a [`Decoder`].
#[derive(Config, Debug)]
pub struct DecoderConfig {
    /// Width of every layer, embedding first and pixels last.
    pub widths: Vec<usize>,
    /// Dropout after each hidden layer, while training.
    #[config(default = 0.1)]
    pub dropout: f64,
}

/// Decoder: Linear → GELU → `BatchNorm` → dropout for each hidden layer, then one linear layer.
///
/// `BatchNorm` comes *after* the activation.
#[derive(Module, Debug)]
pub struct Decoder {
    layers: Vec<Linear>,
    norms: Vec<BatchNorm>,
    dropout: Dropout,
}

impl DecoderConfig {
    /// A decoder with `PyTorch`'s initial weights.
    pub fn init(&self, device: &Device) -> Decoder {
        let hidden = self.widths.get(1..self.widths.len().saturating_sub(1)).unwrap_or_default();
        Decoder {
            layers: self.widths.windows(2).map(|w| LinearConfig::new(w[0], w[1]).init(device)).collect(),
            norms: hidden.iter().map(|width| BatchNormConfig::new(*width).init(device)).collect(),
            dropout: DropoutConfig::new(self.dropout).init(),
        }
    }
}

impl Decoder {
    /// # Shapes
    /// `[batch, widths[0]]` → `[batch, widths[last]]`
    pub fn forward(&self, embedding: Tensor<2>) -> Tensor<2> {
        self.layers.iter().enumerate().fold(embedding, |x, (i, layer)| {
            let y = layer.forward(x);
            match self.norms.get(i) {
                Some(norm) => self.dropout.forward(norm.forward(gelu(y))),
                None => y,
            }
        })
    }
}

impl StateDict for Decoder {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        for (i, layer) in self.layers.iter_mut().enumerate() {
            layer.exchange(&format!("{prefix}decoder.{}.", 4 * i), transfer)?;
            if let Some(norm) = self.norms.get_mut(i) {
                norm.exchange(&format!("{prefix}decoder.{}.", 4 * i + 2), transfer)?;
            }
        }
        Ok(())
    }
}

/// Configuration of a [`SplitDecoder`].
#[derive(Config, Debug)]
pub struct SplitDecoderConfig {
    /// Width of the shared part of the embedding.
    pub shared: usize,
    /// Width of the private part.
    pub private: usize,
    /// Number of pixels of the spectrum.
    pub pixels: usize,
}

/// Decoder of a split embedding: projects both parts to the number of pixels, then applies two layers to the pair.
#[derive(Module, Debug)]
pub struct SplitDecoder {
    shared_proj: Linear,
    private_proj: Linear,
    inner: Linear,
    last: Linear,
}

impl SplitDecoderConfig {
    /// A decoder with `PyTorch`'s initial weights.
    pub fn init(&self, device: &Device) -> SplitDecoder {
        let linear = |input, output| LinearConfig::new(input, output).init(device);
        SplitDecoder {
            shared_proj: linear(self.shared, self.pixels),
            private_proj: linear(self.private, self.pixels),
            inner: linear(2 * self.pixels, 2 * self.pixels),
            last: linear(2 * self.pixels, self.pixels),
        }
    }
}

impl SplitDecoder {
    /// Decodes a batch of embeddings.
    ///
    /// # Shapes
    /// `[batch, shared + private]` → `[batch, pixels]`
    pub fn forward(&self, embedding: Tensor<2>) -> Tensor<2> {
        let [shared, _] = self.shared_proj.weight.lazy_shape().dims();
        let [private, _] = self.private_proj.weight.lazy_shape().dims();
        let pair = vec![
            self.shared_proj.forward(embedding.clone().narrow(1, 0, shared)),
            self.private_proj.forward(embedding.narrow(1, shared, private)),
        ];
        self.last.forward(gelu(self.inner.forward(Tensor::cat(pair, 1))))
    }
}

impl StateDict for SplitDecoder {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        self.shared_proj.exchange(&format!("{prefix}shared_proj."), transfer)?;
        self.private_proj.exchange(&format!("{prefix}private_proj."), transfer)?;
        self.inner.exchange(&format!("{prefix}final_layer.0."), transfer)?;
        self.last.exchange(&format!("{prefix}final_layer.2."), transfer)
    }
}
