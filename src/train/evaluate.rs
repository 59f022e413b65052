//! Measuring a model on real spectra: against labels, and between visits of one star.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use super::coverage::calibrated_on_others;
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
    /// Scatter of differences between visits in units of that part (clipped).
    pub ratio_to_exposure: f64,
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

/// Spectra of stars that were visited more than once, S/N ≥ 30, by the column that names the star. A star whose velocities
/// in the files' headers differ by more than [`VARIABLE_KMS`] is left out: what changes there is the star.
fn visits<'a>(judged: &'a [Judged], table: &'a LabelTable, column: &str) -> Vec<Vec<&'a Judged>> {
    let mut stars: BTreeMap<&str, Vec<&Judged>> = BTreeMap::new();
    for j in judged.iter().filter(|j| !text(table, column, j.row).is_empty()) {
        stars.entry(text(table, column, j.row)).or_default().push(j);
    }
    stars.values_mut().for_each(|visits| visits.retain(|j| j.prediction.snr.is_some_and(|s| s.value >= 30.0)));
    stars.into_values().filter(|visits| visits.len() > 1 && !is_variable(visits, table)).collect()
}

/// Header velocities of one star that differ by more than this are the star's own, km/s.
pub const VARIABLE_KMS: f64 = 20.0;

/// True where header velocities of one star differ by more than [`VARIABLE_KMS`].
pub fn is_variable(visits: &[&Judged], table: &LabelTable) -> bool {
    let velocities: Vec<f64> = visits.iter().filter_map(|j| number(table, HEADER_RV, j.row)).collect();
    let lowest = velocities.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = velocities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    highest - lowest > VARIABLE_KMS
}

/// The header's redshift as a velocity.
const HEADER_RV: &str = "rv_from_z";

fn number(table: &LabelTable, column: &str, row: usize) -> Option<f64> {
    let text = text(table, column, row).parse().ok();
    text.or_else(|| *table.labels.get(column)?.get(row)?).filter(|v: &f64| v.is_finite())
}

/// Velocities against the catalogue's, else against the header's, of spectra with a catalogued S/N above 30.
#[derive(Debug, Clone, Serialize)]
pub struct VelocityScore {
    /// All but the next ones.
    pub metrics: Metrics,
    /// Spectra of stars whose header velocities differ, or whose header has none that a star can have.
    pub apart: usize,
}

/// Compares velocities; `star` names the star, `snr` the column of the catalogued S/N.
pub fn velocities(judged: &[Judged], table: &LabelTable, star: &str, snr: &str) -> VelocityScore {
    let mut stars: BTreeMap<String, Vec<&Judged>> = BTreeMap::new();
    for j in judged.iter().filter(|j| number(table, snr, j.row).is_some_and(|s| s > 30.0)) {
        let named = Some(text(table, star, j.row)).filter(|s| !s.is_empty());
        stars.entry(named.unwrap_or(&j.id).to_string()).or_default().push(j);
    }
    let (mut pairs, mut apart) = (Vec::new(), 0);
    for visits in stars.values() {
        for j in visits {
            let known = truth(table, Label::Rv, j.row).or_else(|| number(table, HEADER_RV, j.row));
            let Some((known, estimate)) = known.zip(j.prediction.get(Label::Rv)) else { continue };
            // Beyond the Galaxy's escape velocity a header is wrong.
            match is_variable(visits, table) || known.abs() > 1000.0 {
                true => apart += 1,
                false => pairs.push((known, estimate.value)),
            }
        }
    }
    VelocityScore { metrics: Metrics::of(&pairs), apart }
}

/// Scatter between visits of the same star, named by a column of the table, and how well errors for it can be had: pulls of
/// independent differences between visits, in units of the exposure's part of the error as calibrated on the other stars.
pub fn repeats(
    predictor: &Predictor,
    judged: &[Judged],
    table: &LabelTable,
    column: &str,
) -> (Vec<RepeatScore>, Vec<f64>) {
    let stars = visits(judged, table, column);
    let mut calibrated = Vec::new();
    let scores = Label::ALL.into_iter().filter_map(|label| {
        let errors = predictor.entry().errors.iter().find(|e| e.label == label)?;
        let (mut scatter, mut differences) = (Vec::new(), Vec::new());
        let (mut all_errors, mut all_exposure) = (Vec::new(), Vec::new());
        for visits in &stars {
            let one = |j: &&Judged| {
                let estimate = j.prediction.get(label)?;
                let feh = j.prediction.get(Label::Feh).map_or(0.0, |e| e.value);
                Some((estimate.value, estimate.error, errors.sigma_exposure(feh, j.prediction.snr?.value)))
            };
            let values: Vec<(f64, f64, f64)> = visits.iter().filter_map(one).collect();
            let n = values.len() as f64;
            let mean = values.iter().map(|v| v.0).sum::<f64>() / n;
            // Around the mean of n visits the scatter is √(1 − 1/n) of what one visit has.
            scatter.extend(values.iter().map(|v| (v.0 - mean) / (1.0 - 1.0 / n).sqrt()));
            all_errors.extend(values.iter().map(|v| v.1));
            all_exposure.extend(values.iter().map(|v| v.2));
            differences.push(independent_differences(&values));
        }
        calibrated.extend(calibrated_on_others(&differences));
        let spread = |v: &[f64]| mean_and_std(&sigma_clip(v, 3.0, 5)).1;
        Some(RepeatScore {
            label,
            stars: stars.len(),
            visits: scatter.len(),
            scatter: spread(&scatter),
            error: median(&mut all_errors)?,
            exposure_error: median(&mut all_exposure)?,
            ratio_to_exposure: spread(&differences.concat()),
        })
    });
    let scores = scores.collect();
    (scores, calibrated)
}

/// Each visit against the mean of those before it, in units of its error: n visits have n − 1 such differences, independent
/// of each other. Takes (value, whole error, exposure's part).
fn independent_differences(visits: &[(f64, f64, f64)]) -> Vec<f64> {
    (1..visits.len())
        .map(|i| {
            let before = &visits[..i];
            let mean = before.iter().map(|v| v.0).sum::<f64>() / i as f64;
            let variance = before.iter().map(|v| v.2 * v.2).sum::<f64>() / (i * i) as f64;
            (visits[i].0 - mean) / (visits[i].2 * visits[i].2 + variance).sqrt()
        })
        .collect()
}
