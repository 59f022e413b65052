//! `specola finetune`: teaches a shipped model a label from a few labelled spectra.

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

use super::files::{Loaded, for_each_part};
use super::{ModelsDir, Outcome, output, say};
use crate::read::{LabelTable, Named, labels};
use crate::result::Label;
use crate::result::teach::{Cell, Cut, Metrics, Settings, Strategy, Task};
use crate::task::predict::Predictor;
use crate::task::teach::adapter::{self, Adapter};
use crate::task::teach::bake_off::{Plan, metrics, verdict};
use crate::task::teach::classroom::Classroom;
use crate::task::teach::lesson::{Example, Lesson};
use crate::task::teach::split::Split;
use crate::task::teach::training::{Progress, Training};

/// Folds of the cross-validation when nothing is kept apart.
const FOLDS: usize = 5;

/// Spectra that are brought to rest together.
const BATCH: usize = 32;

/// Teach a model a label from labelled spectra; prints what was measured as JSON
#[derive(Debug, Args)]
pub(super) struct Finetune {
    /// Model to teach [default: the manifest's]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Labelled spectra: files, folders, .zip archives or .npz bundles
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    spectra: Vec<PathBuf>,
    /// Table of their labels, joined by id or file name
    #[arg(long, value_name = "TABLE")]
    labels: PathBuf,
    /// Column to learn: teff, logg, feh, alpha_fe, or any other
    #[arg(long, value_name = "LABEL")]
    target: String,
    /// What is taught: zero-shot, residual, lora, full or scratch
    #[arg(long, value_name = "STRATEGY", value_parser = parse_strategy)]
    strategy: Strategy,
    /// Column whose equal cells (one star, one cluster) stay on one side of every split
    #[arg(long, value_name = "COLUMN")]
    groups: Option<String>,
    /// Only stars whose column lies between two values: teff=4200:7200
    #[arg(long, value_name = "COLUMN=LOW:HIGH", value_parser = parse_range)]
    range: Vec<Range>,
    /// Judge the stars on either side of this value apart as well: teff=5000; a label that the table lacks is predicted
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = parse_cut)]
    cut: Option<Cut>,
    /// Labels to learn from, those included that decide when to stop [default: all that are not kept apart]
    #[arg(long, value_name = "N")]
    n_train: Option<usize>,
    /// Seed of split and training
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Most passes over the labels
    #[arg(long, value_name = "E")]
    epochs: Option<usize>,
    /// Part of the stars that is kept apart and measured on; 0 measures by 5-fold cross-validation
    #[arg(long, value_name = "PART", default_value_t = 0.2)]
    test_fraction: f64,
    /// Learning rate [default: each strategy's own]
    #[arg(long, value_name = "RATE")]
    rate: Option<f64>,
    /// As the transfer study did it: learning rate 1e-5, 200 epochs, no closed-form step, no augmentation
    #[arg(long)]
    paper: bool,
    /// Leave out the closed-form step
    #[arg(long)]
    no_closed_form: bool,
    /// Where to write the adapter
    #[arg(short, value_name = "ADAPTER")]
    output: Option<PathBuf>,
    #[command(flatten)]
    models: ModelsDir,
}

/// A column and the values that count.
#[derive(Debug, Clone, PartialEq)]
struct Range {
    column: String,
    low: f64,
    high: f64,
}

fn parse_strategy(name: &str) -> Result<Strategy, String> {
    Strategy::from_name(name)
        .ok_or_else(|| format!("the strategies are {}", Strategy::ALL.map(Strategy::name).join(", ")))
}

fn parse_range(text: &str) -> Result<Range, String> {
    let parsed = || {
        let (column, values) = text.split_once('=')?;
        let (low, high) = values.split_once(':')?;
        Some(Range { column: column.trim().into(), low: low.trim().parse().ok()?, high: high.trim().parse().ok()? })
    };
    parsed().ok_or_else(|| "write a range as column=low:high, such as teff=4200:7200".into())
}

fn parse_cut(text: &str) -> Result<Cut, String> {
    let parsed = || {
        let (column, at) = text.split_once('=')?;
        let at = at.trim().parse().ok().filter(|at: &f64| at.is_finite())?;
        Some(Cut { column: column.trim().into(), at })
    };
    parsed().ok_or_else(|| "write a cut as column=value, such as teff=5000".into())
}

/// The cells of a column, whether it is one of our labels or not.
fn cell(table: &LabelTable, column: &str, row: usize) -> Option<Cell> {
    if let Some(values) = table.labels.get(column) {
        return values.get(row).map(|v| Cell::from(*v));
    }
    table.texts.get(column).and_then(|c| c.get(row)).map(|text| Cell::parse(text))
}

