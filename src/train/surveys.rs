//! Every route from a spectrum to labels, measured on every survey's spectra.

use std::fmt::Write;

use anyhow::Result;
use pollster::block_on;
use rayon::prelude::*;

use super::cases::Case;
use super::evaluate::{Judged, join, score, truth, velocities};
use super::report::decimals;
use crate::model::manifest::{Accuracy, Manifest, ModelEntry};
use crate::result::{Calibration, Flag, Label, Prediction};
use crate::spectrum::{Spectrum, Survey};
use crate::task::likes::labels::Reader;
use crate::task::predict::Predictor;

/// What gives labels.
pub enum Route<'a> {
    /// A network on the flux.
    Flux(&'a Predictor),
    /// Heads on embeddings; the predictor brings spectra to rest.
    Embedding(&'a Reader, &'a Predictor),
}

/// Spectra that a network sees at once.
const AT_ONCE: usize = 32;

impl Route<'_> {
    /// What it is.
    pub fn entry(&self) -> &ModelEntry {
        match self {
            Route::Flux(predictor) => predictor.entry(),
            Route::Embedding(reader, _) => reader.encoders().entry(),
        }
    }

    /// Answers with the spectra's names; those that are refused are left out.
    pub fn answer(&self, spectra: &[Spectrum]) -> Vec<(String, Prediction)> {
        let some = |batch: &[Spectrum]| {
            let all: Vec<&Spectrum> = batch.iter().collect();
            let answers: Vec<Option<Prediction>> = match self {
                Route::Flux(predictor) => block_on(predictor.predict(&all)).into_iter().map(Result::ok).collect(),
                Route::Embedding(reader, predictor) => {
                    block_on(reader.predict(predictor, &all)).into_iter().map(|a| Some(a.ok()?.0)).collect()
                }
            };
            let named = batch.iter().zip(answers).filter_map(|(s, a)| Some((s.meta.id.clone(), a?)));
            named.collect::<Vec<_>>()
        };
        spectra.par_chunks(AT_ONCE).flat_map_iter(some).collect()
    }
}

/// A route's answers to a case.
pub struct Answers {
    /// Its name, `lrs-mlp`.
    pub model: String,
    /// Which of the cases.
    pub case: usize,
    /// The answers.
    pub judged: Vec<Judged>,
    /// How good they are.
    pub accuracy: Vec<Accuracy>,
}

impl Answers {
    fn of(route: &Route, number: usize, case: &Case) -> Self {
        let judged = join(route.answer(&case.spectra), &case.table);
        let all: Vec<&Judged> = judged.iter().collect();
        let scores = score(&all, &case.table, |j| case.group(&j.id, j.row));
        let accuracy = scores.into_iter().map(|s| {
            let of = |metrics| Accuracy::of(s.label, &case.name, case.survey, case.is_simulated, metrics);
            match (s.label, case.survey, case.is_simulated) {
                // Headers have velocities where catalogues have none.
                (Label::Rv, Survey::LamostLrs, false) if case.table.texts.contains_key("star_group") => {
                    let on = "LAMOST, real stars, velocities of catalogues, else of headers, S/N > 30".into();
                    Accuracy { on, ..of(&velocities(&judged, &case.table, "star_group", "snrg").metrics) }
                }
                _ => Accuracy { sigma_se: Some(s.sigma_se), ..of(&s.metrics) },
            }
        });
        Self { model: route.entry().name.clone(), case: number, accuracy: accuracy.collect(), judged }
    }

    /// Whether the errors of each label are right.
    fn calibration(&self, case: &Case) -> Vec<Calibration> {
        let of = |label: Label| {
            let pulls: Vec<f64> =
                self.triples(case, label).iter().map(|(known, told, error)| (told - known) / error).collect();
            let survey = case.survey.measured_as();
            Calibration::of(label, &case.name, survey, case.is_simulated, &pulls).filter(|c| c.n > 2)
        };
        Label::ALL.into_iter().filter_map(of).collect()
    }

    /// (known, predicted, predicted error) of a label.
    pub fn triples(&self, case: &Case, label: Label) -> Vec<(f64, f64, f64)> {
        let one = |j: &Judged| {
            let estimate = j.prediction.get(label)?;
            Some((truth(&case.table, label, j.row)?, estimate.value, estimate.error))
        };
        self.judged.iter().filter_map(one).collect()
    }
}

/// All routes on all cases. A predictor that has learned from a case's stars is left out there.
pub fn answers(routes: &[Route], cases: &[Case], say: &mut dyn FnMut(&str)) -> Vec<Answers> {
    let mut all = Vec::new();
    for route in routes {
        for (number, case) in cases.iter().enumerate() {
            if has_learned(route.entry(), case) {
                continue;
            }
            let answers = Answers::of(route, number, case);
            say(&format!(
                "{}: {} of {} answered, {}",
                answers.model,
                answers.judged.len(),
                case.spectra.len(),
                case.name
            ));
            if !answers.judged.is_empty() {
                all.push(answers);
            }
        }
    }
    all
}

fn has_learned(entry: &ModelEntry, case: &Case) -> bool {
    case.survey == Survey::Miles && entry.trained_on.contains("MILES")
}

/// Puts what was measured into the manifest, in the place of what was measured before.
pub fn record(manifest: &mut Manifest, cases: &[Case], all: &[Answers]) {
    for entry in &mut manifest.models {
        let own = || all.iter().filter(|a| a.model == entry.name);
        let calibration = own().flat_map(|a| a.calibration(&cases[a.case])).collect();
        entry.surveys = own().flat_map(|a| a.accuracy.iter().cloned()).map(standing).collect();
        entry.calibration = calibration;
    }
}

