//! What a visit may download: until its first answer, and then the GPU engine or, for teaching, the trainer.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::site::gzip;

/// Limits in bytes; programs under gzip, as static hosts send them. Teaching and look-alikes are in page and engine; their
/// weights and the trainer are not.
const PAGE: usize = 900_000;
const ENGINE: usize = 1_650_000;
const GPU_ENGINE: usize = 5_000_000;
const TRAINER: usize = 1_000_000;
const WEIGHTS: usize = 10_000_000;

/// Prints the size of each share of the page in `dist` and fails if one is over its limit.
pub fn check(dist: &Path) -> Result<()> {
    let mut page = 0;
    let (mut engine, mut gpu_engine, mut trainer) = (0, 0, 0);
    for entry in std::fs::read_dir(dist).with_context(|| format!("reading {}; build first", dist.display()))? {
        let path = entry?.path();
        let is_program =
            path.extension().is_some_and(|e| ["wasm", "js", "css", "html"].iter().any(|known| e == *known));
        if is_program {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let share = match &*name {
                name if name.starts_with("engine") => &mut engine,
                name if name.starts_with("gpu") => &mut gpu_engine,
                name if name.starts_with("trainer") => &mut trainer,
                _ => &mut page,
            };
            *share += gzip(&std::fs::read(&path)?).len();
        }
    }
    let shares = [
        ("page", page, PAGE, " gzip"),
        ("CPU engine", engine, ENGINE, " gzip"),
        ("GPU engine", gpu_engine, GPU_ENGINE, " gzip"),
        ("trainer", trainer, TRAINER, " gzip"),
        ("weights", weights(&dist.join("models"))?, WEIGHTS, ""),
    ];
    for (what, size, limit, how) in shares {
        println!("{what:<10} {:>5} kB{how} of {} kB", size.div_ceil(1000), limit / 1000);
    }
    let over: Vec<_> = shares.iter().filter(|(_, size, limit, _)| size > limit).map(|(what, ..)| *what).collect();
    ensure!(over.is_empty(), "over budget: {}", over.join(", "));
    Ok(())
}

/// Bytes of the manifest and of the default model's chunks, which are what the first answer waits for.
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
