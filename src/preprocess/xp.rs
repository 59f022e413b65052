//! The published preprocessing (`SpecCLIP`) of Gaia XP spectra (docs/model-spec.md §1.6).

use thiserror::Error;

use super::resample::linear;
use crate::stats::is_constant;

/// Number of pixels of the XP grid: 336, 338 … 1020 nm.
pub const XP_PIXELS: usize = 343;

/// Index of the pixel at exactly 550 nm. The spectrum is divided by its flux.
const PIXEL_550_NM: usize = 107;

/// The reason why an XP spectrum cannot be normalised.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum XpError {
    #[error("{wave} wavelengths but {flux} fluxes")]
    Length { wave: usize, flux: usize },
    #[error("wavelengths must be finite, positive and strictly increasing; they are not at sample {0}")]
    Wavelength(usize),
    #[error("the flux of sample {0} is not a finite number")]
    Flux(usize),
    #[error("the samples {first:.0}–{last:.0} nm do not cover 336–1020 nm; are the wavelengths in nanometres?")]
    Range { first: f64, last: f64 },
    #[error("the flux at 550 nm is zero; normalisation at 550 nm is not possible")]
    ZeroAt550,
    #[error("the mean flux is not positive; the spectrum is only noise")]
    NoFlux,
    #[error("the flux is the same in all samples; there is nothing to measure. Was the wrong column read?")]
    Constant,
}

/// The XP grid in nm, `[343]`.
pub fn grid_nm() -> Vec<f64> {
    (0..XP_PIXELS).map(|i| 336.0 + 2.0 * i as f64).collect()
}

/// Flux interpolated linearly in λ to the XP grid, in its own unit: `[343]`.
pub fn on_grid(wave_nm: &[f64], flux: &[f64]) -> Result<Vec<f64>, XpError> {
    if wave_nm.len() != flux.len() {
        return Err(XpError::Length { wave: wave_nm.len(), flux: flux.len() });
    }
    let is_increasing = |i: usize| i == 0 || wave_nm[i] > wave_nm[i - 1];
    if let Some(i) = (0..wave_nm.len()).find(|&i| !(wave_nm[i].is_finite() && wave_nm[i] > 0.0 && is_increasing(i))) {
        return Err(XpError::Wavelength(i));
    }
    if let Some(i) = flux.iter().position(|f| !f.is_finite()) {
        return Err(XpError::Flux(i));
    }
    let (first, last) = (wave_nm.first().copied().unwrap_or(0.0), wave_nm.last().copied().unwrap_or(0.0));
    if first > 336.0 || last < 1020.0 {
        return Err(XpError::Range { first, last });
    }
    if is_constant(flux) {
        return Err(XpError::Constant);
    }
    Ok(linear(wave_nm, flux, &grid_nm()))
}

/// Flux on the XP grid ([`on_grid`]), divided by the flux at 550 nm: `[343]`.
pub fn normalise(wave_nm: &[f64], flux: &[f64]) -> Result<Vec<f64>, XpError> {
    let resampled = on_grid(wave_nm, flux)?;
    match resampled[PIXEL_550_NM] {
        0.0 => Err(XpError::ZeroAt550),
        flux_550 => Ok(resampled.into_iter().map(|f| f / flux_550).collect()),
    }
}
