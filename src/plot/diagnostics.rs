//! Curves of the diagnostics: the synthetic spectrum with its residual, and the sensitivity (∂label/∂flux).

use super::lines::{SpectralLine, identify};
use super::smooth::smooth_values;
use crate::result::diagnostics::{ModelFit, Saliency};
use crate::result::{Label, SpectrumView};

/// σ of a resolution element at R 1800 on the model's grid, pixels. A spectrum has no sharper features.
const ELEMENT_PIXELS: f64 = 1.02;

/// Smallest separation of two features, pixels.
const MIN_SEPARATION: usize = 8;

/// Largest number of named features.
const MAX_FEATURES: usize = 6;

/// A synthetic spectrum and its residual from the data.
#[derive(Debug, Clone, PartialEq)]
pub struct FitCurves {
    /// Synthetic spectrum on the model's grid.
    pub model: Vec<f32>,
    /// Data − model.
    pub residual: Vec<f32>,
    /// σ of the data; empty without errors.
    pub sigma: Vec<f32>,
    /// Zeros, one per pixel.
    pub zero: Vec<f32>,
}

impl FitCurves {
    /// Curves of a spectrum and its fit, both smoothed by a Gaussian of this FWHM in pixels; 0 for no smoothing.
    ///
    /// The errors of the data apply to single pixels, so smoothed curves have none.
    pub fn of(view: &SpectrumView, fit: &ModelFit, fwhm_pixels: f64) -> Self {
        let smooth = |values: &[f32]| match fwhm_pixels > 0.0 {
            true => smooth_values(values, fwhm_pixels),
            false => values.to_vec(),
        };
        let (data, model) = (smooth(&view.model_flux), smooth(&fit.flux));
        Self {
            residual: data.iter().zip(&model).map(|(data, model)| data - model).collect(),
            sigma: if fwhm_pixels > 0.0 { Vec::new() } else { fit.sigma.clone() },
            zero: vec![0.0; model.len()],
            model,
        }
    }
}

/// A spectral feature to which the label is sensitive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Feature {
    /// Vacuum wavelength at rest, Å.
    pub wave_vac_aa: f64,
    /// ∂label/∂flux, in the label's unit, for a change of one resolution element by 1 % of the continuum.
    pub slope: f64,
    /// Spectral line at this wavelength, if any.
    pub line: Option<&'static SpectralLine>,
}

/// Sensitivity of a label to the flux, for changes as wide as a resolution element.
#[derive(Debug, Clone, PartialEq)]
pub struct SaliencyCurves {
    /// Label of the vertical axis.
    pub y_label: String,
    /// The label's unit.
    pub unit: String,
    /// Sensitivity of the active model, in the label's unit for a change by 1 % of the continuum.
    pub slope: Vec<f32>,
    /// Sensitivity of the shipped model, if another model is active; otherwise empty.
    pub before: Vec<f32>,
    /// Features whose absence would change the label most, by decreasing |slope × depth|.
    pub features: Vec<Feature>,
}

impl SaliencyCurves {
    /// Curves of a saliency, with the spectrum's flux over continuum and its wavelengths (Å, vacuum, at rest).
    pub fn of(wave_vac_aa: &[f32], flux: &[f32], saliency: &Saliency) -> Self {
        let label = Label::from_name(&saliency.target);
        let name = label.map_or(saliency.target.as_str(), |label| label.symbol());
        let unit = label.map_or("", Label::unit);
        let slope = per_resolution_element(&saliency.gradient);
        Self {
            y_label: if unit.is_empty() { format!("Δ{name}") } else { format!("Δ{name} ({unit})") },
            unit: unit.into(),
            features: features(wave_vac_aa, flux, &slope),
            before: saliency
                .shipped_gradient
                .as_ref()
                .map_or(Vec::new(), |(_, gradient)| per_resolution_element(gradient)),
            slope,
        }
    }
}

