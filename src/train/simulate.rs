//! Simulation of LAMOST-like observations: resolution, rotation, velocity, flux calibration, noise and bad pixels.
//!
//! Input is a flux at rest on log10 λ with a known line spread: a synthetic spectrum or a real library spectrum. The
//! result passes through the same preprocessing as real files.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

use super::extinction::transmission;
use crate::preprocess::conditioning::normalise;
use crate::preprocess::grid::{self, C_KMS, FIT_PIXELS, STEP_DEX};
use crate::preprocess::resample::linear;
use crate::spectrum::FWHM_OVER_SIGMA;
use crate::spectrum::{Medium, Meta, Source, Sourced, Spectrum, Survey};

/// Input of a simulated observation: flux at rest on increasing log10 of vacuum wavelength.
pub struct IntrinsicSpectrum<'a> {
    /// log10 of vacuum wavelength in Å.
    pub log10: &'a [f64],
    /// Flux, any unit.
    pub flux: &'a [f64],
    /// σ of the line spread that the flux already has, in log10 λ, as a function of log10 λ.
    pub sigma_dex: Box<dyn Fn(f64) -> f64 + 'a>,
}

/// Conditions of a LAMOST-like observation.
#[derive(Debug, Clone, Copy)]
pub struct ObservingConditions {
    /// Radial velocity of the star, km/s.
    pub rv_kms: f64,
    /// Radial velocity that preprocessing removes, km/s.
    pub assumed_rv_kms: f64,
    /// Line spread at 4000 Å and at 5600 Å (linear in between), FWHM in Å.
    pub fwhm_aa: (f64, f64),
    /// Rotation and macroturbulence, km/s, as the σ of a Gaussian.
    pub broadening_kms: f64,
    /// S/N per pixel at 4800 Å; infinite for no noise.
    pub snr: f64,
    /// Exponent s of S/N ∝ λ^s.
    pub snr_slope: f64,
    /// Coefficients of the error of ln flux from the flux calibration: Legendre polynomials of
    /// t = log10(λ/4800 Å)/0.08, of degree 1, 2, 3.
    pub tilt: [f64; 3],
    /// Number of bad pixels without a mask.
    pub bad_pixels: usize,
    /// Residual of the sky line at 5577 Å (air), relative to the mean flux.
    pub sky_residual: f64,
    /// Colour excess E(B−V), mag.
    pub ebv_mag: f64,
    /// First pixel of the fitting grid that the spectrum covers, and the end (exclusive).
    pub covered: (usize, usize),
}

/// FWHM in Å at a wavelength in Å, linear between the values `ends` at 4000 and 5600 Å.
fn fwhm_aa(ends: (f64, f64), wave_aa: f64) -> f64 {
    ends.0 + (ends.1 - ends.0) * (wave_aa - 4000.0) / 1600.0
}

/// Observes a star and normalises the spectrum. Returns the model's input, `[1462]`; `None` where the continuum fit
/// fails.
pub fn observe(star: &IntrinsicSpectrum, conditions: &ObservingConditions, rng: &mut impl Rng) -> Option<Vec<f32>> {
    let SimulatedExposure { log10, flux, .. } = expose(star, conditions, rng);
    let shift = (1.0 + conditions.assumed_rv_kms / C_KMS).log10();
    let target: Vec<f64> = grid::fit_log10().iter().map(|x| x + shift).collect();
    normalise(&linear(&log10, &flux, &target), conditions.covered.0..conditions.covered.1).map(|n| n.norm)
}

