//! A spectrum in FITS tables of one column each: fluxes, wavelengths, errors and mask in HDUs of their own.

use super::axis::{Role, role};
use super::columns::wavelength_column;
use super::error::ReadError;
use super::metadata;
use super::samples::{Errors, MaskConvention, Samples};
use super::table::Table;
use crate::spectrum::{Medium, Spectrum};

/// Reads the spectrum; `None` if no table has fluxes alone, or none has as many wavelengths.
pub(crate) fn read(tables: &[Table], stem: &str) -> Result<Option<Spectrum>, ReadError> {
    let single = || tables.iter().filter(|t| t.columns.len() == 1);
    let role_of = |t: &Table| role(&t.columns[0].name, &t.columns[0].unit);
    let values = |t: &Table| -> Result<Vec<f64>, ReadError> {
        if t.columns[0].is_array && t.rows > 0 {
            t.array(0, 0)
        } else {
            (0..t.rows).map(|row| t.scalar(row, 0)).collect()
        }
    };
    let Some(table) = single().find(|t| role_of(t) == Some(Role::Flux)) else { return Ok(None) };
    let flux = values(table)?;
    let Some(axis) = single().find_map(|t| wavelength_column(t, flux.len()).transpose()).transpose()? else {
        return Ok(None);
    };
    let errors = match single().find(|t| role_of(t).is_some_and(Role::is_error)) {
        Some(t) => Errors::of(role_of(t), values(t)?),
        None => None,
    };
    let mask = |t: &Table| Some((MaskConvention::from_name(&t.columns[0].name)?, values(t).ok()?));
    let samples = Samples { wave_aa: axis.wave_aa, flux, errors, mask: single().find_map(mask) };
    let mut meta = metadata::meta(&table.params, stem, "FITS tables of one column each", (axis.medium, Medium::Air));
    meta.notes.extend(axis.note);
    samples.into_spectrum(meta).map(Some).map_err(ReadError::samples(table.place.clone()))
}
