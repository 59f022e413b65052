//! `specola verify`: recompute what a link shows and compare.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use pollster::block_on;
use serde_json::{Value, json};

use super::files::{Loaded, for_each_part};
use super::predict::embedded::Answers;
use super::predict::{answer_all, record};
use super::{ModelsDir, Outcome, output, say};
use crate::engine::Assumptions;
use crate::result::{Flag, Label, Prediction, SpectrumView};
use crate::share::curve::{Axis, Curve};
use crate::share::link::{Shared, decode};
use crate::share::{Answer, Record, models_of, name_in};
use crate::task::likes::labels::xp_view;
use crate::task::predict::Predictor;
use crate::task::published::is_xp;

/// Values that differ by less than this part of their error are the same: links hold a thousandth, and compute devices
/// differ in the last bits.
const SAME_SIGMA: f64 = 0.01;

/// Normalised fluxes that differ by less are the same; links hold 0.4 % of the continuum.
const SAME_FLUX: f32 = 0.006;

/// Recompute the results in a link from their files and compare; one JSON object a result
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// The link, or its fragment
    #[arg(value_name = "LINK")]
    link: String,
    /// The spectra that it was made from
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    models: ModelsDir,
}

impl Verify {
    pub(super) fn run(&self) -> anyhow::Result<Outcome> {
        let shared = decode(&self.link)?;
        let mut today = Today { dir: &self.models, known: BTreeMap::new() };
        today.load_all(&shared)?;
        let mut found = vec![false; shared.len()];
        let mut all_same = true;
        let mut out = output::open(None)?;
        let read = for_each_part(&self.files, |part, report| {
            // Only what the link speaks of: a folder may hold more.
            for loaded in part {
                let Some(place) = place_of(&loaded, &shared, &found) else { continue };
                found[place] = true;
                let shared = &shared[place];
                let spectrum = Assumptions::told_in(&shared.record.summary.meta).applied_to(loaded.spectrum);
                let loaded = Loaded { spectrum, ..loaded };
                let model = shared.record.prediction().map(|p| name_in(&p.model));
                let (now, view) = today.answer(model, loaded)?;
                let line = compare(shared, &now, &view);
                all_same &= line["verdict"] == "same";
                report.aside(|| writeln!(out, "{line}"))?;
            }
            Ok(())
        })?;
        for (shared, _) in shared.iter().zip(&found).filter(|(_, found)| !**found) {
            let summary = &shared.record.summary;
            writeln!(out, "{}", json!({ "id": summary.meta.id, "file": summary.file, "verdict": "missing" }))?;
            say(&format!("{}: none of the files named holds this spectrum", summary.meta.id));
            all_same = false;
        }
        out.finish()?;
        Ok(if all_same { read } else { Outcome::Partial })
    }
}

/// What answers today under the name of a model.
enum Model {
    Optical(Box<Predictor>),
    Pair(Box<Answers>),
}

/// The models that a link names, as they are today; under no name that which answers refusals.
struct Today<'a> {
    dir: &'a ModelsDir,
    known: BTreeMap<Option<String>, Model>,
}

impl Today<'_> {
    fn load_all(&mut self, shared: &[Shared]) -> anyhow::Result<()> {
        self.known.insert(None, Model::Optical(Box::new(self.dir.load(None)?.1)));
        for named in models_of(shared.iter().map(|s| &s.record)) {
            let mut answers = shared.iter().filter_map(|s| s.record.prediction());
            if answers.any(|p| p.taught.is_some() && p.model == named.title) {
                bail!(
                    "{} was taught, and a link does not hold what was; compare with `specola predict --adapter` instead",
                    named.title
                );
            }
            let name = name_in(&named.title);
            let (model, entry) = match Answers::find(self.dir, name)? {
                Some(answers) => {
                    let entry = answers.entry().clone();
                    (Model::Pair(Box::new(answers)), entry)
                }
                None => {
                    let (entry, predictor) = self.dir.load(Some(name)).context("the link's model cannot be had")?;
                    (Model::Optical(Box::new(predictor)), entry)
                }
            };
            if named.sha256 != entry.sha256 {
                say(&format!(
                    "the link was made with {}, other weights than today's {}; differences are expected",
                    named.title,
                    entry.title()
                ));
            }
            self.known.insert(Some(name.to_owned()), model);
        }
        Ok(())
    }

    /// The result and the curves of today.
    fn answer(&self, model: Option<&str>, loaded: Loaded) -> anyhow::Result<(Record, SpectrumView)> {
        let spectrum = &loaded.spectrum;
        match self.known.get(&model.map(str::to_owned)).context("the link names no such model")? {
            Model::Optical(predictor) => {
                let answer = answer_all(predictor, std::slice::from_ref(&loaded)).remove(0);
                let view = block_on(predictor.view(spectrum));
                Ok((record(&loaded, answer), view))
            }
            Model::Pair(answers) => {
                let answer = answers.of(&[spectrum]).remove(0);
                let view =
                    if is_xp(spectrum) { xp_view(spectrum) } else { block_on(answers.predictor().view(spectrum)) };
                Ok((record(&loaded, answer), view))
            }
        }
    }
}

