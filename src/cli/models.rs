//! `specola models`: the shipped models.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use pollster::block_on;
use serde_json::json;

use super::{ModelsDir, RunOutcome, output};
use crate::model::manifest::{Kind, Manifest, ModelEntry};
use crate::model::store::{Folder, Store};
use crate::task::predict::Predictor;
use crate::task::synthetic_model::SyntheticModel;

/// List the shipped models: name, input, labels, size, measured accuracy
#[derive(Debug, clap::Args)]
pub(super) struct Models {
    /// Print one JSON object per model instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    models: ModelsDir,
}

impl Models {
    pub(super) fn run(&self) -> anyhow::Result<RunOutcome> {
        let manifest = block_on(self.models.store().manifest())?;
        let mut out = output::open(None)?;
        for model in &manifest.models {
            if self.json {
                serde_json::to_writer(&mut out, &as_json(&manifest, model)).map_err(std::io::Error::from)?;
                writeln!(out)?;
            } else {
                write_text(&mut out, &manifest, model)?;
            }
        }
        out.finish()?;
        Ok(RunOutcome::Complete)
    }
}

fn as_json(manifest: &Manifest, model: &ModelEntry) -> serde_json::Value {
    json!({
        "name": model.name,
        "version": model.version,
        "default": model.name == manifest.default,
        "kind": model.kind,
        "modality": model.modality,
        "labels": label_names(model),
        "bytes": model.bytes,
        "trained_on": model.trained_on,
        "accuracy": model.card().accuracy,
        "figures": model.measurements,
    })
}

fn write_text(out: &mut dyn Write, manifest: &Manifest, model: &ModelEntry) -> std::io::Result<()> {
    let default = if model.name == manifest.default { " (the default)" } else { "" };
    writeln!(out, "{}{default}", model.title())?;
    writeln!(out, "  takes     {}", model.modality)?;
    writeln!(out, "  gives     {}", label_names(model).join(", "))?;
    writeln!(out, "  size      {:.1} MB", model.bytes as f64 / 1e6)?;
    writeln!(out, "  trained   {}", model.trained_on)?;
    for (i, line) in model.card().accuracy.iter().enumerate() {
        writeln!(out, "  {:<9} {line}", if i == 0 { "accuracy" } else { "" })?;
    }
    for (i, m) in model.measurements.iter().enumerate() {
        let subject = if m.subject.is_empty() { String::new() } else { format!(" ({})", m.subject) };
        writeln!(
            out,
            "  {:<9} {}{subject}: {:.4} (N {}, {})",
            if i == 0 { "measured" } else { "" },
            m.quantity,
            m.value,
            m.n,
            m.data_set
        )?;
    }
    Ok(())
}

fn label_names(model: &ModelEntry) -> Vec<&'static str> {
    model.labels.iter().map(|l| l.name()).collect()
}

impl ModelsDir {
    /// Store of the shipped models.
    pub(super) fn store(&self) -> Store<Folder> {
        Store::new(self.folder.as_deref().map_or_else(Folder::find, |f: &Path| Folder::new(f)))
    }

    /// Loads the model of this name; without a name, the default model.
    pub(super) fn load(&self, name: Option<&str>) -> anyhow::Result<(ModelEntry, Predictor)> {
        let store = self.store();
        let manifest = block_on(store.manifest())?;
        let name = name.unwrap_or(&manifest.default);
        let Some(entry) = manifest.predictors().find(|m| m.name == name) else {
            let others = manifest.models.iter().filter(|m| matches!(m.kind, Kind::EncoderPair | Kind::XpPredictor));
            let names: Vec<&str> = manifest.predictors().chain(others).map(|m| m.name.as_str()).collect();
            bail!("no shipped model {name:?} predicts labels; choose among {}", names.join(", "));
        };
        let weights = block_on(store.weights(entry, |_, _| {}))?;
        let predictor = Predictor::new(entry, &weights, &burn::tensor::Device::flex())?;
        Ok((entry.clone(), predictor))
    }

    /// Loads the shipped emulator.
    pub(super) fn emulator(&self) -> anyhow::Result<Arc<SyntheticModel>> {
        block_on(SyntheticModel::fetch(&self.store(), |_, _| {})).map(Arc::new).map_err(anyhow::Error::msg)
    }
}
