//! Error models: predicted errors as a function of S/N, fitted to residuals of spectra outside the training set.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::calibration::{ErrorKind, ErrorModel, ErrorRegime};
use crate::result::Label;
use crate::spectrum::Survey;
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
    /// Survey and predicted labels. They select the regime of the error model in use, so they do so here too.
    pub kind: ErrorKind,
    /// Fraction of the model's pixels that the spectrum has, 0–1.
    pub coverage: f64,
}

/// Limits of the regimes. Hot stars have few lines but those of hydrogen, metal-poor stars weak ones; gravities of
/// giants are the noisiest labels.
const HOT_TEFF_K: f64 = 7200.0;
const METAL_POOR_FEH: f64 = -1.0;
const GIANT_LOGG: f64 = 3.5;

/// Fewest stars of a regime; with fewer its stars join the last, which has no limits.
const MIN_STARS: usize = 25;

/// The regimes in the order of their use; the last has no limits.
fn limits() -> [ErrorRegime; 4] {
    [
        ErrorRegime { teff_above: Some(HOT_TEFF_K), ..ErrorRegime::default() },
        ErrorRegime { feh_below: Some(METAL_POOR_FEH), ..ErrorRegime::default() },
        ErrorRegime { logg_below: Some(GIANT_LOGG), ..ErrorRegime::default() },
        ErrorRegime::default(),
    ]
}

/// The residuals of each regime that has enough stars.
fn by_regime(residuals: &[Residual]) -> Vec<(ErrorRegime, Vec<Residual>)> {
    let mut rest = residuals.to_vec();
    let mut regimes = Vec::new();
    for regime in limits() {
        let is_last = regime == ErrorRegime::default();
        let (inside, outside): (Vec<Residual>, Vec<Residual>) = rest.iter().partition(|r| regime.contains(&r.kind));
        if is_last || count_stars(&inside) >= MIN_STARS {
            regimes.push((regime, inside));
            rest = outside;
        }
    }
    regimes
}

/// Fits the error model of a label. For complete spectra it is σ² = floor² + (noise / S/N)², and 68.27 % of the
/// residuals lie within σ. Hot stars, metal-poor stars, giants and the rest have separate fits. A power of coverage then
/// describes incomplete spectra.
pub fn fit(label: Label, residuals: &[Residual]) -> ErrorModel {
    let (complete, partial): (Vec<Residual>, Vec<Residual>) = residuals.iter().partition(|r| r.coverage > 0.95);
    let regimes = by_regime(&complete).into_iter().map(|(limits, inside)| regime(limits, &inside)).collect();
    let mut fitted = ErrorModel { label, regimes, coverage_power: 0.0 };
    fitted.coverage_power = coverage_power(&fitted, partial);
    fitted
}

/// Adds regimes of a survey to a model, in front of the others. Their floors are fitted to residuals of the survey's own
/// spectra, one for each star, and the scatter between exposures to `visits`, which are residuals from the mean of each
/// star's visits. The dependence on S/N is that of the regimes that are already there.
pub fn add_survey(model: &mut ErrorModel, survey: Survey, residuals: &[Residual], visits: &[Residual]) {
    let general = model.regimes.clone();
    let exposure = |noise: f64, otherwise: f64| if visits.is_empty() { otherwise } else { floor(visits, noise) };
    let of_survey = |general: &ErrorRegime, floor: f64, n: usize| {
        let exposure = exposure(general.noise, general.exposure).min(floor);
        ErrorRegime { survey: Some(survey), floor, exposure, n, ..general.clone() }
    };
    let mut regimes: Vec<ErrorRegime> = Vec::new();
    if residuals.is_empty() {
        regimes.extend(general.iter().map(|r| of_survey(r, r.floor, r.n)));
    } else {
        for (limits, inside) in by_regime(residuals).into_iter().filter(|(_, inside)| !inside.is_empty()) {
            let is_same = |r: &&ErrorRegime| {
                (r.teff_above, r.logg_below, r.feh_below) == (limits.teff_above, limits.logg_below, limits.feh_below)
            };
            let Some(general) = general.iter().find(is_same).or(general.last()) else { continue };
            let own = of_survey(general, floor(&inside, general.noise), count_stars(&inside));
            let ErrorRegime { teff_above, logg_below, feh_below, .. } = limits;
            regimes.push(ErrorRegime { teff_above, logg_below, feh_below, ..own });
        }
    }
    regimes.extend(general);
    model.regimes = regimes;
}

