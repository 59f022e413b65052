//! What a survey would have made of a star: resolution, rotation, velocity, flux calibration, noise, bad pixels.
//!
//! Works on sharp synthetic spectra and on real library spectra alike: both are a flux on log10 λ at rest and a resolving
//! power. The result goes through the very recipe that real files go through.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

use super::extinction::transmission;
use crate::preprocess::grid::{self, C_KMS, FIT_PIXELS, STEP_DEX};
use crate::preprocess::recipe::normalise;
use crate::preprocess::resample::{FWHM_OVER_SIGMA, linear};
use crate::spectrum::{Known, Medium, Meta, Source, Spectrum, Survey};

/// A star to be observed: flux at rest on increasing log10 of vacuum wavelength.
pub struct Star<'a> {
    /// log10 λ/Å.
    pub log10: &'a [f64],
    /// Flux, any unit.
    pub flux: &'a [f64],
    /// log10 λ σ of the line spread that is already in it.
    pub sigma_dex: Box<dyn Fn(f64) -> f64 + 'a>,
}

/// The circumstances of an observation.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// Radial velocity in the spectrum, km/s.
    pub rv_kms: f64,
    /// Radial velocity that preprocessing takes out, km/s.
    pub assumed_rv_kms: f64,
    /// Line spread at 4000 Å and at 5600 Å (linear between), Å FWHM.
    pub fwhm_aa: (f64, f64),
    /// Rotation and macroturbulence, km/s, as the σ of a Gaussian.
    pub broadening_kms: f64,
    /// S/N a pixel at 4800 Å; infinite for no noise.
    pub snr: f64,
    /// S/N goes as λ to this power.
    pub snr_slope: f64,
    /// Coefficients of the logarithmic error of the flux calibration: Legendre-like terms of degree 1, 2, 3.
    pub tilt: [f64; 3],
    /// Number of bad pixels that were not masked.
    pub bad_pixels: usize,
    /// Emission left at the sky line 5577 Å, in units of the continuum.
    pub sky_residual: f64,
    /// Colour excess E(B−V), mag.
    pub ebv_mag: f64,
    /// Pixels of the fitting grid that the spectrum reaches.
    pub covered: (usize, usize),
}

/// FWHM in Å at a wavelength, linear between two anchors at 4000 and 5600 Å.
fn fwhm_aa(ends: (f64, f64), wave_aa: f64) -> f64 {
    ends.0 + (ends.1 - ends.0) * (wave_aa - 4000.0) / 1600.0
}

/// Observes a star and normalises it: the model's input, `[1462]`. `None` where the continuum fit fails.
pub fn observe(star: &Star, how: &Circumstances, rng: &mut impl Rng) -> Option<Vec<f32>> {
    let Exposure { log10, flux, .. } = expose(star, how, rng);
    let shift = (1.0 + how.assumed_rv_kms / C_KMS).log10();
    let target: Vec<f64> = grid::fit_log10().iter().map(|x| x + shift).collect();
    normalise(&linear(&log10, &flux, &target), how.covered.0..how.covered.1).map(|n| n.norm)
}

/// Observes a star as a file of LAMOST's would hold it: every pixel, with its error.
pub fn spectrum(star: &Star, how: &Circumstances, rng: &mut impl Rng) -> Option<Spectrum> {
    let Exposure { log10, flux, error } = expose(star, how, rng);
    let mut meta = Meta::unknown("simulated", "simulation");
    meta.survey = Survey::LamostLrs;
    meta.medium = Known::new(Medium::Vacuum, Source::File);
    meta.resolving_power = Survey::LamostLrs.resolving_power().map(|r| Known::new(r, Source::Survey));
    let wave = log10.iter().map(|x| 10f64.powf(*x)).collect();
    let ivar = how.snr.is_finite().then(|| error.iter().map(|e| e.powi(-2)).collect());
    Spectrum::new(meta, wave, flux, ivar, None).ok()
}

/// What the detector gives.
struct Exposure {
    log10: Vec<f64>,
    flux: Vec<f64>,
    /// σ of the flux; 0 without noise.
    error: Vec<f64>,
}

