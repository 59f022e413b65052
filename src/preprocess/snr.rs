//! Signal-to-noise ratio a pixel, from the file's errors or from the spectrum's own scatter.

use super::grid::STEP_DEX;
use super::stats::median;
use crate::spectrum::{Known, Source, Spectrum};

/// The range over which S/N is stated: the model's own, Å vacuum.
pub const SNR_RANGE_AA: (f64, f64) = (4000.0, 5599.0);

/// Median S/N between 4000 and 5599 Å for a pixel of the model's grid (1e-4 dex, 69 km/s): a spectrum with finer pixels
/// gathers more light in one of those.
///
/// Without inverse variances it is estimated as DER_SNR does (Stoehr et al. 2008, ASP Conf. Ser. 394, 505), from pixels
/// two apart; lines count as noise there, so for cool stars at low resolution it is a lower bound.
pub fn estimate(spectrum: &Spectrum) -> Option<Known<f64>> {
    let (from, to) = SNR_RANGE_AA;
    let wave = spectrum.wave_vac_aa();
    let inside: Vec<usize> =
        (0..spectrum.len()).filter(|&i| (from..=to).contains(&wave[i]) && !spectrum.masked()[i]).collect();
    let step_dex = median_step_dex(wave, from, to)?;
    let gather = (STEP_DEX / step_dex).max(1.0).sqrt();
    let flux = spectrum.flux();
    if let Some(ivar) = spectrum.ivar() {
        let mut ratios = inside.iter().map(|&i| flux[i] * ivar[i].sqrt()).collect();
        return median(&mut ratios).map(|snr| Known::new(snr * gather, Source::File));
    }
    let mut signal: Vec<f64> = inside.iter().map(|&i| flux[i]).collect();
    let mut second: Vec<f64> = inside
        .windows(5)
        .filter(|w| w[4] - w[0] == 4)
        .map(|w| (2.0 * flux[w[2]] - flux[w[0]] - flux[w[4]]).abs())
        .collect();
    let noise = 1.482602 / 6f64.sqrt() * median(&mut second)?;
    let snr = median(&mut signal)? / noise;
    // A noiseless model spectrum has no scatter; no real one is better than this.
    Some(Known::new((snr * gather).clamp(0.0, 1000.0), Source::Estimated)).filter(|s| s.value.is_finite())
}

/// Median width of a pixel in log10 λ between two wavelengths, Å.
pub fn median_step_dex(wave_aa: &[f64], from: f64, to: f64) -> Option<f64> {
    let mut steps: Vec<f64> =
        wave_aa.windows(2).filter(|w| w[0] >= from && w[1] <= to).map(|w| (w[1] / w[0]).log10()).collect();
    median(&mut steps)
}
