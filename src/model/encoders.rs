//! The shipped encoder pair: optical and Gaia XP spectra in one space, and each predicted from the other.

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::manifest::{Kind, ModelEntry};
use super::regressor::Regressor;
use super::weights::{Tensors, WeightsError};
use crate::nn::autoencoder::{AutoencoderConfig, StatisticsConfig};
use crate::nn::clip::{Clip, ClipConfig, DecodersConfig, lrs_flux};
use crate::nn::flow::{Flow, FlowConfig, standard_normal};
use crate::nn::keyed::Keyed;
use crate::nn::masked_transformer::MaskedTransformerConfig;
use crate::nn::masking::Masking;
use crate::nn::projection::{LrsProjectionConfig, XpProjectionConfig};
use crate::nn::tokens::{SliceConfig, TokensConfig};
use crate::preprocess::grid::MODEL_PIXELS;
use crate::preprocess::xp::XP_PIXELS;
use crate::result::catalogue::Modality;

/// Why an encoder pair cannot be used.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum EncoderError {
    #[error("the model {0} is no pair of encoders; `specola models` says what each is")]
    Kind(String),
    #[error("the sizes of the networks of {model} cannot be read ({source}); update Specola or its models")]
    Sizes { model: String, source: serde_json::Error },
    #[error("the weights of {model} cannot be used: {source}")]
    Weights { model: String, source: WeightsError },
    #[error("a spectrum has {found} pixels where the encoder takes {expected}")]
    Pixels { found: usize, expected: usize },
    #[error("the device gave no answer")]
    Device,
}

/// The three ways of alignment (MODEL_SPEC §2.4–2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// The contrastive loss alone.
    Base,
    /// With decoders: each spectrum rebuilt, and predicted from the other.
    Pr,
    /// With decoders, and a private part of each embedding that the other survey does not share.
    Split,
}

impl Variant {
    /// All of them.
    pub const ALL: [Variant; 3] = [Variant::Base, Variant::Pr, Variant::Split];

    /// `base`, `pr`, `split`.
    pub fn name(self) -> &'static str {
        match self {
            Variant::Base => "base",
            Variant::Pr => "pr",
            Variant::Split => "split",
        }
    }
}

/// Sizes of the networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Size {
    /// For tests: learns something in seconds.
    Tiny,
    /// What is shipped.
    Shipped,
    /// The papers'.
    Paper,
}

impl Size {
    /// The LRS encoder.
    pub fn lrs(self) -> MaskedTransformerConfig {
        // Slices twice as long as the papers' halve the number of tokens, and the work with it.
        let small = TokensConfig::Slices(SliceConfig::new().with_length(40).with_overlap(20));
        match self {
            Size::Tiny => MaskedTransformerConfig::new(small).with_embed_dim(32).with_num_layers(1).with_num_heads(2),
            Size::Shipped => {
                MaskedTransformerConfig::new(small).with_embed_dim(128).with_num_layers(6).with_num_heads(4)
            }
            Size::Paper => return MaskedTransformerConfig::lrs(),
        }
        .with_max_len(80)
    }

    /// What is hidden from the LRS encoder in training: the same stretches of wavelength at every size.
    pub fn masking(self) -> Masking {
        Masking { chunks: 6, width: if self == Size::Paper { 10 } else { 5 } }
    }

    /// The XP auto-encoder.
    pub fn xp(self) -> AutoencoderConfig {
        let (hidden, bottleneck) = match self {
            Size::Tiny => (48, 24),
            Size::Shipped => (192, 128),
            Size::Paper => return AutoencoderConfig::xp(),
        };
        AutoencoderConfig::new(StatisticsConfig::MeanStd, XP_PIXELS, hidden)
            .with_bottleneck_dim(bottleneck)
            .with_expansion_factor(2)
    }

