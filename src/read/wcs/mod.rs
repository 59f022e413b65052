//! Wavelength axes in FITS headers: linear, log10, ln, `WAVE-LOG`, look-up table (`-TAB`) and IRAF's multispec.
//!
//! Sources: FITS standard 4.0 §8 and papers I and III on world coordinates (Greisen & Calabretta 2002; Greisen et al.
//! 2006), IRAF's ONEDSPEC documentation (DC-FLAG, WAT keywords).

mod lookup;
mod multispec;

use super::axis::{Axis, Scale};
use super::error::{ReadError, truncate};
use super::fits::{Fits, Header};
use super::medium::medium_of_text;
use super::samples::{MAX_ORDERS, are_orders};
use super::unit::{UnitHint, stated_unit};
use crate::spectrum::Medium;

/// Ranges of log10 and ln of wavelengths in Å.
const LOG10_RANGE: std::ops::Range<f64> = 3.0..4.7;
const LN_RANGE: std::ops::Range<f64> = 7.0..11.0;

/// Types of axes that are not of a spectrum.
const OTHER_TYPES: [&str; 7] = ["RA--", "DEC-", "GLON", "GLAT", "PIXE", "TIME", "STOK"];

/// Types of axes of a spectrum that are not wavelengths.
const OTHER_SPECTRAL_TYPES: [&str; 6] = ["FREQ", "VELO", "VOPT", "VRAD", "ENER", "WAVN"];

/// A wavelength axis from a header.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HeaderAxis {
    /// Wavelengths in Å, one a pixel.
    pub wave_aa: Vec<f64>,
    /// Air or vacuum, if the axis states it.
    pub medium: Option<Medium>,
    /// Remark that unit or scale were inferred.
    pub note: Option<String>,
}

impl HeaderAxis {
    fn new(axis: Axis, values: Vec<f64>) -> Self {
        let (wave_aa, note) = axis.to_aa(values);
        Self { wave_aa, medium: axis.medium, note }
    }
}

/// The axes of the rows of an image.
#[derive(Debug, Clone)]
pub(crate) enum RowAxes {
    /// One axis for all rows.
    Same(HeaderAxis),
    /// An axis for each row, or why it is not read.
    Each(Vec<Result<HeaderAxis, ReadError>>),
}

impl RowAxes {
    /// The axis of a row.
    pub(crate) fn row(&self, row: usize) -> Result<HeaderAxis, ReadError> {
        let missing = || ReadError::Layout { place: format!("row {}", row + 1), problem: "it has no axis".into() };
        match self {
            Self::Same(axis) => Ok(axis.clone()),
            Self::Each(axes) => axes.get(row).cloned().unwrap_or_else(|| Err(missing())),
        }
    }

    /// True if the rows are orders of one spectrum.
    pub(crate) fn are_orders(&self) -> bool {
        match self {
            Self::Each(axes) if axes.len() <= MAX_ORDERS => {
                let wave: Option<Vec<Vec<f64>>> = axes.iter().map(|a| Some(a.as_ref().ok()?.wave_aa.clone())).collect();
                wave.is_some_and(|rows| are_orders(&rows))
            }
            _ => false,
        }
    }
}

/// Names of the keywords of an axis.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    first: String,
    /// `CDi_i`, which replaces `CDELTi`.
    matrix_step: String,
    step: String,
    /// `PCi_i`, a factor of `CDELTi`.
    factor: String,
    reference: String,
    kind: String,
    unit: String,
}

impl Keys {
    /// The first axis of an image.
    pub(crate) fn image() -> Self {
        Self::new(["CRVAL1", "CD1_1", "CDELT1", "PC1_1", "CRPIX1", "CTYPE1", "CUNIT1"])
    }

    /// The keywords that tables of arrays use for all their arrays: without a number (SDSS-V), as of an image, or those
    /// of an array in column `column` (from 0) by the FITS standard.
    pub(crate) fn of_table(column: usize) -> [Self; 3] {
        let n = column + 1;
        let standard = [
            format!("1CRVL{n}"),
            format!("11CD{n}"),
            format!("1CDLT{n}"),
            format!("11PC{n}"),
            format!("1CRPX{n}"),
            format!("1CTYP{n}"),
            format!("1CUNI{n}"),
        ];
        [Self::new(standard), Self::new(["CRVAL", "CD1_1", "CDELT", "PC1_1", "CRPIX", "CTYPE", "CUNIT"]), Self::image()]
    }

