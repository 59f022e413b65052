//! Input of Specola's own networks for Gaia XP spectra: the shape of the spectrum on a compressed scale, and S/N.
//!
//! The published preprocessing ([`super::xp`]) divides by the flux at 550 nm, whose noise then enters every sample of a
//! faint red star. Here the mean flux divides. The inverse hyperbolic sine is logarithmic for bright samples and linear
//! for samples near or below zero.

use std::ops::Range;

use super::xp::XP_PIXELS;

/// Number of wavelength bands with an S/N.
pub const XP_BANDS: usize = 3;

/// Samples of the bands: 336–454, 456–694 and 696–1020 nm.
const BANDS: [Range<usize>; XP_BANDS] = [0..60, 60..180, 180..XP_PIXELS];

/// Relative flux at which the scale changes from linear to logarithmic: twice this value.
const SOFTENING: f32 = 0.04;

/// Lowest S/N of a sample; noise can make a measured flux negative.
const MIN_SNR: f32 = 0.3;

/// Features of a Gaia XP spectrum.
#[derive(Debug, Clone, PartialEq)]
pub struct XpFeatures {
    /// asinh(F / (0.04 · mean F)) of each sample, `[343]`.
    pub shape: Vec<f32>,
    /// Error of the shape, `[343]`; empty without errors.
    pub sigma: Vec<f32>,
    /// log10 of the mean S/N per sample in the bands 336–454, 456–694 and 696–1020 nm; NaN without errors.
    pub log_snr: [f32; XP_BANDS],
}

impl XpFeatures {
    /// Features of flux `[343]` on the XP grid, in any unit, and its errors in the same unit (empty if unknown).
    /// `None` where the mean flux is not positive.
    pub fn of(flux: &[f32], sigma: &[f32]) -> Option<Self> {
        let mean = flux.iter().sum::<f32>() / flux.len().max(1) as f32;
        if flux.len() != XP_PIXELS || !(mean > 0.0 && mean.is_finite()) {
            return None;
        }
        let unit = SOFTENING * mean;
        let shape = flux.iter().map(|f| (f / unit).asinh()).collect();
        let error_of_shape = |(f, s): (&f32, &f32)| s / unit / (f / unit).hypot(1.0);
        let shape_sigma = flux.iter().zip(sigma).map(error_of_shape).collect();
        let log_snr = BANDS.map(|band| {
            let snr: Vec<f32> = band
                .filter_map(|i| Some(flux[i] / sigma.get(i).filter(|s| **s > 0.0 && s.is_finite())?))
                .map(|snr| snr.max(MIN_SNR))
                .collect();
            if snr.is_empty() { f32::NAN } else { (snr.iter().sum::<f32>() / snr.len() as f32).log10() }
        });
        Some(Self { shape, sigma: shape_sigma, log_snr })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference values from `NumPy`.
    #[test]
    fn features_match_numpy() {
        let flux: Vec<f32> = (0..XP_PIXELS).map(|i| 1e-16 * (i as f32 / 100.0 - 0.1)).collect();
        let sigma = vec![2e-18; XP_PIXELS];
        let features = XpFeatures::of(&flux, &sigma).expect("the mean flux is positive");
        let expected = [(0, -1.223_696), (10, 0.0), (100, 3.331_706), (342, 4.635_848)];
        for (i, value) in expected {
            assert!((features.shape[i] - value).abs() < 1e-5, "{i}: {}", features.shape[i]);
        }
        for (got, expected) in features.log_snr.iter().zip([1.011_288, 1.738_384, 2.098_644]) {
            assert!((got - expected).abs() < 1e-5, "{got} {expected}");
        }
        // The derivative of the shape.
        let brighter: Vec<f32> = flux.iter().map(|f| f + 2e-20).collect();
        let unit = 0.04 * (flux.iter().sum::<f32>() / 343.0);
        let slope = ((brighter[50] / unit).asinh() - features.shape[50]) / 0.01;
        assert!((features.sigma[50] / slope - 1.0).abs() < 0.02, "{} {slope}", features.sigma[50]);
        let without_errors = XpFeatures::of(&flux, &[]).expect("the mean flux is positive");
        assert!(without_errors.log_snr.iter().all(|v| v.is_nan()) && without_errors.shape == features.shape);
        assert!(without_errors.sigma.is_empty());
        assert_eq!(XpFeatures::of(&vec![-1.0; XP_PIXELS], &[]), None);
    }
}
