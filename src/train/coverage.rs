//! Whether errors are what they say: the share of residuals within them.

use crate::model::manifest::Figure;

/// Share of a Gaussian within one σ.
pub const WITHIN_ONE_SIGMA: f64 = 0.6827;

/// Share of a Gaussian within 1.96 σ.
const WITHIN_TWO_SIGMA: f64 = 0.95;

/// The value below which this share of the finite values is; NaN of none.
pub fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.retain(|v| v.is_finite());
    values.sort_unstable_by(f64::total_cmp);
    let at = ((values.len() as f64 - 1.0) * share).round();
    values.get(at.max(0.0) as usize).copied().unwrap_or(f64::NAN)
}

/// The 95 % interval of a share of which `inside` of `n` were seen (Wilson's).
pub fn interval(inside: usize, n: usize) -> (f64, f64) {
    let (n, z) = (n.max(1) as f64, 1.959_964_f64);
    let p = inside as f64 / n;
    let (middle, scale) = (p + z * z / (2.0 * n), 1.0 + z * z / n);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    ((middle - half) / scale, (middle + half) / scale)
}

/// The shares of pulls, (predicted − true) / error, within one and two σ.
pub fn figures(of: &str, on: &str, pulls: &[f64]) -> Vec<Figure> {
    let share = |what: &str, limit: f64, wanted: f64| {
        let inside = pulls.iter().filter(|p| p.abs() <= limit).count();
        let (low, high) = interval(inside, pulls.len());
        Figure {
            what: format!("share within {what} ({:.0} % is right; 95 % interval {low:.3}–{high:.3})", 100.0 * wanted),
            of: of.into(),
            on: on.into(),
            n: pulls.len(),
            value: inside as f64 / pulls.len().max(1) as f64,
        }
    };
    vec![share("one error", 1.0, WITHIN_ONE_SIGMA), share("1.96 errors", 1.96, WITHIN_TWO_SIGMA)]
}

/// Pulls of groups, those of each group divided by the quantile that makes all *other* groups' pulls right: what a
/// calibration on other stars leaves.
pub fn calibrated_on_others(groups: &[Vec<f64>]) -> Vec<f64> {
    let mut all = Vec::new();
    for (i, group) in groups.iter().enumerate() {
        let others = groups.iter().enumerate().filter(|(j, _)| *j != i).flat_map(|(_, g)| g).map(|p| p.abs());
        let stretch = quantile(others.collect(), WITHIN_ONE_SIGMA);
        all.extend(group.iter().map(|p| p / stretch));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `statsmodels.stats.proportion.proportion_confint(…, method="wilson")`.
    #[test]
    fn the_interval_is_wilsons() {
        for (inside, n, low, high) in [(68, 100, 0.583_4, 0.763_3), (3, 10, 0.107_8, 0.603_2)] {
            let (a, b) = interval(inside, n);
            assert!((a - low).abs() < 1e-4 && (b - high).abs() < 1e-4, "{a} {b}");
        }
    }

    #[test]
    fn errors_three_times_too_small_are_mended_by_the_other_groups() {
        let groups: Vec<Vec<f64>> = (0..200).map(|i| vec![3.0 * (f64::from(i % 100) - 49.5) / 34.1]).collect();
        let pulls = calibrated_on_others(&groups);
        let inside = pulls.iter().filter(|p| p.abs() <= 1.0).count();
        assert!((130..=144).contains(&inside), "{inside}");
    }
}
