//! Augmentation of training spectra: noise and changes of line depth.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::nn::flow::standard_normal;
use crate::preprocess::grid::MODEL_PIXELS;
use crate::result::finetune::Settings;

/// Number of precomputed line-depth curves.
const LINE_DEPTH_CURVES: usize = 256;

/// Length of the precomputed noise, in spectra; each draw starts at a random pixel.
const NOISE_SPECTRA: usize = 32;

/// A smooth curve of unit variance over the model's pixels through standard normal `knots`, one every `width` pixels.
pub fn smooth_curve(width: f64, knots: &[f64]) -> impl Iterator<Item = f64> {
    (0..MODEL_PIXELS).map(move |i| {
        let position = i as f64 / width;
        let (j, t) = (position as usize, position.fract());
        // Cosine between knots, scaled so that the variance does not dip between them.
        let s = 0.5 - 0.5 * (std::f64::consts::PI * t).cos();
        let norm = (s * s + (1.0 - s) * (1.0 - s)).sqrt();
        (knots[j] * (1.0 - s) + knots[j + 1] * s) / norm
    })
}

/// Random noise and line-depth curves for augmentation.
pub(super) struct Augment {
    curves: Vec<Vec<f32>>,
    noise: Vec<f32>,
    sigma: f32,
}

impl Augment {
    /// Draws noise and curves for the settings.
    pub(super) fn new(settings: &Settings) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(settings.seed ^ 0xa06);
        let curve = |i: u64| {
            let width = 4.0 * 20f64.powf(rng.random());
            let knots =
                standard_normal(settings.seed.wrapping_mul(0x1_0003) ^ i, (MODEL_PIXELS as f64 / width) as usize + 3);
            let knots: Vec<f64> = knots.into_iter().map(f64::from).collect();
            smooth_curve(width, &knots).map(|v| settings.line_depth * v as f32).collect()
        };
        let curves =
            if settings.line_depth > 0.0 { (0..LINE_DEPTH_CURVES as u64).map(curve).collect() } else { Vec::new() };
        let is_noisy = settings.noise > 0.0;
        let noise =
            if is_noisy { standard_normal(settings.seed ^ 0x9015e, NOISE_SPECTRA * MODEL_PIXELS) } else { Vec::new() };
        Self { curves, noise, sigma: settings.noise }
    }

    /// True when the augmentation changes nothing.
    pub(super) fn is_none(&self) -> bool {
        self.curves.is_empty() && self.noise.is_empty()
    }

    /// Augments a spectrum in place; missing pixels stay missing.
    pub(super) fn apply(&self, norm: &mut [f32], rng: &mut ChaCha8Rng) {
        if !self.curves.is_empty() {
            let curve = &self.curves[rng.random_range(0..self.curves.len())];
            let strength: f32 = rng.random_range(0.0..1.5);
            norm.iter_mut().zip(curve).for_each(|(v, d)| *v = 1.0 - (1.0 - *v) * (1.0 + strength * d));
        }
        if !self.noise.is_empty() {
            let from = rng.random_range(0..=self.noise.len() - norm.len().min(self.noise.len()));
            let strength = self.sigma * rng.random_range(0.0f32..1.0);
            norm.iter_mut().zip(&self.noise[from..]).for_each(|(v, n)| *v += strength * n);
        }
    }
}
