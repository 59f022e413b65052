//! What the service worker keeps: the files of the built page by path and hash, written into `dist/service-worker.js`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::site::hex;

/// The line of `www/service-worker.js` in whose place the list is put.
const EMPTY: &str = r#"const BUILD = { version: "", first: {}, later: {} };"#;

/// When a file of the page is kept.
#[derive(Debug, PartialEq)]
enum When {
    /// With the first visit.
    First,
    /// When it is first asked for.
    Later,
    /// Not by the service worker.
    Never,
}

fn when(path: &str) -> When {
    match path {
        "service-worker.js" => When::Never,
        // It belongs to the page: another one would name weights that the page's program does not know.
        "models/manifest.json" => When::First,
        // The engine keeps the weights that it uses.
        path if path.starts_with("models/") => When::Never,
        // Only where there is a GPU.
        path if path.starts_with("gpu") => When::Later,
        _ => When::First,
    }
}

/// Writes the list of the files in `dist`, which must have their last content.
pub fn write(dist: &Path) -> Result<()> {
    let (mut first, mut later) = (BTreeMap::new(), BTreeMap::new());
    for path in files(dist, "")? {
        let list = match when(&path) {
            When::First => &mut first,
            When::Later => &mut later,
            When::Never => continue,
        };
        let content = std::fs::read(dist.join(&path)).with_context(|| format!("reading {path} of the built page"))?;
        // The page is asked for by the name of its folder.
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
    ensure!(script.matches(EMPTY).count() == 1, "www/service-worker.js must have the line `{EMPTY}` once");
    Ok(script.replace(EMPTY, &format!("const BUILD = {list};")))
}

/// Paths of all files below a folder, with `/` between its parts.
fn files(root: &Path, below: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root.join(below)).with_context(|| format!("listing {below} of the built page"))? {
        let entry = entry?;
        let path = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            found.extend(files(root, &format!("{path}/"))?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_kept_when_it_is_needed() {
        let wanted = [
            ("index.html", When::First),
            ("trainer_bg.wasm", When::First),
            ("samples/index.json", When::First),
            ("models/manifest.json", When::First),
            ("models/0123456789abcdef.bin", When::Never),
            ("gpu_bg.wasm", When::Later),
            ("service-worker.js", When::Never),
        ];
        for (path, expected) in wanted {
            assert_eq!(when(path), expected, "{path}");
        }
    }

    #[test]
    fn the_list_replaces_its_line() {
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
        assert!(write(&root).is_err(), "one list only");
        std::fs::remove_dir_all(root).ok();
    }
}
