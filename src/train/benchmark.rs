//! Benchmark: every route from a spectrum to labels, measured on the spectra of every survey.

use std::fmt::Write;

use anyhow::Result;
use pollster::block_on;
use rayon::prelude::*;

use super::benchmark_sets::BenchmarkSet;
use super::evaluate::{EvaluatedSpectrum, join, score, truth, velocities};
use super::report::decimals;
use crate::model::manifest::{Accuracy, Kind, Manifest, ModelEntry};
use crate::result::{Calibration, Flag, Label, Prediction};
use crate::spectrum::{Spectrum, Survey};
use crate::task::predict::Predictor;
use crate::task::similarity::encoder_set::EncoderSet;

/// A route from a spectrum to labels.
pub enum Route<'a> {
    /// A network on the flux.
    Flux(&'a Predictor),
    /// Label heads on embeddings. The predictor determines the velocity and shifts each spectrum to rest.
    Embedding(&'a EncoderSet, &'a Predictor),
}

/// Spectra in one batch of a network.
const BATCH_SIZE: usize = 32;

impl Route<'_> {
    /// The manifest entry of the model.
    pub fn entry(&self) -> &ModelEntry {
        match self {
            Route::Flux(predictor) => predictor.entry(),
            Route::Embedding(encoder_set, _) => encoder_set.encoders().entry(),
        }
    }

    /// Predictions with the ids of their spectra. Spectra that preprocessing or the model rejects are omitted.
    pub fn predict(&self, spectra: &[Spectrum]) -> Vec<(String, Prediction)> {
        let predict_batch = |batch: &[Spectrum]| {
            let all: Vec<&Spectrum> = batch.iter().collect();
            let predictions: Vec<Option<Prediction>> = match self {
                Route::Flux(predictor) => block_on(predictor.predict(&all)).into_iter().map(Result::ok).collect(),
                Route::Embedding(encoder_set, predictor) => {
                    block_on(encoder_set.predict(predictor, &all)).into_iter().map(|a| Some(a.ok()?.0)).collect()
                }
            };
            let with_ids = batch.iter().zip(predictions).filter_map(|(s, a)| Some((s.meta.id.clone(), a?)));
            with_ids.collect::<Vec<_>>()
        };
        spectra.par_chunks(BATCH_SIZE).flat_map_iter(predict_batch).collect()
    }
}

/// The predictions of one route for one benchmark set.
pub struct RoutePredictions {
    /// Name of the model, for example `lrs-mlp`.
    pub model: String,
    /// Index of the benchmark set.
    pub set_index: usize,
    /// The predictions, joined to the label table.
    pub evaluated: Vec<EvaluatedSpectrum>,
    /// Accuracy by label.
    pub accuracy: Vec<Accuracy>,
}

impl RoutePredictions {
    fn of(route: &Route, index: usize, set: &BenchmarkSet) -> Self {
        let evaluated = join(route.predict(&set.spectra), &set.table);
        let all: Vec<&EvaluatedSpectrum> = evaluated.iter().collect();
        let scores = score(&all, &set.table, |j| set.group(&j.id, j.row));
        let accuracy = scores.into_iter().map(|s| {
            let of = |metrics| Accuracy::of(s.label, &set.name, set.survey, set.is_simulated, metrics);
            match (s.label, set.survey, set.is_simulated) {
                // LAMOST headers give velocities where catalogues give none.
                (Label::Rv, Survey::LamostLrs, false) if set.table.texts.contains_key("star_group") => {
                    let on = "LAMOST, real stars, velocities of catalogues, else of headers, S/N > 30".into();
                    Accuracy { on, ..of(&velocities(&evaluated, &set.table, "star_group", "snrg").metrics) }
                }
                _ => Accuracy { sigma_se: Some(s.sigma_se), ..of(&s.metrics) },
            }
        });
        Self { model: route.entry().name.clone(), set_index: index, accuracy: accuracy.collect(), evaluated }
    }

    /// Error calibration by label.
    fn calibration(&self, set: &BenchmarkSet) -> Vec<Calibration> {
        let of = |label: Label| {
            let pulls: Vec<f64> = self
                .triples(set, label)
                .iter()
                .map(|(true_value, predicted, error)| (predicted - true_value) / error)
                .collect();
            let survey = set.survey.accuracy_survey();
            Calibration::of(label, &set.name, survey, set.is_simulated, &pulls).filter(|c| c.n > 2)
        };
        Label::ALL.into_iter().filter_map(of).collect()
    }

