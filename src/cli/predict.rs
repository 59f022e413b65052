//! `specola predict`: stellar parameters of spectra, as a table.

use std::cell::OnceCell;
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use pollster::block_on;
use rayon::prelude::*;
use serde_json::{Map, Value};

use super::files::{Loaded, for_each_part};
use super::output::Format;
use super::{ModelsDir, Outcome, output, published, say};
use crate::model::manifest::ModelEntry;
use crate::model::store::{MANIFEST, sha256_hex};
use crate::preprocess::snr;
use crate::result::reading::ModelFit;
use crate::result::{Label, Prediction, Summary};
use crate::share::session::Session;
use crate::share::{self, Answer, Record, csv};
use crate::spectrum::{Spectrum, Survey};
use crate::task::predict::{NoPrediction, Predictor};
use crate::task::published::is_xp;
use crate::task::teach::adapter::Adapter;

pub(super) mod embedded;
mod fit;
mod worth;

/// The file of an adapter: itself, or in a session file that the page saved.
fn adapter_in(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = std::fs::read(path).with_context(|| format!("cannot open {}", path.display()))?;
    if !Session::begins(&file) {
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
    /// Model to use: a name (`specola models` lists them), a folder of such models, or the folder of the published
    /// SpecCLIP system [default: the shipped default, and the shipped encoder pair for Gaia XP spectra]
    #[arg(long, value_name = "NAME|DIR")]
    model: Option<String>,
    /// What `specola finetune` or the page kept, or a session file with it: its label comes from what was taught on the
    /// model that it belongs to, and is flagged `taught`; the others from the shipped default, or from --model
    #[arg(long, value_name = "ADAPTER")]
    adapter: Option<PathBuf>,
    /// Parameters to give, in this order: teff, logg, feh, alpha_fe, rv; the published system has more [default: all
    /// that the model has]
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    pub(super) labels: Vec<String>,
    /// Hold the synthetic spectrum of each answer against the star: adds the columns fit_rms (root mean square of the difference, units
    /// of the continuum) and fit_chi2 (χ² a pixel by the file's own errors, none without), in csv and json, and the flag poor_fit
    #[arg(long)]
    fit: bool,
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
    pub(super) fn run(&self) -> anyhow::Result<Outcome> {
        let adapter = self.adapter.as_ref().map(|path| {
            let file = adapter_in(path)?;
            let card = Adapter::card_of(&file).with_context(|| path.display().to_string())?;
            Ok::<_, anyhow::Error>((path, file, card))
        });
        let adapter = adapter.transpose()?;
        // The model that an adapter belongs to, by the name that stands before its version.
        let home = adapter.as_ref().map(|(_, _, card)| share::name_in(&card.base).to_owned());
        if let (Some(name), None) = (self.model.as_deref(), &adapter)
            && let Some(answers) = embedded::Answers::find(&self.models, name)?
        {
            if self.fit {
                bail!(
                    "{name} reads labels from embeddings, which --fit has no model spectrum for; leave one of the two out"
                );
            }
            let entry = answers.entry().clone();
            return self
                .write(&entry, None, None, |part| answers.of(&spectra(part)).into_iter().map(|a| (a, None)).collect());
        }
        let (mut entry, mut predictor) = match self.model.as_deref().map(|m| (m, Path::new(m))) {
            Some((_, folder)) if folder.join(MANIFEST).is_file() => {
                ModelsDir { folder: Some(folder.to_owned()) }.load(None)?
            }
            Some((_, folder)) if folder.is_dir() && self.adapter.is_some() => {
                bail!("{} holds no model that an adapter could belong to", folder.display())
            }
            Some((_, folder)) if folder.is_dir() => return published::run(self, folder),
            Some((name, _)) if name.contains(std::path::is_separator) => bail!("there is no folder {name}"),
            other => self.models.load(other.map(|(name, _)| name).or(home.as_deref()))?,
        };
        // What was not taught is answered as shipped, unless another model is asked for.
        let mut rest = None;
        if adapter.is_some() && self.model.is_none() {
            let (shipped, answers) = self.models.load(None)?;
            if shipped.sha256 != entry.sha256 {
                entry = shipped;
                rest = Some(answers);
            }
        }
        let (mut taught, mut modeller) = (None, None);
        if let Some((path, file, card)) = adapter {
            let adapter = block_on(Adapter::open(&file, &predictor)).with_context(|| path.display().to_string())?;
            if let Some(title) = &adapter.card().emulator {
                let found = self.models.emulator().with_context(|| format!("{} needs {title}", path.display()))?;
                predictor.emulate(found.clone());
                modeller = Some(found);
            }
            adapter.is_answered_by(predictor.modeller()).with_context(|| path.display().to_string())?;
            taught = Some(card.target).filter(|target| Label::from_name(target).is_none());
            predictor.teach(Some(adapter));
        }
        if self.fit && modeller.is_none() {
            modeller = Some(self.models.emulator()?);
        }
        // Gaia XP spectra have a model of their own, which is read when the first of them comes.
        let is_chosen = self.model.is_some() || self.adapter.is_some();
        let of_xp = (!is_chosen).then(|| embedded::Answers::shipped(&self.models)).flatten();
        let pair = OnceCell::new();
        self.write(&entry, of_xp.as_ref(), taught.as_deref(), |part| {
            let mut answers = answer_all(&predictor, part);
            if let Some(rest) = &rest {
                let both = answer_all(rest, part).into_iter().zip(answers);
                answers = both.map(|(own, taught)| Ok(own?.with_taught(taught?))).collect();
            }
            let fits = modeller
                .as_ref()
                .filter(|_| self.fit)
                .map(|modeller| fit::of_all(modeller, &predictor, part, &mut answers));
            let mut answers: Vec<_> = answers.into_iter().map(|answer| answer.map_err(|why| why.to_string())).collect();
            let xp: Vec<usize> = (0..part.len()).filter(|&i| of_xp.is_some() && is_xp(&part[i].spectrum)).collect();
            if let Some(of_xp) = of_xp.as_ref().filter(|_| !xp.is_empty()) {
                let load = || embedded::Answers::load(&self.models, &of_xp.name).map_err(|why| format!("{why:#}"));
                match pair.get_or_init(load) {
                    Ok(pair) => {
                        let spectra: Vec<_> = xp.iter().map(|&i| &part[i].spectrum).collect();
                        for (i, answer) in xp.into_iter().zip(pair.of(&spectra)) {
                            answers[i] = answer.map_err(|why| why.to_string());
                        }
                    }
                    Err(why) => xp.into_iter().for_each(|i| answers[i] = Err(why.clone())),
                }
            }
            answers.into_iter().zip(fits.unwrap_or_else(|| vec![None; part.len()])).collect()
        })
    }

    /// Reads, answers and writes the table; `of_xp` answers Gaia XP spectra where that is not `entry` too.
    fn write<E: Display>(
        &self,
        entry: &ModelEntry,
        of_xp: Option<&ModelEntry>,
        taught: Option<&str>,
        answers: impl Fn(&[Loaded]) -> Vec<(Result<Prediction, E>, Option<ModelFit>)>,
    ) -> anyhow::Result<Outcome> {
        let labels = self.labels_of(entry)?;
        let is_rich = !matches!(self.format, Format::Json | Format::Table(share::Format::Csv));
        if is_rich && taught.is_some() {
            bail!("a label of your own can be written as csv or json only; choose one with --format")
        }
        let mut worth = worth::Worth::new(entry.card(), labels.clone()).with_xp(of_xp.map(ModelEntry::card));
        let mut out = output::open(self.output.as_deref())?;
        if self.format == Format::Table(share::Format::Csv) {
            let header = csv::header_with(&labels, taught);
            let header = if self.fit { csv::before_flags(&header, fit::COLUMNS.map(String::from)) } else { header };
            out.write_all(header.as_bytes())?;
        }
        // These formats begin with what only their end knows, the number of rows for one.
        let mut whole = Vec::new();
        let outcome = for_each_part(&self.files, |part, report| {
            for (loaded, (answer, fit)) in part.iter().zip(answers(&part)) {
                let survey = survey_of(&loaded.spectrum);
                match &answer {
                    Err(refusal) => report.remark(&loaded.file, &format!("{}: {refusal}", loaded.spectrum.meta.id)),
                    Ok(_) => worth.count(survey),
                }
                let record = record(loaded, answer);
                let fit = self.fit.then(|| fit::numbers(fit));
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
                report.aside(|| out.write_all(line.as_bytes()))?;
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

fn spectra(part: &[Loaded]) -> Vec<&Spectrum> {
    part.iter().map(|loaded| &loaded.spectrum).collect()
}

/// Answers in the order of the spectra, computed on all cores.
pub(super) fn answer_all(predictor: &Predictor, part: &[Loaded]) -> Vec<Result<Prediction, NoPrediction>> {
    let share = part.len().div_ceil(rayon::current_num_threads()).clamp(1, BATCH);
    part.par_chunks(share)
        .flat_map_iter(|batch| {
            let spectra: Vec<_> = batch.iter().map(|l| &l.spectrum).collect();
            block_on(predictor.predict(&spectra))
        })
        .collect()
}

/// A spectrum and its answer as a row of results.
pub(super) fn record<E: Display>(loaded: &Loaded, answer: Result<Prediction, E>) -> Record {
    let snr = answer.is_err().then(|| snr::estimate(&loaded.spectrum)).flatten().map(|s| s.value);
    let answer = answer.map_or_else(|refusal| Answer::Refused(refusal.to_string()), Answer::Predicted);
    Record { summary: Summary::of(&loaded.file, &loaded.spectrum), answer, snr }
}

/// The survey whose accuracy holds for a spectrum.
fn survey_of(spectrum: &Spectrum) -> Survey {
    if is_xp(spectrum) { Survey::GaiaXp } else { spectrum.meta.survey }
}

/// One line of JSON.
fn json(
    record: &Record,
    labels: &[Label],
    worth: &worth::Worth,
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
    if let Some(taught) = record.prediction().and_then(|p| p.taught.as_ref()).filter(|t| t.label().is_none()) {
        let (value, error) = taught.numbers();
        row.insert(taught.target.clone(), value.into());
        row.insert(format!("e_{}", taught.target), error.into());
    }
    for (name, value) in fit.into_iter().flat_map(|fit| fit::COLUMNS.into_iter().zip(fit)) {
        row.insert(name.into(), value.into());
    }
    row.insert("flags".into(), record.flags().into());
    match &record.answer {
        Answer::Predicted(prediction) => {
            // What was taught has another accuracy than the model that it was taught to.
            let taught = prediction.taught.as_ref().and_then(|t| t.label());
            row.insert("measured".into(), worth.measured(survey, taught));
            row.insert("model".into(), prediction.model.as_str().into())
        }
        Answer::Refused(why) => row.insert("refused".into(), why.as_str().into()),
        Answer::Open => None,
    };
    format!("{}\n", Value::Object(row))
}

fn parse_label(name: &str) -> anyhow::Result<Label> {
    Label::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Label::ALL.iter().map(|l| l.name()).collect();
        anyhow!("there is no label {name:?}; the labels are {}", names.join(", "))
    })
}
