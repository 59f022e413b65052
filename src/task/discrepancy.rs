//! How a star differs from the synthetic spectrum at the network's labels, and how that spectrum changes with each label.
//!
//! It holds what a spectrum says of its labels beside the network: whoever knows how real stars usually differ from synthetic ones
//! ([`crate::task::teach::refine`]) can tell a wrong label from that.

use serde::{Deserialize, Serialize};

use super::fit::{Modeller, usual_difference};
use super::predict::AtRest;
use crate::model::emulator::{EMULATOR_LABELS, EMULATOR_RANGES, usual_labels};
use crate::preprocess::grid::MODEL_PIXELS;

/// Pixels of the model's grid that are averaged: the line spread of the surveys is wider than that.
pub const PIXELS_A_BIN: usize = 3;

/// Bins of a [`Discrepancy`].
pub const BINS: usize = MODEL_PIXELS / PIXELS_A_BIN;

/// Steps in teff (K), logg, feh, alpha_fe, c_fe, n_fe (dex), vmic (km/s) by which the emulator's spectrum is told to change.
pub const STEPS: [f64; EMULATOR_LABELS] = [50.0, 0.1, 0.05, 0.05, 0.05, 0.05, 0.1];

/// Fewest pixels that a colour is told from.
const FEWEST_OF_COLOUR: usize = MODEL_PIXELS * 9 / 10;

/// A star against the emulator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Discrepancy {
    /// Normalised flux less the emulator's at the network's labels, `[BINS]`, in units of the continuum; NaN where nothing was
    /// measured.
    pub difference: Vec<f32>,
    /// How the emulator's spectrum changes with one of [`STEPS`] in each label, `[7][BINS]`.
    pub slopes: Vec<f32>,
    /// Usual difference of a real star with lines so deep from the synthetic one, in units of the continuum.
    pub usual: f64,
    /// How much redder the star is than the emulator: slope of the logarithm of the two continua's ratio, from −1 at the first
    /// pixel to 1 at the last; `None` for a part of the pixels.
    pub colour: Option<f64>,
}

/// Means over bins; those with nothing finite are NaN.
fn binned(values: &[f32]) -> impl Iterator<Item = f32> {
    values.chunks_exact(PIXELS_A_BIN).map(|bin| {
        let there = bin.iter().filter(|v| v.is_finite());
        there.clone().sum::<f32>() / there.count() as f32
    })
}

impl Modeller {
    /// Holds a star against the emulator at labels of the network: Teff (K), log g, [Fe/H], [α/Fe]. `None` beyond the grid,
    /// where the emulator is worth nothing; [α/Fe] is moved to its edge.
    pub(super) fn discrepancy(&self, star: &AtRest, labels: [f64; 4]) -> Option<Discrepancy> {
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
        for (i, step) in STEPS.into_iter().enumerate() {
            let mut there = labels;
            there[i] += step;
            let there = self.synthetic(&there, star)?;
            let change: Vec<f32> = there.norm.iter().zip(&here.norm).map(|(there, here)| there - here).collect();
            slopes.extend(binned(&change));
        }
        let depths = norm.iter().filter(|v| v.is_finite()).map(|v| f64::from(1.0 - v).powi(2));
        let depth = (depths.clone().sum::<f64>() / depths.count().max(1) as f64).sqrt();
        Some(Discrepancy {
            difference: binned(&difference).collect(),
            slopes,
            usual: usual_difference(depth),
            colour: slope_of(star.prepared.divisor.iter().zip(&here.divisor).map(|(data, model)| (data / model).ln())),
        })
    }
}

/// Slope of the finite ones of `[1462]` values, from −1 at the first to 1 at the last.
fn slope_of(values: impl Iterator<Item = f64>) -> Option<f64> {
    let at = |i: usize| 2.0 * i as f64 / (MODEL_PIXELS - 1) as f64 - 1.0;
    let known: Vec<(f64, f64)> = values.enumerate().map(|(i, v)| (at(i), v)).filter(|(_, v)| v.is_finite()).collect();
    if known.len() < FEWEST_OF_COLOUR {
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
    fn a_slope_is_of_what_is_there() {
        let line = |i: usize| 0.3 + 0.07 * (2.0 * i as f64 / (MODEL_PIXELS - 1) as f64 - 1.0);
        let with_gap = |n: usize| (0..MODEL_PIXELS).map(move |i| if i < n { f64::NAN } else { line(i) });
        assert!((slope_of(with_gap(0)).expect("all are there") - 0.07).abs() < 1e-12);
        assert!((slope_of(with_gap(100)).expect("most are there") - 0.07).abs() < 1e-12);
        assert_eq!(slope_of(with_gap(200)), None);
    }

    #[test]
    fn bins_are_means_of_what_was_measured() {
        let mut values = vec![1.0f32; MODEL_PIXELS];
        values[..4].copy_from_slice(&[f32::NAN; 4]);
        values[5] = 3.0;
        let bins: Vec<f32> = binned(&values).collect();
        assert_eq!(bins.len(), BINS);
        assert!(bins[0].is_nan());
        assert_eq!(bins[1..3], [2.0, 1.0]);
    }
}
