//! A row of results, and its numbers as in every file.

use serde::{Deserialize, Serialize};

use crate::result::{Estimate, Label, Prediction, Summary};

/// Digits written beyond the two significant digits of the error, so that rounding loses nothing.
const GUARD_DIGITS: i32 = 3;

/// Metadata and prediction of a spectrum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The spectrum.
    pub summary: Summary,
    /// Result of the prediction.
    #[serde(alias = "answer")]
    pub outcome: Outcome,
    /// S/N per pixel estimated from the spectrum, where there is no prediction.
    pub snr: Option<f64>,
}

/// Result of the prediction for a spectrum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// The model gave labels.
    Predicted(Prediction),
    /// The model rejected the spectrum, with the reason.
    #[serde(rename = "Refused")]
    NotPredicted(String),
    /// No prediction yet.
    #[serde(alias = "Open")]
    Pending,
}

impl Record {
    /// The prediction, if there is one.
    pub fn prediction(&self) -> Option<&Prediction> {
        match &self.outcome {
            Outcome::Predicted(prediction) => Some(prediction),
            _ => None,
        }
    }

    /// S/N per pixel, rounded to two decimals.
    pub fn snr(&self) -> Option<f64> {
        let snr = self.prediction().and_then(|p| p.snr).map(|s| s.value).or(self.snr);
        snr.and_then(|snr| rounded(snr, 2))
    }

    /// Value and error of a label; `None` without a prediction or without this label.
    pub fn numbers(&self, label: Label) -> (Option<f64>, Option<f64>) {
        self.prediction().and_then(|p| p.get(label)).map_or((None, None), numbers)
    }

    /// Codes of the flags. A refused spectrum has only the code `refused`.
    pub fn flags(&self) -> Vec<&'static str> {
        match &self.outcome {
            Outcome::Predicted(prediction) => prediction.flags.iter().map(|f| f.code()).collect(),
            Outcome::NotPredicted(_) => vec!["refused"],
            Outcome::Pending => Vec::new(),
        }
    }

    /// Preprocessing steps on one line, or the reason why there are none.
    pub fn processing_history(&self) -> String {
        match &self.outcome {
            Outcome::Predicted(p) => {
                let entry = |e: &crate::result::ProcessingStep| {
                    format!("{}{}: {}", e.step, if e.is_assumed { " (assumed)" } else { "" }, e.description)
                };
                p.processing_history.iter().map(entry).collect::<Vec<_>>().join("; ")
            }
            Outcome::NotPredicted(why) => format!("refused: {why}"),
            Outcome::Pending => String::new(),
        }
    }
}

/// Reference from a result to its model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRef {
    /// Name and version (`lrs-mlp 1`).
    pub title: String,
    /// SHA-256 of its weights, lower-case hexadecimal.
    pub sha256: String,
}

/// Name of a model, from its title without the version.
pub fn name_in(title: &str) -> &str {
    title.rsplit_once(' ').map_or(title, |(name, _)| name)
}

/// Models of the results, in the order of first use.
pub fn models_of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<ModelRef> {
    let mut models: Vec<ModelRef> = Vec::new();
    for p in records.into_iter().filter_map(Record::prediction) {
        if !models.iter().any(|m| m.title == p.model && m.sha256 == p.model_sha256) {
            models.push(ModelRef { title: p.model.clone(), sha256: p.model_sha256.clone() });
        }
    }
    models
}

/// Number of decimals of an estimate: two significant digits of its error and the guard digits.
pub(super) fn decimals(error: f64) -> i32 {
    let magnitude = if error.is_finite() && error > 0.0 { error.log10().floor() } else { 0.0 };
    (1 - magnitude as i32 + GUARD_DIGITS).clamp(0, 12)
}

/// Value and error of an estimate, with three guard digits; `None` for a number that is not finite.
pub fn numbers(estimate: &Estimate) -> (Option<f64>, Option<f64>) {
    let decimals = decimals(estimate.error);
    (rounded(estimate.value, decimals), rounded(estimate.error, decimals))
}

/// Rounds a number to some decimals; `None` when it is not finite.
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
    fn nan_is_none_and_minus_zero_is_zero() {
        assert_eq!(rounded(f64::NAN, 2), None);
        assert_eq!(rounded(-0.0001, 2).map(|v| v.to_string()), Some("0".into()));
    }
}