/// The result in the link that a spectrum belongs to: of its id, and of its file's name where ids repeat.
fn place_of(loaded: &Loaded, shared: &[Shared], found: &[bool]) -> Option<usize> {
    let name = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned();
    let of_id = |i: &usize| !found[*i] && shared[*i].record.summary.meta.id == loaded.spectrum.meta.id;
    let candidates: Vec<usize> = (0..shared.len()).filter(of_id).collect();
    let same_file = |i: &&usize| name(&shared[**i].record.summary.file) == name(&loaded.file);
    candidates.iter().find(same_file).or(candidates.first()).copied()
}

/// What the link says against what comes out now.
fn compare(shared: &Shared, now: &Record, view: &SpectrumView) -> Value {
    let then = &shared.record;
    let mut differences = Vec::new();
    let mut differ =
        |what: &str, link: Value, now: Value| differences.push(json!({ "what": what, "link": link, "now": now }));
    match (&then.answer, &now.answer) {
        (Answer::Predicted(then), Answer::Predicted(now)) => {
            if then.model_sha256 != now.model_sha256 {
                differ("model", then.model_sha256.as_str().into(), now.model_sha256.as_str().into());
            }
            for label in Label::ALL {
                let (a, b) = (then.get(label), now.get(label));
                let same = match (a, b) {
                    (Some(a), Some(b)) => {
                        let slack = SAME_SIGMA * if b.error.is_finite() { b.error } else { b.value.abs().max(1e-6) };
                        let error_same = a.error.is_nan() && b.error.is_nan() || (a.error - b.error).abs() <= slack;
                        (a.value - b.value).abs() <= slack && error_same
                    }
                    (None, None) => true,
                    _ => false,
                };
                if !same {
                    let said =
                        |p: Option<&crate::result::Estimate>| p.map_or(Value::Null, |e| json!([e.value, e.error]));
                    differ(label.name(), said(a), said(b));
                }
            }
            // Whether a model spectrum fits was once asked of single stars, and is no part of an answer.
            let flags = |p: &Prediction| -> Vec<&str> {
                p.flags.iter().filter(|f| **f != Flag::PoorFit).map(|f| f.code()).collect()
            };
            if flags(then) != flags(now) {
                differ("flags", flags(then).into(), flags(now).into());
            }
        }
        (Answer::Refused(_), Answer::Refused(_)) => {}
        (then, now) => differ("answer", in_a_word(then).into(), in_a_word(now).into()),
    }
    let flux = shared.curve.as_ref().map(|curve| largest_difference(curve, view));
    if flux.is_some_and(|d| d.is_none_or(|d| d > SAME_FLUX)) {
        differ("spectrum", Value::Null, flux.flatten().into());
    }
    let verdict = if differences.is_empty() { "same" } else { "different" };
    let summary = &now.summary;
    json!({ "id": summary.meta.id, "file": summary.file, "verdict": verdict, "differences": differences })
}

fn in_a_word(answer: &Answer) -> &'static str {
    match answer {
        Answer::Predicted(_) => "predicted",
        Answer::Refused(_) => "refused",
        Answer::Open => "none",
    }
}

/// Largest difference between a link's normalised flux and today's, brought to the same blocks; `None` when they cannot
/// be compared.
fn largest_difference(curve: &Curve, view: &SpectrumView) -> Option<f32> {
    let now = Curve::pack(Axis::of(&view.model_wave_vac_aa)?, &view.model_flux, curve.block);
    let ((wave, flux), (now_wave, now_flux)) = (curve.unpack()?, now.unpack()?);
    let same_axis = wave.len() == now_wave.len() && wave.iter().zip(&now_wave).all(|(a, b)| (a - b).abs() < 0.1);
    let difference = |(a, b): (&f32, &f32)| if a.is_nan() && b.is_nan() { 0.0 } else { (a - b).abs() };
    same_axis.then(|| flux.iter().zip(&now_flux).map(difference).fold(0.0, f32::max))
}
