//! The shipped encoder pair: embeds optical and Gaia XP spectra in one space, and predicts each
//! modality (optical or Gaia XP) from the other.

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::manifest::{Kind, ModelEntry};
use super::regressor::Regressor;
use crate::nn::autoencoder::{AutoencoderConfig, StatisticsConfig};
use crate::nn::clip::{Clip, ClipConfig, DecodersConfig, lrs_flux};
use crate::nn::flow::{Flow, FlowConfig, standard_normal};
use crate::nn::masked_transformer::MaskedTransformerConfig;
use crate::nn::masking::Masking;
use crate::nn::projection::{LrsProjectionConfig, XpProjectionConfig};
use crate::nn::state_dict::StateDict;
use crate::nn::tokens::{SliceConfig, TokensConfig};
use crate::nn::weights::{Tensors, WeightsError};
use crate::preprocess::grid::MODEL_PIXELS;
use crate::preprocess::xp::XP_PIXELS;
use crate::result::specclip::Modality;

/// Error of an encoder pair.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum EncoderError {
    #[error("the model {0} is not an encoder pair; `specola models --json` lists the kind of each model")]
    Kind(String),
    #[error("the network configuration of {model} in the manifest is invalid ({source}); update Specola or its models")]
    Config { model: String, source: serde_json::Error },
    #[error("the weights of {model} cannot be used: {source}")]
    Weights { model: String, source: WeightsError },
    #[error("a spectrum or embedding has {found} values; the network needs {expected}")]
    Width { found: usize, expected: usize },
    #[error("the device (GPU or CPU) returned no result; reload the page or run the command again")]
    Device,
}

/// Training variant of the alignment (docs/model-spec.md §2.4–2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// Contrastive loss only.
    Base,
    /// Prediction and reconstruction: with decoders, which reconstruct each spectrum and predict it from the other
    /// modality.
    Pr,
    /// With decoders, and with a private part of each embedding that the modalities do not share.
    Split,
}

impl Variant {
    /// All variants.
    pub const ALL: [Self; 3] = [Self::Base, Self::Pr, Self::Split];

    /// Name: `base`, `pr` or `split`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Pr => "pr",
            Self::Split => "split",
        }
    }
}

/// Sizes of the networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Size {
    /// For tests: converges in seconds.
    Tiny,
    /// Size of the shipped models.
    Shipped,
    /// Size in Zhao et al. (2025, `SpecCLIP`).
    Paper,
}

impl Size {
    /// Configuration of the LRS encoder.
    pub fn lrs(self) -> MaskedTransformerConfig {
        // Slices of twice the papers' length halve the number of tokens and the cost.
        let tokens = TokensConfig::Slices(SliceConfig::new().with_length(40).with_overlap(20));
        match self {
            Self::Tiny => MaskedTransformerConfig::new(tokens).with_embed_dim(32).with_num_layers(1).with_num_heads(2),
            Self::Shipped => {
                MaskedTransformerConfig::new(tokens).with_embed_dim(128).with_num_layers(6).with_num_heads(4)
            }
            Self::Paper => return MaskedTransformerConfig::lrs(),
        }
        .with_max_len(80)
    }

    /// Masking of the LRS encoder in training; the masked wavelength ranges are the same at every size.
    pub fn masking(self) -> Masking {
        Masking { chunks: 6, width: if self == Self::Paper { 10 } else { 5 } }
    }

    /// Configuration of the XP auto-encoder.
    pub fn xp(self) -> AutoencoderConfig {
        let (hidden, bottleneck) = match self {
            Self::Tiny => (48, 24),
            Self::Shipped => (192, 128),
            Self::Paper => return AutoencoderConfig::xp(),
        };
        AutoencoderConfig::new(StatisticsConfig::MeanStd, XP_PIXELS, hidden)
            .with_bottleneck_dim(bottleneck)
            .with_expansion_factor(2)
    }

