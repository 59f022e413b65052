//! Stars of other kinds, which the networks take for those that they know.
//!
//! From 4000 to 5600 Å a hot star looks like a metal-poor one, for both have few lines, and an M dwarf like a metal-poor K
//! dwarf, for TiO lowers what is taken for its continuum. Beside and within that range lie features that tell them apart:
//! Ca II K, which every F, G and K star has; He I, which none has; the heads of TiO. All are measured on the spectrum as it
//! was observed, with the velocity taken out.
//!
//! Windows and limits were chosen on MILES, LAMOST and SDSS template spectra, so that no labelled star of 4200–7400 K whose
//! answer is right within 400 K is doubted (none of 614), and most others are (44 of the 45 stars above 9500 K in MILES have
//! a grave flag, 34 by this one). M subdwarfs and A supergiants are missed.

use crate::preprocess::grid::C_KMS;
use crate::preprocess::recipe::Opened;
use crate::task::metrics::mean_and_std;

/// Lowest S/N a pixel of the grid at which features are measured.
const LEAST_SNR: f64 = 10.0;

/// Part of a window that must have been measured.
const LEAST_COVERED: f64 = 0.9;

/// From and to, vacuum Å at rest.
type Window = (f64, f64);

/// A value and its standard error by the scatter of the pixels.
type Measured = (f64, f64);

/// Line and side bands of an equivalent width: blue, line, red.
const CA_K: [Window; 3] = [(3916.0, 3926.0), (3929.8, 3939.8), (3944.0, 3954.0)];
const HE_4027: [Window; 3] = [(4008.0, 4020.0), (4022.3, 4032.3), (4034.0, 4044.0)];
const HE_4473: [Window; 3] = [(4453.0, 4465.0), (4467.7, 4477.7), (4486.0, 4498.0)];

/// Numerator and denominator of a band's depth: TiO at 7126 Å (after Reid et al. 1995) and at 5448 Å.
const TIO_7126: [Window; 2] = [(7128.0, 7137.0), (7032.0, 7052.0)];
const TIO_5448: [Window; 2] = [(5452.0, 5477.0), (5422.0, 5447.0)];

/// What the features say; `None` where the spectrum does not have them.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Features {
    /// Equivalent widths, Å.
    ca_k: Option<Measured>,
    he_4027: Option<Measured>,
    he_4473: Option<Measured>,
    /// Ratios of flux.
    tio_7126: Option<Measured>,
    tio_5448: Option<Measured>,
}

/// Why a star cannot be what the answer says, in words; `None` where nothing speaks against it.
pub(super) fn contradiction(opened: &Opened, rv_kms: f64, teff_k: f64, feh: f64) -> Option<String> {
    let is_clear = opened.snr.is_some_and(|snr| snr.value >= LEAST_SNR);
    is_clear.then(|| Features::of(&Samples::of(opened, rv_kms)).against(teff_k, feh)).flatten()
}

impl Features {
    fn of(samples: &Samples) -> Self {
        Self {
            ca_k: samples.width(CA_K),
            he_4027: samples.width(HE_4027),
            he_4473: samples.width(HE_4473),
            tio_7126: samples.ratio(TIO_7126),
            tio_5448: samples.ratio(TIO_5448),
        }
    }

    fn against(&self, teff_k: f64, feh: f64) -> Option<String> {
        if teff_k > 3950.0 {
            let at_5448 = self.tio_5448;
            let has_tio = match (self.tio_7126, at_5448) {
                (Some((depth, error)), _) => {
                    depth + 2.0 * error < 0.80 && !at_5448.is_some_and(|(depth, _)| depth > 0.98)
                }
                // Cool giants that are rich in metals have some there too.
                (None, Some((depth, error))) => feh < -0.5 && depth + error < 0.93,
                (None, None) => false,
            };
            if has_tio {
                return Some("it has bands of TiO, as cooler stars do".into());
            }
        }
        if teff_k < 7600.0 && feh < -1.0 {
            if let Some((width, error)) = self.ca_k {
                let implied = ca_k_width_aa(teff_k, feh);
                if width + 2.0 * error < (0.4 * implied).min(2.0) {
                    return Some(format!(
                        "Ca II K has an equivalent width of {width:.1} ± {error:.1} Å where the answer implies {implied:.1} Å: it may be hotter"
                    ));
                }
            }
            if let (Some((a, ea)), Some((b, eb))) = (self.he_4027, self.he_4473)
                && a + b - 3.0 * ea.hypot(eb) > 0.3
            {
                return Some("it has lines of He I, as hotter stars do".into());
            }
        }
        None
    }
}