/// The power p of σ ∝ coverage^−p, from the scatter of incomplete spectra in units of the σ of complete ones.
fn coverage_power(full: &ErrorModel, mut partial: Vec<Residual>) -> f64 {
    partial.sort_unstable_by(|a, b| a.coverage.total_cmp(&b.coverage));
    let (mut xx, mut xy) = (0.0, 0.0);
    for bin in partial.chunks(partial.len().div_ceil(6).max(30)) {
        let excess = |r: &Residual| r.value / full.sigma(&r.kind, Some(r.snr), 1.0);
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

fn regime(limits: ErrorRegime, residuals: &[Residual]) -> ErrorRegime {
    let noise = noise(residuals);
    let (floor, exposure) = (floor(residuals, noise), floor(&residuals_within_stars(residuals), noise));
    ErrorRegime { floor, noise, exposure: exposure.min(floor), n: count_stars(residuals), ..limits }
}

/// The floor for which 68.27 % of the residuals lie within one error. The residuals have longer tails than a Gaussian,
/// so σ from their standard deviation would contain more.
fn floor(residuals: &[Residual], noise: f64) -> f64 {
    let beyond_noise = |r: &Residual| (r.value.powi(2) - (noise / r.snr).powi(2)).max(0.0).sqrt();
    let floors: Vec<f64> = residuals.iter().filter(|r| r.value.is_finite()).map(beyond_noise).collect();
    quantile(floors, WITHIN_ONE_SIGMA).unwrap_or(f64::NAN)
}

/// Residuals relative to the mean of each star, for stars with two or more observations.
pub(super) fn residuals_within_stars(residuals: &[Residual]) -> Vec<Residual> {
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

    const KIND: ErrorKind = ErrorKind { survey: Survey::Miles, teff_k: 5800.0, logg: 4.4, feh: 0.0 };

    #[test]
    fn a_known_floor_and_noise_are_recovered() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let residuals: Vec<Residual> = (0..20_000)
            .map(|star| {
                let snr = 10f64.powf(rng.random_range(1.0..2.5));
                let unit: f64 = StandardNormal.sample(&mut rng);
                Residual { star, snr, value: unit * 80f64.hypot(2000.0 / snr), kind: KIND, coverage: 1.0 }
            })
            .collect();
        let fitted = fit(Label::Teff, &residuals);
        let regime = &fitted.regimes[0];
        assert!((regime.floor / 80.0 - 1.0).abs() < 0.05 && (regime.noise / 2000.0 - 1.0).abs() < 0.05, "{regime:?}");
        assert!((fitted.sigma(&KIND, Some(20.0), 1.0) / 128.0 - 1.0).abs() < 0.05);
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
                residuals.push(Residual { star, snr, value, kind: KIND, coverage: 1.0 });
            }
        }
        let regime = &fit(Label::Teff, &residuals).regimes[0];
        assert!((regime.exposure / 30.0 - 1.0).abs() < 0.1, "{regime:?}");
        assert!((regime.floor / 60f64.hypot(30.0) - 1.0).abs() < 0.05, "{regime:?}");
    }

    /// Stars of a survey scatter by 50 K about their labels and by 20 K between visits, those of the library by 80 K.
    #[test]
    fn a_survey_has_its_own_errors() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let mut residuals = |sigma: f64, kind: ErrorKind, visits: usize| -> Vec<Residual> {
            (0..8000)
                .map(|i| {
                    let snr = 10f64.powf(rng.random_range(1.0..2.5));
                    let unit: f64 = StandardNormal.sample(&mut rng);
                    Residual { star: i / visits, snr, value: unit * sigma.hypot(1000.0 / snr), kind, coverage: 1.0 }
                })
                .collect()
        };
        let lamost = ErrorKind { survey: Survey::LamostLrs, ..KIND };
        let hot = ErrorKind { teff_k: 8000.0, ..lamost };
        let mut model = fit(Label::Teff, &residuals(80.0, KIND, 1));
        let own = [residuals(50.0, lamost, 1), residuals(150.0, hot, 1)].concat();
        add_survey(&mut model, Survey::LamostLrs, &own, &residuals(20.0, lamost, 4));
        for (kind, expected) in [(KIND, 80.0), (lamost, 50.0), (hot, 150.0)] {
            let sigma = model.sigma(&kind, Some(1e6), 1.0);
            assert!((sigma / expected - 1.0).abs() < 0.06, "{kind:?}: {sigma}");
        }
        assert!((model.sigma_exposure(&lamost, 1e6) / 20.0 - 1.0).abs() < 0.15, "{model:?}");
    }
}
