//! `specola finetune`: fine-tunes a shipped model on a few labelled spectra.

use std::cell::RefCell;
use std::io::Write;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, bail};
use burn::tensor::Device;
use clap::Args;
use pollster::block_on;
use rayon::prelude::*;
use serde_json::{Value, json};

use super::files::{LoadedSpectrum, for_each_part};
use super::{ModelsDir, RunOutcome, output, print_message};
use crate::read::{LabelTable, SpectrumName, labels};
use crate::result::Label;
use crate::result::finetune::{Cell, Metrics, Settings, Strategy, SubsetCut, TrainingRun};
use crate::task::finetune::adapter::{self, Adapter};
use crate::task::finetune::cross_validation::{Plan, comparison, metrics};
use crate::task::finetune::feature_cache::FeatureCache;
use crate::task::finetune::labelled_set::{LabelCandidate, LabelledSet};
use crate::task::finetune::split::Split;
use crate::task::finetune::training::{Progress, Training};
use crate::task::predict::Predictor;

/// Folds of the cross-validation when no test set is held out.
const FOLDS: usize = 5;

/// Number of spectra in a batch that is shifted to the rest frame.
const BATCH: usize = 32;

/// Fine-tune a model on labelled spectra; prints the measured accuracy as JSON
#[derive(Debug, Args)]
pub(super) struct Finetune {
    /// Model to fine-tune [default: the manifest's]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Labelled spectra: files, folders, .zip archives or .npz bundles
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    spectra: Vec<PathBuf>,
    /// Table of the labels, joined to the spectra by id or file name
    #[arg(long, value_name = "TABLE")]
    labels: PathBuf,
    /// Label column to train on: teff, logg, feh, `alpha_fe`, or any other
    #[arg(long, value_name = "LABEL")]
    target: String,
    /// Strategy: zero-shot, linear, gp, residual, lora, full or scratch
    #[arg(long, value_name = "STRATEGY", value_parser = parse_strategy)]
    strategy: Strategy,
    /// Group column: rows with equal cells (one star, one cluster) stay together in every split
    #[arg(long, value_name = "COLUMN")]
    groups: Option<String>,
    /// Use only stars whose value in a column lies between two limits: teff=4200:7200
    #[arg(long, value_name = "COLUMN=LOW:HIGH", value_parser = parse_range)]
    range: Vec<ColumnRange>,
    /// Report separately below and above this value: teff=5000; if the table lacks the label, its prediction is used
    #[arg(long, alias = "cut", value_name = "COLUMN=VALUE", value_parser = parse_cut)]
    split_at: Option<SubsetCut>,
    /// Number of labels for training, the validation set included [default: all that are not held out]
    #[arg(long, value_name = "N")]
    n_train: Option<usize>,
    /// Seed of the split and the training
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Largest number of epochs
    #[arg(long, value_name = "E")]
    epochs: Option<usize>,
    /// Fraction of the stars held out as a test set; with 0, 5-fold cross-validation measures the accuracy
    #[arg(long, value_name = "PART", default_value_t = 0.2, value_parser = parse_fraction)]
    test_fraction: f64,
    /// Learning rate [default: depends on the strategy]
    #[arg(long, value_name = "RATE")]
    rate: Option<f64>,
    /// Settings of Zhao et al. (2026): learning rate 1e-5, 200 epochs, no augmentation
    #[arg(long, alias = "paper")]
    zhao2026: bool,
    /// Start the gradient steps of residual, lora or full from the GP correction, and keep an epoch only if it improves on
    /// it significantly
    #[arg(long)]
    start_from_gp: bool,
    /// Of earlier versions, in which the GP correction was the default
    #[arg(long, alias = "no-closed-form", hide = true, conflicts_with = "start_from_gp")]
    no_gp: bool,
    /// Output file for the adapter
    #[arg(short, value_name = "ADAPTER")]
    output: Option<PathBuf>,
    #[command(flatten)]
    models: ModelsDir,
}

/// A column and its range of accepted values.
#[derive(Debug, Clone, PartialEq)]
struct ColumnRange {
    column: String,
    low: f64,
    high: f64,
}

