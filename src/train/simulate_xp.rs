//! Simulation of Gaia XP (BP/RP) spectra: reddening, broad line spread, noise as a function of G, and residual
//! calibration errors.
//!
//! Line spread and noise are smooth descriptions of the sampled spectra of Gaia DR3 (De Angeli et al. 2023, Montegriffo
//! et al. 2023). The line spread is a few nanometres at the blue end of each prism, and ten and more at its red end.
//! Errors are a few per mille for bright stars and a few per cent at G = 17. They are larger below 400 nm, and
//! correlated over about the line spread.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

use super::extinction::transmission;
use crate::preprocess::xp::{XP_PIXELS, grid_nm, normalise};

/// Conditions of a Gaia XP observation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct XpConditions {
    /// G magnitude; −∞ for no noise.
    pub g_mag: f64,
    /// Colour excess E(B−V), mag.
    pub ebv_mag: f64,
    /// Factor on the width of the line spread.
    pub spread: f64,
    /// Relative size of smooth calibration errors at 600 nm.
    pub calibration_error: f64,
}

/// σ of the line spread: (wavelength in nm, σ in nm), linear in between. BP to 640 nm, RP from 640 nm.
const LINE_SPREAD_NM: [(f64, f64); 9] = [
    (330.0, 2.5),
    (400.0, 3.5),
    (500.0, 6.0),
    (600.0, 9.0),
    (640.0, 7.0),
    (700.0, 5.5),
    (800.0, 7.0),
    (900.0, 9.0),
    (1030.0, 11.5),
];

/// σ of the line spread in nm, at a wavelength in nm.
pub fn line_spread_nm(wave_nm: f64) -> f64 {
    let above = LINE_SPREAD_NM.partition_point(|(w, _)| *w <= wave_nm).clamp(1, LINE_SPREAD_NM.len() - 1);
    let ((a, low), (b, high)) = (LINE_SPREAD_NM[above - 1], LINE_SPREAD_NM[above]);
    low + (high - low) * ((wave_nm - a) / (b - a)).clamp(0.0, 1.0)
}

/// Random conditions of the survey, G = 9 to 17.5, for a colour excess E(B−V) in mag.
pub fn gaia_like(ebv_mag: f64, rng: &mut impl Rng) -> XpConditions {
    XpConditions {
        g_mag: rng.random_range(9.0..17.5),
        ebv_mag,
        spread: rng.random_range(0.85..1.15),
        calibration_error: rng.random_range(0.002..0.012),
    }
}

/// A random E(B−V) as away from the Galactic plane: exponential with a mean of 0.12 mag, at most 1.2 mag.
pub fn colour_excess(rng: &mut impl Rng) -> f64 {
    (-0.12 * rng.random_range(1e-9f64..1.0).ln()).min(1.2)
}

/// Observes a spectral energy distribution (flux per wavelength, any unit, on increasing wavelengths in nm). Returns
/// the flux relative to 550 nm, `[343]`; `None` where the flux at 550 nm is below 5 % of the mean.
pub fn observe(wave_nm: &[f64], flux: &[f64], conditions: &XpConditions, rng: &mut impl Rng) -> Option<Vec<f32>> {
    let reddened: Vec<f64> = wave_nm.iter().zip(flux).map(|(w, f)| f * transmission(*w, conditions.ebv_mag)).collect();
    let grid = grid_nm();
    let mut input: Vec<f64> =
        grid.iter().map(|at| convolved(wave_nm, &reddened, *at, conditions.spread * line_spread_nm(*at))).collect();
    let level = input.iter().sum::<f64>() / input.len() as f64;
    if conditions.g_mag.is_finite() {
        let (noise, error_curve) =
            (correlated(&grid, |w| 0.7 * line_spread_nm(w), rng), correlated(&grid, |_| 25.0, rng));
        for i in 0..XP_PIXELS {
            let relative = input[i] / level;
            let error = noise_at(grid[i], relative, conditions.g_mag);
            let blue = 1.0 + 4.0 * ((430.0 - grid[i]) / 94.0).max(0.0).powi(2);
            input[i] =
                input[i] * (1.0 + conditions.calibration_error * blue * error_curve[i]) + level * error * noise[i];
        }
    }
    let floor = 0.05 * level;
    let at_550 = input[(550 - 336) / 2];
    if at_550 < floor {
        return None;
    }
    normalise(&grid, &input).ok().map(|n| n.iter().map(|v| *v as f32).collect())
}

