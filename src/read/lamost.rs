//! LAMOST low-resolution spectra in the layouts of all data releases.
//!
//! | release | layout | wavelengths |
//! |---|---|---|
//! | DR1 | image: flux, ivar, continuum-subtracted flux, andmask, ormask | COEFF0, COEFF1 |
//! | DR2 | as DR1 in 64-bit floats, or with CRVAL1, `CD1_1` only; CTYPE1 says LINEAR, axis is log10 | COEFF0, COEFF1 |
//! | DR3–8 | image: flux, ivar, wavelength, andmask, ormask, in some a sixth row | COEFF0, COEFF1, repeated in row 2 |
//! | DR9+ | one-row table `COADD` of vectors FLUX, IVAR, WAVELENGTH, ANDMASK, ORMASK, NORMALIZATION | column |
//!
//! Data model: the "Description of Data" pages of each release, dr1.lamost.org to dr10.lamost.org. Resolving power:
//! Zhao et al. (2012, RAA 12, 723). Wavelengths are in vacuum, in the heliocentric frame.
//!
//! If an image has both the keywords and row 2, the reader uses 10^(COEFF0 + COEFF1·i). Row 2 holds the same
//! wavelengths computed from 32-bit floats, and differs by up to 0.002 Å. If the difference exceeds 0.05 Å, the reader
//! uses row 2.
//!
//! Pixels with an ANDMASK bit are counted, but not masked. Pixels without information already have ivar 0: in a DR1
//! file, 166 pixels have ivar 0, one of them has an ANDMASK bit, and no pixel with a positive ivar has one. The
//! bright-sky bits would mask large parts of good spectra.

use super::axis::require;
use super::error::ReadError;
use super::fits::{Fits, Header, Image, Table};
use super::metadata::set_stated;
use super::table::Params;
use crate::spectrum::{Frame, Medium, Meta, Source, Sourced, Spectrum, Survey};

/// Maximum difference between row 2 and 10^(COEFF0 + COEFF1·i) for both to count as the same axis, Å.
const AXIS_TOLERANCE_AA: f64 = 0.05;

/// True for a LAMOST file: by the keywords of the primary header, or, if it lacks TELESCOP, by what only LAMOST writes:
/// its five or six rows with a plan, or with the axis both in COEFF0, COEFF1 and in row 2; its table with the column
/// NORMALIZATION.
pub(crate) fn identify(fits: &Fits) -> bool {
    let primary = fits.primary();
    let mentions_lamost = |key: &str| primary.text(key).is_some_and(|v| v.to_uppercase().contains("LAMOST"));
    if mentions_lamost("TELESCOP")
        || mentions_lamost("ORIGIN")
        || mentions_lamost("AUTHOR")
        || mentions_lamost("DATA_V")
    {
        return true;
    }
    if primary.text("TELESCOP").is_some() {
        return false;
    }
    let has_lamost_rows = matches!(primary.integer("NAXIS2"), Some(5 | 6)) && primary.integer("NAXIS") == Some(2);
    let has_plan = ["OBSID", "PLANID", "SPID"].iter().any(|key| primary.has(key));
    let repeats_axis = || {
        let image = fits.hdus.first()?.image()?.ok()?;
        let (axis, row) = (log10_axis(primary, image.width())?, image.row(2)?);
        Some(axis.iter().zip(&row).all(|(a, b)| (a - b).abs() < AXIS_TOLERANCE_AA))
    };
    let has_coefficients = has_lamost_rows && primary.has("COEFF0") && primary.has("COEFF1");
    has_coefficients && (has_plan || repeats_axis() == Some(true)) || is_coadd(fits)
}

/// True for a table of the layout of DR9 and later, which is damaged or has a column that no other survey writes.
fn is_coadd(fits: &Fits) -> bool {
    let has_own_columns = |table: &Table| ["ANDMASK", "NORMALIZATION"].iter().all(|name| table.column(name).is_some());
    coadd_table(fits).is_some_and(|(_, table)| table.as_ref().map_or(true, has_own_columns))
}