fn expose(star: &Star, how: &Circumstances, rng: &mut impl Rng) -> Exposure {
    // The spectrograph's own pixels lie anywhere against the grid's, and a few more are needed at each end.
    let phase: f64 = rng.random();
    let first = grid::fit_log10()[0] - (3.0 + phase) * STEP_DEX + (1.0 + how.assumed_rv_kms / C_KMS).log10();
    let pixels: Vec<f64> = (0..FIT_PIXELS + 7).map(|i| first + STEP_DEX * i as f64).collect();
    let mut flux = broadened(star, how.rv_kms, how.broadening_kms, |wave| fwhm_aa(how.fwhm_aa, wave), &pixels);
    if how.ebv_mag > 0.0 {
        flux.iter_mut().zip(&pixels).for_each(|(f, x)| *f *= transmission(10f64.powf(x - 1.0), how.ebv_mag));
    }

    let mid = 4800f64.log10();
    for (f, x) in flux.iter_mut().zip(&pixels) {
        let t = (x - mid) / 0.08;
        let [a, b, c] = how.tilt;
        *f *= (a * t + b * (1.5 * t * t - 0.5) + c * (2.5 * t * t * t - 1.5 * t)).exp();
    }
    let level = flux.iter().sum::<f64>() / flux.len() as f64;
    let mut error = vec![0.0; flux.len()];
    if how.snr.is_finite() {
        for ((f, x), error) in flux.iter_mut().zip(&pixels).zip(&mut error) {
            let snr = how.snr * 10f64.powf(how.snr_slope * (x - mid));
            let white: f64 = StandardNormal.sample(rng);
            // Photons and sky: the noise falls more slowly than the flux does in lines.
            let noise = f.max(0.0) * 0.5 + level * 0.5;
            *f += white * noise / snr;
            *error = noise / snr;
        }
    }
    if how.sky_residual != 0.0 {
        let sky = 5578.9f64.log10();
        for (f, x) in flux.iter_mut().zip(&pixels) {
            *f += level * how.sky_residual * (-0.5 * ((x - sky) / (1.5 * STEP_DEX)).powi(2)).exp();
        }
    }
    for _ in 0..how.bad_pixels {
        let i = rng.random_range(0..flux.len());
        flux[i] *= rng.random_range(0.3..2.0);
    }
    Exposure { log10: pixels, flux, error }
}

/// The star's flux at the observer's pixels (log10 λ), shifted by a velocity and smeared to the wanted line spread (FWHM in Å
/// at a wavelength in Å) and rotation.
pub(super) fn broadened(
    star: &Star,
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
            let wanted = fwhm_aa(wave) / wave / FWHM_OVER_SIGMA / std::f64::consts::LN_10;
            let variance = wanted.powi(2) - (star.sigma_dex)(at).powi(2) + rotation_dex.powi(2);
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

/// Circumstances as a low-resolution survey meets them, with a radial velocity and the part of it that is taken out.
pub fn survey_like(rv_kms: f64, assumed_rv_kms: f64, rng: &mut impl Rng) -> Circumstances {
    // R from 1500 to 2200 at 4800 Å, and any course between constant R and constant Å.
    let fwhm = 4800.0 / rng.random_range(1500.0..2200.0);
    let course: f64 = rng.random_range(-0.02..0.17);
    // One in six reaches only a part of the grid, 90 pixels or more.
    let covered = if rng.random_bool(1.0 / 6.0) {
        let width = (90.0 * (FIT_PIXELS as f64 / 90.0).powf(rng.random())) as usize;
        let start = rng.random_range(0..=FIT_PIXELS - width);
        (start, start + width)
    } else {
        (0, FIT_PIXELS)
    };
    Circumstances {
        rv_kms,
        assumed_rv_kms,
        fwhm_aa: (fwhm * (1.0 - course), fwhm * (1.0 + course)),
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

fn normal(sigma: f64, rng: &mut impl Rng) -> f64 {
    let unit: f64 = StandardNormal.sample(rng);
    sigma * unit
}
