//! The published LAMOST preprocessing (`SpecCLIP`), reproduced value for value (docs/model-spec.md §1).
//!
//! The published networks were trained with it, so this module reproduces its peculiarities too. The number type of the
//! wavelengths decides the rank of the continuum fit. The hot-star patch uses windows that are shifted by a few pixels.
//! Specola's own models use [`super::conditioning`].

use thiserror::Error;

use super::grid;
use super::log10_f32::log10_f32;
use super::polynomial::PolynomialBasis;
use crate::stats;

/// The reason why the published preprocessing rejects a spectrum (docs/model-spec.md §1.4).
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum ReferenceError {
    #[error("{wave} wavelengths but {flux} fluxes")]
    Length { wave: usize, flux: usize },
    #[error("wavelengths must be positive, finite and strictly increasing; they are not at pixel {0}")]
    Wavelength(usize),
    #[error(
        "the flux at pixel {0} is not a finite number; the published preprocessing needs finite fluxes: interpolate this pixel first"
    )]
    Flux(usize),
    #[error("the wavelengths {first:.1}–{last:.1} Å do not cover 4000–5598 Å")]
    Range { first: f64, last: f64 },
    #[error("the flux is the same in all pixels; there is nothing to measure. Was the wrong column read?")]
    Constant,
    #[error("the hot-star windows reach beyond the blue segment; this spectrum starts too far below 3700 Å")]
    Window,
}

/// Result of the published preprocessing.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferenceNormalisation {
    /// Continuum on the pixels of the input, in flux units.
    pub continuum: Vec<f64>,
    /// Flux divided by continuum, on the [model grid](grid::model_log10), `[1462]`.
    pub norm: Vec<f64>,
}

/// Runs the published preprocessing: continuum fit on the full array, division, linear interpolation in log10 λ.
///
/// `wave_aa` is in vacuum Å, in the observed frame. With `wave_is_f32`, its values must be 32-bit numbers widened to 64
/// bits.
pub fn normalise(wave_aa: &[f64], flux: &[f64], wave_is_f32: bool) -> Result<ReferenceNormalisation, ReferenceError> {
    if wave_aa.len() != flux.len() {
        return Err(ReferenceError::Length { wave: wave_aa.len(), flux: flux.len() });
    }
    let is_increasing = |i: usize| i == 0 || wave_aa[i] > wave_aa[i - 1];
    if let Some(i) = (0..wave_aa.len()).find(|&i| !(wave_aa[i].is_finite() && wave_aa[i] > 0.0 && is_increasing(i))) {
        return Err(ReferenceError::Wavelength(i));
    }
    if let Some(i) = flux.iter().position(|f| !f.is_finite()) {
        return Err(ReferenceError::Flux(i));
    }
    let (first, last) = (wave_aa.first().copied().unwrap_or(0.0), wave_aa.last().copied().unwrap_or(0.0));
    if first > 4000.0 || last < 5598.0 {
        return Err(ReferenceError::Range { first, last });
    }
    if stats::is_constant(flux) {
        return Err(ReferenceError::Constant);
    }
    let continuum = continuum(wave_aa, flux, wave_is_f32)?;
    let ratio: Vec<f64> = flux.iter().zip(&continuum).map(|(f, c)| f / c).collect();
    let log10: Vec<f64> = if wave_is_f32 {
        wave_aa.iter().map(|w| f64::from(log10_f32(*w as f32))).collect()
    } else {
        wave_aa.iter().map(|w| w.log10()).collect()
    };
    let norm = super::resample::linear(&log10, &ratio, &grid::model_log10());
    Ok(ReferenceNormalisation { continuum, norm })
}

/// Windows around Hδ, Hγ and Hβ that the continuum fit of hot stars bridges, Å.
const HYDROGEN_WINDOWS_AA: [(f64, f64); 3] = [(4030.0, 4160.0), (4270.0, 4410.0), (4800.0, 4940.0)];

