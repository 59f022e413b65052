//! One row of results, and its numbers as every file writes them.

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
    Refused(String),
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

    /// S/N a pixel to two decimals.
    pub fn snr(&self) -> Option<f64> {
        let snr = self.prediction().and_then(|p| p.snr).map(|s| s.value).or(self.snr);
        snr.and_then(|snr| rounded(snr, 2))
    }

    /// Value and error of a label; `None` without a prediction or without this label.
    pub fn numbers(&self, label: Label) -> (Option<f64>, Option<f64>) {
        self.prediction().and_then(|p| p.get(label)).map_or((None, None), numbers)
    }

    /// The codes of the flags; `refused` stands alone.
    pub fn flags(&self) -> Vec<&'static str> {
        match &self.outcome {
            Outcome::Predicted(prediction) => prediction.flags.iter().map(|f| f.code()).collect(),
            Outcome::Refused(_) => vec!["refused"],
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
            Outcome::Refused(why) => format!("refused: {why}"),
            Outcome::Pending => String::new(),
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

/// The models behind some results, in order of first use.
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
