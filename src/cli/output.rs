//! Where results go and how a table's cells are written.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context;

use crate::result::Estimate;

/// Digits written beyond those that the error makes worth reading, so that nothing is lost by rounding.
const GUARD_DIGITS: i32 = 3;

/// Forms of a table that are written now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// One header line, then one line a row.
    Csv,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// For clap.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        match name {
            "csv" => Ok(Format::Csv),
            "json" => Ok(Format::Json),
            "votable" | "fits" => Err("not written by this version; use csv or json".into()),
            _ => Err("the formats are csv and json".into()),
        }
    }
}

/// Opens standard output (`-` or nothing) or a file.
pub(super) fn open(path: Option<&Path>) -> anyhow::Result<Box<dyn Write>> {
    match path {
        None => Ok(Box::new(BufWriter::new(io::stdout()))),
        Some(path) if path.as_os_str() == "-" => Ok(Box::new(BufWriter::new(io::stdout()))),
        Some(path) => {
            let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            Ok(Box::new(BufWriter::new(file)))
        }
    }
}

/// True when the reader of our output has gone, which is its right.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|e| e.downcast_ref::<io::Error>()).any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Cells as one CSV line (RFC 4180, with a bare line feed as everybody has it).
pub(super) fn csv_line<S: AsRef<str>>(cells: impl IntoIterator<Item = S>) -> String {
    let quoted = |cell: S| match cell.as_ref() {
        c if c.contains([',', '"', '\n', '\r']) => format!("\"{}\"", c.replace('"', "\"\"")),
        c => c.to_owned(),
    };
    let mut line = cells.into_iter().map(quoted).collect::<Vec<_>>().join(",");
    line.push('\n');
    line
}

/// Value and error of an estimate to [`GUARD_DIGITS`] more digits than are worth reading; `None` for what is not finite.
pub(super) fn numbers(estimate: &Estimate) -> (Option<f64>, Option<f64>) {
    let magnitude =
        if estimate.error.is_finite() && estimate.error > 0.0 { estimate.error.log10().floor() } else { 0.0 };
    let decimals = (1 - magnitude as i32 + GUARD_DIGITS).clamp(0, 12);
    (rounded(estimate.value, decimals), rounded(estimate.error, decimals))
}

/// A number to some decimals, `None` when it is not finite.
pub(super) fn rounded(value: f64, decimals: i32) -> Option<f64> {
    let scale = 10f64.powi(decimals);
    // `+ 0.0` turns −0 into 0.
    value.is_finite().then(|| (value * scale).round() / scale + 0.0)
}

/// A number as a cell, empty when there is none.
pub(super) fn cell(value: Option<f64>) -> String {
    value.map_or_else(String::new, |v| v.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Label;

    #[test]
    fn cells_with_separators_are_quoted() {
        assert_eq!(csv_line(["a", "b,c", "d\"e"]), "a,\"b,c\",\"d\"\"e\"\n");
    }

    #[test]
    fn rounding_loses_less_than_a_thousandth_of_the_error() {
        for (value, error) in [(5705.123456, 81.98765), (-0.4287654, 0.0512345), (4.3, 1e-9), (-1234.5, 999.0)] {
            let (v, e) = numbers(&Estimate { label: Label::Teff, value, error });
            assert!((v.unwrap_or(f64::NAN) - value).abs() <= 1e-3 * error.max(1e-8), "{v:?} for {value}");
            assert!((e.unwrap_or(f64::NAN) - error).abs() <= 1e-3 * error.max(1e-8), "{e:?} for {error}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_an_empty_cell() {
        assert_eq!(cell(rounded(f64::NAN, 2)), "");
        assert_eq!(cell(rounded(-0.0001, 2)), "0");
    }
}
