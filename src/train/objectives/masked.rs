//! Objective of a masked transformer, which reconstructs masked parts of a spectrum (docs/model-spec.md §2.1, §2.3).

use anyhow::Result;
use burn::tensor::{Device, Tensor};
use rand::RngExt;

use super::super::grid_sampler::RequiredParts;
use super::super::pairs::Pairs;
use super::super::training_loop::{Objective, rng_of};
use super::{HELD_OUT_STEP, tensor};
use crate::model::encoders::lrs_input;
use crate::nn::masked_transformer::MaskedTransformer;
use crate::nn::masking::Masking;
use crate::result::specclip::Modality;
use crate::similarity::thumbnail::pixels;

/// Number of spectra with the same masked tokens; a step has several such groups.
const GROUP: usize = 8;

/// The training objective.
pub struct MaskedObjective<'a> {
    /// Source of the training spectra.
    pub pairs: &'a Pairs<'a>,
    /// The survey.
    pub modality: Modality,
    /// Held-out spectra, `[n][1462]` or `[n][343]`.
    pub held_out: Vec<f32>,
    /// Number and length of the masked chunks.
    pub masking: Masking,
    /// Number of tokens of a spectrum.
    pub tokens: usize,
    /// Spectra per step.
    pub batch: usize,
}

/// Spectra `[n][1462]` or `[n][343]`, and the offsets of the masked chunks for each group of spectra.
pub struct MaskedBatch {
    spectra: Vec<f32>,
    offsets: Vec<Vec<usize>>,
}

impl MaskedObjective<'_> {
    fn offsets(&self, step: usize, spectra: usize) -> Vec<Vec<usize>> {
        // This example number differs from those of the spectra, which count from 0.
        let mut rng = rng_of(self.pairs.seed, step, (1 << 20) - 1);
        let end = self.masking.offsets(self.tokens);
        let group = |_| (0..self.masking.chunks).map(|_| rng.random_range(0..end)).collect();
        (0..spectra.div_ceil(GROUP)).map(group).collect()
    }

    fn batch_loss(&self, network: &MaskedTransformer, batch: MaskedBatch, device: &Device) -> Tensor<1> {
        let pixels = pixels(self.modality);
        let n = batch.spectra.len() / pixels;
        let x = tensor(batch.spectra, pixels, device);
        let tokens_of_all = network.tokens(x);
        let groups = batch.offsets.iter().enumerate().map(|(g, offsets)| {
            let first = g * GROUP;
            self.masking.apply(tokens_of_all.clone().narrow(0, first, GROUP.min(n - first)), offsets)
        });
        network.masked_loss(Tensor::cat(groups.collect(), 0), tokens_of_all)
    }
}

impl Objective for MaskedObjective<'_> {
    type Network = MaskedTransformer;
    type Batch = MaskedBatch;

    fn batch(&self, step: usize) -> Result<MaskedBatch> {
        let required = if self.modality == Modality::Xp { RequiredParts::Xp } else { RequiredParts::Lrs };
        let pairs = self.pairs.of_step(step, self.batch, required)?;
        let spectra = match self.modality {
            Modality::Lrs => pairs.iter().flat_map(|p| lrs_input(&p.lrs)).collect(),
            Modality::Xp => pairs.iter().flat_map(|p| p.xp.iter().copied()).collect(),
        };
        Ok(MaskedBatch { spectra, offsets: self.offsets(step, pairs.len()) })
    }

    fn loss(&self, network: &MaskedTransformer, batch: MaskedBatch, device: &Device) -> Tensor<1> {
        self.batch_loss(network, batch, device)
    }

    fn check(&self, network: &MaskedTransformer, device: &Device) -> Result<f64> {
        let (mut sum, mut n) = (0.0, 0);
        let pixels = pixels(self.modality);
        for (i, spectra) in self.held_out.chunks(64 * pixels).enumerate() {
            let count = spectra.len() / pixels;
            // The same chunks at every check.
            let batch = MaskedBatch { spectra: spectra.to_vec(), offsets: self.offsets(HELD_OUT_STEP + i, count) };
            sum += f64::from(self.batch_loss(network, batch, device).into_scalar::<f32>()) * count as f64;
            n += count;
        }
        Ok(sum / n.max(1) as f64)
    }
}
