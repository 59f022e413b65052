//! Residual of a spectrum from the emulator's spectrum at the network's labels, with derivatives.
//!
//! The label update ([`crate::task::finetune::label_update`]) uses it: it subtracts the typical residual of real stars,
//! and the remainder points to wrong labels.

use serde::{Deserialize, Serialize};

use super::rest_frame::RestFrameSpectrum;
use super::synthetic_model::{SyntheticModel, expected_residual_rms};
use crate::model::emulator::{EMULATOR_LABELS, EMULATOR_RANGES, with_default_labels};
use crate::preprocess::grid::MODEL_PIXELS;

/// Model pixels per bin; the line spread of the surveys is wider than a bin.
pub const PIXELS_PER_BIN: usize = 3;

/// Bins of an [`EmulatorResidual`].
pub const BINS: usize = MODEL_PIXELS / PIXELS_PER_BIN;

/// Finite-difference steps in teff (K), logg, feh, `alpha_fe`, `c_fe`, `n_fe` (dex), vmic (km/s).
pub const LABEL_STEPS: [f64; EMULATOR_LABELS] = [50.0, 0.1, 0.05, 0.05, 0.05, 0.05, 0.1];

/// Lowest number of finite pixels for a colour.
const MIN_COLOUR_PIXELS: usize = MODEL_PIXELS * 9 / 10;

/// Residual of a star from the emulator's spectrum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmulatorResidual {
    /// Normalised flux − emulator's flux at the network's labels, `[BINS]`, in units of the continuum; NaN for a
    /// missing bin.
    pub difference: Vec<f32>,
    /// Change of the emulator's spectrum when a label rises by its step in [`LABEL_STEPS`], for each label,
    /// `[7][BINS]`, in units of the continuum.
    #[serde(rename = "slopes")]
    pub changes_per_step: Vec<f32>,
    /// Expected residual RMS of a real star with lines of this depth, in units of the continuum.
    #[serde(alias = "usual")]
    pub expected_rms: f64,
    /// Excess colour: slope of ln(continuum / emulator's continuum) over a coordinate that runs from −1 at the first
    /// pixel to 1 at the last; `None` where the spectrum does not cover enough pixels.
    pub colour: Option<f64>,
}

/// Mean of the finite values of each bin; NaN for a bin without finite values.
fn binned(values: &[f32]) -> impl Iterator<Item = f32> {
    values.chunks_exact(PIXELS_PER_BIN).map(|bin| {
        let finite = bin.iter().filter(|v| v.is_finite());
        finite.clone().sum::<f32>() / finite.count() as f32
    })
}

impl SyntheticModel {
    /// Compares a star with the emulator at the network's labels: Teff (K), log g, [Fe/H], [α/Fe]. `None` outside of
    /// the emulator's grid; [α/Fe] is clipped to it.
    pub(super) fn emulator_residual(&self, star: &RestFrameSpectrum, labels: [f64; 4]) -> Option<EmulatorResidual> {
        let is_inside = |(v, (low, high)): (&f64, (f64, f64))| (low..=high).contains(v);
        if !labels[..3].iter().zip(EMULATOR_RANGES).all(is_inside) {
            return None;
        }
        let [teff_k, logg, feh, alpha_fe] = labels;
        let (labels, _) = with_default_labels(teff_k, logg, feh, alpha_fe);
        let at_labels = self.synthetic(&labels, star)?;
        let norm = &star.prepared.norm;
        let difference: Vec<f32> = norm.iter().zip(&at_labels.norm).map(|(data, model)| data - model).collect();
        let mut changes_per_step = Vec::with_capacity(EMULATOR_LABELS * BINS);
        for (i, step) in LABEL_STEPS.into_iter().enumerate() {
            let mut shifted_labels = labels;
            shifted_labels[i] += step;
            let shifted = self.synthetic(&shifted_labels, star)?;
            let change: Vec<f32> = shifted.norm.iter().zip(&at_labels.norm).map(|(a, b)| a - b).collect();
            changes_per_step.extend(binned(&change));
        }
        let depths = norm.iter().filter(|v| v.is_finite()).map(|v| f64::from(1.0 - v).powi(2));
        let depth = (depths.clone().sum::<f64>() / depths.count().max(1) as f64).sqrt();
        Some(EmulatorResidual {
            difference: binned(&difference).collect(),
            changes_per_step,
            expected_rms: expected_residual_rms(depth),
            colour: linear_slope(
                star.prepared.divisor.iter().zip(&at_labels.divisor).map(|(data, model)| (data / model).ln()),
            ),
        })
    }
}

/// Slope of the finite values of `[1462]` over a coordinate that runs from −1 at the first pixel to 1 at the last;
/// `None` for too few finite values.
fn linear_slope(values: impl Iterator<Item = f64>) -> Option<f64> {
    let coordinate = |i: usize| 2.0 * i as f64 / (MODEL_PIXELS - 1) as f64 - 1.0;
    let finite: Vec<(f64, f64)> =
        values.enumerate().map(|(i, v)| (coordinate(i), v)).filter(|(_, v)| v.is_finite()).collect();
    if finite.len() < MIN_COLOUR_PIXELS {
        return None;
    }
    let n = finite.len() as f64;
    let (mean_x, mean_y) = finite.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x / n, b + y / n));
    let product: f64 = finite.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    Some(product / finite.iter().map(|(x, _)| (x - mean_x).powi(2)).sum::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slope_ignores_missing_pixels() {
        let line = |i: usize| 0.3 + 0.07 * (2.0 * i as f64 / (MODEL_PIXELS - 1) as f64 - 1.0);
        let with_gap = |n: usize| (0..MODEL_PIXELS).map(move |i| if i < n { f64::NAN } else { line(i) });
        assert!((linear_slope(with_gap(0)).expect("no pixel is missing") - 0.07).abs() < 1e-12);
        assert!((linear_slope(with_gap(100)).expect("few pixels are missing") - 0.07).abs() < 1e-12);
        assert_eq!(linear_slope(with_gap(200)), None);
    }

    #[test]
    fn bins_are_means_of_finite_pixels() {
        let mut values = vec![1.0f32; MODEL_PIXELS];
        values[..4].copy_from_slice(&[f32::NAN; 4]);
        values[5] = 3.0;
        let bins: Vec<f32> = binned(&values).collect();
        assert_eq!(bins.len(), BINS);
        assert!(bins[0].is_nan());
        assert_eq!(bins[1..3], [2.0, 1.0]);
    }
}
