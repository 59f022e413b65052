//! Errors of predictions as a function of S/N, from residuals of spectra that were not trained on.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::calibration::{ErrorModel, Regime};
use crate::result::Label;
use crate::task::metrics::{mean_and_std, sigma_clip};

use super::coverage::{WITHIN_ONE_SIGMA, quantile};

/// One prediction against the truth.
#[derive(Debug, Clone, Copy)]
pub struct Residual {
    /// Star that it belongs to.
    pub star: usize,
    /// S/N a model pixel.
    pub snr: f64,
    /// Predicted − true.
    pub value: f64,
    /// Predicted [Fe/H]: what decides the regime when the model is used.
    pub feh: f64,
    /// Part of the model's pixels that were there.
    pub coverage: f64,
}

/// Below this [Fe/H] lines are weak and errors larger.
const METAL_POOR: f64 = -1.0;

/// Fits σ² = floor² + (noise / S/N)², with 68 % of the residuals inside, to complete spectra, for metal-poor stars and for the rest (one fit for all where
/// there are fewer than 25 metal-poor stars), then what a missing part of the spectrum costs.
pub fn fit(label: Label, residuals: &[Residual]) -> ErrorModel {
    let (complete, partial): (Vec<Residual>, Vec<Residual>) = residuals.iter().partition(|r| r.coverage > 0.95);
    let (poor, rest): (Vec<Residual>, Vec<Residual>) = complete.iter().partition(|r| r.feh < METAL_POOR);
    let regimes = if count_stars(&poor) < 25 {
        vec![regime(None, &complete)]
    } else {
        vec![regime(Some(METAL_POOR), &poor), regime(None, &rest)]
    };
    let mut fitted = ErrorModel { label, regimes, coverage_power: 0.0 };
    fitted.coverage_power = coverage_power(&fitted, partial);
    fitted
}

/// The power of coverage that the scatter of incomplete spectra follows, in units of what complete ones have.
fn coverage_power(full: &ErrorModel, mut partial: Vec<Residual>) -> f64 {
    partial.sort_unstable_by(|a, b| a.coverage.total_cmp(&b.coverage));
    let (mut xx, mut xy) = (0.0, 0.0);
    for bin in partial.chunks(partial.len().div_ceil(6).max(30)) {
        let excess = |r: &Residual| r.value / full.sigma(r.feh, Some(r.snr), 1.0);
        let kept = sigma_clip(&bin.iter().map(excess).collect::<Vec<_>>(), 3.0, 5);
        let (mean, std) = mean_and_std(&kept);
        let x = bin.iter().map(|r| r.coverage.ln()).sum::<f64>() / bin.len() as f64;
        xx += x * x;
        xy += x * mean.hypot(std).max(1.0).ln();
    }
    if xx > 0.0 { -xy / xx } else { 0.0 }
}

fn count_stars(residuals: &[Residual]) -> usize {
    residuals.iter().map(|r| r.star).collect::<BTreeSet<_>>().len()
}

fn regime(feh_below: Option<f64>, residuals: &[Residual]) -> Regime {
    let noise = noise(residuals);
    let (floor, exposure) = (floor(residuals, noise), floor(&about_each_star(residuals), noise));
    Regime { feh_below, floor, noise, exposure: exposure.min(floor), n: count_stars(residuals) }
}

/// The floor with which 68.27 % of the residuals are within one error. They have longer tails than a Gaussian, so that
/// their standard deviation would hold more.
fn floor(residuals: &[Residual], noise: f64) -> f64 {
    let beyond_noise = |r: &Residual| (r.value.powi(2) - (noise / r.snr).powi(2)).max(0.0).sqrt();
    let needed: Vec<f64> = residuals.iter().filter(|r| r.value.is_finite()).map(beyond_noise).collect();
    quantile(needed, WITHIN_ONE_SIGMA)
}

