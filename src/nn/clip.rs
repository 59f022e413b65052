//! The complete contrastive model: both encoders and both projection heads; pr and split also have four decoders
//! (docs/model-spec.md §2.4–2.6).

use burn::config::Config;
use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor};

use super::autoencoder::{Autoencoder, AutoencoderConfig};
use super::decoder::{Decoder, DecoderConfig, SplitDecoder, SplitDecoderConfig};
use super::masked_transformer::{MaskedTransformer, MaskedTransformerConfig};
use super::projection::{LrsProjection, LrsProjectionConfig, XpProjection, XpProjectionConfig};
use super::state_dict::{StateDict, Transfer};
use super::tokens::standardise;
use crate::nn::weights::WeightsError;

/// Factor of the logits: fixed, not learned.
const TEMPERATURE: f64 = 15.5;

/// Configuration of a [`Clip`].
#[derive(Config, Debug)]
pub struct ClipConfig {
    /// The LRS encoder.
    pub lrs: MaskedTransformerConfig,
    /// The XP encoder.
    pub xp: AutoencoderConfig,
    /// The LRS head.
    pub lrs_head: LrsProjectionConfig,
    /// The XP head.
    pub xp_head: XpProjectionConfig,
    /// The decoders; base has none.
    pub decoders: Option<DecodersConfig>,
}

/// Configuration of the four decoders.
#[derive(Config, Debug)]
pub struct DecodersConfig {
    /// Widths of the hidden layers of the two decoders that output XP.
    pub xp_hidden: Vec<usize>,
    /// Widths of the hidden layers of the two decoders that output LRS.
    pub lrs_hidden: Vec<usize>,
    /// Number of pixels of an LRS spectrum.
    #[config(default = 1462)]
    pub lrs_pixels: usize,
}

impl ClipConfig {
    /// The published base model: 99,710,814 parameters.
    pub fn base() -> Self {
        let (lrs, xp) = (MaskedTransformerConfig::lrs(), AutoencoderConfig::xp());
        Self::new(lrs, xp, LrsProjectionConfig::base(), XpProjectionConfig::base())
    }

    /// The published pr model: 168,293,752 parameters.
    pub fn pr() -> Self {
        Self::base().with_decoders(Some(DecodersConfig::new(vec![3072, 1536, 768], vec![3072; 3])))
    }

    /// The published split model: 126,229,506 parameters.
    pub fn split() -> Self {
        let (lrs, xp) = (MaskedTransformerConfig::lrs(), AutoencoderConfig::xp());
        Self::new(lrs, xp, LrsProjectionConfig::split(), XpProjectionConfig::split())
            .with_decoders(Some(DecodersConfig::new(vec![2048, 1024, 512], vec![2048; 3])))
    }

    /// A model with the initial weights of its parts.
    pub fn init(&self, device: &Device) -> Clip {
        let widths = &self.lrs_head.widths;
        let shared = widths.first().copied().unwrap_or(0);
        let decoders = self.decoders.as_ref().map(|decoders| {
            let cross_decoder = |hidden: &[usize], pixels: usize| {
                DecoderConfig::new([&[shared], hidden, &[pixels]].concat()).init(device)
            };
            let own_survey = |hidden: &[usize], pixels: usize| match widths.get(1) {
                Some(&private) => {
                    OwnSurveyDecoder::Split(SplitDecoderConfig::new(shared, private, pixels).init(device))
                }
                None => OwnSurveyDecoder::Whole(cross_decoder(hidden, pixels)),
            };
            Decoders {
                xp: own_survey(&decoders.xp_hidden, self.xp.seq_len),
                lrs: own_survey(&decoders.lrs_hidden, decoders.lrs_pixels),
                xp_cross: cross_decoder(&decoders.xp_hidden, self.xp.seq_len),
                lrs_cross: cross_decoder(&decoders.lrs_hidden, decoders.lrs_pixels),
            }
        });
        Clip {
            lrs: self.lrs.init(device),
            xp: self.xp.init(device),
            lrs_head: self.lrs_head.init(device),
            xp_head: self.xp_head.init(device),
            decoders,
            shared,
        }
    }
}

/// Both encoders and heads, and the four decoders of pr and split.
#[derive(Module, Debug)]
pub struct Clip {
    /// LRS encoder.
    pub lrs: MaskedTransformer,
    /// XP encoder.
    pub xp: Autoencoder,
    lrs_head: LrsProjection,
    xp_head: XpProjection,
    decoders: Option<Decoders>,
    shared: usize,
}

/// The decoders: two within a survey, two from one survey to the other.
#[derive(Module, Debug)]
pub struct Decoders {
    xp: OwnSurveyDecoder,
    lrs: OwnSurveyDecoder,
    xp_cross: Decoder,
    lrs_cross: Decoder,
}

#[derive(Module, Debug)]
// Few of these exist at a time; a `Box` would only add an indirection.
#[allow(clippy::large_enum_variant, reason = "a network is loaded once and not moved in a hot loop")]
enum OwnSurveyDecoder {
    Whole(Decoder),
    Split(SplitDecoder),
}

impl OwnSurveyDecoder {
    fn forward(&self, embedding: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Whole(decoder) => decoder.forward(embedding),
            Self::Split(decoder) => decoder.forward(embedding),
        }
    }

    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        match self {
            Self::Whole(decoder) => decoder.exchange(prefix, transfer),
            Self::Split(decoder) => decoder.exchange(prefix, transfer),
        }
    }
}