/// Observes a star and returns a spectrum as in a LAMOST file: every pixel with its error.
pub fn spectrum(star: &IntrinsicSpectrum, conditions: &ObservingConditions, rng: &mut impl Rng) -> Option<Spectrum> {
    let SimulatedExposure { log10, flux, error } = expose(star, conditions, rng);
    let mut meta = Meta::unknown("simulated", "simulation");
    meta.survey = Survey::LamostLrs;
    meta.medium = Sourced::new(Medium::Vacuum, Source::File);
    meta.resolving_power = Survey::LamostLrs.resolving_power().map(|r| Sourced::new(r, Source::Survey));
    let wave = log10.iter().map(|x| 10f64.powf(*x)).collect();
    let ivar = conditions.snr.is_finite().then(|| error.iter().map(|e| e.powi(-2)).collect());
    Spectrum::new(meta, wave, flux, ivar, None).ok()
}

/// Pixels before preprocessing.
struct SimulatedExposure {
    log10: Vec<f64>,
    flux: Vec<f64>,
    /// σ of the flux; 0 without noise.
    error: Vec<f64>,
}

fn expose(star: &IntrinsicSpectrum, conditions: &ObservingConditions, rng: &mut impl Rng) -> SimulatedExposure {
    // The spectrograph's pixels have a random phase relative to the grid's pixels. Each end needs a few more pixels.
    let phase: f64 = rng.random();
    let first = grid::fit_log10()[0] - (3.0 + phase) * STEP_DEX + (1.0 + conditions.assumed_rv_kms / C_KMS).log10();
    let pixels: Vec<f64> = (0..FIT_PIXELS + 7).map(|i| first + STEP_DEX * i as f64).collect();
    let mut flux = broadened(
        star,
        conditions.rv_kms,
        conditions.broadening_kms,
        |wave| fwhm_aa(conditions.fwhm_aa, wave),
        &pixels,
    );
    if conditions.ebv_mag > 0.0 {
        // Å to nm: x − 1.
        flux.iter_mut().zip(&pixels).for_each(|(f, x)| *f *= transmission(10f64.powf(x - 1.0), conditions.ebv_mag));
    }

    let mid = 4800f64.log10();
    for (f, x) in flux.iter_mut().zip(&pixels) {
        let t = (x - mid) / 0.08;
        let [a, b, c] = conditions.tilt;
        *f *= (a * t + b * (1.5 * t * t - 0.5) + c * (2.5 * t * t * t - 1.5 * t)).exp();
    }
    let level = flux.iter().sum::<f64>() / flux.len() as f64;
    let mut error = vec![0.0; flux.len()];
    if conditions.snr.is_finite() {
        for ((f, x), error) in flux.iter_mut().zip(&pixels).zip(&mut error) {
            let snr = conditions.snr * 10f64.powf(conditions.snr_slope * (x - mid));
            let white: f64 = StandardNormal.sample(rng);
            // Photon noise and sky noise: in lines the noise decreases less than the flux.
            let noise = f.max(0.0) * 0.5 + level * 0.5;
            *f += white * noise / snr;
            *error = noise / snr;
        }
    }
    if conditions.sky_residual != 0.0 {
        let sky = 5578.9f64.log10();
        for (f, x) in flux.iter_mut().zip(&pixels) {
            *f += level * conditions.sky_residual * (-0.5 * ((x - sky) / (1.5 * STEP_DEX)).powi(2)).exp();
        }
    }
    for _ in 0..conditions.bad_pixels {
        let i = rng.random_range(0..flux.len());
        flux[i] *= rng.random_range(0.3..2.0);
    }
    SimulatedExposure { log10: pixels, flux, error }
}

