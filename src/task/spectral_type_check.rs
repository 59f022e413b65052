//! Spectral-type check: features that contradict the predicted labels.
//!
//! Between 4000 and 5600 Å a hot star resembles a metal-poor star, because both have few lines. An M dwarf resembles a
//! metal-poor K dwarf, because `TiO` lowers the apparent continuum. Other features separate them: Ca II K, present in
//! every F, G and K star; He I, absent from all of them; `TiO` band heads. The features are measured on the observed
//! spectrum, corrected for the radial velocity.
//!
//! Windows and limits were chosen on MILES, LAMOST and SDSS template spectra. With `lrs-mlp 3`, of the 1,776 labelled
//! stars of 4200–7400 K in MILES and LAMOST DR10 with a predicted Teff within 400 K of the label, 4 have the flag
//! `out_of_training`. Of the stars above 12,000 K, 29 of 30 in MILES and 7 of 13 in LAMOST have a severe flag. The check
//! misses M subdwarfs and A supergiants.

use crate::preprocess::conditioning::ConditionedSpectrum;
use crate::preprocess::grid::C_KMS;
use crate::stats::mean_and_std;

/// Lowest S/N per model pixel for this check.
const MIN_SNR: f64 = 10.0;

/// Fraction of a window that must be measured.
const MIN_COVERAGE: f64 = 0.9;

/// Start and end, vacuum Å in the rest frame.
type Window = (f64, f64);

/// A value and its standard error, from the scatter of the pixels.
type Measured = (f64, f64);

/// Bands of an equivalent width: blue side band, line, red side band.
const CA_K: [Window; 3] = [(3916.0, 3926.0), (3929.8, 3939.8), (3944.0, 3954.0)];
const HE_4027: [Window; 3] = [(4008.0, 4020.0), (4022.3, 4032.3), (4034.0, 4044.0)];
const HE_4473: [Window; 3] = [(4453.0, 4465.0), (4467.7, 4477.7), (4486.0, 4498.0)];

/// Windows of numerator and denominator of a band's depth: `TiO` at 7126 Å (after Reid et al. 1995) and at 5448 Å.
const TIO_7126: [Window; 2] = [(7128.0, 7137.0), (7032.0, 7052.0)];
const TIO_5448: [Window; 2] = [(5452.0, 5477.0), (5422.0, 5447.0)];

/// Measured features; `None` where the spectrum does not cover the feature.
#[derive(Debug, Clone, Copy, PartialEq)]
struct SpectralFeatures {
    /// Equivalent widths, Å.
    ca_k: Option<Measured>,
    he_4027: Option<Measured>,
    he_4473: Option<Measured>,
    /// Ratios of flux.
    tio_7126: Option<Measured>,
    tio_5448: Option<Measured>,
}

/// The reason why the features contradict the labels; `None` where they agree or the S/N is too low.
pub(super) fn check(conditioned: &ConditionedSpectrum, rv_kms: f64, teff_k: f64, feh: f64) -> Option<String> {
    let has_enough_snr = conditioned.snr.is_some_and(|snr| snr.value >= MIN_SNR);
    has_enough_snr.then(|| SpectralFeatures::of(&Samples::of(conditioned, rv_kms)).inconsistency(teff_k, feh)).flatten()
}

impl SpectralFeatures {
    fn of(samples: &Samples) -> Self {
        Self {
            ca_k: samples.width(CA_K),
            he_4027: samples.width(HE_4027),
            he_4473: samples.width(HE_4473),
            tio_7126: samples.ratio(TIO_7126),
            tio_5448: samples.ratio(TIO_5448),
        }
    }

    fn inconsistency(&self, teff_k: f64, feh: f64) -> Option<String> {
        if teff_k > 3950.0 {
            let at_5448 = self.tio_5448;
            let has_tio = match (self.tio_7126, at_5448) {
                (Some((depth, error)), _) => {
                    depth + 2.0 * error < 0.80 && !at_5448.is_some_and(|(depth, _)| depth > 0.98)
                }
                // Cool metal-rich giants have TiO too.
                (None, Some((depth, error))) => feh < -0.5 && depth + error < 0.93,
                (None, None) => false,
            };
            if has_tio {
                return Some("the spectrum has TiO bands, as cooler stars do".into());
            }
        }
        if teff_k < 7600.0
            && feh < -1.0
            && let Some((width, error)) = self.ca_k
        {
            let implied = ca_k_width_aa(teff_k, feh);
            if width + 2.0 * error < (0.4 * implied).min(2.0) {
                return Some(format!(
                    "Ca II K has an equivalent width of {width:.1} ± {error:.1} Å; the predicted labels imply {implied:.1} Å: the star may be hotter"
                ));
            }
        }
        // Two lines of He I together, Å. In A stars lines of metals in the same windows have up to 0.4 Å; F, G and K stars
        // that are not metal-poor have more.
        let he_limit_aa = match teff_k {
            t if t >= 7600.0 => 0.5,
            _ if feh < -1.0 => 0.3,
            _ => f64::INFINITY,
        };
        if let (Some((a, ea)), Some((b, eb))) = (self.he_4027, self.he_4473)
            && a + b - 3.0 * ea.hypot(eb) > he_limit_aa
        {
            return Some("the spectrum has He I lines, as hotter stars do".into());
        }
        None
    }
}

