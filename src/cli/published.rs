//! `specola predict --model DIR` on the folder of the published SpecCLIP system: its catalogue, with ids.

use std::io::Write;
use std::path::Path;

use anyhow::{anyhow, bail};
use burn::tensor::Device;
use pollster::block_on;
use serde_json::{Map, Value};

use super::files::{Loaded, for_each_part};
use super::output::Format;
use super::predict::Predict;
use super::{Outcome, output};
use crate::model::published::Folder;
use crate::result::catalogue::Parameter;
use crate::share::{self, catalogue};
use crate::task::published::{Input, Measurements, Refused, System};

/// Spectra that are answered before anything is written.
const PART: usize = 16;

pub(super) fn run(args: &Predict, folder: &Path) -> anyhow::Result<Outcome> {
    let is_json = match args.format {
        Format::Json => true,
        Format::Table(share::Format::Csv) => false,
        Format::Table(_) => bail!("the published system's catalogue is written as csv or json; choose one of them"),
    };
    let wanted = args.labels.iter().map(|name| parse(name)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut system = System::open(Folder::new(folder), &wanted, &Device::flex()).map_err(|e| {
        anyhow!(
            "{}: no model is here: {e}, and no manifest.json of Specola's models; give --model the folder that holds \
             one of them, or a name that `specola models` lists",
            folder.display()
        )
    })?;
    let mut out = output::open(args.output.as_deref())?;
    if !is_json {
        out.write_all(catalogue::header().as_bytes())?;
    }
    let outcome = for_each_part(&args.files, |part, report| {
        for part in part.chunks(PART) {
            let inputs: Vec<Result<Input, Refused>> = part.iter().map(|l| Input::of(&l.spectrum)).collect();
            let ready: Vec<Input> = inputs.iter().flatten().cloned().collect();
            let measured = block_on(system.measure(&ready)).ok_or_else(|| anyhow!("the device gave nothing back"))?;
            for warning in system.warnings() {
                report.remark(&folder.display().to_string(), &warning.to_string());
            }
            let mut measured = measured.into_iter();
            for (loaded, input) in part.iter().zip(inputs) {
                let answer = input.map(|input| (input, measured.next().unwrap_or_default()));
                for remark in remarks(&mut system, &answer) {
                    report.remark(&loaded.file, &format!("{}: {remark}", loaded.spectrum.meta.id));
                }
                let lines = match (&answer, is_json) {
                    (_, true) => json(loaded, &answer),
                    (Ok((_, m)), false) => catalogue::lines(&loaded.spectrum.meta.id, &m.values),
                    (Err(_), false) => continue,
                };
                report.aside(|| out.write_all(lines.as_bytes()))?;
            }
        }
        Ok(())
    })?;
    out.finish()?;
    Ok(outcome)
}

/// A spectrum's input and what the heads said, or why it is not taken.
type Answered = Result<(Input, Measurements), Refused>;

/// What the user should know of an answer.
fn remarks(system: &mut System<Folder>, answer: &Answered) -> Vec<String> {
    match answer {
        Err(refused) => vec![format!("refused {refused}")],
        Ok((input, _)) if system.labels(input.modality()).is_empty() => {
            vec![format!(
                "nothing that was asked for can be given for its kind of spectrum, {}",
                input.modality().name()
            )]
        }
        Ok((_, m)) => m
            .failed
            .iter()
            .map(|p| {
                format!(
                    "{} is left out: its numbers are not finite, or its model takes spectra of another length",
                    p.name()
                )
            })
            .collect(),
    }
}

/// One line of JSON, with all digits.
fn json(loaded: &Loaded, answer: &Answered) -> String {
    let meta = &loaded.spectrum.meta;
    let mut row = Map::new();
    row.insert("file".into(), loaded.file.as_str().into());
    row.insert("id".into(), meta.id.as_str().into());
    row.insert("survey".into(), meta.survey.name().into());
    match answer {
        Ok((input, measurements)) => {
            row.insert("modality".into(), input.modality().name().into());
            for m in &measurements.values {
                row.insert(m.parameter.name().into(), m.value.into());
                if let Some(error) = m.error {
                    row.insert(format!("e_{}", m.parameter.name()), error.into());
                }
            }
            for parameter in &measurements.failed {
                row.insert(parameter.name().into(), Value::Null);
            }
        }
        Err(refused) => drop(row.insert("refused".into(), refused.to_string().into())),
    }
    format!("{}\n", Value::Object(row))
}

fn parse(name: &str) -> anyhow::Result<Parameter> {
    Parameter::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Parameter::ALL.iter().map(|p| p.name()).collect();
        anyhow!("the published system has no label {name:?}; it has {}", names.join(", "))
    })
}