impl Clip {
    /// Embedding of continuum-normalised LRS flux (split: shared, then private); not normalised.
    ///
    /// # Shapes
    /// `[batch, 1462]` → `[batch, 768]`
    pub fn embed_lrs(&self, x: Tensor<2>) -> Tensor<2> {
        self.project_lrs(self.lrs.forward(self.lrs.tokens(x)))
    }

    /// Embedding from the LRS encoder's output; lets several heads share one frozen encoder.
    ///
    /// # Shapes
    /// `[batch, tokens, width]` → `[batch, 768]`
    pub fn project_lrs(&self, encoding: Tensor<3>) -> Tensor<2> {
        self.lrs_head.forward(encoding)
    }

    /// Embedding of XP flux relative to 550 nm (split: shared, then private); not normalised.
    ///
    /// # Shapes
    /// `[batch, 343]` → `[batch, 768]`
    pub fn embed_xp(&self, x: Tensor<2>) -> Tensor<2> {
        self.project_xp(self.xp.embed(x))
    }

    /// Embedding from the XP encoder's latent vector.
    ///
    /// # Shapes
    /// `[batch, width]` → `[batch, 768]`
    pub fn project_xp(&self, latent: Tensor<2>) -> Tensor<2> {
        self.xp_head.forward(latent)
    }

    /// The part of an embedding that both surveys share.
    ///
    /// # Shapes
    /// `[batch, 768]` → `[batch, 768]`; split: `[batch, 512]`
    pub fn shared(&self, embedding: Tensor<2>) -> Tensor<2> {
        embedding.narrow(1, 0, self.shared)
    }

    /// Attention output of the LRS head's first branch, before its `LayerNorm`; used for comparison with the reference
    /// code.
    ///
    /// # Shapes
    /// `[batch, 1462]` → `[batch, 768]`
    pub fn attend_lrs(&self, x: Tensor<2>) -> Option<Tensor<2>> {
        self.lrs_head.attend(self.lrs.forward(self.lrs.tokens(x)))
    }

    /// The decoders; base has none.
    pub fn decoders(&self) -> Option<&Decoders> {
        self.decoders.as_ref()
    }

    /// XP flux relative to 550 nm from an LRS embedding.
    ///
    /// # Shapes
    /// `[batch, 768]` → `[batch, 343]`
    pub fn xp_from_lrs(&self, embedding: Tensor<2>) -> Option<Tensor<2>> {
        Some(self.decoders.as_ref()?.xp_cross.forward(self.shared(embedding)))
    }

    /// Continuum-normalised LRS flux from an XP embedding.
    ///
    /// # Shapes
    /// `[batch, 768]` → `[batch, 1462]`
    pub fn lrs_from_xp(&self, embedding: Tensor<2>) -> Option<Tensor<2>> {
        Some(self.decoders.as_ref()?.lrs_cross.forward(self.shared(embedding)))
    }
}

impl Decoders {
    /// XP flux relative to 550 nm, decoded from an XP embedding.
    ///
    /// # Shapes
    /// `[batch, 768]` → `[batch, 343]`
    pub fn xp(&self, embedding: Tensor<2>) -> Tensor<2> {
        self.xp.forward(embedding)
    }

    /// *Standardised* LRS flux, decoded from an LRS embedding; [`lrs_flux`] restores its units.
    ///
    /// # Shapes
    /// `[batch, 768]` → `[batch, 1462]`
    pub fn lrs_standardised(&self, embedding: Tensor<2>) -> Tensor<2> {
        self.lrs.forward(embedding)
    }
}

/// Standardised flux in the units of the spectrum that gave the embedding.
///
/// # Shapes
/// two of `[batch, pixels]` → the same
pub fn lrs_flux(standardised: Tensor<2>, spectrum: Tensor<2>) -> Tensor<2> {
    let (_, mean, std) = standardise(spectrum);
    standardised * std + mean
}

/// Contrastive loss of a batch whose rows match: symmetric cross-entropy with logits 15.5 × cosine similarity.
///
/// # Shapes
/// two of `[batch, width]` → `[1]`
pub fn contrastive_loss(xp: Tensor<2>, lrs: Tensor<2>) -> Tensor<1> {
    let normalised = |x: Tensor<2>| {
        let norm = x.clone().powi_scalar(2).sum_dim(1).sqrt().clamp_min(1e-3);
        x / norm
    };
    let logits = normalised(xp).matmul(normalised(lrs).transpose()) * TEMPERATURE;
    let n = logits.dims()[0];
    let identity = Tensor::<2>::eye(n, &logits.device());
    let mean_log_probability = |dim: usize| (log_softmax(logits.clone(), dim) * identity.clone()).sum() / (n as f64);
    (mean_log_probability(0) + mean_log_probability(1)) / -2.0
}

impl StateDict for Clip {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        let (xp, lrs) = (format!("{prefix}gaia_xp_"), format!("{prefix}lamost_lrs_"));
        self.xp.exchange(&format!("{xp}encoder.backbone."), transfer)?;
        self.xp_head.exchange(&format!("{xp}encoder."), transfer)?;
        self.lrs.exchange(&format!("{lrs}encoder.backbone."), transfer)?;
        self.lrs_head.exchange(&format!("{lrs}encoder."), transfer)?;
        let Some(decoders) = &mut self.decoders else { return Ok(()) };
        decoders.xp.exchange(&format!("{xp}decoder."), transfer)?;
        decoders.lrs.exchange(&format!("{lrs}decoder."), transfer)?;
        decoders.xp_cross.exchange(&format!("{xp}cross_decoder."), transfer)?;
        decoders.lrs_cross.exchange(&format!("{lrs}cross_decoder."), transfer)
    }
}
