//! A normalised spectrum small enough for a link. Its samples lie on an even axis, are averaged over blocks of pixels
//! and quantised to 0.4 % of the continuum. The curve stores their differences.

use serde::{Deserialize, Serialize};

/// Quantum of the normalised flux: less than one pixel in a plot of 200 pixels height.
const FLUX_QUANTUM: f32 = 0.004;

/// Largest absolute flux, quanta (±8 continuum units). Fluxes beyond it are clipped.
const MAX_QUANTA: i32 = 2000;

/// Marks a sample that is not a number.
const MISSING: i32 = -MAX_QUANTA - 1;

/// Largest number of samples of a curve in a link.
pub const MAX_SAMPLES: usize = 4096;

/// Largest deviation of a wavelength from an even axis, pixels.
const MAX_DEVIATION_PIXELS: f64 = 0.02;

/// An evenly spaced axis of a model's grid: vacuum wavelengths in Å, or their log10.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// True when log10 λ is evenly spaced, false when λ is.
    pub is_log10: bool,
    /// First value.
    pub start: f64,
    /// Distance between neighbouring values.
    pub step: f64,
}

impl Axis {
    /// The even axis that reproduces these wavelengths to a fiftieth of a pixel; `None` if there is none.
    pub fn of(wave_vac_aa: &[f32]) -> Option<Self> {
        let (first, last) = (f64::from(*wave_vac_aa.first()?), f64::from(*wave_vac_aa.last()?));
        if wave_vac_aa.len() < 2 || first <= 0.0 || last <= first {
            return None;
        }
        let steps = (wave_vac_aa.len() - 1) as f64;
        let log = Self { is_log10: true, start: first.log10(), step: (last.log10() - first.log10()) / steps };
        let even = Self { is_log10: false, start: first, step: (last - first) / steps };
        let pixel = (last - first) / steps;
        let fits = |axis: &Self| {
            let deviation = |(i, w): (usize, &f32)| (axis.wave_vac_aa(i as f64) - f64::from(*w)).abs();
            wave_vac_aa.iter().enumerate().map(deviation).all(|d| d <= MAX_DEVIATION_PIXELS * pixel + 1e-3)
        };
        [log, even].into_iter().find(fits)
    }

    /// Wavelength at a position on the axis, Å.
    pub fn wave_vac_aa(&self, pixel: f64) -> f64 {
        let at = self.start + self.step * pixel;
        if self.is_log10 { 10f64.powf(at) } else { at }
    }

    fn is_valid(&self) -> bool {
        let ends = [self.wave_vac_aa(0.0), self.wave_vac_aa(MAX_SAMPLES as f64 * 64.0)];
        self.step.is_finite() && self.step > 0.0 && ends.iter().all(|w| w.is_finite()) && ends[0] > 0.0
    }
}

/// A curve on an [`Axis`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Axis of the model's pixels.
    pub axis: Axis,
    /// Number of pixels averaged into a sample.
    pub block: u16,
    /// Differences of consecutive quantised samples; the first is the difference from 0.
    differences: Vec<i32>,
}

impl Curve {
    /// Packs the model's pixels, averaged over blocks. The last block may be shorter.
    pub fn pack(axis: Axis, flux: &[f32], block: u16) -> Self {
        let mut previous = 0;
        let differences = flux
            .chunks(usize::from(block.max(1)))
            .take(MAX_SAMPLES)
            .map(|part| {
                let mean = part.iter().sum::<f32>() / part.len() as f32;
                let quanta = if mean.is_finite() {
                    ((mean / FLUX_QUANTUM).round() as i32).clamp(-MAX_QUANTA, MAX_QUANTA)
                } else {
                    MISSING
                };
                quanta - std::mem::replace(&mut previous, quanta)
            })
            .collect();
        Self { axis, block: block.max(1), differences }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.differences.len()
    }

    /// True for a curve without samples.
    pub fn is_empty(&self) -> bool {
        self.differences.is_empty()
    }

    /// Wavelengths in Å and flux over continuum; `None` if [`Curve::pack`] cannot have made the numbers.
    pub fn unpack(&self) -> Option<(Vec<f32>, Vec<f32>)> {
        if self.len() > MAX_SAMPLES || self.block == 0 || self.block > 64 || !self.axis.is_valid() {
            return None;
        }
        let centre = f64::from(self.block - 1) / 2.0;
        let wave = (0..self.len()).map(|i| self.axis.wave_vac_aa(i as f64 * f64::from(self.block) + centre) as f32);
        let mut quanta = 0i32;
        let mut flux = Vec::with_capacity(self.len());
        for difference in &self.differences {
            quanta = quanta.checked_add(*difference)?;
            flux.push(match quanta {
                MISSING => f32::NAN,
                q if (-MAX_QUANTA..=MAX_QUANTA).contains(&q) => q as f32 * FLUX_QUANTUM,
                _ => return None,
            });
        }
        Some((wave.collect(), flux))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::grid::model_wave_vac_aa;

    #[test]
    fn unpacking_restores_a_curve_to_half_a_quantum() {
        let wave: Vec<f32> = model_wave_vac_aa().iter().map(|w| *w as f32).collect();
        let mut flux: Vec<f32> = (0..wave.len()).map(|i| 0.9 + 0.3 * (i as f32 / 9.0).sin()).collect();
        flux[5] = f32::NAN;
        let axis = Axis::of(&wave).expect("the model's grid is even in log10");
        assert!(axis.is_log10);
        let (w, f) = Curve::pack(axis, &flux, 1).unpack().expect("a packed curve unpacks");
        assert!(w.iter().zip(&wave).all(|(a, b)| (a - b).abs() < 0.01));
        assert!(f[5].is_nan());
        assert!(
            f.iter().zip(&flux).filter(|(_, b)| b.is_finite()).all(|(a, b)| (a - b).abs() <= FLUX_QUANTUM / 2.0 + 1e-5)
        );
        let coarse = Curve::pack(axis, &flux, 4);
        assert_eq!(coarse.len(), wave.len().div_ceil(4));
        let (w, _) = coarse.unpack().expect("a packed curve unpacks");
        assert!((w[1] - (wave[5] + wave[6]) / 2.0).abs() < 0.01);
    }

    #[test]
    fn an_uneven_axis_is_none() {
        assert_eq!(Axis::of(&[4000.0, 4001.0, 4009.0, 4010.0]), None);
        assert_eq!(Axis::of(&[]), None);
        assert!(Axis::of(&[336.0, 338.0, 340.0, 342.0]).is_some());
    }
}
