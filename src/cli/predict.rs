//! `specola predict`: stellar parameters of spectra, as a table.

use std::cell::RefCell;
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use pollster::block_on;
use rayon::prelude::*;
use serde_json::{Map, Value};

use super::files::{LoadedSpectrum, for_each_part};
use super::output::Format;
use super::{ModelsDir, RunOutcome, output, print_message};
use crate::model::manifest::ModelEntry;
use crate::model::store::{MANIFEST, sha256_hex};
use crate::preprocess::snr;
use crate::result::diagnostics::ModelFit;
use crate::result::{Label, Prediction, Summary};
use crate::share::session::Session;
use crate::share::{self, Outcome, Record, csv};
use crate::spectrum::{Spectrum, Survey};
use crate::task::finetune::adapter::Adapter;
use crate::task::pipeline::{Pipeline, PipelineError};
use crate::task::specclip::is_xp;

mod accuracy;
mod check_fit;
pub(super) mod pair;
mod specclip;
pub(super) mod xp;

use pair::PairModel;

/// Content of an adapter file. The path is the adapter itself, or a session file of the page with an adapter.
fn adapter_in(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = std::fs::read(path).with_context(|| format!("cannot open {}", path.display()))?;
    if !Session::has_signature(&file) {
        return Ok(file);
    }
    let path_text = || path.display().to_string();
    let (sha256, adapter) =
        Session::open(file).and_then(|mut session| session.adapter()).with_context(path_text)?.with_context(|| {
            format!(
                "{}: this session has no adapter; give an adapter file from `specola finetune -o` or from the page",
                path_text()
            )
        })?;
    if sha256_hex(&adapter) != sha256 {
        bail!("{}: the adapter's hash is not the one in the session; save the session again", path_text());
    }
    Ok(adapter)
}

/// Largest number of spectra in a batch, on each core.
const BATCH: usize = 32;

/// Predict stellar parameters of spectra, as a table
#[derive(Debug, clap::Args)]
pub(super) struct Predict {
    /// Spectra: files, folders, .zip archives or .npz bundles, `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Model to use: a name (`specola models` lists them), a folder of models, or the folder of the published `SpecCLIP`
    /// networks [default: the shipped default model, and the shipped model for Gaia XP spectra]
    #[arg(long, value_name = "NAME|DIR")]
    model: Option<String>,
    /// Adapter from `specola finetune` or from the page, or a session file with one. The fine-tuned model predicts its
    /// label, flagged `finetuned`; the shipped default model, or --model, predicts the other labels
    #[arg(long, value_name = "ADAPTER")]
    adapter: Option<PathBuf>,
    /// Labels to predict, in this order: teff, logg, feh, `alpha_fe`, rv; the published `SpecCLIP` networks have more
    /// [default: all labels of the model]
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    pub(super) labels: Vec<String>,
    /// Compare each spectrum with the synthetic spectrum at the predicted labels. Adds the columns `fit_rms` (rms of the
    /// residual, units of the continuum) and `fit_chi2` (χ² per pixel; empty without flux errors) to csv and json, and
    /// the flag `poor_fit`
    #[arg(long, alias = "fit")]
    check_fit: bool,
    /// Format of the table: csv, json (one object per line), ecsv, votable or fits
    #[arg(long, value_name = "FORMAT", default_value = "csv", value_parser = Format::parse)]
    pub(super) format: Format,
    /// Output file; `-` is standard output
    #[arg(short, value_name = "OUT")]
    pub(super) output: Option<PathBuf>,
    #[command(flatten)]
    models: ModelsDir,
}

