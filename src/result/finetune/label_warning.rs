//! Warnings about labels.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::MIN_LABELS;
use crate::result::Label;

/// One cell of a label column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Cell {
    /// Empty, or a filler value ([`is_filler`]).
    Missing,
    /// A finite number.
    Number(f64),
    /// Other text.
    Text(String),
}

/// True for filler values of tables: they stand for a missing value.
pub fn is_filler(value: f64) -> bool {
    const FILLERS: [f64; 9] = [-9.99, -99.0, -99.9, -99.99, -999.0, -999.9, -999.99, 99.99, 999.99];
    // A 32-bit number of the file differs a little.
    !value.is_finite() || value <= -9999.0 || FILLERS.iter().any(|filler| (value - filler).abs() < 1e-4)
}

impl Cell {
    /// Parses a cell.
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

/// A warning about the labels before fine-tuning; its text includes advice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the text of each variant explains it")]
pub enum LabelWarning {
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
    /// Fatal. `looks_like` is a label whose physical range fits the values.
    WrongUnit {
        label: Label,
        low: f64,
        high: f64,
        example: f64,
        n: usize,
        looks_like: Option<Label>,
    },
    /// Fatal.
    #[serde(alias = "NotTaught")]
    NotTrainable {
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
}

impl LabelWarning {
    /// True if fine-tuning cannot start.
    pub fn is_fatal(&self) -> bool {
        use LabelWarning::*;
        matches!(self, TooFew { .. } | Constant { .. } | OneGroup { .. } | WrongUnit { .. } | NotTrainable { .. })
    }
}

fn list_ids(ids: &[String]) -> String {
    let shown: Vec<&str> = ids.iter().take(5).map(String::as_str).collect();
    let suffix = if ids.len() > shown.len() { format!(" and {} more", ids.len() - shown.len()) } else { String::new() };
    format!("{}{suffix}", shown.join(", "))
}

fn spectra(n: usize) -> String {
    if n == 1 { "1 spectrum".into() } else { format!("{n} spectra") }
}

impl fmt::Display for LabelWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFew { target, usable } => write!(
                f,
                "only {} with a usable value of {target}; give {MIN_LABELS} or more: add rows to the label table, or check that its ids are those of the spectra and that its cells hold values",
                spectra(*usable)
            ),
            Self::Constant { target, value, n } => write!(
                f,
                "all {n} values of {target} are {value}; one value cannot train a model. Add stars with other values, or choose another column"
            ),
            Self::OneGroup { group } => write!(
                f,
                "all spectra are of one group ({group}), so no test set can be held out. Add other stars, or choose another group column"
            ),
            Self::WrongUnit { label, low, high, example, n, looks_like } => {
                let (symbol, unit) = (label.symbol(), label.unit());
                write!(
                    f,
                    "{n} values of {symbol} are outside {low} to {high} {unit}, for example {example}; the column or the unit may be wrong."
                )?;
                match looks_like {
                    Some(other) => {
                        let symbol = other.symbol();
                        write!(f, " The values are typical of {symbol}; choose {symbol} as the target")
                    }
                    None => write!(f, " Give {symbol} in {}", if unit.is_empty() { "dex (cgs)" } else { unit }),
                }
            }
            Self::NotTrainable { target } => write!(
                f,
                "{target} cannot be fine-tuned: a separate network measures the velocity, and the spectrum is shifted to the rest frame before the label network. Choose another label"
            ),
            Self::Missing { n } => write!(
                f,
                "{} without a value (an empty cell, or a fill value such as −9999); they are left out",
                spectra(*n)
            ),
            Self::Text { n, example } => {
                write!(f, "{} with text in place of a number (“{example}”); they are left out", spectra(*n))
            }
            Self::OutOfRange { label, low, high, ids } => write!(
                f,
                "{} with {} outside {low} to {high}; they are left out: {}",
                spectra(ids.len()),
                label.symbol(),
                list_ids(ids)
            ),
            Self::Duplicates { ids, disagree } => write!(
                f,
                "several spectra of the same star ({}): they are kept together in every split{}",
                list_ids(ids),
                if *disagree { ", but their values differ; check the label table" } else { "" }
            ),
            Self::Outliers { ids, median, spread } => write!(
                f,
                "{} far from the other labels ({median:.4} ± {spread:.4}): {}. They are used; check them",
                spectra(ids.len()),
                list_ids(ids)
            ),
            Self::FewLabels { usable } => {
                write!(f, "{usable} labels are few: expect a correction common to all stars, and large error bars")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_numbers_missing_or_text() {
        assert_eq!(Cell::parse(" -0.4 "), Cell::Number(-0.4));
        for missing in ["", "nan", "NaN", "-9999", "inf", "null", "--"] {
            assert_eq!(Cell::parse(missing), Cell::Missing, "{missing}");
        }
        assert_eq!(Cell::parse("G2V"), Cell::Text("G2V".into()));
    }
}