    /// Configuration of both encoders, their heads and decoders.
    pub fn clip(self, variant: Variant) -> ClipConfig {
        if self == Self::Paper {
            return match variant {
                Variant::Base => ClipConfig::base(),
                Variant::Pr => ClipConfig::pr(),
                Variant::Split => ClipConfig::split(),
            };
        }
        let (lrs, xp) = (self.lrs(), self.xp());
        let (shared, private, inner, decoder) = if self == Self::Tiny { (24, 8, 32, 32) } else { (192, 64, 384, 512) };
        let (widths, heads) = match variant {
            Variant::Split => (vec![shared, private], vec![4, 2]),
            _ => (vec![shared + private], vec![4]),
        };
        let lrs_head = LrsProjectionConfig::new(lrs.embed_dim, widths.clone(), heads);
        let xp_head = XpProjectionConfig::new(xp.bottleneck_dim, widths).with_inner_width(inner);
        let decoders = DecodersConfig::new(vec![decoder], vec![decoder; 2]);
        ClipConfig::new(lrs, xp, lrs_head, xp_head).with_decoders((variant != Variant::Base).then_some(decoders))
    }
}

/// Input of the LRS encoder, from the preprocessed flux
/// ([`PreparedInput::norm`](crate::preprocess::conditioning::PreparedInput::norm)).
///
/// A missing pixel takes the continuum level, 1, which is also the mean of every normalised spectrum.
pub fn lrs_input(norm: &[f32]) -> Vec<f32> {
    norm.iter().map(|v| if v.is_finite() { *v } else { 1.0 }).collect()
}

/// Prefix of the flow's arrays in the file of an encoder pair.
pub const POSTERIOR_PREFIX: &str = "flows.lrs.";

/// Configuration of an encoder pair, stored in the manifest's `networks`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PairConfig {
    /// Sizes of encoders, heads and decoders.
    pub clip: ClipConfig,
    /// Labels predicted by the head on LRS embeddings, in order.
    pub lrs_labels: Vec<String>,
    /// Labels predicted by the head on XP embeddings, in order.
    pub xp_labels: Vec<String>,
    /// The flow on LRS embeddings, if the pair has one; its labels are the first of `lrs_labels`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posterior: Option<FlowConfig>,
}

/// A network from embeddings to labels.
#[derive(Debug)]
struct Head {
    labels: Vec<String>,
    network: Regressor,
}

/// Encoders, heads and decoders of both modalities with their weights.
#[derive(Debug)]
pub struct EncoderPair {
    clip: Clip,
    shared: usize,
    width: usize,
    device: Device,
    lrs_head: Option<Head>,
    xp_head: Option<Head>,
    posterior: Option<Flow>,
}

impl EncoderPair {
    /// Loads a pair from its manifest entry and its assembled file.
    pub fn load(entry: &ModelEntry, file: &[u8], device: &Device) -> Result<Self, EncoderError> {
        let model = entry.name.clone();
        if entry.kind != Kind::EncoderPair {
            return Err(EncoderError::Kind(model));
        }
        let config: PairConfig = serde_json::from_str(&entry.networks)
            .map_err(|source| EncoderError::Config { model: model.clone(), source })?;
        let load = || -> Result<Self, WeightsError> {
            let tensors = Tensors::parse(file)?;
            let clip = config.clip.init(device).load(&tensors, "", device)?;
            let head = |name: &str, labels: &[String]| -> Result<Option<Head>, WeightsError> {
                let (prefix, labels) = (format!("heads.{name}."), labels.to_vec());
                match labels.is_empty() {
                    true => Ok(None),
                    false => Ok(Some(Head { labels, network: Regressor::load(&tensors, &prefix, device)? })),
                }
            };
            let (lrs_head, xp_head) = (head("lrs", &config.lrs_labels)?, head("xp", &config.xp_labels)?);
            let flow = |config: &FlowConfig| config.init(device).load(&tensors, POSTERIOR_PREFIX, device);
            let posterior = config.posterior.as_ref().map(flow).transpose()?;
            Ok(Self { lrs_head, xp_head, posterior, ..Self::new(clip, &config.clip.lrs_head.widths, device) })
        };
        load().map_err(|source| EncoderError::Weights { model, source })
    }

