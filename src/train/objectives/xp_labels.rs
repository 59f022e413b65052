//! Objective of the labels of Gaia XP spectra: the likelihood of APOGEE's labels, each network output with its own
//! error.

use anyhow::Result;
use burn::tensor::{Device, Tensor};
use rand::RngExt;

use super::super::training_loop::{Objective, rng_of};
use super::super::xp::augment::augment;
use super::super::xp::stars::XpStars;
use super::tensor;
use crate::model::xp_regressor::{LOG_SIGMA_RANGE, XP_LABELS, XpRegressor};
use crate::nn::Mlp;
use crate::preprocess::xp_features::XpFeatures;

/// Weight of the pseudo-Huber term: with it, errors of Gaussian labels come out nearly right.
const TAIL_WEIGHT: f64 = 1.5;

/// Rows of a step: inputs, standardised labels, and weights (0 for an unknown label).
#[derive(Debug, Clone, Default)]
pub struct XpRows {
    x: Vec<f32>,
    y: Vec<f32>,
    w: Vec<f32>,
}

impl XpRows {
    /// Rows of stars as observed.
    pub fn of(stars: &XpStars, rows: &[usize], standardisation: &XpRegressor) -> Self {
        let mut all = Self::default();
        rows.iter().for_each(|&i| all.push(standardisation, stars.flux(i), stars.sigma(i), &stars.labels[i]));
        all
    }

    /// Adds a spectrum; one without a positive mean flux is left out.
    fn push(&mut self, standardisation: &XpRegressor, flux: &[f32], sigma: &[f32], labels: &[f32; XP_LABELS]) {
        let Some(features) = XpFeatures::of(flux, sigma) else { return };
        self.x.extend(standardisation.components.project(&features).input);
        for (j, label) in standardisation.standardised(labels).into_iter().enumerate() {
            self.y.push(if labels[j].is_finite() { label } else { 0.0 });
            self.w.push(if labels[j].is_finite() { 1.0 } else { 0.0 });
        }
    }
}

/// The training objective: a likelihood whose tails are those of a pseudo-Huber loss, so that a wrong label does not
/// dominate.
pub struct XpLabels<'a> {
    /// The stars.
    pub stars: &'a XpStars,
    /// Training stars.
    pub rows: &'a [usize],
    /// Components and standardisation; its networks are not used.
    pub standardisation: &'a XpRegressor,
    /// Rows for the check loss.
    pub held_out: XpRows,
    /// Spectra per step.
    pub batch: usize,
    /// Seed of the random choice of stars and of their changes.
    pub seed: u64,
}

impl XpLabels<'_> {
    fn negative_log_likelihood(&self, network: &Mlp, rows: XpRows, device: &Device) -> Tensor<1> {
        let x = tensor(rows.x, self.standardisation.components.input_width(), device);
        let (y, w) = (tensor(rows.y, XP_LABELS, device), tensor(rows.w, XP_LABELS, device));
        let outputs = network.forward(x);
        let mean = outputs.clone().narrow(1, 0, XP_LABELS);
        let (low, high) = LOG_SIGMA_RANGE;
        let log_sigma = outputs.narrow(1, XP_LABELS, XP_LABELS).clamp(low, high);
        let residual = (mean - y) / log_sigma.clone().exp();
        let likelihood = ((residual.clone() * residual + 1.0).sqrt() - 1.0) * TAIL_WEIGHT + log_sigma;
        (likelihood * w.clone()).sum() / w.sum()
    }
}

impl Objective for XpLabels<'_> {
    type Network = Mlp;
    type Batch = XpRows;

    fn batch(&self, step: usize) -> Result<XpRows> {
        let mut rng = rng_of(self.seed, step, 0);
        let mut rows = XpRows::default();
        for _ in 0..self.batch {
            let star = self.rows[rng.random_range(0..self.rows.len())];
            let (flux, sigma) = augment(self.stars.flux(star), self.stars.sigma(star), &mut rng);
            rows.push(self.standardisation, &flux, &sigma, &self.stars.labels[star]);
        }
        Ok(rows)
    }

    fn loss(&self, network: &Mlp, batch: XpRows, device: &Device) -> Tensor<1> {
        self.negative_log_likelihood(network, batch, device)
    }

    fn check(&self, network: &Mlp, device: &Device) -> Result<f64> {
        Ok(f64::from(self.negative_log_likelihood(network, self.held_out.clone(), device).into_scalar::<f32>()))
    }
}
