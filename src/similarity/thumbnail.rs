//! Thumbnails of normalised spectra, for a visual comparison of two stars.
//!
//! A sample is the mean of neighbouring pixels: 12 of the 1,462 pixels of an optical spectrum (122 samples), 3 of the
//! 343 pixels of an XP spectrum (115 samples). A file stores each sample as a byte: 0 to 254 from the row's lowest to
//! its highest sample, 255 for a missing sample.

use crate::preprocess::grid::{MODEL_PIXELS, model_wave_vac_aa};
use crate::preprocess::xp::{XP_PIXELS, grid_nm};
use crate::result::specclip::Modality;

/// Byte of a missing sample.
const MISSING: u8 = 255;

/// Number of pixels per sample.
fn pixels_per_sample(modality: Modality) -> usize {
    match modality {
        Modality::Lrs => 12,
        Modality::Xp => 3,
    }
}

/// Number of pixels of the original spectrum.
pub fn pixels(modality: Modality) -> usize {
    match modality {
        Modality::Lrs => MODEL_PIXELS,
        Modality::Xp => XP_PIXELS,
    }
}

/// Number of samples of a thumbnail: 122 for LRS, 115 for XP.
pub fn samples(modality: Modality) -> usize {
    pixels(modality).div_ceil(pixels_per_sample(modality))
}

/// Vacuum wavelengths of the samples, Å.
pub fn wave_vac_aa(modality: Modality) -> Vec<f32> {
    let wave: Vec<f64> = match modality {
        Modality::Lrs => model_wave_vac_aa().to_vec(),
        Modality::Xp => grid_nm().into_iter().map(|nm| 10.0 * nm).collect(),
    };
    wave.chunks(pixels_per_sample(modality)).map(|part| (part.iter().sum::<f64>() / part.len() as f64) as f32).collect()
}

/// Thumbnail of a normalised spectrum; a sample without valid pixels is NaN.
pub fn of(modality: Modality, flux: &[f32]) -> Vec<f32> {
    let mean = |part: &[f32]| {
        let finite = part.iter().filter(|v| v.is_finite());
        let (sum, n) = finite.fold((0.0, 0), |(sum, n), v| (sum + v, n + 1));
        if n == 0 { f32::NAN } else { sum / n as f32 }
    };
    flux.chunks(pixels_per_sample(modality)).map(mean).collect()
}

/// A thumbnail as bytes, with its lowest and highest sample.
pub fn pack(samples: &[f32]) -> (Vec<u8>, [f32; 2]) {
    let finite = samples.iter().filter(|v| v.is_finite());
    let (low, high) = finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)));
    if low > high {
        return (vec![MISSING; samples.len()], [0.0, 0.0]);
    }
    let step = ((high - low) / f32::from(MISSING - 1)).max(f32::MIN_POSITIVE);
    let byte = |v: &f32| if v.is_finite() { ((v - low) / step).round().clamp(0.0, 254.0) as u8 } else { MISSING };
    (samples.iter().map(byte).collect(), [low, high])
}

/// Samples from their bytes.
pub fn unpack(bytes: &[u8], [low, high]: [f32; 2]) -> Vec<f32> {
    let step = (high - low) / f32::from(MISSING - 1);
    bytes.iter().map(|b| if *b == MISSING { f32::NAN } else { low + step * f32::from(*b) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_keep_a_spectrum_to_half_a_step() {
        let flux: Vec<f32> = (0..MODEL_PIXELS).map(|i| 1.0 + 0.4 * (i as f32 / 90.0).sin()).collect();
        let small = of(Modality::Lrs, &flux);
        assert_eq!((small.len(), wave_vac_aa(Modality::Lrs).len(), samples(Modality::Xp)), (122, 122, 115));
        let (bytes, range) = pack(&small);
        for (got, expected) in unpack(&bytes, range).iter().zip(&small) {
            assert!((got - expected).abs() <= 0.5001 * 0.8 / 254.0, "{got} {expected}");
        }
        // Computed by hand: the mean of the first twelve pixels.
        let mean = (0..12).map(|i| 1.0 + 0.4 * (f64::from(i) / 90.0).sin()).sum::<f64>() / 12.0;
        assert!((f64::from(small[0]) - mean).abs() < 1e-6);
    }

    #[test]
    fn missing_pixels_remain_missing() {
        let mut flux = vec![2.0; XP_PIXELS];
        flux[..3].fill(f32::NAN);
        flux[3] = f32::NAN;
        let (bytes, range) = pack(&of(Modality::Xp, &flux));
        let unpacked = unpack(&bytes, range);
        assert!(unpacked[0].is_nan() && unpacked[1..].iter().all(|v| *v == 2.0));
        let (bytes, range) = pack(&[f32::NAN; 4]);
        assert!(unpack(&bytes, range).iter().all(|v| v.is_nan()));
    }
}
