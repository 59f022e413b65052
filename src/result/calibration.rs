//! Error calibration: fractions of the residuals within multiples of the predicted error.

use serde::{Deserialize, Serialize};

use super::Label;
use crate::spectrum::Survey;

/// Number of limits, and their step, in units of the predicted error.
const LIMITS: usize = 12;
const STEP: f64 = 0.25;

/// Fractions of a label's residuals within 0.25, 0.5, … 3 predicted errors, on stars with a known label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The label.
    pub label: Label,
    /// The test set.
    pub on: String,
    /// Survey to whose spectra the calibration applies ([`Survey::accuracy_survey`]).
    pub survey: Survey,
    /// Whether the spectra are simulated.
    pub simulated: bool,
    /// Number of stars.
    pub n: u32,
    /// Fraction of the residuals within each limit.
    #[serde(rename = "shares")]
    pub fractions: Vec<f64>,
}

impl Calibration {
    /// Calibration from pulls, (predicted − known) / error; `None` without a finite pull.
    pub fn of(label: Label, on: &str, survey: Survey, simulated: bool, pulls: &[f64]) -> Option<Self> {
        let magnitudes: Vec<f64> = pulls.iter().map(|p| p.abs()).filter(|p| p.is_finite()).collect();
        let n = u32::try_from(magnitudes.len()).ok().filter(|n| *n > 0)?;
        let fraction = |limit: f64| {
            let n_inside = magnitudes.iter().filter(|p| **p <= limit).count();
            // Four decimals suffice for ten thousand stars.
            (n_inside as f64 / f64::from(n) * 1e4).round() / 1e4
        };
        let fractions = limits().map(fraction).collect();
        Some(Self { label, on: on.into(), survey, simulated, n, fractions })
    }

    /// Calibration curve from (0, 0): expected and measured fraction at each limit.
    pub fn curve(&self) -> Vec<(f64, f64)> {
        let measured = limits().zip(&self.fractions).map(|(limit, fraction)| (gaussian_coverage(limit), *fraction));
        [(0.0, 0.0)].into_iter().chain(measured).collect()
    }

    /// Fraction within one predicted error; correct errors give 0.683.
    pub fn coverage_within_1_sigma(&self) -> Option<f64> {
        let index = limits().position(|limit| limit == 1.0)?;
        self.fractions.get(index).copied()
    }
}

fn limits() -> impl Iterator<Item = f64> {
    (1..=LIMITS).map(|i| i as f64 * STEP)
}

/// Fraction of a Gaussian within k σ: erf(k/√2) by Simpson's rule.
pub fn gaussian_coverage(k: f64) -> f64 {
    const STEPS: i32 = 60;
    let density = |x: f64| (-0.5 * x * x).exp();
    let weight = |i: i32| f64::from(if i == 0 || i == STEPS { 1 } else { 2 + 2 * (i % 2) });
    let sum: f64 = (0..=STEPS).map(|i| weight(i) * density(k * f64::from(i) / f64::from(STEPS))).sum();
    2.0 * sum * k / f64::from(STEPS) / 3.0 / std::f64::consts::TAU.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference: Python's math.erf(k / math.sqrt(2)).
    #[test]
    fn gaussian_fractions_agree_with_python() {
        for (k, fraction) in [(0.0, 0.0), (1.0, 0.682_689_492), (1.96, 0.950_004_209), (3.0, 0.997_300_203)] {
            assert!((gaussian_coverage(k) - fraction).abs() < 1e-6, "{} {fraction}", gaussian_coverage(k));
        }
    }

    /// Normal quantiles at the midpoints of 2,000 equal probability intervals, as from `statistics.NormalDist().inv_cdf`.
    ///
    /// Bisection of `gaussian_coverage` gives the quantiles, so the test covers only the counting.
    #[test]
    fn correct_errors_lie_on_the_diagonal_and_underestimated_errors_below() {
        let quantile = |p: f64| {
            let (mut low, mut high) = (0.0, 6.0);
            for _ in 0..50 {
                let k = 0.5 * (low + high);
                if gaussian_coverage(k) < p { low = k } else { high = k }
            }
            low
        };
        let pulls: Vec<f64> = (0..2000).map(|i| quantile((f64::from(i) + 0.5) / 2000.0)).collect();
        let calibration =
            |pulls: &[f64]| Calibration::of(Label::Feh, "stars", Survey::Desi, true, pulls).expect("some");
        let correct = calibration(&pulls);
        assert!(
            correct.curve().iter().all(|(expected, measured)| (expected - measured).abs() < 1e-3),
            "{:?}",
            correct.curve()
        );
        assert_eq!((correct.n, correct.curve().len()), (2000, 13));
        let underestimated = calibration(&pulls.iter().map(|p| -2.0 * p).collect::<Vec<_>>());
        assert!((underestimated.coverage_within_1_sigma().expect("a share") - gaussian_coverage(0.5)).abs() < 1e-3);
        assert_eq!(Calibration::of(Label::Feh, "", Survey::Desi, true, &[f64::NAN]), None);
    }
}
