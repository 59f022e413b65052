//! Both encoders' outputs into one space (MODEL_SPEC §2.4–2.6).
//!
//! The encoders are frozen, and the three variants see the same pairs: each spectrum is encoded once for all of them. They
//! share no weight, so each learns what it would learn alone.

use anyhow::Result;
use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::super::pairs::{Pair, Pairs};
use super::super::population::Want;
use super::super::steps::Lesson;
use super::tensor;
use crate::model::encoders::{Size, Variant, lrs_input};
use crate::nn::autoencoder::Autoencoder;
use crate::nn::clip::{Clip, contrastive_loss};
use crate::nn::masked_transformer::MaskedTransformer;
use crate::nn::tokens::standardise;
use crate::preprocess::grid::MODEL_PIXELS;
use crate::preprocess::xp::XP_PIXELS;

/// Weight of rebuilding and of predicting, beside the contrastive loss.
const RECONSTRUCTION: f64 = 1.0;
const PREDICTION: f64 = 1.0;

/// The variants, in the order of [`Variant::ALL`].
#[derive(Module, Debug)]
pub struct Variants {
    /// One a variant.
    pub all: Vec<Clip>,
}

impl Variants {
    /// First heads and decoders on these encoders.
    pub fn new(size: Size, encoders: &Encoders, device: &Device) -> Self {
        let one = |variant: Variant| {
            let mut clip = size.clip(variant).init(device);
            clip.lrs = encoders.lrs.clone().fork(device).no_grad();
            clip.xp = encoders.xp.clone().fork(device).no_grad();
            clip
        };
        Self { all: Variant::ALL.into_iter().map(one).collect() }
    }
}

/// The frozen encoders.
#[derive(Debug, Clone)]
pub struct Encoders {
    /// Of optical spectra.
    pub lrs: MaskedTransformer,
    /// Of XP spectra.
    pub xp: Autoencoder,
}

/// The lesson.
pub struct Alignment<'a> {
    /// Where pairs come from.
    pub pairs: &'a Pairs<'a>,
    /// Held-out pairs.
    pub held_out: Rows,
    /// The encoders, without gradients.
    pub encoders: Encoders,
    /// Where they are.
    pub device: Device,
    /// Pairs a step: each is told from all others.
    pub batch: usize,
}

/// Pairs as arrays.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// `[n][1462]`, [`lrs_input`]s.
    pub lrs: Vec<f32>,
    /// `[n][1462]`: 1 where the optical spectrum has a pixel.
    pub there: Vec<f32>,
    /// `[n][343]`.
    pub xp: Vec<f32>,
}

impl Rows {
    /// The spectra of pairs.
    pub fn of(pairs: &[Pair]) -> Self {
        Self {
            lrs: pairs.iter().flat_map(|p| lrs_input(&p.lrs)).collect(),
            there: pairs.iter().flat_map(|p| &p.lrs).map(|v| if v.is_finite() { 1.0 } else { 0.0 }).collect(),
            xp: pairs.iter().flat_map(|p| &p.xp).copied().collect(),
        }
    }
}

/// The loss of one variant. The targets are spectra, so a pixel that is not there does not count.
fn off(clip: &Clip, tokens: Tensor<3>, latent: Tensor<2>, x: &Targets) -> Tensor<1> {
    let (of_lrs, of_xp) = (clip.project_lrs(tokens), clip.project_xp(latent));
    let loss = contrastive_loss(clip.shared(of_xp.clone()), clip.shared(of_lrs.clone()));
    let (Some(decoders), Some(xp_across), Some(lrs_across)) =
        (clip.decoders(), clip.xp_from_lrs(of_lrs.clone()), clip.lrs_from_xp(of_xp.clone()))
    else {
        return loss;
    };
    let in_xp = |got: Tensor<2>| (got - x.xp.clone()).abs().mean();
    let in_lrs = |got: Tensor<2>, want: Tensor<2>| ((got - want).abs() * x.there.clone()).sum() / x.there.clone().sum();
    let rebuilt = in_xp(decoders.xp(of_xp)) + in_lrs(decoders.lrs_standardised(of_lrs), x.lrs_standard.clone());
    let predicted = in_xp(xp_across) + in_lrs(lrs_across, x.lrs.clone());
    loss + rebuilt * RECONSTRUCTION + predicted * PREDICTION
}

struct Targets {
    lrs: Tensor<2>,
    lrs_standard: Tensor<2>,
    there: Tensor<2>,
    xp: Tensor<2>,
}

impl Alignment<'_> {
    /// The sum of the variants' losses; `network` on a device with gradients or without.
    fn all(&self, network: &Variants, rows: Rows, device: &Device) -> Tensor<1> {
        // The frozen part without gradients.
        let plain = &self.device;
        let (lrs, xp) = (tensor(rows.lrs, MODEL_PIXELS, plain), tensor(rows.xp, XP_PIXELS, plain));
        let tokens = self.encoders.lrs.forward(self.encoders.lrs.tokens(lrs.clone())).to_device(device);
        let latent = self.encoders.xp.embed(xp.clone()).to_device(device);
        let (lrs, xp) = (lrs.to_device(device), xp.to_device(device));
        let targets = Targets {
            lrs_standard: standardise(lrs.clone()).0,
            lrs,
            there: tensor(rows.there, MODEL_PIXELS, plain).to_device(device),
            xp,
        };
        let each = network.all.iter().map(|clip| off(clip, tokens.clone(), latent.clone(), &targets));
        each.reduce(|a, b| a + b).unwrap_or_else(|| Tensor::zeros([1], device))
    }
}

impl Lesson for Alignment<'_> {
    type Network = Variants;
    type Batch = Rows;

    fn batch(&self, step: usize) -> Result<Rows> {
        Ok(Rows::of(&self.pairs.of_step(step, self.batch, Want::Both)?))
    }

    fn loss(&self, network: &Variants, batch: Rows, device: &Device) -> Tensor<1> {
        self.all(network, batch, device)
    }

    fn check(&self, network: &Variants, device: &Device) -> Result<f64> {
        Ok(f64::from(self.all(network, self.held_out.clone(), device).into_scalar::<f32>()))
    }
}