/// Error of a sample in units of the mean flux. `relative` is the flux of the sample in this unit.
fn noise_at(wave_nm: f64, relative: f64, g_mag: f64) -> f64 {
    // Throughput of the instrument; it falls towards both ends of the range.
    let throughput = (-((wave_nm - 640.0) / 330.0).powi(4)).exp().max(0.05);
    let photons = 10f64.powf(-0.4 * (g_mag - 15.0));
    let background = 10f64.powf(-0.4 * (18.0 - 15.0));
    // S/N = 100 per sample at G = 15, for average flux and throughput.
    let counting = 0.01 * ((relative.max(0.0) * photons + background) / throughput).sqrt() / photons;
    counting.hypot(0.003 * relative)
}

/// Noise of unit variance, correlated over σ(λ) in nm.
fn correlated(grid: &[f64], sigma_nm: impl Fn(f64) -> f64, rng: &mut impl Rng) -> Vec<f64> {
    let white: Vec<f64> = grid.iter().map(|_| StandardNormal.sample(rng)).collect();
    let step = 2.0;
    grid.iter()
        .enumerate()
        .map(|(i, at)| {
            let sigma = sigma_nm(*at) / step;
            let reach = (3.0 * sigma).ceil() as usize;
            let (mut sum, mut square) = (0.0, 0.0);
            for (j, noise) in white.iter().enumerate().take(i + reach + 1).skip(i.saturating_sub(reach)) {
                let w = (-0.5 * ((j as f64 - i as f64) / sigma).powi(2)).exp();
                sum += w * noise;
                square += w * w;
            }
            sum / square.sqrt()
        })
        .collect()
}

/// Mean of a curve, weighted by a Gaussian.
fn convolved(wave_nm: &[f64], flux: &[f64], at: f64, sigma: f64) -> f64 {
    let from = wave_nm.partition_point(|w| *w < at - 3.5 * sigma);
    let to = wave_nm.partition_point(|w| *w <= at + 3.5 * sigma);
    let (mut sum, mut total) = (0.0, 0.0);
    for i in from..to {
        let w = (-0.5 * ((wave_nm[i] - at) / sigma).powi(2)).exp();
        sum += w * flux[i];
        total += w;
    }
    if total > 0.0 { sum / total } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn without_noise(ebv_mag: f64) -> XpConditions {
        XpConditions { g_mag: f64::NEG_INFINITY, ebv_mag, spread: 1.0, calibration_error: 0.0 }
    }

    fn axis() -> Vec<f64> {
        (0..700).map(|i| 330.5 + f64::from(i)).collect()
    }

    #[test]
    fn a_narrow_line_is_as_wide_as_the_line_spread() {
        let wave = axis();
        let flux: Vec<f64> = wave.iter().map(|w| if (w - 800.5).abs() < 0.1 { 0.0 } else { 1.0 }).collect();
        let input = observe(&wave, &flux, &without_noise(0.0), &mut ChaCha8Rng::seed_from_u64(1)).expect("a spectrum");
        let depth = |nm: f64| 1.0 - f64::from(input[((nm - 336.0) / 2.0) as usize]);
        // A line of equivalent width 1 nm under a Gaussian of σ = 7 nm.
        let peak = 1.0 / (7.0 * std::f64::consts::TAU.sqrt());
        assert!((depth(800.0) / peak - 1.0).abs() < 0.02, "{} {peak}", depth(800.0));
        let relative_depth = (depth(790.0) + depth(810.0)) / 2.0 / depth(800.0);
        assert!((relative_depth - (-0.5f64 * (10.0 / 7.0f64).powi(2)).exp()).abs() < 0.04, "{relative_depth}");
    }

    #[test]
    fn dust_takes_the_blue_and_faint_stars_are_noisy() {
        let (wave, flux) = (axis(), vec![1.0; 700]);
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let input = observe(&wave, &flux, &without_noise(0.5), &mut rng).expect("a spectrum");
        // A(445 nm) − A(550 nm) is about E(B−V).
        let excess = -2.5 * f64::from(input[(445 - 336) / 2]).log10();
        assert!((excess - 0.5).abs() < 0.05, "{excess}");
        let mut scatter = |g_mag: f64| {
            let conditions = XpConditions { g_mag, ..without_noise(0.0) };
            let input = observe(&wave, &flux, &conditions, &mut rng).expect("a spectrum");
            (input.iter().map(|v| (f64::from(*v) - 1.0).powi(2)).sum::<f64>() / 343.0).sqrt()
        };
        let (bright, faint) = (scatter(10.0), scatter(17.0));
        assert!(bright < 0.02 && faint > 3.0 * bright && faint < 0.3, "{bright} {faint}");
    }
}
