//! Publishing of weights: writes chunks named by their hash and adds the model to the manifest.

use std::io;
use std::path::Path;

use super::manifest::{Chunk, FORMAT, Kind, Manifest, ModelEntry};
use super::store::sha256_hex;

/// Largest size of a chunk, bytes: an interrupted download loses at most one chunk.
const CHUNK_BYTES: usize = 4 << 20;

/// Publishes `weights` in the folder `models`.
///
/// Cuts them into chunks and completes the entry's size, hash, chunks and version. Then replaces an older entry in the
/// manifest, and removes the chunks that no entry names.
pub fn publish(models: &Path, weights: &[u8], mut entry: ModelEntry, default: &str) -> io::Result<()> {
    std::fs::create_dir_all(models)?;
    entry.bytes = weights.len() as u64;
    entry.sha256 = sha256_hex(weights);
    entry.chunks = weights
        .chunks(CHUNK_BYTES)
        .map(|chunk| {
            let sha256 = sha256_hex(chunk);
            let file = format!("{}.bin", &sha256[..16]);
            std::fs::write(models.join(&file), chunk)?;
            Ok(Chunk { file, bytes: chunk.len() as u64, sha256 })
        })
        .collect::<io::Result<_>>()?;
    let path = models.join("manifest.json");
    let old = std::fs::read(&path).ok().and_then(|json| serde_json::from_slice::<Manifest>(&json).ok());
    let mut entries: Vec<ModelEntry> = old.map_or(Vec::new(), |m| m.models);
    // Changed weights increase the version.
    if let Some(previous) = entries.iter().find(|m| m.name == entry.name) {
        entry.version = previous.version + u32::from(previous.sha256 != entry.sha256);
    }
    entries.retain(|m| m.name != entry.name);
    entries.push(entry);
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    // A later stage of the same run may publish the requested default model.
    let is_predictor = |m: &&ModelEntry| m.kind == Kind::Predictor;
    let first =
        entries.iter().find(|m| m.name == default).or(entries.iter().find(is_predictor)).map_or("", |m| &m.name);
    let manifest = Manifest { format: FORMAT, default: first.to_string(), models: entries };
    write_manifest(models, &manifest)?;
    for file in std::fs::read_dir(models)?.flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        let is_referenced = manifest.models.iter().flat_map(|m| &m.chunks).any(|c| c.file == name);
        if name.ends_with(".bin") && !is_referenced {
            std::fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

/// Writes the manifest of a folder of models.
pub fn write_manifest(models: &Path, manifest: &Manifest) -> io::Result<()> {
    let mut json = serde_json::to_vec_pretty(manifest)?;
    json.push(b'\n');
    std::fs::write(models.join("manifest.json"), json)
}
