//! Figure of one spectrum: flux with continuum, normalised flux, sensitivity and residual.

use super::painter::PX_PER_MM;
use super::{Drawable, Figure, FitCurves, Layer, Paint, Panel, SaliencyCurves};
use crate::result::SpectrumView;

/// Speed of light, km/s.
const C_KMS: f64 = 299_792.458;

/// Approximate number of pixels from which the vertical range is determined.
const MAX_RANGE_SAMPLES: usize = 20_000;

/// Height of each panel of an exported figure, CSS pixels.
const PANEL_PX: f64 = 280.0;

/// Builder of the figure of one spectrum.
#[derive(Debug, Clone, Copy)]
pub struct SpectrumFigure<'a> {
    /// Curves of the spectrum.
    pub view: &'a SpectrumView,
    /// Radial velocity in the wavelengths of the file, km/s; it shifts the names of lines.
    pub rv_kms: f64,
    /// First and last wavelength in view, Å.
    pub wave_range_aa: (f64, f64),
    /// Synthetic spectrum, drawn beneath the data, with its residual in a panel below.
    pub fit: Option<&'a FitCurves>,
    /// Sensitivity of a label, drawn in a panel below.
    pub saliency: Option<&'a SaliencyCurves>,
}

impl<'a> SpectrumFigure<'a> {
    /// Wavelength range of the whole spectrum, Å.
    pub fn full_range(view: &SpectrumView) -> (f64, f64) {
        // Results from a link do not contain the flux of the file.
        let wave = if view.wave_vac_aa.is_empty() { &view.model_wave_vac_aa } else { &view.wave_vac_aa };
        match (wave.first(), wave.last()) {
            (Some(first), Some(last)) if last > first => (f64::from(*first), f64::from(*last)),
            _ => (0.0, 1.0),
        }
    }

    /// Wavelength range that the model uses, Å; the whole range if preprocessing failed.
    pub fn model_range(view: &SpectrumView) -> (f64, f64) {
        let (low, high) = Self::full_range(view);
        let wave = &view.continuum_wave_vac_aa;
        match (wave.first(), wave.last()) {
            (Some(from), Some(to)) if to > from => (f64::from(*from).max(low), f64::from(*to).min(high)),
            _ => (low, high),
        }
    }

