//! LAMOST low-resolution spectra in all layouts that its data releases used.
//!
//! | release | layout | wavelengths |
//! |---|---|---|
//! | DR1 | image: flux, ivar, continuum-subtracted flux, andmask, ormask | COEFF0, COEFF1 |
//! | DR2 | the same in 64-bit floats, or with CRVAL1, CD1_1 only; CTYPE1 claims LINEAR, the axis is log10 | COEFF0, COEFF1 |
//! | DR3–8 | image: flux, ivar, wavelength, andmask, ormask, in some a sixth row | COEFF0, COEFF1, repeated in row 2 |
//! | DR9+ | one-row table `COADD` of vectors FLUX, IVAR, WAVELENGTH, ANDMASK, ORMASK, NORMALIZATION | column |
//!
//! Data model: the "Description of Data" pages of each release, dr1.lamost.org to dr10.lamost.org; resolving power: Zhao et
//! al. (2012, RAA 12, 723). Wavelengths are in vacuum, in the heliocentric frame. Where an image has both, COEFF0 + COEFF1·i
//! counts and not row 2: row 2 is 10^(that) computed from 32-bit floats and departs from it by up to 0.002 Å.
//!
//! ANDMASK is counted but masks nothing: real pixels without information have ivar 0 already (in the DR1 file at hand 166
//! pixels have ivar 0, one of these has an ANDMASK bit, and no pixel with a positive ivar has one), while its bits for
//! bright sky would take away whole stretches of good spectra.

use super::axis::need;
use super::error::ReadError;
use super::fits::{Fits, Header, Image, Table};
use crate::spectrum::{Frame, Known, Medium, Meta, Source, Spectrum, Survey};

/// How far row 2 may depart from COEFF0 + COEFF1·i and still be the same axis, Å.
const SAME_AXIS_AA: f64 = 0.05;

/// True for a LAMOST low-resolution file; also when its primary header was lost, as in copies made by scripts.
pub(crate) fn identify(fits: &Fits) -> bool {
    let primary = fits.primary();
    let says = |key: &str| primary.text(key).is_some_and(|v| v.to_uppercase().contains("LAMOST"));
    if says("TELESCOP") || says("ORIGIN") || says("AUTHOR") || says("DATA_V") {
        return true;
    }
    if primary.text("TELESCOP").is_some() {
        return false;
    }
    let rows_like_it = matches!(primary.integer("NAXIS2"), Some(5 | 6)) && primary.integer("NAXIS") == Some(2);
    (rows_like_it && primary.has("COEFF0") && primary.has("COEFF1")) || coadd_table(fits).is_some()
}

/// True for the medium-resolution files: one HDU for each arm, R ≈ 7500.
pub(crate) fn is_medium_resolution(fits: &Fits) -> bool {
    fits.named("COADD_B").or_else(|| fits.named("COADD_R")).is_some()
        || (identify(fits) && fits.hdus.iter().any(|h| h.name().starts_with("B-") || h.name().starts_with("R-")))
}

/// Reads the one spectrum of a low-resolution file. `stem` is the id when there is no OBSID.
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
        |i| need(image.row(i), place, "it has fewer than two rows (flux and inverse variance); download it again");
    let (flux, ivar) = (row(0)?, row(1)?);
    let written = image.row(2).filter(|w| is_wavelength_aa(w));
    let mut meta = meta(header, stem, image_format(header, image, written.is_some()));

    let wave_aa = match (log10_axis(header, image.width()), written) {
        (Some(axis), Some(row)) => {
            let apart = axis.iter().zip(&row).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            if apart > SAME_AXIS_AA {
                meta.notes.push(format!("row 2 departs from COEFF0 and COEFF1 by up to {apart:.2} Å; row 2 is used"));
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
                problem: "neither COEFF0 and COEFF1 nor a row of wavelengths is there; download it again".into(),
            });
        }
    };
    note_flagged(&mut meta, image.row(3), &ivar);
    Spectrum::new(meta, wave_aa, flux, Some(ivar), None).map_err(ReadError::samples(place))
}

fn read_table(fits: &Fits, stem: &str) -> Result<Spectrum, ReadError> {
    let (index, table) = match coadd_table(fits) {
        Some((index, table)) => (index, table?),
        None => return Err(fits.nothing_found()),
    };
    let place = format!("the LAMOST table in HDU {index}");
    let vector = |names: &[&str]| {
        let column = names.iter().find_map(|n| table.column(n));
        let missing = format!("column {} is not there; download it again", names[0]);
        table.vector(0, need(column, &place, &missing)?)
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
        let fits_in = match &table {
            Ok(table) => {
                let vector = |name| table.column(name).is_some_and(|c| c.is_numeric() && c.repeat > 1);
                table.rows == 1 && vector("FLUX") && vector("IVAR") && vector("WAVELENGTH")
            }
            // Cut short or damaged: the name alone must do, so that the error names the damage.
            Err(_) => hdu.name() == "COADD" && hdu.header.text("TTYPE3") == Some("WAVELENGTH"),
        };
        fits_in.then_some((hdu.index, table))
    })
}

/// 10^(COEFF0 + COEFF1·i). CRVAL1 and CD1_1 serve as well where their values can only be logarithms, whatever CTYPE1 says.
fn log10_axis(header: &Header, width: usize) -> Option<Vec<f64>> {
    // COEFF0 always means the first pixel, CRVAL1 the one that CRPIX1 counts.
    let (first, reference) = match header.number("COEFF0") {
        Some(first) => (first, 1.0),
        None => (header.number("CRVAL1")?, header.number("CRPIX1").unwrap_or(1.0)),
    };
    let step = ["COEFF1", "CD1_1", "CDELT1"].iter().find_map(|key| header.number(key))?;
    let plausible = (3.0..4.5).contains(&first) && step > 0.0 && step < 1e-2;
    plausible.then(|| (0..width).map(|i| 10f64.powf(first + step * (i as f64 + 1.0 - reference))).collect())
}

/// True for strictly increasing values in the range of the instrument. DR1 keeps a spectrum in this row.
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
    meta.medium = match header.logical("VACUUM") {
        Some(true) => Known::new(Medium::Vacuum, Source::File),
        Some(false) => Known::new(Medium::Air, Source::File),
        None => Known::new(Medium::Vacuum, Source::Survey),
    };
    meta.frame = match header.logical("HELIO") {
        Some(true) => Known::new(Frame::Barycentric, Source::File),
        Some(false) => Known::new(Frame::Topocentric, Source::File),
        None => Known::new(Frame::Barycentric, Source::Survey),
    };
    meta.resolving_power = Survey::LamostLrs.resolving_power().map(|r| Known::new(r, Source::Survey));
    let word = |key| header.text(key).filter(|v| !v.is_empty()).map(str::to_string);
    meta.class = word("CLASS");
    meta.subclass = word("SUBCLASS");
    // −9999 stands for "none".
    meta.redshift = header.number("Z").filter(|z| *z > -1.0);
    meta.ra_deg = header.number("RA").filter(|v| (0.0..=360.0).contains(v));
    meta.dec_deg = header.number("DEC").filter(|v| (-90.0..=90.0).contains(v));
    meta
}

fn note_flagged(meta: &mut Meta, andmask: Option<Vec<f64>>, ivar: &[f64]) {
    let flagged = andmask.map_or(0, |m| m.iter().zip(ivar).filter(|(m, v)| **m != 0.0 && **v > 0.0).count());
    if flagged > 0 {
        meta.notes.push(format!("{flagged} pixels have an ANDMASK bit and a positive inverse variance; they are kept"));
    }
}
