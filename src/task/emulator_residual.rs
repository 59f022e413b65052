//! Residual of a spectrum from the emulator's spectrum at the network's labels, with derivatives.
//!
//! The label update ([`crate::task::finetune::label_update`]) uses it: given the typical residual of real stars, the
//! rest points to wrong labels.

use serde::{Deserialize, Serialize};

use super::rest_frame::RestFrameSpectrum;
use super::synthetic_model::{SyntheticModel, expected_residual_rms};
use crate::model::emulator::{EMULATOR_LABELS, EMULATOR_RANGES, usual_labels};
use crate::preprocess::grid::MODEL_PIXELS;

/// Model pixels per bin; the line spread of the surveys is wider than a bin.
pub const PIXELS_PER_BIN: usize = 3;

/// Bins of an [`EmulatorResidual`].
pub const BINS: usize = MODEL_PIXELS / PIXELS_PER_BIN;

/// Finite-difference steps in teff (K), logg, feh, alpha_fe, c_fe, n_fe (dex), vmic (km/s).
pub const LABEL_STEPS: [f64; EMULATOR_LABELS] = [50.0, 0.1, 0.05, 0.05, 0.05, 0.05, 0.1];

/// Fewest pixels for a colour.
const MIN_COLOUR_PIXELS: usize = MODEL_PIXELS * 9 / 10;

/// Residual of a star from the emulator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmulatorResidual {
    /// Normalised flux − emulator's flux at the network's labels, `[BINS]`, in units of the continuum; NaN for a
    /// missing bin.
    pub difference: Vec<f32>,
    /// Change of the emulator's spectrum for one of [`LABEL_STEPS`] in each label, `[7][BINS]`.
    pub slopes: Vec<f32>,
    /// Expected residual RMS of a real star with lines of this depth, in units of the continuum.
    #[serde(alias = "usual")]
    pub expected_rms: f64,
    /// Excess colour: slope of ln(continuum / emulator's continuum), from −1 at the first pixel to 1 at the last;
    /// `None` where the spectrum does not cover enough pixels.
    pub colour: Option<f64>,
}

/// Mean of the finite values of each bin; NaN without any.
fn binned(values: &[f32]) -> impl Iterator<Item = f32> {
    values.chunks_exact(PIXELS_PER_BIN).map(|bin| {
        let there = bin.iter().filter(|v| v.is_finite());
        there.clone().sum::<f32>() / there.count() as f32
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
        let (labels, _) = usual_labels(teff_k, logg, feh, alpha_fe);
        let here = self.synthetic(&labels, star)?;
        let norm = &star.prepared.norm;
        let difference: Vec<f32> = norm.iter().zip(&here.norm).map(|(data, model)| data - model).collect();
        let mut slopes = Vec::with_capacity(EMULATOR_LABELS * BINS);
        for (i, step) in LABEL_STEPS.into_iter().enumerate() {
            let mut there = labels;
            there[i] += step;
            let there = self.synthetic(&there, star)?;
            let change: Vec<f32> = there.norm.iter().zip(&here.norm).map(|(there, here)| there - here).collect();
            slopes.extend(binned(&change));
        }
        let depths = norm.iter().filter(|v| v.is_finite()).map(|v| f64::from(1.0 - v).powi(2));
        let depth = (depths.clone().sum::<f64>() / depths.count().max(1) as f64).sqrt();
        Some(EmulatorResidual {
            difference: binned(&difference).collect(),
            slopes,
            expected_rms: expected_residual_rms(depth),
            colour: linear_slope(
                star.prepared.divisor.iter().zip(&here.divisor).map(|(data, model)| (data / model).ln()),
            ),
        })
    }
}

/// Slope of the finite values among `[1462]`, from −1 at the first to 1 at the last.
fn linear_slope(values: impl Iterator<Item = f64>) -> Option<f64> {
    let at = |i: usize| 2.0 * i as f64 / (MODEL_PIXELS - 1) as f64 - 1.0;
    let known: Vec<(f64, f64)> = values.enumerate().map(|(i, v)| (at(i), v)).filter(|(_, v)| v.is_finite()).collect();
    if known.len() < MIN_COLOUR_PIXELS {
        return None;
    }
    let n = known.len() as f64;
    let (x, y) = known.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x / n, b + y / n));
    let product: f64 = known.iter().map(|(at, v)| (at - x) * (v - y)).sum();
    Some(product / known.iter().map(|(at, _)| (at - x).powi(2)).sum::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slope_ignores_missing_pixels() {
        let line = |i: usize| 0.3 + 0.07 * (2.0 * i as f64 / (MODEL_PIXELS - 1) as f64 - 1.0);
        let with_gap = |n: usize| (0..MODEL_PIXELS).map(move |i| if i < n { f64::NAN } else { line(i) });
        assert!((linear_slope(with_gap(0)).expect("all are there") - 0.07).abs() < 1e-12);
        assert!((linear_slope(with_gap(100)).expect("most are there") - 0.07).abs() < 1e-12);
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
