//! The XP encoder: an auto-encoder of statistics and standardised flux (docs/model-spec.md §2.2).

use anyhow::Result;
use burn::tensor::{Device, Tensor};

use super::super::grid_sampler::RequiredParts;
use super::super::pairs::Pairs;
use super::super::training_loop::Objective;
use super::tensor;
use crate::nn::autoencoder::Autoencoder;
use crate::preprocess::xp::XP_PIXELS;

/// The training objective: mean squared error of the reconstruction.
pub struct ReconstructionObjective<'a> {
    /// Source of the training spectra.
    pub pairs: &'a Pairs<'a>,
    /// Held-out spectra, `[n][343]`.
    pub held_out: Vec<f32>,
    /// Spectra per step.
    pub batch: usize,
}

fn reconstruction_loss(network: &Autoencoder, spectra: Vec<f32>, device: &Device) -> Tensor<1> {
    let x = tensor(spectra, XP_PIXELS, device);
    let reconstruction = network.reconstruct(network.embed(x.clone()));
    (reconstruction - network.input(x)).powi_scalar(2).mean()
}

impl Objective for ReconstructionObjective<'_> {
    type Network = Autoencoder;
    type Batch = Vec<f32>;

    fn batch(&self, step: usize) -> Result<Vec<f32>> {
        Ok(self.pairs.of_step(step, self.batch, RequiredParts::Xp)?.into_iter().flat_map(|p| p.xp).collect())
    }

    fn loss(&self, network: &Autoencoder, batch: Vec<f32>, device: &Device) -> Tensor<1> {
        reconstruction_loss(network, batch, device)
    }

    fn check(&self, network: &Autoencoder, device: &Device) -> Result<f64> {
        Ok(f64::from(reconstruction_loss(network, self.held_out.clone(), device).into_scalar::<f32>()))
    }
}
