//! Simulated observations of stars with known labels, ready to be fitted.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::grid::{GRID_RESOLVING_POWER, Grid};
use super::simulate::{Circumstances, Star, observe, survey_like};
use crate::preprocess::grid::MODEL_PIXELS;
use crate::preprocess::resample::FWHM_OVER_SIGMA;

/// Which network the observations are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Velocities to ±500 km/s are left in and are the one target.
    Velocity,
    /// At rest, but for what the velocity network leaves; the targets are the other labels.
    Labels,
}

/// Inputs and targets; a target's weight is 0 where its label is not known.
#[derive(Debug, Clone, Default)]
pub struct Dataset {
    /// `[n][1462]`, one after the other.
    pub inputs: Vec<f32>,
    /// `[n][k]` in physical units.
    pub targets: Vec<f32>,
    /// `[n][k]`.
    pub weights: Vec<f32>,
    /// Number of labels.
    pub k: usize,
    /// Index of the star that each row shows.
    pub star: Vec<usize>,
    /// S/N of each row.
    pub snr: Vec<f32>,
    /// Part of the model's pixels that each row has.
    pub coverage: Vec<f32>,
}

/// A real star of a library, at rest.
#[derive(Debug, Clone)]
pub struct LibraryStar {
    /// Its id.
    pub id: String,
    /// Stars of one group are never on two sides of a split: the cluster, else the star itself.
    pub group: String,
    /// log10 of vacuum wavelength.
    pub log10: Vec<f64>,
    /// Flux, any unit.
    pub flux: Vec<f64>,
    /// Line spread of the library, Å FWHM.
    pub fwhm_aa: f64,
    /// Labels in the order of [`Grid::LABELS`]; NaN where not known.
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
        let there = input.iter().filter(|x| x.is_finite()).count();
        self.coverage.push(there as f32 / MODEL_PIXELS as f32);
        self.inputs.extend(input);
        self.targets.extend(targets.iter().map(|t| if t.is_finite() { *t as f32 } else { 0.0 }));
        self.weights.extend(targets.iter().map(|t| if t.is_finite() { 1.0 } else { 0.0 }));
        self.k = targets.len();
        self.star.push(star);
        self.snr.push(snr as f32);
    }

    /// Appends another dataset with the same labels.
    pub fn extend(&mut self, other: Dataset) {
        self.k = other.k;
        self.inputs.extend(other.inputs);
        self.targets.extend(other.targets);
        self.weights.extend(other.weights);
        self.star.extend(other.star);
        self.snr.extend(other.snr);
        self.coverage.extend(other.coverage);
    }

    /// The same rows with all labels but one hidden.
    pub fn only(mut self, label: usize) -> Self {
        let k = self.k;
        self.weights.iter_mut().enumerate().filter(|(i, _)| i % k != label).for_each(|(_, w)| *w = 0.0);
        self
    }

    /// The same rows with one label as the only target.
    pub fn column(self, label: usize) -> Self {
        let one = |all: &[f32]| all.iter().skip(label).step_by(self.k).copied().collect();
        Self { targets: one(&self.targets), weights: one(&self.weights), k: 1, ..self }
    }

    /// The stars of these rows, in order, and for each the mean of what is given for its rows, the good observations above
    /// all.
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
    pub fn weighed(mut self, factors: [f32; 4]) -> Self {
        let k = self.k;
        self.weights.iter_mut().enumerate().for_each(|(i, w)| *w *= factors[i % k]);
        self
    }

    /// `draws` observations of every listed node of the grid.
    pub fn of_grid(grid: &Grid, nodes: &[usize], draws: usize, purpose: Purpose, seed: u64) -> Self {
        let sigma_dex = 1.0 / GRID_RESOLVING_POWER / FWHM_OVER_SIGMA / std::f64::consts::LN_10;
        Self::observe_all(nodes.len(), draws, purpose, seed, |i| Subject {
            star: nodes[i],
            log10: &grid.log10_vac,
            flux: grid.flux(nodes[i]),
            line_spread: LineSpread::Constant(sigma_dex),
            labels: grid.labels[nodes[i]],
            is_real: false,
        })
    }

    /// `draws` observations of every listed star of a library.
    pub fn of_library(stars: &[LibraryStar], chosen: &[usize], draws: usize, purpose: Purpose, seed: u64) -> Self {
        Self::observe_all(chosen.len(), draws, purpose, seed, |i| {
            let star = &stars[chosen[i]];
            Subject {
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
        purpose: Purpose,
        seed: u64,
        subject: impl Fn(usize) -> Subject<'a> + Sync,
    ) -> Self {
        let parts: Vec<Dataset> = (0..count)
            .into_par_iter()
            .map(|i| {
                let subject = subject(i);
                let mut rng = ChaCha8Rng::seed_from_u64(seed ^ ((subject.star as u64) << 20));
                let mut part = Dataset::default();
                for _ in 0..draws {
                    let how = subject.circumstances(purpose, &mut rng);
                    if let Some(input) = observe(&subject.as_star(), &how, &mut rng)
                        && input.iter().any(|x| x.is_finite())
                    {
                        match purpose {
                            Purpose::Velocity => part.push(input, &[how.rv_kms], subject.star, how.snr),
                            Purpose::Labels => part.push(input, &subject.labels, subject.star, how.snr),
                        }
                    }
                }
                part
            })
            .collect();
        let mut all = Dataset::default();
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

struct Subject<'a> {
    star: usize,
    log10: &'a [f64],
    flux: Vec<f64>,
    line_spread: LineSpread,
    labels: [f64; 4],
    is_real: bool,
}

impl Subject<'_> {
    fn as_star(&self) -> Star<'_> {
        let in_aa = FWHM_OVER_SIGMA * std::f64::consts::LN_10;
        let sigma_dex: Box<dyn Fn(f64) -> f64> = match self.line_spread {
            LineSpread::Constant(sigma) => Box::new(move |_| sigma),
            LineSpread::ConstantAa(fwhm) => Box::new(move |x| fwhm / 10f64.powf(x) / in_aa),
        };
        Star { log10: self.log10, flux: &self.flux, sigma_dex }
    }

    fn circumstances(&self, purpose: Purpose, rng: &mut ChaCha8Rng) -> Circumstances {
        // Beyond ±400 km/s so that velocities near the limit are not pulled inward.
        let rv_kms = match purpose {
            Purpose::Velocity => rng.random_range(-500.0..500.0),
            Purpose::Labels => 0.0,
        };
        // What the velocity network leaves: some 10 km/s, more at low S/N.
        let assumed = match purpose {
            Purpose::Velocity => 0.0,
            Purpose::Labels => {
                let width: f64 = if rng.random_bool(0.9) { 12.0 } else { 40.0 };
                width * (rng.random::<f64>() + rng.random::<f64>() - 1.0) * 1.7
            }
        };
        let mut how = survey_like(rv_kms, assumed, rng);
        if self.is_real {
            // The library's own spread and rotation are in it already; a little more stands for a softer spectrograph.
            how.broadening_kms = if rng.random_bool(0.5) { 0.0 } else { rng.random_range(0.0..40.0) };
            how.fwhm_aa = (0.0, 0.0);
            // Part of the observations as good as the library itself.
            if rng.random_bool(0.15) {
                how.snr = f64::INFINITY;
            }
        }
        how
    }
}
