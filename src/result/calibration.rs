//! Whether errors are what they say: the shares of residuals that lie within so many of them.

use serde::{Deserialize, Serialize};

use super::Label;
use crate::spectrum::Survey;

/// Limits, in predicted errors, within which residuals are counted.
const LIMITS: usize = 12;
const STEP: f64 = 0.25;

/// The shares of a label's residuals within 0.25, 0.5, … 3 predicted errors, on stars whose label is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Which label.
    pub label: Label,
    /// On which stars.
    pub on: String,
    /// The survey whose spectra it holds for, of those that stand for others ([`Survey::measured_as`]).
    pub survey: Survey,
    /// Whether the stars were simulated.
    pub simulated: bool,
    /// How many.
    pub n: u32,
    /// One share a limit.
    pub shares: Vec<f64>,
}

impl Calibration {
    /// Counts pulls, (predicted − known) / error; `None` without any that is finite.
    pub fn of(label: Label, on: &str, survey: Survey, simulated: bool, pulls: &[f64]) -> Option<Self> {
        let sizes: Vec<f64> = pulls.iter().map(|p| p.abs()).filter(|p| p.is_finite()).collect();
        let n = u32::try_from(sizes.len()).ok().filter(|n| *n > 0)?;
        let share = |limit: f64| {
            let inside = sizes.iter().filter(|p| **p <= limit).count();
            // Four digits tell a share of ten thousand stars.
            (inside as f64 / f64::from(n) * 1e4).round() / 1e4
        };
        let shares = limits().map(share).collect();
        Some(Self { label, on: on.into(), survey, simulated, n, shares })
    }

    /// The share that each limit should hold, and that which it holds, from (0, 0) on.
    pub fn curve(&self) -> Vec<(f64, f64)> {
        let measured = limits().zip(&self.shares).map(|(limit, share)| (gaussian_share(limit), *share));
        [(0.0, 0.0)].into_iter().chain(measured).collect()
    }

    /// The share within one error; 0.683 is right.
    pub fn within_one(&self) -> Option<f64> {
        let one = limits().position(|limit| limit == 1.0)?;
        self.shares.get(one).copied()
    }
}

fn limits() -> impl Iterator<Item = f64> {
    (1..=LIMITS).map(|i| i as f64 * STEP)
}

/// Share of a Gaussian within k σ: erf(k/√2) by Simpson's rule.
pub fn gaussian_share(k: f64) -> f64 {
    const STEPS: i32 = 60;
    let density = |x: f64| (-0.5 * x * x).exp();
    let weight = |i: i32| f64::from(if i == 0 || i == STEPS { 1 } else { 2 + 2 * (i % 2) });
    let sum: f64 = (0..=STEPS).map(|i| weight(i) * density(k * f64::from(i) / f64::from(STEPS))).sum();
    2.0 * sum * k / f64::from(STEPS) / 3.0 / std::f64::consts::TAU.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// math.erf(k / math.sqrt(2)).
    #[test]
    fn shares_of_a_gaussian_are_pythons() {
        for (k, share) in [(0.0, 0.0), (1.0, 0.682_689_492), (1.96, 0.950_004_209), (3.0, 0.997_300_203)] {
            assert!((gaussian_share(k) - share).abs() < 1e-6, "{} {share}", gaussian_share(k));
        }
    }

    /// Normal quantiles at the middles of 2,000 equal shares, as statistics.NormalDist().inv_cdf would give; here by bisection
    /// of the share, so that only the counting is tested.
    #[test]
    fn right_errors_lie_on_the_diagonal_and_small_ones_below() {
        let quantile = |p: f64| {
            let (mut low, mut high) = (0.0, 6.0);
            for _ in 0..50 {
                let k = 0.5 * (low + high);
                if gaussian_share(k) < p { low = k } else { high = k }
            }
            low
        };
        let pulls: Vec<f64> = (0..2000).map(|i| quantile((f64::from(i) + 0.5) / 2000.0)).collect();
        let of = |pulls: &[f64]| Calibration::of(Label::Feh, "stars", Survey::Desi, true, pulls).expect("some");
        let right = of(&pulls);
        assert!(right.curve().iter().all(|(should, is)| (should - is).abs() < 1e-3), "{:?}", right.curve());
        assert_eq!((right.n, right.curve().len()), (2000, 13));
        let small = of(&pulls.iter().map(|p| -2.0 * p).collect::<Vec<_>>());
        assert!((small.within_one().expect("a share") - gaussian_share(0.5)).abs() < 1e-3);
        assert_eq!(Calibration::of(Label::Feh, "", Survey::Desi, true, &[f64::NAN]), None);
    }
}