/// The continuum (docs/model-spec.md §1.5), on every pixel, in flux units.
fn continuum(wave_aa: &[f64], flux: &[f64], wave_is_f32: bool) -> Result<Vec<f64>, ReferenceError> {
    let smooth = stats::median_filter_7(flux);
    let mut continuum = smooth.clone();
    let eps = if wave_is_f32 { f64::from(f32::EPSILON) } else { f64::EPSILON };
    let basis = |x: &[f64], degree: usize| {
        if wave_is_f32 {
            PolynomialBasis::truncated(x, degree, x.len() as f64 * eps)
        } else {
            // In 64 bits no singular value is cut; this basis spans the same space and is better conditioned.
            PolynomialBasis::new(x, degree)
        }
    };

    let blue = segment(wave_aa, |w| (3700.0..=5700.0).contains(&w));
    if blue.len() > 100 {
        let x = &wave_aa[blue.clone()];
        let basis = basis(x, 5);
        let mut upper = smooth[blue.clone()].to_vec();
        let fit = basis.fit(&upper);
        let peak = (0..fit.len()).fold(0, |best, i| if fit[i] > fit[best] { i } else { best });
        if x[peak] < 4500.0 {
            upper = patch_hydrogen(wave_aa, &upper)?;
        }
        for _ in 0..10 {
            let fit = basis.fit(&upper);
            for (u, f) in upper.iter_mut().zip(fit) {
                *u = u.max(f);
            }
        }
        continuum[blue].copy_from_slice(&basis.fit(&upper));
    }

    let red = segment(wave_aa, |w| w > 6100.0);
    if red.len() > 100 {
        let basis = basis(&wave_aa[red.clone()], 4);
        let mut clipped_flux = smooth[red.clone()].to_vec();
        let mut fit = Vec::new();
        for _ in 0..9 {
            fit = basis.fit(&clipped_flux);
            let residual: Vec<f64> = clipped_flux.iter().zip(&fit).map(|(k, f)| k - f).collect();
            let mean = residual.iter().sum::<f64>() / residual.len() as f64;
            let sigma = (residual.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / residual.len() as f64).sqrt();
            for (k, f) in clipped_flux.iter_mut().zip(&fit) {
                if *k < *f || *k > *f + 3.0 * sigma {
                    *k = *f;
                }
            }
        }
        continuum[red].copy_from_slice(&fit);
    }
    continuum.iter_mut().filter(|c| **c <= 0.0).for_each(|c| *c = 1.0);
    Ok(continuum)
}

/// The range of pixels whose wavelength satisfies `inside`, which must describe an interval.
fn segment(wave_aa: &[f64], inside: impl Fn(f64) -> bool) -> std::ops::Range<usize> {
    let start = wave_aa.iter().position(|w| inside(*w)).unwrap_or(0);
    let count = wave_aa.iter().filter(|w| inside(**w)).count();
    start..start + count
}

/// Replaces the flux in the hydrogen windows of the blue segment by straight lines between the maxima near their edges.
///
/// As in the published code, indices computed on the full array are applied to the blue segment. So every window is
/// shifted to the red by the number of pixels below 3700 Å (docs/model-spec.md §0.8).
fn patch_hydrogen(wave_aa: &[f64], blue: &[f64]) -> Result<Vec<f64>, ReferenceError> {
    let within = |from: f64, to: f64| segment(wave_aa, |w| (from..=to).contains(&w));
    let anchor = |edge: f64| {
        let near = within(edge - 10.0, edge + 10.0);
        let values = blue.get(near).ok_or(ReferenceError::Window)?;
        Ok(values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    };
    let mut patched = blue.to_vec();
    for (from, to) in HYDROGEN_WINDOWS_AA {
        let (start, end) = (anchor(from)?, anchor(to)?);
        let window = within(from, to);
        if window.is_empty() || !start.is_finite() || !end.is_finite() {
            continue;
        }
        if window.end > patched.len() {
            return Err(ReferenceError::Window);
        }
        for i in window {
            patched[i] = start + (end - start) * (wave_aa[i] - from) / (to - from);
        }
    }
    Ok(patched)
}
