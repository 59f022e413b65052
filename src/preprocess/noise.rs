//! Errors of the model's input, propagated from the inverse variances of the file.
//!
//! They are computed only for comparisons between spectra, not for every prediction.

use super::conditioning::{ConditionedSpectrum, PreparedInput};
use super::grid::{C_KMS, STEP_DEX, model_log10};
use super::resample::{ResamplingKernel, linear, variance};
use super::snr::median_step_dex;
use crate::spectrum::Spectrum;

/// Two unmasked pixels further apart than this have a masked pixel between them. The unit is the pixel width of the
/// spectrum or of the grid, whichever is larger.
const MAX_NEIGHBOUR_SEPARATION_PIXELS: f64 = 1.6;

/// Validity and error of each pixel of the model's input.
#[derive(Debug, Clone, PartialEq)]
pub struct Noise {
    /// True where the pixel was measured, `[1462]`; false where it is missing or interpolated over masked pixels.
    pub is_measured: Vec<bool>,
    /// σ in units of the continuum, `[1462]`; `None` when the file gives no errors.
    pub sigma: Option<Vec<f64>>,
}

impl Noise {
    /// The noise of a conditioned spectrum that was normalised at the radial velocity `rv_kms`, km/s. The error of the
    /// continuum is neglected.
    pub fn of(spectrum: &Spectrum, conditioned: &ConditionedSpectrum, prepared: &PreparedInput, rv_kms: f64) -> Self {
        let shift = (1.0 + rv_kms / C_KMS).log10();
        let target: Vec<f64> = model_log10().iter().map(|x| x + shift).collect();
        let x = &conditioned.log10;
        let wave = spectrum.wave_vac_aa();
        let step_dex = median_step_dex(wave, wave[0], wave[wave.len() - 1]).unwrap_or(STEP_DEX);
        let max_separation_dex = MAX_NEIGHBOUR_SEPARATION_PIXELS * step_dex.max(STEP_DEX);
        let is_near = |log10_wave: f64| {
            let i = x.partition_point(|v| *v <= log10_wave);
            i > 0 && x.get(i).is_none_or(|right| right - x[i - 1] <= max_separation_dex)
        };
        let pixels = prepared.norm.iter().zip(&target);
        let is_measured = pixels.map(|(norm, log10_wave)| norm.is_finite() && is_near(*log10_wave)).collect();
        let good = (0..spectrum.len()).filter(|&i| !spectrum.masked()[i]);
        let sigma = spectrum.ivar().map(|ivar| {
            let pixel_variances: Vec<f64> = good.map(|i| 1.0 / ivar[i]).collect();
            let variances = variance(x, &pixel_variances, &target, conditioned.kernel);
            variances.iter().zip(&prepared.divisor).map(|(v, divisor)| v.sqrt() / divisor).collect()
        });
        Self { is_measured, sigma }
    }
}

/// σ of each pixel of the model's input in units of the continuum, `[1462]`; empty if the file gives no errors.
///
/// Encoder reconstructions are compared with the input in units of this σ. Pixels as wide as grid pixels keep their own
/// error (docs/model-spec.md §5), because interpolation between two pixels adds no information. If several pixels are
/// averaged, σ is the error of their mean.
pub fn pixel_sigma(
    spectrum: &Spectrum,
    conditioned: &ConditionedSpectrum,
    prepared: &PreparedInput,
    rv_kms: f64,
) -> Vec<f32> {
    let Some(ivar) = spectrum.ivar() else { return Vec::new() };
    if !matches!(conditioned.kernel, ResamplingKernel::Linear) {
        let sigma = Noise::of(spectrum, conditioned, prepared, rv_kms).sigma.unwrap_or_default();
        return sigma.iter().map(|s| *s as f32).collect();
    }
    let shift = (1.0 + rv_kms / C_KMS).log10();
    let target: Vec<f64> = model_log10().iter().map(|x| x + shift).collect();
    let good = (0..spectrum.len()).filter(|&i| !spectrum.masked()[i]);
    let sigma: Vec<f64> = good.map(|i| 1.0 / ivar[i].sqrt()).collect();
    linear(&conditioned.log10, &sigma, &target)
        .iter()
        .zip(&prepared.divisor)
        .map(|(s, divisor)| (s / divisor) as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectrum::{Frame, Medium, Meta, Source, Sourced};

    /// 1 % noise in pixels half as wide as a grid pixel: the mean of two pixels has 0.7 % noise.
    #[test]
    fn noise_averages_and_masked_pixels_are_not_measured() {
        let wave: Vec<f64> = (0..3600).map(|i| 10f64.powf(3.5900 + 0.49e-4 * f64::from(i))).collect();
        let pixel_at = |wave_aa: f64| wave.partition_point(|w| *w < wave_aa);
        let mut ivar = vec![1e4 / 9.0; wave.len()];
        ivar[pixel_at(5000.0)..pixel_at(5005.0)].fill(0.0);
        let mut meta = Meta::unknown("flat", "test");
        meta.medium = Sourced::new(Medium::Vacuum, Source::File);
        meta.frame = Sourced::new(Frame::Rest, Source::File);
        meta.resolving_power = Some(Sourced::new(2000.0, Source::File));
        let flux = (0..wave.len()).map(|i| 3.0 + 1e-6 * (i % 2) as f64).collect();
        let spectrum = Spectrum::new(meta, wave, flux, Some(ivar), None).expect("a spectrum");
        let conditioned = ConditionedSpectrum::new(&spectrum).expect("conditioned");
        let prepared = conditioned.normalise_at_rv(0.0).expect("prepared");
        let noise = Noise::of(&spectrum, &conditioned, &prepared, 0.0);
        let sigma = noise.sigma.expect("errors");
        let wave = super::super::grid::model_wave_vac_aa();
        let mean_sigma = sigma[100..800].iter().sum::<f64>() / 700.0;
        assert!((mean_sigma - 0.01 / 2f64.sqrt()).abs() < 5e-4, "{mean_sigma}");
        let from_pixel_sigma: Vec<f64> =
            pixel_sigma(&spectrum, &conditioned, &prepared, 0.0).iter().map(|s| f64::from(*s)).collect();
        assert!(from_pixel_sigma.iter().zip(&sigma).all(|(a, b)| (a / b - 1.0).abs() < 1e-6 || a.is_nan()));
        for (i, wave_aa) in wave.iter().enumerate() {
            let is_masked = (5000.5..5004.0).contains(wave_aa);
            assert!(!(is_masked && noise.is_measured[i]), "{wave_aa}");
            let is_far_from_centre = !(4998.0..5008.0).contains(wave_aa);
            assert!(!is_far_from_centre || noise.is_measured[i], "{wave_aa}");
        }
    }
}
