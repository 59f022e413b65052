//! The published LAMOST preprocessing, number for number (MODEL_SPEC §1).
//!
//! It is what the published networks were trained behind, so its oddities are kept and named: the wavelength's number
//! type decides the rank of the continuum fit, and the hot-star patch reads its windows a few pixels off. Specola's own
//! models use [`super::recipe`].

use thiserror::Error;

use super::grid;
use super::log10_f32::log10_f32;
use super::polynomial::PolynomialBasis;
use super::stats;

/// Why the published recipe refuses a spectrum (MODEL_SPEC §1.4).
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs)]
pub enum ReferenceError {
    #[error("{wave} wavelengths but {flux} fluxes")]
    Length { wave: usize, flux: usize },
    #[error("wavelengths must be positive, finite and strictly increasing; they are not at pixel {0}")]
    Wavelength(usize),
    #[error(
        "flux at pixel {0} is not a finite number; the published recipe repairs none: mask or interpolate it first"
    )]
    Flux(usize),
    #[error("the wavelengths {first:.1}–{last:.1} Å do not cover 4000–5598 Å")]
    Range { first: f64, last: f64 },
    #[error("the hot-star windows reach beyond the blue segment; this spectrum starts too far below 3700 Å")]
    Window,
}

/// What the published recipe makes of a spectrum.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// Continuum on the input's pixels, flux unit.
    pub continuum: Vec<f64>,
    /// Flux over continuum on the [model grid](grid::model_log10), `[1462]`.
    pub norm: Vec<f64>,
}

/// Runs the published recipe: continuum on the full array, division, linear interpolation in log10 λ.
///
/// `wave_aa` is vacuum, in the observed frame. With `wave_is_f32`, its values must be 32-bit numbers widened to 64 bits.
pub fn normalise(wave_aa: &[f64], flux: &[f64], wave_is_f32: bool) -> Result<Reference, ReferenceError> {
    if wave_aa.len() != flux.len() {
        return Err(ReferenceError::Length { wave: wave_aa.len(), flux: flux.len() });
    }
    let rises = |i: usize| i == 0 || wave_aa[i] > wave_aa[i - 1];
    if let Some(i) = (0..wave_aa.len()).find(|&i| !(wave_aa[i].is_finite() && wave_aa[i] > 0.0 && rises(i))) {
        return Err(ReferenceError::Wavelength(i));
    }
    if let Some(i) = flux.iter().position(|f| !f.is_finite()) {
        return Err(ReferenceError::Flux(i));
    }
    let (first, last) = (wave_aa.first().copied().unwrap_or(0.0), wave_aa.last().copied().unwrap_or(0.0));
    if first > 4000.0 || last < 5598.0 {
        return Err(ReferenceError::Range { first, last });
    }
    let continuum = continuum(wave_aa, flux, wave_is_f32)?;
    let ratio: Vec<f64> = flux.iter().zip(&continuum).map(|(f, c)| f / c).collect();
    let log10: Vec<f64> = if wave_is_f32 {
        wave_aa.iter().map(|w| f64::from(log10_f32(*w as f32))).collect()
    } else {
        wave_aa.iter().map(|w| w.log10()).collect()
    };
    let norm = super::resample::linear(&log10, &ratio, &grid::model_log10());
    Ok(Reference { continuum, norm })
}

/// Windows around Hδ, Hγ and Hβ that hot stars' fits skip, Å.
const HYDROGEN_WINDOWS_AA: [(f64, f64); 3] = [(4030.0, 4160.0), (4270.0, 4410.0), (4800.0, 4940.0)];

/// The continuum of MODEL_SPEC §1.5, on every pixel.
fn continuum(wave_aa: &[f64], flux: &[f64], wave_is_f32: bool) -> Result<Vec<f64>, ReferenceError> {
    let smooth = stats::median_filter_7(flux);
    let mut continuum = smooth.clone();
    let eps = if wave_is_f32 { f64::from(f32::EPSILON) } else { f64::EPSILON };
    let basis = |x: &[f64], degree: usize| {
        if wave_is_f32 {
            PolynomialBasis::truncated(x, degree, x.len() as f64 * eps)
        } else {
            // All singular values survive in 64 bits; this basis spans the same without the conditioning.
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
        let mut kept = smooth[red.clone()].to_vec();
        let mut fit = Vec::new();
        for _ in 0..9 {
            fit = basis.fit(&kept);
            let residual: Vec<f64> = kept.iter().zip(&fit).map(|(k, f)| k - f).collect();
            let mean = residual.iter().sum::<f64>() / residual.len() as f64;
            let sigma = (residual.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / residual.len() as f64).sqrt();
            for (k, f) in kept.iter_mut().zip(&fit) {
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

/// The run of pixels whose wavelength satisfies `inside`, which must be an interval.
fn segment(wave_aa: &[f64], inside: impl Fn(f64) -> bool) -> std::ops::Range<usize> {
    let start = wave_aa.iter().position(|w| inside(*w)).unwrap_or(0);
    let count = wave_aa.iter().filter(|w| inside(**w)).count();
    start..start + count
}

/// Straight lines over the hydrogen windows of the blue segment, between maxima near their edges.
///
/// Indices come from the full array but are used in the blue segment, as in the published code: where the array starts
/// below 3700 Å every window lands that many pixels too far to the red (MODEL_SPEC §0.8).
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
