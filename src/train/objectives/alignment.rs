//! Alignment of both encoders' outputs in one space (docs/model-spec.md §2.4–2.6).
//!
//! The encoders are frozen, and the three variants train on the same pairs. So each spectrum is encoded once for all
//! variants. The variants share no weights, so each learns the same as in a separate training.

use anyhow::Result;
use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::super::grid_sampler::RequiredParts;
use super::super::pairs::{Pair, Pairs};
use super::super::training_loop::Objective;
use super::tensor;
use crate::model::encoders::{Size, Variant, lrs_input};
use crate::nn::autoencoder::Autoencoder;
use crate::nn::clip::{Clip, ClipConfig, contrastive_loss};
use crate::nn::masked_transformer::MaskedTransformer;
use crate::nn::tokens::standardise;
use crate::preprocess::grid::MODEL_PIXELS;
use crate::preprocess::xp::XP_PIXELS;

/// Losses of a variant beside the contrastive loss; each has the same weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Losses {
    /// Of a spectrum reconstructed from its own embedding.
    pub reconstruction: bool,
    /// Of a spectrum predicted from the embedding of the other survey.
    pub prediction: bool,
}

impl Losses {
    /// Both losses; a variant without decoders has none.
    pub const BOTH: Self = Self { reconstruction: true, prediction: true };
}

/// Networks that are aligned on the same pairs.
#[derive(Module, Debug)]
pub struct Variants {
    /// One network per variant.
    pub all: Vec<Clip>,
}

impl Variants {
    /// Newly initialised projection heads and decoders on these encoders, in the order of [`Variant::ALL`].
    pub fn new(size: Size, encoders: &EncoderModules, device: &Device) -> Self {
        Self::of(&Variant::ALL.map(|variant| size.clip(variant)), encoders, device)
    }

    /// The same for any configurations.
    pub fn of(configs: &[ClipConfig], encoders: &EncoderModules, device: &Device) -> Self {
        let one = |config: &ClipConfig| {
            let mut clip = config.init(device);
            clip.lrs = encoders.lrs.clone().fork(device).no_grad();
            clip.xp = encoders.xp.clone().fork(device).no_grad();
            clip
        };
        Self { all: configs.iter().map(one).collect() }
    }
}

/// The frozen encoders.
#[derive(Debug, Clone)]
pub struct EncoderModules {
    /// Of optical spectra.
    pub lrs: MaskedTransformer,
    /// Of XP spectra.
    pub xp: Autoencoder,
}

/// The training objective.
pub struct Alignment<'a> {
    /// Source of the training pairs.
    pub pairs: &'a Pairs<'a>,
    /// Losses of the variants beyond the contrastive loss; variants past the end have both.
    pub losses: Vec<Losses>,
    /// Held-out pairs.
    pub held_out: AlignmentRows,
    /// The encoders, without gradients.
    pub encoders: EncoderModules,
    /// Device of the encoders.
    pub device: Device,
    /// Pairs per step. The contrastive loss compares each pair with all others of the step.
    pub batch: usize,
}

/// Pairs as arrays.
#[derive(Debug, Clone, Default)]
pub struct AlignmentRows {
    /// `[n][1462]`, [`lrs_input`]s.
    pub lrs: Vec<f32>,
    /// `[n][1462]`: 1 where the optical spectrum has a pixel.
    pub mask: Vec<f32>,
    /// XP spectra, `[n][343]`.
    pub xp: Vec<f32>,
}

impl AlignmentRows {
    /// The spectra of pairs.
    pub fn of(pairs: &[Pair]) -> Self {
        Self {
            lrs: pairs.iter().flat_map(|p| lrs_input(&p.lrs)).collect(),
            mask: pairs.iter().flat_map(|p| &p.lrs).map(|v| if v.is_finite() { 1.0 } else { 0.0 }).collect(),
            xp: pairs.iter().flat_map(|p| &p.xp).copied().collect(),
        }
    }
}

/// Loss of one variant. The targets are spectra, so missing optical pixels have no weight.
fn variant_loss(clip: &Clip, losses: Losses, tokens: Tensor<3>, latent: Tensor<2>, x: &Targets) -> Tensor<1> {
    let (lrs_embedding, xp_embedding) = (clip.project_lrs(tokens), clip.project_xp(latent));
    let loss = contrastive_loss(clip.shared(xp_embedding.clone()), clip.shared(lrs_embedding.clone()));
    let (Some(decoders), Some(xp_translated), Some(lrs_translated)) =
        (clip.decoders(), clip.xp_from_lrs(lrs_embedding.clone()), clip.lrs_from_xp(xp_embedding.clone()))
    else {
        return loss;
    };
    let xp_loss = |predicted: Tensor<2>| (predicted - x.xp.clone()).abs().mean();
    let lrs_loss = |predicted: Tensor<2>, expected: Tensor<2>| {
        ((predicted - expected).abs() * x.mask.clone()).sum() / x.mask.clone().sum()
    };
    let mut loss = loss;
    if losses.reconstruction {
        loss = loss
            + xp_loss(decoders.xp(xp_embedding))
            + lrs_loss(decoders.lrs_standardised(lrs_embedding), x.lrs_standardised.clone());
    }
    if losses.prediction {
        loss = loss + xp_loss(xp_translated) + lrs_loss(lrs_translated, x.lrs.clone());
    }
    loss
}

struct Targets {
    lrs: Tensor<2>,
    lrs_standardised: Tensor<2>,
    mask: Tensor<2>,
    xp: Tensor<2>,
}

impl Alignment<'_> {
    /// Sum of the losses of all variants. The device of `network` may record gradients or not.
    fn total_loss(&self, network: &Variants, rows: AlignmentRows, device: &Device) -> Tensor<1> {
        // The frozen encoders need no gradients.
        let encoder_device = &self.device;
        let (lrs, xp) = (tensor(rows.lrs, MODEL_PIXELS, encoder_device), tensor(rows.xp, XP_PIXELS, encoder_device));
        let tokens = self.encoders.lrs.forward(self.encoders.lrs.tokens(lrs.clone())).to_device(device);
        let latent = self.encoders.xp.embed(xp.clone()).to_device(device);
        let (lrs, xp) = (lrs.to_device(device), xp.to_device(device));
        let targets = Targets {
            lrs_standardised: standardise(lrs.clone()).0,
            lrs,
            mask: tensor(rows.mask, MODEL_PIXELS, encoder_device).to_device(device),
            xp,
        };
        let each = network.all.iter().enumerate().map(|(i, clip)| {
            let losses = self.losses.get(i).copied().unwrap_or(Losses::BOTH);
            variant_loss(clip, losses, tokens.clone(), latent.clone(), &targets)
        });
        each.reduce(|a, b| a + b).unwrap_or_else(|| Tensor::zeros([1], device))
    }
}

impl Objective for Alignment<'_> {
    type Network = Variants;
    type Batch = AlignmentRows;

    fn batch(&self, step: usize) -> Result<AlignmentRows> {
        Ok(AlignmentRows::of(&self.pairs.of_step(step, self.batch, RequiredParts::Both)?))
    }

    fn loss(&self, network: &Variants, batch: AlignmentRows, device: &Device) -> Tensor<1> {
        self.total_loss(network, batch, device)
    }

    fn check(&self, network: &Variants, device: &Device) -> Result<f64> {
        Ok(f64::from(self.total_loss(network, self.held_out.clone(), device).into_scalar::<f32>()))
    }
}
