//! Simulation of spectra from DESI's blue arm: pixels of 0.8 Å, R from 2000 to 3200, and their own noise. The result
//! passes through the same preprocessing as a DESI file.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

use super::extinction::transmission;
use super::simulate::{IntrinsicSpectrum, broadened};
use crate::preprocess::conditioning::ConditionedSpectrum;
use crate::spectrum::{Medium, Meta, Source, Sourced, Spectrum, Survey};

/// Pixel of DESI's spectra, Å.
const STEP_AA: f64 = 0.8;

/// The range of the synthetic grid, vacuum, Å. The blue arm itself begins at 3600 Å.
const RANGE_AA: (f64, f64) = (3903.0, 5700.0);

/// Conditions of a DESI observation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DesiConditions {
    /// Velocity that preprocessing leaves in the spectrum, km/s.
    pub residual_rv_kms: f64,
    /// Line spread, FWHM in Å. The value 1.8 Å gives R = 2000 at 3600 Å and 3200 at 5800 Å.
    pub fwhm_aa: f64,
    /// Rotation and macroturbulence, km/s, as the σ of a Gaussian.
    pub broadening_kms: f64,
    /// S/N per pixel at 4800 Å; infinite for no noise.
    pub snr: f64,
    /// Exponent s of S/N ∝ λ^s; the throughput decreases to the blue.
    pub snr_slope: f64,
    /// Colour excess E(B−V), mag.
    pub ebv_mag: f64,
}

/// Random conditions of the survey.
pub fn desi_like(residual_rv_kms: f64, ebv_mag: f64, rng: &mut impl Rng) -> DesiConditions {
    DesiConditions {
        residual_rv_kms,
        fwhm_aa: rng.random_range(1.7..1.95),
        broadening_kms: if rng.random_bool(0.85) { rng.random_range(0.0..12.0) } else { rng.random_range(12.0..70.0) },
        snr: 10f64.powf(rng.random_range(0.8..2.2)),
        snr_slope: rng.random_range(1.0..5.0),
        ebv_mag,
    }
}

/// Observes a star and normalises the spectrum. Returns the model's input, `[1462]`; `None` where preprocessing fails.
pub fn observe(star: &IntrinsicSpectrum, conditions: &DesiConditions, rng: &mut impl Rng) -> Option<Vec<f32>> {
    let spectrum = spectrum(star, conditions, rng)?;
    Some(ConditionedSpectrum::new(&spectrum).ok()?.normalise_at_rv(0.0).ok()?.norm)
}

/// Observes a star and returns a spectrum as in a DESI file.
pub fn spectrum(star: &IntrinsicSpectrum, conditions: &DesiConditions, rng: &mut impl Rng) -> Option<Spectrum> {
    let phase: f64 = rng.random();
    let (first, last) = RANGE_AA;
    let count = ((last - first) / STEP_AA) as usize;
    let wave: Vec<f64> = (0..count).map(|i| first + STEP_AA * (i as f64 + phase)).collect();
    let pixels: Vec<f64> = wave.iter().map(|w| w.log10()).collect();
    let mut flux =
        broadened(star, conditions.residual_rv_kms, conditions.broadening_kms, |_| conditions.fwhm_aa, &pixels);
    flux.iter_mut().zip(&wave).for_each(|(f, w)| *f *= transmission(w / 10.0, conditions.ebv_mag));
    let level = flux.iter().sum::<f64>() / count as f64;
    let mut ivar = None;
    if conditions.snr.is_finite() {
        let error = |f: f64, w: f64| {
            // Read-out noise and sky noise add to the photon noise, so in lines the noise decreases less than the flux.
            (0.4 * f.max(0.0) + 0.6 * level) / (conditions.snr * (w / 4800.0).powf(conditions.snr_slope))
        };
        let errors: Vec<f64> = flux.iter().zip(&wave).map(|(f, w)| error(*f, *w)).collect();
        for (f, e) in flux.iter_mut().zip(&errors) {
            let white: f64 = StandardNormal.sample(rng);
            *f += e * white;
        }
        ivar = Some(errors.iter().map(|e| e.powi(-2)).collect());
    }
    let mut meta = Meta::unknown("simulated", "simulation");
    meta.survey = Survey::Desi;
    meta.medium = Sourced::new(Medium::Vacuum, Source::File);
    meta.resolving_power = Some(Sourced::new(4800.0 / conditions.fwhm_aa, Source::Survey));
    Spectrum::new(meta, wave, flux, ivar, None).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::grid::model_wave_vac_aa;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// A line of known equivalent width, narrower than the line spread. After preprocessing it has the width of R =
    /// 1800, the same equivalent width and the same wavelength.
    #[test]
    fn a_line_keeps_its_strength_and_gets_the_models_width() {
        let log10: Vec<f64> = (0..60_000).map(|i| 3900f64.log10() + 2.77e-6 * f64::from(i)).collect();
        let (at, sigma, depth) = (5000.0, 0.3, 0.8);
        let flux: Vec<f64> =
            log10.iter().map(|x| 1.0 - depth * (-0.5 * ((10f64.powf(*x) - at) / sigma).powi(2)).exp()).collect();
        let star = IntrinsicSpectrum {
            log10: &log10,
            flux: &flux,
            sigma_dex: Box::new(move |_| sigma / at / std::f64::consts::LN_10),
        };
        let conditions = DesiConditions {
            residual_rv_kms: 0.0,
            fwhm_aa: 1.8,
            broadening_kms: 0.0,
            snr: f64::INFINITY,
            snr_slope: 0.0,
            ebv_mag: 0.0,
        };
        let norm = observe(&star, &conditions, &mut ChaCha8Rng::seed_from_u64(3)).expect("a spectrum");
        let near: Vec<(f64, f64)> = model_wave_vac_aa().into_iter().zip(norm.iter().map(|n| f64::from(*n))).collect();
        let near: Vec<(f64, f64)> = near.into_iter().filter(|(w, _)| (w - at).abs() < 8.0).collect();
        // The running mean of preprocessing is slightly lower near a line.
        let level = (near[0].1 + near[near.len() - 1].1) / 2.0;
        let near: Vec<(f64, f64)> = near.into_iter().map(|(w, n)| (w, 1.0 - n / level)).collect();
        let step = at * 1e-4 * std::f64::consts::LN_10;
        let strength: f64 = near.iter().map(|(_, d)| d * step).sum();
        let expected = depth * sigma * std::f64::consts::TAU.sqrt();
        assert!((strength / expected - 1.0).abs() < 0.03, "{strength} {expected}");
        let centre = near.iter().map(|(w, d)| w * d * step).sum::<f64>() / strength;
        assert!((centre - at).abs() < 0.1, "{centre}");
        let peak = near.iter().map(|(_, d)| *d).fold(0.0, f64::max);
        // A Gaussian of FWHM λ/1800, slightly broadened by the pixels.
        let fwhm = strength / peak / 1.0645;
        assert!((fwhm / (at / 1800.0) - 1.0).abs() < 0.12, "{fwhm}");
    }
}
