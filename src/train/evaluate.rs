//! Accuracy of a model on real spectra: against catalogue labels, and between visits of one star.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use super::error_calibration::calibrated_on_others;
use super::errors::{Residual, residuals_within_stars};
use crate::model::calibration::ErrorKind;
use crate::read::{self, LabelTable};
use crate::result::{Label, Prediction};
use crate::spectrum::{Spectrum, Survey};
use crate::stats::median;
use crate::stats::{mean_and_std, sigma_clip};
use crate::task::metrics::{Metrics, sigma_standard_error};
use crate::task::predict::Predictor;

/// A prediction, joined to its row of the label table.
pub struct EvaluatedSpectrum {
    /// Id of the spectrum and of the row.
    pub id: String,
    /// Index of the row in the label table.
    pub row: usize,
    /// The prediction.
    pub prediction: Prediction,
}

/// Accuracy of one label.
#[derive(Debug, Clone, Serialize)]
pub struct LabelScore {
    /// The label.
    pub label: Label,
    /// N, bias and σ after 3 σ clipping, R².
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Bootstrap standard error of σ; whole groups are resampled.
    pub sigma_se: f64,
    /// Median predicted error.
    pub error: f64,
    /// σ of (predicted − true) / predicted error after clipping; 1 if the errors are right.
    pub pull: f64,
}

/// Agreement between repeat visits of the same stars, for one label.
#[derive(Debug, Clone, Serialize)]
pub struct RepeatScore {
    /// The label.
    pub label: Label,
    /// Number of stars with two or more visits.
    pub stars: usize,
    /// Number of visits.
    pub visits: usize,
    /// Scatter of a single visit (clipped).
    pub scatter: f64,
    /// Median predicted error.
    pub error: f64,
    /// Median of the exposure part of the predicted error, which differs between visits.
    pub exposure_error: f64,
    /// Scatter of differences between visits in units of the exposure part (clipped).
    pub ratio_to_exposure: f64,
}

/// Reads the spectra of a file.
pub fn read_spectra(file: &Path) -> Result<Vec<Spectrum>> {
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    Ok(read::read(&file.to_string_lossy(), &bytes).with_context(|| file.display().to_string())?.spectra)
}

/// Reads files and predicts labels. Spectra that preprocessing or the model rejects are omitted.
pub fn predict_files(predictor: &Predictor, files: &[PathBuf]) -> Result<Vec<(String, Prediction)>> {
    let mut all = Vec::new();
    for file in files {
        for chunk in read_spectra(file)?.chunks(128) {
            let batch: Vec<&Spectrum> = chunk.iter().collect();
            let predictions = pollster::block_on(predictor.predict(&batch));
            all.extend(chunk.iter().zip(predictions).filter_map(|(s, p)| Some((s.meta.id.clone(), p.ok()?))));
        }
    }
    Ok(all)
}

/// Reads a label table.
pub fn read_table(path: &Path) -> Result<LabelTable> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    LabelTable::read(&bytes).with_context(|| path.display().to_string())
}

/// Joins predictions to the rows of a table by id.
pub fn join(predictions: Vec<(String, Prediction)>, table: &LabelTable) -> Vec<EvaluatedSpectrum> {
    let rows: BTreeMap<&str, usize> = table.id.iter().enumerate().rev().map(|(i, id)| (id.as_str(), i)).collect();
    predictions
        .into_iter()
        .filter_map(|(id, prediction)| Some(EvaluatedSpectrum { row: *rows.get(id.as_str())?, id, prediction }))
        .collect()
}

/// The label of a row; `None` if the table does not have it.
pub fn truth(table: &LabelTable, label: Label, row: usize) -> Option<f64> {
    *table.labels.get(label.name())?.get(row)?
}

/// A text cell of a row; empty if the table does not have it.
pub fn text<'a>(table: &'a LabelTable, column: &str, row: usize) -> &'a str {
    table.texts.get(column).and_then(|c| c.get(row)).map_or("", |s| s.trim())
}