fn parse_strategy(name: &str) -> Result<Strategy, String> {
    Strategy::from_name(name)
        .ok_or_else(|| format!("the strategies are {}", Strategy::ALL.map(Strategy::name).join(", ")))
}

fn parse_range(text: &str) -> Result<ColumnRange, String> {
    let parsed = || {
        let (column, values) = text.split_once('=')?;
        let (low, high) = values.split_once(':')?;
        Some(ColumnRange {
            column: column.trim().into(),
            low: low.trim().parse().ok()?,
            high: high.trim().parse().ok()?,
        })
    };
    parsed().ok_or_else(|| "write --range as column=low:high, such as teff=4200:7200".into())
}

fn parse_cut(text: &str) -> Result<SubsetCut, String> {
    let parsed = || {
        let (column, at) = text.split_once('=')?;
        let at = at.trim().parse().ok().filter(|at: &f64| at.is_finite())?;
        Some(SubsetCut { column: column.trim().into(), at })
    };
    parsed().ok_or_else(|| "write --split-at as column=value, such as teff=5000".into())
}

fn parse_fraction(text: &str) -> Result<f64, String> {
    let fraction = text.trim().parse().ok().filter(|part| (0.0..1.0).contains(part));
    fraction.ok_or_else(|| "write --test-fraction as a number from 0 to below 1, such as 0.2".into())
}

/// Cell of a column, which may be one of Specola's labels or any other column.
fn cell(table: &LabelTable, column: &str, row: usize) -> Option<Cell> {
    if let Some(values) = table.labels.get(column) {
        return values.get(row).map(|v| Cell::from(*v));
    }
    table.texts.get(column).and_then(|c| c.get(row)).map(|text| Cell::parse(text))
}

fn require_column(table: &LabelTable, column: &str) -> anyhow::Result<()> {
    if table.labels.contains_key(column) || table.texts.contains_key(column) {
        return Ok(());
    }
    let names: Vec<&str> = table.labels.keys().copied().chain(table.texts.keys().map(String::as_str)).collect();
    bail!("the label table has no column {column:?}; it has {}", names.join(", "))
}

impl Finetune {
    pub(super) fn run(&self) -> anyhow::Result<RunOutcome> {
        let bytes = std::fs::read(&self.labels).with_context(|| format!("cannot open {}", self.labels.display()))?;
        let table = LabelTable::read(&bytes).with_context(|| self.labels.display().to_string())?;
        let columns = self.range.iter().map(|r| &r.column).chain(&self.groups).chain([&self.target]);
        columns.into_iter().try_for_each(|column| require_column(&table, column))?;
        if self.output.as_ref().is_some_and(|path| path.as_os_str() == "-") {
            bail!("the report goes to standard output; give -o a file for the adapter");
        }
        let adapter_file = self.output.as_deref().map(|path| output::open(Some(path))).transpose()?;
        if let Some(cut) = self.split_at.as_ref().filter(|cut| Label::from_name(&cut.column).is_none()) {
            require_column(&table, &cut.column)?;
        }
        let (_, predictor) = self.models.load(self.model.as_deref())?;
        let settings = self.settings();
        let (labelled_spectra, outcome) = self.labelled_spectra(&table, &predictor)?;
        let (labelled_set, warnings) = LabelledSet::new(&self.target, labelled_spectra).map_err(|warnings| {
            let messages: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("the labels cannot be used for training: {}", messages.join("; "))
        })?;
        let labelled_set = labelled_set.with_subset_cut(self.split_at.clone());
        warnings.iter().for_each(|warning| print_message(&warning.to_string()));

        let features = Rc::new(block_on(FeatureCache::new(&predictor, labelled_set, &Device::flex()))?);
        let task = TrainingRun { strategy: self.strategy, fold: None, seed: self.seed, n_labels: self.n_train };
        let split =
            Split::hold_out(&features.labelled_set, self.test_fraction, self.n_train, settings.validation, self.seed);
        if self.n_train.is_some_and(|n_labels| split.n_labels() < n_labels) {
            bail!("only {} labels are left for training; choose a smaller --n-train", split.n_labels());
        }
        let training = run(Training::new(features.clone(), task, split.clone(), &settings)?)?;
        let training_outcome = block_on(training.outcome())?;
        let subsets = features.labelled_set.subsets();
        let (metrics_by_subset, measured_by) = if split.test.is_empty() {
            (self.cross_validated(&features, &settings)?, format!("{FOLDS}-fold cross-validation"))
        } else {
            let metrics_by_subset =
                metrics(&features.labelled_set, &training_outcome.rows, &training_outcome.values, &subsets);
            (metrics_by_subset, format!("{} held-out spectra", split.test.len()))
        };
        let mut report = json!({
            "model": features.entry.title(),
            "target": self.target,
            "strategy": self.strategy.name(),
            "seed": self.seed,
            "n_train": split.n_labels(),
            "n_val": split.validation.len(),
            "n_test": split.test.len(),
            "measured_by": measured_by,
            "epochs": training_outcome.history.last().map_or(0, |e| e.epoch),
            "best_epoch": training_outcome.best_epoch,
        });
        if let Some((_, all)) = metrics_by_subset.first() {
            merge(&mut report, metrics_json(all));
        }
        report["subsets"] = subsets_json(&metrics_by_subset);
        if let (Some(base_predictions), false) = (features.base_predictions(), split.test.is_empty()) {
            let values: Vec<f64> = training_outcome.rows.iter().map(|row| base_predictions[*row as usize]).collect();
            let base_metrics = metrics(&features.labelled_set, &training_outcome.rows, &values, &subsets);
            report["before"] = base_metrics.first().map_or(Value::Null, |(_, all)| metrics_json(all));
        }
        if let (Some(path), Some(mut out)) = (&self.output, adapter_file) {
            let finetuned = training.trained_model()?;
            let card = adapter::card(&features, &split, &finetuned, &settings, metrics_by_subset, &measured_by);
            let (exported, file) = block_on(Adapter::export(card, &finetuned, &predictor))?;
            out.write_all(&file)?;
            out.finish()?;
            report["adapter"] = json!(path.display().to_string());
            report["adapter_sha256"] = json!(exported.sha256());
        }
        let mut out = output::open(None)?;
        writeln!(out, "{report:#}")?;
        out.finish()?;
        Ok(outcome)
    }

