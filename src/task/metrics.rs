//! Accuracy metrics of the papers (docs/model-spec.md §4.1).

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub use crate::result::finetune::Metrics;
use crate::stats::{biweight, mean_and_std, sigma_clip};

impl Metrics {
    /// Metrics of pairs (true, predicted). Pairs with a value that is not finite are left out.
    pub fn of(pairs: &[(f64, f64)]) -> Self {
        let pairs: Vec<(f64, f64)> = pairs.iter().copied().filter(|(t, p)| t.is_finite() && p.is_finite()).collect();
        let residuals: Vec<f64> = pairs.iter().map(|(t, p)| p - t).collect();
        let clipped = sigma_clip(&residuals, 3.0, 5);
        let (bias, sigma) = mean_and_std(&clipped);
        let mean_true = pairs.iter().map(|(t, _)| t).sum::<f64>() / pairs.len() as f64;
        let residual_sum: f64 = residuals.iter().map(|r| r * r).sum();
        let total_sum: f64 = pairs.iter().map(|(t, _)| (t - mean_true).powi(2)).sum();
        Self { n: pairs.len(), bias, sigma, r2: 1.0 - residual_sum / total_sum, biweight: biweight(&residuals) }
    }
}

/// Standard error of the clipped σ of `residuals`, by a bootstrap over whole groups (400 samples, seeded).
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
            let resampled: Vec<f64> =
                (0..all.len()).flat_map(|_| all[rng.random_range(0..all.len())].iter().copied()).collect();
            mean_and_std(&sigma_clip(&resampled, 3.0, 5)).1
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

    #[test]
    fn bootstrap_error_of_sigma_is_about_sigma_over_root_two_n() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let residuals: Vec<f64> = (0..400).map(|_| (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0).collect();
        let names: Vec<String> = (0..400).map(|i| i.to_string()).collect();
        let groups: Vec<&str> = names.iter().map(String::as_str).collect();
        let se = sigma_standard_error(&residuals, &groups, 2);
        assert!((0.6..1.6).contains(&(se / (1.0 / 800f64.sqrt()))), "{se}");
    }
}
