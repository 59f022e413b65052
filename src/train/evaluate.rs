//! Measuring a model on real spectra: against labels, and between visits of one star.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::preprocess::stats::median;
use crate::read::{self, LabelTable};
use crate::result::{Label, Prediction};
use crate::spectrum::Spectrum;
use crate::task::metrics::{Metrics, mean_and_std, sigma_clip, sigma_standard_error};
use crate::task::predict::Predictor;

/// A spectrum's answer beside its row of the label table.
pub struct Judged {
    /// Id of spectrum and row.
    pub id: String,
    /// Row of the label table.
    pub row: usize,
    /// The answer.
    pub prediction: Prediction,
}

/// How a label was predicted.
#[derive(Debug, Clone, Serialize)]
pub struct LabelScore {
    /// Which.
    pub label: Label,
    /// N, bias and σ after 3 σ clipping, R².
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Bootstrap standard error of σ, whole groups drawn anew.
    pub sigma_se: f64,
    /// Median predicted error.
    pub error: f64,
    /// σ of (predicted − true) / predicted error after clipping: 1 where the errors are right.
    pub pull: f64,
}

/// How repeated visits of a star agree.
#[derive(Debug, Clone, Serialize)]
pub struct RepeatScore {
    /// Which label.
    pub label: Label,
    /// Stars with two visits or more.
    pub stars: usize,
    /// Visits.
    pub visits: usize,
    /// Scatter of one visit (clipped).
    pub scatter: f64,
    /// Median predicted error.
    pub error: f64,
    /// Median of the part of it that differs between visits.
    pub exposure_error: f64,
    /// Scatter in units of that part (clipped).
    pub ratio_to_exposure: f64,
    /// Scatter in units of the whole predicted error (clipped).
    pub ratio: f64,
}

/// Reads files and predicts; spectra that are refused are left out.
pub fn predict_files(predictor: &Predictor, files: &[PathBuf]) -> Result<Vec<(String, Prediction)>> {
    let mut answers = Vec::new();
    for file in files {
        let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        let contents = read::read(&file.to_string_lossy(), &bytes).with_context(|| file.display().to_string())?;
        for some in contents.spectra.chunks(128) {
            let batch: Vec<&Spectrum> = some.iter().collect();
            let predictions = pollster::block_on(predictor.predict(&batch));
            answers.extend(some.iter().zip(predictions).filter_map(|(s, p)| Some((s.meta.id.clone(), p.ok()?))));
        }
    }
    Ok(answers)
}

/// Reads a label table.
pub fn read_table(path: &Path) -> Result<LabelTable> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    LabelTable::read(&bytes).with_context(|| path.display().to_string())
}

/// Joins answers to the rows of a table by id.
pub fn join(answers: Vec<(String, Prediction)>, table: &LabelTable) -> Vec<Judged> {
    let rows: BTreeMap<&str, usize> = table.id.iter().enumerate().rev().map(|(i, id)| (id.as_str(), i)).collect();
    answers
        .into_iter()
        .filter_map(|(id, prediction)| Some(Judged { row: *rows.get(id.as_str())?, id, prediction }))
        .collect()
}

/// A label of a row, if it is there.
pub fn truth(table: &LabelTable, label: Label, row: usize) -> Option<f64> {
    *table.labels.get(label.name())?.get(row)?
}

/// A text cell of a row; empty if it is not there.
pub fn text<'a>(table: &'a LabelTable, column: &str, row: usize) -> &'a str {
    table.texts.get(column).and_then(|c| c.get(row)).map_or("", |s| s.trim())
}

/// One score a label that some of the chosen stars have. `group` names what is drawn as a whole in the bootstrap.
pub fn score(judged: &[&Judged], table: &LabelTable, group: impl Fn(&Judged) -> String) -> Vec<LabelScore> {
    Label::ALL
        .into_iter()
        .filter_map(|label| {
            let known: Vec<(f64, f64, f64, String)> = judged
                .iter()
                .filter_map(|j| {
                    let estimate = j.prediction.get(label)?;
                    Some((truth(table, label, j.row)?, estimate.value, estimate.error, group(j)))
                })
                .collect();
            if known.len() < 3 {
                return None;
            }
            let residuals: Vec<f64> = known.iter().map(|(t, p, ..)| p - t).collect();
            let groups: Vec<&str> = known.iter().map(|k| k.3.as_str()).collect();
            let pulls: Vec<f64> = known.iter().map(|(t, p, e, _)| (p - t) / e).collect();
            Some(LabelScore {
                label,
                metrics: Metrics::of(&known.iter().map(|(t, p, ..)| (*t, *p)).collect::<Vec<_>>()),
                sigma_se: sigma_standard_error(&residuals, &groups, 1),
                error: median(&mut known.iter().map(|k| k.2).collect())?,
                pull: mean_and_std(&sigma_clip(&pulls, 3.0, 5)).1,
            })
        })
        .collect()
}

/// Scatter between visits of the same star, named by a column of the table.
pub fn repeats(predictor: &Predictor, judged: &[Judged], table: &LabelTable, column: &str) -> Vec<RepeatScore> {
    let mut stars: BTreeMap<&str, Vec<&Judged>> = BTreeMap::new();
    for j in judged.iter().filter(|j| !text(table, column, j.row).is_empty()) {
        stars.entry(text(table, column, j.row)).or_default().push(j);
    }
    // A velocity that changes is the star's own doing; S/N below 30 is another question.
    stars.values_mut().for_each(|visits| visits.retain(|j| j.prediction.snr.is_some_and(|s| s.value >= 30.0)));
    stars.retain(|_, visits| visits.len() > 1);
    Label::ALL
        .into_iter()
        .filter_map(|label| {
            let errors = predictor.entry().errors.iter().find(|e| e.label == label)?;
            let (mut scatter, mut by_exposure, mut by_error) = (Vec::new(), Vec::new(), Vec::new());
            let (mut all_errors, mut all_exposure) = (Vec::new(), Vec::new());
            for visits in stars.values() {
                let values: Vec<_> = visits.iter().filter_map(|j| Some((j, j.prediction.get(label)?))).collect();
                let n = values.len() as f64;
                let mean = values.iter().map(|(_, e)| e.value).sum::<f64>() / n;
                // Around the mean of n visits the scatter is √(1 − 1/n) of what one visit has.
                let shrink = (1.0 - 1.0 / n).sqrt();
                for (j, estimate) in values {
                    let feh = j.prediction.get(Label::Feh).map_or(0.0, |e| e.value);
                    let exposure = errors.sigma_exposure(feh, j.prediction.snr?.value);
                    let off = (estimate.value - mean) / shrink;
                    scatter.push(off);
                    by_exposure.push(off / exposure);
                    by_error.push(off / estimate.error);
                    all_errors.push(estimate.error);
                    all_exposure.push(exposure);
                }
            }
            let spread = |v: &[f64]| mean_and_std(&sigma_clip(v, 3.0, 5)).1;
            Some(RepeatScore {
                label,
                stars: stars.len(),
                visits: scatter.len(),
                scatter: spread(&scatter),
                error: median(&mut all_errors)?,
                exposure_error: median(&mut all_exposure)?,
                ratio_to_exposure: spread(&by_exposure),
                ratio: spread(&by_error),
            })
        })
        .collect()
}