/// For the survey that stands for its own.
fn standing(accuracy: Accuracy) -> Accuracy {
    Accuracy { survey: accuracy.survey.measured_as(), ..accuracy }
}

/// The surveys of the table, with what they are called.
const SURVEYS: [(Survey, &str); 3] =
    [(Survey::LamostLrs, "LAMOST-like, LRS"), (Survey::Desi, "DESI"), (Survey::GaiaXp, "Gaia XP")];

/// What a table says of a model: what was recorded on real stars and what this run has measured. Parts of a set that stands
/// there whole, and older figures of simulated stars, are told in the model's own section.
fn rows_of(entry: &ModelEntry, label: Label, survey: Survey) -> Vec<Accuracy> {
    let recorded = entry.accuracy.iter().filter(|a| !a.simulated && !a.on.contains("labels from"));
    recorded.chain(&entry.surveys).filter(|a| a.label == label && a.survey == survey).cloned().collect()
}

/// The table survey × label: what a dropped spectrum's labels are worth. Of each survey the route is the default model; the
/// encoder pair where that takes no such spectra.
pub fn table(manifest: &Manifest) -> String {
    let mut page = String::from(
        "\n## What labels are worth, by survey\n\nThe route is the one that answers for such a spectrum. Real stars where there are labels for any; \
         simulated ones are made near grid nodes that no network has learned from, so their offset knows nothing of how real spectra differ from \
         synthetic ones. The page and `specola predict --format json` show the row of the spectrum's own survey, real stars first.\n\n\
         | survey | label | route | stars | N | offset | σ ± s.e. | on |\n|---|---|---|---|---|---|---|---|\n",
    );
    for (survey, name) in SURVEYS {
        for label in Label::ALL {
            let of = |entry: &ModelEntry| rows_of(entry, label, survey);
            let gives = |entry: &&ModelEntry| !of(entry).is_empty();
            let route = manifest.default_model().filter(gives).or(manifest.models.iter().find(gives));
            let symbol = label.symbol();
            let Some(route) = route else {
                let _ = writeln!(page, "| {name} | {symbol} | none | – | – | – | – | no shipped route gives it |");
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

/// All routes side by side on every case: σ and offset, the smallest σ in bold, and how often each route has it.
pub fn comparison(manifest: &Manifest, cases: &[Case], all: &[Answers]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for a in all.iter().filter(|a| a.accuracy.iter().any(|a| a.label != Label::Rv)) {
        if !names.contains(&a.model.as_str()) {
            names.push(&a.model);
        }
    }
    let of = |name: &str, number: usize, label: Label| -> Option<Accuracy> {
        match all.iter().find(|a| a.model == name && a.case == number) {
            Some(a) => a.accuracy.iter().find(|a| a.label == label).cloned(),
            None => {
                let entry = manifest.get(name).filter(|entry| has_learned(entry, &cases[number]))?;
                entry.accuracy.iter().find(|a| a.label == label && a.on.contains("fold")).cloned()
            }
        }
    };
    let mut wins = vec![[0; 2]; names.len()];
    let mut lines = String::new();
    for (number, case) in cases.iter().enumerate() {
        for label in Label::ALL {
            let cells: Vec<Option<Accuracy>> = names.iter().map(|name| of(name, number, label)).collect();
            let best = cells.iter().flatten().map(|a| a.sigma).fold(f64::INFINITY, f64::min);
            if best.is_infinite() {
                continue;
            }
            let _ = write!(lines, "| {} | {} |", case.name, label.symbol());
            let is_contested = cells.iter().flatten().count() > 1 && label != Label::Rv;
            for (cell, wins) in cells.into_iter().zip(&mut wins) {
                let d = decimals(label);
                let _ = match cell {
                    Some(a) if a.sigma <= best => {
                        wins[usize::from(case.is_simulated)] += usize::from(is_contested);
                        write!(lines, " **{:.d$}**, {:+.d$} |", a.sigma, a.bias)
                    }
                    Some(a) => write!(lines, " {:.d$}, {:+.d$} |", a.sigma, a.bias),
                    None => write!(lines, " – |"),
                };
            }
            lines.push('\n');
        }
    }
    let won =
        |of: usize| names.iter().zip(&wins).map(|(name, n)| format!("{name} {}", n[of])).collect::<Vec<_>>().join(", ");
    format!(
        "\n## Routes side by side\n\nσ and offset of every route, the smallest σ in bold. `lrs-mlp` alone has learned from real stars, those of MILES; \
         its figures on them are of cross-validation. RV is of one network in both. Where several routes give a label, the smallest σ is on real stars that of: {}; \
         on simulated ones: {}.\n\n| on | label | {} |\n|---|---|{}\n{lines}",
        won(0),
        won(1),
        names.join(" | "),
        "---|".repeat(names.len())
    )
}

/// How often each route flags spectra that are as they should be.
pub fn false_alarms(cases: &[Case], all: &[Answers]) -> String {
    let mut page = String::from(
        "\n### False alarms\n\nShare of spectra with nothing wrong that are flagged as unlike the training set.\n\n\
         | route | on | N | flagged |\n|---|---|---|---|\n",
    );
    for a in all {
        let flagged = a.judged.iter().filter(|j| j.prediction.flags.contains(&Flag::OutOfTraining)).count();
        let n = a.judged.len();
        let _ =
            writeln!(page, "| {} | {} | {n} | {:.4} |", a.model, cases[a.case].name, flagged as f64 / n.max(1) as f64);
    }
    page
}
