//! Correction of synthetic spectra by real stars.
//!
//! For each real star the emulator computes the spectrum at its labels, at the resolution of the library. The
//! logarithm of real over synthetic flux, after division of both by their continua, is fitted at every pixel by ridge
//! regression on the 26 terms of the interpolator of Sharma, Prugniel & Singh (2016): polynomials of Teff, log g and
//! [Fe/H]. So the correction has no [α/Fe], [C/Fe] or [N/Fe] of its own: the sensitivities to them stay the grid's.

use rayon::prelude::*;

use super::dataset::LibraryEntry;
use super::simulate::{IntrinsicSpectrum, broadened};
use crate::linalg::{SymmetricMatrix, dot};
use crate::model::emulator::{EMULATOR_RANGES, EMULATOR_RESOLVING_POWER, Emulator, with_default_labels};
use crate::preprocess::conditioning::normalise;
use crate::preprocess::grid::{FIT_PIXELS, MARGIN_BLUE, MODEL_PIXELS, fit_log10};
use crate::preprocess::resample::{divide_by_running_mean, linear, running_mean};
use crate::spectrum::FWHM_OVER_SIGMA;
use crate::stats::median;

/// Number of terms.
const TERMS: usize = 26;

/// Ridge penalty on the standardised terms, in stars.
const RIDGE: f64 = 3.0;

/// A star whose residual exceeds this many medians is left out: its label or its spectrum is wrong.
const MAX_RESIDUAL: f64 = 3.0;

/// Differences of ln Teff, log g and [Fe/H] that count as one unit of distance.
const UNITS: [f64; 3] = [0.08, 0.7, 0.8];

/// The correction fades beyond this distance from the nearest stars; the fifth nearest counts.
const FULL_WITHIN: f64 = 1.0;
const NEAREST: usize = 5;

/// σ of the running mean that is removed from the correction, pixels. The continuum has no meaning in it.
const SMOOTH_PIXELS: f64 = 60.0;

/// Correction of synthetic spectra at any labels.
#[derive(Debug, Clone)]
pub struct GridCorrection {
    /// Mean and scale of each term but the first.
    scaling: [(f64, f64); TERMS],
    /// Coefficients `[TERMS][FIT_PIXELS]` of ln(real / synthetic).
    coefficients: Vec<Vec<f64>>,
    /// Labels of the stars of the fit: ln Teff, log g, [Fe/H].
    stars: Vec<[f64; 3]>,
    /// Rms of ln(real / synthetic) before and after the correction, on the stars of the fit.
    pub rms: (f64, f64),
}

/// The 26 terms at Teff in K, log g and [Fe/H].
fn terms(labels: [f64; 3]) -> [f64; TERMS] {
    let t = (labels[0].log10() - 3.7617) / 0.2;
    let g = labels[1] - 4.44;
    let z = labels[2];
    let u = t * t - 1.0;
    [
        1.0,
        t,
        z,
        g,
        t * t,
        t * u,
        u * u,
        t * z,
        t * g,
        u * g,
        u * z,
        g * g,
        z * z,
        t * u * u,
        t * g * g,
        g * g * g,
        z * z * z,
        t * z * z,
        g * z,
        g * g * z,
        g * z * z,
        t * u * g,
        u * u * g,
        u * t * z,
        u * g * g,
        u * g * g * g,
    ]
}

impl GridCorrection {
    /// Fits the correction to the chosen stars of a library that lie inside the grid. `None` with fewer stars than
    /// terms.
    pub fn fit(stars: &[LibraryEntry], chosen: &[usize], emulator: &Emulator) -> Option<Self> {
        let ranges = &EMULATOR_RANGES;
        let is_inside =
            |star: &LibraryEntry| (0..3).all(|j| (ranges[j].0 - 0.1..=ranges[j].1 + 0.1).contains(&star.labels[j]));
        let chosen: Vec<&LibraryEntry> = chosen.iter().map(|&i| &stars[i]).filter(|s| is_inside(s)).collect();
        let ratios: Vec<([f64; 3], Vec<f64>)> = chosen
            .par_iter()
            .filter_map(|star| Some(([star.labels[0], star.labels[1], star.labels[2]], ln_ratio(star, emulator)?)))
            .collect();
        if ratios.len() <= TERMS {
            return None;
        }
        let mut correction = Self::of(&ratios)?;
        let residuals: Vec<f64> = ratios
            .iter()
            .map(|(labels, ratio)| rms(ratio.iter().zip(correction.curve(*labels)).map(|(a, b)| a - b)))
            .collect();
        let limit = MAX_RESIDUAL * median(&mut residuals.clone())?;
        let kept: Vec<([f64; 3], Vec<f64>)> =
            ratios.into_iter().zip(&residuals).filter(|(_, r)| **r <= limit).map(|(ratio, _)| ratio).collect();
        correction = Self::of(&kept)?;
        let after = kept.iter().flat_map(|(labels, ratio)| {
            ratio.iter().zip(correction.curve(*labels)).map(|(a, b)| a - b).collect::<Vec<_>>()
        });
        correction.rms = (rms(kept.iter().flat_map(|(_, ratio)| ratio.iter().copied())), rms(after));
        Some(correction)
    }