    /// Panel of the flux as in the file, with ±1 σ, the continuum, and shaded masked pixels.
    pub fn raw(&self) -> Panel<'a> {
        let view = self.view;
        let mut layers = vec![Layer::Spans { ranges: self.masked_ranges(), paint: Paint::Masked }];
        if !view.sigma.is_empty() {
            layers.push(Layer::Band {
                wave: &view.wave_vac_aa,
                value: &view.flux,
                half: &view.sigma,
                paint: Paint::Sigma,
            });
        }
        layers.push(Layer::Line { wave: &view.wave_vac_aa, value: &view.flux, paint: Paint::Data, width: 1.0 });
        layers.push(Layer::Line {
            wave: &view.continuum_wave_vac_aa,
            value: &view.continuum,
            paint: Paint::Continuum,
            width: 1.75,
        });
        let continuum = self.values_in_range(&view.continuum_wave_vac_aa, &view.continuum, &[]);
        let flux = self.values_in_range(&view.wave_vac_aa, &view.flux, &view.masked);
        Panel {
            y_label: "Flux (unit of the file)".into(),
            y_range: robust_range(flux, &continuum),
            layers,
            line_shift: 1.0 + self.rv_kms / C_KMS,
        }
    }

    /// Panel of the flux over continuum, on the model's grid at rest.
    pub fn model(&self) -> Panel<'a> {
        let view = self.view;
        let wave = &view.model_wave_vac_aa;
        let mut values = self.values_in_range(wave, &view.model_flux, &[]);
        let mut layers = vec![Layer::Level(1.0)];
        if let Some(fit) = self.fit {
            values.extend(self.values_in_range(wave, &fit.model, &[]));
            // The synthetic spectrum is broad and beneath the data, so both are visible where they agree.
            layers.push(Layer::Line { wave, value: &fit.model, paint: Paint::Continuum, width: 2.0 });
        }
        layers.push(Layer::Line { wave, value: &view.model_flux, paint: Paint::Model, width: 1.0 });
        Panel { y_label: "Flux / continuum".into(), y_range: robust_range(values, &[1.0]), layers, line_shift: 1.0 }
    }

    /// Panel of data − model, with ±1 σ of the data about zero; empty without a synthetic spectrum.
    pub fn residual(&self) -> Panel<'a> {
        let wave = &self.view.model_wave_vac_aa;
        let mut layers = vec![Layer::Level(0.0)];
        let mut y_range = (-0.1, 0.1);
        if let Some(fit) = self.fit {
            if !fit.sigma.is_empty() {
                layers.push(Layer::Band { wave, value: &fit.zero, half: &fit.sigma, paint: Paint::Sigma });
            }
            layers.push(Layer::Line { wave, value: &fit.residual, paint: Paint::Data, width: 1.0 });
            y_range = robust_range(self.values_in_range(wave, &fit.residual, &[]), &[0.0]);
        }
        Panel { y_label: "Data − model".into(), y_range, layers, line_shift: 1.0 }
    }

    /// Panel of the sensitivity ∂label/∂flux; that of the shipped model is a thin line. Empty before the computation.
    pub fn saliency(&self) -> Panel<'a> {
        let wave = &self.view.model_wave_vac_aa;
        let mut layers = vec![Layer::Level(0.0)];
        let (mut y_label, mut y_range) = (String::new(), (-1.0, 1.0));
        if let Some(saliency) = self.saliency {
            let mut values = self.values_in_range(wave, &saliency.slope, &[]);
            if !saliency.before.is_empty() {
                values.extend(self.values_in_range(wave, &saliency.before, &[]));
                layers.push(Layer::Line { wave, value: &saliency.before, paint: Paint::Continuum, width: 1.0 });
            }
            layers.push(Layer::Line { wave, value: &saliency.slope, paint: Paint::Data, width: 1.25 });
            y_label.clone_from(&saliency.y_label);
            // Every peak counts, so the range is not robust.
            let (low, high) = values.iter().fold((0f32, 0f32), |(low, high), v| (low.min(*v), high.max(*v)));
            let margin = f64::from(high - low) * 0.06;
            if margin > 0.0 {
                y_range = (f64::from(low) - margin, f64::from(high) + margin);
            }
        }
        Panel { y_label, y_range, layers, line_shift: 1.0 }
    }

    /// All panels that have content.
    pub fn figure(&self) -> Figure<'a> {
        let mut panels = Vec::new();
        if !self.view.wave_vac_aa.is_empty() || self.view.model_flux.is_empty() {
            panels.push(self.raw());
        }
        if !self.view.model_flux.is_empty() {
            panels.push(self.model());
            panels.extend(self.saliency.map(|_| self.saliency()));
            panels.extend(self.fit.map(|_| self.residual()));
        }
        Figure { panels, wave_range_aa: self.wave_range_aa }
    }

    /// Width and height of the exported figure in CSS pixels, for a printed width in mm.
    pub fn size_px(&self, width_mm: f64) -> (f64, f64) {
        (width_mm * PX_PER_MM, PANEL_PX * self.figure().panels.len() as f64)
    }

    /// The figure as an SVG document on white, for a printed width in mm.
    pub fn to_svg(&self, width_mm: f64) -> String {
        let (_, height_px) = self.size_px(width_mm);
        self.figure().to_svg(width_mm, height_px / PX_PER_MM)
    }

    fn masked_ranges(&self) -> Vec<(f64, f64)> {
        let wave = &self.view.wave_vac_aa;
        let edge = |i: u32| wave.get((i as usize).min(wave.len().saturating_sub(1))).copied().unwrap_or(0.0);
        self.view.masked.iter().map(|&(from, to)| (f64::from(edge(from)), f64::from(edge(to)))).collect()
    }

    fn values_in_range(&self, wave: &[f32], value: &[f32], masked: &[(u32, u32)]) -> Vec<f32> {
        let (low, high) = self.wave_range_aa;
        let from = wave.partition_point(|w| f64::from(*w) < low);
        let to = wave.partition_point(|w| f64::from(*w) <= high).min(value.len());
        let mut spans = masked.iter().peekable();
        // A subset determines the range well enough; a scan of 200,000 pixels in every frame would be slow.
        let step = (to.saturating_sub(from) / MAX_RANGE_SAMPLES).max(1);
        (from..to)
            .step_by(step)
            .filter(|&i| {
                while spans.next_if(|s| (s.1 as usize) <= i).is_some() {}
                spans.peek().is_none_or(|s| (s.0 as usize) > i)
            })
            .map(|i| value[i])
            .filter(|v| v.is_finite())
            .collect()
    }
}

