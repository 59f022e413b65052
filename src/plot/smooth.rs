//! Smoothing of curves for display only; models receive the unsmoothed flux.

use crate::result::SpectrumView;
use crate::spectrum::FWHM_OVER_SIGMA;

/// The curves with data smoothed by a Gaussian of this FWHM, pixels.
///
/// Masked and missing pixels do not affect other pixels and stay unchanged. The errors apply to single pixels, so they
/// are omitted.
pub fn smooth(view: &SpectrumView, fwhm_pixels: f64) -> SpectrumView {
    let mut is_masked = vec![false; view.flux.len()];
    for &(from, to) in &view.masked {
        let to = (to as usize).min(is_masked.len());
        is_masked[(from as usize).min(to)..to].fill(true);
    }
    SpectrumView {
        flux: gaussian(&view.flux, |i| is_masked[i], fwhm_pixels),
        model_flux: smooth_values(&view.model_flux, fwhm_pixels),
        sigma: Vec::new(),
        ..view.clone()
    }
}

/// Values smoothed by a Gaussian of this FWHM, pixels; missing values remain missing.
pub fn smooth_values(values: &[f32], fwhm_pixels: f64) -> Vec<f32> {
    gaussian(values, |_| false, fwhm_pixels)
}

fn gaussian(values: &[f32], is_masked: impl Fn(usize) -> bool, fwhm_pixels: f64) -> Vec<f32> {
    let sigma = fwhm_pixels / FWHM_OVER_SIGMA;
    let taps: Vec<f64> = (0..=(3.0 * sigma) as usize).map(|k| (-0.5 * (k as f64 / sigma).powi(2)).exp()).collect();
    let is_valid = |i: usize| values[i].is_finite() && !is_masked(i);
    let mean = |i: usize| {
        let window = i.saturating_sub(taps.len() - 1)..(i + taps.len()).min(values.len());
        let (sum, total) = window.filter(|j| is_valid(*j)).fold((0.0, 0.0), |(sum, total), j| {
            let tap = taps[i.abs_diff(j)];
            (sum + tap * f64::from(values[j]), total + tap)
        });
        (sum / total) as f32
    };
    (0..values.len()).map(|i| if is_valid(i) { mean(i) } else { values[i] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_spreads_spikes_keeps_the_level_and_ignores_bad_pixels() {
        let mut flux = vec![2.0f32; 60];
        flux[20] = 12.0;
        flux[40] = 1e6;
        flux[50] = f32::NAN;
        let view = SpectrumView { flux, masked: vec![(40, 41), (90, 99)], ..SpectrumView::default() };
        let smooth_flux = smooth(&view, 5.0).flux;
        let sigma = 5.0 / FWHM_OVER_SIGMA;
        let taps: f64 = (-6..=6).map(|k| (-0.5 * (f64::from(k) / sigma).powi(2)).exp()).sum();
        assert!((f64::from(smooth_flux[20]) - 2.0 - 10.0 / taps).abs() < 1e-4, "{}", smooth_flux[20]);
        assert!(
            (smooth_flux[41] - 2.0).abs() < 1e-6
                && smooth_flux[40] == 1e6
                && smooth_flux[50].is_nan()
                && (smooth_flux[51] - 2.0).abs() < 1e-6
        );
        let area: f64 = smooth_flux[10..31].iter().map(|v| f64::from(*v) - 2.0).sum();
        assert!((area - 10.0).abs() < 1e-3, "nothing is lost: {area}");
    }
}
