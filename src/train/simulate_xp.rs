//! What Gaia's BP and RP prisms would have made of a star: reddening, their broad line spread, noise by G, and what their
//! calibration leaves.
//!
//! Line spread and noise are smooth descriptions of the sampled spectra of Gaia DR3 (De Angeli et al. 2023, Montegriffo et
//! al. 2023): a few nanometres in the blue of each prism, ten and more at its red end; errors of a few per mille for bright
//! stars and of a few per cent at G = 17, larger below 400 nm, correlated as broadly as the line spread.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

use super::extinction::transmission;
use crate::preprocess::xp::{XP_PIXELS, grid_nm, normalise};

/// The circumstances of a Gaia observation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct XpCircumstances {
    /// G, mag; infinitely bright (−∞) for no noise.
    pub g_mag: f64,
    /// Colour excess E(B−V), mag.
    pub ebv_mag: f64,
    /// Factor on the line spread's width.
    pub spread: f64,
    /// Size of smooth errors of the calibration at 600 nm, relative.
    pub wiggle: f64,
}

/// σ of the line spread in nm: (wavelength in nm, σ), linear between. BP to 640 nm, RP from there.
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

/// σ of the line spread at a wavelength, nm.
pub fn line_spread_nm(wave_nm: f64) -> f64 {
    let above = LINE_SPREAD_NM.partition_point(|(w, _)| *w <= wave_nm).clamp(1, LINE_SPREAD_NM.len() - 1);
    let ((a, low), (b, high)) = (LINE_SPREAD_NM[above - 1], LINE_SPREAD_NM[above]);
    low + (high - low) * ((wave_nm - a) / (b - a)).clamp(0.0, 1.0)
}

/// Circumstances as the survey meets them: G 9 to 17.5, and this reddening.
pub fn gaia_like(ebv_mag: f64, rng: &mut impl Rng) -> XpCircumstances {
    XpCircumstances {
        g_mag: rng.random_range(9.0..17.5),
        ebv_mag,
        spread: rng.random_range(0.85..1.15),
        wiggle: rng.random_range(0.002..0.012),
    }
}

/// A colour excess as it is found away from the plane: exponential with a mean of 0.12 mag, at most 1.2.
pub fn colour_excess(rng: &mut impl Rng) -> f64 {
    (-0.12 * rng.random_range(1e-9f64..1.0).ln()).min(1.2)
}

/// Observes an energy distribution (per wavelength, any unit, on increasing nm): flux over that at 550 nm, `[343]`. `None`
/// where noise leaves nothing at 550 nm.
pub fn observe(wave_nm: &[f64], flux: &[f64], how: &XpCircumstances, rng: &mut impl Rng) -> Option<Vec<f32>> {
    let reddened: Vec<f64> = wave_nm.iter().zip(flux).map(|(w, f)| f * transmission(*w, how.ebv_mag)).collect();
    let grid = grid_nm();
    let mut seen: Vec<f64> =
        grid.iter().map(|at| smeared(wave_nm, &reddened, *at, how.spread * line_spread_nm(*at))).collect();
    let level = seen.iter().sum::<f64>() / seen.len() as f64;
    if how.g_mag.is_finite() {
        let (noise, wiggle) = (correlated(&grid, |w| 0.7 * line_spread_nm(w), rng), correlated(&grid, |_| 25.0, rng));
        for i in 0..XP_PIXELS {
            let relative = seen[i] / level;
            let error = noise_at(grid[i], relative, how.g_mag);
            let blue = 1.0 + 4.0 * ((430.0 - grid[i]) / 94.0).max(0.0).powi(2);
            seen[i] = seen[i] * (1.0 + how.wiggle * blue * wiggle[i]) + level * error * noise[i];
        }
    }
    let floor = 0.05 * level;
    let at_550 = seen[(550 - 336) / 2];
    if at_550 < floor {
        return None;
    }
    normalise(&grid, &seen).ok().map(|n| n.iter().map(|v| *v as f32).collect())
}

/// Error of a sample in units of the mean flux, for a flux `relative` to it.
fn noise_at(wave_nm: f64, relative: f64, g_mag: f64) -> f64 {
    // Photons that reach the detector: falls off towards both ends of the range.
    let through = (-((wave_nm - 640.0) / 330.0).powi(4)).exp().max(0.05);
    let photons = 10f64.powf(-0.4 * (g_mag - 15.0));
    let background = 10f64.powf(-0.4 * (18.0 - 15.0));
    // S/N 100 a sample at G = 15 where flux and throughput are average.
    let counting = 0.01 * ((relative.max(0.0) * photons + background) / through).sqrt() / photons;
    counting.hypot(0.003 * relative)
}

/// Noise of unit variance, correlated over σ(λ) nm.
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

/// Mean of a curve under a Gaussian.
fn smeared(wave_nm: &[f64], flux: &[f64], at: f64, sigma: f64) -> f64 {
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

    fn quiet(ebv_mag: f64) -> XpCircumstances {
        XpCircumstances { g_mag: f64::NEG_INFINITY, ebv_mag, spread: 1.0, wiggle: 0.0 }
    }

    fn axis() -> Vec<f64> {
        (0..700).map(|i| 330.5 + f64::from(i)).collect()
    }

    #[test]
    fn a_narrow_line_is_as_wide_as_the_line_spread() {
        let wave = axis();
        let flux: Vec<f64> = wave.iter().map(|w| if (w - 800.5).abs() < 0.1 { 0.0 } else { 1.0 }).collect();
        let seen = observe(&wave, &flux, &quiet(0.0), &mut ChaCha8Rng::seed_from_u64(1)).expect("a spectrum");
        let depth = |nm: f64| 1.0 - f64::from(seen[((nm - 336.0) / 2.0) as usize]);
        // A line of equivalent width 1 nm under a Gaussian of σ = 7 nm.
        let peak = 1.0 / (7.0 * std::f64::consts::TAU.sqrt());
        assert!((depth(800.0) / peak - 1.0).abs() < 0.02, "{} {peak}", depth(800.0));
        let aside = (depth(790.0) + depth(810.0)) / 2.0 / depth(800.0);
        assert!((aside - (-0.5f64 * (10.0 / 7.0f64).powi(2)).exp()).abs() < 0.04, "{aside}");
    }

    #[test]
    fn dust_takes_the_blue_and_faint_stars_are_noisy() {
        let (wave, flux) = (axis(), vec![1.0; 700]);
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let seen = observe(&wave, &flux, &quiet(0.5), &mut rng).expect("a spectrum");
        // A(445 nm) − A(550 nm) is about E(B−V).
        let excess = -2.5 * f64::from(seen[(445 - 336) / 2]).log10();
        assert!((excess - 0.5).abs() < 0.05, "{excess}");
        let mut scatter = |g_mag: f64| {
            let how = XpCircumstances { g_mag, ..quiet(0.0) };
            let seen = observe(&wave, &flux, &how, &mut rng).expect("a spectrum");
            (seen.iter().map(|v| (f64::from(*v) - 1.0).powi(2)).sum::<f64>() / 343.0).sqrt()
        };
        let (bright, faint) = (scatter(10.0), scatter(17.0));
        assert!(bright < 0.02 && faint > 3.0 * bright && faint < 0.3, "{bright} {faint}");
    }
}
