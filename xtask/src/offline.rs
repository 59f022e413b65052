//! Files that the service worker caches: paths and hashes of the built page, written into `dist/service-worker.js`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::site::hex;

/// The line of `www/service-worker.js` that the list replaces.
const PLACEHOLDER: &str = r#"const BUILD = { version: "", first: {}, later: {} };"#;

/// When the service worker caches a file of the page.
#[derive(Debug, PartialEq)]
enum CacheTime {
    /// On the first visit.
    First,
    /// On its first request.
    Later,
    /// Never.
    Never,
}

fn cache_time(path: &str) -> CacheTime {
    match path {
        "service-worker.js" => CacheTime::Never,
        // The manifest belongs to this build of the page: a later manifest may name unknown weights.
        "models/manifest.json" => CacheTime::First,
        // The engine caches the weights.
        path if path.starts_with("models/") => CacheTime::Never,
        // Only for visitors with a GPU.
        path if path.starts_with("gpu") => CacheTime::Later,
        _ => CacheTime::First,
    }
}

/// Writes the list of the files in `dist`, which must have their final content.
pub(crate) fn write(dist: &Path) -> Result<()> {
    let (mut first, mut later) = (BTreeMap::new(), BTreeMap::new());
    for path in files(dist, "")? {
        let list = match cache_time(&path) {
            CacheTime::First => &mut first,
            CacheTime::Later => &mut later,
            CacheTime::Never => continue,
        };
        let content = std::fs::read(dist.join(&path)).with_context(|| format!("reading {path} of the built page"))?;
        // Browsers request the page by the name of its folder.
        let path = if path == "index.html" { "./".into() } else { path };
        list.insert(path, format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(content))));
    }
    let version = hex(&Sha256::digest(json!([first, later]).to_string())[..8]);
    let script = dist.join("service-worker.js");
    let text = std::fs::read_to_string(&script).context("reading the built service-worker.js")?;
    std::fs::write(
        script,
        with_list(&text, &json!({ "version": version, "first": first, "later": later }).to_string())?,
    )
    .context("writing the service worker's list of files")
}

fn with_list(script: &str, list: &str) -> Result<String> {
    ensure!(script.matches(PLACEHOLDER).count() == 1, "www/service-worker.js must have the line `{PLACEHOLDER}` once");
    Ok(script.replace(PLACEHOLDER, &format!("const BUILD = {list};")))
}

/// Paths of all files below a folder, with `/` between the parts.
fn files(root: &Path, subfolder: &str) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    for entry in
        std::fs::read_dir(root.join(subfolder)).with_context(|| format!("listing {subfolder} of the built page"))?
    {
        let entry = entry?;
        let path = format!("{subfolder}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            paths.extend(files(root, &format!("{path}/"))?);
        } else {
            paths.push(path);
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_cached_when_they_are_needed() {
        let cases = [
            ("index.html", CacheTime::First),
            ("trainer_bg.wasm", CacheTime::First),
            ("samples/index.json", CacheTime::First),
            ("models/manifest.json", CacheTime::First),
            ("models/0123456789abcdef.bin", CacheTime::Never),
            ("gpu_bg.wasm", CacheTime::Later),
            ("service-worker.js", CacheTime::Never),
        ];
        for (path, expected) in cases {
            assert_eq!(cache_time(path), expected, "{path}");
        }
    }

    #[test]
    fn list_replaces_the_placeholder() {
        let root = std::env::temp_dir().join(format!("specola-offline-{}", std::process::id()));
        std::fs::create_dir_all(root.join("models")).unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../www/service-worker.js");
        std::fs::copy(source, root.join("service-worker.js")).unwrap();
        std::fs::write(root.join("index.html"), "go()").unwrap();
        std::fs::write(root.join("models/manifest.json"), "{}").unwrap();
        write(&root).unwrap();
        let text = std::fs::read_to_string(root.join("service-worker.js")).unwrap();
        // printf 'go()' | openssl dgst -sha256 -binary | base64
        assert!(text.contains(r#""./":"sha256-5KYv+PUboo5h+0+YAtGRPbwv5d/QxzHslP4YGnUaxRw=""#), "{text}");
        assert!(text.contains("models/manifest.json") && !text.contains("version: \"\""), "{text}");
        assert!(write(&root).is_err(), "the placeholder is replaced once");
        std::fs::remove_dir_all(root).ok();
    }
}
