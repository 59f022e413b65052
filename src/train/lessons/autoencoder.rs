//! The XP encoder: an auto-encoder of statistics and standardised flux (MODEL_SPEC §2.2).

use anyhow::Result;
use burn::tensor::{Device, Tensor};

use super::super::pairs::Pairs;
use super::super::population::Want;
use super::super::steps::Lesson;
use super::tensor;
use crate::nn::autoencoder::Autoencoder;
use crate::preprocess::xp::XP_PIXELS;

/// The lesson.
pub struct Rebuilding<'a> {
    /// Where spectra come from.
    pub pairs: &'a Pairs<'a>,
    /// Held-out spectra.
    pub held_out: Vec<f32>,
    /// Spectra a step.
    pub batch: usize,
}

fn off(network: &Autoencoder, spectra: Vec<f32>, device: &Device) -> Tensor<1> {
    let x = tensor(spectra, XP_PIXELS, device);
    let rebuilt = network.reconstruct(network.embed(x.clone()));
    (rebuilt - network.input(x)).powi_scalar(2).mean()
}

impl Lesson for Rebuilding<'_> {
    type Network = Autoencoder;
    type Batch = Vec<f32>;

    fn batch(&self, step: usize) -> Result<Vec<f32>> {
        Ok(self.pairs.of_step(step, self.batch, Want::Xp)?.into_iter().flat_map(|p| p.xp).collect())
    }

    fn loss(&self, network: &Autoencoder, batch: Vec<f32>, device: &Device) -> Tensor<1> {
        off(network, batch, device)
    }

    fn check(&self, network: &Autoencoder, device: &Device) -> Result<f64> {
        Ok(f64::from(off(network, self.held_out.clone(), device).into_scalar::<f32>()))
    }
}
