//! One row of results, and its numbers as every file writes them.

use serde::{Deserialize, Serialize};

use crate::result::{Estimate, Label, Prediction, Summary};

/// Digits written beyond those that the error makes worth reading, so that nothing is lost by rounding.
const GUARD_DIGITS: i32 = 3;

/// What is known of a spectrum and what was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The spectrum.
    pub summary: Summary,
    /// The answer.
    pub answer: Answer,
    /// S/N a pixel that the spectrum itself shows where there is no prediction to tell it.
    pub snr: Option<f64>,
}

/// How the question for a spectrum's parameters ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// The network answered.
    Predicted(Prediction),
    /// No network can answer, and why.
    Refused(String),
    /// Not asked to the end.
    Open,
}

impl Record {
    /// The prediction, if there is one.
    pub fn prediction(&self) -> Option<&Prediction> {
        match &self.answer {
            Answer::Predicted(prediction) => Some(prediction),
            _ => None,
        }
    }

    /// S/N a pixel to two decimals.
    pub fn snr(&self) -> Option<f64> {
        let snr = self.prediction().and_then(|p| p.snr).map(|s| s.value).or(self.snr);
        snr.and_then(|snr| rounded(snr, 2))
    }

    /// Value and error of a label; none when the model refused the spectrum or cannot tell this one.
    pub fn numbers(&self, label: Label) -> (Option<f64>, Option<f64>) {
        self.prediction().and_then(|p| p.get(label)).map_or((None, None), numbers)
    }

    /// The codes of the flags; `refused` stands alone.
    pub fn flags(&self) -> Vec<&'static str> {
        match &self.answer {
            Answer::Predicted(prediction) => prediction.flags.iter().map(|f| f.code()).collect(),
            Answer::Refused(_) => vec!["refused"],
            Answer::Open => Vec::new(),
        }
    }

    /// The preprocessing ledger on one line, or why there is none.
    pub fn ledger(&self) -> String {
        match &self.answer {
            Answer::Predicted(p) => {
                let entry = |e: &crate::result::LedgerEntry| {
                    format!("{}{}: {}", e.step, if e.assumed { " (assumed)" } else { "" }, e.did)
                };
                p.ledger.iter().map(entry).collect::<Vec<_>>().join("; ")
            }
            Answer::Refused(why) => format!("refused: {why}"),
            Answer::Open => String::new(),
        }
    }
}

/// A model, as results name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRef {
    /// Name and version (`lrs-mlp 1`).
    pub title: String,
    /// SHA-256 of its weights, lower-case hexadecimal.
    pub sha256: String,
}

/// A model's name in its title, without the version.
pub fn name_in(title: &str) -> &str {
    title.rsplit_once(' ').map_or(title, |(name, _)| name)
}

/// The models that made some results, in the order in which they first answer.
pub fn models_of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<ModelRef> {
    let mut models: Vec<ModelRef> = Vec::new();
    for p in records.into_iter().filter_map(Record::prediction) {
        if !models.iter().any(|m| m.title == p.model && m.sha256 == p.model_sha256) {
            models.push(ModelRef { title: p.model.clone(), sha256: p.model_sha256.clone() });
        }
    }
    models
}

/// Decimals that an estimate is written with: two significant digits of its error and the guard digits.
pub(super) fn decimals(error: f64) -> i32 {
    let magnitude = if error.is_finite() && error > 0.0 { error.log10().floor() } else { 0.0 };
    (1 - magnitude as i32 + GUARD_DIGITS).clamp(0, 12)
}

/// Value and error of an estimate to three more digits than are worth reading; `None` for what is not finite.
pub fn numbers(estimate: &Estimate) -> (Option<f64>, Option<f64>) {
    let decimals = decimals(estimate.error);
    (rounded(estimate.value, decimals), rounded(estimate.error, decimals))
}

/// A number to some decimals, `None` when it is not finite.
pub fn rounded(value: f64, decimals: i32) -> Option<f64> {
    let scale = 10f64.powi(decimals);
    // `+ 0.0` turns −0 into 0.
    value.is_finite().then(|| (value * scale).round() / scale + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_loses_less_than_a_thousandth_of_the_error() {
        for (value, error) in [(5705.123456, 81.98765), (-0.4287654, 0.0512345), (4.3, 1e-9), (-1234.5, 999.0)] {
            let (v, e) = numbers(&Estimate { label: Label::Teff, value, error });
            assert!((v.unwrap_or(f64::NAN) - value).abs() <= 1e-3 * error.max(1e-8), "{v:?} for {value}");
            assert!((e.unwrap_or(f64::NAN) - error).abs() <= 1e-3 * error.max(1e-8), "{e:?} for {error}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_none_and_minus_zero_is_zero() {
        assert_eq!(rounded(f64::NAN, 2), None);
        assert_eq!(rounded(-0.0001, 2).map(|v| v.to_string()), Some("0".into()));
    }
}