    fn of(ratios: &[([f64; 3], Vec<f64>)]) -> Option<Self> {
        let n = ratios.len() as f64;
        let mut rows: Vec<[f64; TERMS]> = ratios.iter().map(|(labels, _)| terms(*labels)).collect();
        let scaling: [(f64, f64); TERMS] = std::array::from_fn(|k| {
            if k == 0 {
                return (0.0, 1.0);
            }
            let mean = rows.iter().map(|r| r[k]).sum::<f64>() / n;
            let square = rows.iter().map(|r| (r[k] - mean).powi(2)).sum::<f64>() / n;
            (mean, square.sqrt().max(1e-9))
        });
        rows.iter_mut().for_each(|row| scale(row, &scaling));
        let penalty = |i: usize, j: usize| if i == j && i > 0 { RIDGE } else { 0.0 };
        let product = |i: usize, j: usize| rows.iter().map(|r| r[i] * r[j]).sum::<f64>() + penalty(i, j);
        let factor = SymmetricMatrix::of(TERMS, product).factor()?;
        let mut coefficients = vec![vec![0.0; FIT_PIXELS]; TERMS];
        for pixel in 0..FIT_PIXELS {
            let right: Vec<f64> = (0..TERMS)
                .map(|k| rows.iter().zip(ratios).map(|(row, (_, ratio))| row[k] * ratio[pixel]).sum())
                .collect();
            for (k, value) in factor.solve(&right).into_iter().enumerate() {
                coefficients[k][pixel] = value;
            }
        }
        let stars = ratios.iter().map(|(labels, _)| [labels[0].ln(), labels[1], labels[2]]).collect();
        Some(Self { scaling, coefficients, stars, rms: (f64::NAN, f64::NAN) })
    }

    /// ln(real / synthetic) on the fitting grid at Teff in K, log g and [Fe/H], `[1626]`.
    pub fn curve(&self, labels: [f64; 3]) -> Vec<f64> {
        let mut row = terms(labels);
        scale(&mut row, &self.scaling);
        let mut curve = vec![0.0; FIT_PIXELS];
        for (weight, coefficients) in row.iter().zip(&self.coefficients) {
            curve.iter_mut().zip(coefficients).for_each(|(c, v)| *c += weight * v);
        }
        let fade = self.fade(labels);
        curve.iter_mut().for_each(|c| *c *= fade);
        curve
    }

    /// 1 where there are real stars, less where they are far.
    fn fade(&self, labels: [f64; 3]) -> f64 {
        let at = [labels[0].ln(), labels[1], labels[2]];
        let mut squares: Vec<f64> =
            self.stars.iter().map(|star| (0..3).map(|j| ((star[j] - at[j]) / UNITS[j]).powi(2)).sum()).collect();
        let nearest = NEAREST.min(squares.len().saturating_sub(1));
        let square = *squares.select_nth_unstable_by(nearest, f64::total_cmp).1;
        (-0.5 * (square - FULL_WITHIN * FULL_WITHIN).max(0.0)).exp()
    }

    /// Multiplies a flux on `log10` (of vacuum wavelengths, at rest) by the correction at Teff, log g and [Fe/H].
    pub fn apply(&self, labels: [f64; 3], log10: &[f64], flux: &mut [f64]) {
        let curve = linear(&fit_log10(), &self.curve(labels), log10);
        flux.iter_mut().zip(curve).for_each(|(f, c)| *f *= c.exp());
    }
}

