//! Resolving power of a spectrum, estimated from the spectrum itself when nobody tells it.
//!
//! The lines of a star are narrower than a spectrograph of R < 10 000 shows them, so the autocorrelation of the flux has
//! the shape of the line spread's own: a Gaussian √2 wider than it. Noise that differs from pixel to pixel adds to lag
//! zero alone, which is left out.

use super::resample::{FWHM_OVER_SIGMA, Kernel, divide_by_running_mean, resample};
use super::snr::median_step_dex;
use crate::spectrum::Spectrum;

/// Range used, Å vacuum: many metal lines, no broad hydrogen line.
const RANGE_AA: (f64, f64) = (4900.0, 5550.0);

/// Lines themselves are this wide, km/s FWHM, in quadrature: thermal motion, turbulence, blends. Chosen so that the
/// estimate is right in the mean for the synthetic grid brought to known resolving powers.
const INTRINSIC_FWHM_KMS: f64 = 75.0;

/// Resolving power λ/FWHM near 5200 Å, or `None` where there are too few pixels or too little line structure to tell.
pub fn estimate(spectrum: &Spectrum) -> Option<f64> {
    let wave = spectrum.wave_vac_aa();
    let step_dex = median_step_dex(wave, RANGE_AA.0, RANGE_AA.1)?.clamp(2e-6, 1.2e-4);
    let good: Vec<usize> = (0..spectrum.len()).filter(|&i| !spectrum.masked()[i]).collect();
    let x: Vec<f64> = good.iter().map(|&i| wave[i].log10()).collect();
    let y: Vec<f64> = good.iter().map(|&i| spectrum.flux()[i]).collect();
    if x.first()? > &RANGE_AA.0.log10() || x.last()? < &RANGE_AA.1.log10() {
        return None;
    }
    let count = ((RANGE_AA.1 / RANGE_AA.0).log10() / step_dex) as usize;
    let grid: Vec<f64> = (0..count).map(|i| RANGE_AA.0.log10() + step_dex * i as f64).collect();
    let flux = resample(&x, &y, &grid, Kernel::Linear);
    // Structure broader than about 500 km/s is continuum, bands and wings.
    let detail: Vec<f64> = divide_by_running_mean(&flux, (7e-4 / step_dex).max(4.0)).iter().map(|f| f - 1.0).collect();
    let lag = |k: usize| -> f64 {
        detail.iter().zip(&detail[k.min(detail.len())..]).map(|(a, b)| a * b).sum::<f64>() / (detail.len() - k) as f64
    };
    let max_lag = ((1e-3 / step_dex) as usize).min(detail.len() / 4);
    let correlation: Vec<f64> = (1..=max_lag).map(lag).collect();
    let first = *correlation.first()?;
    // Weaker than half a per cent of line structure is noise.
    if first < 2.5e-5 {
        return None;
    }
    // Where the correlation has fallen to half of what it is at one pixel, between lags.
    let below = correlation.iter().position(|c| *c < 0.5 * first)?;
    let (high, low) = (correlation.get(below.checked_sub(1)?)?, correlation[below]);
    let half_lag = below as f64 + (high - 0.5 * first) / (high - low);
    // C(l) = exp(−l²/4σ²), and C(half) = C(1)/2.
    let sigma_pixels = ((half_lag.powi(2) - 1.0) / (4.0 * std::f64::consts::LN_2)).sqrt();
    let fwhm = sigma_pixels * step_dex * std::f64::consts::LN_10 * FWHM_OVER_SIGMA;
    let intrinsic = INTRINSIC_FWHM_KMS / super::grid::C_KMS;
    let instrument = (fwhm.powi(2) - intrinsic.powi(2)).max((1.0f64 / 50_000.0).powi(2)).sqrt();
    Some(1.0 / instrument)
}