    fn new<S: Into<String>>(keys: [S; 7]) -> Self {
        let [first, matrix_step, step, factor, reference, kind, unit] = keys.map(Into::into);
        Self { first, matrix_step, step, factor, reference, kind, unit }
    }
}

/// True for an axis whose wavelengths are in a table that the header names.
pub(crate) fn is_lookup(header: &Header) -> bool {
    lookup::identify(header)
}

/// The axes of an image of `rows` × `pixels`; `None` if the header has no wavelength axis.
///
/// # Errors
/// If it has an axis of a kind that is not read.
pub(crate) fn of_image(fits: &Fits, header: &Header, pixels: usize, rows: usize) -> Result<Option<RowAxes>, ReadError> {
    if multispec::identify(header) {
        return Ok(Some(RowAxes::Each(multispec::read(header, pixels, rows))));
    }
    if lookup::identify(header) {
        return lookup::read(fits, header, pixels).map(|axis| Some(RowAxes::Same(axis)));
    }
    Ok(read(header, &Keys::image(), pixels)?.map(RowAxes::Same))
}

/// The linear or logarithmic axis of `pixels` pixels; `None` if the header has none.
///
/// # Errors
/// If it has an axis with an algorithm that is not read.
pub(crate) fn read(header: &Header, keys: &Keys, pixels: usize) -> Result<Option<HeaderAxis>, ReadError> {
    let Some((first, step, reference)) = linear(header, keys) else { return Ok(coefficients(header, pixels)) };
    let kind = header.text(&keys.kind).unwrap_or("").trim().to_uppercase();
    let code = kind.get(..4).filter(|_| kind.len() == 4 || kind.as_bytes().get(4) == Some(&b'-'));
    let by_type = match code {
        Some("AWAV") => Some(Medium::Air),
        Some("WAVE") => Some(Medium::Vacuum),
        _ => None,
    };
    if OTHER_TYPES.iter().any(|other| kind.starts_with(other)) {
        return Ok(None);
    }
    let place = || format!("the axis {}", keys.kind);
    if OTHER_SPECTRAL_TYPES.iter().any(|other| kind.starts_with(other)) {
        let problem =
            format!("“{}” is not a wavelength; convert the axis to wavelengths in Å, nm or µm", truncate(&kind));
        return Err(ReadError::Layout { place: place(), problem });
    }
    let algorithm = kind.get(5..).filter(|_| by_type.is_some()).unwrap_or("");
    if !["", "LOG", "LIN"].contains(&algorithm) {
        let problem = format!(
            "“{}” is a non-linear axis, which is not read; resample the spectrum to a linear axis, or give a table of wavelengths and fluxes",
            truncate(&kind)
        );
        return Err(ReadError::Layout { place: place(), problem });
    }
    let unit_text = header.text(&keys.unit).map_or_else(|| watt_unit(header), str::to_string);
    let (unit, unit_scale) = match stated_unit(&unit_text) {
        UnitHint::Length { unit, scale } => (Some(unit), scale),
        UnitHint::Other if by_type.is_none() && is_other_unit(&unit_text) => return Ok(None),
        _ => (None, None),
    };
    let medium = by_type.or_else(|| medium_of_text(&unit_text)).or_else(|| medium_of_text(&kind));
    let last = first + step * (pixels as f64 - reference);
    let start = first + step * (1.0 - reference);
    let both_in = |range: std::ops::Range<f64>| range.contains(&start) && range.contains(&last);
    // CTYPE1 often says LINEAR, and DC-FLAG 0, for a logarithmic axis: wavelengths below 12 Å are none of a star.
    let by_values = match unit.map_or(1.0, super::unit::Unit::in_aa) {
        scale if scale > 10.0 => None,
        _ if both_in(LOG10_RANGE) => Some(Scale::Log10),
        _ if both_in(LN_RANGE) => Some(Scale::Ln),
        _ => None,
    };
    let stated = unit_scale.or_else(|| scale_of_type(&kind)).or(match header.integer("DC-FLAG") {
        Some(1) => Some(Scale::Log10),
        _ => None,
    });
    let scale = match (stated, by_values) {
        // A word “log” may mean ln. The values decide.
        (Some(Scale::Log10), Some(Scale::Ln)) => Some(Scale::Ln),
        (Some(stated), _) => Some(stated).filter(|_| start < 30.0),
        (None, inferred) => inferred.filter(|_| algorithm == "LOG"),
    };
    // FITS "-LOG" axes are linear in ln λ about CRVAL1: λ = CRVAL1·exp(w/CRVAL1).
    let is_exponential = algorithm == "LOG" && scale.is_none();
    let values: Vec<f64> = (0..pixels)
        .map(|i| {
            let offset = (i as f64 + 1.0 - reference) * step;
            if is_exponential { first * (offset / first).exp() } else { first + offset }
        })
        .collect();
    // Pixel numbers and the pixel scales of images are no wavelengths.
    let counts_pixels = step == 1.0 && start.abs() <= 1.0;
    let is_valid = values.iter().all(|v| v.is_finite() && (*v > 0.0 || scale.is_some()));
    let axis = HeaderAxis::new(Axis { medium, scale, unit }, values);
    let span_aa = axis.wave_aa.last().zip(axis.wave_aa.first()).map_or(0.0, |(a, b)| (a - b).abs());
    Ok(Some(axis).filter(|_| !counts_pixels && is_valid && span_aa > 0.02))
}

