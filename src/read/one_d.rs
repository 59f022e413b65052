//! One-dimensional FITS spectra of no particular survey: IRAF-style images (CRVAL1, CDELT1 or CD1_1, DC-FLAG), tables with a
//! wavelength and a flux column, one-row tables of vectors (ESO phase 3), and the files of the MILES library.
//!
//! Sources: FITS standard 4.0 §8 (spectral coordinates: `WAVE` vacuum, `AWAV` air, SPECSYS), IRAF's ONEDSPEC documentation
//! (DC-FLAG), ESO Science Data Products Standard (SPEC_RES; UCD `em.wl;obs.atmos` for air), MILES: Sánchez-Blázquez et al. (2006)
//! and Falcón-Barroso et al. (2011).

use super::axis::{Axis, Role, ivar_of_sigma, need, role, set_frame, set_medium};
use super::error::ReadError;
use super::fits::{Column, Fits, Hdu, Header, Image, Table};
use crate::spectrum::{Frame, Known, Medium, Meta, Source, Spectrum, Survey};

/// FWHM of the MILES library, Å.
const MILES_FWHM_AA: f64 = 2.5;

/// Wavelength near which a resolving power is quoted, Å.
const REFERENCE_AA: f64 = 4800.0;

/// Reads the first HDU that holds a spectrum.
pub(crate) fn read(fits: &Fits, stem: &str) -> Result<Spectrum, ReadError> {
    let mut damaged = None;
    for hdu in &fits.hdus {
        let answer = match (hdu.table(), hdu.image()) {
            (Some(table), _) => table.and_then(|t| read_table(fits, hdu, &t, stem)),
            (None, Some(image)) => image.and_then(|i| read_image(fits, hdu, &i, stem)),
            (None, None) => continue,
        };
        match answer {
            Ok(Some(spectrum)) => return Ok(spectrum),
            Ok(None) => {}
            Err(error) => {
                damaged.get_or_insert(error);
            }
        }
    }
    Err(damaged.unwrap_or_else(|| fits.nothing_found()))
}

/// `Ok(None)` when the table has no wavelength or no flux column.
fn read_table(fits: &Fits, hdu: &Hdu, table: &Table, stem: &str) -> Result<Option<Spectrum>, ReadError> {
    let of = |wanted: fn(&Role) -> bool| {
        table
            .columns
            .iter()
            .filter(|c| c.is_numeric())
            .find_map(|c| role(&c.name, &c.unit).filter(wanted).map(|r| (c, r)))
    };
    let (Some((wave, Role::Wavelength(mut axis))), Some((flux, _))) =
        (of(|r| matches!(r, Role::Wavelength(_))), of(|r| *r == Role::Flux))
    else {
        return Ok(None);
    };
    let place = format!("the table in HDU {}", hdu.index);
    // One row of vectors, or one pixel a row.
    let vectors = wave.repeat > 1;
    let values = |column: &Column| if vectors { table.vector(0, column) } else { table.numbers(column) };
    if axis.medium.is_none() && wave.ucd.starts_with("em.wl") {
        axis.medium = Some(if wave.ucd.contains("obs.atmos") { Medium::Air } else { Medium::Vacuum });
    }
    axis.medium = axis.medium.or(medium_in(&[&hdu.header, fits.primary()]));

    let (wave_aa, note) = axis.to_aa(values(wave)?);
    let ivar = match (of(|r| *r == Role::Ivar), of(|r| *r == Role::Sigma)) {
        (Some((column, _)), _) => Some(values(column)?),
        (None, Some((column, _))) => Some(ivar_of_sigma(values(column)?)),
        (None, None) => None,
    };
    let layout = if vectors { "FITS table of vectors" } else { "FITS table, one row a pixel" };
    // A column of log10 λ is the custom of SDSS, which is in vacuum.
    let usual = if axis.log10 == Some(true) { Medium::Vacuum } else { Medium::Air };
    let mut meta = meta(&[&hdu.header, fits.primary()], stem, layout, (axis.medium, usual));
    meta.notes.extend(note);
    meta.wave_is_f32 = wave.is_f32() && axis.log10 != Some(true);
    if vectors && table.rows > 1 {
        meta.notes.push(format!("the table has {} rows; only the first is read", table.rows));
    }
    Spectrum::new(meta, wave_aa, values(flux)?, ivar, None).map(Some).map_err(ReadError::samples(place))
}

