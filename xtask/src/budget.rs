//! What a visit may download, and what it does.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::site::gzip;

/// One share of the download, with its limit in bytes.
struct Budget {
    what: &'static str,
    limit: usize,
    /// Whether a static host would compress these.
    is_compressed: bool,
    /// Which files of the built page belong to it, by the path below it.
    belongs: fn(&str) -> bool,
}

const BUDGETS: [Budget; 3] = [
    Budget {
        what: "page (UI)",
        limit: 600_000,
        is_compressed: true,
        belongs: |path| is_code(path) && !path.starts_with("engine"),
    },
    Budget {
        what: "CPU engine",
        limit: 1_500_000,
        is_compressed: true,
        belongs: |path| is_code(path) && path.starts_with("engine"),
    },
    Budget {
        what: "weights",
        limit: 10_000_000,
        is_compressed: false,
        belongs: |path| path.starts_with("models/") && !path.ends_with(".md"),
    },
];

fn is_code(path: &str) -> bool {
    !path.contains("models/")
        && !path.contains("samples/")
        && [".wasm", ".js", ".css", ".html"].iter().any(|e| path.ends_with(e))
}

/// Prints the size of each share of the page in `dist` and fails if one is over its limit, or empty.
pub fn check(dist: &Path) -> Result<()> {
    let mut files = Vec::new();
    list(dist, dist, &mut files).with_context(|| format!("reading {}; build first", dist.display()))?;
    let mut over = Vec::new();
    for Budget { what, limit, is_compressed, belongs } in BUDGETS {
        let mut size = 0;
        for (_, content) in files.iter().filter(|(path, _)| belongs(path)) {
            size += if is_compressed { gzip(content).len() } else { content.len() };
        }
        let kb = |bytes: usize| bytes.div_ceil(1000);
        let how = if is_compressed { " gzip" } else { "" };
        println!("{what:<12} {:>6} kB{how} of {} kB", kb(size), kb(limit));
        if size == 0 || size > limit {
            over.push(what);
        }
    }
    ensure!(over.is_empty(), "over its budget, or missing: {}", over.join(", "));
    Ok(())
}

fn list(dir: &Path, root: &Path, files: &mut Vec<(String, Vec<u8>)>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, root, files)?;
        } else {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            files.push((name, std::fs::read(&path)?));
        }
    }
    Ok(())
}
