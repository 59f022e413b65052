//! Anomaly scores of a spectrum against a reference set.
//!
//! Three scores, each larger for a more anomalous spectrum:
//! - **cross**: residual of each survey's spectrum of the star after its prediction from the other survey;
//! - **reconstruction**: residual of the spectrum after its reconstruction from its own embedding;
//! - **neighbour**: 1 − cosine similarity with the [`NEIGHBOUR`]th nearest entry of the reference set.
//!
//! Residuals are means of (difference/σ)². σ² is the larger of two variances: of the pixel itself, and of the networks'
//! residual at this pixel over the reference set ([`NoiseFloors`]). A residual that the networks leave for every star
//! is not an anomaly.

use serde::{Deserialize, Serialize};

use crate::result::similarity::{AnomalyScores, Score};
use crate::result::specclip::Modality;
use crate::stats::{median, quantiles};

/// Rank of the neighbour whose distance is the neighbour score.
pub const NEIGHBOUR: usize = 10;

/// Number of stored quantiles of each score: 0, 1 … 100 %.
pub const QUANTILES: usize = 101;

/// Distribution of a score over the reference set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantiles(Vec<f32>);

impl Quantiles {
    /// Quantiles of values, by linear interpolation between the sorted values; `None` without finite values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let fractions: [f64; QUANTILES] = std::array::from_fn(|i| i as f64 / (QUANTILES - 1) as f64);
        let values = quantiles(values.iter().copied(), fractions)?;
        Some(Self(values.map(|value| value as f32).to_vec()))
    }

    /// Quantiles from a file; `None` if the values cannot be quantiles.
    pub(super) fn from_file(values: &[f32]) -> Option<Self> {
        let is_increasing =
            values.windows(2).all(|w| w[0] <= w[1]) && values.iter().all(|v| v.is_finite() && *v >= 0.0);
        (values.len() == QUANTILES && is_increasing).then(|| Self(values.to_vec()))
    }

    pub(super) fn values(&self) -> &[f32] {
        &self.0
    }

    /// Value, percentile and excess of a score.
    pub fn score(&self, value: f64) -> Score {
        let at = |i: usize| f64::from(self.0[i.min(QUANTILES - 1)]);
        let below = self.0.partition_point(|q| f64::from(*q) < value);
        let percentile = match below {
            0 => 0.0,
            QUANTILES => 100.0,
            // Linear interpolation between two quantiles.
            i => (i - 1) as f64 + (value - at(i - 1)) / (at(i) - at(i - 1)),
        };
        let (median, high) = (at(50).max(f64::MIN_POSITIVE), at(84));
        let spread = (high / median).ln().max(1e-3);
        Score { value, percentile, excess: (value.max(f64::MIN_POSITIVE) / median).ln() / spread }
    }
}

/// Standard deviations of the networks' residuals, per pixel, for normal spectra.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NoiseFloors {
    /// For LRS spectra reconstructed from their own embedding.
    pub lrs_reconstruction: Vec<f32>,
    /// For XP spectra reconstructed from their own embedding.
    pub xp_reconstruction: Vec<f32>,
    /// For LRS spectra predicted from XP.
    pub lrs_from_xp: Vec<f32>,
    /// For XP spectra predicted from LRS.
    pub xp_from_lrs: Vec<f32>,
}

impl NoiseFloors {
    /// Noise floor of a survey's spectra: reconstructed, or predicted from the other survey (`is_translated`).
    pub fn of(&self, modality: Modality, is_translated: bool) -> &[f32] {
        match (modality, is_translated) {
            (Modality::Lrs, false) => &self.lrs_reconstruction,
            (Modality::Lrs, true) => &self.lrs_from_xp,
            (Modality::Xp, false) => &self.xp_reconstruction,
            (Modality::Xp, true) => &self.xp_from_lrs,
        }
    }
}

/// Statistics of a reference set.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferenceStats {
    /// Standard deviations of the networks' residuals.
    pub noise_floors: NoiseFloors,
    /// Distribution of the cross score.
    pub cross: Quantiles,
    /// Distribution of the reconstruction score for LRS and XP spectra.
    pub reconstruction: [Quantiles; 2],
    /// Distribution of the neighbour score for LRS and XP spectra.
    pub neighbour: [Quantiles; 2],
}

impl ReferenceStats {
    /// Distribution of the reconstruction score.
    pub fn reconstruction(&self, modality: Modality) -> &Quantiles {
        &self.reconstruction[modality_index(modality)]
    }

    /// Distribution of the neighbour score.
    pub fn neighbour(&self, modality: Modality) -> &Quantiles {
        &self.neighbour[modality_index(modality)]
    }
}

fn modality_index(modality: Modality) -> usize {
    match modality {
        Modality::Lrs => 0,
        Modality::Xp => 1,
    }
}

