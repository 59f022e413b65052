//! Publishing of weights: writes chunks named by their hash and adds the model to the manifest.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::manifest::{Chunk, FORMAT, Kind, Manifest, ManifestError, ModelEntry};
use super::store::{MANIFEST, sha256_hex};
use crate::whole_file;

/// Largest size of a chunk, bytes: an interrupted download loses at most one chunk.
const CHUNK_BYTES: usize = 4 << 20;

/// Publishes `weights` in the folder `models`.
///
/// Cuts them into chunks and completes the entry's size, hash, chunks and version. Then replaces an older entry in the
/// manifest, and removes the chunks of the older entry that no entry names any more. No other file is removed. Fails,
/// and changes nothing, if the folder has a manifest that cannot be read.
pub fn publish(models: &Path, weights: &[u8], mut entry: ModelEntry, default: &str) -> io::Result<()> {
    std::fs::create_dir_all(models)?;
    let path = models.join(MANIFEST);
    // Two stages may publish in one folder at the same time.
    let _lock = match path.exists() {
        true => Some(whole_file::lock(&path, || {})?),
        false => None,
    };
    let mut entries = read_entries(&path)?;
    let earlier = chunk_files(&entries);
    entry.bytes = weights.len() as u64;
    entry.sha256 = sha256_hex(weights);
    entry.chunks = weights
        .chunks(CHUNK_BYTES)
        .map(|chunk| {
            let sha256 = sha256_hex(chunk);
            let file = format!("{}.bin", &sha256[..16]);
            whole_file::write(&models.join(&file), chunk)?;
            Ok(Chunk { file, bytes: chunk.len() as u64, sha256 })
        })
        .collect::<io::Result<_>>()?;
    // Changed weights increase the version, and so does a change of what is computed with them.
    if let Some(previous) = entries.iter().find(|m| m.name == entry.name) {
        let is_changed = previous.sha256 != entry.sha256 || previous.networks != entry.networks;
        entry.version = previous.version + u32::from(is_changed);
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
    for file in earlier.difference(&chunk_files(&manifest.models)) {
        match std::fs::remove_file(models.join(file)) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
            _ => {}
        }
    }
    Ok(())
}

/// Writes the manifest of a folder of models.
pub fn write_manifest(models: &Path, manifest: &Manifest) -> io::Result<()> {
    let mut json = serde_json::to_vec_pretty(manifest)?;
    json.push(b'\n');
    whole_file::write(&models.join(MANIFEST), &json)
}

/// The models of an earlier manifest; none only if there is no such file. Its default model may still be missing.
fn read_entries(path: &Path) -> io::Result<Vec<ModelEntry>> {
    let json = match std::fs::read(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        json => json?,
    };
    let manifest = match serde_json::from_slice::<Manifest>(&json) {
        Ok(manifest) if manifest.format == FORMAT => Ok(manifest.models),
        Ok(manifest) => Err(ManifestError::Format(manifest.format)),
        Err(why) => Err(ManifestError::Json(why)),
    };
    manifest.map_err(|why| {
        let cure = "no file of the folder was changed. Restore the manifest, or publish into an empty folder";
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}; {cure}", path.display()))
    })
}

/// The chunks that entries name, without names that no publishing gives.
fn chunk_files(entries: &[ModelEntry]) -> BTreeSet<String> {
    let is_ours = |file: &&String| {
        file.strip_suffix(".bin").is_some_and(|stem| stem.len() == 16 && stem.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    entries.iter().flat_map(|m| &m.chunks).map(|c| &c.file).filter(is_ours).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> ModelEntry {
        ModelEntry { name: name.into(), version: 1, ..ModelEntry::default() }
    }

    fn files(folder: &Path) -> BTreeSet<String> {
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn only_chunks_of_the_replaced_entry_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let models = folder.path();
        publish(models, b"one", entry("a"), "a").unwrap();
        publish(models, b"two", entry("b"), "a").unwrap();
        std::fs::write(models.join("foreign.bin"), b"of somebody else").unwrap();
        let before = files(models);
        publish(models, b"three", entry("a"), "a").unwrap();
        let after = files(models);
        let chunk = |weights: &[u8]| format!("{}.bin", &sha256_hex(weights)[..16]);
        assert_eq!(before.difference(&after).collect::<Vec<_>>(), [&chunk(b"one")]);
        assert_eq!(after.difference(&before).collect::<Vec<_>>(), [&chunk(b"three")]);
        assert_eq!(read_entries(&models.join(MANIFEST)).unwrap()[0].version, 2);
    }

    #[test]
    fn a_manifest_that_cannot_be_read_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let models = folder.path();
        publish(models, b"one", entry("a"), "a").unwrap();
        let whole = std::fs::read(models.join(MANIFEST)).unwrap();
        // The manifest cut at every length but the complete one, which is without the last line feed.
        for n in 0..whole.len() - 1 {
            std::fs::write(models.join(MANIFEST), &whole[..n]).unwrap();
            let before = files(models);
            let why = publish(models, b"two", entry("b"), "a").unwrap_err();
            assert_eq!(why.kind(), io::ErrorKind::InvalidData, "{n} bytes");
            assert_eq!(files(models), before, "{n} bytes");
            assert_eq!(std::fs::read(models.join(MANIFEST)).unwrap(), whole[..n], "{n} bytes");
        }
        let other_version = String::from_utf8(whole).unwrap().replace("\"format\": 1", "\"format\": 2");
        std::fs::write(models.join(MANIFEST), other_version).unwrap();
        assert!(publish(models, b"two", entry("b"), "a").unwrap_err().to_string().contains("layout version 2"));
    }
}