    /// (catalogue value, predicted value, predicted error) of each star with the label.
    pub fn triples(&self, set: &BenchmarkSet, label: Label) -> Vec<(f64, f64, f64)> {
        let triple = |j: &EvaluatedSpectrum| {
            let estimate = j.prediction.get(label)?;
            Some((truth(&set.table, label, j.row)?, estimate.value, estimate.error))
        };
        self.evaluated.iter().filter_map(triple).collect()
    }
}

/// Predictions of all routes for all benchmark sets. A predictor that was trained on the stars of a set skips this set.
pub fn predict_all(routes: &[Route], sets: &[BenchmarkSet], log: &mut dyn FnMut(&str)) -> Vec<RoutePredictions> {
    let mut all = Vec::new();
    for route in routes {
        for (index, set) in sets.iter().enumerate() {
            if was_trained_on(route.entry(), set) {
                continue;
            }
            let predictions = RoutePredictions::of(route, index, set);
            log(&format!(
                "{}: {} of {} spectra predicted, {}",
                predictions.model,
                predictions.evaluated.len(),
                set.spectra.len(),
                set.name
            ));
            if !predictions.evaluated.is_empty() {
                all.push(predictions);
            }
        }
    }
    all
}

fn was_trained_on(entry: &ModelEntry, set: &BenchmarkSet) -> bool {
    set.survey == Survey::Miles && entry.trained_on.contains("MILES")
}

/// Writes the measured accuracy and calibration into the manifest; they replace the earlier values.
pub fn record(manifest: &mut Manifest, sets: &[BenchmarkSet], all: &[RoutePredictions]) {
    for entry in &mut manifest.models {
        let of_model = || all.iter().filter(|a| a.model == entry.name);
        let calibration = of_model().flat_map(|a| a.calibration(&sets[a.set_index])).collect();
        entry.surveys = of_model().flat_map(|a| a.accuracy.iter().cloned()).map(with_accuracy_survey).collect();
        entry.calibration = calibration;
    }
}

/// Files the accuracy under the survey whose accuracy represents it.
fn with_accuracy_survey(accuracy: Accuracy) -> Accuracy {
    Accuracy { survey: accuracy.survey.accuracy_survey(), ..accuracy }
}

/// The surveys of the table, with their titles.
pub(super) const SURVEYS: [(Survey, &str); 3] =
    [(Survey::LamostLrs, "LAMOST-like, LRS"), (Survey::Desi, "DESI"), (Survey::GaiaXp, "Gaia XP")];

/// Rows of the accuracy table for a model: the accuracy recorded on real stars, then the accuracy of this run. The
/// model's own section reports the rest: subsets by label source (the whole set is in the table already), and older
/// values on simulated stars.
pub(super) fn rows_of(entry: &ModelEntry, label: Label, survey: Survey) -> Vec<Accuracy> {
    let recorded = entry.accuracy.iter().filter(|a| !a.simulated && !a.on.contains("labels from"));
    recorded.chain(&entry.surveys).filter(|a| a.label == label && a.survey == survey).cloned().collect()
}

/// The table survey × label: accuracy of the labels that Specola gives for an input spectrum. For each survey the route
/// is the default model, or the model for Gaia XP spectra where the default model does not take spectra of the survey.
pub fn table(manifest: &Manifest) -> String {
    let mut page = String::from(
        "\n## Accuracy by survey\n\nThe route is the model that predicts for such a spectrum. Real stars where any have labels. Simulated \
         stars lie near grid nodes that no network was trained on; their offset does not include the difference between real and synthetic \
         spectra. The page and `specola predict --format json` show the row of the spectrum's survey, real stars first.\n\n\
         | survey | label | route | stars | N | offset | σ ± s.e. | on |\n|---|---|---|---|---|---|---|---|\n",
    );
    for (survey, name) in SURVEYS {
        for label in Label::ALL {
            let of = |entry: &ModelEntry| rows_of(entry, label, survey);
            let has_rows = |entry: &&ModelEntry| !of(entry).is_empty();
            let of_xp = manifest.models.iter().find(|m| m.kind == Kind::XpPredictor && has_rows(m));
            let route = manifest.default_model().filter(has_rows).or(of_xp).or(manifest.models.iter().find(has_rows));
            let symbol = label.symbol();
            let Some(route) = route else {
                let _ = writeln!(
                    page,
                    "| {name} | {symbol} | none | – | – | – | – | no shipped model predicts this label |"
                );
                continue;
            };
            for a in of(route) {
                let (d, stars) = (decimals(label), if a.simulated { "simulated" } else { "real" });
                let se = a.sigma_se.map_or(String::new(), |se| format!(" ± {se:.d$}"));
                let _ = writeln!(
                    page,
                    "| {name} | {symbol} | {} | {stars} | {} | {:+.d$} | {:.d$}{se} | {} |",
                    route.title(),
                    a.n,
                    a.bias,
                    a.sigma,
                    a.on
                );
            }
        }
    }
    page
}

