//! Empirical emulator of Gaia XP spectra: from labels and reddening to the spectrum, fitted to real stars.
//!
//! The natural logarithm of each sample over the mean flux is a polynomial of degree 4 in 5040 K / Teff, log g, [Fe/H]
//! and [α/M], minus the extinction. A star's colour excess E(B−V) and the polynomials are fitted in turn. The fit starts
//! from the extinction estimates that came with the labels; they fix its zero point, because a colour change that all
//! stars of the same labels share could be either.

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;

use super::super::extinction::{R_V, law};
use super::stars::XpStars;
use crate::linalg::{SymmetricMatrix, dot_unrolled};
use crate::model::xp_regressor::XP_LABELS;
use crate::preprocess::xp::{XP_PIXELS, grid_nm};
use crate::stats::median;

/// Degree of the polynomials.
const DEGREE: usize = 4;

/// Centre and scale of 5040 K / Teff, log g, [Fe/H] and [α/M] in the polynomials.
const SCALING: [(f64, f64); XP_LABELS] = [(1.05, 0.15), (2.8, 1.3), (-0.4, 0.5), (0.1, 0.12)];

/// Lowest and highest Teff of the fitted stars, K: cooler stars are too different, hotter ones have no [Fe/H].
const TEFF_RANGE_K: [f32; 2] = [3500.0, 7700.0];

/// Lowest median S/N per sample of the fitted stars.
const MIN_SNR: f32 = 20.0;

/// Lowest flux of a sample, relative to the mean flux; the logarithm of noise is meaningless.
const MIN_FLUX: f64 = 0.01;

/// Relative error of the model, added to that of each sample.
const MODEL_ERROR: f64 = 0.01;

/// Samples with correlated model errors that count as one, in the fit of a star's reddening.
const CORRELATED_SAMPLES: f64 = 50.0;

/// Rounds of the fit: polynomials, then reddening.
const ROUNDS: usize = 4;

/// Strength of the ridge, as a fraction of the mean diagonal of the normal matrix.
const RIDGE: f64 = 1e-4;

/// Error of a colour excess from the extinction estimates, and of the mean that replaces a missing one; mag.
const PRIOR_EBV_MAG: [f64; 2] = [0.15, 1.0];

/// Largest credible colour excess, mag.
const MAX_EBV_MAG: f64 = 5.0;

/// Wavelength of the K band, nm.
const K_BAND_NM: f64 = 2159.0;

/// The fitted emulator.
#[derive(Debug, Clone)]
pub struct XpEmulator {
    /// Coefficients of the samples, `[343][terms]`.
    coefficients: Vec<Vec<f64>>,
    /// Change of ln F for E(B−V) = 1 mag, `[343]`.
    extinction: Vec<f64>,
}

/// Products of up to [`DEGREE`] scaled labels, the constant first.
fn terms(labels: &[f64; XP_LABELS]) -> Vec<f64> {
    let values = [5040.0 / labels[0], labels[1], labels[2], labels[3]];
    let x: [f64; XP_LABELS] = std::array::from_fn(|j| (values[j] - SCALING[j].0) / SCALING[j].1);
    // Products of one degree, each with the index of its last factor; the factors are in order.
    let mut last: Vec<(usize, f64)> = vec![(0, 1.0)];
    let mut all = vec![1.0];
    for _ in 0..DEGREE {
        last = last.iter().flat_map(|&(from, product)| (from..XP_LABELS).map(move |j| (j, product * x[j]))).collect();
        all.extend(last.iter().map(|(_, product)| product));
    }
    all
}

/// A star of the fit.
struct Star {
    /// ln(F / mean F), `[343]`.
    ln_flux: Vec<f64>,
    /// 1 / variance of it, `[343]`.
    weight: Vec<f64>,
    terms: Vec<f64>,
    /// Expected E(B−V) and its error, mag.
    prior: (f64, f64),
    ebv_mag: f64,
    /// Offset of ln F: the mean flux has an error too.
    level: f64,
}

impl Star {
    fn of(stars: &XpStars, i: usize) -> Option<Self> {
        let is_usable = stars.labels[i].iter().all(|v| v.is_finite()) && stars.snr[i] >= MIN_SNR;
        if !is_usable || !(TEFF_RANGE_K[0]..=TEFF_RANGE_K[1]).contains(&stars.labels[i][0]) {
            return None;
        }
        let flux = stars.flux(i);
        let mean = f64::from(flux.iter().sum::<f32>()) / XP_PIXELS as f64;
        let relative: Vec<f64> = flux.iter().map(|f| (f64::from(*f) / mean).max(MIN_FLUX)).collect();
        let error = |(s, f): (&f32, &f64)| f64::from(*s) / mean / f;
        let weight = stars.sigma(i).iter().zip(&relative).map(error);
        let ebv_mag = f64::from(stars.a_k_mag[i]) / (R_V * law(K_BAND_NM, R_V));
        let prior = match (-PRIOR_EBV_MAG[0]..MAX_EBV_MAG).contains(&ebv_mag) {
            true => (ebv_mag, PRIOR_EBV_MAG[0]),
            false => (f64::NAN, PRIOR_EBV_MAG[1]),
        };
        Some(Self {
            weight: weight.map(|e| 1.0 / (e * e + MODEL_ERROR * MODEL_ERROR)).collect(),
            ln_flux: relative.into_iter().map(f64::ln).collect(),
            terms: terms(&stars.labels[i].map(f64::from)),
            prior,
            ebv_mag: prior.0,
            level: 0.0,
        })
    }

