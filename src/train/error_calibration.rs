//! Calibration of predicted errors: the fraction of residuals within them.

use crate::model::manifest::Measurement;
use crate::stats::quantile;

/// Fraction of a Gaussian within ±1 σ.
pub const WITHIN_ONE_SIGMA: f64 = 0.6827;

/// Fraction of a Gaussian within ±1.96 σ.
const WITHIN_TWO_SIGMA: f64 = 0.95;

/// The 95 % confidence interval (Wilson) of a fraction, from `inside` of `n`.
pub fn interval(inside: usize, n: usize) -> (f64, f64) {
    let (n, z) = (n.max(1) as f64, 1.959_964_f64);
    let p = inside as f64 / n;
    let (middle, scale) = (p + z * z / (2.0 * n), 1.0 + z * z / n);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    ((middle - half) / scale, (middle + half) / scale)
}

/// The fractions of pulls, (predicted − true) / error, within 1 σ and within 1.96 σ.
pub fn measurements(subject: &str, data_set: &str, pulls: &[f64]) -> Vec<Measurement> {
    let fraction = |limit_name: &str, limit: f64, expected: f64| {
        let inside = pulls.iter().filter(|p| p.abs() <= limit).count();
        let (low, high) = interval(inside, pulls.len());
        Measurement {
            quantity: format!(
                "share within {limit_name} ({:.0} % is right; 95 % interval {low:.3}–{high:.3})",
                100.0 * expected
            ),
            subject: subject.into(),
            data_set: data_set.into(),
            n: pulls.len(),
            value: inside as f64 / pulls.len().max(1) as f64,
        }
    };
    vec![fraction("one error", 1.0, WITHIN_ONE_SIGMA), fraction("1.96 errors", 1.96, WITHIN_TWO_SIGMA)]
}

/// Pulls of all groups, each group calibrated on the others. The pulls of a group are divided by a factor that puts
/// 68.27 % of the pulls of all *other* groups within ±1. The result shows how well a calibration holds for other stars.
pub fn calibrated_on_others(groups: &[Vec<f64>]) -> Vec<f64> {
    let mut all = Vec::new();
    for (i, group) in groups.iter().enumerate() {
        let others = groups.iter().enumerate().filter(|(j, _)| *j != i).flat_map(|(_, g)| g).map(|p| p.abs());
        let scale = quantile(others, WITHIN_ONE_SIGMA).unwrap_or(f64::NAN);
        all.extend(group.iter().map(|p| p / scale));
    }
    all
}

/// Kolmogorov–Smirnov distance D between the values and a uniform distribution on 0–1.
pub fn distance_from_uniform(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len().max(1) as f64;
    sorted.iter().enumerate().fold(0.0, |d: f64, (i, v)| d.max(v - i as f64 / n).max((i as f64 + 1.0) / n - v))
}

/// Probability of a distance D of at least this size by chance. Kolmogorov's distribution with the correction of
/// Stephens (1970) for small samples; accurate to a few thousandths.
pub fn kolmogorov(distance: f64, n: usize) -> f64 {
    let root = (n.max(1) as f64).sqrt();
    let scaled = (root + 0.12 + 0.11 / root) * distance;
    // Here the probability is 1 to nine digits, and the series does not converge.
    if scaled < 0.2 {
        return 1.0;
    }
    let term = |k: i32| {
        let size = (-2.0 * (f64::from(k) * scaled).powi(2)).exp();
        if k % 2 == 1 { size } else { -size }
    };
    (2.0 * (1..=100).map(term).sum::<f64>()).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference values: `scipy.stats.kstest([0.1, 0.2, 0.25, 0.7, 0.95], "uniform").statistic`, and
    /// `scipy.stats.kstwo.sf(d, n)`.
    #[test]
    fn distance_and_probability_are_scipys() {
        assert!((distance_from_uniform(&[0.7, 0.1, 0.25, 0.95, 0.2]) - 0.35).abs() < 1e-12);
        let scipys =
            [(0.0441, 1000, 0.039_688), (0.0254, 1000, 0.530_493), (0.06, 400, 0.107_771), (0.02, 2000, 0.395_313)];
        for (distance, n, p) in scipys {
            assert!((kolmogorov(distance, n) - p).abs() < 4e-3, "{} {p}", kolmogorov(distance, n));
        }
    }

    /// Reference values: `statsmodels.stats.proportion.proportion_confint(…, method="wilson")`.
    #[test]
    fn the_interval_is_wilsons() {
        for (inside, n, low, high) in [(68, 100, 0.583_4, 0.763_3), (3, 10, 0.107_8, 0.603_2)] {
            let (a, b) = interval(inside, n);
            assert!((a - low).abs() < 1e-4 && (b - high).abs() < 1e-4, "{a} {b}");
        }
    }

    #[test]
    fn errors_three_times_too_small_are_calibrated_by_other_groups() {
        let groups: Vec<Vec<f64>> = (0..200).map(|i| vec![3.0 * (f64::from(i % 100) - 49.5) / 34.1]).collect();
        let pulls = calibrated_on_others(&groups);
        let inside = pulls.iter().filter(|p| p.abs() <= 1.0).count();
        assert!((130..=144).contains(&inside), "{inside}");
    }
}
