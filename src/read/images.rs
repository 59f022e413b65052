//! Spectra from FITS images, plain or tile-compressed.
//!
//! The fluxes are an image with one spectrum a row. Their wavelengths are, in this order: an image or a table column of
//! wavelengths in an HDU of its own; the axis in the header (`wcs`); or a row of wavelengths in the same image. Errors
//! and mask may be images of their own, rows of the image, or a band (third axis) of IRAF.

use super::axis::{Axis, Role, counts_pixels, require, role, words};
use super::error::{ReadError, truncate};
use super::fits::{Fits, Hdu, Header, Image};
use super::medium::{medium_of_comments, medium_of_text};
use super::metadata::{self, set_stated};
use super::one_d::{is_miles_axis, miles};
use super::samples::{Errors, MaskConvention, Samples};
use super::table::{Params, Table};
use super::text::is_like_sigma;
use super::wcs::{self, HeaderAxis, RowAxes};
use super::{Contents, MAX_PIXELS, SkippedPart, columns, labels};
use crate::spectrum::{self, MIN_PIXELS, Medium, Meta};

/// Maximum number of rows of an image without a list of apertures; more rows are an image of the slit.
const MAX_ROWS: usize = 32;

/// Maximum number of rows of an image that has a row of wavelengths.
const MAX_STACKED_ROWS: usize = 6;

/// Range of plausible wavelengths, Å.
const WAVE_RANGE_AA: std::ops::Range<f64> = 800.0..60_000.0;

/// What the image of an HDU holds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Content {
    Flux,
    Wavelength(Axis),
    Errors(Role),
    Mask(MaskConvention),
    /// Models, continua, sky: nothing that is read.
    Other,
    Unknown,
}

struct Plane<'f, 'a> {
    hdu: &'f Hdu<'a>,
    image: Image<'a>,
    content: Content,
}

/// Reads all spectra in the images of a file; `None` if it has no image of fluxes with wavelengths.
///
/// # Errors
/// If there are fluxes and wavelengths that do not fit together, or a kind of axis that is not read.
pub(crate) fn read(fits: &Fits, tables: &[Table], stem: &str) -> Result<Option<Contents>, ReadError> {
    let mut planes = Vec::new();
    for hdu in &fits.hdus {
        if let Some(image) = hdu.image() {
            let content = content_of(hdu);
            match image {
                Ok(image) => planes.push(Plane { hdu, image, content }),
                Err(error) if matches!(content, Content::Flux | Content::Unknown) => return Err(error),
                Err(_) => {}
            }
        }
    }
    let is = |wanted: Content| move |plane: &&Plane| plane.content == wanted;
    let flux = planes.iter().find(is(Content::Flux)).or_else(|| planes.iter().find(is(Content::Unknown)));
    let is_normalised = |plane: &&Plane| plane.content == Content::Other && is_named(plane.hdu, "norm");
    let Some(flux) = flux.or_else(|| planes.iter().find(is_normalised)) else { return Ok(None) };
    let mut contents = Contents::default();
    if !read_plane(fits, flux, &planes, tables, stem, &mut contents)? {
        return Ok(None);
    }
    // Further spectra, each an image with an axis of its own.
    let more: Vec<&Plane> = planes
        .iter()
        .filter(|p| p.hdu.index > flux.hdu.index && p.content == flux.content && p.content != Content::Other)
        .filter(|p| p.image.rows() == flux.image.rows())
        .filter(|p| matches!(wcs::read(&p.hdu.header, &wcs::Keys::image(), p.image.width()), Ok(Some(_))))
        .collect();
    for plane in more {
        let name = if plane.hdu.name().is_empty() { plane.hdu.index.to_string() } else { truncate(plane.hdu.name()) };
        if let Err(error) = read_plane(fits, plane, &[], &[], &format!("{stem}-{name}"), &mut contents) {
            contents.skipped.push(SkippedPart { part: place_of(plane.hdu), reason: error.to_string() });
        }
    }
    Ok(Some(contents))
}

fn place_of(hdu: &Hdu) -> String {
    format!("the image in HDU {}", hdu.index)
}

/// True if a word of the name of the HDU begins with `start`.
fn is_named(hdu: &Hdu, start: &str) -> bool {
    hdu.name().to_lowercase().split(|c: char| !c.is_alphanumeric()).any(|word| word.starts_with(start))
}

