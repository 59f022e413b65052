//! Simulated observations of stars with known labels, as training data.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::grid::{GRID_RESOLVING_POWER, Grid};
use super::simulate::{IntrinsicSpectrum, ObservingConditions, observe, survey_like};
use crate::preprocess::grid::MODEL_PIXELS;
use crate::spectrum::FWHM_OVER_SIGMA;

/// The network for which the observations are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatasetUse {
    /// Velocity network: the spectra keep velocities to ±500 km/s, and the velocity is the only target.
    Velocity,
    /// Label network: spectra at rest except for the error of the velocity network; the targets are the other labels.
    Labels,
}

/// Inputs, targets and weights. The weight of an unknown label is 0.
#[derive(Debug, Clone, Default)]
pub struct Dataset {
    /// Normalised spectra, `[n][1462]`, flattened.
    pub inputs: Vec<f32>,
    /// Labels in physical units, `[n][k]`.
    pub targets: Vec<f32>,
    /// Weights of the targets, `[n][k]`.
    pub weights: Vec<f32>,
    /// Number of labels.
    pub k: usize,
    /// Index of the star of each row.
    pub star: Vec<usize>,
    /// S/N of each row.
    pub snr: Vec<f32>,
    /// Fraction of the model's pixels that each row has, 0–1.
    pub coverage: Vec<f32>,
}

/// A real star of a spectral library, at rest.
#[derive(Debug, Clone)]
pub struct LibraryEntry {
    /// Its id.
    pub id: String,
    /// Group for splits: the cluster, or the star itself. All stars of a group are on the same side of a split.
    pub group: String,
    /// log10 of vacuum wavelength in Å.
    pub log10: Vec<f64>,
    /// Flux, any unit.
    pub flux: Vec<f64>,
    /// Line spread of the library, FWHM in Å.
    pub fwhm_aa: f64,
    /// Labels in the order of [`Grid::LABELS`]; NaN if unknown.
    pub labels: [f64; 4],
}

impl Dataset {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.star.len()
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.star.is_empty()
    }

    /// The input of one row.
    pub fn input(&self, row: usize) -> &[f32] {
        &self.inputs[row * MODEL_PIXELS..(row + 1) * MODEL_PIXELS]
    }

    fn push(&mut self, input: Vec<f32>, targets: &[f64], star: usize, snr: f64) {
        let valid_count = input.iter().filter(|x| x.is_finite()).count();
        self.coverage.push(valid_count as f32 / MODEL_PIXELS as f32);
        self.inputs.extend(input);
        self.targets.extend(targets.iter().map(|t| if t.is_finite() { *t as f32 } else { 0.0 }));
        self.weights.extend(targets.iter().map(|t| if t.is_finite() { 1.0 } else { 0.0 }));
        self.k = targets.len();
        self.star.push(star);
        self.snr.push(snr as f32);
    }

    /// Appends another dataset with the same labels.
    pub fn extend(&mut self, other: Self) {
        self.k = other.k;
        self.inputs.extend(other.inputs);
        self.targets.extend(other.targets);
        self.weights.extend(other.weights);
        self.star.extend(other.star);
        self.snr.extend(other.snr);
        self.coverage.extend(other.coverage);
    }

    /// The same rows with only one label known; the weights of the other labels become 0.
    pub fn with_single_known_label(mut self, label: usize) -> Self {
        let k = self.k;
        self.weights.iter_mut().enumerate().filter(|(i, _)| i % k != label).for_each(|(_, w)| *w = 0.0);
        self
    }

    /// The same rows with one label as the only target.
    pub fn with_single_target(self, label: usize) -> Self {
        let column = |all: &[f32]| all.iter().skip(label).step_by(self.k).copied().collect();
        Self { targets: column(&self.targets), weights: column(&self.weights), k: 1, ..self }
    }

    /// Means of row values by star. Returns the stars in increasing order, and for each the mean of `rows` over its
    /// observations. Weights are S/N², with S/N limited to 100, so good observations dominate.
    pub fn by_star(&self, rows: &[Vec<f64>]) -> (Vec<usize>, Vec<Vec<f64>>) {
        let mut stars = self.star.clone();
        stars.sort_unstable();
        stars.dedup();
        let (mut means, mut weights) = (vec![vec![0.0; self.k]; stars.len()], vec![0.0; stars.len()]);
        for (row, values) in rows.iter().enumerate() {
            let star = stars.binary_search(&self.star[row]).unwrap_or_default();
            let weight = f64::from(self.snr[row]).min(100.0).powi(2);
            means[star].iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
            weights[star] += weight;
        }
        means.iter_mut().zip(&weights).for_each(|(mean, n)| mean.iter_mut().for_each(|value| *value /= n));
        (stars, means)
    }

    /// The same rows with each label's weight multiplied by a factor.
    pub fn with_label_weights(mut self, factors: [f32; 4]) -> Self {
        let k = self.k;
        self.weights.iter_mut().enumerate().for_each(|(i, w)| *w *= factors[i % k]);
        self
    }

    /// `draws` observations of every listed node of the grid.
    pub fn of_grid(grid: &Grid, nodes: &[usize], draws: usize, dataset_use: DatasetUse, seed: u64) -> Self {
        let sigma_dex = 1.0 / GRID_RESOLVING_POWER / FWHM_OVER_SIGMA / std::f64::consts::LN_10;
        Self::observe_all(nodes.len(), draws, dataset_use, seed, |i| TrainingSpectrum {
            star: nodes[i],
            log10: &grid.log10_vac,
            flux: grid.flux(nodes[i]),
            line_spread: LineSpread::Constant(sigma_dex),
            labels: grid.labels[nodes[i]],
            is_real: false,
        })
    }

    /// `draws` observations of every listed star of a library.
    pub fn of_library(
        stars: &[LibraryEntry],
        chosen: &[usize],
        draws: usize,
        dataset_use: DatasetUse,
        seed: u64,
    ) -> Self {
        Self::observe_all(chosen.len(), draws, dataset_use, seed, |i| {
            let star = &stars[chosen[i]];
            TrainingSpectrum {
                star: chosen[i],
                log10: &star.log10,
                flux: star.flux.clone(),
                line_spread: LineSpread::ConstantAa(star.fwhm_aa),
                labels: star.labels,
                is_real: true,
            }
        })
    }

    fn observe_all<'a>(
        count: usize,
        draws: usize,
        dataset_use: DatasetUse,
        seed: u64,
        training_spectrum: impl Fn(usize) -> TrainingSpectrum<'a> + Sync,
    ) -> Self {
        let parts: Vec<Self> = (0..count)
            .into_par_iter()
            .map(|i| {
                let training_spectrum = training_spectrum(i);
                let mut rng = ChaCha8Rng::seed_from_u64(seed ^ ((training_spectrum.star as u64) << 20));
                let mut part = Self::default();
                for _ in 0..draws {
                    let conditions = training_spectrum.observing_conditions(dataset_use, &mut rng);
                    if let Some(input) = observe(&training_spectrum.as_star(), &conditions, &mut rng)
                        && input.iter().any(|x| x.is_finite())
                    {
                        match dataset_use {
                            DatasetUse::Velocity => {
                                part.push(input, &[conditions.rv_kms], training_spectrum.star, conditions.snr)
                            }
                            DatasetUse::Labels => {
                                part.push(input, &training_spectrum.labels, training_spectrum.star, conditions.snr)
                            }
                        }
                    }
                }
                part
            })
            .collect();
        let mut all = Self::default();
        parts.into_iter().filter(|p| !p.is_empty()).for_each(|p| all.extend(p));
        all
    }
}