fn has_column(table: &LabelTable, column: &str) -> anyhow::Result<()> {
    if table.labels.contains_key(column) || table.texts.contains_key(column) {
        return Ok(());
    }
    let names: Vec<&str> = table.labels.keys().copied().chain(table.texts.keys().map(String::as_str)).collect();
    bail!("the label table has no column {column:?}; it has {}", names.join(", "))
}

impl Finetune {
    pub(super) fn run(&self) -> anyhow::Result<Outcome> {
        let bytes = std::fs::read(&self.labels).with_context(|| format!("cannot open {}", self.labels.display()))?;
        let table = LabelTable::read(&bytes).with_context(|| self.labels.display().to_string())?;
        let named = self.range.iter().map(|r| &r.column).chain(&self.groups).chain([&self.target]);
        named.into_iter().try_for_each(|column| has_column(&table, column))?;
        if self.output.as_ref().is_some_and(|path| path.as_os_str() == "-") {
            bail!("standard output has the figures; name a file for the adapter with -o");
        }
        if let Some(cut) = self.cut.as_ref().filter(|cut| Label::from_name(&cut.column).is_none()) {
            has_column(&table, &cut.column)?;
        }
        let (_, mut predictor) = self.models.load(self.model.as_deref())?;
        let settings = self.settings();
        if settings.closed_form && Label::from_name(&self.target).is_some() {
            match self.models.emulator() {
                Ok(modeller) => predictor.emulate(modeller),
                Err(why) => say(&format!("taught without an emulator: {why}")),
            }
        }

        let (examples, outcome) = self.examples(&table, &predictor)?;
        let (lesson, remarks) = Lesson::new(&self.target, examples).map_err(|remarks| {
            let said: Vec<String> = remarks.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("the labels cannot be learned from: {}", said.join("; "))
        })?;
        let lesson = lesson.with_cut(self.cut.clone()).held_against(predictor.modeller().map(|m| m.title().into()));
        remarks.iter().for_each(|remark| say(&remark.to_string()));

        let room = Rc::new(block_on(Classroom::new(&predictor, lesson, &Device::flex()))?);
        let task = Task { strategy: self.strategy, fold: None, seed: self.seed, labels: self.n_train };
        let split = Split::hold_out(&room.lesson, self.test_fraction, self.n_train, settings.validation, self.seed);
        if self.n_train.is_some_and(|wanted| split.n_labels() < wanted) {
            bail!("only {} labels are left to learn from; ask for fewer with --n-train", split.n_labels());
        }
        let training = run(Training::new(room.clone(), task, split.clone(), &settings)?)?;
        let went = block_on(training.outcome())?;
        let regimes = room.lesson.regimes();
        let (figures, measured_by) = if split.test.is_empty() {
            (self.cross_validated(&room, &settings)?, format!("{FOLDS}-fold cross-validation"))
        } else {
            let figures = metrics(&room.lesson, &went.rows, &went.values, &regimes);
            (figures, format!("{} spectra kept apart", split.test.len()))
        };
        let mut report = json!({
            "model": room.entry.title(),
            "target": self.target,
            "strategy": self.strategy.name(),
            "seed": self.seed,
            "n_train": split.n_labels(),
            "n_val": split.validation.len(),
            "n_test": split.test.len(),
            "measured_by": measured_by,
            "epochs": went.history.last().map_or(0, |e| e.epoch),
            "best_epoch": went.best_epoch,
        });
        if let Some((_, all)) = figures.first() {
            merge(&mut report, figures_of(all));
        }
        report["regimes"] = regimes_of(&figures);
        if let (Some(before), false) = (room.before(), split.test.is_empty()) {
            let values: Vec<f64> = went.rows.iter().map(|row| before[*row as usize]).collect();
            let before = metrics(&room.lesson, &went.rows, &values, &regimes);
            report["before"] = before.first().map_or(Value::Null, |(_, all)| figures_of(all));
        }
        if let Some(path) = &self.output {
            let taught = training.taught()?;
            let card = adapter::card(&room, &split, &taught, &settings, figures, &measured_by);
            let (sealed, file) = block_on(Adapter::seal(card, &taught, &predictor))?;
            let mut out = output::open(Some(path))?;
            out.write_all(&file)?;
            out.finish()?;
            report["adapter"] = json!(path.display().to_string());
            report["adapter_sha256"] = json!(sealed.sha256());
        }
        let mut out = output::open(None)?;
        writeln!(out, "{report:#}")?;
        out.finish()?;
        Ok(outcome)
    }