/// A range that contains all values except extreme outliers, and all of `required`, with a margin.
///
/// An extreme value (cosmic ray, dead pixel) lies outside the central 99.5 % of the values by more than the width of
/// their range. Deep lines and strong emission remain in view.
fn robust_range(mut values: Vec<f32>, required: &[f32]) -> (f64, f64) {
    let mut low = required.iter().copied().fold(f32::INFINITY, f32::min);
    let mut high = required.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if !values.is_empty() {
        let lowest = values.iter().copied().fold(f32::INFINITY, f32::min);
        let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let n_trimmed = values.len() / 400;
        let last = values.len() - 1;
        let quantile_low = *values.select_nth_unstable_by(n_trimmed, f32::total_cmp).1;
        let quantile_high = *values.select_nth_unstable_by(last - n_trimmed, f32::total_cmp).1;
        let width = quantile_high - quantile_low;
        low = low.min(if lowest >= quantile_low - width { lowest } else { quantile_low });
        high = high.max(if highest <= quantile_high + width { highest } else { quantile_high });
    }
    if !(low.is_finite() && high.is_finite()) {
        return (0.0, 1.0);
    }
    let (low, high) = (f64::from(low), f64::from(high));
    let margin = match (high - low) * 0.06 {
        margin if margin > 0.0 => margin,
        _ => low.abs().max(1e-30) * 0.1,
    };
    (low - margin, high + margin)
}