/// Equivalent width of Ca II K in a metal-poor star of 5200–7400 K, Å. A fit to real stars, which scatter by 10 %
/// about it.
fn ca_k_width_aa(teff_k: f64, feh: f64) -> f64 {
    3.2 * 10f64.powf(-0.35 * (teff_k - 6000.0) / 1000.0 + 0.36 * (feh.min(-1.5) + 2.0))
}

/// Measured pixels, in the rest frame.
struct Samples<'a> {
    log10: &'a [f64],
    flux: &'a [f64],
    doppler: f64,
}

/// A pixel in a window: centre (Å), width inside the window (Å), flux.
type WindowPixel = (f64, f64, f64);

impl<'a> Samples<'a> {
    fn of(conditioned: &'a ConditionedSpectrum, rv_kms: f64) -> Self {
        let (log10, flux) = conditioned.samples();
        Self { log10, flux, doppler: 1.0 + rv_kms / C_KMS }
    }

    fn wave_aa(&self, i: usize) -> f64 {
        10f64.powf(self.log10[i]) / self.doppler
    }

    /// The pixels in a window; `None` where less than [`MIN_COVERAGE`] of it is measured.
    fn pixels_in(&self, (from, to): Window) -> Option<Vec<WindowPixel>> {
        let position = |wave_aa: f64| self.log10.partition_point(|x| *x < (wave_aa * self.doppler).log10());
        // Include an additional pixel at each end: it may overlap the window.
        let (first, last) = (position(from).max(2) - 1, (position(to) + 1).min(self.log10.len().saturating_sub(1)));
        let pixel = |i: usize| {
            let (left, centre, right) = (self.wave_aa(i - 1), self.wave_aa(i), self.wave_aa(i + 1));
            // A pixel is no wider than the distance to its nearest neighbour, also next to masked pixels.
            let max_half_width = 0.8 * (centre - left).min(right - centre);
            let (low, high) = (
                centre - max_half_width.min(0.5 * (centre - left)),
                centre + max_half_width.min(0.5 * (right - centre)),
            );
            (centre, (high.min(to) - low.max(from)).max(0.0), self.flux[i])
        };
        let pixels: Vec<WindowPixel> = (first..last).map(pixel).filter(|(_, width, _)| *width > 0.0).collect();
        let covered: f64 = pixels.iter().map(|(_, width, _)| width).sum();
        (covered >= MIN_COVERAGE * (to - from)).then_some(pixels)
    }

    /// Ratio of two windows' mean fluxes.
    fn ratio(&self, [above, below]: [Window; 2]) -> Option<Measured> {
        let mean = |window| {
            let pixels = self.pixels_in(window)?;
            let value = mean_of(&pixels, |(_, _, flux)| flux);
            let error = scatter(pixels.iter().map(|p| p.2)) / (pixels.len() as f64).sqrt();
            (value > 0.0).then_some((value, error))
        };
        let ((a, ea), (b, eb)) = (mean(above)?, mean(below)?);
        Some((a / b, a / b * (ea / a).hypot(eb / b)))
    }

    /// Equivalent width under the straight line through two side bands, Å.
    fn width(&self, [blue, line, red]: [Window; 3]) -> Option<Measured> {
        let (blue_pixels, line_pixels, red_pixels) =
            (self.pixels_in(blue)?, self.pixels_in(line)?, self.pixels_in(red)?);
        let mean_flux =
            |pixels: &[WindowPixel]| Some(mean_of(pixels, |(_, _, flux)| flux)).filter(|mean_flux| *mean_flux > 0.0);
        let (a, b) = (mean_flux(&blue_pixels)?, mean_flux(&red_pixels)?);
        let centre = |(from, to): Window| 0.5 * (from + to);
        let continuum = |wave: f64| a + (b - a) * (wave - centre(blue)) / (centre(red) - centre(blue));
        let depth = |(wave, _, flux): WindowPixel| 1.0 - flux / continuum(wave);
        let line_width = line.1 - line.0;
        let side_pixels = blue_pixels.iter().chain(&red_pixels);
        let n_sides = (blue_pixels.len() + red_pixels.len()) as f64;
        let error = scatter(side_pixels.map(|p| depth(*p)))
            * line_width
            * (1.0 / line_pixels.len() as f64 + 1.0 / n_sides).sqrt();
        Some((line_width * mean_of(&line_pixels, depth), error))
    }
}

/// Mean over a window, each pixel weighted by its width inside.
fn mean_of(pixels: &[WindowPixel], value: impl Fn(WindowPixel) -> f64) -> f64 {
    let total: f64 = pixels.iter().map(|p| p.1).sum();
    pixels.iter().map(|p| p.1 * value(*p)).sum::<f64>() / total
}