/// Robust standard deviation of each pixel's differences: 1.4826 × median of their absolute values.
///
/// `differences` are rows of equal length; missing pixels do not count.
pub fn noise_floor(differences: &[Vec<f32>]) -> Vec<f32> {
    let pixels = differences.first().map_or(0, Vec::len);
    let deviation = |pixel: usize| {
        let magnitudes = differences.iter().filter_map(|row| row.get(pixel)).map(|v| f64::from(v.abs()));
        let median = median(&mut magnitudes.collect()).unwrap_or(0.0);
        // A constant pixel, such as XP's at 550 nm, still has a rounding error.
        (1.4826 * median).max(1e-4) as f32
    };
    (0..pixels).map(deviation).collect()
}

/// Mean of (difference/σ)² over the pixels present; `None` if there are none.
///
/// `sigma` is the spectrum's own error per pixel, or empty.
pub fn mean_chi2(observed: &[f32], predicted: &[f32], sigma: &[f32], floor: &[f32]) -> Option<f64> {
    let (mut sum, mut n) = (0.0, 0u32);
    for (i, ((flux, prediction), noise_floor)) in observed.iter().zip(predicted).zip(floor).enumerate() {
        let error = sigma.get(i).copied().unwrap_or(0.0);
        let difference = f64::from(flux - prediction);
        if difference.is_finite() && !error.is_nan() {
            sum += (difference / f64::from(error.max(*noise_floor))).powi(2);
            n += 1;
        }
    }
    (n > 0).then(|| sum / f64::from(n))
}

/// Percentile limit of a score; a spectrum beyond it counts as out of distribution for the reference set.
pub const OUT_OF_DISTRIBUTION_PERCENTILE: f64 = 99.0;

/// Whether a spectrum lies outside the distribution of the reference set.
///
/// True if its reconstruction score or its neighbour score exceeds [`OUT_OF_DISTRIBUTION_PERCENTILE`]. Labels
/// predicted from its embedding are then flagged.
pub fn is_out_of_distribution(scores: [Option<Score>; 2]) -> bool {
    scores.into_iter().flatten().any(|score| score.percentile > OUT_OF_DISTRIBUTION_PERCENTILE)
}

/// Overall anomaly score: the largest excess of a spectrum's scores.
pub fn overall(scores: [Option<Score>; 3]) -> f64 {
    scores.into_iter().flatten().map(|s| s.excess).fold(f64::NEG_INFINITY, f64::max)
}

/// Sorts by decreasing anomaly; equal scores by the number of their spectrum.
pub fn rank(scores: &mut [AnomalyScores]) {
    scores.sort_by(|a, b| b.overall.total_cmp(&a.overall).then(a.spectrum.cmp(&b.spectrum)));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference: numpy.quantile(arange(1, 12)**2, [0, .5, .84, 1]) = 1, 36, 88.6, 121.
    #[test]
    fn quantiles_agree_with_numpy() {
        let values: Vec<f64> = (1..12).map(|i| f64::from(i * i)).collect();
        let q = Quantiles::of(&values).expect("quantiles");
        let got = [0, 50, 84, 100].map(|i| q.values()[i]);
        for (got, expected) in got.iter().zip([1.0, 36.0, 88.6, 121.0]) {
            assert!((got - expected).abs() < 1e-4, "{got:?} {expected}");
        }
        let score = q.score(36.0);
        assert!((score.percentile - 50.0).abs() < 1e-9 && score.excess.abs() < 1e-9);
        assert!((q.score(88.6f32.into()).excess - 1.0).abs() < 1e-6);
        assert_eq!((q.score(0.5).percentile, q.score(500.0).percentile), (0.0, 100.0));
        assert!(q.score(500.0).excess < q.score(5000.0).excess, "the excess goes on where percentiles end");
        assert!(Quantiles::of(&[f64::NAN]).is_none() && Quantiles::from_file(&[0.0; 3]).is_none());
    }

    #[test]
    fn one_score_above_the_99th_percentile_is_enough() {
        let q = Quantiles::of(&(0..=1000).map(f64::from).collect::<Vec<_>>()).expect("quantiles");
        let score = |value: f64| Some(q.score(value));
        assert!(!is_out_of_distribution([score(985.0), score(10.0)]) && !is_out_of_distribution([None, None]));
        assert!(is_out_of_distribution([score(995.0), score(10.0)]) && is_out_of_distribution([None, score(2000.0)]));
    }

    #[test]
    fn mean_chi2_agrees_with_a_hand_calculation() {
        let floor = [0.5, 0.5, 0.5, 0.5];
        // (1/0.5)², (1/2)², a missing pixel, and a pixel without difference: 4.25 / 3.
        let got = mean_chi2(&[2.0, 3.0, f32::NAN, 1.0], &[1.0, 2.0, 0.0, 1.0], &[0.1, 2.0, 0.1, 0.1], &floor);
        assert!((got.expect("a number") - 4.25 / 3.0).abs() < 1e-6);
        assert_eq!(mean_chi2(&[f32::NAN], &[1.0], &[], &[1.0]), None);
        let noise_floors = super::noise_floor(&[vec![1.0, 0.0], vec![-2.0, 0.0], vec![3.0, f32::NAN]]);
        assert!((noise_floors[0] - 2.9652).abs() < 1e-4 && noise_floors[1] == 1e-4);
    }
}