    /// Both encoders, their heads and decoders.
    pub fn clip(self, variant: Variant) -> ClipConfig {
        if self == Size::Paper {
            return match variant {
                Variant::Base => ClipConfig::base(),
                Variant::Pr => ClipConfig::pr(),
                Variant::Split => ClipConfig::split(),
            };
        }
        let (lrs, xp) = (self.lrs(), self.xp());
        let (shared, private, inner, decoder) = if self == Size::Tiny { (24, 8, 32, 32) } else { (192, 64, 384, 512) };
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

/// What the LRS encoder takes in, from the recipe's output ([`Prepared::norm`](crate::preprocess::recipe::Prepared::norm)):
/// pixels that are not there stand at the continuum's level, 1, which is also the mean of every normalised spectrum.
pub fn lrs_input(norm: &[f32]) -> Vec<f32> {
    norm.iter().map(|v| if v.is_finite() { *v } else { 1.0 }).collect()
}

/// Where the flow stands in a pair's file.
pub const POSTERIOR: &str = "flows.lrs.";

/// What a manifest's `networks` says of a pair.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PairConfig {
    /// Sizes of encoders, heads and decoders.
    pub clip: ClipConfig,
    /// Labels that the head on LRS embeddings gives, in order.
    pub lrs_labels: Vec<String>,
    /// Labels that the head on XP embeddings gives, in order.
    pub xp_labels: Vec<String>,
    /// The flow on LRS embeddings, where there is one; its labels are the first ones of `lrs_labels`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posterior: Option<FlowConfig>,
}

/// A network from embeddings to labels.
#[derive(Debug)]
struct Head {
    labels: Vec<String>,
    network: Regressor,
}

/// Encoders, heads and decoders of both surveys, ready to answer.
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
    /// From a manifest's entry and its assembled file.
    pub fn load(entry: &ModelEntry, file: &[u8], device: &Device) -> Result<Self, EncoderError> {
        let model = entry.name.clone();
        if entry.kind != Kind::EncoderPair {
            return Err(EncoderError::Kind(model));
        }
        let config: PairConfig = serde_json::from_str(&entry.networks)
            .map_err(|source| EncoderError::Sizes { model: model.clone(), source })?;
        let load = || -> Result<Self, WeightsError> {
            let tensors = Tensors::parse(file)?;
            let clip = config.clip.init(device).loaded(&tensors, "", device)?;
            let head = |name: &str, labels: &[String]| -> Result<Option<Head>, WeightsError> {
                let (prefix, labels) = (format!("heads.{name}."), labels.to_vec());
                match labels.is_empty() {
                    true => Ok(None),
                    false => Ok(Some(Head { labels, network: Regressor::load(&tensors, &prefix, device)? })),
                }
            };
            let (lrs_head, xp_head) = (head("lrs", &config.lrs_labels)?, head("xp", &config.xp_labels)?);
            let flow = |config: &FlowConfig| config.init(device).loaded(&tensors, POSTERIOR, device);
            let posterior = config.posterior.as_ref().map(flow).transpose()?;
            Ok(Self { lrs_head, xp_head, posterior, ..Self::new(clip, &config.clip.lrs_head.widths, device) })
        };
        load().map_err(|source| EncoderError::Weights { model, source })
    }

    /// A pair that is in no file yet; `widths` are those of its heads' branches.
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

    /// Length of its first part, which both surveys share and by which spectra are compared across them: all of it, but for
    /// split.
    pub fn shared_width(&self) -> usize {
        self.shared
    }

    /// Whether it can predict one survey from the other.
    pub fn translates(&self) -> bool {
        self.clip.decoders().is_some()
    }