/// Stars of a survey whose spectra give its signature: S/N, Teff in K and [Fe/H].
const SIGNATURE_MIN_SNR: f64 = 60.0;
const SIGNATURE_TEFF_K: std::ops::RangeInclusive<f64> = 4500.0..=7000.0;
const SIGNATURE_MIN_FEH: f64 = -1.0;

/// σ of the running mean of the signature, pixels: errors of a flux calibration are smooth.
const SIGNATURE_PIXELS: f64 = 10.0;

/// Steps of Teff in K, log g, [Fe/H] and line spread in Å for derivatives.
const STEPS: [f64; 4] = [50.0, 0.1, 0.05, 0.2];

/// What the flux calibration of a survey leaves in its spectra, relative to the library of the correction: ln of the
/// ratio on the fitting grid, `[1626]`.
#[derive(Debug, Clone, PartialEq)]
pub struct FluxSignature(pub Vec<f64>);

impl FluxSignature {
    /// The median over the survey's stars of ln(real / corrected synthetic), after the part of it that a change of
    /// Teff, log g, [Fe/H] or line spread explains is removed from each star. So it depends on the labels of the stars
    /// only to second order. `None` without enough stars.
    pub fn fit(
        stars: &[LibraryEntry],
        chosen: &[usize],
        correction: &GridCorrection,
        emulator: &Emulator,
    ) -> Option<Self> {
        let is_good = |star: &&LibraryEntry| {
            let [teff_k, logg, feh, _] = star.labels;
            star.snr >= SIGNATURE_MIN_SNR
                && SIGNATURE_TEFF_K.contains(&teff_k)
                && feh >= SIGNATURE_MIN_FEH
                && logg.is_finite()
        };
        let chosen: Vec<&LibraryEntry> = chosen.iter().map(|&i| &stars[i]).filter(is_good).collect();
        let residuals: Vec<Vec<f64>> =
            chosen.par_iter().filter_map(|star| unexplained(star, correction, emulator)).collect();
        if residuals.len() < 4 * TERMS {
            return None;
        }
        let at = |pixel: usize| median(&mut residuals.iter().map(|r| r[pixel]).collect());
        let signature: Vec<f64> = (0..FIT_PIXELS).map(at).collect::<Option<_>>()?;
        Some(Self(running_mean(&signature, SIGNATURE_PIXELS)))
    }

    /// Its rms.
    pub fn rms(&self) -> f64 {
        rms(self.0.iter().copied())
    }

    /// Multiplies a flux on `log10` (of vacuum wavelengths, at rest) by a part of the signature.
    pub fn apply(&self, share: f64, log10: &[f64], flux: &mut [f64]) {
        let curve = linear(&fit_log10(), &self.0, log10);
        flux.iter_mut().zip(curve).for_each(|(f, c)| *f *= (share * c).exp());
    }
}

/// ln(real / corrected synthetic) without what a change of labels or line spread explains.
fn unexplained(star: &LibraryEntry, correction: &GridCorrection, emulator: &Emulator) -> Option<Vec<f64>> {
    let real = over_continuum(&linear(&star.log10, &star.flux, &fit_log10()))?;
    let [teff_k, logg, feh, _] = star.labels;
    let start = [teff_k, logg, feh, star.fwhm_aa];
    let model = |at: [f64; 4]| -> Option<Vec<f64>> {
        let labels = [at[0], at[1], at[2]];
        let synthetic = synthetic(labels, typical_alpha_fe(feh), at[3], Some(correction), emulator)?;
        Some(ln_without_smooth_part(&real, &synthetic))
    };
    let mut residual = model(start)?;
    let mut derivatives = Vec::new();
    for (j, step) in STEPS.into_iter().enumerate() {
        let mut moved = start;
        moved[j] += step;
        derivatives.push(model(moved)?.iter().zip(&residual).map(|(a, b)| a - b).collect::<Vec<f64>>());
    }
    let inner = MARGIN_BLUE..MARGIN_BLUE + MODEL_PIXELS;
    let product = |a: &[f64], b: &[f64]| dot(&a[inner.clone()], &b[inner.clone()]);
    let right: Vec<f64> = derivatives.iter().map(|d| product(d, &residual)).collect();
    let matrix = SymmetricMatrix::of(STEPS.len(), |i, j| product(&derivatives[i], &derivatives[j]));
    for (weight, derivative) in matrix.factor()?.solve(&right).into_iter().zip(&derivatives) {
        residual.iter_mut().zip(derivative).for_each(|(r, d)| *r -= weight * d);
    }
    Some(residual)
}

