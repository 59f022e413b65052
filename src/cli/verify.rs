//! `specola verify`: recomputes the results in a link and compares them.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use pollster::block_on;
use serde_json::{Value, json};

use super::files::{LoadedSpectrum, for_each_part};
use super::predict::pair::PairModel;
use super::predict::{predict_all, record, xp};
use super::{ModelsDir, RunOutcome, output, print_message};
use crate::engine::protocol::Assumptions;
use crate::result::{Flag, Label, Prediction, SpectrumView};
use crate::share::curve::{Axis, Curve};
use crate::share::link::{SharedResult, decode};
use crate::share::{Outcome, Record, models_of, name_in};
use crate::task::pipeline::Pipeline;
use crate::task::similarity::encoder_set::xp_view;
use crate::task::specclip::is_xp;
use crate::task::xp_model::XpModel;

/// Largest difference between equal values, in units of their error. Links store a thousandth of the error, and compute
/// devices differ in the last bits.
const SAME_SIGMA: f64 = 0.01;

/// Largest difference between equal normalised fluxes, units of the continuum. Links store steps of 0.4 % of the
/// continuum.
const SAME_FLUX: f32 = 0.006;

/// Recompute the results in a link from their files and compare; prints one JSON object per result
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// Link, or its fragment
    #[arg(value_name = "LINK")]
    link: String,
    /// Spectra from which the link was made
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    models: ModelsDir,
}

impl Verify {
    pub(super) fn run(&self) -> anyhow::Result<RunOutcome> {
        let shared = decode(&self.link)?;
        let mut current = CurrentModels { dir: &self.models, by_name: BTreeMap::new() };
        current.load_all(&shared)?;
        let mut is_found = vec![false; shared.len()];
        let mut all_same = true;
        let mut out = output::open(None)?;
        let read = for_each_part(&self.files, |part, report| {
            // Skips spectra that are not in the link: a folder may hold more.
            for loaded in part {
                let Some(index) = index_of(&loaded, &shared, &is_found) else { continue };
                is_found[index] = true;
                let shared = &shared[index];
                let spectrum = Assumptions::from_meta(&shared.record.summary.meta).applied_to(loaded.spectrum);
                let loaded = LoadedSpectrum { spectrum, ..loaded };
                let model = shared.record.prediction().map(|p| name_in(&p.model));
                let (current_record, view) = current.recompute(model, loaded)?;
                let line = compare(shared, &current_record, &view);
                all_same &= line["verdict"] == "same";
                report.suspended(|| writeln!(out, "{line}"))?;
            }
            Ok(())
        })?;
        for (shared, _) in shared.iter().zip(&is_found).filter(|(_, is_found)| !**is_found) {
            let summary = &shared.record.summary;
            writeln!(out, "{}", json!({ "id": summary.meta.id, "file": summary.file, "verdict": "missing" }))?;
            print_message(&format!("{}: the given files do not contain this spectrum", summary.meta.id));
            all_same = false;
        }
        out.finish()?;
        Ok(if all_same { read } else { RunOutcome::Partial })
    }
}

/// Current model of a given name.
enum Model {
    Optical(Box<Pipeline>),
    Pair(Box<PairModel>),
    Xp(Box<XpModel>),
}

/// Current models of the names in a link. The key `None` is the default model, for refused spectra.
struct CurrentModels<'a> {
    dir: &'a ModelsDir,
    by_name: BTreeMap<Option<String>, Model>,
}

impl CurrentModels<'_> {
    fn load_all(&mut self, shared: &[SharedResult]) -> anyhow::Result<()> {
        self.by_name.insert(None, Model::Optical(Box::new(Pipeline::new(Arc::new(self.dir.load(None)?.1)))));
        for named in models_of(shared.iter().map(|s| &s.record)) {
            let mut predictions = shared.iter().filter_map(|s| s.record.prediction());
            if predictions.any(|p| p.finetuned.is_some() && p.model == named.title) {
                bail!(
                    "{} was fine-tuned, and a link does not hold the adapter; compare with `specola predict --adapter` instead",
                    named.title
                );
            }
            let name = name_in(&named.title);
            let (model, entry) = if let Some(pair) = PairModel::find(self.dir, name)? {
                let entry = pair.entry().clone();
                (Model::Pair(Box::new(pair)), entry)
            } else if let Some(model) = xp::find(self.dir, name)? {
                let entry = model.entry().clone();
                (Model::Xp(Box::new(model)), entry)
            } else {
                let (entry, predictor) = self.dir.load(Some(name)).context("cannot load the link's model")?;
                (Model::Optical(Box::new(Pipeline::new(Arc::new(predictor)))), entry)
            };
            if named.sha256 != entry.sha256 {
                print_message(&format!(
                    "the link was made with {}, other weights than the current {}; differences are expected",
                    named.title,
                    entry.title()
                ));
            }
            self.by_name.insert(Some(name.to_owned()), model);
        }
        Ok(())
    }

    /// Current result and curves of a spectrum.
    fn recompute(&self, model: Option<&str>, loaded: LoadedSpectrum) -> anyhow::Result<(Record, SpectrumView)> {
        let spectrum = &loaded.spectrum;
        match self.by_name.get(&model.map(str::to_owned)).context("the link does not name this model")? {
            Model::Optical(pipeline) => {
                let (prediction, _) = predict_all(pipeline, std::slice::from_ref(&loaded), false).remove(0);
                let view = block_on(pipeline.view(spectrum));
                Ok((record(&loaded, prediction), view))
            }
            Model::Xp(model) => {
                let view = xp_view(spectrum);
                let prediction = xp::predict(model, std::slice::from_ref(&loaded)).remove(0).0;
                Ok((record(&loaded, prediction), view))
            }
            Model::Pair(pair) => {
                let prediction = pair.predict(&[spectrum]).remove(0);
                let view = if is_xp(spectrum) { xp_view(spectrum) } else { block_on(pair.predictor().view(spectrum)) };
                Ok((record(&loaded, prediction), view))
            }
        }
    }
}

