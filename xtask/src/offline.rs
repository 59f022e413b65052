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

/// Files with the name of the version, and the text in which it replaces the empty string.
const WITH_VERSION: [(&str, &str); 2] =
    [("index.html", r#"<meta name="specola-version" content="">"#), ("engine-worker.js", r#"const VERSION = "";"#)];

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

/// Writes the name of the version and the list of the files in `dist`, which must have their final content otherwise.
pub(crate) fn write(dist: &Path) -> Result<()> {
    let version = list(dist)?.version();
    for (file, place) in WITH_VERSION {
        let path = dist.join(file);
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {file} of the built page"))?;
        let text = replace_once(file, &text, place, &place.replace("\"\"", &format!("\"{version}\"")))?;
        std::fs::write(&path, text).with_context(|| format!("writing the version into {file}"))?;
    }
    let FileList { first, later } = list(dist)?;
    let script = dist.join("service-worker.js");
    let text = std::fs::read_to_string(&script).context("reading the built service-worker.js")?;
    let build = json!({ "version": version, "first": first, "later": later });
    let text = replace_once("service-worker.js", &text, PLACEHOLDER, &format!("const BUILD = {build};"))?;
    std::fs::write(script, text).context("writing the service worker's list of files")
}

/// Hashes by path.
struct FileList {
    first: BTreeMap<String, String>,
    later: BTreeMap<String, String>,
}

impl FileList {
    /// A name of the version, from the content of all files.
    fn version(&self) -> String {
        hex(&Sha256::digest(json!([self.first, self.later]).to_string())[..8])
    }
}

fn list(dist: &Path) -> Result<FileList> {
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
    Ok(FileList { first, later })
}

fn replace_once(file: &str, text: &str, place: &str, with: &str) -> Result<String> {
    ensure!(text.matches(place).count() == 1, "www/{file} must have the text `{place}` once");
    Ok(text.replace(place, with))
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
        std::fs::write(root.join("index.html"), WITH_VERSION[0].1).unwrap();
        std::fs::write(root.join("engine-worker.js"), WITH_VERSION[1].1).unwrap();
        std::fs::write(root.join("offline.js"), "go()").unwrap();
        std::fs::write(root.join("models/manifest.json"), "{}").unwrap();
        write(&root).unwrap();
        let text = std::fs::read_to_string(root.join("service-worker.js")).unwrap();
        // printf 'go()' | openssl dgst -sha256 -binary | base64
        assert!(text.contains(r#""offline.js":"sha256-5KYv+PUboo5h+0+YAtGRPbwv5d/QxzHslP4YGnUaxRw=""#), "{text}");
        assert!(text.contains("models/manifest.json") && !text.contains("version: \"\""), "{text}");
        let version = text.split_once("\"version\":\"").unwrap().1.split_once('"').unwrap().0;
        let page = std::fs::read_to_string(root.join("index.html")).unwrap();
        let worker = std::fs::read_to_string(root.join("engine-worker.js")).unwrap();
        assert_eq!((page.contains(version), worker.contains(version), version.len()), (true, true, 16));
        assert!(write(&root).is_err(), "the placeholder is replaced once");
        std::fs::remove_dir_all(root).ok();
    }
}