/// The star's flux at the observed pixels (log10 λ), shifted by a velocity, and broadened to a line spread and
/// rotation. `fwhm_aa` gives the FWHM in Å at a wavelength in Å.
pub(super) fn broadened(
    star: &IntrinsicSpectrum,
    rv_kms: f64,
    broadening_kms: f64,
    fwhm_aa: impl Fn(f64) -> f64,
    pixels: &[f64],
) -> Vec<f64> {
    let doppler = (1.0 + rv_kms / C_KMS).log10();
    let rotation_dex = broadening_kms / C_KMS / std::f64::consts::LN_10;
    let mut start = 0;
    pixels
        .iter()
        .map(|pixel| {
            let at = pixel - doppler;
            let wave = 10f64.powf(at);
            let sigma_dex = fwhm_aa(wave) / wave / FWHM_OVER_SIGMA / std::f64::consts::LN_10;
            let variance = sigma_dex.powi(2) - (star.sigma_dex)(at).powi(2) + rotation_dex.powi(2);
            let sigma = variance.max((0.35 * STEP_DEX).powi(2)).sqrt();
            let reach = 3.5 * sigma;
            while start < star.log10.len() && star.log10[start] < at - reach {
                start += 1;
            }
            while start > 0 && star.log10[start - 1] >= at - reach {
                start -= 1;
            }
            let (mut sum, mut total) = (0.0, 0.0);
            for i in start..star.log10.len() {
                let d = (star.log10[i] - at) / sigma;
                if d > 3.5 {
                    break;
                }
                let w = (-0.5 * d * d).exp();
                sum += w * star.flux[i];
                total += w;
            }
            if total > 0.0 { sum / total } else { star.flux[start.min(star.flux.len() - 1)] }
        })
        .collect()
}

/// Random conditions of a low-resolution survey, for a radial velocity of the star and the part of it that
/// preprocessing removes (km/s).
pub fn survey_like(rv_kms: f64, assumed_rv_kms: f64, rng: &mut impl Rng) -> ObservingConditions {
    // R from 1500 to 2200 at 4800 Å. The dependence on wavelength lies between constant R and constant FWHM in Å.
    let fwhm = 4800.0 / rng.random_range(1500.0..2200.0);
    let fwhm_slope: f64 = rng.random_range(-0.02..0.17);
    // One spectrum of six covers only a part of the grid, at least 90 pixels.
    let covered = if rng.random_bool(1.0 / 6.0) {
        let width = (90.0 * (FIT_PIXELS as f64 / 90.0).powf(rng.random())) as usize;
        let start = rng.random_range(0..=FIT_PIXELS - width);
        (start, start + width)
    } else {
        (0, FIT_PIXELS)
    };
    ObservingConditions {
        rv_kms,
        assumed_rv_kms,
        fwhm_aa: (fwhm * (1.0 - fwhm_slope), fwhm * (1.0 + fwhm_slope)),
        broadening_kms: if rng.random_bool(0.85) { rng.random_range(0.0..12.0) } else { rng.random_range(12.0..70.0) },
        snr: 10f64.powf(rng.random_range(1.0..2.48)),
        snr_slope: rng.random_range(0.0..5.0),
        tilt: [normal(0.25, rng), normal(0.08, rng), normal(0.03, rng)],
        bad_pixels: if rng.random_bool(0.3) { rng.random_range(1..6) } else { 0 },
        sky_residual: if rng.random_bool(0.2) { normal(0.3, rng) } else { 0.0 },
        ebv_mag: 0.0,
        covered,
    }
}

/// Replaces the line spread of most observations by LAMOST's: 3.1 Å, different by 0.3 Å between spectra, a little wider
/// in the blue. This is what fits of MILES spectra to 290 spectra of LAMOST DR10 with S/N > 100 give. Returns whether the
/// line spread is LAMOST's.
pub fn lamost_line_spread(conditions: &mut ObservingConditions, rng: &mut impl Rng) -> bool {
    let is_lamost = rng.random_bool(LAMOST_SHARE);
    if is_lamost {
        let fwhm_aa = (3.1 + normal(0.3, rng)).clamp(2.5, 4.0);
        let slope = normal(0.04, rng);
        conditions.fwhm_aa = (fwhm_aa * (1.05 - slope), fwhm_aa * (1.0 + slope));
    }
    is_lamost
}

/// Share of the observations with LAMOST's line spread.
const LAMOST_SHARE: f64 = 0.7;

fn normal(sigma: f64, rng: &mut impl Rng) -> f64 {
    let unit: f64 = StandardNormal.sample(rng);
    sigma * unit
}