    /// Embeddings of [`lrs_input`]s, `[n][1462]` → `[n][width]`; not normalised.
    pub async fn embed_lrs(&self, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>, EncoderError> {
        rows(self.clip.embed_lrs(self.tensor(inputs, MODEL_PIXELS)?)).await
    }

    /// Embeddings of XP fluxes over that at 550 nm ([`xp::normalise`](crate::preprocess::xp::normalise)), `[n][343]` →
    /// `[n][width]`; not normalised.
    pub async fn embed_xp(&self, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>, EncoderError> {
        rows(self.clip.embed_xp(self.tensor(inputs, XP_PIXELS)?)).await
    }

    /// What the encoders give before alignment: mean over the LRS tokens, `[n][lrs width]`.
    pub async fn encode_lrs(&self, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>, EncoderError> {
        rows(self.clip.lrs.embed(self.tensor(inputs, MODEL_PIXELS)?)).await
    }

    /// What the XP encoder gives before alignment: its latent vector, `[n][xp width]`.
    pub async fn encode_xp(&self, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>, EncoderError> {
        rows(self.clip.xp.embed(self.tensor(inputs, XP_PIXELS)?)).await
    }

    /// XP flux over that at 550 nm from LRS embeddings, `[n][width]` → `[n][343]`; `None` of base.
    pub async fn xp_from_lrs(&self, embeddings: &[&[f32]]) -> Result<Option<Vec<Vec<f32>>>, EncoderError> {
        match self.clip.xp_from_lrs(self.tensor(embeddings, self.width)?) {
            Some(flux) => rows(flux).await.map(Some),
            None => Ok(None),
        }
    }

    /// Normalised LRS flux from XP embeddings, `[n][width]` → `[n][1462]`; `None` of base.
    pub async fn lrs_from_xp(&self, embeddings: &[&[f32]]) -> Result<Option<Vec<Vec<f32>>>, EncoderError> {
        match self.clip.lrs_from_xp(self.tensor(embeddings, self.width)?) {
            Some(flux) => rows(flux).await.map(Some),
            None => Ok(None),
        }
    }

    /// Spectra rebuilt from embeddings that are there already: LRS inputs give the level; `[n][1462]` or `[n][343]`. `None`
    /// of base.
    pub async fn rebuilt(
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
        rows(flux).await.map(Some)
    }

    /// LRS spectra rebuilt from their own embeddings, `[n][1462]` twice in meaning: inputs → normalised flux; `None` of base.
    pub async fn rebuild_lrs(&self, inputs: &[&[f32]]) -> Result<Option<Vec<Vec<f32>>>, EncoderError> {
        let Some(decoders) = self.clip.decoders() else { return Ok(None) };
        let x = self.tensor(inputs, MODEL_PIXELS)?;
        let standardised = decoders.lrs_standardised(self.clip.embed_lrs(x.clone()));
        rows(lrs_flux(standardised, x)).await.map(Some)
    }

    /// XP spectra rebuilt from their own embeddings, inputs `[n][343]` → flux over that at 550 nm; `None` of base.
    pub async fn rebuild_xp(&self, inputs: &[&[f32]]) -> Result<Option<Vec<Vec<f32>>>, EncoderError> {
        let Some(decoders) = self.clip.decoders() else { return Ok(None) };
        rows(decoders.xp(self.clip.embed_xp(self.tensor(inputs, XP_PIXELS)?))).await.map(Some)
    }

    /// The labels that a survey's head gives, in order; none of a pair without heads.
    pub fn labels(&self, modality: Modality) -> &[String] {
        self.head(modality).map_or(&[], |head| &head.labels)
    }

    /// Labels from a survey's embeddings, `[n][width]` → `[n][labels]` in physical units; `None` of a pair without heads.
    pub async fn predict(
        &self,
        modality: Modality,
        embeddings: &[&[f32]],
    ) -> Result<Option<Vec<Vec<f64>>>, EncoderError> {
        let Some(head) = self.head(modality) else { return Ok(None) };
        if let Some(wrong) = embeddings.iter().find(|row| row.len() != self.width) {
            return Err(EncoderError::Pixels { found: wrong.len(), expected: self.width });
        }
        head.network.predict(embeddings, &self.device).await.map(Some).ok_or(EncoderError::Device)
    }

    /// The labels that [`posterior`](Self::posterior) draws, in order; none of a pair without a flow.
    pub fn posterior_labels(&self) -> &[String] {
        let n = self.posterior.as_ref().map_or(0, Flow::features);
        self.labels(Modality::Lrs).get(..n).unwrap_or(&[])
    }

    /// `n` draws of the labels given one LRS embedding `[width]`, the same at every call with this seed: `[n][labels]` in
    /// physical units; `None` of a pair without a flow.
    pub async fn posterior(
        &self,
        embedding: &[f32],
        n: usize,
        seed: u64,
    ) -> Result<Option<Vec<Vec<f32>>>, EncoderError> {
        let Some(flow) = &self.posterior else { return Ok(None) };
        let x = self.tensor(&[embedding], self.width)?;
        let noise = TensorData::new(standard_normal(seed, n * flow.features()), [n, flow.features()]);
        rows(flow.inverse(Tensor::from_data(noise, &self.device), x).0).await.map(Some)
    }

    fn head(&self, modality: Modality) -> Option<&Head> {
        match modality {
            Modality::Lrs => self.lrs_head.as_ref(),
            Modality::Xp => self.xp_head.as_ref(),
        }
    }

    fn tensor(&self, inputs: &[&[f32]], width: usize) -> Result<Tensor<2>, EncoderError> {
        if let Some(wrong) = inputs.iter().find(|row| row.len() != width) {
            return Err(EncoderError::Pixels { found: wrong.len(), expected: width });
        }
        Ok(Tensor::from_data(TensorData::new(inputs.concat(), [inputs.len(), width]), &self.device))
    }
}

async fn rows(tensor: Tensor<2>) -> Result<Vec<Vec<f32>>, EncoderError> {
    let width = tensor.dims()[1].max(1);
    let data = tensor.into_data_async().await.map_err(|_| EncoderError::Device)?;
    let values = data.try_to_vec::<f32>().map_err(|_| EncoderError::Device)?;
    Ok(values.chunks_exact(width).map(<[f32]>::to_vec).collect())
}