/// Table of all routes on every benchmark set: σ and offset, the smallest σ in bold. It also counts the rows in which
/// each route has the smallest σ.
pub fn comparison(manifest: &Manifest, sets: &[BenchmarkSet], all: &[RoutePredictions]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for a in all.iter().filter(|a| a.accuracy.iter().any(|a| a.label != Label::Rv)) {
        if !names.contains(&a.model.as_str()) {
            names.push(&a.model);
        }
    }
    let of = |name: &str, index: usize, label: Label| -> Option<Accuracy> {
        match all.iter().find(|a| a.model == name && a.set_index == index) {
            Some(a) => a.accuracy.iter().find(|a| a.label == label).cloned(),
            None => {
                let entry = manifest.get(name).filter(|entry| was_trained_on(entry, &sets[index]))?;
                entry.accuracy.iter().find(|a| a.label == label && a.on.contains("fold")).cloned()
            }
        }
    };
    let mut wins = vec![[0; 2]; names.len()];
    let mut lines = String::new();
    for (index, set) in sets.iter().enumerate() {
        for label in Label::ALL {
            let cells: Vec<Option<Accuracy>> = names.iter().map(|name| of(name, index, label)).collect();
            let best = cells.iter().flatten().map(|a| a.sigma).fold(f64::INFINITY, f64::min);
            if best.is_infinite() {
                continue;
            }
            let _ = write!(lines, "| {} | {} |", set.name, label.symbol());
            let is_contested = cells.iter().flatten().count() > 1 && label != Label::Rv;
            for (cell, wins) in cells.into_iter().zip(&mut wins) {
                let d = decimals(label);
                let _ = match cell {
                    Some(a) if a.sigma <= best => {
                        wins[usize::from(set.is_simulated)] += usize::from(is_contested);
                        write!(lines, " **{:.d$}**, {:+.d$} |", a.sigma, a.bias)
                    }
                    Some(a) => write!(lines, " {:.d$}, {:+.d$} |", a.sigma, a.bias),
                    None => write!(lines, " – |"),
                };
            }
            lines.push('\n');
        }
    }
    let win_counts =
        |of: usize| names.iter().zip(&wins).map(|(name, n)| format!("{name} {}", n[of])).collect::<Vec<_>>().join(", ");
    format!(
        "\nσ and offset of every route; the smallest σ is bold. Only `lrs-mlp` was trained on real stars, those of MILES and LAMOST DR10; its figures on MILES \
         are cross-validated. Both predictors share one network for RV. Number of labels for which a route has the smallest σ, on real stars: {}; \
         on simulated stars: {}.\n\n| on | label | {} |\n|---|---|{}\n{lines}",
        win_counts(0),
        win_counts(1),
        names.join(" | "),
        "---|".repeat(names.len())
    )
}

/// Table of false alarms: the fraction of normal spectra that each route flags.
pub fn false_alarms(sets: &[BenchmarkSet], all: &[RoutePredictions]) -> String {
    let mut page = String::from(
        "\n## False alarms\n\nFraction of normal spectra that are flagged `out_of_training`.\n\n\
         | route | on | N | flagged |\n|---|---|---|---|\n",
    );
    for a in all {
        let flagged = a.evaluated.iter().filter(|j| j.prediction.flags.contains(&Flag::OutOfTraining)).count();
        let n = a.evaluated.len();
        let _ = writeln!(
            page,
            "| {} | {} | {n} | {:.4} |",
            a.model,
            sets[a.set_index].name,
            flagged as f64 / n.max(1) as f64
        );
    }
    page
}