/// True for the medium-resolution files: one HDU for each arm, R ≈ 7500.
pub(crate) fn is_medium_resolution(fits: &Fits) -> bool {
    fits.find_by_name("COADD_B").or_else(|| fits.find_by_name("COADD_R")).is_some()
        || (identify(fits) && fits.hdus.iter().any(|h| h.name().starts_with("B-") || h.name().starts_with("R-")))
}

/// Reads the spectrum of a low-resolution file. `stem` is the id if the file has no OBSID.
pub(crate) fn read(fits: &Fits, stem: &str) -> Result<Spectrum, ReadError> {
    let image = fits.hdus.first().and_then(|h| h.image());
    match image {
        Some(image) => read_image(fits, &image?, stem),
        None => read_table(fits, stem),
    }
}

fn read_image(fits: &Fits, image: &Image, stem: &str) -> Result<Spectrum, ReadError> {
    let place = "the LAMOST image in HDU 0";
    let header = fits.primary();
    let row =
        |i| require(image.row(i), place, "it has fewer than two rows (flux and inverse variance); download it again");
    let (flux, ivar) = (row(0)?, row(1)?);
    let stored_wave = image.row(2).filter(|w| is_wavelength_aa(w));
    let mut meta = meta(header, stem, image_format(header, image, stored_wave.is_some()));

    let wave_aa = match (log10_axis(header, image.width()), stored_wave) {
        (Some(axis), Some(row)) => {
            let max_difference = axis.iter().zip(&row).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            if max_difference > AXIS_TOLERANCE_AA {
                meta.notes.push(format!(
                    "row 2 differs from the axis of COEFF0 and COEFF1 by up to {max_difference:.2} Å; row 2 is used"
                ));
                meta.wave_is_f32 = image.is_f32();
                row
            } else {
                axis
            }
        }
        (Some(axis), None) => {
            meta.notes.push("row 2 is not a wavelength in this layout; the axis is from COEFF0 and COEFF1".to_string());
            axis
        }
        (None, Some(row)) => {
            meta.wave_is_f32 = image.is_f32();
            row
        }
        (None, None) => {
            return Err(ReadError::Layout {
                place: place.into(),
                problem: "COEFF0 and COEFF1 are missing or invalid, and row 2 holds no wavelengths; download it again"
                    .into(),
            });
        }
    };
    note_flagged(&mut meta, image.row(3), &ivar);
    Spectrum::new(meta, wave_aa, flux, Some(ivar), None).map_err(ReadError::samples(place))
}

fn read_table(fits: &Fits, stem: &str) -> Result<Spectrum, ReadError> {
    let (index, table) = match coadd_table(fits) {
        Some((index, table)) => (index, table?),
        None => return Err(fits.no_spectrum_error()),
    };
    let place = format!("the LAMOST table in HDU {index}");
    let vector = |names: &[&str]| {
        let column = names.iter().find_map(|n| table.column(n));
        let missing = format!("column {} is missing; download it again", names[0]);
        table.vector(0, require(column, &place, &missing)?)
    };
    let wave_aa = vector(&["WAVELENGTH", "WAVE", "LAMBDA"])?;
    let flux = vector(&["FLUX", "INTENSITY", "SPEC"])?;
    let ivar = vector(&["IVAR"])?;
    let mut meta = meta(fits.primary(), stem, "LAMOST table of vectors (DR9 and later)".into());
    meta.wave_is_f32 = table.column("WAVELENGTH").is_some_and(|c| c.is_f32());
    note_flagged(&mut meta, vector(&["ANDMASK"]).ok(), &ivar);
    Spectrum::new(meta, wave_aa, flux, Some(ivar), None).map_err(ReadError::samples(place))
}

