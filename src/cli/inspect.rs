//! `specola inspect`: format, survey and metadata of files, without any network.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::files::{LoadedSpectrum, for_each_part};
use super::{RunOutcome, output};
use crate::preprocess::snr;
use crate::result::Summary;
use crate::spectrum::Spectrum;

/// Show how files are read (survey, frame, metadata); prints one line of JSON per spectrum
#[derive(Debug, clap::Args)]
pub(super) struct Inspect {
    /// Spectra: files, folders, .zip archives or .npz bundles, `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Add the wavelengths in vacuum (Å), the flux in the file's unit, and its error; null where a pixel is masked
    #[arg(long)]
    samples: bool,
    /// Output file; `-` is standard output
    #[arg(short, value_name = "OUT")]
    output: Option<PathBuf>,
}

/// A line of the output. Its keys are a contract: new keys may be added, but none may change.
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
    /// Class, subclass and redshift of the object, if the file has them.
    labels: BTreeMap<&'static str, Value>,
    format: &'a str,
    medium: &'a str,
    resolving_power: Option<f64>,
    notes: &'a [String],
    #[serde(flatten)]
    samples: Option<Samples<'a>>,
}

/// The samples of a spectrum. The flux of a masked pixel is null if it is not a number, its error is null always.
#[derive(Serialize)]
struct Samples<'a> {
    wave_vac_aa: &'a [f64],
    flux: &'a [f64],
    sigma: Option<Vec<Option<f64>>>,
}

impl<'a> Samples<'a> {
    fn of(spectrum: &'a Spectrum) -> Self {
        let sigma = |ivar: &[f64]| ivar.iter().map(|v| (*v > 0.0).then(|| v.sqrt().recip())).collect();
        Self { wave_vac_aa: spectrum.wave_vac_aa(), flux: spectrum.flux(), sigma: spectrum.ivar().map(sigma) }
    }
}

impl Inspect {
    pub(super) fn run(&self) -> anyhow::Result<RunOutcome> {
        let mut out = output::open(self.output.as_deref())?;
        let outcome = for_each_part(&self.files, |part, report| {
            report.suspended(|| {
                for loaded in &part {
                    serde_json::to_writer(
                        &mut out,
                        &Inspected::of(loaded).line(self.samples.then(|| Samples::of(&loaded.spectrum))),
                    )
                    .map_err(std::io::Error::from)?;
                    out.write_all(b"\n")?;
                }
                Ok(())
            })
        })?;
        out.finish()?;
        Ok(outcome)
    }
}

/// Content of a line.
struct Inspected {
    summary: Summary,
    snr: Option<f64>,
}

impl Inspected {
    fn of(loaded: &LoadedSpectrum) -> Self {
        let snr = snr::estimate(&loaded.spectrum).and_then(|snr| crate::share::rounded(snr.value, 2));
        Self { summary: Summary::of(&loaded.file, &loaded.spectrum), snr }
    }

    fn line<'a>(&'a self, samples: Option<Samples<'a>>) -> Line<'a> {
        let meta = &self.summary.meta;
        let object_labels = [
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
            labels: object_labels.into_iter().filter_map(|(k, v)| Some((k, v?))).collect(),
            format: &meta.format,
            medium: meta.medium.value.name(),
            resolving_power: meta.resolving_power.map(|r| r.value),
            notes: &meta.notes,
            samples,
        }
    }
}
