//! The errors of the model's input: what a file's inverse variances become on the way to the grid.
//!
//! They are asked for where a spectrum is compared with another, not for every prediction.

use super::grid::{C_KMS, STEP_DEX, model_log10};
use super::recipe::{Opened, Prepared};
use super::resample::{Kernel, linear, variance};
use super::snr::median_step_dex;
use crate::spectrum::Spectrum;

/// Good pixels further apart than this many of their own (or of the grid's, if those are wider) have a masked one between.
const NEIGHBOURS: f64 = 1.6;

/// What is known of each pixel of the model's input.
#[derive(Debug, Clone, PartialEq)]
pub struct Noise {
    /// True where the pixel was measured, `[1462]`; false where it is missing or bridges masked ones.
    pub is_measured: Vec<bool>,
    /// σ in units of the continuum, `[1462]`; `None` when the file gives no errors.
    pub sigma: Option<Vec<f64>>,
}

impl Noise {
    /// Of a spectrum that was opened and had this velocity taken out. The continuum counts as known.
    pub fn of(spectrum: &Spectrum, opened: &Opened, prepared: &Prepared, rv_kms: f64) -> Self {
        let shift = (1.0 + rv_kms / C_KMS).log10();
        let target: Vec<f64> = model_log10().iter().map(|x| x + shift).collect();
        let x = &opened.log10;
        let wave = spectrum.wave_vac_aa();
        let step_dex = median_step_dex(wave, wave[0], wave[wave.len() - 1]).unwrap_or(STEP_DEX);
        let apart = NEIGHBOURS * step_dex.max(STEP_DEX);
        let is_near = |at: f64| {
            let i = x.partition_point(|v| *v <= at);
            i > 0 && x.get(i).is_none_or(|right| right - x[i - 1] <= apart)
        };
        let there = prepared.norm.iter().zip(&target);
        let is_measured = there.map(|(norm, at)| norm.is_finite() && is_near(*at)).collect();
        let good = (0..spectrum.len()).filter(|&i| !spectrum.masked()[i]);
        let sigma = spectrum.ivar().map(|ivar| {
            let raw: Vec<f64> = good.map(|i| 1.0 / ivar[i]).collect();
            let variances = variance(x, &raw, &target, opened.kernel);
            variances.iter().zip(&prepared.divisor).map(|(v, by)| v.sqrt() / by).collect()
        });
        Self { is_measured, sigma }
    }
}

/// σ of each pixel of the model's input in units of the continuum, as encoders are held against it, `[1462]`; empty when
/// the file gives no errors. Pixels as wide as the grid's keep their own (MODEL_SPEC §5): what lies between two of them is
/// no better known than either. Where several are taken together, it is that of their mean.
pub fn pixel_sigma(spectrum: &Spectrum, opened: &Opened, prepared: &Prepared, rv_kms: f64) -> Vec<f32> {
    let Some(ivar) = spectrum.ivar() else { return Vec::new() };
    if !matches!(opened.kernel, Kernel::Linear) {
        let sigma = Noise::of(spectrum, opened, prepared, rv_kms).sigma.unwrap_or_default();
        return sigma.iter().map(|s| *s as f32).collect();
    }
    let shift = (1.0 + rv_kms / C_KMS).log10();
    let target: Vec<f64> = model_log10().iter().map(|x| x + shift).collect();
    let good = (0..spectrum.len()).filter(|&i| !spectrum.masked()[i]);
    let own: Vec<f64> = good.map(|i| 1.0 / ivar[i].sqrt()).collect();
    linear(&opened.log10, &own, &target).iter().zip(&prepared.divisor).map(|(s, by)| (s / by) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectrum::{Frame, Known, Medium, Meta, Source};

    /// 1 % of noise on pixels of half the grid's width: averaged over two of them it is 0.7 %.
    #[test]
    fn noise_averages_and_masked_pixels_are_not_measured() {
        let wave: Vec<f64> = (0..3600).map(|i| 10f64.powf(3.5900 + 0.49e-4 * f64::from(i))).collect();
        let at = |wave_aa: f64| wave.partition_point(|w| *w < wave_aa);
        let mut ivar = vec![1e4 / 9.0; wave.len()];
        ivar[at(5000.0)..at(5005.0)].fill(0.0);
        let mut meta = Meta::unknown("flat", "test");
        meta.medium = Known::new(Medium::Vacuum, Source::File);
        meta.frame = Known::new(Frame::Rest, Source::File);
        meta.resolving_power = Some(Known::new(2000.0, Source::File));
        let flux = vec![3.0; wave.len()];
        let spectrum = Spectrum::new(meta, wave, flux, Some(ivar), None).expect("a spectrum");
        let opened = Opened::new(&spectrum).expect("opened");
        let prepared = opened.at_velocity(0.0).expect("prepared");
        let noise = Noise::of(&spectrum, &opened, &prepared, 0.0);
        let sigma = noise.sigma.expect("errors");
        let wave = super::super::grid::model_wave_vac_aa();
        let typical = sigma[100..800].iter().sum::<f64>() / 700.0;
        assert!((typical - 0.01 / 2f64.sqrt()).abs() < 5e-4, "{typical}");
        let same: Vec<f64> = pixel_sigma(&spectrum, &opened, &prepared, 0.0).iter().map(|s| f64::from(*s)).collect();
        assert!(same.iter().zip(&sigma).all(|(a, b)| (a / b - 1.0).abs() < 1e-6 || a.is_nan()));
        for (i, wave_aa) in wave.iter().enumerate() {
            let is_masked = (5000.5..5004.0).contains(wave_aa);
            assert!(!(is_masked && noise.is_measured[i]), "{wave_aa}");
            let is_far = !(4998.0..5008.0).contains(wave_aa);
            assert!(!is_far || noise.is_measured[i], "{wave_aa}");
        }
    }
}