/// The one-row table of vectors of DR9 and later.
fn coadd_table<'a>(fits: &Fits<'a>) -> Option<(usize, Result<Table<'a>, ReadError>)> {
    fits.hdus.iter().find_map(|hdu| {
        let table = hdu.table()?;
        let matches_layout = match &table {
            Ok(table) => {
                let vector = |name| table.column(name).is_some_and(|c| c.is_numeric() && c.repeat > 1);
                table.rows == 1 && vector("FLUX") && vector("IVAR") && vector("WAVELENGTH")
            }
            // Truncated or damaged: identified by name only, so that the error message describes the damage.
            Err(_) => hdu.name() == "COADD" && hdu.header.text("TTYPE3") == Some("WAVELENGTH"),
        };
        matches_layout.then_some((hdu.index, table))
    })
}

/// The axis 10^(COEFF0 + COEFF1·i), Å.
///
/// CRVAL1 and `CD1_1` replace the keywords if their values can only be logarithms, even if CTYPE1 says LINEAR.
fn log10_axis(header: &Header, width: usize) -> Option<Vec<f64>> {
    // COEFF0 refers to the first pixel, CRVAL1 to the pixel CRPIX1.
    let (first, reference) = match header.number("COEFF0") {
        Some(first) => (first, 1.0),
        None => (header.number("CRVAL1")?, header.number("CRPIX1").unwrap_or(1.0)),
    };
    let step = ["COEFF1", "CD1_1", "CDELT1"].iter().find_map(|key| header.number(key))?;
    let is_plausible = (3.0..4.5).contains(&first) && step > 0.0 && step < 1e-2;
    is_plausible.then(|| (0..width).map(|i| 10f64.powf(first + step * (i as f64 + 1.0 - reference))).collect())
}

/// True for strictly increasing values in the wavelength range of the instrument. In DR1 this row holds a spectrum.
fn is_wavelength_aa(row: &[f64]) -> bool {
    row.first().is_some_and(|w| *w > 3000.0)
        && row.last().is_some_and(|w| *w < 11_000.0)
        && row.windows(2).all(|w| w[1] > w[0])
}

fn image_format(header: &Header, image: &Image, has_wavelengths: bool) -> String {
    let release = header.text("DATA_V").unwrap_or("LAMOST");
    match (has_wavelengths, image.is_f32()) {
        (true, _) => format!("{release} image of {} rows (DR3 to DR8 layout)", image.rows()),
        (false, true) => format!("{release} image of {} rows without wavelengths (DR1 layout)", image.rows()),
        (false, false) => format!("{release} image of {} rows in 64-bit floats (DR2 layout)", image.rows()),
    }
}

fn meta(header: &Header, stem: &str, format: String) -> Meta {
    let id = header.integer("OBSID").filter(|id| *id > 0).map_or_else(|| stem.to_string(), |id| id.to_string());
    let mut meta = Meta::unknown(id, format);
    meta.survey = Survey::LamostLrs;
    meta.medium = Sourced::new(Medium::Vacuum, Source::Survey);
    meta.frame = Sourced::new(Frame::Barycentric, Source::Survey);
    meta.resolving_power = Survey::LamostLrs.resolving_power().map(|r| Sourced::new(r, Source::Survey));
    set_stated(&mut meta, &Params::of_header(header));
    let word = |key| header.text(key).filter(|v| !v.is_empty()).map(str::to_string);
    meta.class = word("CLASS");
    meta.subclass = word("SUBCLASS");
    // −9999 means missing.
    meta.redshift = header.number("Z").filter(|z| *z > -1.0);
    meta.ra_deg = header.number("RA").filter(|v| (0.0..=360.0).contains(v));
    meta.dec_deg = header.number("DEC").filter(|v| (-90.0..=90.0).contains(v));
    meta
}

fn note_flagged(meta: &mut Meta, andmask: Option<Vec<f64>>, ivar: &[f64]) {
    let n_flagged = andmask.map_or(0, |m| m.iter().zip(ivar).filter(|(m, v)| **m != 0.0 && **v > 0.0).count());
    if n_flagged > 0 {
        meta.notes
            .push(format!("{n_flagged} pixels with an ANDMASK bit have a positive inverse variance; they are used"));
    }
}
