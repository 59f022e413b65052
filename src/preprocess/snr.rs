//! Signal-to-noise ratio per pixel, from the errors in the file or from the scatter between pixels.

use super::grid::STEP_DEX;
use crate::spectrum::{Source, Sourced, Spectrum};
use crate::stats::median;

/// Wavelength range of the S/N: the range of the model grid, Å vacuum.
pub const SNR_RANGE_AA: (f64, f64) = (4000.0, 5599.0);

/// Median S/N between 4000 and 5599 Å, per pixel of the model grid (1e-4 dex, 69 km/s).
///
/// Narrower pixels are averaged into a grid pixel, which raises the S/N per grid pixel.
///
/// Without inverse variances, the S/N is estimated from the differences of pixels two apart, as in `DER_SNR` (Stoehr et
/// al. 2008, ASP Conf. Ser. 394, 505). This method counts lines as noise, so for cool stars at low resolution the
/// estimate is a lower bound.
pub fn estimate(spectrum: &Spectrum) -> Option<Sourced<f64>> {
    let (from, to) = SNR_RANGE_AA;
    let wave = spectrum.wave_vac_aa();
    let inside: Vec<usize> =
        (0..spectrum.len()).filter(|&i| (from..=to).contains(&wave[i]) && !spectrum.masked()[i]).collect();
    let step_dex = median_step_dex(wave, from, to)?;
    let binning_gain = (STEP_DEX / step_dex).max(1.0).sqrt();
    let flux = spectrum.flux();
    if let Some(ivar) = spectrum.ivar() {
        let mut ratios = inside.iter().map(|&i| flux[i] * ivar[i].sqrt()).collect();
        return median(&mut ratios).map(|snr| Sourced::new(snr * binning_gain, Source::File));
    }
    let mut signal: Vec<f64> = inside.iter().map(|&i| flux[i]).collect();
    let mut second_differences: Vec<f64> = inside
        .windows(5)
        .filter(|w| w[4] - w[0] == 4)
        .map(|w| (2.0 * flux[w[2]] - flux[w[0]] - flux[w[4]]).abs())
        .collect();
    let noise = 1.482602 / 6f64.sqrt() * median(&mut second_differences)?;
    let snr = median(&mut signal)? / noise;
    // A noiseless synthetic spectrum has no scatter; no real spectrum has an S/N above 1000.
    Some(Sourced::new((snr * binning_gain).clamp(0.0, 1000.0), Source::Estimated)).filter(|s| s.value.is_finite())
}

/// Median pixel width in log10 λ, between the wavelengths `from` and `to` in Å.
pub fn median_step_dex(wave_aa: &[f64], from: f64, to: f64) -> Option<f64> {
    let mut steps: Vec<f64> =
        wave_aa.windows(2).filter(|w| w[0] >= from && w[1] <= to).map(|w| (w[1] / w[0]).log10()).collect();
    median(&mut steps)
}
