//! `specola evaluate`: what a model is worth on labelled spectra.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::{ModelsDir, Outcome};
use crate::train::evaluate::{Judged, join, predict_files, read_table, score};
use crate::train::report;

/// Measure a model on spectra with known labels
#[derive(Debug, Args)]
pub(super) struct Evaluate {
    /// Model to measure [default: the manifest's]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Spectra
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "labels", required_unless_present = "real")]
    spectra: Vec<PathBuf>,
    /// Their labels, CSV, joined by id
    #[arg(long, value_name = "TABLE", requires = "spectra")]
    labels: Option<PathBuf>,
    /// Folder of the standard real sets: measure every model on all of them
    #[arg(long, value_name = "DIR", requires = "report", conflicts_with = "spectra")]
    real: Option<PathBuf>,
    /// Page to write what was measured on the standard sets
    #[arg(long, value_name = "FILE", requires = "real")]
    report: Option<PathBuf>,
    #[command(flatten)]
    models: ModelsDir,
}

impl Evaluate {
    /// Prints scores as JSON, or writes the page.
    pub(super) fn run(&self) -> Result<Outcome> {
        if let (Some(real), Some(page)) = (&self.real, &self.report) {
            let manifest = pollster::block_on(self.models.store().manifest())?;
            let mut text = report::write(&manifest, |entry| Ok(self.models.load(Some(&entry.name))?.1), real)?;
            // What `specola experiment` found stays as it is.
            let before = std::fs::read_to_string(page).unwrap_or_default();
            text.push_str(before.find(report::EXPERIMENTS).map_or("", |at| &before[at..]));
            std::fs::write(page, text).with_context(|| format!("writing {}", page.display()))?;
            return Ok(Outcome::Complete);
        }
        let (_, predictor) = self.models.load(self.model.as_deref())?;
        let table = read_table(self.labels.as_deref().context("give the labels with --labels")?)?;
        let judged = join(predict_files(&predictor, &self.spectra)?, &table);
        let all: Vec<&Judged> = judged.iter().collect();
        println!("{}", serde_json::to_string_pretty(&score(&all, &table, |j| j.id.clone()))?);
        Ok(Outcome::Complete)
    }
}
