//! Axes of type `-TAB`: wavelengths in a column of a table (paper III, §6).

use super::HeaderAxis;
use crate::read::axis::{Axis, Scale};
use crate::read::error::ReadError;
use crate::read::fits::{Fits, Header};
use crate::read::medium::medium_of_text;
use crate::read::unit::{UnitHint, stated_unit};
use crate::spectrum::Medium;

/// True for a first axis of type `WAVE-TAB` or `AWAV-TAB`.
pub(super) fn identify(header: &Header) -> bool {
    header.text("CTYPE1").is_some_and(|kind| kind.to_uppercase().trim().ends_with("-TAB"))
}

/// The wavelengths of `pixels` pixels, interpolated in the column `PS1_1` of the table `PS1_0`. `PS1_2` may name a column
/// with the coordinate of each wavelength; without it, they are numbered from 1.
pub(super) fn read(fits: &Fits, header: &Header, pixels: usize) -> Result<HeaderAxis, ReadError> {
    let problem = |problem: &str| ReadError::Layout {
        place: "the look-up table of the axis (CTYPE1 = …-TAB)".into(),
        problem: format!("{problem}; give a table of wavelengths and fluxes"),
    };
    let name = header.text("PS1_0").unwrap_or("").trim();
    let table =
        fits.find_by_name(name).and_then(|hdu| hdu.table()).ok_or_else(|| problem("PS1_0 names no table"))??;
    let numbers = |key: &str| {
        let column = header.text(key).and_then(|column| table.column(column.trim()));
        column.map(|column| table.numbers(column).map(|v| (column.unit.clone(), v))).transpose()
    };
    let (column_unit, wave) = numbers("PS1_1")?.ok_or_else(|| problem("PS1_1 names no column of it"))?;
    let index = numbers("PS1_2")?.map(|(_, index)| index);
    if wave.len() < 2 || index.as_ref().is_some_and(|index| index.len() != wave.len()) {
        return Err(problem("its columns PS1_1 and PS1_2 differ in length or are too short"));
    }
    let is_rising = |v: &[f64]| v.windows(2).all(|w| w[1] > w[0]);
    if index.as_ref().is_some_and(|index| !is_rising(index)) {
        return Err(problem("its column PS1_2 does not increase"));
    }
    let number = |key: &str, default| header.number(key).unwrap_or(default);
    let (first, reference) = (number("CRVAL1", 1.0), number("CRPIX1", 1.0));
    let step = header.number("CD1_1").or(header.number("CDELT1")).unwrap_or(1.0);
    let coordinate = |pixel: usize| first + step * (pixel as f64 + 1.0 - reference);
    let values = (0..pixels).map(|pixel| at(&wave, index.as_deref(), coordinate(pixel))).collect();
    let kind = header.text("CTYPE1").unwrap_or("").to_uppercase();
    let unit_text = header.text("CUNIT1").unwrap_or(&column_unit);
    let medium = match kind.get(..4) {
        Some("AWAV") => Some(Medium::Air),
        Some("WAVE") => Some(Medium::Vacuum),
        _ => medium_of_text(unit_text),
    };
    let (unit, scale) = match stated_unit(unit_text) {
        UnitHint::Length { unit, scale } => (Some(unit), scale.or(Some(Scale::Linear))),
        _ => (None, None),
    };
    Ok(HeaderAxis::new(Axis { medium, scale, unit }, values))
}

/// The wavelength at a coordinate, by linear interpolation; beyond the ends up to half a step.
fn at(wave: &[f64], index: Option<&[f64]>, coordinate: f64) -> f64 {
    let last = wave.len() - 2;
    let position = match index {
        None => coordinate - 1.0,
        Some(index) => {
            let i = index.partition_point(|v| *v <= coordinate).saturating_sub(1).min(last);
            i as f64 + (coordinate - index[i]) / (index[i + 1] - index[i])
        }
    };
    if !(-0.5..=last as f64 + 1.5).contains(&position) {
        return f64::NAN;
    }
    let i = (position.max(0.0) as usize).min(last);
    wave[i] + (position - i as f64) * (wave[i + 1] - wave[i])
}