/// Index of the spectrum's result in the link, by id; if ids repeat, by id and file name.
fn index_of(loaded: &LoadedSpectrum, shared: &[SharedResult], is_found: &[bool]) -> Option<usize> {
    let name = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned();
    let of_id = |i: &usize| !is_found[*i] && shared[*i].record.summary.meta.id == loaded.spectrum.meta.id;
    let candidates: Vec<usize> = (0..shared.len()).filter(of_id).collect();
    let same_file = |i: &&usize| name(&shared[**i].record.summary.file) == name(&loaded.file);
    candidates.iter().find(same_file).or(candidates.first()).copied()
}

/// Compares the result in the link with the current result.
fn compare(shared: &SharedResult, current: &Record, view: &SpectrumView) -> Value {
    let linked = &shared.record;
    let mut differences = Vec::new();
    let mut differ = |quantity: &str, link: Value, current: Value| {
        differences.push(json!({ "what": quantity, "link": link, "now": current }))
    };
    match (&linked.outcome, &current.outcome) {
        (Outcome::Predicted(linked), Outcome::Predicted(current)) => {
            if linked.model_sha256 != current.model_sha256 {
                differ("model", linked.model_sha256.as_str().into(), current.model_sha256.as_str().into());
            }
            for label in Label::ALL {
                let (a, b) = (linked.get(label), current.get(label));
                let same = match (a, b) {
                    (Some(a), Some(b)) => {
                        let tolerance =
                            SAME_SIGMA * if b.error.is_finite() { b.error } else { b.value.abs().max(1e-6) };
                        let error_same = a.error.is_nan() && b.error.is_nan() || (a.error - b.error).abs() <= tolerance;
                        (a.value - b.value).abs() <= tolerance && error_same
                    }
                    (None, None) => true,
                    _ => false,
                };
                if !same {
                    let value_and_error =
                        |p: Option<&crate::result::Estimate>| p.map_or(Value::Null, |e| json!([e.value, e.error]));
                    differ(label.name(), value_and_error(a), value_and_error(b));
                }
            }
            // The flag `poor_fit` comes from a separate comparison with a synthetic spectrum, and is no part of a
            // prediction.
            let flags = |p: &Prediction| -> Vec<&str> {
                p.flags.iter().filter(|f| **f != Flag::PoorFit).map(|f| f.code()).collect()
            };
            if flags(linked) != flags(current) {
                differ("flags", flags(linked).into(), flags(current).into());
            }
        }
        (Outcome::NotPredicted(_), Outcome::NotPredicted(_)) => {}
        (linked, current) => differ("answer", outcome_name(linked).into(), outcome_name(current).into()),
    }
    let flux = shared.curve.as_ref().map(|curve| largest_difference(curve, view));
    if flux.is_some_and(|d| d.is_none_or(|d| d > SAME_FLUX)) {
        differ("spectrum", Value::Null, flux.flatten().into());
    }
    let status = if differences.is_empty() { "same" } else { "different" };
    let summary = &current.summary;
    json!({ "id": summary.meta.id, "file": summary.file, "verdict": status, "differences": differences })
}

fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Predicted(_) => "predicted",
        Outcome::NotPredicted(_) => "refused",
        Outcome::Pending => "none",
    }
}

/// Largest difference between the link's normalised flux and the current flux, averaged over the same blocks; `None`
/// when they cannot be compared.
fn largest_difference(curve: &Curve, view: &SpectrumView) -> Option<f32> {
    let current = Curve::pack(Axis::of(&view.model_wave_vac_aa)?, &view.model_flux, curve.block);
    let ((wave, flux), (current_wave, current_flux)) = (curve.unpack()?, current.unpack()?);
    let same_axis =
        wave.len() == current_wave.len() && wave.iter().zip(&current_wave).all(|(a, b)| (a - b).abs() < 0.1);
    let difference = |(a, b): (&f32, &f32)| if a.is_nan() && b.is_nan() { 0.0 } else { (a - b).abs() };
    same_axis.then(|| flux.iter().zip(&current_flux).map(difference).fold(0.0, f32::max))
}
