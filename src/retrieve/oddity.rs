//! How odd a spectrum is beside a reference set.
//!
//! Three scores, each larger for odder spectra:
//! - **cross**: how badly each survey's spectrum of the star is predicted from the other's;
//! - **reconstruction**: how badly the spectrum is rebuilt from its own embedding;
//! - **neighbour**: 1 − cosine with the [`NEIGHBOUR`]th nearest entry of the reference set.
//!
//! Misfits are means of (difference/σ)², where σ² is the larger of the pixel's own variance and that which the networks leave
//! on the reference set's spectra there ([`Floors`]): what they cannot do of any star is not odd.

use serde::{Deserialize, Serialize};

use crate::result::catalogue::Modality;
use crate::result::likes::{Oddity, Score};

/// The neighbour whose distance counts.
pub const NEIGHBOUR: usize = 10;

/// Quantiles kept of each score: 0, 1 … 100 %.
pub const QUANTILES: usize = 101;

/// A score's distribution in the reference set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantiles(Vec<f32>);

impl Quantiles {
    /// Of values, by linear interpolation between the sorted ones; `None` of no finite ones.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let quantile = |i: usize| {
            let at = last as f64 * i as f64 / (QUANTILES - 1) as f64;
            let (low, part) = (at.floor() as usize, at.fract());
            (sorted[low] + part * (sorted[(low + 1).min(last)] - sorted[low])) as f32
        };
        Some(Self((0..QUANTILES).map(quantile).collect()))
    }

    /// As they stand in a file; `None` if they cannot be quantiles.
    pub(super) fn from_file(values: &[f32]) -> Option<Self> {
        let rise = values.windows(2).all(|w| w[0] <= w[1]) && values.iter().all(|v| v.is_finite() && *v >= 0.0);
        (values.len() == QUANTILES && rise).then(|| Self(values.to_vec()))
    }

    pub(super) fn values(&self) -> &[f32] {
        &self.0
    }

    /// Where a value stands.
    pub fn score(&self, value: f64) -> Score {
        let at = |i: usize| f64::from(self.0[i.min(QUANTILES - 1)]);
        let below = self.0.partition_point(|q| f64::from(*q) < value);
        let percentile = match below {
            0 => 0.0,
            QUANTILES => 100.0,
            // Between two quantiles in proportion.
            i => (i - 1) as f64 + (value - at(i - 1)) / (at(i) - at(i - 1)),
        };
        let (median, high) = (at(50).max(f64::MIN_POSITIVE), at(84));
        let spread = (high / median).ln().max(1e-3);
        Score { value, percentile, excess: (value.max(f64::MIN_POSITIVE) / median).ln() / spread }
    }
}

/// Standard deviations that networks leave, pixel by pixel, on spectra that are not odd.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Floors {
    /// Of LRS spectra rebuilt.
    pub lrs_rebuilt: Vec<f32>,
    /// Of XP spectra rebuilt.
    pub xp_rebuilt: Vec<f32>,
    /// Of LRS spectra predicted from XP.
    pub lrs_from_xp: Vec<f32>,
    /// Of XP spectra predicted from LRS.
    pub xp_from_lrs: Vec<f32>,
}

impl Floors {
    /// Of a survey's spectra, rebuilt or predicted from the other's.
    pub fn of(&self, modality: Modality, is_across: bool) -> &[f32] {
        match (modality, is_across) {
            (Modality::Lrs, false) => &self.lrs_rebuilt,
            (Modality::Lrs, true) => &self.lrs_from_xp,
            (Modality::Xp, false) => &self.xp_rebuilt,
            (Modality::Xp, true) => &self.xp_from_lrs,
        }
    }
}

/// What is usual in a reference set.
#[derive(Debug, Clone, PartialEq)]
pub struct Usual {
    /// What networks leave.
    pub floors: Floors,
    /// Of the cross score.
    pub cross: Quantiles,
    /// Of the reconstruction score of LRS and XP spectra.
    pub reconstruction: [Quantiles; 2],
    /// Of the neighbour score.
    pub neighbour: [Quantiles; 2],
}

impl Usual {
    /// Of the reconstruction score.
    pub fn reconstruction(&self, modality: Modality) -> &Quantiles {
        &self.reconstruction[place(modality)]
    }

    /// Of the neighbour score.
    pub fn neighbour(&self, modality: Modality) -> &Quantiles {
        &self.neighbour[place(modality)]
    }
}

fn place(modality: Modality) -> usize {
    match modality {
        Modality::Lrs => 0,
        Modality::Xp => 1,
    }
}