fn scale(row: &mut [f64; TERMS], scaling: &[(f64, f64); TERMS]) {
    row.iter_mut().zip(scaling).for_each(|(v, (mean, scale))| *v = (*v - mean) / scale);
}

fn rms(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut n) = (0.0, 0.0_f64);
    values.for_each(|v| {
        sum += v * v;
        n += 1.0;
    });
    (sum / n.max(1.0)).sqrt()
}

/// ln(real / synthetic) of a star on the fitting grid, without its smooth part.
fn ln_ratio(star: &LibraryEntry, emulator: &Emulator) -> Option<Vec<f64>> {
    let [teff_k, logg, feh, alpha_fe] = star.labels;
    let alpha_fe = if alpha_fe.is_finite() { alpha_fe } else { typical_alpha_fe(feh) };
    let synthetic = synthetic([teff_k, logg, feh], alpha_fe, star.fwhm_aa, None, emulator)?;
    let real = over_continuum(&linear(&star.log10, &star.flux, &fit_log10()))?;
    Some(ln_without_smooth_part(&real, &synthetic))
}

/// ln(real / synthetic) without its smooth part, where the continuum fits of the two differ.
fn ln_without_smooth_part(real: &[f64], synthetic: &[f64]) -> Vec<f64> {
    let ratio: Vec<f64> = real.iter().zip(synthetic).map(|(r, s)| r.max(0.02) / s.max(0.02)).collect();
    divide_by_running_mean(&ratio, SMOOTH_PIXELS).into_iter().map(f64::ln).collect()
}

/// Flux over continuum of a synthetic star on the fitting grid, with a line spread in Å.
fn synthetic(
    labels: [f64; 3],
    alpha_fe: f64,
    fwhm_aa: f64,
    correction: Option<&GridCorrection>,
    emulator: &Emulator,
) -> Option<Vec<f64>> {
    let (all_labels, _) = with_default_labels(labels[0], labels[1], labels[2], alpha_fe);
    let log10: Vec<f64> = emulator.wave_vac_aa().iter().map(|w| w.log10()).collect();
    let mut flux = emulator.flux(&all_labels);
    if let Some(correction) = correction {
        correction.apply(labels, &log10, &mut flux);
    }
    let sigma_dex = 1.0 / EMULATOR_RESOLVING_POWER / FWHM_OVER_SIGMA / std::f64::consts::LN_10;
    let star = IntrinsicSpectrum { log10: &log10, flux: &flux, sigma_dex: Box::new(move |_| sigma_dex) };
    over_continuum(&broadened(&star, 0.0, 0.0, |_| fwhm_aa, &fit_log10()))
}

/// [α/Fe] of a typical star of this [Fe/H], for stars without a measurement: 0 at the Sun, 0.35 below −1.
fn typical_alpha_fe(feh: f64) -> f64 {
    (-0.35 * feh).clamp(0.0, 0.35)
}