impl Predict {
    pub(super) fn run(&self) -> anyhow::Result<RunOutcome> {
        let adapter = self.adapter.as_ref().map(|path| {
            let file = adapter_in(path)?;
            let card = Adapter::card_of(&file).with_context(|| path.display().to_string())?;
            Ok::<_, anyhow::Error>((path, file, card))
        });
        let adapter = adapter.transpose()?;
        if let (Some(name), None) = (self.model.as_deref(), &adapter)
            && let Some(pair) = PairModel::find(&self.models, name)?
        {
            if self.check_fit {
                bail!(
                    "{name} predicts labels from embeddings, for which --check-fit has no synthetic spectrum; leave one of the two out"
                );
            }
            let entry = pair.entry().clone();
            let predict =
                |part: &[LoadedSpectrum]| pair.predict(&spectra(part)).into_iter().map(|p| (p, None)).collect();
            return self.write(&entry, None, None, predict);
        }
        if let (Some(name), None) = (self.model.as_deref(), &adapter)
            && let Some(model) = xp::find(&self.models, name)?
        {
            if self.check_fit {
                bail!("{name} has no synthetic spectra for --check-fit; leave one of the two out");
            }
            return self.write(model.entry(), Some(model.entry()), None, |part| xp::predict(&model, part));
        }
        // Name of the adapter's base model, without its version.
        let base_name = adapter.as_ref().map(|(_, _, card)| share::name_in(&card.base).to_owned());
        let (mut entry, predictor) = match self.model.as_deref().map(|m| (m, Path::new(m))) {
            Some((_, folder)) if folder.join(MANIFEST).is_file() => {
                ModelsDir { folder: Some(folder.to_owned()) }.load(None)?
            }
            Some((_, folder)) if folder.is_dir() && self.adapter.is_some() => {
                bail!("{} has no base model for the adapter", folder.display())
            }
            Some((_, folder)) if folder.is_dir() => return specclip::run(self, folder),
            Some((name, _)) if name.contains(std::path::is_separator) => bail!("there is no folder {name}"),
            other => self.models.load(other.map(|(name, _)| name).or(base_name.as_deref()))?,
        };
        let base = Arc::new(predictor);
        let mut pipeline = Pipeline::new(base.clone());
        // The shipped model predicts the labels that were not fine-tuned, unless the user names another model.
        if adapter.is_some() && self.model.is_none() {
            let (shipped, predictor) = self.models.load(None)?;
            if shipped.sha256 != entry.sha256 {
                entry = shipped;
                pipeline = Pipeline::new(Arc::new(predictor));
            }
        }
        let mut extra_label = None;
        if let Some((path, file, card)) = adapter {
            let adapter = block_on(Adapter::open(&file, &base)).with_context(|| path.display().to_string())?;
            block_on(pipeline.set_adapter(adapter, &base));
            extra_label = Some(card.target).filter(|target| Label::from_name(target).is_none());
        }
        if self.check_fit {
            pipeline.set_emulator(self.models.emulator()?);
        }
        // Gaia XP spectra have their own model, which is loaded at the first of them.
        let is_chosen = self.model.is_some() || self.adapter.is_some();
        let xp_entry = (!is_chosen).then(|| xp::shipped(&self.models)).flatten();
        let pipeline = RefCell::new(pipeline);
        self.write(&entry, xp_entry.as_ref(), extra_label.as_deref(), |part| {
            if xp_entry.is_some() && part.iter().any(|loaded| is_xp(&loaded.spectrum)) {
                xp::load_into(&mut pipeline.borrow_mut(), &self.models);
            }
            predict_all(&pipeline.borrow(), part, self.check_fit)
        })
    }

    /// Reads and predicts the spectra, and writes the table. `xp_model` is the model for Gaia XP spectra, if it is not
    /// `entry`.
    fn write<E: Display>(
        &self,
        entry: &ModelEntry,
        xp_model: Option<&ModelEntry>,
        finetuned_label: Option<&str>,
        predict: impl Fn(&[LoadedSpectrum]) -> Vec<(Result<Prediction, E>, Option<ModelFit>)>,
    ) -> anyhow::Result<RunOutcome> {
        let labels = self.labels_of(entry)?;
        let is_self_describing = !matches!(self.format, Format::Json | Format::Table(share::Format::Csv));
        if is_self_describing && finetuned_label.is_some() {
            bail!("only csv and json can hold a label that is none of Specola's; add --format csv or --format json")
        }
        let mut accuracy_notes =
            accuracy::AccuracyNotes::new(entry.card(), labels.clone()).with_xp(xp_model.map(ModelEntry::card));
        let mut out = output::open(self.output.as_deref())?;
        if self.format == Format::Table(share::Format::Csv) {
            let header = csv::header_with_label(&labels, finetuned_label);
            let header = if self.check_fit {
                csv::insert_before_flags(&header, check_fit::COLUMNS.map(String::from))
            } else {
                header
            };
            out.write_all(header.as_bytes())?;
        }
        // These formats need the number of rows at their beginning, so their records are collected first.
        let mut records = Vec::new();
        let outcome = for_each_part(&self.files, |part, report| {
            for (loaded, (prediction, fit)) in part.iter().zip(predict(&part)) {
                let survey = survey_of(&loaded.spectrum);
                match &prediction {
                    Err(refusal) => report.warn(&loaded.file, &format!("{}: {refusal}", loaded.spectrum.meta.id)),
                    Ok(prediction) => {
                        accuracy_notes.count(survey);
                        if let Some(reason) = prediction.withheld() {
                            report.warn(&loaded.file, &format!("{}: {reason}", loaded.spectrum.meta.id));
                        }
                    }
                }
                let record = record(loaded, prediction);
                let fit = self.check_fit.then(|| check_fit::numbers(fit));
                let line = match self.format {
                    Format::Table(share::Format::Csv) => {
                        let line = csv::line_with_label(&record, &labels, finetuned_label);
                        let text = |v: Option<f64>| v.map_or_else(String::new, |v| v.to_string());
                        fit.map_or(line.clone(), |fit| csv::insert_before_flags(&line, fit.map(text)))
                    }
                    Format::Json => json(&record, &labels, &accuracy_notes, survey, fit),
                    Format::Table(_) => {
                        records.push(record);
                        continue;
                    }
                };
                report.suspended(|| out.write_all(line.as_bytes()))?;
            }
            Ok(())
        })?;
        match self.format {
            Format::Json | Format::Table(share::Format::Csv) => {}
            Format::Table(format) => out.write_all(&share::write(format, &records, &labels))?,
        }
        out.finish()?;
        // An adapter has its own measured accuracy, so these notes on the base model do not apply.
        if self.adapter.is_none() {
            accuracy_notes.notes().iter().for_each(|note| print_message(note));
        }
        Ok(outcome)
    }