fn content_of(hdu: &Hdu) -> Content {
    const OTHERS: [&str; 17] = [
        "cont", "model", "sky", "templ", "fit", "resp", "tell", "telu", "norm", "wdisp", "resol", "res", "snr", "back",
        "expmap", "scat", "cross",
    ];
    let name = hdu.name();
    let lower = name.to_lowercase();
    if let Some(mask) = MaskConvention::from_name(name) {
        return Content::Mask(mask);
    }
    if lower == "stat" {
        // The variances of ESO's cubes, beside DATA.
        return Content::Errors(Role::Variance);
    }
    let is_other = |word: &&str| is_named(hdu, word);
    match role(name, hdu.header.text("BUNIT").unwrap_or("")) {
        Some(Role::Wavelength(axis)) => Content::Wavelength(axis),
        // GALAH has the sky and the normalised spectrum beside the spectrum.
        Some(Role::Flux) if ["sky", "norm", "model"].iter().any(is_other) => Content::Other,
        Some(Role::Flux) => Content::Flux,
        Some(error) => Content::Errors(error),
        None if OTHERS.iter().any(is_other) => Content::Other,
        // WEAVE has RED_DATA, and RED_DATA_NOSS before the sky was subtracted.
        None if lower.split('_').any(|w| ["sci", "data"].contains(&w)) => Content::Flux,
        None => Content::Unknown,
    }
}