/// Equivalent width of Ca II K in a metal-poor star of 5200–7400 K, Å; fitted to real ones, which scatter by a tenth about
/// it.
fn ca_k_width_aa(teff_k: f64, feh: f64) -> f64 {
    3.2 * 10f64.powf(-0.35 * (teff_k - 6000.0) / 1000.0 + 0.36 * (feh.min(-1.5) + 2.0))
}

/// Measured pixels at rest.
struct Samples<'a> {
    log10: &'a [f64],
    flux: &'a [f64],
    doppler: f64,
}

/// A pixel in a window: centre, Å; the part of it inside, Å; flux.
type Part = (f64, f64, f64);

impl<'a> Samples<'a> {
    fn of(opened: &'a Opened, rv_kms: f64) -> Self {
        let (log10, flux) = opened.samples();
        Self { log10, flux, doppler: 1.0 + rv_kms / C_KMS }
    }

    fn wave_aa(&self, i: usize) -> f64 {
        10f64.powf(self.log10[i]) / self.doppler
    }

    /// The pixels in a window, if it was measured.
    fn parts(&self, (from, to): Window) -> Option<Vec<Part>> {
        let place = |wave_aa: f64| self.log10.partition_point(|x| *x < (wave_aa * self.doppler).log10());
        // One pixel more at each end: a part of it may be inside.
        let (first, last) = (place(from).max(2) - 1, (place(to) + 1).min(self.log10.len().saturating_sub(1)));
        let part = |i: usize| {
            let (left, here, right) = (self.wave_aa(i - 1), self.wave_aa(i), self.wave_aa(i + 1));
            // A pixel is no wider than its nearer neighbour is far, also beside masked ones.
            let near = 0.8 * (here - left).min(right - here);
            let (low, high) = (here - near.min(0.5 * (here - left)), here + near.min(0.5 * (right - here)));
            (here, (high.min(to) - low.max(from)).max(0.0), self.flux[i])
        };
        let parts: Vec<Part> = (first..last).map(part).filter(|(_, inside, _)| *inside > 0.0).collect();
        let covered: f64 = parts.iter().map(|(_, inside, _)| inside).sum();
        (covered >= LEAST_COVERED * (to - from)).then_some(parts)
    }

    /// Ratio of two windows' mean fluxes.
    fn ratio(&self, [above, below]: [Window; 2]) -> Option<Measured> {
        let mean = |window| {
            let parts = self.parts(window)?;
            let value = mean_of(&parts, |(_, _, flux)| flux);
            let error = scatter(parts.iter().map(|p| p.2)) / (parts.len() as f64).sqrt();
            (value > 0.0).then_some((value, error))
        };
        let ((a, ea), (b, eb)) = (mean(above)?, mean(below)?);
        Some((a / b, a / b * (ea / a).hypot(eb / b)))
    }

