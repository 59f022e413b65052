//! IRAF's multispec format: one dispersion for each row, in the attributes of the second axis.
//!
//! `specN = "aperture beam type w1 dw pixels z low high [functions]"`, in `WAT2_001`, `WAT2_002` … (IRAF, help specwcs).
//! Type 0 is linear, 1 log10, 2 a function of the pixel.

use super::{HeaderAxis, watt_unit};
use crate::read::axis::{Axis, Scale};
use crate::read::error::ReadError;
use crate::read::fits::{Header, parse_number};
use crate::read::medium::medium_of_text;
use crate::read::unit::{UnitHint, stated_unit};

/// Names of the functions of type 2, from number 1.
const FUNCTIONS: [&str; 6] = [
    "a Chebyshev polynomial",
    "a Legendre polynomial",
    "a cubic spline",
    "a linear spline",
    "a pixel list",
    "a sampled list",
];

/// True for an image in multispec format.
pub(super) fn identify(header: &Header) -> bool {
    header.text("CTYPE1").is_some_and(|kind| kind.starts_with("MULTISPE"))
        || header.text("WAT0_001").is_some_and(|text| text.contains("system=multispec"))
}

/// The wavelengths of each row, or why they are not read.
pub(super) fn read(header: &Header, pixels: usize, rows: usize) -> Vec<Result<HeaderAxis, ReadError>> {
    let text = header.numbered_text("WAT2");
    (1..=rows).map(|row| row_axis(header, &text, pixels, row)).collect()
}

fn row_axis(header: &Header, text: &str, pixels: usize, row: usize) -> Result<HeaderAxis, ReadError> {
    let problem = |problem: String| ReadError::Layout { place: "the IRAF multispec image (WAT2)".into(), problem };
    let missing = || {
        problem(format!(
            "spec{row} gives no dispersion; calibrate the wavelengths (refspectra, dispcor) and give the result"
        ))
    };
    let (_, rest) = text.split_once(&format!("spec{row} =")).ok_or_else(missing)?;
    let entry = rest.trim_start().strip_prefix('"').and_then(|r| r.split('"').next()).ok_or_else(missing)?;
    let numbers: Vec<f64> = entry.split_whitespace().map_while(parse_number).collect();
    let [_, _, kind, first, step, _, redshift, ..] = numbers[..] else { return Err(missing()) };
    let scale = match kind as i64 {
        0 => Scale::Linear,
        1 => Scale::Log10,
        // Weight, zero point and number of the function follow the limits of the aperture.
        2 => {
            let number = numbers.get(11).map_or(0, |n| *n as usize);
            let function = FUNCTIONS.get(number.wrapping_sub(1)).unwrap_or(&"an unknown function");
            return Err(problem(format!(
                "its dispersion is {function}, which is not read; run dispcor with linearize=yes to resample it to a linear axis"
            )));
        }
        _ => return Err(missing()),
    };
    if step == 0.0 || !step.is_finite() || 1.0 + redshift <= 0.0 {
        return Err(missing());
    }
    let values = (0..pixels).map(|i| first + step * i as f64).collect();
    let unit_text = watt_unit(header);
    let unit = match stated_unit(&unit_text) {
        UnitHint::Length { unit, .. } => Some(unit),
        _ => None,
    };
    let axis =
        Axis { medium: medium_of_text(&unit_text), scale: Some(scale).filter(|_| unit.is_some() || kind == 1.0), unit };
    let mut axis = HeaderAxis::new(axis, values);
    axis.wave_aa.iter_mut().for_each(|w| *w /= 1.0 + redshift);
    Ok(axis)
}