/// One score for each label with at least three stars. `group` gives the group that the bootstrap resamples as a whole.
pub fn score(
    evaluated: &[&EvaluatedSpectrum],
    table: &LabelTable,
    group: impl Fn(&EvaluatedSpectrum) -> String,
) -> Vec<LabelScore> {
    Label::ALL
        .into_iter()
        .filter_map(|label| {
            let labelled: Vec<(f64, f64, f64, String)> = evaluated
                .iter()
                .filter_map(|j| {
                    let estimate = j.prediction.get(label)?;
                    Some((truth(table, label, j.row)?, estimate.value, estimate.error, group(j)))
                })
                .collect();
            if labelled.len() < 3 {
                return None;
            }
            let residuals: Vec<f64> = labelled.iter().map(|(t, p, ..)| p - t).collect();
            let groups: Vec<&str> = labelled.iter().map(|k| k.3.as_str()).collect();
            let pulls: Vec<f64> = labelled.iter().map(|(t, p, e, _)| (p - t) / e).collect();
            Some(LabelScore {
                label,
                metrics: Metrics::of(&labelled.iter().map(|(t, p, ..)| (*t, *p)).collect::<Vec<_>>()),
                sigma_se: sigma_standard_error(&residuals, &groups, 1),
                error: median(&mut labelled.iter().map(|k| k.2).collect())?,
                pull: mean_and_std(&sigma_clip(&pulls, 3.0, 5)).1,
            })
        })
        .collect()
}

/// Spectra with S/N ≥ 30 of stars with two or more visits; `column` names the star. Stars whose header velocities
/// differ by more than [`VARIABLE_KMS`] are excluded, because the star itself changes.
fn visits<'a>(
    evaluated: &'a [EvaluatedSpectrum],
    table: &'a LabelTable,
    column: &str,
) -> Vec<Vec<&'a EvaluatedSpectrum>> {
    let mut stars: BTreeMap<&str, Vec<&EvaluatedSpectrum>> = BTreeMap::new();
    for j in evaluated.iter().filter(|j| !text(table, column, j.row).is_empty()) {
        stars.entry(text(table, column, j.row)).or_default().push(j);
    }
    stars.values_mut().for_each(|visits| visits.retain(|j| j.prediction.snr.is_some_and(|s| s.value >= 30.0)));
    stars.into_values().filter(|visits| visits.len() > 1 && !is_variable(visits, table)).collect()
}

/// Residuals of repeat visits from the mean of each star, of all labels. `column` names the star.
pub fn visit_residuals(
    evaluated: &[EvaluatedSpectrum],
    table: &LabelTable,
    column: &str,
) -> BTreeMap<Label, Vec<Residual>> {
    let mut all: BTreeMap<Label, Vec<Residual>> = BTreeMap::new();
    for (star, visits) in visits(evaluated, table, column).into_iter().enumerate() {
        for label in Label::ALL {
            let visit = |j: &&EvaluatedSpectrum| {
                let kind = ErrorKind::of(Survey::LamostLrs, |label| j.prediction.get(label).map(|e| e.value));
                let value = j.prediction.get(label)?.value;
                Some(Residual { star, snr: j.prediction.snr?.value, value, kind, coverage: 1.0 })
            };
            let values: Vec<Residual> = visits.iter().filter_map(visit).collect();
            all.entry(label).or_default().extend(residuals_within_stars(&values));
        }
    }
    all
}

/// Velocity difference between visits, km/s, above which a star counts as variable.
pub const VARIABLE_KMS: f64 = 20.0;

/// True if the header velocities of one star differ by more than [`VARIABLE_KMS`].
pub fn is_variable(visits: &[&EvaluatedSpectrum], table: &LabelTable) -> bool {
    let velocities: Vec<f64> = visits.iter().filter_map(|j| number(table, HEADER_RV, j.row)).collect();
    let lowest = velocities.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = velocities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    highest - lowest > VARIABLE_KMS
}

/// Column with the velocity from the header's redshift, km/s.
pub(super) const HEADER_RV: &str = "rv_from_z";

/// A number of a row, from a column of labels or of text.
pub(super) fn number(table: &LabelTable, column: &str, row: usize) -> Option<f64> {
    let text = text(table, column, row).parse().ok();
    text.or_else(|| *table.labels.get(column)?.get(row)?).filter(|v: &f64| v.is_finite())
}

/// Accuracy of velocities, on spectra with a catalogued S/N > 30. The reference is the catalogue's velocity, or else
/// the header's.
#[derive(Debug, Clone)]
pub struct VelocityScore {
    /// Accuracy without the spectra counted in `excluded`.
    pub metrics: Metrics,
    /// Number of excluded spectra: the header velocities of the star differ, or the header velocity is impossible for a
    /// star.
    pub excluded: usize,
}

