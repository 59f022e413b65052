//! Writing weights as content-named chunks and entering them in the manifest.

use std::io;
use std::path::Path;

use super::manifest::{Chunk, FORMAT, Kind, Manifest, ModelEntry};
use super::store::sha256_hex;

/// Largest chunk: a broken download loses no more than this.
const CHUNK_BYTES: usize = 4 << 20;

/// Cuts `weights` into chunks below `models`, completes the entry's size, hash, chunks and version, puts it into the manifest in
/// place of an older one and removes chunks that nothing names any more.
pub fn publish(models: &Path, weights: &[u8], mut entry: ModelEntry, default: &str) -> io::Result<()> {
    std::fs::create_dir_all(models)?;
    entry.bytes = weights.len() as u64;
    entry.sha256 = sha256_hex(weights);
    entry.chunks = weights
        .chunks(CHUNK_BYTES)
        .map(|piece| {
            let sha256 = sha256_hex(piece);
            let file = format!("{}.bin", &sha256[..16]);
            std::fs::write(models.join(&file), piece)?;
            Ok(Chunk { file, bytes: piece.len() as u64, sha256 })
        })
        .collect::<io::Result<_>>()?;
    let path = models.join("manifest.json");
    let old = std::fs::read(&path).ok().and_then(|json| serde_json::from_slice::<Manifest>(&json).ok());
    let mut list: Vec<ModelEntry> = old.map_or(Vec::new(), |m| m.models);
    // Other weights are another version; the same ones again are not.
    if let Some(before) = list.iter().find(|m| m.name == entry.name) {
        entry.version = before.version + u32::from(before.sha256 != entry.sha256);
    }
    list.retain(|m| m.name != entry.name);
    list.push(entry);
    list.sort_by(|a, b| a.name.cmp(&b.name));
    // The wanted default may be a later stage of the same run.
    let answers = |m: &&ModelEntry| m.kind == Kind::Predictor;
    let first = list.iter().find(|m| m.name == default).or(list.iter().find(answers)).map_or("", |m| &m.name);
    let manifest = Manifest { format: FORMAT, default: first.to_string(), models: list };
    write_manifest(models, &manifest)?;
    for file in std::fs::read_dir(models)?.flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        let named = manifest.models.iter().flat_map(|m| &m.chunks).any(|c| c.file == name);
        if name.ends_with(".bin") && !named {
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