    fn settings(&self) -> Settings {
        let mut settings = if self.zhao2026 { Settings::zhao2026() } else { Settings::default() };
        settings.seed = self.seed;
        settings.learning_rate = self.rate.or(settings.learning_rate);
        settings.epochs = self.epochs.unwrap_or(settings.epochs);
        settings.start_from_gp = self.start_from_gp && !self.no_gp;
        settings
    }

    /// The labelled spectra inside every `--range`, as input of the label network.
    fn labelled_spectra(
        &self,
        table: &LabelTable,
        predictor: &Predictor,
    ) -> anyhow::Result<(Vec<LabelCandidate>, RunOutcome)> {
        let loaded_spectra = RefCell::new(Vec::new());
        let outcome = for_each_part(&self.spectra, |part, _| {
            loaded_spectra.borrow_mut().extend(part);
            Ok(())
        })?;
        let loaded_spectra: Vec<LoadedSpectrum> = loaded_spectra.into_inner();
        let names: Vec<SpectrumName> =
            loaded_spectra.iter().map(|l| SpectrumName { id: &l.spectrum.meta.id, file: &l.file }).collect();
        let joined = labels::join(table, &names);
        if joined.matched.is_empty() {
            let id = table.id.first().map_or("", String::as_str);
            if let Some(first) = joined.ambiguous.first() {
                bail!(
                    "every id in {} stands in several rows ({} in {} rows), so no spectrum can be joined; keep one row for each id",
                    self.labels.display(),
                    names[first.spectrum].id,
                    first.rows.len()
                );
            }
            bail!(
                "no row of {} matches a spectrum; {}",
                self.labels.display(),
                joined.note.unwrap_or_else(|| format!(
                    "its ids ({}: {id} …) must be those of the spectra ({} …), or their file names",
                    table.id_column,
                    names.first().map_or("none", |name| name.id)
                ))
            );
        }
        joined.note.iter().for_each(|note| print_message(note));
        if !joined.ambiguous.is_empty() {
            print_message(&format!(
                "{} spectra match several rows of the table; they are left out; keep one row for each id to use them",
                joined.ambiguous.len()
            ));
        }
        let in_range = |row: usize| {
            self.range.iter().all(|range| match cell(table, &range.column, row) {
                Some(Cell::Number(value)) => (range.low..=range.high).contains(&value),
                _ => false,
            })
        };
        let matched: Vec<_> = joined.matched.iter().filter(|m| in_range(m.row)).collect();
        let inputs: Vec<_> = matched
            .par_chunks(BATCH)
            .flat_map_iter(|batch| {
                let spectra: Vec<_> = batch.iter().map(|m| &loaded_spectra[m.spectrum].spectrum).collect();
                block_on(predictor.inputs(&spectra))
            })
            .collect();
        let mut labelled_spectra = Vec::new();
        for (m, input) in matched.iter().zip(inputs) {
            let id = &loaded_spectra[m.spectrum].spectrum.meta.id;
            let input = match input {
                Ok(input) => input,
                Err(why) => {
                    print_message(&format!("{id}: {why}"));
                    continue;
                }
            };
            let predicted = |label| {
                let output = predictor.outputs().iter().position(|l| *l == label)?;
                let all = block_on(predictor.label_network().predict(&[&input.norm], predictor.device()))?;
                all.first()?.get(output).copied()
            };
            let number = |column: &str| match cell(table, column, m.row) {
                Some(Cell::Number(value)) => Some(value),
                _ => Label::from_name(column).and_then(predicted),
            };
            let cut = self.split_at.as_ref().and_then(|cut| number(&cut.column));
            let group = self.groups.as_ref().and_then(|column| match cell(table, column, m.row)? {
                Cell::Missing => None,
                Cell::Number(value) => Some(value.to_string()),
                Cell::Text(text) => Some(text),
            });
            labelled_spectra.push(LabelCandidate {
                id: id.clone(),
                group: group.unwrap_or_default(),
                value: cell(table, &self.target, m.row).unwrap_or(Cell::Missing),
                feh: number(Label::Feh.name()),
                cut,
                input,
            });
        }
        Ok((labelled_spectra, outcome))
    }