/// The residuals with what all observations of a star have in common taken away, for stars that were observed more than
/// once.
fn about_each_star(residuals: &[Residual]) -> Vec<Residual> {
    let mut stars: BTreeMap<usize, Vec<&Residual>> = BTreeMap::new();
    residuals.iter().filter(|r| r.value.is_finite()).for_each(|r| stars.entry(r.star).or_default().push(r));
    let mut rest = Vec::new();
    for observations in stars.into_values().filter(|o| o.len() > 1) {
        let n = observations.len() as f64;
        // The good observations tell the star's own level best.
        let weight = |r: &Residual| r.snr.min(100.0).powi(2);
        let total: f64 = observations.iter().map(|r| weight(r)).sum();
        let level = observations.iter().map(|r| weight(r) * r.value).sum::<f64>() / total;
        let lost = (n / (n - 1.0)).sqrt();
        rest.extend(observations.into_iter().map(|r| Residual { value: lost * (r.value - level), ..*r }));
    }
    rest
}

/// How much the scatter grows with 1 / S/N.
fn noise(residuals: &[Residual]) -> f64 {
    let mut sorted = residuals.to_vec();
    sorted.retain(|r| r.value.is_finite());
    sorted.sort_unstable_by(|a, b| a.snr.total_cmp(&b.snr));
    // Ten bins of equal number; in each the root mean square about zero after clipping, so that bias counts.
    let points: Vec<(f64, f64)> = sorted
        .chunks(sorted.len().div_ceil(10).max(1))
        .map(|bin| {
            let kept = sigma_clip(&bin.iter().map(|r| r.value).collect::<Vec<_>>(), 3.0, 5);
            let (mean, std) = mean_and_std(&kept);
            let inverse_square = bin.iter().map(|r| 1.0 / (r.snr * r.snr)).sum::<f64>() / bin.len() as f64;
            (inverse_square, mean * mean + std * std)
        })
        .collect();
    // A straight line in (1/S/N², σ²), each bin weighted by 1/σ⁴ so that relative errors count alike.
    let (mut s, mut sx, mut sy, mut sxx, mut sxy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (x, y) in &points {
        let w = 1.0 / (y * y).max(f64::MIN_POSITIVE);
        s += w;
        sx += w * x;
        sy += w * y;
        sxx += w * x * x;
        sxy += w * x * y;
    }
    ((s * sxy - sx * sy) / (s * sxx - sx * sx)).max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_distr::{Distribution, StandardNormal};

    #[test]
    fn a_known_floor_and_noise_come_back() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let residuals: Vec<Residual> = (0..20_000)
            .map(|star| {
                let snr = 10f64.powf(rng.random_range(1.0..2.5));
                let unit: f64 = StandardNormal.sample(&mut rng);
                Residual { star, snr, value: unit * 80f64.hypot(2000.0 / snr), feh: 0.0, coverage: 1.0 }
            })
            .collect();
        let fitted = fit(Label::Teff, &residuals);
        let regime = &fitted.regimes[0];
        assert!((regime.floor / 80.0 - 1.0).abs() < 0.05 && (regime.noise / 2000.0 - 1.0).abs() < 0.05, "{regime:?}");
        assert!((fitted.sigma(0.0, Some(20.0), 1.0) / 128.0 - 1.0).abs() < 0.05);
    }

    /// 60 K that is the star's own, 30 K of every exposure, and noise.
    #[test]
    fn what_differs_between_exposures_is_told_from_what_does_not() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(4);
        let mut residuals = Vec::new();
        for star in 0..1_500 {
            let own: f64 = StandardNormal.sample(&mut rng);
            for _ in 0..16 {
                let snr = 10f64.powf(rng.random_range(1.0..2.5));
                let unit: f64 = StandardNormal.sample(&mut rng);
                let value = 60.0 * own + unit * 30f64.hypot(1000.0 / snr);
                residuals.push(Residual { star, snr, value, feh: 0.0, coverage: 1.0 });
            }
        }
        let regime = &fit(Label::Teff, &residuals).regimes[0];
        assert!((regime.exposure / 30.0 - 1.0).abs() < 0.1, "{regime:?}");
        assert!((regime.floor / 60f64.hypot(30.0) - 1.0).abs() < 0.05, "{regime:?}");
    }
}
