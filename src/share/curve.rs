//! A normalised spectrum small enough for a link: on an even axis, averaged over blocks of pixels, quantised to 0.4 % of
//! the continuum, as differences.

use serde::{Deserialize, Serialize};

/// Quantum of flux over continuum: under a pixel of a plot 200 pixels high.
const QUANTUM: f32 = 0.004;

/// Fluxes beyond ±this many quanta (±8 continuum units) are cut.
const MOST_QUANTA: i32 = 2000;

/// Stands for a sample that is not a number.
const GAP: i32 = -MOST_QUANTA - 1;

/// Most samples of a curve in a link.
pub const MAX_SAMPLES: usize = 4096;

/// Axes of more pixels than this are not compared; no model has them.
const EVEN_TO: f64 = 0.02;

/// An even axis of a model's grid: vacuum wavelengths in Å, or their log10.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// True when log10 λ is even, not λ.
    pub is_log10: bool,
    /// First value.
    pub start: f64,
    /// Distance of neighbours.
    pub step: f64,
}

impl Axis {
    /// The even axis that gives these wavelengths to a fiftieth of a pixel; `None` when there is none.
    pub fn of(wave_vac_aa: &[f32]) -> Option<Axis> {
        let (first, last) = (f64::from(*wave_vac_aa.first()?), f64::from(*wave_vac_aa.last()?));
        if wave_vac_aa.len() < 2 || first <= 0.0 || last <= first {
            return None;
        }
        let steps = (wave_vac_aa.len() - 1) as f64;
        let log = Axis { is_log10: true, start: first.log10(), step: (last.log10() - first.log10()) / steps };
        let even = Axis { is_log10: false, start: first, step: (last - first) / steps };
        let pixel = (last - first) / steps;
        let fits = |axis: &Axis| {
            let off = |(i, w): (usize, &f32)| (axis.wave_vac_aa(i as f64) - f64::from(*w)).abs();
            wave_vac_aa.iter().enumerate().map(off).all(|d| d <= EVEN_TO * pixel + 1e-3)
        };
        [log, even].into_iter().find(fits)
    }

    /// The wavelength at a place on the axis, Å.
    pub fn wave_vac_aa(&self, pixel: f64) -> f64 {
        let at = self.start + self.step * pixel;
        if self.is_log10 { 10f64.powf(at) } else { at }
    }

    fn is_sound(&self) -> bool {
        let ends = [self.wave_vac_aa(0.0), self.wave_vac_aa(MAX_SAMPLES as f64 * 64.0)];
        self.step.is_finite() && self.step > 0.0 && ends.iter().all(|w| w.is_finite()) && ends[0] > 0.0
    }
}

/// A curve on an [`Axis`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Axis of the model's pixels.
    pub axis: Axis,
    /// Pixels averaged into a sample.
    pub block: u16,
    /// Differences of the quantised samples, the first from 0.
    differences: Vec<i32>,
}

impl Curve {
    /// The curve of a model's pixels, averaged over blocks. What is left over at the end is a shorter block.
    pub fn pack(axis: Axis, flux: &[f32], block: u16) -> Curve {
        let mut before = 0;
        let differences = flux
            .chunks(usize::from(block.max(1)))
            .take(MAX_SAMPLES)
            .map(|part| {
                let mean = part.iter().sum::<f32>() / part.len() as f32;
                let quanta = if mean.is_finite() {
                    ((mean / QUANTUM).round() as i32).clamp(-MOST_QUANTA, MOST_QUANTA)
                } else {
                    GAP
                };
                quanta - std::mem::replace(&mut before, quanta)
            })
            .collect();
        Curve { axis, block: block.max(1), differences }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.differences.len()
    }

    /// True for a curve of no samples.
    pub fn is_empty(&self) -> bool {
        self.differences.is_empty()
    }

    /// Wavelengths in Å and flux over continuum; `None` when the numbers cannot have been packed by [`Curve::pack`].
    pub fn unpack(&self) -> Option<(Vec<f32>, Vec<f32>)> {
        if self.len() > MAX_SAMPLES || self.block == 0 || self.block > 64 || !self.axis.is_sound() {
            return None;
        }
        let middle = f64::from(self.block - 1) / 2.0;
        let wave = (0..self.len()).map(|i| self.axis.wave_vac_aa(i as f64 * f64::from(self.block) + middle) as f32);
        let mut quanta = 0i32;
        let mut flux = Vec::with_capacity(self.len());
        for difference in &self.differences {
            quanta = quanta.checked_add(*difference)?;
            flux.push(match quanta {
                GAP => f32::NAN,
                q if (-MOST_QUANTA..=MOST_QUANTA).contains(&q) => q as f32 * QUANTUM,
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
    fn a_curve_comes_back_to_half_a_quantum_on_its_wavelengths() {
        let wave: Vec<f32> = model_wave_vac_aa().iter().map(|w| *w as f32).collect();
        let mut flux: Vec<f32> = (0..wave.len()).map(|i| 0.9 + 0.3 * (i as f32 / 9.0).sin()).collect();
        flux[5] = f32::NAN;
        let axis = Axis::of(&wave).expect("the model's grid is even in log10");
        assert!(axis.is_log10);
        let (w, f) = Curve::pack(axis, &flux, 1).unpack().expect("a packed curve unpacks");
        assert!(w.iter().zip(&wave).all(|(a, b)| (a - b).abs() < 0.01));
        assert!(f[5].is_nan());
        assert!(f.iter().zip(&flux).filter(|(_, b)| b.is_finite()).all(|(a, b)| (a - b).abs() <= QUANTUM / 2.0 + 1e-5));
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