/// `Ok(None)` when the image has no linear or logarithmic axis of wavelengths.
fn read_image(fits: &Fits, hdu: &Hdu, image: &Image, stem: &str) -> Result<Option<Spectrum>, ReadError> {
    let header = &hdu.header;
    let Some((axis, values)) = image_axis(header, image.width()) else { return Ok(None) };
    if image.rows() > 4 {
        return Ok(None);
    }
    let place = format!("the image in HDU {}", hdu.index);
    let flux = need(image.row(0), &place, "it has no row of fluxes; export it again")?;
    let is_miles = header.text("TPLLIB").is_some_and(|l| l.eq_ignore_ascii_case("MILES")) || is_miles_axis(&values);
    let medium = axis.medium.or(medium_in(&[header, fits.primary()]));
    let (wave_aa, note) = axis.to_aa(values);
    let mut meta = if is_miles {
        miles(stem, "MILES star, one-dimensional FITS image")
    } else {
        meta(&[header, fits.primary()], stem, "one-dimensional FITS image", (medium, Medium::Air))
    };
    meta.notes.extend(note);
    if image.rows() > 1 {
        meta.notes.push(format!("the image has {} rows; only the first is read", image.rows()));
    }
    Spectrum::new(meta, wave_aa, flux, None, None).map(Some).map_err(ReadError::samples(place))
}

/// The wavelength axis of an image, in the unit and scale that `Axis` tells.
fn image_axis(header: &Header, width: usize) -> Option<(Axis, Vec<f64>)> {
    let first = header.number("CRVAL1")?;
    let step = header.number("CDELT1").or_else(|| header.number("CD1_1")).filter(|s| *s != 0.0)?;
    let reference = header.number("CRPIX1").unwrap_or(1.0);
    let kind = header.text("CTYPE1").unwrap_or("").to_uppercase();
    let medium = match kind.get(..4) {
        Some("AWAV") => Some(Medium::Air),
        Some("WAVE") => Some(Medium::Vacuum),
        _ => None,
    };
    let unit_text = header.text("CUNIT1").or_else(|| header.text("WAT1_001")).unwrap_or("");
    let unit = match role("wavelength", &unit_text.to_lowercase().replace("units=", " ")) {
        Some(Role::Wavelength(axis)) => axis.unit,
        _ => None,
    };
    // CTYPE1 = LINEAR beside a logarithmic axis is common; DC-FLAG and the values themselves are not wrong.
    let log10 = match header.integer("DC-FLAG") {
        Some(1) => Some(true),
        Some(0) => Some(false),
        _ => kind.contains("LOG10").then_some(true),
    };
    // FITS "-LOG" axes (WAVE-LOG) are linear in ln λ about CRVAL1: λ = CRVAL1·exp(w/CRVAL1).
    let values: Vec<f64> = (0..width)
        .map(|i| {
            let offset = (i as f64 + 1.0 - reference) * step;
            if kind.ends_with("-LOG") { first * (offset / first).exp() } else { first + offset }
        })
        .collect();
    // What is left must be able to be a wavelength: pixel numbers and pixel scales of pictures are not.
    let spans = values.last().zip(values.first()).is_some_and(|(a, b)| (a - b).abs() > 0.02);
    let positive = values.iter().all(|v| *v > 0.0 && v.is_finite());
    let unitless_pixels = kind.is_empty() && unit.is_none() && first <= 1.0 && step == 1.0;
    let is_other = ["RA--", "DEC-", "GLON", "GLAT", "PIXE", "MULT"].iter().any(|k| kind.starts_with(k));
    (spans && positive && !unitless_pixels && !is_other).then_some((Axis { medium, log10, unit }, values))
}

