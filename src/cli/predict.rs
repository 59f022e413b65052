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

use super::files::{LoadedFiles, for_each_part};
use super::output::Format;
use super::{ModelsDir, RunOutcome, output, say, specclip};
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

use pair::PairModel;

/// The file of an adapter: itself, or in a session file that the page saved.
fn adapter_in(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = std::fs::read(path).with_context(|| format!("cannot open {}", path.display()))?;
    if !Session::has_signature(&file) {
        return Ok(file);
    }
    let place = || path.display().to_string();
    let (sha256, adapter) = Session::open(file).and_then(|mut session| session.adapter()).with_context(place)?.with_context(|| {
        format!("{}: no adapter answered when this session was saved; give one that `specola finetune -o` or the page kept", place())
    })?;
    if sha256_hex(&adapter) != sha256 {
        bail!("{}: its adapter is not the one that was saved with it; save the session again", place());
    }
    Ok(adapter)
}

/// Spectra that go through the network at once, on each core.
const BATCH: usize = 32;

/// Stellar parameters of spectra, as a table
#[derive(Debug, clap::Args)]
pub(super) struct Predict {
    /// Spectra: files, folders, .zip archives or .npz bundles
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Model to use: a name (`specola models` lists them), a folder of models, or the folder of the published
    /// SpecCLIP networks [default: the shipped default, and the shipped encoder pair for Gaia XP spectra]
    #[arg(long, value_name = "NAME|DIR")]
    model: Option<String>,
    /// Adapter of `specola finetune` or of the page, or a session file that holds one. Its label comes from the fine-tuned
    /// model and is flagged `finetuned`; the other labels come from the shipped default, or from --model
    #[arg(long, value_name = "ADAPTER")]
    adapter: Option<PathBuf>,
    /// Labels to predict, in this order: teff, logg, feh, alpha_fe, rv; the published SpecCLIP networks have more
    /// [default: all labels of the model]
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    pub(super) labels: Vec<String>,
    /// Compare each spectrum with the synthetic spectrum at the predicted labels. Adds the columns fit_rms (rms of the
    /// residual, units of the continuum) and fit_chi2 (χ² per pixel; empty without flux errors) to csv and json, and the
    /// flag poor_fit
    #[arg(long, alias = "fit")]
    check_fit: bool,
    /// Form of the table: csv, json (one object a line), ecsv, votable or fits
    #[arg(long, value_name = "FORMAT", default_value = "csv", value_parser = Format::parse)]
    pub(super) format: Format,
    /// Where to write; `-` is standard output
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
            let predict = |part: &[LoadedFiles]| pair.predict(&spectra(part)).into_iter().map(|p| (p, None)).collect();
            return self.write(&entry, None, None, predict);
        }
        // The base model of an adapter, by the name that stands before its version.
        let base_name = adapter.as_ref().map(|(_, _, card)| share::name_in(&card.base).to_owned());
        let (mut entry, predictor) = match self.model.as_deref().map(|m| (m, Path::new(m))) {
            Some((_, folder)) if folder.join(MANIFEST).is_file() => {
                ModelsDir { folder: Some(folder.to_owned()) }.load(None)?
            }
            Some((_, folder)) if folder.is_dir() && self.adapter.is_some() => {
                bail!("{} holds no model that an adapter could belong to", folder.display())
            }
            Some((_, folder)) if folder.is_dir() => return specclip::run(self, folder),
            Some((name, _)) if name.contains(std::path::is_separator) => bail!("there is no folder {name}"),
            other => self.models.load(other.map(|(name, _)| name).or(base_name.as_deref()))?,
        };
        let base = Arc::new(predictor);
        let mut pipeline = Pipeline::new(base.clone());
        // The shipped model predicts the labels that were not fine-tuned, unless the user names another.
        if adapter.is_some() && self.model.is_none() {
            let (shipped, predictor) = self.models.load(None)?;
            if shipped.sha256 != entry.sha256 {
                entry = shipped;
                pipeline = Pipeline::new(Arc::new(predictor));
            }
        }
        let mut own_label = None;
        if let Some((path, file, card)) = adapter {
            let adapter = block_on(Adapter::open(&file, &base)).with_context(|| path.display().to_string())?;
            if let Some(title) = &adapter.card().emulator {
                let found = self.models.emulator().with_context(|| format!("{} needs {title}", path.display()))?;
                pipeline.set_emulator(found);
            }
            block_on(pipeline.set_adapter(adapter, &base)).with_context(|| path.display().to_string())?;
            own_label = Some(card.target).filter(|target| Label::from_name(target).is_none());
        }
        if self.check_fit && pipeline.emulator().is_none() {
            pipeline.set_emulator(self.models.emulator()?);
        }
        // An encoder pair predicts for Gaia XP spectra; it is loaded when the first of them comes.
        let is_chosen = self.model.is_some() || self.adapter.is_some();
        let pair = (!is_chosen).then(|| PairModel::shipped(&self.models)).flatten();
        let pipeline = RefCell::new(pipeline);
        self.write(&entry, pair.as_ref(), own_label.as_deref(), |part| {
            if let Some(pair) = pair.as_ref().filter(|_| part.iter().any(|loaded| is_xp(&loaded.spectrum))) {
                PairModel::load_into(&mut pipeline.borrow_mut(), &self.models, &pair.name);
            }
            predict_all(&pipeline.borrow(), part, self.check_fit)
        })
    }

    /// Reads, answers and writes the table; `of_xp` answers Gaia XP spectra where that is not `entry` too.
    fn write<E: Display>(
        &self,
        entry: &ModelEntry,
        of_xp: Option<&ModelEntry>,
        taught: Option<&str>,
        answers: impl Fn(&[LoadedFiles]) -> Vec<(Result<Prediction, E>, Option<ModelFit>)>,
    ) -> anyhow::Result<RunOutcome> {
        let labels = self.labels_of(entry)?;
        let is_rich = !matches!(self.format, Format::Json | Format::Table(share::Format::Csv));
        if is_rich && taught.is_some() {
            bail!("a label of your own can be written as csv or json only; choose one with --format")
        }
        let mut worth = accuracy::AccuracyNotes::new(entry.card(), labels.clone()).with_xp(of_xp.map(ModelEntry::card));
        let mut out = output::open(self.output.as_deref())?;
        if self.format == Format::Table(share::Format::Csv) {
            let header = csv::header_with(&labels, taught);
            let header =
                if self.check_fit { csv::before_flags(&header, check_fit::COLUMNS.map(String::from)) } else { header };
            out.write_all(header.as_bytes())?;
        }
        // These formats begin with what only their end knows, the number of rows for one.
        let mut whole = Vec::new();
        let outcome = for_each_part(&self.files, |part, report| {
            for (loaded, (answer, fit)) in part.iter().zip(answers(&part)) {
                let survey = survey_of(&loaded.spectrum);
                match &answer {
                    Err(refusal) => report.warn(&loaded.file, &format!("{}: {refusal}", loaded.spectrum.meta.id)),
                    Ok(_) => worth.count(survey),
                }
                let record = record(loaded, answer);
                let fit = self.check_fit.then(|| check_fit::numbers(fit));
                let line = match self.format {
                    Format::Table(share::Format::Csv) => {
                        let line = csv::line_with(&record, &labels, taught);
                        let text = |v: Option<f64>| v.map_or_else(String::new, |v| v.to_string());
                        fit.map_or(line.clone(), |fit| csv::before_flags(&line, fit.map(text)))
                    }
                    Format::Json => json(&record, &labels, &worth, survey, fit),
                    Format::Table(_) => {
                        whole.push(record);
                        continue;
                    }
                };
                report.suspended(|| out.write_all(line.as_bytes()))?;
            }
            Ok(())
        })?;
        match self.format {
            Format::Json | Format::Table(share::Format::Csv) => {}
            Format::Table(format) => out.write_all(&share::write(format, &whole, &labels))?,
        }
        out.finish()?;
        // Each network that a user taught says itself what it was measured on.
        if self.adapter.is_none() {
            worth.remarks().iter().for_each(|remark| say(remark));
        }
        Ok(outcome)
    }

    /// The columns: what was asked for, if the model has it.
    fn labels_of(&self, entry: &ModelEntry) -> anyhow::Result<Vec<Label>> {
        if self.labels.is_empty() {
            return Ok(entry.labels.clone());
        }
        let labels = self.labels.iter().map(|name| parse_label(name)).collect::<anyhow::Result<Vec<Label>>>()?;
        if let Some(missing) = labels.iter().find(|l| !entry.labels.contains(l)) {
            let names: Vec<&str> = entry.labels.iter().map(|l| l.name()).collect();
            bail!("the model {} does not give {}; it gives {}", entry.name, missing.name(), names.join(", "));
        }
        Ok(labels)
    }
}

