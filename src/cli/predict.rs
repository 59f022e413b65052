//! `specola predict`: stellar parameters of spectra, as a table.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;
use pollster::block_on;
use rayon::prelude::*;
use serde_json::{Map, Value};

use super::files::{Loaded, for_each_part};
use super::output::{Format, cell, csv_line, numbers, rounded};
use super::{ModelsDir, Outcome, output};
use crate::model::manifest::ModelEntry;
use crate::preprocess::snr;
use crate::result::{Label, Prediction};
use crate::task::predict::{NoPrediction, Predictor};

/// Spectra that go through the network at once, on each core.
const BATCH: usize = 32;

/// Stellar parameters of spectra, as a table
#[derive(Debug, clap::Args)]
pub(super) struct Predict {
    /// Spectra: files, folders, .zip archives or .npz bundles
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Model to use (`specola models` lists them) [default: the shipped default]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Parameters to give, in this order: teff, logg, feh, alpha_fe, rv [default: all that the model has]
    #[arg(long, value_name = "LABELS", value_delimiter = ',', value_parser = parse_label)]
    labels: Vec<Label>,
    /// Form of the table: csv or json (one object a line)
    #[arg(long, value_name = "FORMAT", default_value = "csv", value_parser = Format::parse)]
    format: Format,
    /// Where to write; `-` is standard output
    #[arg(short, value_name = "OUT")]
    output: Option<PathBuf>,
    #[command(flatten)]
    models: ModelsDir,
}

impl Predict {
    pub(super) fn run(&self) -> anyhow::Result<Outcome> {
        let (entry, predictor) = self.models.load(self.model.as_deref())?;
        let labels = self.labels_of(&entry)?;
        let mut out = output::open(self.output.as_deref())?;
        if self.format == Format::Csv {
            out.write_all(header(&labels).as_bytes())?;
        }
        let outcome = for_each_part(&self.files, |part, report| {
            for (loaded, answer) in part.iter().zip(answer_all(&predictor, &part)) {
                if let Err(refusal) = &answer {
                    report.remark(&loaded.file, &format!("{}: {refusal}", loaded.spectrum.meta.id));
                }
                let row = Row { loaded, answer: &answer, labels: &labels };
                let line = match self.format {
                    Format::Csv => row.csv(),
                    Format::Json => row.json(),
                };
                report.aside(|| out.write_all(line.as_bytes()))?;
            }
            Ok(())
        })?;
        out.flush()?;
        Ok(outcome)
    }

    /// The columns: what was asked for, if the model has it.
    fn labels_of(&self, entry: &ModelEntry) -> anyhow::Result<Vec<Label>> {
        if self.labels.is_empty() {
            return Ok(entry.labels.clone());
        }
        if let Some(missing) = self.labels.iter().find(|l| !entry.labels.contains(l)) {
            let names: Vec<&str> = entry.labels.iter().map(|l| l.name()).collect();
            bail!("the model {} does not give {}; it gives {}", entry.name, missing.name(), names.join(", "));
        }
        Ok(self.labels.clone())
    }
}

type Answer = Result<Prediction, NoPrediction>;

/// Answers in the order of the spectra, computed on all cores.
fn answer_all(predictor: &Predictor, part: &[Loaded]) -> Vec<Answer> {
    let share = part.len().div_ceil(rayon::current_num_threads()).clamp(1, BATCH);
    part.par_chunks(share)
        .flat_map_iter(|batch| {
            let spectra: Vec<_> = batch.iter().map(|l| &l.spectrum).collect();
            block_on(predictor.predict(&spectra))
        })
        .collect()
}

/// One line of the table.
struct Row<'a> {
    loaded: &'a Loaded,
    answer: &'a Answer,
    labels: &'a [Label],
}

impl Row<'_> {
    /// S/N a pixel: the prediction's, or what the spectrum itself shows when the model refused it.
    fn snr(&self) -> Option<f64> {
        let snr = match self.answer {
            Ok(prediction) => prediction.snr,
            Err(_) => snr::estimate(&self.loaded.spectrum),
        };
        snr.and_then(|snr| rounded(snr.value, 2))
    }

    /// Value and error of a label; none when the model refused the spectrum or cannot tell this one.
    fn numbers(&self, label: Label) -> (Option<f64>, Option<f64>) {
        self.answer.as_ref().ok().and_then(|p| p.get(label)).map_or((None, None), numbers)
    }

    /// The codes of the flags; `refused` stands alone.
    fn flags(&self) -> Vec<&'static str> {
        match self.answer {
            Ok(prediction) => prediction.flags.iter().map(|f| f.code()).collect(),
            Err(_) => vec!["refused"],
        }
    }

    fn csv(&self) -> String {
        let meta = &self.loaded.spectrum.meta;
        let mut cells = vec![self.loaded.file.clone(), meta.id.clone(), meta.survey.name().into(), cell(self.snr())];
        for &label in self.labels {
            let (value, error) = self.numbers(label);
            cells.extend([cell(value), cell(error)]);
        }
        cells.push(self.flags().join("|"));
        csv_line(cells)
    }

    fn json(&self) -> String {
        let meta = &self.loaded.spectrum.meta;
        let mut row = Map::new();
        row.insert("file".into(), self.loaded.file.as_str().into());
        row.insert("id".into(), meta.id.as_str().into());
        row.insert("survey".into(), meta.survey.name().into());
        row.insert("snr".into(), self.snr().into());
        for &label in self.labels {
            let (value, error) = self.numbers(label);
            row.insert(label.name().into(), value.into());
            row.insert(format!("e_{}", label.name()), error.into());
        }
        row.insert("flags".into(), self.flags().into());
        match self.answer {
            Ok(prediction) => row.insert("model".into(), prediction.model.as_str().into()),
            Err(refusal) => row.insert("refused".into(), refusal.to_string().into()),
        };
        format!("{}\n", Value::Object(row))
    }
}

fn header(labels: &[Label]) -> String {
    let columns = labels.iter().flat_map(|l| [l.name().to_owned(), format!("e_{}", l.name())]);
    csv_line(["file", "id", "survey", "snr"].map(String::from).into_iter().chain(columns).chain(["flags".into()]))
}

fn parse_label(name: &str) -> Result<Label, String> {
    Label::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Label::ALL.iter().map(|l| l.name()).collect();
        format!("the labels are {}", names.join(", "))
    })
}
