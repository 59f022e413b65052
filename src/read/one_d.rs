//! One-dimensional FITS spectra of no particular survey, and of the MILES library.
//!
//! Layouts: IRAF-style images (CRVAL1, CDELT1 or `CD1_1`, DC-FLAG), tables with a wavelength and a flux column, one-row
//! tables of vectors (ESO phase 3), and the files of the MILES library.
//!
//! Sources: FITS standard 4.0 §8 (spectral coordinates: `WAVE` vacuum, `AWAV` air, SPECSYS), IRAF's ONEDSPEC
//! documentation (DC-FLAG), ESO Science Data Products Standard (`SPEC_RES`; UCD `em.wl;obs.atmos` for air), MILES:
//! Sánchez-Blázquez et al. (2006) and Falcón-Barroso et al. (2011).

use super::axis::{Axis, Role, Unit, require, role};
use super::error::ReadError;
use super::fits::{Fits, Hdu, Header, Image};
use super::table::{self, Params, Table};
use super::{Contents, SkippedPart, columns, metadata};
use crate::spectrum::{Frame, Medium, Meta, Source, Sourced, Spectrum, Survey};

/// FWHM of the MILES library, Å.
const MILES_FWHM_AA: f64 = 2.5;

/// Reads the first HDU with spectra, and all later tables with the same columns.
pub(crate) fn read(fits: &Fits, stem: &str) -> Result<Contents, ReadError> {
    let (tables, mut damaged) = table::of_fits(fits);
    let mut next_table = tables.iter().peekable();
    let mut first_table: Option<&Table> = None;
    for hdu in &fits.hdus {
        let result = match hdu.image() {
            Some(image) => image.and_then(|i| read_image(fits, hdu, &i, stem)).map(|s| s.map(Contents::from_spectrum)),
            None => match next_table.next_if(|t| t.place == table::place_of(hdu)) {
                Some(table) => {
                    first_table = Some(table);
                    columns::read(table, &tables, stem)
                }
                None => continue,
            },
        };
        match result {
            Ok(Some(mut contents)) => {
                // A file may hold one star per HDU in the same layout, as the files of the Gaia archive do. HDUs with
                // another layout belong to the first star.
                let names = |t: &Table| t.columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
                let is_xp = contents.spectra.iter().all(|s| s.meta.survey == Survey::GaiaXp);
                let is_alike =
                    |t: &&Table| is_xp || first_table.is_some_and(|first_table| names(first_table) == names(t));
                for (i, table) in next_table.filter(is_alike).enumerate() {
                    match columns::read(table, &tables, &format!("{stem}-{}", i + 2)) {
                        Ok(more) => contents.add(more.unwrap_or_default()),
                        Err(error) => {
                            contents.skipped.push(SkippedPart { part: table.place.clone(), reason: error.to_string() })
                        }
                    }
                }
                return Ok(contents);
            }
            Ok(None) => {}
            Err(error @ ReadError::Unsupported { .. }) => return Err(error),
            Err(error) => {
                damaged.get_or_insert(error);
            }
        }
    }
    if damaged.is_none() && tables.iter().any(columns::is_labels) {
        return Err(ReadError::LabelTable);
    }
    Err(damaged.unwrap_or_else(|| fits.no_spectrum_error()))
}

/// Reads an image; `Ok(None)` if it has no linear or logarithmic axis of wavelengths.
fn read_image(fits: &Fits, hdu: &Hdu, image: &Image, stem: &str) -> Result<Option<Spectrum>, ReadError> {
    let header = &hdu.header;
    let Some((axis, values)) = image_axis(header, image.width()) else { return Ok(None) };
    if image.rows() > 4 {
        return Ok(None);
    }
    let place = format!("the image in HDU {}", hdu.index);
    let flux = require(image.row(0), &place, "it has no row of fluxes; export it again")?;
    let is_miles = header.text("TPLLIB").is_some_and(|l| l.eq_ignore_ascii_case("MILES")) || is_miles_axis(&values);
    let params = Params::of_headers(header, &Params::of_header(fits.primary()));
    let (wave_aa, note) = axis.to_aa(values);
    let mut meta = if is_miles {
        miles(stem, "MILES star, one-dimensional FITS image")
    } else {
        metadata::meta(&params, stem, "one-dimensional FITS image", (axis.medium, Medium::Air))
    };
    meta.notes.extend(note);
    if image.rows() > 1 {
        meta.notes.push(format!("the image has {} rows; only the first is read", image.rows()));
    }
    Spectrum::new(meta, wave_aa, flux, None, None).map(Some).map_err(ReadError::samples(place))
}

/// The wavelength axis of an image; `Axis` gives medium, unit and scale of the values.
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
    // CTYPE1 often says LINEAR for a logarithmic axis; DC-FLAG and the values are reliable.
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
    // The remaining checks exclude axes that are not wavelengths, such as pixel numbers and pixel scales of images.
    let scale = unit.filter(|_| log10 != Some(true)).map_or(1.0, Unit::in_aa);
    let has_span = values.last().zip(values.first()).is_some_and(|(a, b)| (a - b).abs() * scale > 0.02);
    let is_positive = values.iter().all(|v| *v > 0.0 && v.is_finite());
    let is_pixel_axis = kind.is_empty() && unit.is_none() && first <= 1.0 && step == 1.0;
    let is_other = ["RA--", "DEC-", "GLON", "GLAT", "PIXE", "MULT", "FREQ", "VELO", "VOPT", "VRAD", "ENER", "WAVN"]
        .iter()
        .any(|k| kind.starts_with(k));
    (has_span && is_positive && !is_pixel_axis && !is_other).then_some((Axis { medium, log10, unit }, values))
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