/// Reads the spectra of an image of fluxes; `false` if they have no wavelengths.
fn read_plane(
    fits: &Fits,
    plane: &Plane,
    planes: &[Plane],
    tables: &[Table],
    stem: &str,
    contents: &mut Contents,
) -> Result<bool, ReadError> {
    let (header, image, place) = (&plane.hdu.header, &plane.image, place_of(plane.hdu));
    let (width, rows) = (image.width(), image.axes.get(1).copied().unwrap_or(1));
    if width > spectrum::MAX_PIXELS {
        let problem =
            format!("its rows have {width} pixels, more than the longest spectrum that is read; cut it into parts");
        return Err(ReadError::Layout { place, problem });
    }
    if width.saturating_mul(image.rows()) > MAX_PIXELS {
        return Err(ReadError::Layout { place, problem: "it has more than 40 million pixels; split it".into() });
    }
    let params = Params::of_headers(header, &Params::of_header(fits.primary()));
    let row_of =
        |row: usize| require(image.row(row), &place, "its row of fluxes cannot be unpacked; download it again");
    let comments = [fits.primary().comments(), header.comments()].concat();
    let of_comments = medium_of_comments(&comments);
    let build = |samples: Samples, axis_medium: Option<Medium>, note: Option<String>, id: &str| {
        let mut meta = meta(header, &params, &samples.wave_aa, axis_medium.or(of_comments), id);
        meta.notes.extend(note);
        samples.into_spectrum(meta).map_err(ReadError::samples(place.clone()))
    };

    let of_header = || match wcs::of_image(fits, header, width, rows)? {
        None if plane.hdu.index > 0 => wcs::of_image(fits, fits.primary(), width, rows),
        axes => Ok(axes),
    };
    let own = own_wavelengths(plane, planes, tables, width, rows)?;
    let Some(axes) = own.map_or_else(of_header, |axes| Ok(Some(axes)))? else {
        let Some((samples, note)) = stacked(image) else { return Ok(false) };
        contents.spectra.push(build(samples, None, Some(note), stem)?);
        return Ok(true);
    };
    let has_apertures = header.has("APNUM1") || header.text("WAT0_001").is_some_and(|w| w.contains("spec"));
    // A table with a row for each row of the image names the fibres.
    let fibers = tables.iter().find(|t| rows > 1 && t.rows == rows);
    let has_apertures = has_apertures || fibers.is_some();
    if rows > MAX_ROWS && !has_apertures && planes.iter().all(|p| !matches!(p.content, Content::Wavelength(_))) {
        let problem = format!(
            "it has {rows} rows, so it is an image of the slit; extract the spectrum of the star and give that"
        );
        return Err(ReadError::Layout { place, problem });
    }
    let own = |wanted: &dyn Fn(Content) -> bool| {
        planes.iter().find(|p| wanted(p.content) && p.image.width() == width && p.image.rows() == image.rows())
    };
    let error_plane = own(&|content| matches!(content, Content::Errors(_)));
    let mask_plane = own(&|content| matches!(content, Content::Mask(_)));
    let sigma_band =
        (2..=9).find(|band| header.text(&format!("BANDID{band}")).is_some_and(|id| id.starts_with("sigma")));
    let row_roles = row_roles(header, image, rows, has_apertures);
    let n_spectra = row_roles.iter().filter(|role| role.is_none()).count();
    let sky: Vec<String> = (0..rows).filter(|row| is_sky(header, *row)).map(|row| (row + 1).to_string()).collect();
    if !sky.is_empty() {
        let part = format!("{} sky apertures", sky.len());
        let reason = format!("APIDn in the header calls rows {} of {place} sky", sky.join(", "));
        contents.skipped.push(SkippedPart { part, reason });
    }
    let id_column = fibers.and_then(|t| Some((t, labels::id_column(t.columns.iter().map(|c| c.name.as_str()))?)));
    let id_of = |row: usize| id_column.and_then(|(t, column)| t.text(row, column));
    let is_echelle = fibers.is_none() && n_spectra == rows && axes.are_orders();
    let mut orders = Vec::new();
    let mut failures = Vec::new();
    for row in (0..rows).filter(|row| row_roles[*row].is_none()) {
        let errors = match (error_plane, sigma_band) {
            (Some(Plane { hdu, image, content: Content::Errors(role) }), _) => {
                let mut values = image.row(row);
                // GALAH's errors are a fraction of the flux: input_sigma up to DR3, relative_error in DR4.
                if (is_named(hdu, "relative") || hdu.name().eq_ignore_ascii_case("input_sigma")) && *role == Role::Sigma
                {
                    values = values
                        .zip(plane.image.row(row))
                        .map(|(v, flux)| v.iter().zip(&flux).map(|(v, f)| v * f.abs()).collect());
                }
                values.and_then(|v| Errors::of(Some(*role), v))
            }
            (_, Some(band)) => image.row((band - 1) * rows + row).map(Errors::Sigma),
            // The errors of a single spectrum may be another row.
            _ if n_spectra == 1 => (0..rows)
                .find_map(|r| row_roles[r].filter(|role| role.is_error()).map(|role| (role, r)))
                .and_then(|(role, r)| Errors::of(Some(role), image.row(r)?)),
            _ => None,
        };
        let mask = mask_plane.and_then(|p| match p.content {
            Content::Mask(convention) => p.image.row(row).map(|mask| (convention, mask)),
            _ => None,
        });
        let numbered = || if n_spectra > 1 { format!("{stem}-{}", row + 1) } else { stem.to_string() };
        let id = id_of(row).unwrap_or_else(numbered);
        let spectrum = axes.row(row).and_then(|axis| {
            let samples = Samples { wave_aa: axis.wave_aa, flux: row_of(row)?, errors, mask };
            if is_echelle {
                orders.push((samples, axis.medium, axis.note));
                return Ok(None);
            }
            build(samples, axis.medium, axis.note, &id).map(Some)
        });
        match spectrum {
            Ok(spectrum) => contents.spectra.extend(spectrum),
            Err(error) if n_spectra == 1 => return Err(error),
            Err(error) => failures.push((row, error)),
        }
    }
    // One reason for all rows is the reason for the image.
    if failures.len() == n_spectra
        && failures.windows(2).all(|pair| pair[0].1 == pair[1].1)
        && let Some((_, error)) = failures.pop()
    {
        return Err(error);
    }
    contents.skipped.extend(
        failures
            .into_iter()
            .map(|(row, error)| SkippedPart { part: format!("row {} of {place}", row + 1), reason: error.to_string() }),
    );
    if let Some((first, medium, note)) = orders.pop() {
        let samples = orders.into_iter().rev().fold(first, |all, (order, ..)| order.followed_by(all));
        contents.spectra.push(build(samples, medium, note, stem)?);
    }
    Ok(true)
}

fn meta(header: &Header, params: &Params, wave_aa: &[f64], medium: Option<Medium>, id: &str) -> Meta {
    let is_miles = header.text("TPLLIB").is_some_and(|l| l.eq_ignore_ascii_case("MILES")) || is_miles_axis(wave_aa);
    if is_miles && medium != Some(Medium::Vacuum) {
        let mut meta = miles(id, "MILES star, one-dimensional FITS image");
        set_stated(&mut meta, params);
        return meta;
    }
    metadata::meta(params, id, "one-dimensional FITS image", (medium, Medium::Air))
}

