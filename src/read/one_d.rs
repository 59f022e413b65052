//! One-dimensional FITS spectra of no particular survey, and of the MILES library.
//!
//! `images` reads images, `columns` tables with a wavelength and a flux column, by pixel or as vectors (ESO phase 3).
//!
//! Sources: ESO Science Data Products Standard (`SPEC_RES`), MILES: Sánchez-Blázquez et al. (2006) and Falcón-Barroso et
//! al. (2011).

use super::error::ReadError;
use super::fits::Fits;
use super::table::{self, Table};
use super::{Contents, SkippedPart, columns, images, own_tables, unsupported};
use crate::spectrum::{Frame, Medium, Meta, Source, Sourced, Survey};

/// FWHM of the MILES library, Å.
const MILES_FWHM_AA: f64 = 2.5;

/// Reads the images of a file, else its first table with spectra and all later tables with the same columns.
pub(crate) fn read(fits: &Fits, stem: &str) -> Result<Contents, ReadError> {
    let (tables, mut damaged) = table::of_fits(fits);
    let images = images::read(fits, &tables, stem);
    match images {
        Ok(Some(contents)) => return Ok(contents),
        Ok(None) => {}
        Err(error) => {
            damaged.get_or_insert(error);
        }
    }
    let mut contents = Contents::default();
    let mut first_table: Option<&Table> = None;
    for table in &tables {
        // SDSS-V writes a table for each spectrograph, most of them empty.
        let is_empty = table.rows == 0 && table.bad_rows.is_empty();
        if first_table.is_some_and(|first| is_empty || !is_alike(first, table, &contents)) {
            continue;
        }
        let hdu = fits.hdus.iter().find(|hdu| table::place_of(hdu) == table.place);
        let number = contents.spectra.len() + 1;
        let stem = if first_table.is_some() { format!("{stem}-{number}") } else { stem.to_string() };
        match columns::read(table, &tables, &stem, hdu.map(|hdu| &hdu.header)) {
            Ok(Some(more)) => {
                contents.add(more);
                first_table.get_or_insert(table);
            }
            Ok(None) => {}
            Err(error @ ReadError::Unsupported { .. }) if first_table.is_none() => return Err(error),
            Err(error) if first_table.is_some() => {
                contents.skipped.push(SkippedPart { part: table.place.clone(), reason: error.to_string() });
            }
            Err(error) if is_empty => {
                damaged = damaged.or(Some(error));
            }
            Err(error) => {
                damaged.get_or_insert(error);
            }
        }
    }
    if first_table.is_some() {
        return Ok(contents);
    }
    if let Some(spectrum) = own_tables::read(&tables, stem)? {
        return Ok(Contents::from_spectrum(spectrum));
    }
    if damaged.is_none() && tables.iter().any(columns::is_labels) {
        return Err(ReadError::LabelTable);
    }
    tables.iter().try_for_each(unsupported::check_table)?;
    Err(damaged.unwrap_or_else(|| fits.no_spectrum_error()))
}

/// True if a table holds further stars in the layout of the first one: in the files of the Gaia archive every table,
/// otherwise tables with the same columns of wavelength and flux. Other tables belong to the first star.
fn is_alike(first: &Table, table: &Table, contents: &Contents) -> bool {
    let is_xp = contents.spectra.iter().all(|s| s.meta.survey == Survey::GaiaXp);
    is_xp || columns::main_columns(first).is_some_and(|names| columns::main_columns(table) == Some(names))
}

/// True for the wavelength axis of the MILES library: 3540.5 Å + 0.9 Å·i.
pub(crate) fn is_miles_axis(wave_aa: &[f64]) -> bool {
    wave_aa.len() >= 4000
        && wave_aa.len() <= 4400
        && wave_aa.iter().enumerate().all(|(i, w)| (w - (3540.5 + 0.9 * i as f64)).abs() < 0.01)
}

/// Metadata of a MILES star: air, rest frame, FWHM 2.5 Å.
pub(crate) fn miles(id: &str, format: &str) -> Meta {
    let mut meta = Meta::unknown(id, format);
    meta.survey = Survey::Miles;
    meta.medium = Sourced::new(Medium::Air, Source::Survey);
    meta.frame = Sourced::new(Frame::Rest, Source::Survey);
    meta.resolving_power = Survey::Miles.resolving_power().map(|r| Sourced::new(r, Source::Survey));
    meta.notes
        .push(format!("MILES has a constant FWHM of {MILES_FWHM_AA} Å: its resolving power grows with wavelength"));
    meta
}
