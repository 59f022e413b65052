//! Decoders: from an embedding back to a spectrum of the same survey, or across to the other (MODEL_SPEC §2.5).

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::batch_norm::{BatchNorm, BatchNormConfig};
use super::gelu::gelu;
use super::keyed::{Keyed, Transfer};
use crate::model::weights::WeightsError;

/// Configuration of a [`Decoder`].
#[derive(Config, Debug)]
pub struct DecoderConfig {
    /// Width of every layer, embedding first and pixels last.
    pub widths: Vec<usize>,
    /// Dropout after each hidden layer, while training.
    #[config(default = 0.1)]
    pub dropout: f64,
}

/// Linear → GELU → BatchNorm → dropout for each hidden layer (BatchNorm *after* the activation), then one linear layer.
#[derive(Module, Debug)]
pub struct Decoder {
    layers: Vec<Linear>,
    norms: Vec<BatchNorm>,
    dropout: Dropout,
}

impl DecoderConfig {
    /// PyTorch's first weights.
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

impl Keyed for Decoder {
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
    /// Pixels of the spectrum.
    pub pixels: usize,
}

/// Both parts of a split embedding to the spectrum's size, then two layers on the pair.
#[derive(Module, Debug)]
pub struct SplitDecoder {
    shared_proj: Linear,
    private_proj: Linear,
    inner: Linear,
    last: Linear,
}

impl SplitDecoderConfig {
    /// PyTorch's first weights.
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

impl Keyed for SplitDecoder {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        self.shared_proj.exchange(&format!("{prefix}shared_proj."), transfer)?;
        self.private_proj.exchange(&format!("{prefix}private_proj."), transfer)?;
        self.inner.exchange(&format!("{prefix}final_layer.0."), transfer)?;
        self.last.exchange(&format!("{prefix}final_layer.2."), transfer)
    }
}