/// Index of the wavelength nearest to `at_aa`; `None` outside the axis or for an empty axis.
pub fn nearest_index(wave: &[f32], at_aa: f64) -> Option<usize> {
    let (first, last) = (f64::from(*wave.first()?), f64::from(*wave.last()?));
    let after = wave.partition_point(|w| f64::from(*w) < at_aa);
    let before = after.saturating_sub(1);
    let nearest = match wave.get(after) {
        Some(w) if (f64::from(*w) - at_aa).abs() < (f64::from(wave[before]) - at_aa).abs() => after,
        _ => before,
    };
    // Half a step beyond the ends still belongs to the end pixels.
    let step = (last - first) / wave.len() as f64;
    (at_aa >= first - step && at_aa <= last + step).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::diagnostics::{ModelFit, Saliency};

    fn view(n: usize) -> SpectrumView {
        let wave: Vec<f32> = (0..n).map(|i| 4000.0 + i as f32).collect();
        SpectrumView {
            flux: wave.iter().map(|w| 1e-17 * (2.0 + (w / 50.0).sin())).collect(),
            sigma: vec![1e-18; n],
            masked: vec![(10, 12), (12, 20)],
            continuum_wave_vac_aa: wave.clone(),
            continuum: vec![3e-17; n],
            model_wave_vac_aa: wave.clone(),
            model_flux: vec![1.0; n],
            wave_vac_aa: wave,
            processing_history: Vec::new(),
        }
    }

    fn svg(view: &SpectrumView) -> String {
        let wave_range_aa = SpectrumFigure::full_range(view);
        SpectrumFigure { view, rv_kms: 0.0, wave_range_aa, fit: None, saliency: None }.to_svg(180.0)
    }

    #[test]
    fn svg_has_both_panels_and_a_printed_width() {
        let svg = svg(&view(1500));
        assert!(svg.starts_with("<svg width=\"180mm\" height=\"112.0mm\""), "{}", &svg[..80]);
        assert!(svg.contains("Flux (unit of the file) / 10⁻¹⁷") && svg.contains("Flux / continuum"));
        assert!(svg.contains("G band") && svg.contains("Hγ"), "too near each other for one row of names");
        assert!(svg.contains("Hβ") && svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn model_spectrum_and_sensitivity_have_their_own_panels() {
        let view = view(1500);
        let fit = ModelFit { flux: vec![0.99; 1500], sigma: vec![0.01; 1500], ..ModelFit::default() };
        let fit = FitCurves::of(&view, &fit, 0.0);
        assert!(fit.residual.iter().all(|r| (r - 0.01).abs() < 1e-6));
        let mut slope = vec![0.0; 1500];
        slope[700] = -2.0;
        let saliency = SaliencyCurves::of(
            &view.model_wave_vac_aa,
            &view.model_flux,
            &Saliency {
                target: "teff".into(),
                gradient: slope,
                shipped_gradient: Some(("shipped".into(), vec![0.1; 1500])),
                ..Saliency::default()
            },
        );
        let wave_range_aa = SpectrumFigure::full_range(&view);
        let figure =
            SpectrumFigure { view: &view, rv_kms: 0.0, wave_range_aa, fit: Some(&fit), saliency: Some(&saliency) };
        let svg = figure.to_svg(180.0);
        assert!(svg.contains("Data − model") && svg.contains("ΔTeff (K)"));
        assert_eq!(figure.figure().panels.len(), 4);
        let paints: Vec<Paint> = figure
            .model()
            .layers
            .iter()
            .filter_map(|l| if let Layer::Line { paint, .. } = l { Some(*paint) } else { None })
            .collect();
        assert_eq!(paints, [Paint::Continuum, Paint::Model], "the data over the model spectrum");
        assert_eq!(SpectrumFigure { fit: None, saliency: None, ..figure }.figure().panels.len(), 2);
    }

    #[test]
    fn empty_spectrum_does_not_panic() {
        let empty = SpectrumView { masked: vec![(0, 5)], ..view(0) };
        assert!(svg(&empty).contains("Wavelength"));
        let nan = SpectrumView { flux: vec![f32::NAN; 50], sigma: Vec::new(), ..view(50) };
        assert!(svg(&nan).contains("Wavelength"));
    }

    #[test]
    fn nearest_index_finds_the_nearest_pixel() {
        assert_eq!(nearest_index(&[1.0, 2.0, 3.0], 2.2), Some(1));
        assert_eq!(nearest_index(&[1.0, 2.0, 3.0], 2.8), Some(2));
        assert_eq!(nearest_index(&[1.0, 2.0, 3.0], 9.0), None);
        assert_eq!(nearest_index(&[], 1.0), None);
    }

    #[test]
    fn a_cosmic_ray_does_not_set_the_range() {
        let mut values = vec![1.0f32; 4000];
        values[7] = 1e6;
        assert!(robust_range(values, &[]).1 < 2.0);

        let mut values: Vec<f32> = (0..4000).map(|i| 1.0 + 0.4 * (i as f32).sin()).collect();
        values[9] = 0.1;
        assert!(robust_range(values, &[]).0 < 0.1, "a deep line does");
    }
}