    /// A pair made from a network in memory, without heads and flow. `widths` are the widths of the branches of the
    /// projection heads.
    pub fn new(clip: Clip, widths: &[usize], device: &Device) -> Self {
        let shared = widths.first().copied().unwrap_or(0);
        Self {
            clip,
            shared,
            width: widths.iter().sum(),
            device: device.clone(),
            lrs_head: None,
            xp_head: None,
            posterior: None,
        }
    }

    /// Length of an embedding.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Length of the embedding's shared part, which compares spectra across modalities.
    ///
    /// In base and pr it is the whole embedding, in split the first part.
    pub fn shared_width(&self) -> usize {
        self.shared
    }

    /// Whether the pair can predict one modality from the other.
    pub fn can_translate(&self) -> bool {
        self.clip.decoders().is_some()
    }

    /// Embeddings of LRS spectra from [`lrs_input`], `[n][1462]` → `[n][width]`; not normalised.
    pub async fn embed_lrs(&self, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>, EncoderError> {
        read_rows(self.clip.embed_lrs(self.tensor(inputs, MODEL_PIXELS)?)).await
    }

    /// Embeddings of XP flux relative to 550 nm ([`xp::normalise`](crate::preprocess::xp::normalise)).
    ///
    /// `[n][343]` → `[n][width]`; not normalised.
    pub async fn embed_xp(&self, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>, EncoderError> {
        read_rows(self.clip.embed_xp(self.tensor(inputs, XP_PIXELS)?)).await
    }

    /// Output of the LRS encoder before alignment: mean over the tokens, `[n][1462]` → `[n][lrs width]`.
    pub async fn encode_lrs(&self, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>, EncoderError> {
        read_rows(self.clip.lrs.embed(self.tensor(inputs, MODEL_PIXELS)?)).await
    }

    /// Output of the XP encoder before alignment: the latent vector, `[n][343]` → `[n][xp width]`.
    pub async fn encode_xp(&self, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>, EncoderError> {
        read_rows(self.clip.xp.embed(self.tensor(inputs, XP_PIXELS)?)).await
    }

    /// XP flux relative to 550 nm, predicted from LRS embeddings, `[n][width]` → `[n][343]`; `None` for base.
    pub async fn xp_from_lrs(&self, embeddings: &[&[f32]]) -> Result<Option<Vec<Vec<f32>>>, EncoderError> {
        match self.clip.xp_from_lrs(self.tensor(embeddings, self.width)?) {
            Some(flux) => read_rows(flux).await.map(Some),
            None => Ok(None),
        }
    }

    /// Normalised LRS flux, predicted from XP embeddings, `[n][width]` → `[n][1462]`; `None` for base.
    pub async fn lrs_from_xp(&self, embeddings: &[&[f32]]) -> Result<Option<Vec<Vec<f32>>>, EncoderError> {
        match self.clip.lrs_from_xp(self.tensor(embeddings, self.width)?) {
            Some(flux) => read_rows(flux).await.map(Some),
            None => Ok(None),
        }
    }

    /// Spectra reconstructed from existing embeddings, `[n][1462]` or `[n][343]`; `None` for base.
    ///
    /// For LRS, `inputs` provide mean and standard deviation of the flux.
    pub async fn reconstruction(
        &self,
        modality: Modality,
        inputs: &[&[f32]],
        embeddings: &[&[f32]],
    ) -> Result<Option<Vec<Vec<f32>>>, EncoderError> {
        let Some(decoders) = self.clip.decoders() else { return Ok(None) };
        let embeddings = self.tensor(embeddings, self.width)?;
        let flux = match modality {
            Modality::Lrs => lrs_flux(decoders.lrs_standardised(embeddings), self.tensor(inputs, MODEL_PIXELS)?),
            Modality::Xp => decoders.xp(embeddings),
        };
        read_rows(flux).await.map(Some)
    }

    /// LRS spectra reconstructed from their own embeddings: inputs `[n][1462]` → normalised flux `[n][1462]`; `None`
    /// for base.
    pub async fn reconstruct_lrs(&self, inputs: &[&[f32]]) -> Result<Option<Vec<Vec<f32>>>, EncoderError> {
        let Some(decoders) = self.clip.decoders() else { return Ok(None) };
        let x = self.tensor(inputs, MODEL_PIXELS)?;
        let standardised = decoders.lrs_standardised(self.clip.embed_lrs(x.clone()));
        read_rows(lrs_flux(standardised, x)).await.map(Some)
    }

    /// XP spectra reconstructed from their own embeddings: inputs `[n][343]` → flux relative to 550 nm; `None` for
    /// base.
    pub async fn reconstruct_xp(&self, inputs: &[&[f32]]) -> Result<Option<Vec<Vec<f32>>>, EncoderError> {
        let Some(decoders) = self.clip.decoders() else { return Ok(None) };
        read_rows(decoders.xp(self.clip.embed_xp(self.tensor(inputs, XP_PIXELS)?))).await.map(Some)
    }

    /// Labels predicted by a modality's head, in order; empty for a pair without heads.
    pub fn labels(&self, modality: Modality) -> &[String] {
        self.head(modality).map_or(&[], |head| &head.labels)
    }

    /// Labels predicted from a modality's embeddings, `[n][width]` → `[n][labels]` in physical units.
    ///
    /// `None` for a pair without heads.
    pub async fn predict(
        &self,
        modality: Modality,
        embeddings: &[&[f32]],
    ) -> Result<Option<Vec<Vec<f64>>>, EncoderError> {
        let Some(head) = self.head(modality) else { return Ok(None) };
        if let Some(wrong) = embeddings.iter().find(|row| row.len() != self.width) {
            return Err(EncoderError::Width { found: wrong.len(), expected: self.width });
        }
        head.network.predict(embeddings, &self.device).await.map(Some).ok_or(EncoderError::Device)
    }

    /// Labels drawn by [`posterior`](Self::posterior), in order; empty for a pair without a flow.
    pub fn posterior_labels(&self) -> &[String] {
        let n = self.posterior.as_ref().map_or(0, Flow::features);
        self.labels(Modality::Lrs).get(..n).unwrap_or(&[])
    }

    /// `n` draws of the labels given one LRS embedding `[width]`: `[n][labels]` in physical units.
    ///
    /// The same seed gives the same draws. `None` for a pair without a flow.
    pub async fn posterior(
        &self,
        embedding: &[f32],
        n: usize,
        seed: u64,
    ) -> Result<Option<Vec<Vec<f32>>>, EncoderError> {
        let Some(flow) = &self.posterior else { return Ok(None) };
        let x = self.tensor(&[embedding], self.width)?;
        let noise = TensorData::new(standard_normal(seed, n * flow.features()), [n, flow.features()]);
        read_rows(flow.inverse(Tensor::from_data(noise, &self.device), x).0).await.map(Some)
    }

    fn head(&self, modality: Modality) -> Option<&Head> {
        match modality {
            Modality::Lrs => self.lrs_head.as_ref(),
            Modality::Xp => self.xp_head.as_ref(),
        }
    }

    fn tensor(&self, inputs: &[&[f32]], width: usize) -> Result<Tensor<2>, EncoderError> {
        if let Some(wrong) = inputs.iter().find(|row| row.len() != width) {
            return Err(EncoderError::Width { found: wrong.len(), expected: width });
        }
        Ok(Tensor::from_data(TensorData::new(inputs.concat(), [inputs.len(), width]), &self.device))
    }
}

async fn read_rows(tensor: Tensor<2>) -> Result<Vec<Vec<f32>>, EncoderError> {
    let width = tensor.dims()[1].max(1);
    let data = tensor.into_data_async().await.map_err(|_| EncoderError::Device)?;
    let values = data.try_to_vec::<f32>().map_err(|_| EncoderError::Device)?;
    Ok(values.chunks_exact(width).map(<[f32]>::to_vec).collect())
}