/// Standard deviation.
fn scatter(values: impl Iterator<Item = f64>) -> f64 {
    mean_and_std(&values.collect::<Vec<f64>>()).1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sloping continuum with a line and a step, at 100 km/s, on pixels of 69 km/s, some of them masked.
    #[test]
    fn widths_and_ratios_of_a_synthetic_spectrum() {
        let doppler = 1.0 + 100.0 / C_KMS;
        let rest_wave = |x: f64| 10f64.powf(x) / doppler;
        let grid = (0..2500).map(|i| 3.58 + 1e-4 * f64::from(i));
        let log10: Vec<f64> = grid.filter(|x| !(5430.0..5431.3).contains(&rest_wave(*x))).collect();
        let flux: Vec<f64> = log10
            .iter()
            .map(|x| {
                let wave = rest_wave(*x);
                let line = 0.6 * (-0.5 * ((wave - 3934.8) / 1.5).powi(2)).exp();
                let step = if wave > 5449.5 { 0.9 } else { 1.0 };
                (2.0 + wave / 4000.0) * (1.0 - line) * step
            })
            .collect();
        let samples = Samples { log10: &log10, flux: &flux, doppler };
        let (width, error) = samples.width(CA_K).expect("it is there");
        let expected_width = 0.6 * 1.5 * std::f64::consts::TAU.sqrt();
        assert!((width - expected_width).abs() < 0.03 && error < 0.01, "{width} ± {error}, {expected_width}");
        let (ratio, _) = samples.ratio(TIO_5448).expect("it is there");
        let expected_ratio = 0.9 * (2.0 + 5464.5 / 4000.0) / (2.0 + 5434.5 / 4000.0);
        assert!((ratio - expected_ratio).abs() < 1e-3, "{ratio} {expected_ratio}");
        assert_eq!(samples.ratio(TIO_7126), None, "the spectrum ends before");
        let unmasked: Vec<f64> = log10.iter().copied().filter(|x| !(3930.0..3932.0).contains(&rest_wave(*x))).collect();
        assert_eq!(
            Samples { log10: &unmasked, flux: &flux[..unmasked.len()], doppler }.width(CA_K),
            None,
            "a fifth is masked"
        );
    }

    /// Values of real stars, measured with `NumPy`: HD 149382 and HD 205021 (B), HD 105262 (B9), BD+09 2190 (metal-poor
    /// F), HD 95735 (M2), HD 201091 (K5).
    #[test]
    fn hot_and_cool_stars_are_flagged_and_metal_poor_ones_are_not() {
        let check_values = |ca_k, he_4027, he_4473, tio_7126, tio_5448, teff_k, feh| {
            let features = SpectralFeatures {
                ca_k: Some(ca_k),
                he_4027: Some(he_4027),
                he_4473: Some(he_4473),
                tio_7126: Some(tio_7126),
                tio_5448: Some(tio_5448),
            };
            features.inconsistency(teff_k, feh).unwrap_or_default()
        };
        let hot = "hotter";
        for (ca_k, he_4027, he_4473, tio_7126, tio_5448, teff_k, feh, expected) in [
            // The same B star where the network took it for an A star, and lines of metals in an A star.
            (
                (-0.1045, 0.0504),
                (0.9363, 0.0528),
                (1.0697, 0.0418),
                (0.8823, 0.0031),
                (0.9753, 0.002),
                9500.0,
                -0.5,
                hot,
            ),
            ((0.9, 0.05), (0.21, 0.01), (0.22, 0.01), (0.98, 0.003), (0.99, 0.002), 9000.0, -0.1, ""),
            (
                (-0.1045, 0.0504),
                (0.9363, 0.0528),
                (1.0697, 0.0418),
                (0.8823, 0.0031),
                (0.9753, 0.002),
                6414.0,
                -2.732,
                hot,
            ),
            (
                (0.0646, 0.0633),
                (0.908, 0.1002),
                (1.1122, 0.0265),
                (0.9675, 0.0017),
                (0.9779, 0.0014),
                6099.9,
                -2.964,
                hot,
            ),
            (
                (0.4285, 0.0144),
                (0.0671, 0.0173),
                (0.0861, 0.0109),
                (0.9564, 0.0035),
                (0.9802, 0.0011),
                6395.4,
                -2.838,
                hot,
            ),
            (
                (1.3193, 0.0311),
                (-0.0074, 0.0258),
                (0.0263, 0.014),
                (0.9878, 0.0031),
                (0.987, 0.0009),
                6237.4,
                -2.684,
                "",
            ),
            (
                (3.5302, 0.9157),
                (0.5184, 0.481),
                (-1.3583, 0.3798),
                (0.6032, 0.012),
                (0.8202, 0.0149),
                4352.3,
                -1.707,
                "TiO",
            ),
            (
                (4.0919, 0.8549),
                (-0.1331, 0.6814),
                (-1.9318, 0.4652),
                (0.9054, 0.0062),
                (1.0009, 0.0212),
                4260.9,
                -0.186,
                "",
            ),
        ] {
            let note = check_values(ca_k, he_4027, he_4473, tio_7126, tio_5448, teff_k, feh);
            assert!(note.contains(expected) && note.is_empty() == expected.is_empty(), "{teff_k}: {note:?}");
        }
    }
}