fn spectra(part: &[LoadedFiles]) -> Vec<&Spectrum> {
    part.iter().map(|loaded| &loaded.spectrum).collect()
}

/// A prediction, and its comparison with the synthetic spectrum where that was asked for.
pub(super) type Predicted = (Result<Prediction, PipelineError>, Option<ModelFit>);

/// Predictions in the order of the spectra, computed on all cores.
pub(super) fn predict_all(pipeline: &Pipeline, part: &[LoadedFiles], checks_fit: bool) -> Vec<Predicted> {
    let share = part.len().div_ceil(rayon::current_num_threads()).clamp(1, BATCH);
    part.par_chunks(share)
        .flat_map_iter(|batch| block_on(pipeline.predict_and_check(None, &spectra(batch), checks_fit)))
        .collect()
}

/// A spectrum and its answer as a row of results.
pub(super) fn record<E: Display>(loaded: &LoadedFiles, answer: Result<Prediction, E>) -> Record {
    let snr = answer.is_err().then(|| snr::estimate(&loaded.spectrum)).flatten().map(|s| s.value);
    let outcome = answer.map_or_else(|refusal| Outcome::Refused(refusal.to_string()), Outcome::Predicted);
    Record { summary: Summary::of(&loaded.file, &loaded.spectrum), outcome, snr }
}

/// The survey whose accuracy holds for a spectrum.
fn survey_of(spectrum: &Spectrum) -> Survey {
    if is_xp(spectrum) { Survey::GaiaXp } else { spectrum.meta.survey }
}

/// One line of JSON.
fn json(
    record: &Record,
    labels: &[Label],
    worth: &accuracy::AccuracyNotes,
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
    if let Some(taught) = record.prediction().and_then(|p| p.finetuned.as_ref()).filter(|t| t.label().is_none()) {
        let (value, error) = taught.numbers();
        row.insert(taught.target.clone(), value.into());
        row.insert(format!("e_{}", taught.target), error.into());
    }
    for (name, value) in fit.into_iter().flat_map(|fit| check_fit::COLUMNS.into_iter().zip(fit)) {
        row.insert(name.into(), value.into());
    }
    row.insert("flags".into(), record.flags().into());
    match &record.outcome {
        Outcome::Predicted(prediction) => {
            // What was taught has another accuracy than the model that it was taught to.
            let taught = prediction.finetuned.as_ref().and_then(|t| t.label());
            row.insert("measured".into(), worth.measured(survey, taught));
            row.insert("model".into(), prediction.model.as_str().into())
        }
        Outcome::Refused(why) => row.insert("refused".into(), why.as_str().into()),
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