/// Wavelengths in an image or a table column of their own.
fn own_wavelengths(
    flux: &Plane,
    planes: &[Plane],
    tables: &[Table],
    width: usize,
    rows: usize,
) -> Result<Option<RowAxes>, ReadError> {
    let header_medium = |header: &Header| header.text("AIRORVAC").and_then(medium_of_text);
    for plane in planes {
        let Content::Wavelength(axis) = plane.content else { continue };
        let n = plane.image.rows();
        if plane.image.width() != width || n != 1 && n != rows {
            let problem = format!(
                "the wavelengths in HDU {} have {} × {n} values, but the fluxes {width} × {rows}; they must be equal",
                plane.hdu.index,
                plane.image.width()
            );
            return Err(ReadError::Layout { place: place_of(flux.hdu), problem });
        }
        let row = |row: usize| {
            let values = require(plane.image.row(row), &place_of(plane.hdu), "it cannot be unpacked")?;
            let (wave_aa, note) = axis.to_aa(values);
            Ok(HeaderAxis { wave_aa, medium: axis.medium.or_else(|| header_medium(&plane.hdu.header)), note })
        };
        let axes = if n == 1 { RowAxes::Same(row(0)?) } else { RowAxes::Each((0..rows).map(row).collect()) };
        return Ok(Some(axes));
    }
    if wcs::is_lookup(&flux.hdu.header) {
        return Ok(None);
    }
    let of_column = |table: &Table| columns::wavelength_column(table, width).transpose();
    tables.iter().find_map(of_column).transpose().map(|axis| axis.map(RowAxes::Same))
}

/// The rows of an image that are no spectra, with their role; `None` for a spectrum.
///
/// `ARRAYn` or `ROWn` names a row. Without names, rows of an image without a list of apertures that look like the errors
/// of the first row are errors.
fn row_roles(header: &Header, image: &Image, rows: usize, has_apertures: bool) -> Vec<Option<Role>> {
    let first = image.row(0).unwrap_or_default();
    let named = |row: usize| {
        let name = ["ARRAY", "ROW"].iter().find_map(|key| header.text(&format!("{key}{}", row + 1)));
        name.and_then(|name| role(name, ""))
    };
    let by_values = |row: usize| {
        let values = image.row(row)?;
        (row > 0 && !has_apertures && is_like_sigma(&values, &first)).then_some(Role::Sigma)
    };
    let is_empty = |row: usize| image.row(row).is_none_or(|v| v.iter().all(|f| !f.is_finite() || *f == 0.0));
    let role = |row: usize| match named(row) {
        Some(Role::Flux) => None,
        Some(role) => Some(role),
        // An aperture without a measured pixel, or of the sky, is no spectrum. The role serves only to leave it out.
        None if rows > 1 && is_empty(row) || is_sky(header, row) => Some(Role::Wavelength(Axis::default())),
        None => by_values(row),
    };
    (0..rows).map(role).collect()
}

/// True if IRAF's title of an aperture has the word sky.
fn is_sky(header: &Header, row: usize) -> bool {
    let title = header.text(&format!("APID{}", row + 1)).unwrap_or("").to_lowercase();
    words(&title).any(|word| word == "sky")
}

/// A spectrum in an image with a row, or a column, of wavelengths, then fluxes and possibly errors.
fn stacked(image: &Image) -> Option<(Samples, String)> {
    let (width, n) = (image.width(), image.rows());
    let mut rows: Vec<Vec<f64>> = match (width, n) {
        (_, 2..=MAX_STACKED_ROWS) if width >= MIN_PIXELS => (0..n).map_while(|row| image.row(row)).collect(),
        (2..=MAX_STACKED_ROWS, _) if n >= MIN_PIXELS && image.axes.len() == 2 => {
            let all: Vec<Vec<f64>> = (0..n).map_while(|row| image.row(row)).collect();
            (0..width).map(|column| all.iter().map(|row| row[column]).collect()).collect()
        }
        _ => return None,
    };
    let at = rows.iter().position(|row| is_wavelengths(row)).filter(|_| rows.len() > 1)?;
    let (wave_aa, note) = Axis::default().to_aa(rows.remove(at));
    let flux = rows.remove(0);
    let errors = rows.iter().position(|row| is_like_sigma(row, &flux)).map(|i| Errors::Sigma(rows.swap_remove(i)));
    let found = format!(
        "row {} of the image holds the wavelengths{}",
        at + 1,
        note.map_or(String::new(), |n| format!("; {n}"))
    );
    Some((Samples { wave_aa, flux, errors, mask: None }, found))
}

/// True for strictly monotonic values that are plausible wavelengths.
fn is_wavelengths(values: &[f64]) -> bool {
    let is_monotonic = values.windows(2).all(|w| w[1] > w[0]) || values.windows(2).all(|w| w[1] < w[0]);
    let (aa, _) = Axis::default().to_aa(values.to_vec());
    is_monotonic && !counts_pixels(values) && aa.iter().all(|w| WAVE_RANGE_AA.contains(w))
}