    /// Label columns: the labels that the user requested, or all labels of the model. Fails if the model lacks one.
    fn labels_of(&self, entry: &ModelEntry) -> anyhow::Result<Vec<Label>> {
        if self.labels.is_empty() {
            return Ok(entry.labels.clone());
        }
        let labels = self.labels.iter().map(|name| parse_label(name)).collect::<anyhow::Result<Vec<Label>>>()?;
        if let Some(missing) = labels.iter().find(|l| !entry.labels.contains(l)) {
            let names: Vec<&str> = entry.labels.iter().map(|l| l.name()).collect();
            bail!("the model {} does not predict {}; it predicts {}", entry.name, missing.name(), names.join(", "));
        }
        Ok(labels)
    }
}

fn spectra(part: &[LoadedSpectrum]) -> Vec<&Spectrum> {
    part.iter().map(|loaded| &loaded.spectrum).collect()
}

/// A prediction, and on request its comparison with the synthetic spectrum.
pub(super) type Predicted = (Result<Prediction, PipelineError>, Option<ModelFit>);

/// Predictions in the order of the spectra, computed on all cores.
pub(super) fn predict_all(pipeline: &Pipeline, part: &[LoadedSpectrum], checks_fit: bool) -> Vec<Predicted> {
    let batch_size = part.len().div_ceil(rayon::current_num_threads()).clamp(1, BATCH);
    part.par_chunks(batch_size)
        .flat_map_iter(|batch| block_on(pipeline.predict_and_check(None, &spectra(batch), checks_fit)))
        .collect()
}

/// A spectrum and its prediction as a row of results.
pub(super) fn record<E: Display>(loaded: &LoadedSpectrum, prediction: Result<Prediction, E>) -> Record {
    let snr = prediction.is_err().then(|| snr::estimate(&loaded.spectrum)).flatten().map(|s| s.value);
    let outcome = prediction.map_or_else(|refusal| Outcome::NotPredicted(refusal.to_string()), Outcome::Predicted);
    Record { summary: Summary::of(&loaded.file, &loaded.spectrum), outcome, snr }
}

/// The survey whose measured accuracy applies to a spectrum.
fn survey_of(spectrum: &Spectrum) -> Survey {
    if is_xp(spectrum) { Survey::GaiaXp } else { spectrum.meta.survey }
}

/// A result as one line of JSON.
fn json(
    record: &Record,
    labels: &[Label],
    accuracy_notes: &accuracy::AccuracyNotes,
    survey: Survey,
    fit: Option<[Option<f64>; 2]>,
) -> String {
    let meta = &record.summary.meta;
    let mut row = Map::new();
    row.insert("file".into(), record.summary.file.as_str().into());
    row.insert("id".into(), meta.id.as_str().into());
    row.insert("survey".into(), meta.survey.name().into());
    row.insert("snr".into(), record.snr().into());
    for &label in labels {
        let (value, error) = record.numbers(label);
        row.insert(label.name().into(), value.into());
        row.insert(format!("e_{}", label.name()), error.into());
    }
    if let Some(estimate) = record.prediction().and_then(|p| p.finetuned.as_ref()).filter(|t| t.label().is_none()) {
        let (value, error) = estimate.numbers();
        let [name, name_of_error] = csv::finetuned_columns(&estimate.target);
        row.insert(name, value.into());
        row.insert(name_of_error, error.into());
    }
    for (name, value) in fit.into_iter().flat_map(|fit| check_fit::COLUMNS.into_iter().zip(fit)) {
        row.insert(name.into(), value.into());
    }
    if let Some(reason) = record.prediction().and_then(Prediction::withheld) {
        row.insert("withheld".into(), reason.into());
    }
    row.insert("flags".into(), record.flags().into());
    match &record.outcome {
        Outcome::Predicted(prediction) => {
            // The measured accuracy of the base model does not apply to the fine-tuned label.
            let finetuned_label = prediction.finetuned.as_ref().and_then(|t| t.label());
            let measured = prediction.has_measured_accuracy().then(|| accuracy_notes.measured(survey, finetuned_label));
            row.insert("measured".into(), measured.unwrap_or(Value::Null));
            row.insert("model".into(), prediction.model.as_str().into())
        }
        Outcome::NotPredicted(why) => row.insert("refused".into(), why.as_str().into()),
        Outcome::Pending => None,
    };
    format!("{}\n", Value::Object(row))
}

fn parse_label(name: &str) -> anyhow::Result<Label> {
    Label::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Label::ALL.iter().map(|l| l.name()).collect();
        anyhow!("there is no label {name:?}; the labels are {}", names.join(", "))
    })
}