    fn settings(&self) -> Settings {
        let mut settings = if self.paper { Settings::paper() } else { Settings::default() };
        settings.seed = self.seed;
        settings.rate = self.rate.or(settings.rate);
        settings.epochs = self.epochs.unwrap_or(settings.epochs);
        settings.closed_form &= !self.no_closed_form;
        settings
    }

    /// The spectra that the table names and that no range leaves out, as the label network sees them.
    fn examples(&self, table: &LabelTable, predictor: &Predictor) -> anyhow::Result<(Vec<Example>, Outcome)> {
        let found = RefCell::new(Vec::new());
        let outcome = for_each_part(&self.spectra, |part, _| {
            found.borrow_mut().extend(part);
            Ok(())
        })?;
        let found: Vec<Loaded> = found.into_inner();
        let named: Vec<Named> = found.iter().map(|l| Named { id: &l.spectrum.meta.id, file: &l.file }).collect();
        let joined = labels::join(table, &named);
        if joined.matched.is_empty() {
            bail!(
                "no row of {} names one of the spectra; its ids must be theirs, or their file names",
                self.labels.display()
            );
        }
        if !joined.ambiguous.is_empty() {
            say(&format!(
                "{} spectra are named by several rows of the table; they are left out",
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
            .flat_map_iter(|some| {
                let spectra: Vec<_> = some.iter().map(|m| &found[m.spectrum].spectrum).collect();
                block_on(predictor.inputs_to_refine(&spectra))
            })
            .collect();
        let mut examples = Vec::new();
        for (m, input) in matched.iter().zip(inputs) {
            let id = &found[m.spectrum].spectrum.meta.id;
            let input = match input {
                Ok(input) => input,
                Err(why) => {
                    say(&format!("{id}: {why}"));
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
            let cut = self.cut.as_ref().and_then(|cut| number(&cut.column));
            let group = self.groups.as_ref().and_then(|column| match cell(table, column, m.row)? {
                Cell::Missing => None,
                Cell::Number(value) => Some(value.to_string()),
                Cell::Text(text) => Some(text),
            });
            examples.push(Example {
                id: id.clone(),
                group: group.unwrap_or_default(),
                value: cell(table, &self.target, m.row).unwrap_or(Cell::Missing),
                feh: number(Label::Feh.name()),
                cut,
                input,
            });
        }
        Ok((examples, outcome))
    }

    fn cross_validated(&self, room: &Rc<Classroom>, settings: &Settings) -> anyhow::Result<Vec<(String, Metrics)>> {
        let plan = Plan { strategies: vec![self.strategy], folds: FOLDS, seeds: vec![self.seed], labels: Vec::new() };
        let mut outcomes = Vec::new();
        for task in plan.tasks(&room.lesson) {
            let split = plan.split(&room.lesson, &task, settings);
            outcomes.push(block_on(run(Training::new(room.clone(), task, split, settings)?)?.outcome())?);
        }
        let regimes = room.lesson.regimes();
        let report = verdict(&room.lesson, &outcomes, &regimes);
        let out_of_fold = report.scores.first().map_or(Vec::new(), |score| score.out_of_fold.clone());
        let (rows, values): (Vec<u32>, Vec<f64>) =
            out_of_fold.iter().enumerate().filter_map(|(row, value)| Some((row as u32, (*value)?))).unzip();
        Ok(metrics(&room.lesson, &rows, &values, &regimes))
    }
}

/// Runs a training to its end.
pub(super) fn run(mut training: Training) -> anyhow::Result<Training> {
    while block_on(training.advance())? != Progress::Done {}
    Ok(training)
}

fn figures_of(m: &Metrics) -> Value {
    json!({ "n": m.n, "r2": m.r2, "sigma": m.sigma, "bias": m.bias, "biweight": m.biweight })
}

/// By the words that scripts use.
fn regimes_of(figures: &[(String, Metrics)]) -> Value {
    let name = |title: &str| match title {
        "[Fe/H] < −1" => "metal_poor".to_string(),
        "[Fe/H] ≥ −1" => "metal_rich".to_string(),
        other => other.to_string(),
    };
    figures.iter().map(|(title, m)| (name(title), figures_of(m))).collect::<serde_json::Map<_, _>>().into()
}

fn merge(report: &mut Value, more: Value) {
    if let (Value::Object(report), Value::Object(more)) = (report, more) {
        report.extend(more.into_iter().filter(|(name, _)| name != "n"));
    }
}
