//! The encoder and projection head of one survey: half of a [`Clip`](super::clip::Clip), from spectrum to embedding.
//!
//! It omits the other survey and the decoders, which hold most of the parameters.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::autoencoder::Autoencoder;
use super::clip::ClipConfig;
use super::masked_transformer::MaskedTransformer;
use super::projection::{LrsProjection, XpProjection};
use super::state_dict::{StateDict, Transfer};
use crate::nn::weights::WeightsError;
use crate::result::specclip::Modality;

/// The frozen encoder of a survey.
#[derive(Module, Debug)]
pub enum Encoder {
    /// LAMOST LRS.
    Lrs(MaskedTransformer),
    /// Gaia XP.
    Xp(Autoencoder),
}

/// The head that projects a survey's encoding.
#[derive(Module, Debug)]
pub enum Projection {
    /// LAMOST LRS.
    Lrs(LrsProjection),
    /// Gaia XP.
    Xp(XpProjection),
}

/// Prefix of the names of a survey's head. The names of its encoder have `backbone.` after this prefix.
pub fn prefix(modality: Modality) -> &'static str {
    match modality {
        Modality::Lrs => "lamost_lrs_encoder.",
        Modality::Xp => "gaia_xp_encoder.",
    }
}

impl ClipConfig {
    /// Encoder and head of one survey with initial weights.
    pub fn tower(&self, modality: Modality, device: &Device) -> (Encoder, Projection) {
        match modality {
            Modality::Lrs => (Encoder::Lrs(self.lrs.init(device)), Projection::Lrs(self.lrs_head.init(device))),
            Modality::Xp => (Encoder::Xp(self.xp.init(device)), Projection::Xp(self.xp_head.init(device))),
        }
    }
}

impl Encoder {
    /// The encoding of spectra: the tokens of LRS; one token for XP.
    ///
    /// # Shapes
    /// `[batch, pixels]` → `[batch, tokens, width]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<3> {
        match self {
            Self::Lrs(encoder) => encoder.forward(encoder.tokens(x)),
            Self::Xp(encoder) => encoder.embed(x).unsqueeze_dim(1),
        }
    }
}

impl Projection {
    /// The embedding (split: shared, then private); not normalised.
    ///
    /// # Shapes
    /// `[batch, tokens, width]` → `[batch, 768]`
    pub fn forward(&self, encoding: Tensor<3>) -> Tensor<2> {
        match self {
            Self::Lrs(head) => head.forward(encoding),
            Self::Xp(head) => head.forward(encoding.squeeze_dim(1)),
        }
    }
}

impl StateDict for Encoder {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        match self {
            Self::Lrs(encoder) => encoder.exchange(prefix, transfer),
            Self::Xp(encoder) => encoder.exchange(prefix, transfer),
        }
    }
}

impl StateDict for Projection {
    fn exchange(&mut self, prefix: &str, transfer: &mut Transfer<'_>) -> Result<(), WeightsError> {
        match self {
            Self::Lrs(head) => head.exchange(prefix, transfer),
            Self::Xp(head) => head.exchange(prefix, transfer),
        }
    }
}
