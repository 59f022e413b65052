//! The LRS encoder: a masked transformer that learns to fill in what was hidden from it (MODEL_SPEC §2.1).

use anyhow::Result;
use burn::tensor::{Device, Tensor};
use rand::RngExt;

use super::super::pairs::Pairs;
use super::super::population::Want;
use super::super::steps::{Lesson, rng_of};
use super::{HELD_OUT_STEP, tensor};
use crate::model::encoders::lrs_input;
use crate::nn::masked_transformer::MaskedTransformer;
use crate::nn::masking::Masking;
use crate::preprocess::grid::MODEL_PIXELS;

/// Spectra with the same tokens hidden; a step has several such groups.
const GROUP: usize = 8;

/// The lesson.
pub struct Masked<'a> {
    /// Where spectra come from.
    pub pairs: &'a Pairs<'a>,
    /// Held-out spectra.
    pub held_out: Vec<f32>,
    /// What is hidden.
    pub masking: Masking,
    /// Tokens of a spectrum.
    pub tokens: usize,
    /// Spectra a step.
    pub batch: usize,
}

/// Spectra `[n][1462]`, and where stretches are hidden in each group of them.
pub struct MaskedBatch {
    spectra: Vec<f32>,
    offsets: Vec<Vec<usize>>,
}

impl Masked<'_> {
    fn offsets(&self, step: usize, spectra: usize) -> Vec<Vec<usize>> {
        // Apart from the examples' own numbers, which are counted from 0.
        let mut rng = rng_of(self.pairs.seed, step, (1 << 20) - 1);
        let end = self.masking.offsets(self.tokens);
        let group = |_| (0..self.masking.chunks).map(|_| rng.random_range(0..end)).collect();
        (0..spectra.div_ceil(GROUP)).map(group).collect()
    }

    fn off(&self, network: &MaskedTransformer, batch: MaskedBatch, device: &Device) -> Tensor<1> {
        let n = batch.spectra.len() / MODEL_PIXELS;
        let x = tensor(batch.spectra, MODEL_PIXELS, device);
        let whole = network.tokens(x);
        let groups = batch.offsets.iter().enumerate().map(|(g, offsets)| {
            let first = g * GROUP;
            self.masking.apply(whole.clone().narrow(0, first, GROUP.min(n - first)), offsets)
        });
        network.masked_loss(Tensor::cat(groups.collect(), 0), whole)
    }
}

impl Lesson for Masked<'_> {
    type Network = MaskedTransformer;
    type Batch = MaskedBatch;

    fn batch(&self, step: usize) -> Result<MaskedBatch> {
        let pairs = self.pairs.of_step(step, self.batch, Want::Lrs)?;
        let spectra = pairs.iter().flat_map(|p| lrs_input(&p.lrs)).collect();
        Ok(MaskedBatch { spectra, offsets: self.offsets(step, pairs.len()) })
    }

    fn loss(&self, network: &MaskedTransformer, batch: MaskedBatch, device: &Device) -> Tensor<1> {
        self.off(network, batch, device)
    }

    fn check(&self, network: &MaskedTransformer, device: &Device) -> Result<f64> {
        let (mut sum, mut n) = (0.0, 0);
        for (i, spectra) in self.held_out.chunks(64 * MODEL_PIXELS).enumerate() {
            let count = spectra.len() / MODEL_PIXELS;
            // The same stretches every time.
            let batch = MaskedBatch { spectra: spectra.to_vec(), offsets: self.offsets(HELD_OUT_STEP + i, count) };
            sum += f64::from(self.off(network, batch, device).into_scalar::<f32>()) * count as f64;
            n += count;
        }
        Ok(sum / n.max(1) as f64)
    }
}
