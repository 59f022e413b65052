//! `specola inspect`: what was recognised, without any network.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::files::{Loaded, for_each_part};
use super::{Outcome, output};
use crate::preprocess::snr;
use crate::result::Summary;

/// Show what a file is taken for: one JSON object a spectrum, a line each
#[derive(Debug, clap::Args)]
pub(super) struct Inspect {
    /// Spectra: files, folders, .zip archives or .npz bundles
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where to write; `-` is standard output
    #[arg(short, value_name = "OUT")]
    output: Option<PathBuf>,
}

/// One line of the output. The keys are a contract; more may be added.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    survey: &'a str,
    id: &'a str,
    n_pixels: usize,
    wave_min_aa: Option<f64>,
    wave_max_aa: Option<f64>,
    frame: &'a str,
    snr: Option<f64>,
    /// What the file itself says of the object.
    labels: BTreeMap<&'static str, Value>,
    format: &'a str,
    medium: &'a str,
    resolving_power: Option<f64>,
    notes: &'a [String],
}

impl Inspect {
    pub(super) fn run(&self) -> anyhow::Result<Outcome> {
        let mut out = output::open(self.output.as_deref())?;
        let outcome = for_each_part(&self.files, |part, report| {
            report.aside(|| {
                for loaded in &part {
                    serde_json::to_writer(&mut out, &Inspected::of(loaded).line()).map_err(std::io::Error::from)?;
                    out.write_all(b"\n")?;
                }
                Ok(())
            })
        })?;
        out.finish()?;
        Ok(outcome)
    }
}

/// What a line is made of.
struct Inspected {
    summary: Summary,
    snr: Option<f64>,
}

impl Inspected {
    fn of(loaded: &Loaded) -> Self {
        let snr = snr::estimate(&loaded.spectrum).and_then(|snr| crate::share::rounded(snr.value, 2));
        Self { summary: Summary::of(&loaded.file, &loaded.spectrum), snr }
    }

    fn line(&self) -> Line<'_> {
        let meta = &self.summary.meta;
        let known = [
            ("class", meta.class.clone().map(Value::from)),
            ("subclass", meta.subclass.clone().map(Value::from)),
            ("redshift", meta.redshift.map(Value::from)),
        ];
        Line {
            file: &self.summary.file,
            survey: meta.survey.name(),
            id: &meta.id,
            n_pixels: self.summary.n_pixels,
            wave_min_aa: crate::share::rounded(self.summary.wave_min_aa, 4),
            wave_max_aa: crate::share::rounded(self.summary.wave_max_aa, 4),
            frame: meta.frame.value.name(),
            snr: self.snr,
            labels: known.into_iter().filter_map(|(k, v)| Some((k, v?))).collect(),
            format: &meta.format,
            medium: meta.medium.value.name(),
            resolving_power: meta.resolving_power.map(|r| r.value),
            notes: &meta.notes,
        }
    }
}