/// First value, step and reference pixel. A `CDi_i` replaces `CDELTi`; a `PCi_i` is a factor of it.
fn linear(header: &Header, keys: &Keys) -> Option<(f64, f64, f64)> {
    let first = header.number(&keys.first)?;
    let not_zero = |key: &str| header.number(key).filter(|s| *s != 0.0);
    let scaled = || not_zero(&keys.step).map(|step| step * not_zero(&keys.factor).unwrap_or(1.0));
    let step = not_zero(&keys.matrix_step).or_else(scaled)?;
    Some((first, step, header.number(&keys.reference).unwrap_or(1.0)))
}

/// SDSS's axis 10^(COEFF0 + COEFF1·i).
fn coefficients(header: &Header, pixels: usize) -> Option<HeaderAxis> {
    let (first, step) = (header.number("COEFF0")?, header.number("COEFF1")?);
    let is_plausible = LOG10_RANGE.contains(&first) && step != 0.0 && step.abs() < 1e-2;
    let values = (0..pixels).map(|i| first + step * i as f64).collect();
    is_plausible.then(|| HeaderAxis::new(Axis { scale: Some(Scale::Log10), ..Axis::default() }, values))
}

/// The unit in IRAF's attributes of the first axis: `wtype=linear label=Wavelength units=angstroms`.
fn watt_unit(header: &Header) -> String {
    let text = header.numbered_text("WAT1").to_lowercase();
    let unit = text.split_once("units=").map_or("", |(_, rest)| rest.trim_start_matches('"'));
    unit.split([' ', '"']).next().unwrap_or("").to_string()
}

fn is_other_unit(unit: &str) -> bool {
    let unit = unit.to_lowercase();
    ["deg", "hz", "ev", "km/s", "m/s", "pix", "arcsec", "s", "d", "day"]
        .iter()
        .any(|other| unit == *other || unit.ends_with("hz"))
}

/// Scale that the type of an axis names: `LOG-LINEAR`, `LOGLAM`, `LN-WAVE`; not FITS's `WAVE-LOG`.
fn scale_of_type(kind: &str) -> Option<Scale> {
    match kind {
        _ if kind.starts_with("LN") || kind.contains("LOGE") => Some(Scale::Ln),
        "WAVE-LOG" | "AWAV-LOG" => None,
        _ if kind.contains("LOG") => Some(Scale::Log10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
