//! Curves that help to read a spectrum, made ready to draw: the model spectrum with its residual, and what an answer rests
//! on.

use super::lines::{SpectralLine, identify};
use super::smooth::smoothed_values;
use crate::result::reading::{ModelFit, Saliency};
use crate::result::{Label, SpectrumView};

/// σ of a resolution element of R 1800 on the model's grid, pixels: changes of the flux that are sharper do not occur in a
/// spectrum.
const ELEMENT_PIXELS: f64 = 1.02;

/// Fewest pixels between two features.
const APART: usize = 8;

/// Most features that are named.
const MOST_FEATURES: usize = 6;

/// A model spectrum beside the data.
#[derive(Debug, Clone, PartialEq)]
pub struct FitCurves {
    /// The model spectrum on the model's grid.
    pub model: Vec<f32>,
    /// Data − model.
    pub residual: Vec<f32>,
    /// σ of the data; empty without errors.
    pub sigma: Vec<f32>,
    /// As many zeros.
    pub zero: Vec<f32>,
}

impl FitCurves {
    /// Of a spectrum and its fit, both smoothed by a Gaussian of this FWHM, pixels; 0 for not at all. The data's errors are
    /// of single pixels.
    pub fn of(view: &SpectrumView, fit: &ModelFit, fwhm_pixels: f64) -> Self {
        let drawn = |values: &[f32]| match fwhm_pixels > 0.0 {
            true => smoothed_values(values, fwhm_pixels),
            false => values.to_vec(),
        };
        let (data, model) = (drawn(&view.model_flux), drawn(&fit.flux));
        Self {
            residual: data.iter().zip(&model).map(|(data, model)| data - model).collect(),
            sigma: if fwhm_pixels > 0.0 { Vec::new() } else { fit.sigma.clone() },
            zero: vec![0.0; model.len()],
            model,
        }
    }
}

/// What an answer rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Feature {
    /// Vacuum wavelength at rest, Å.
    pub wave_vac_aa: f64,
    /// ∂label/∂flux for a change of a resolution element by 1 % of the continuum, label's unit.
    pub slope: f64,
    /// The line that lies there.
    pub line: Option<&'static SpectralLine>,
}

/// How a label changes with the flux, for changes as wide as a resolution element.
#[derive(Debug, Clone, PartialEq)]
pub struct SlopeCurves {
    /// What the axis shows.
    pub y_label: String,
    /// The label's unit.
    pub unit: String,
    /// By the model in use, for a change by 1 % of the continuum.
    pub slope: Vec<f32>,
    /// By the shipped one, where another is in use; else empty.
    pub before: Vec<f32>,
    /// The lines by which the answer would change most if they were not there: slope times depth, greatest first.
    pub features: Vec<Feature>,
}

impl SlopeCurves {
    /// Of a saliency of the spectrum with this flux over continuum, on these wavelengths, Å vacuum at rest.
    pub fn of(wave_vac_aa: &[f32], flux: &[f32], saliency: &Saliency) -> Self {
        let label = Label::from_name(&saliency.target);
        let name = label.map_or(saliency.target.as_str(), |label| label.symbol());
        let unit = label.map_or("", Label::unit);
        let slope = by_element(&saliency.slope);
        Self {
            y_label: if unit.is_empty() { format!("Δ{name}") } else { format!("Δ{name} ({unit})") },
            unit: unit.into(),
            features: features(wave_vac_aa, flux, &slope),
            before: saliency.before.as_ref().map_or(Vec::new(), |(_, before)| by_element(before)),
            slope,
        }
    }
}

/// What a change of a resolution element by 1 % of the continuum does: the sum of the slopes under its profile. Missing pixels
/// stay missing.
fn by_element(slope: &[f32]) -> Vec<f32> {
    const HALF: usize = 4;
    let taps: Vec<f64> = (0..=HALF).map(|k| (-0.5 * (k as f64 / ELEMENT_PIXELS).powi(2)).exp()).collect();
    let sum = |i: usize| {
        let near = i.saturating_sub(HALF)..(i + HALF + 1).min(slope.len());
        near.filter(|j| slope[*j].is_finite()).map(|j| taps[i.abs_diff(j)] * f64::from(slope[j])).sum::<f64>()
    };
    (0..slope.len()).map(|i| if slope[i].is_finite() { (0.01 * sum(i)) as f32 } else { f32::NAN }).collect()
}

/// The greatest peaks of slope times depth, of either sign.
///
/// By the slope alone they would be anywhere: a network weighs the flux beside a line against that in it.
fn features(wave_vac_aa: &[f32], flux: &[f32], slope: &[f32]) -> Vec<Feature> {
    let depth = by_element(&flux.iter().map(|f| 1.0 - f).collect::<Vec<f32>>());
    let weight: Vec<f32> = slope.iter().zip(depth).map(|(slope, depth)| slope * depth.max(0.0)).collect();
    let size = |i: usize| weight.get(i).map_or(0.0, |s| s.abs());
    let is_peak = |i: &usize| size(*i) > 0.0 && size(*i) >= size(i.wrapping_sub(1)) && size(*i) >= size(i + 1);
    let mut peaks: Vec<usize> = (0..slope.len().min(wave_vac_aa.len())).filter(is_peak).collect();
    peaks.sort_by(|a, b| size(*b).total_cmp(&size(*a)));
    let mut kept: Vec<usize> = Vec::new();
    for peak in peaks {
        if kept.len() < MOST_FEATURES && kept.iter().all(|other| other.abs_diff(peak) >= APART) {
            kept.push(peak);
        }
    }
    let feature = |i: usize| {
        let wave_vac_aa = f64::from(wave_vac_aa[i]);
        Feature { wave_vac_aa, slope: f64::from(slope[i]), line: identify(wave_vac_aa) }
    };
    kept.into_iter().map(feature).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_gathers_its_pixels_and_the_strongest_features_come_first() {
        let wave: Vec<f32> = (0..1462).map(|i| 10f32.powf(3.602 + 1e-4 * i as f32)).collect();
        let at = |wave_aa: f32| wave.partition_point(|w| *w < wave_aa);
        let mut slope = vec![0.0f32; wave.len()];
        slope[at(4862.7)] = -3.0;
        slope[at(5184.5)] = 5.0;
        slope[at(4700.0)] = 1.0;
        slope[at(5400.0)] = 9.0;
        slope[0] = f32::NAN;
        let saliency = Saliency { target: "feh".into(), slope, ..Saliency::default() };
        // As deep everywhere, but for a place where there is no line.
        let mut flux = vec![0.8; wave.len()];
        flux[at(5400.0) - 10..at(5400.0) + 10].fill(1.0);
        let curves = SlopeCurves::of(&wave, &flux, &saliency);
        let names: Vec<_> = curves.features.iter().map(|f| f.line.map(|line| line.name)).collect();
        assert_eq!(names, [Some("Mg b"), Some("Hβ"), None]);
        // A single pixel's slope counts once in the element on it, and e^(−1/2σ²) of it in the next.
        let peak = at(5184.5);
        assert!((curves.slope[peak] - 0.05).abs() < 1e-6);
        assert!((curves.slope[peak + 1] - 0.05 * (-0.5f32 / (1.02 * 1.02)).exp()).abs() < 1e-5);
        assert!(curves.slope[0].is_nan() && curves.before.is_empty());
        assert!(curves.y_label.contains("[Fe/H]") && curves.y_label.contains("dex"));
    }
}