    /// Equivalent width under the straight line through two side bands, Å.
    fn width(&self, [blue, line, red]: [Window; 3]) -> Option<Measured> {
        let (blue_parts, line_parts, red_parts) = (self.parts(blue)?, self.parts(line)?, self.parts(red)?);
        let level = |parts: &[Part]| Some(mean_of(parts, |(_, _, flux)| flux)).filter(|level| *level > 0.0);
        let (a, b) = (level(&blue_parts)?, level(&red_parts)?);
        let middle = |(from, to): Window| 0.5 * (from + to);
        let continuum = |wave: f64| a + (b - a) * (wave - middle(blue)) / (middle(red) - middle(blue));
        let depth = |(wave, _, flux): Part| 1.0 - flux / continuum(wave);
        let length = line.1 - line.0;
        let sides = blue_parts.iter().chain(&red_parts);
        let n_sides = (blue_parts.len() + red_parts.len()) as f64;
        let error = scatter(sides.map(|p| depth(*p))) * length * (1.0 / line_parts.len() as f64 + 1.0 / n_sides).sqrt();
        Some((length * mean_of(&line_parts, depth), error))
    }
}

/// Mean over a window, each pixel by the part of it that is inside.
fn mean_of(parts: &[Part], value: impl Fn(Part) -> f64) -> f64 {
    let total: f64 = parts.iter().map(|p| p.1).sum();
    parts.iter().map(|p| p.1 * value(*p)).sum::<f64>() / total
}

/// Standard deviation.
fn scatter(values: impl Iterator<Item = f64>) -> f64 {
    mean_and_std(&values.collect::<Vec<f64>>()).1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sloping continuum with a line and a step, on pixels of 69 km/s, some of them masked, at 100 km/s.
    #[test]
    fn widths_and_ratios_of_what_was_drawn() {
        let doppler = 1.0 + 100.0 / C_KMS;
        let rest = |x: f64| 10f64.powf(x) / doppler;
        let all = (0..2500).map(|i| 3.58 + 1e-4 * f64::from(i));
        let log10: Vec<f64> = all.filter(|x| !(5430.0..5431.3).contains(&rest(*x))).collect();
        let flux: Vec<f64> = log10
            .iter()
            .map(|x| {
                let wave = rest(*x);
                let line = 0.6 * (-0.5 * ((wave - 3934.8) / 1.5).powi(2)).exp();
                let step = if wave > 5449.5 { 0.9 } else { 1.0 };
                (2.0 + wave / 4000.0) * (1.0 - line) * step
            })
            .collect();
        let samples = Samples { log10: &log10, flux: &flux, doppler };
        let (width, error) = samples.width(CA_K).expect("it is there");
        let drawn = 0.6 * 1.5 * std::f64::consts::TAU.sqrt();
        assert!((width - drawn).abs() < 0.03 && error < 0.01, "{width} ± {error}, {drawn}");
        let (ratio, _) = samples.ratio(TIO_5448).expect("it is there");
        let wanted = 0.9 * (2.0 + 5464.5 / 4000.0) / (2.0 + 5434.5 / 4000.0);
        assert!((ratio - wanted).abs() < 1e-3, "{ratio} {wanted}");
        assert_eq!(samples.ratio(TIO_7126), None, "the spectrum ends before");
        let few: Vec<f64> = log10.iter().copied().filter(|x| !(3930.0..3932.0).contains(&rest(*x))).collect();
        assert_eq!(Samples { log10: &few, flux: &flux[..few.len()], doppler }.width(CA_K), None, "a fifth is masked");
    }

    /// Values of real stars, measured with NumPy: HD 149382 and HD 205021 (B), HD 105262 (B9), BD+09 2190 (metal-poor F),
    /// HD 95735 (M2), HD 201091 (K5).
    #[test]
    fn hot_and_cool_stars_are_told_and_metal_poor_ones_are_left() {
        let told = |k, he_4027, he_4473, tio_7126, tio_5448, teff_k, feh| {
            let features = Features {
                ca_k: Some(k),
                he_4027: Some(he_4027),
                he_4473: Some(he_4473),
                tio_7126: Some(tio_7126),
                tio_5448: Some(tio_5448),
            };
            features.against(teff_k, feh).unwrap_or_default()
        };
        let hot = "hotter";
        for (k, a, b, t, u, teff_k, feh, says) in [
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
            let said = told(k, a, b, t, u, teff_k, feh);
            assert!(said.contains(says) && said.is_empty() == says.is_empty(), "{teff_k}: {said:?}");
        }
    }
}
