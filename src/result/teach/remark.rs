//! What is wrong with labels, in words.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::FEWEST_LABELS;
use crate::result::Label;

/// One cell of a label column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Cell {
    /// Nothing there, or what tables write for it (`nan`, −9999, −999).
    Missing,
    /// A finite number.
    Number(f64),
    /// Something else.
    Text(String),
}

/// True of what tables write where nothing is known.
pub fn is_filler(value: f64) -> bool {
    !value.is_finite() || value <= -9999.0 || value == -999.0
}

impl Cell {
    /// Reads a cell.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        match text.parse::<f64>() {
            Ok(v) if !is_filler(v) => Self::Number(v),
            Ok(_) => Self::Missing,
            Err(_) if matches!(text.to_lowercase().as_str(), "" | "-" | "--" | "na" | "n/a" | "null" | "none") => {
                Self::Missing
            }
            Err(_) => Self::Text(text.chars().take(40).collect()),
        }
    }
}

impl From<Option<f64>> for Cell {
    fn from(value: Option<f64>) -> Self {
        value.filter(|v| v.is_finite()).map_or(Self::Missing, Self::Number)
    }
}

/// Something to know about the labels before they are learned from. What its text says is also what to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // The text of each says it.
pub enum Remark {
    /// Fatal.
    TooFew {
        target: String,
        usable: usize,
    },
    /// Fatal.
    Constant {
        target: String,
        value: f64,
        n: usize,
    },
    /// Fatal.
    OneGroup {
        group: String,
    },
    /// Fatal. `looks_like` is a label whose range the values do lie in.
    WrongUnit {
        label: Label,
        low: f64,
        high: f64,
        example: f64,
        n: usize,
        looks_like: Option<Label>,
    },
    /// Fatal.
    NotTaught {
        target: String,
    },
    Missing {
        n: usize,
    },
    Text {
        n: usize,
        example: String,
    },
    OutOfRange {
        label: Label,
        low: f64,
        high: f64,
        ids: Vec<String>,
    },
    Duplicates {
        ids: Vec<String>,
        disagree: bool,
    },
    Outliers {
        ids: Vec<String>,
        median: f64,
        spread: f64,
    },
    FewLabels {
        usable: usize,
    },
    NoEmulator {
        why: String,
    },
}

impl Remark {
    /// True when nothing can be learned from such labels.
    pub fn is_fatal(&self) -> bool {
        use Remark::*;
        matches!(self, TooFew { .. } | Constant { .. } | OneGroup { .. } | WrongUnit { .. } | NotTaught { .. })
    }
}

fn listed(ids: &[String]) -> String {
    let shown: Vec<&str> = ids.iter().take(5).map(String::as_str).collect();
    let more = if ids.len() > shown.len() { format!(" and {} more", ids.len() - shown.len()) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

fn spectra(n: usize) -> String {
    if n == 1 { "1 spectrum".into() } else { format!("{n} spectra") }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remark::TooFew { target, usable } => write!(
                f,
                "only {} with a usable value of {target}; give {FEWEST_LABELS} or more: add rows to the label table, or check that its ids are those of the spectra",
                spectra(*usable)
            ),
            Remark::Constant { target, value, n } => write!(
                f,
                "all {n} values of {target} are {value}; there is nothing to learn from one value. Add stars that differ in it, or pick another column"
            ),
            Remark::OneGroup { group } => write!(
                f,
                "all spectra are of one group ({group}), so none can be kept apart for the test. Add other stars, or pick another group column"
            ),
            Remark::WrongUnit { label, low, high, example, n, looks_like } => {
                let (symbol, unit) = (label.symbol(), label.unit());
                write!(
                    f,
                    "{n} values of {symbol} are outside of {low} to {high} {unit}, such as {example}: wrong column or unit?"
                )?;
                match looks_like {
                    Some(other) => write!(f, " They look like {}; name that column as the target", other.symbol()),
                    None => write!(f, " Give {symbol} in {}", if unit.is_empty() { "dex (cgs)" } else { unit }),
                }
            }
            Remark::NotTaught { target } => write!(
                f,
                "{target} cannot be taught: the velocity is measured by a network of its own and taken out before this one sees the spectrum. Pick another label"
            ),
            Remark::Missing { n } => write!(f, "{} without a value; they are left out", spectra(*n)),
            Remark::Text { n, example } => {
                write!(f, "{} with text in place of a number (“{example}”); they are left out", spectra(*n))
            }
            Remark::OutOfRange { label, low, high, ids } => write!(
                f,
                "{} with {} outside of {low} to {high}; they are left out: {}",
                spectra(ids.len()),
                label.symbol(),
                listed(ids)
            ),
            Remark::Duplicates { ids, disagree } => write!(
                f,
                "several spectra of {}: they stay on one side of every split{}",
                listed(ids),
                if *disagree { ", but their values differ; check the label table" } else { "" }
            ),
            Remark::Outliers { ids, median, spread } => write!(
                f,
                "{} far from the rest ({median:.4} ± {spread:.4}): {}. They are used; check them",
                spectra(ids.len()),
                listed(ids)
            ),
            Remark::FewLabels { usable } => write!(
                f,
                "{usable} labels are few: expect a correction of what is wrong for all stars alike, and large error bars"
            ),
            Remark::NoEmulator { why } => write!(
                f,
                "the emulator could not be had ({why}), so what synthetic spectra say of the stars has no part in this; compare again for that"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_numbers_gaps_or_text() {
        assert_eq!(Cell::parse(" -0.4 "), Cell::Number(-0.4));
        for gap in ["", "nan", "NaN", "-9999", "inf", "null", "--"] {
            assert_eq!(Cell::parse(gap), Cell::Missing, "{gap}");
        }
        assert_eq!(Cell::parse("G2V"), Cell::Text("G2V".into()));
    }
}