fn over_continuum(flux: &[f64]) -> Option<Vec<f64>> {
    let normalised = normalise(flux, 0..FIT_PIXELS)?;
    Some(flux.iter().zip(&normalised.continuum).map(|(f, c)| f / c).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::store::{Folder, Store};
    use crate::train::emulator::parse;
    use pollster::block_on;

    fn emulator() -> Emulator {
        let store = Store::new(Folder::new(concat!(env!("CARGO_MANIFEST_DIR"), "/models")));
        let manifest = block_on(store.manifest()).expect("the shipped manifest");
        let entry = manifest.get("grid-emulator").expect("the shipped emulator");
        parse(&block_on(store.weights(entry, |_, _| {})).expect("its weights")).expect("an emulator")
    }

    /// ln(real / synthetic) of the made-up stars: stronger for cool stars.
    fn distortion(teff_k: f64, pixel: usize) -> f64 {
        0.03 * (5500.0 / teff_k) * (pixel as f64 / 9.0).sin()
    }

    /// A star of the library with these labels, whose spectrum differs from the emulator's by `ln_ratio`.
    fn star(emulator: &Emulator, labels: [f64; 3], fwhm_aa: f64, ln_ratio: impl Fn(usize) -> f64) -> LibraryEntry {
        let (all, _) = with_default_labels(labels[0], labels[1], labels[2], typical_alpha_fe(labels[2]));
        let log10: Vec<f64> = emulator.wave_vac_aa().iter().map(|w| w.log10()).collect();
        let flux = emulator.flux(&all);
        let sigma_dex = 1.0 / EMULATOR_RESOLVING_POWER / FWHM_OVER_SIGMA / std::f64::consts::LN_10;
        let star = IntrinsicSpectrum { log10: &log10, flux: &flux, sigma_dex: Box::new(move |_| sigma_dex) };
        let pixels = fit_log10();
        let mut flux = broadened(&star, 0.0, 0.0, |_| fwhm_aa, &pixels);
        flux.iter_mut().enumerate().for_each(|(i, f)| *f *= ln_ratio(i).exp());
        LibraryEntry {
            id: String::new(),
            group: String::new(),
            log10: pixels,
            flux,
            fwhm_aa,
            snr: 200.0,
            labels: [labels[0], labels[1], labels[2], f64::NAN],
            label_errors: [0.0; 4],
        }
    }

    fn labels(i: usize) -> [f64; 3] {
        let at = |step: usize| (i * step % 101) as f64 / 101.0;
        [4600.0 + 2000.0 * at(37), 3.0 + 1.6 * at(53), -1.0 + 1.3 * at(71)]
    }

    fn deviation(found: &[f64], expected: impl Fn(usize) -> f64) -> f64 {
        let inner = MARGIN_BLUE + 60..MARGIN_BLUE + MODEL_PIXELS - 60;
        rms(inner.map(|i| found[i] - expected(i)))
    }

    #[test]
    fn a_known_difference_from_the_grid_is_found() {
        let emulator = emulator();
        let stars: Vec<LibraryEntry> =
            (0..120).map(|i| star(&emulator, labels(i), 2.5, |pixel| distortion(labels(i)[0], pixel))).collect();
        let chosen: Vec<usize> = (0..stars.len()).collect();
        let correction = GridCorrection::fit(&stars, &chosen, &emulator).expect("enough stars");
        let at = [5600.0, 3.9, -0.3];
        let (found, size) = (correction.curve(at), deviation(&[0.0; FIT_PIXELS], |i| distortion(at[0], i)));
        let error = deviation(&found, |i| distortion(at[0], i));
        assert!(error < 0.1 * size, "{error} of {size}");
        assert!(correction.rms.1 < 0.1 * correction.rms.0, "{:?}", correction.rms);
        // Far from every star there is no correction.
        assert!(rms(correction.curve([4000.0, 0.0, -3.4]).into_iter()) < 1e-3);
        assert!(GridCorrection::fit(&stars, &chosen[..TERMS], &emulator).is_none());
    }

    #[test]
    fn a_signature_is_found_with_wrong_labels() {
        let emulator = emulator();
        let library: Vec<LibraryEntry> = (0..60).map(|i| star(&emulator, labels(i), 2.5, |_| 0.0)).collect();
        let chosen: Vec<usize> = (0..120).collect();
        let correction = GridCorrection::fit(&library, &chosen[..60], &emulator).expect("enough stars");
        let signature = |pixel: usize| 0.01 * (pixel as f64 / 30.0).sin();
        let survey: Vec<LibraryEntry> = (0..120)
            .map(|i| {
                let mut star = star(&emulator, labels(i), 3.0, signature);
                // All labels are too high, and the line spread is not known exactly.
                star.labels = [star.labels[0] + 60.0, star.labels[1] + 0.1, star.labels[2] + 0.05, f64::NAN];
                star.fwhm_aa = 3.2;
                star
            })
            .collect();
        let found = FluxSignature::fit(&survey, &chosen, &correction, &emulator).expect("enough stars");
        let (error, size) = (deviation(&found.0, signature), deviation(&[0.0; FIT_PIXELS], signature));
        assert!(error < 0.35 * size, "{error} of {size}");
        assert!(FluxSignature::fit(&survey, &chosen[..50], &correction, &emulator).is_none());
    }
}