/// True for the axis of the MILES library: 3540.5 Å + 0.9 Å·i.
pub(crate) fn is_miles_axis(wave_aa: &[f64]) -> bool {
    wave_aa.len() >= 4000
        && wave_aa.len() <= 4400
        && wave_aa.iter().enumerate().all(|(i, w)| (w - (3540.5 + 0.9 * i as f64)).abs() < 0.01)
}

/// What the MILES library says of all its stars: air, at rest, FWHM 2.5 Å.
pub(crate) fn miles(id: &str, format: &str) -> Meta {
    let mut meta = Meta::unknown(id, format);
    meta.survey = Survey::Miles;
    meta.medium = Known::new(Medium::Air, Source::Survey);
    meta.frame = Known::new(Frame::Rest, Source::Survey);
    meta.resolving_power = Survey::Miles.resolving_power().map(|r| Known::new(r, Source::Survey));
    meta.notes
        .push(format!("MILES has a constant FWHM of {MILES_FWHM_AA} Å: its resolving power grows with wavelength"));
    meta
}

/// Facts from the headers; of the two, the HDU's own counts first. `medium`: what the file says, and what is usual.
fn meta(headers: &[&Header; 2], stem: &str, format: &str, medium: (Option<Medium>, Medium)) -> Meta {
    let mut meta = Meta::unknown(stem, format);
    set_medium(&mut meta, medium.0, medium.1);
    set_frame(&mut meta, frame_in(headers));
    meta.resolving_power = resolution_in(headers).map(|r| Known::new(r, Source::File));
    let number = |key: &str| headers.iter().find_map(|h| h.number(key));
    meta.ra_deg = number("RA").filter(|v| (0.0..=360.0).contains(v));
    meta.dec_deg = number("DEC").filter(|v| (-90.0..=90.0).contains(v));
    meta
}

fn medium_in(headers: &[&Header]) -> Option<Medium> {
    let flag = |key: &str| headers.iter().find_map(|h| h.logical(key));
    let word = ["AIRORVAC", "WAVEMED", "MEDIUM"].iter().find_map(|key| headers.iter().find_map(|h| h.text(key)));
    match (flag("VACUUM"), word.map(str::to_lowercase)) {
        (Some(true), _) => Some(Medium::Vacuum),
        (Some(false), _) => Some(Medium::Air),
        (None, Some(word)) if word.starts_with("air") => Some(Medium::Air),
        (None, Some(word)) if word.starts_with("vac") => Some(Medium::Vacuum),
        _ => None,
    }
}

fn frame_in(headers: &[&Header]) -> Option<Frame> {
    let frame = headers.iter().find_map(|h| h.text("SPECSYS"))?.to_uppercase();
    match frame.get(..3)? {
        "BAR" | "HEL" => Some(Frame::Barycentric),
        "TOP" => Some(Frame::Topocentric),
        "SOU" => Some(Frame::Rest),
        _ => None,
    }
}

/// λ/FWHM from the keywords in use; a FWHM in Å is brought to it at the reference wavelength.
fn resolution_in(headers: &[&Header]) -> Option<f64> {
    let number = |key: &str| headers.iter().find_map(|h| h.number(key));
    ["SPEC_RES", "SPECRES", "RESOLUTI", "RESOLUTION", "RESOLVE", "RESPOWER", "R"]
        .iter()
        .find_map(|key| number(key))
        .filter(|r| (100.0..1e6).contains(r))
        .or_else(|| number("FWHM").filter(|f| (0.01..20.0).contains(f)).map(|f| REFERENCE_AA / f))
}