/// Compares velocities. `star` is the column that names the star, `snr` the column of the catalogued S/N.
pub fn velocities(evaluated: &[EvaluatedSpectrum], table: &LabelTable, star: &str, snr: &str) -> VelocityScore {
    let mut stars: BTreeMap<String, Vec<&EvaluatedSpectrum>> = BTreeMap::new();
    for j in evaluated.iter().filter(|j| number(table, snr, j.row).is_some_and(|s| s > 30.0)) {
        let star_name = Some(text(table, star, j.row)).filter(|s| !s.is_empty());
        stars.entry(star_name.unwrap_or(&j.id).to_string()).or_default().push(j);
    }
    let (mut pairs, mut excluded) = (Vec::new(), 0);
    for visits in stars.values() {
        for j in visits {
            let reference = truth(table, Label::Rv, j.row).or_else(|| number(table, HEADER_RV, j.row));
            let Some((reference, estimate)) = reference.zip(j.prediction.get(Label::Rv)) else { continue };
            // A header velocity beyond the Galaxy's escape velocity is wrong.
            match is_variable(visits, table) || reference.abs() > 1000.0 {
                true => excluded += 1,
                false => pairs.push((reference, estimate.value)),
            }
        }
    }
    VelocityScore { metrics: Metrics::of(&pairs), excluded }
}

/// Scatter between visits of the same star, and the calibration of the errors for it. `column` names the star.
///
/// The second value has pulls of independent differences between visits. Their unit is the exposure part of the error,
/// calibrated on the other stars.
pub fn repeat_visit_scores(
    predictor: &Predictor,
    evaluated: &[EvaluatedSpectrum],
    table: &LabelTable,
    column: &str,
) -> (Vec<RepeatScore>, Vec<f64>) {
    let stars = visits(evaluated, table, column);
    let mut calibrated = Vec::new();
    let scores = Label::ALL.into_iter().filter_map(|label| {
        let errors = predictor.entry().errors.iter().find(|e| e.label == label)?;
        let (mut scatter, mut differences) = (Vec::new(), Vec::new());
        let (mut all_errors, mut all_exposure) = (Vec::new(), Vec::new());
        for visits in &stars {
            let visit = |j: &&EvaluatedSpectrum| {
                let estimate = j.prediction.get(label)?;
                // Repeat visits are LAMOST's.
                let kind = ErrorKind::of(Survey::LamostLrs, |label| j.prediction.get(label).map(|e| e.value));
                Some((estimate.value, estimate.error, errors.sigma_exposure(&kind, j.prediction.snr?.value)))
            };
            let values: Vec<(f64, f64, f64)> = visits.iter().filter_map(visit).collect();
            let n = values.len() as f64;
            let mean = values.iter().map(|v| v.0).sum::<f64>() / n;
            // The scatter about the mean of n visits is √(1 − 1/n) of the scatter of a single visit.
            scatter.extend(values.iter().map(|v| (v.0 - mean) / (1.0 - 1.0 / n).sqrt()));
            all_errors.extend(values.iter().map(|v| v.1));
            all_exposure.extend(values.iter().map(|v| v.2));
            differences.push(independent_differences(&values));
        }
        calibrated.extend(calibrated_on_others(&differences));
        let clipped_std = |v: &[f64]| mean_and_std(&sigma_clip(v, 3.0, 5)).1;
        Some(RepeatScore {
            label,
            stars: stars.len(),
            visits: scatter.len(),
            scatter: clipped_std(&scatter),
            error: median(&mut all_errors)?,
            exposure_error: median(&mut all_exposure)?,
            ratio_to_exposure: clipped_std(&differences.concat()),
        })
    });
    let scores = scores.collect();
    (scores, calibrated)
}

/// Difference of each visit from the mean of the earlier visits, in units of its error. n visits give n − 1 such
/// differences, independent of each other. A visit is (value, total error, exposure part of the error).
fn independent_differences(visits: &[(f64, f64, f64)]) -> Vec<f64> {
    (1..visits.len())
        .map(|i| {
            let earlier = &visits[..i];
            let mean = earlier.iter().map(|v| v.0).sum::<f64>() / i as f64;
            let variance = earlier.iter().map(|v| v.2 * v.2).sum::<f64>() / (i * i) as f64;
            (visits[i].0 - mean) / (visits[i].2 * visits[i].2 + variance).sqrt()
        })
        .collect()
}