/// Robust standard deviation of each pixel's differences (1.4826 × median of their size); pixels that are not there do not
/// count. `differences` are rows of one length.
pub fn floor(differences: &[Vec<f32>]) -> Vec<f32> {
    let pixels = differences.first().map_or(0, Vec::len);
    let deviation = |pixel: usize| {
        let mut sizes: Vec<f32> =
            differences.iter().filter_map(|row| row.get(pixel)).map(|v| v.abs()).filter(|v| v.is_finite()).collect();
        sizes.sort_unstable_by(f32::total_cmp);
        let median = sizes.get(sizes.len() / 2).copied().unwrap_or(0.0);
        // A pixel that is always the same, as XP's at 550 nm, still has its rounding.
        (1.4826 * median).max(1e-4)
    };
    (0..pixels).map(deviation).collect()
}

/// Mean of (difference/σ)² over the pixels that are there; `None` if there are none. `sigma` is empty or the spectrum's own.
pub fn misfit(observed: &[f32], predicted: &[f32], sigma: &[f32], floor: &[f32]) -> Option<f64> {
    let (mut sum, mut n) = (0.0, 0u32);
    for (i, ((seen, told), least)) in observed.iter().zip(predicted).zip(floor).enumerate() {
        let own = sigma.get(i).copied().unwrap_or(0.0);
        let difference = f64::from(seen - told);
        if difference.is_finite() && !own.is_nan() {
            sum += (difference / f64::from(own.max(*least))).powi(2);
            n += 1;
        }
    }
    (n > 0).then(|| sum / f64::from(n))
}

/// Beyond this percentile of the reference set in one score a spectrum is none like those in it.
pub const FAR_PERCENTILE: f64 = 99.0;

/// Whether one of a spectrum's own scores, how it is rebuilt and how far its neighbours are, lies beyond
/// [`FAR_PERCENTILE`]: labels read from its embedding are then flagged.
pub fn is_far(scores: [Option<Score>; 2]) -> bool {
    scores.into_iter().flatten().any(|score| score.percentile > FAR_PERCENTILE)
}

/// The largest of a spectrum's excesses.
pub fn overall(scores: [Option<Score>; 3]) -> f64 {
    scores.into_iter().flatten().map(|s| s.excess).fold(f64::NEG_INFINITY, f64::max)
}

/// Oddest first; equals by their number.
pub fn rank(oddities: &mut [Oddity]) {
    oddities.sort_by(|a, b| b.overall.total_cmp(&a.overall).then(a.spectrum.cmp(&b.spectrum)));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against numpy.quantile(arange(1, 12)**2, [0, .5, .84, 1]) = 1, 36, 88.36…, 121.
    #[test]
    fn quantiles_are_numpys() {
        let values: Vec<f64> = (1..12).map(|i| f64::from(i * i)).collect();
        let q = Quantiles::of(&values).expect("quantiles");
        let got = [0, 50, 84, 100].map(|i| q.values()[i]);
        for (got, want) in got.iter().zip([1.0, 36.0, 88.6, 121.0]) {
            assert!((got - want).abs() < 1e-4, "{got:?} {want}");
        }
        let score = q.score(36.0);
        assert!((score.percentile - 50.0).abs() < 1e-9 && score.excess.abs() < 1e-9);
        assert!((q.score(88.6f32.into()).excess - 1.0).abs() < 1e-6);
        assert_eq!((q.score(0.5).percentile, q.score(500.0).percentile), (0.0, 100.0));
        assert!(q.score(500.0).excess < q.score(5000.0).excess, "the excess goes on where percentiles end");
        assert!(Quantiles::of(&[f64::NAN]).is_none() && Quantiles::from_file(&[0.0; 3]).is_none());
    }

    #[test]
    fn one_score_beyond_the_last_percent_is_enough() {
        let q = Quantiles::of(&(0..=1000).map(f64::from).collect::<Vec<_>>()).expect("quantiles");
        let score = |value: f64| Some(q.score(value));
        assert!(!is_far([score(985.0), score(10.0)]) && !is_far([None, None]));
        assert!(is_far([score(995.0), score(10.0)]) && is_far([None, score(2000.0)]));
    }

    #[test]
    fn misfits_are_counted_by_hand() {
        let floor = [0.5, 0.5, 0.5, 0.5];
        // (1/0.5)², (1/2)², a hole, and one that is not off: 4.25 / 3.
        let got = misfit(&[2.0, 3.0, f32::NAN, 1.0], &[1.0, 2.0, 0.0, 1.0], &[0.1, 2.0, 0.1, 0.1], &floor);
        assert!((got.expect("a number") - 4.25 / 3.0).abs() < 1e-6);
        assert_eq!(misfit(&[f32::NAN], &[1.0], &[], &[1.0]), None);
        let floors = super::floor(&[vec![1.0, 0.0], vec![-2.0, 0.0], vec![3.0, f32::NAN]]);
        assert!((floors[0] - 2.9652).abs() < 1e-4 && floors[1] == 1e-4);
    }
}
