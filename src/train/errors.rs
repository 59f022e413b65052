//! Error models: predicted errors as a function of S/N, fitted to residuals of spectra outside the training set.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::calibration::{ErrorModel, ErrorRegime};
use crate::result::Label;
use crate::stats::{mean_and_std, quantile, sigma_clip};

use super::error_calibration::WITHIN_ONE_SIGMA;

/// Residual of one prediction.
#[derive(Debug, Clone, Copy)]
pub struct Residual {
    /// Index of the star.
    pub star: usize,
    /// S/N per model pixel.
    pub snr: f64,
    /// Predicted − true.
    pub value: f64,
    /// Predicted [Fe/H]. It selects the regime of the error model in use, so it does so here too.
    pub feh: f64,
    /// Fraction of the model's pixels that the spectrum has, 0–1.
    pub coverage: f64,
}

/// Upper limit of [Fe/H] for the metal-poor regime. Lines are weak there and errors larger.
const METAL_POOR_FEH: f64 = -1.0;

/// Fits the error model of a label. For complete spectra it is σ² = floor² + (noise / S/N)², and 68.27 % of the
/// residuals lie within σ. Metal-poor stars and the rest have separate fits; with fewer than 25 metal-poor stars there
/// is one fit for all. A power of coverage then describes incomplete spectra.
pub fn fit(label: Label, residuals: &[Residual]) -> ErrorModel {
    let (complete, partial): (Vec<Residual>, Vec<Residual>) = residuals.iter().partition(|r| r.coverage > 0.95);
    let (poor, rest): (Vec<Residual>, Vec<Residual>) = complete.iter().partition(|r| r.feh < METAL_POOR_FEH);
    let regimes = if count_stars(&poor) < 25 {
        vec![regime(None, &complete)]
    } else {
        vec![regime(Some(METAL_POOR_FEH), &poor), regime(None, &rest)]
    };
    let mut fitted = ErrorModel { label, regimes, coverage_power: 0.0 };
    fitted.coverage_power = coverage_power(&fitted, partial);
    fitted
}

/// The power p of σ ∝ coverage^−p, from the scatter of incomplete spectra in units of the σ of complete ones.
fn coverage_power(full: &ErrorModel, mut partial: Vec<Residual>) -> f64 {
    partial.sort_unstable_by(|a, b| a.coverage.total_cmp(&b.coverage));
    let (mut xx, mut xy) = (0.0, 0.0);
    for bin in partial.chunks(partial.len().div_ceil(6).max(30)) {
        let excess = |r: &Residual| r.value / full.sigma(r.feh, Some(r.snr), 1.0);
        let clipped = sigma_clip(&bin.iter().map(excess).collect::<Vec<_>>(), 3.0, 5);
        let (mean, std) = mean_and_std(&clipped);
        let x = bin.iter().map(|r| r.coverage.ln()).sum::<f64>() / bin.len() as f64;
        xx += x * x;
        xy += x * mean.hypot(std).max(1.0).ln();
    }
    if xx > 0.0 { -xy / xx } else { 0.0 }
}

fn count_stars(residuals: &[Residual]) -> usize {
    residuals.iter().map(|r| r.star).collect::<BTreeSet<_>>().len()
}

fn regime(feh_below: Option<f64>, residuals: &[Residual]) -> ErrorRegime {
    let noise = noise(residuals);
    let (floor, exposure) = (floor(residuals, noise), floor(&residuals_within_stars(residuals), noise));
    ErrorRegime { feh_below, floor, noise, exposure: exposure.min(floor), n: count_stars(residuals) }
}

/// The floor for which 68.27 % of the residuals lie within one error. The residuals have longer tails than a Gaussian,
/// so σ from their standard deviation would contain more.
fn floor(residuals: &[Residual], noise: f64) -> f64 {
    let beyond_noise = |r: &Residual| (r.value.powi(2) - (noise / r.snr).powi(2)).max(0.0).sqrt();
    let floors: Vec<f64> = residuals.iter().filter(|r| r.value.is_finite()).map(beyond_noise).collect();
    quantile(floors, WITHIN_ONE_SIGMA).unwrap_or(f64::NAN)
}

/// Residuals relative to the mean of each star, for stars with two or more observations.
fn residuals_within_stars(residuals: &[Residual]) -> Vec<Residual> {
    let mut stars: BTreeMap<usize, Vec<&Residual>> = BTreeMap::new();
    residuals.iter().filter(|r| r.value.is_finite()).for_each(|r| stars.entry(r.star).or_default().push(r));
    let mut centred = Vec::new();
    for observations in stars.into_values().filter(|o| o.len() > 1) {
        let n = observations.len() as f64;
        // Good observations determine the star's mean best.
        let weight = |r: &Residual| r.snr.min(100.0).powi(2);
        let total: f64 = observations.iter().map(|r| weight(r)).sum();
        let level = observations.iter().map(|r| weight(r) * r.value).sum::<f64>() / total;
        let bessel_correction = (n / (n - 1.0)).sqrt();
        centred
            .extend(observations.into_iter().map(|r| Residual { value: bessel_correction * (r.value - level), ..*r }));
    }
    centred
}

/// The noise coefficient: dependence of the scatter on 1 / S/N.
fn noise(residuals: &[Residual]) -> f64 {
    let mut sorted = residuals.to_vec();
    sorted.retain(|r| r.value.is_finite());
    sorted.sort_unstable_by(|a, b| a.snr.total_cmp(&b.snr));
    // Ten bins of equal number. Each gives the clipped root mean square about zero, so that a bias counts.
    let points: Vec<(f64, f64)> = sorted
        .chunks(sorted.len().div_ceil(10).max(1))
        .map(|bin| {
            let clipped = sigma_clip(&bin.iter().map(|r| r.value).collect::<Vec<_>>(), 3.0, 5);
            let (mean, std) = mean_and_std(&clipped);
            let inverse_square = bin.iter().map(|r| 1.0 / (r.snr * r.snr)).sum::<f64>() / bin.len() as f64;
            (inverse_square, mean * mean + std * std)
        })
        .collect();
    // A straight line in (1/S/N², σ²). Each bin has the weight 1/σ⁴, so that relative errors count equally.
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
    fn a_known_floor_and_noise_are_recovered() {
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

    /// Scatter of 60 K between stars, of 30 K between exposures, and noise.
    #[test]
    fn scatter_between_exposures_is_separated_from_scatter_between_stars() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(4);
        let mut residuals = Vec::new();
        for star in 0..1_500 {
            let star_offset: f64 = StandardNormal.sample(&mut rng);
            for _ in 0..16 {
                let snr = 10f64.powf(rng.random_range(1.0..2.5));
                let unit: f64 = StandardNormal.sample(&mut rng);
                let value = 60.0 * star_offset + unit * 30f64.hypot(1000.0 / snr);
                residuals.push(Residual { star, snr, value, feh: 0.0, coverage: 1.0 });
            }
        }
        let regime = &fit(Label::Teff, &residuals).regimes[0];
        assert!((regime.exposure / 30.0 - 1.0).abs() < 0.1, "{regime:?}");
        assert!((regime.floor / 60f64.hypot(30.0) - 1.0).abs() < 0.05, "{regime:?}");
    }
}
