//! The papers' figures of merit (MODEL_SPEC §4.1).

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::preprocess::stats::median;
pub use crate::result::teach::Metrics;

impl Metrics {
    /// From pairs of (true, predicted); pairs with a value that is not finite are left out.
    pub fn of(pairs: &[(f64, f64)]) -> Self {
        let pairs: Vec<(f64, f64)> = pairs.iter().copied().filter(|(t, p)| t.is_finite() && p.is_finite()).collect();
        let residuals: Vec<f64> = pairs.iter().map(|(t, p)| p - t).collect();
        let kept = sigma_clip(&residuals, 3.0, 5);
        let (bias, sigma) = mean_and_std(&kept);
        let mean_true = pairs.iter().map(|(t, _)| t).sum::<f64>() / pairs.len() as f64;
        let rest: f64 = residuals.iter().map(|r| r * r).sum();
        let total: f64 = pairs.iter().map(|(t, _)| (t - mean_true).powi(2)).sum();
        Self { n: pairs.len(), bias, sigma, r2: 1.0 - rest / total, biweight: biweight(&residuals) }
    }
}

/// The values that astropy's `sigma_clip` keeps: median as centre, population standard deviation, at most `rounds` rounds.
pub fn sigma_clip(values: &[f64], limit: f64, rounds: usize) -> Vec<f64> {
    let mut kept = values.to_vec();
    for _ in 0..rounds {
        let Some(centre) = median(&mut kept.clone()) else { break };
        let (_, std) = mean_and_std(&kept);
        let before = kept.len();
        kept.retain(|v| (v - centre).abs() <= limit * std);
        if kept.len() == before {
            break;
        }
    }
    kept
}

/// Tukey's biweight scale, as the papers' tables have it: 0 for values that do not differ, NaN where fewer than three are
/// left within six times the median deviation.
pub fn biweight(values: &[f64]) -> f64 {
    let Some(centre) = median(&mut values.to_vec()) else { return f64::NAN };
    let from_centre: Vec<f64> = values.iter().map(|v| v - centre).collect();
    let mut deviations: Vec<f64> = from_centre.iter().map(|d| d.abs()).collect();
    let mut scale = median(&mut deviations).unwrap_or(0.0) / 0.6745;
    if scale < 1e-20 {
        scale = from_centre.iter().map(|d| d.abs()).sum::<f64>() / values.len() as f64 / 0.8;
    }
    if scale < 1e-20 {
        return 0.0;
    }
    let (mut kept, mut above, mut below) = (0, 0.0, 0.0);
    for d in &from_centre {
        let u2 = (d / (6.0 * scale)).powi(2);
        if u2 <= 1.0 {
            kept += 1;
            above += d * d * (1.0 - u2).powi(4);
            below += (1.0 - u2) * (1.0 - 5.0 * u2);
        }
    }
    if kept < 3 {
        return f64::NAN;
    }
    (values.len() as f64 * above / (below * (below - 1.0))).max(0.0).sqrt()
}

/// Mean and population standard deviation.
pub fn mean_and_std(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt())
}

/// Standard error of the clipped σ of `residuals`, by drawing whole groups anew (400 bootstrap samples, seeded).
pub fn sigma_standard_error(residuals: &[f64], groups: &[&str], seed: u64) -> f64 {
    let mut by_group: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (r, g) in residuals.iter().zip(groups).filter(|(r, _)| r.is_finite()) {
        by_group.entry(g).or_default().push(*r);
    }
    let all: Vec<&Vec<f64>> = by_group.values().collect();
    if all.is_empty() {
        return f64::NAN;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let sigmas: Vec<f64> = (0..400)
        .map(|_| {
            let drawn: Vec<f64> =
                (0..all.len()).flat_map(|_| all[rng.random_range(0..all.len())].iter().copied()).collect();
            mean_and_std(&sigma_clip(&drawn, 3.0, 5)).1
        })
        .collect();
    mean_and_std(&sigmas).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_is_clipped_from_sigma_but_not_from_r2() {
        let mut pairs: Vec<(f64, f64)> = (0..100).map(|i| (f64::from(i), f64::from(i) + f64::from(i % 2))).collect();
        pairs.push((50.0, 5000.0));
        let m = Metrics::of(&pairs);
        assert_eq!(m.n, 101);
        assert!((m.bias - 0.5).abs() < 1e-12 && (m.sigma - 0.5).abs() < 1e-12);
        assert!(m.r2 < 0.0);
    }

    /// Numbers of a NumPy transcription of the papers' formula.
    #[test]
    fn the_biweight_is_the_papers() {
        assert!((biweight(&[1.0, 2.0, 3.0, 4.0, 5.0]) - 1.7350488113630949).abs() < 1e-9);
        assert!((biweight(&[0.1, -0.3, 0.2, 0.05, -0.12, 9.0]) - 0.24797713956312475).abs() < 1e-9);
        assert_eq!(biweight(&[2.0; 7]), 0.0);
        assert!(biweight(&[]).is_nan());
    }

    #[test]
    fn the_bootstrap_error_of_sigma_is_about_sigma_over_root_two_n() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let residuals: Vec<f64> = (0..400).map(|_| (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0).collect();
        let names: Vec<String> = (0..400).map(|i| i.to_string()).collect();
        let groups: Vec<&str> = names.iter().map(String::as_str).collect();
        let se = sigma_standard_error(&residuals, &groups, 2);
        assert!((0.6..1.6).contains(&(se / (1.0 / 800f64.sqrt()))), "{se}");
    }
}
