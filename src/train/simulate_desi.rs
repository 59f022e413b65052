//! What DESI's blue arm would have made of a star: pixels of 0.8 Å, R from 2000 to 3200, its own noise; then through the very
//! recipe that a DESI file goes through.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

use super::extinction::transmission;
use super::simulate::{Star, broadened};
use crate::preprocess::recipe::Opened;
use crate::spectrum::{Known, Medium, Meta, Source, Spectrum, Survey};

/// Pixel of DESI's spectra, Å.
const STEP_AA: f64 = 0.8;

/// The range of the synthetic grid, vacuum, Å; the arm itself begins at 3600 Å.
const RANGE_AA: (f64, f64) = (3903.0, 5700.0);

/// The circumstances of a DESI observation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DesiCircumstances {
    /// Velocity that preprocessing leaves in the spectrum, km/s.
    pub left_rv_kms: f64,
    /// Line spread, Å FWHM: R 2000 at 3600 Å and 3200 at 5800 Å with 1.8 Å.
    pub fwhm_aa: f64,
    /// Rotation and macroturbulence, km/s, as the σ of a Gaussian.
    pub broadening_kms: f64,
    /// S/N a pixel at 4800 Å; infinite for no noise.
    pub snr: f64,
    /// S/N goes as λ to this power: the arm's throughput falls to the blue.
    pub snr_slope: f64,
    /// Colour excess E(B−V), mag.
    pub ebv_mag: f64,
}

/// Circumstances as the survey meets them.
pub fn desi_like(left_rv_kms: f64, ebv_mag: f64, rng: &mut impl Rng) -> DesiCircumstances {
    DesiCircumstances {
        left_rv_kms,
        fwhm_aa: rng.random_range(1.7..1.95),
        broadening_kms: if rng.random_bool(0.85) { rng.random_range(0.0..12.0) } else { rng.random_range(12.0..70.0) },
        snr: 10f64.powf(rng.random_range(0.8..2.2)),
        snr_slope: rng.random_range(1.0..5.0),
        ebv_mag,
    }
}

/// Observes a star and normalises it: the model's input, `[1462]`. `None` where the recipe refuses.
pub fn observe(star: &Star, how: &DesiCircumstances, rng: &mut impl Rng) -> Option<Vec<f32>> {
    let spectrum = spectrum(star, how, rng)?;
    Some(Opened::new(&spectrum).ok()?.at_velocity(0.0).ok()?.norm)
}

/// Observes a star as a file of DESI's would hold it.
pub fn spectrum(star: &Star, how: &DesiCircumstances, rng: &mut impl Rng) -> Option<Spectrum> {
    let phase: f64 = rng.random();
    let (first, last) = RANGE_AA;
    let count = ((last - first) / STEP_AA) as usize;
    let wave: Vec<f64> = (0..count).map(|i| first + STEP_AA * (i as f64 + phase)).collect();
    let pixels: Vec<f64> = wave.iter().map(|w| w.log10()).collect();
    let mut flux = broadened(star, how.left_rv_kms, how.broadening_kms, |_| how.fwhm_aa, &pixels);
    flux.iter_mut().zip(&wave).for_each(|(f, w)| *f *= transmission(w / 10.0, how.ebv_mag));
    let level = flux.iter().sum::<f64>() / count as f64;
    let mut ivar = None;
    if how.snr.is_finite() {
        let error = |f: f64, w: f64| {
            // Read-out and sky add to the photons, so that noise falls more slowly than the flux does in lines.
            (0.4 * f.max(0.0) + 0.6 * level) / (how.snr * (w / 4800.0).powf(how.snr_slope))
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
    meta.medium = Known::new(Medium::Vacuum, Source::File);
    meta.resolving_power = Some(Known::new(4800.0 / how.fwhm_aa, Source::Survey));
    Spectrum::new(meta, wave, flux, ivar, None).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::grid::model_wave_vac_aa;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// A line of known equivalent width, narrower than any spectrograph shows: it comes out as wide as the recipe's R = 1800,
    /// with the same equivalent width, at its place.
    #[test]
    fn a_line_keeps_its_strength_and_gets_the_models_width() {
        let log10: Vec<f64> = (0..60_000).map(|i| 3900f64.log10() + 2.77e-6 * f64::from(i)).collect();
        let (at, sigma, depth) = (5000.0, 0.3, 0.8);
        let flux: Vec<f64> =
            log10.iter().map(|x| 1.0 - depth * (-0.5 * ((10f64.powf(*x) - at) / sigma).powi(2)).exp()).collect();
        let star =
            Star { log10: &log10, flux: &flux, sigma_dex: Box::new(move |_| sigma / at / std::f64::consts::LN_10) };
        let how = DesiCircumstances {
            left_rv_kms: 0.0,
            fwhm_aa: 1.8,
            broadening_kms: 0.0,
            snr: f64::INFINITY,
            snr_slope: 0.0,
            ebv_mag: 0.0,
        };
        let norm = observe(&star, &how, &mut ChaCha8Rng::seed_from_u64(3)).expect("a spectrum");
        let near: Vec<(f64, f64)> = model_wave_vac_aa().into_iter().zip(norm.iter().map(|n| f64::from(*n))).collect();
        let near: Vec<(f64, f64)> = near.into_iter().filter(|(w, _)| (w - at).abs() < 8.0).collect();
        // The recipe's running mean lies a little lower where there is a line.
        let level = (near[0].1 + near[near.len() - 1].1) / 2.0;
        let near: Vec<(f64, f64)> = near.into_iter().map(|(w, n)| (w, 1.0 - n / level)).collect();
        let step = at * 1e-4 * std::f64::consts::LN_10;
        let strength: f64 = near.iter().map(|(_, d)| d * step).sum();
        let wanted = depth * sigma * std::f64::consts::TAU.sqrt();
        assert!((strength / wanted - 1.0).abs() < 0.03, "{strength} {wanted}");
        let centre = near.iter().map(|(w, d)| w * d * step).sum::<f64>() / strength;
        assert!((centre - at).abs() < 0.1, "{centre}");
        let peak = near.iter().map(|(_, d)| *d).fold(0.0, f64::max);
        // A Gaussian of FWHM λ/1800, smeared a little more by pixels.
        let fwhm = strength / peak / 1.0645;
        assert!((fwhm / (at / 1800.0) - 1.0).abs() < 0.12, "{fwhm}");
    }
}