enum LineSpread {
    /// σ in log10 λ.
    Constant(f64),
    /// FWHM in Å.
    ConstantAa(f64),
}

struct TrainingSpectrum<'a> {
    star: usize,
    log10: &'a [f64],
    flux: Vec<f64>,
    line_spread: LineSpread,
    labels: [f64; 4],
    is_real: bool,
}

impl TrainingSpectrum<'_> {
    fn as_star(&self) -> IntrinsicSpectrum<'_> {
        let in_aa = FWHM_OVER_SIGMA * std::f64::consts::LN_10;
        let sigma_dex: Box<dyn Fn(f64) -> f64> = match self.line_spread {
            LineSpread::Constant(sigma) => Box::new(move |_| sigma),
            LineSpread::ConstantAa(fwhm) => Box::new(move |x| fwhm / 10f64.powf(x) / in_aa),
        };
        IntrinsicSpectrum { log10: self.log10, flux: &self.flux, sigma_dex }
    }

    fn observing_conditions(&self, dataset_use: DatasetUse, rng: &mut ChaCha8Rng) -> ObservingConditions {
        // The range exceeds ±400 km/s, so that the network does not bias velocities near this limit inward.
        let rv_kms = match dataset_use {
            DatasetUse::Velocity => rng.random_range(-500.0..500.0),
            DatasetUse::Labels => 0.0,
        };
        // Error of the velocity network: some 10 km/s, more at low S/N.
        let assumed_rv_kms = match dataset_use {
            DatasetUse::Velocity => 0.0,
            DatasetUse::Labels => {
                let width: f64 = if rng.random_bool(0.9) { 12.0 } else { 40.0 };
                width * (rng.random::<f64>() + rng.random::<f64>() - 1.0) * 1.7
            }
        };
        let mut conditions = survey_like(rv_kms, assumed_rv_kms, rng);
        if self.is_real {
            // The spectrum already contains the library's line spread and the star's rotation. A little more broadening
            // represents a spectrograph of lower resolution.
            conditions.broadening_kms = if rng.random_bool(0.5) { 0.0 } else { rng.random_range(0.0..40.0) };
            conditions.fwhm_aa = (0.0, 0.0);
            // 15 % of the observations stay as good as the library itself.
            if rng.random_bool(0.15) {
                conditions.snr = f64::INFINITY;
            }
        }
        conditions
    }
}
