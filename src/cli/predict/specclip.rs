//! `specola predict --model DIR` with the folder of the published `SpecCLIP` networks: their labels by id.

use std::io::Write;
use std::path::Path;

use anyhow::{anyhow, bail};
use burn::tensor::Device;
use pollster::block_on;
use serde_json::{Map, Value};

use super::Predict;
use super::output::Format;
use crate::cli::files::{LoadedSpectrum, for_each_part};
use crate::cli::{RunOutcome, output};
use crate::model::specclip::Folder;
use crate::result::specclip::Parameter;
use crate::share::{self, specclip};
use crate::task::specclip::{Input, Measurements, SpecClip, SpecClipInputError};

/// Number of spectra in a batch.
const BATCH: usize = 16;

pub(super) fn run(args: &Predict, folder: &Path) -> anyhow::Result<RunOutcome> {
    let is_json = match args.format {
        Format::Json => true,
        Format::Table(share::Format::Csv) => false,
        Format::Table(_) => bail!(
            "the labels of the published SpecCLIP networks can be written as csv or json only; choose one with --format"
        ),
    };
    let labels = args.labels.iter().map(|name| parse(name)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut networks = SpecClip::open(Folder::new(folder), &labels, &Device::flex()).map_err(|e| {
        anyhow!(
            "{}: no model is here: {e}, and no manifest.json of Specola's models; give --model the folder that holds \
             one of them, or a name that `specola models` lists",
            folder.display()
        )
    })?;
    let mut out = output::open(args.output.as_deref())?;
    if !is_json {
        out.write_all(specclip::header().as_bytes())?;
    }
    let outcome = for_each_part(&args.files, |part, report| {
        for part in part.chunks(BATCH) {
            let inputs: Vec<Result<Input, SpecClipInputError>> = part.iter().map(|l| Input::of(&l.spectrum)).collect();
            let ready: Vec<Input> = inputs.iter().flatten().cloned().collect();
            let measured =
                block_on(networks.measure(&ready)).ok_or_else(|| anyhow!("the device returned no result"))?;
            for warning in networks.warnings() {
                report.warn(&folder.display().to_string(), &warning.to_string());
            }
            let mut measured = measured.into_iter();
            for (loaded, input) in part.iter().zip(inputs) {
                let prediction = input.map(|input| (input, measured.next().unwrap_or_default()));
                for warning in warnings(&mut networks, &prediction) {
                    report.warn(&loaded.file, &format!("{}: {warning}", loaded.spectrum.meta.id));
                }
                let lines = match (&prediction, is_json) {
                    (_, true) => json(loaded, &prediction),
                    (Ok((_, m)), false) => specclip::lines(&loaded.spectrum.meta.id, &m.values),
                    (Err(_), false) => continue,
                };
                report.suspended(|| out.write_all(lines.as_bytes()))?;
            }
        }
        Ok(())
    })?;
    out.finish()?;
    Ok(outcome)
}

/// Input and predicted labels of a spectrum, or the reason why it was refused.
type SpecClipResult = Result<(Input, Measurements), SpecClipInputError>;

/// Warnings about the labels of a spectrum.
fn warnings(networks: &mut SpecClip<Folder>, prediction: &SpecClipResult) -> Vec<String> {
    match prediction {
        Err(refused) => vec![format!("refused {refused}")],
        Ok((input, _)) if networks.labels(input.modality()).is_empty() => {
            vec![format!("none of the requested labels is available for {} spectra", input.modality().name())]
        }
        Ok((_, m)) => m
            .failed
            .iter()
            .map(|p| {
                format!(
                    "{} is left out: its values are not finite, or its network takes spectra of another length",
                    p.name()
                )
            })
            .collect(),
    }
}

/// A result as one line of JSON, with all digits.
fn json(loaded: &LoadedSpectrum, prediction: &SpecClipResult) -> String {
    let meta = &loaded.spectrum.meta;
    let mut row = Map::new();
    row.insert("file".into(), loaded.file.as_str().into());
    row.insert("id".into(), meta.id.as_str().into());
    row.insert("survey".into(), meta.survey.name().into());
    match prediction {
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
        anyhow!("the published SpecCLIP networks have no label {name:?}; they have {}", names.join(", "))
    })
}
