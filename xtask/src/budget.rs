//! Limits on downloads of the page: until the first prediction, and later of the GPU engine and of the trainer.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::site::gzip;

/// Limits in bytes; programs under gzip, as static hosts send them. Page and engine include fine-tuning and similar
/// spectra, the model and the joint density of Gaia XP spectra, without weights and trainer. The engine also has the basis
/// functions of Gaia XP spectra, 51 kB, and the readers of some fifty layouts. The page keeps a session for each tab.
const PAGE: usize = 940_000;
const ENGINE: usize = 1_870_000;
const GPU_ENGINE: usize = 5_000_000;
const TRAINER: usize = 1_000_000;
const WEIGHTS: usize = 10_000_000;

/// Prints the size of each part of the page in `dist` and fails if a part is over its limit.
pub(crate) fn check(dist: &Path) -> Result<()> {
    let mut page = 0;
    let (mut engine, mut gpu_engine, mut trainer) = (0, 0, 0);
    for entry in std::fs::read_dir(dist).with_context(|| format!("reading {}; build first", dist.display()))? {
        let path = entry?.path();
        let is_program =
            path.extension().is_some_and(|e| ["wasm", "js", "css", "html"].iter().any(|known| e == *known));
        if is_program {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let part = match &*name {
                name if name.starts_with("engine") => &mut engine,
                name if name.starts_with("gpu") => &mut gpu_engine,
                name if name.starts_with("trainer") => &mut trainer,
                _ => &mut page,
            };
            *part += gzip(&std::fs::read(&path)?).len();
        }
    }
    let parts = [
        ("page", page, PAGE, " gzip"),
        ("CPU engine", engine, ENGINE, " gzip"),
        ("GPU engine", gpu_engine, GPU_ENGINE, " gzip"),
        ("trainer", trainer, TRAINER, " gzip"),
        ("weights", weights(&dist.join("models"))?, WEIGHTS, ""),
    ];
    for (name, size, limit, unit) in parts {
        println!("{name:<10} {:>5} kB{unit} of {} kB", size.div_ceil(1000), limit / 1000);
    }
    let over: Vec<_> = parts.iter().filter(|(_, size, limit, _)| size > limit).map(|(name, ..)| *name).collect();
    ensure!(over.is_empty(), "over budget: {}", over.join(", "));
    Ok(())
}

/// Size in bytes of the manifest and the default model's chunks, which the first prediction needs.
fn weights(models: &Path) -> Result<usize> {
    let text = std::fs::read(models.join("manifest.json")).context("reading models/manifest.json of the built page")?;
    let manifest: Value = serde_json::from_slice(&text).context("models/manifest.json is not JSON")?;
    let model = manifest["models"].as_array().into_iter().flatten().find(|model| model["name"] == manifest["default"]);
    let model = model.context("models/manifest.json does not hold its own default model")?;
    let mut size = text.len();
    for chunk in model["chunks"].as_array().context("the default model names no chunks")? {
        let file = chunk["file"].as_str().context("a chunk of the default model has no file")?;
        size += models.join(file).metadata().with_context(|| format!("models/{file} is missing"))?.len() as usize;
    }
    Ok(size)
}