    /// Fits reddening and level, for given polynomials.
    fn fit_reddening(&mut self, emulator: &XpEmulator) {
        let (mut kk, mut k1, mut one, mut rk, mut r1) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (i, coefficients) in emulator.coefficients.iter().enumerate() {
            let residual = self.ln_flux[i] - dot_unrolled(&self.terms, coefficients);
            let (w, k) = (self.weight[i] / CORRELATED_SAMPLES, emulator.extinction[i]);
            kk += w * k * k;
            k1 += w * k;
            one += w;
            rk += w * k * residual;
            r1 += w * residual;
        }
        let prior_weight = self.prior.1.powi(-2);
        let (a, b) = (kk + prior_weight, rk + prior_weight * self.prior.0);
        let determinant = a * one - k1 * k1;
        self.ebv_mag = (b * one - k1 * r1) / determinant;
        self.level = (a * r1 - k1 * b) / determinant;
    }
}

impl XpEmulator {
    /// Fits the emulator to some of the stars. Also returns E(B−V) of every star that it can describe, in mag; NaN for
    /// others.
    pub fn fit(stars: &XpStars, rows: &[usize]) -> Result<(Self, Vec<f64>)> {
        let mut all: Vec<Option<Star>> = (0..stars.len()).into_par_iter().map(|i| Star::of(stars, i)).collect();
        let mean = median(&mut all.iter().flatten().map(|s| s.prior.0).filter(|v| v.is_finite()).collect());
        for star in all.iter_mut().flatten().filter(|s| s.prior.0.is_nan()) {
            star.prior.0 = mean.unwrap_or(0.0);
            star.ebv_mag = star.prior.0;
        }
        let n_terms = terms(&[5000.0, 2.5, 0.0, 0.0]).len();
        let n = rows.iter().filter(|&&i| all[i].is_some()).count();
        ensure!(n > 5 * n_terms, "{n} stars with all labels are too few for an emulator of XP spectra");
        let extinction = grid_nm().into_iter().map(|nm| -0.4 * std::f64::consts::LN_10 * R_V * law(nm, R_V)).collect();
        let mut emulator = Self { coefficients: Vec::new(), extinction };
        for _ in 0..ROUNDS {
            let fitted: Vec<&Star> = rows.iter().filter_map(|&i| all[i].as_ref()).collect();
            let sample = |i: usize| fit_sample(&fitted, i, emulator.extinction[i]);
            let coefficients: Option<Vec<_>> = (0..XP_PIXELS).into_par_iter().map(sample).collect();
            emulator.coefficients = coefficients.context("the labels of the stars do not define an emulator")?;
            all.par_iter_mut().flatten().for_each(|star| star.fit_reddening(&emulator));
        }
        let ebv_mag = all.iter().map(|star| star.as_ref().map_or(f64::NAN, |s| s.ebv_mag)).collect();
        Ok((emulator, ebv_mag))
    }

    /// Flux of a star relative to its mean flux, `[343]`, for Teff in K, log g, [Fe/H], [α/M] in dex, and E(B−V) in mag.
    /// Valid where there are real stars of similar labels.
    pub fn flux(&self, labels: &[f64; XP_LABELS], ebv_mag: f64) -> Vec<f64> {
        let terms = terms(labels);
        let flux: Vec<f64> = self
            .coefficients
            .iter()
            .zip(&self.extinction)
            .map(|(c, k)| (dot_unrolled(&terms, c) + k * ebv_mag).exp())
            .collect();
        let mean = flux.iter().sum::<f64>() / XP_PIXELS as f64;
        flux.into_iter().map(|f| f / mean).collect()
    }
}

/// Coefficients of one sample, by weighted least squares with a ridge.
fn fit_sample(stars: &[&Star], i: usize, extinction: f64) -> Option<Vec<f64>> {
    let n = stars.first()?.terms.len();
    let (mut matrix, mut right) = (vec![0.0; n * n], vec![0.0; n]);
    for star in stars {
        let target = star.ln_flux[i] - star.level - extinction * star.ebv_mag;
        for (j, term) in star.terms.iter().enumerate() {
            let weighted = star.weight[i] * term;
            right[j] += weighted * target;
            matrix[j * n..j * n + j + 1].iter_mut().zip(&star.terms).for_each(|(m, t)| *m += weighted * t);
        }
    }
    let ridge = RIDGE * (0..n).map(|j| matrix[j * n + j]).sum::<f64>() / n as f64;
    let value = |j: usize, k: usize| matrix[j * n + k] + if j == k { ridge } else { 0.0 };
    Some(SymmetricMatrix::of(n, value).factor()?.solve(&right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_all_products() {
        let labels = [5040.0 / 1.2, 4.1, -0.9, 0.22];
        let (t, g, z, a) = (1.0, 1.0, -1.0, 1.0);
        let all = terms(&labels);
        // (4 + 4)! / (4! 4!) products of degree 0 to 4.
        assert_eq!(all.len(), 70);
        assert!((all.iter().sum::<f64>() - sum_of_products([t, g, z, a])).abs() < 1e-9);
    }

    /// The sum of all products of up to four factors, by exponents.
    fn sum_of_products(x: [f64; 4]) -> f64 {
        let mut sum = 0.0;
        for exponents in 0..5usize.pow(4) {
            let e = [exponents % 5, exponents / 5 % 5, exponents / 25 % 5, exponents / 125];
            if e.iter().sum::<usize>() <= 4 {
                sum += (0..4).map(|j| x[j].powi(e[j] as i32)).product::<f64>();
            }
        }
        sum
    }
}