/// Effect of a change of one resolution element by 1 % of the continuum: the sum of the slopes under its profile.
///
/// Missing pixels remain missing.
fn per_resolution_element(slope: &[f32]) -> Vec<f32> {
    const HALF: usize = 4;
    let taps: Vec<f64> = (0..=HALF).map(|k| (-0.5 * (k as f64 / ELEMENT_PIXELS).powi(2)).exp()).collect();
    let sum = |i: usize| {
        let window = i.saturating_sub(HALF)..(i + HALF + 1).min(slope.len());
        window.filter(|j| slope[*j].is_finite()).map(|j| taps[i.abs_diff(j)] * f64::from(slope[j])).sum::<f64>()
    };
    (0..slope.len()).map(|i| if slope[i].is_finite() { (0.01 * sum(i)) as f32 } else { f32::NAN }).collect()
}

/// The largest peaks of |slope × depth|.
///
/// The peaks of the slope alone need not lie on lines: a network compares the flux in a line with the flux beside it.
fn features(wave_vac_aa: &[f32], flux: &[f32], slope: &[f32]) -> Vec<Feature> {
    let depth = per_resolution_element(&flux.iter().map(|f| 1.0 - f).collect::<Vec<f32>>());
    let weight: Vec<f32> = slope.iter().zip(depth).map(|(slope, depth)| slope * depth.max(0.0)).collect();
    let magnitude = |i: usize| weight.get(i).map_or(0.0, |s| s.abs());
    let is_peak = |i: &usize| {
        magnitude(*i) > 0.0 && magnitude(*i) >= magnitude(i.wrapping_sub(1)) && magnitude(*i) >= magnitude(i + 1)
    };
    let mut peaks: Vec<usize> = (0..slope.len().min(wave_vac_aa.len())).filter(is_peak).collect();
    peaks.sort_by(|a, b| magnitude(*b).total_cmp(&magnitude(*a)));
    let mut selected: Vec<usize> = Vec::new();
    for peak in peaks {
        if selected.len() < MAX_FEATURES && selected.iter().all(|other| other.abs_diff(peak) >= MIN_SEPARATION) {
            selected.push(peak);
        }
    }
    let feature = |i: usize| {
        let wave_vac_aa = f64::from(wave_vac_aa[i]);
        Feature { wave_vac_aa, slope: f64::from(slope[i]), line: identify(wave_vac_aa) }
    };
    selected.into_iter().map(feature).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolution_element_sums_its_pixels_and_the_strongest_features_come_first() {
        let wave: Vec<f32> = (0..1462).map(|i| 10f32.powf(3.602 + 1e-4 * i as f32)).collect();
        let at = |wave_aa: f32| wave.partition_point(|w| *w < wave_aa);
        let mut slope = vec![0.0f32; wave.len()];
        slope[at(4862.7)] = -3.0;
        slope[at(5184.5)] = 5.0;
        slope[at(4700.0)] = 1.0;
        slope[at(5400.0)] = 9.0;
        slope[0] = f32::NAN;
        let saliency = Saliency { target: "feh".into(), gradient: slope, ..Saliency::default() };
        // Equal depth everywhere, except for a range without a line.
        let mut flux = vec![0.8; wave.len()];
        flux[at(5400.0) - 10..at(5400.0) + 10].fill(1.0);
        let curves = SaliencyCurves::of(&wave, &flux, &saliency);
        let names: Vec<_> = curves.features.iter().map(|f| f.line.map(|line| line.name)).collect();
        assert_eq!(names, [Some("Mg b"), Some("Hβ"), None]);
        // The slope of a single pixel counts fully in the element centred on it, and with weight e^(−1/2σ²) in the next
        // element.
        let peak = at(5184.5);
        assert!((curves.slope[peak] - 0.05).abs() < 1e-6);
        assert!((curves.slope[peak + 1] - 0.05 * (-0.5f32 / (1.02 * 1.02)).exp()).abs() < 1e-5);
        assert!(curves.slope[0].is_nan() && curves.before.is_empty());
        assert!(curves.y_label.contains("[Fe/H]") && curves.y_label.contains("dex"));
    }
}