    fn cross_validated(
        &self,
        features: &Rc<FeatureCache>,
        settings: &Settings,
    ) -> anyhow::Result<Vec<(String, Metrics)>> {
        let plan = Plan { strategies: vec![self.strategy], folds: FOLDS, seeds: vec![self.seed], n_labels: Vec::new() };
        let mut outcomes = Vec::new();
        for task in plan.tasks(&features.labelled_set) {
            let split = plan.split(&features.labelled_set, &task, settings);
            outcomes.push(block_on(run(Training::new(features.clone(), task, split, settings)?)?.outcome())?);
        }
        let subsets = features.labelled_set.subsets();
        let report = comparison(&features.labelled_set, &outcomes, &subsets);
        let out_of_fold = report.scores.first().map_or(Vec::new(), |score| score.out_of_fold.clone());
        let (rows, values): (Vec<u32>, Vec<f64>) =
            out_of_fold.iter().enumerate().filter_map(|(row, value)| Some((row as u32, (*value)?))).unzip();
        Ok(metrics(&features.labelled_set, &rows, &values, &subsets))
    }
}

/// Runs a training run to its end.
pub(super) fn run(mut training: Training) -> anyhow::Result<Training> {
    while block_on(training.advance())? != Progress::Done {}
    Ok(training)
}

fn metrics_json(m: &Metrics) -> Value {
    json!({ "n": m.n, "r2": m.r2, "sigma": m.sigma, "bias": m.bias, "biweight": m.biweight })
}

/// Metrics of each subset. The names of the subsets are those that scripts use.
fn subsets_json(metrics_by_subset: &[(String, Metrics)]) -> Value {
    let name = |title: &str| match title {
        "[Fe/H] < −1" => "metal_poor".to_string(),
        "[Fe/H] ≥ −1" => "metal_rich".to_string(),
        other => other.to_string(),
    };
    metrics_by_subset.iter().map(|(title, m)| (name(title), metrics_json(m))).collect::<serde_json::Map<_, _>>().into()
}

fn merge(report: &mut Value, more: Value) {
    if let (Value::Object(report), Value::Object(more)) = (report, more) {
        report.extend(more.into_iter().filter(|(name, _)| name != "n"));
    }
}
