//! Simulated observations of stars with known labels, as training data.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::grid::{GRID_RESOLVING_POWER, Grid};
use super::grid_correction::{FluxSignature, GridCorrection};
use super::simulate::{IntrinsicSpectrum, ObservingConditions, lamost_line_spread, observe, survey_like};
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

/// Scatter of a network's labels where the labels of its training are exact: Teff in K, log g, [Fe/H], [α/Fe]. A label
/// with a larger error than this has a lower weight.
const NETWORK_SCATTER: [f64; 4] = [60.0, 0.12, 0.06, 0.05];

/// A real star of a spectral library or a survey, at rest.
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
    /// S/N per pixel of the model grid; infinite for a library, whose noise does not matter.
    pub snr: f64,
    /// Labels in the order of [`Grid::LABELS`]; NaN if unknown.
    pub labels: [f64; 4],
    /// Errors of the labels; 0 gives a label its full weight.
    pub label_errors: [f64; 4],
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

    fn push(&mut self, input: Vec<f32>, targets: &[f64], errors: &[f64], star: usize, snr: f64) {
        let weight = |(j, target): (usize, &f64)| {
            let relative = errors.get(j).map_or(0.0, |e| e / NETWORK_SCATTER[j]);
            if target.is_finite() { (1.0 / (1.0 + relative * relative)) as f32 } else { 0.0 }
        };
        let valid_count = input.iter().filter(|x| x.is_finite()).count();
        self.coverage.push(valid_count as f32 / MODEL_PIXELS as f32);
        self.inputs.extend(input);
        self.targets.extend(targets.iter().map(|t| if t.is_finite() { *t as f32 } else { 0.0 }));
        self.weights.extend(targets.iter().enumerate().map(weight));
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

    /// The same rows with one label as the only target.
    pub fn with_single_target(self, label: usize) -> Self {
        let column = |all: &[f32]| all.iter().skip(label).step_by(self.k).copied().collect();
        Self { targets: column(&self.targets), weights: column(&self.weights), k: 1, ..self }
    }

    /// The same rows with all weights multiplied by a factor.
    pub fn with_weight(mut self, factor: f32) -> Self {
        self.weights.iter_mut().for_each(|w| *w *= factor);
        self
    }

    /// `draws` observations of every listed node of the grid.
    pub fn of_grid(grid: &Grid, nodes: &[usize], draws: usize, dataset_use: DatasetUse, seed: u64) -> Self {
        let sigma_dex = 1.0 / GRID_RESOLVING_POWER / FWHM_OVER_SIGMA / std::f64::consts::LN_10;
        Self::observe_all(nodes.len(), draws, dataset_use, seed, None, |i| TrainingSpectrum {
            star: nodes[i],
            log10: &grid.log10_vac,
            flux: grid.flux(nodes[i]),
            line_spread: LineSpread::Constant(sigma_dex),
            snr: f64::INFINITY,
            labels: grid.labels[nodes[i]],
            label_errors: [0.0; 4],
            origin: Origin::Grid,
        })
    }

    /// `draws` observations of every listed node of the grid, corrected by real stars. Most have the line spread and the
    /// signature of LAMOST.
    pub fn of_corrected_grid(
        grid: &Grid,
        nodes: &[usize],
        draws: usize,
        (correction, signature): (&GridCorrection, Option<&FluxSignature>),
        dataset_use: DatasetUse,
        seed: u64,
    ) -> Self {
        let sigma_dex = 1.0 / GRID_RESOLVING_POWER / FWHM_OVER_SIGMA / std::f64::consts::LN_10;
        Self::observe_all(nodes.len(), draws, dataset_use, seed, signature, |i| {
            let labels = grid.labels[nodes[i]];
            let mut flux = grid.flux(nodes[i]);
            correction.apply([labels[0], labels[1], labels[2]], &grid.log10_vac, &mut flux);
            TrainingSpectrum {
                star: nodes[i],
                log10: &grid.log10_vac,
                flux,
                line_spread: LineSpread::Constant(sigma_dex),
                snr: f64::INFINITY,
                labels,
                label_errors: [0.0; 4],
                origin: Origin::CorrectedGrid,
            }
        })
    }

    /// `draws` observations of every listed star of a library or survey. Those of a library mostly have the line spread
    /// and the signature of LAMOST.
    pub fn of_library(
        stars: &[LibraryEntry],
        chosen: &[usize],
        draws: usize,
        signature: Option<&FluxSignature>,
        dataset_use: DatasetUse,
        seed: u64,
    ) -> Self {
        Self::observe_all(chosen.len(), draws, dataset_use, seed, signature, |i| {
            let star = &stars[chosen[i]];
            TrainingSpectrum {
                star: chosen[i],
                log10: &star.log10,
                flux: star.flux.clone(),
                line_spread: LineSpread::ConstantAa(star.fwhm_aa),
                snr: star.snr,
                labels: star.labels,
                label_errors: star.label_errors,
                origin: if star.snr.is_finite() { Origin::Survey } else { Origin::SpectralLibrary },
            }
        })
    }

    fn observe_all<'a>(
        count: usize,
        draws: usize,
        dataset_use: DatasetUse,
        seed: u64,
        signature: Option<&FluxSignature>,
        training_spectrum: impl Fn(usize) -> TrainingSpectrum<'a> + Sync,
    ) -> Self {
        let parts: Vec<Self> = (0..count)
            .into_par_iter()
            .map(|i| {
                let training_spectrum = training_spectrum(i);
                let mut rng = ChaCha8Rng::seed_from_u64(seed ^ ((training_spectrum.star as u64) << 20));
                let mut part = Self::default();
                for _ in 0..draws {
                    let (conditions, is_lamost) = training_spectrum.observing_conditions(dataset_use, &mut rng);
                    let signed = match signature.filter(|_| is_lamost) {
                        None => None,
                        Some(signature) => {
                            let mut flux = training_spectrum.flux.clone();
                            signature.apply(rng.random_range(0.5..1.5), training_spectrum.log10, &mut flux);
                            Some(flux)
                        }
                    };
                    let flux = signed.as_deref().unwrap_or(&training_spectrum.flux);
                    if let Some(input) = observe(&training_spectrum.as_star(flux), &conditions, &mut rng)
                        && input.iter().any(|x| x.is_finite())
                    {
                        // The noise of the spectrum itself and the added noise.
                        let snr = (training_spectrum.snr.powi(-2) + conditions.snr.powi(-2)).powf(-0.5);
                        let TrainingSpectrum { star, labels, label_errors, .. } = &training_spectrum;
                        match dataset_use {
                            DatasetUse::Velocity => part.push(input, &[conditions.rv_kms], &[], *star, snr),
                            DatasetUse::Labels => part.push(input, labels, label_errors, *star, snr),
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

/// Where a training spectrum comes from; it decides what its simulated observations add.
enum Origin {
    /// The synthetic grid.
    Grid,
    /// The synthetic grid, corrected by real stars.
    CorrectedGrid,
    /// A library of real stars.
    SpectralLibrary,
    /// A survey: the spectra have its line spread, noise and calibration already.
    Survey,
}

struct TrainingSpectrum<'a> {
    star: usize,
    log10: &'a [f64],
    flux: Vec<f64>,
    line_spread: LineSpread,
    snr: f64,
    labels: [f64; 4],
    label_errors: [f64; 4],
    origin: Origin,
}

impl TrainingSpectrum<'_> {
    fn as_star<'f>(&'f self, flux: &'f [f64]) -> IntrinsicSpectrum<'f> {
        let in_aa = FWHM_OVER_SIGMA * std::f64::consts::LN_10;
        let sigma_dex: Box<dyn Fn(f64) -> f64> = match self.line_spread {
            LineSpread::Constant(sigma) => Box::new(move |_| sigma),
            LineSpread::ConstantAa(fwhm) => Box::new(move |x| fwhm / 10f64.powf(x) / in_aa),
        };
        IntrinsicSpectrum { log10: self.log10, flux, sigma_dex }
    }

    /// Conditions of an observation, and whether it is like LAMOST's.
    fn observing_conditions(&self, dataset_use: DatasetUse, rng: &mut ChaCha8Rng) -> (ObservingConditions, bool) {
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
        let mut is_lamost = false;
        match self.origin {
            Origin::Grid => {}
            Origin::CorrectedGrid => is_lamost = lamost_line_spread(&mut conditions, rng),
            Origin::SpectralLibrary => {
                is_lamost = lamost_line_spread(&mut conditions, rng);
                // The spectrum already contains the star's rotation.
                conditions.broadening_kms = if rng.random_bool(0.7) { 0.0 } else { rng.random_range(0.0..40.0) };
                // 15 % of the observations stay as good as the library itself.
                if rng.random_bool(0.15) {
                    conditions.fwhm_aa = (0.0, 0.0);
                    conditions.snr = f64::INFINITY;
                    is_lamost = false;
                }
            }
            Origin::Survey => {
                conditions.fwhm_aa = (0.0, 0.0);
                conditions.broadening_kms = if rng.random_bool(0.7) { 0.0 } else { rng.random_range(0.0..30.0) };
                if rng.random_bool(0.4) {
                    conditions.snr = f64::INFINITY;
                }
            }
        }
        (conditions, is_lamost)
    }
}
