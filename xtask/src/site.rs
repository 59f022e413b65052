//! A directory as a web server serves it: media types, compression, caching, and no access outside of it.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// A directory of files to serve.
pub(crate) struct Site {
    root: PathBuf,
    /// Whether responses have the headers of cross-origin isolation. Programs that share memory between threads need
    /// them; Specola's page does not.
    pub is_isolated: bool,
    /// Files by path, with their time of modification.
    cache: Mutex<HashMap<PathBuf, (SystemTime, Arc<Asset>)>>,
}

/// A file with its headers.
pub(crate) struct Asset {
    /// Media type.
    pub mime: &'static str,
    /// `Cache-Control`.
    pub caching: &'static str,
    /// `ETag`, quoted.
    pub etag: String,
    /// The content.
    pub body: Vec<u8>,
    /// The content under gzip, if shorter.
    pub gzip: Option<Vec<u8>>,
}

impl Site {
    /// The site in a directory, which must exist.
    pub(crate) fn new(root: &Path) -> Result<Self> {
        let root = root.canonicalize().with_context(|| format!("there is no {}; build first", root.display()))?;
        Ok(Self { root, is_isolated: false, cache: Mutex::default() })
    }

    /// Adds cross-origin isolation.
    pub(crate) fn isolated(self) -> Self {
        Self { is_isolated: true, ..self }
    }

    /// The file of a request's path (`/models/manifest.json?x`), if the site has it.
    pub(crate) fn get(&self, url: &str) -> Option<Arc<Asset>> {
        let path = self.file(url)?;
        let modified = path.metadata().and_then(|meta| meta.modified()).ok()?;
        let mut cache = self.cache.lock().ok()?;
        if let Some((cached_at, asset)) = cache.get(&path)
            && *cached_at == modified
        {
            return Some(asset.clone());
        }
        let asset = Arc::new(Asset::read(&path)?);
        cache.insert(path, (modified, asset.clone()));
        Some(asset)
    }

    /// The file of a request's path; `None` outside of the site.
    fn file(&self, url: &str) -> Option<PathBuf> {
        let path = percent_decode(url.split(['?', '#']).next()?.strip_prefix('/')?)?;
        let mut file = self.root.clone();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if part.starts_with('.') || part.contains(['\\', ':', '\0']) {
                return None;
            }
            file.push(part);
        }
        if file.is_dir() {
            file.push("index.html");
        }
        // A symbolic link may lead out of the site.
        let file = file.canonicalize().ok()?;
        (file.starts_with(&self.root) && file.is_file()).then_some(file)
    }
}

impl Asset {
    fn read(path: &Path) -> Option<Self> {
        let body = std::fs::read(path).ok()?;
        let name = path.file_name()?.to_str()?;
        let (mime, is_text) = mime(path.extension().and_then(|e| e.to_str()).unwrap_or_default());
        let gzip = is_text.then(|| gzip(&body)).filter(|gzip| gzip.len() < body.len());
        let etag = format!("\"{}\"", hex(&Sha256::digest(&body)[..16]));
        let caching = if is_content_named(name) { "public, max-age=31536000, immutable" } else { "no-cache" };
        Some(Self { mime, caching, etag, body, gzip })
    }
}

/// Whether the name has a hash (12 or more hexadecimal digits between separators): the content of such a file never
/// changes.
fn is_content_named(name: &str) -> bool {
    name.split(['-', '_', '.'])
        .any(|part| part.len() >= 12 && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

/// Media type of a file name extension, and whether gzip is worth its time.
fn mime(extension: &str) -> (&'static str, bool) {
    match extension {
        "html" => ("text/html; charset=utf-8", true),
        "js" | "mjs" => ("text/javascript; charset=utf-8", true),
        "css" => ("text/css; charset=utf-8", true),
        "json" => ("application/json", true),
        "webmanifest" => ("application/manifest+json", true),
        "wasm" => ("application/wasm", true),
        "svg" => ("image/svg+xml", true),
        "txt" => ("text/plain; charset=utf-8", true),
        "csv" => ("text/csv; charset=utf-8", true),
        "md" => ("text/markdown; charset=utf-8", true),
        "png" => ("image/png", false),
        "ico" => ("image/x-icon", false),
        "woff2" => ("font/woff2", false),
        "fits" | "fit" => ("application/fits", true),
        "gz" => ("application/gzip", false),
        "zip" | "npz" => ("application/zip", false),
        _ => ("application/octet-stream", false),
    }
}

/// Compresses as a static host does.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digit = |b: u8| char::from(b).to_digit(16);
            (digit(rest.next()?)? * 16 + digit(rest.next()?)?) as u8
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(name: &str) -> Site {
        let root = std::env::temp_dir().join(format!("specola-site-{}-{name}", std::process::id()));
        let page = root.join("page");
        std::fs::create_dir_all(page.join("models")).unwrap();
        std::fs::write(root.join("secret.txt"), "not for the web").unwrap();
        std::fs::write(page.join("index.html"), "<p>".repeat(100)).unwrap();
        std::fs::write(page.join("app-0123456789abcdef_bg.wasm"), [0; 1000]).unwrap();
        std::fs::write(page.join("models/a b.json"), "{}").unwrap();
        Site::new(&page).unwrap()
    }

    #[test]
    fn assets_have_types_compression_and_caching() {
        let site = site("types");
        let index = site.get("/?a=1").unwrap();
        assert_eq!((index.mime, index.caching), ("text/html; charset=utf-8", "no-cache"));
        assert!(index.gzip.as_ref().unwrap().len() < index.body.len());
        let wasm = site.get("/app-0123456789abcdef_bg.wasm").unwrap();
        assert_eq!(wasm.mime, "application/wasm");
        assert!(wasm.caching.ends_with("immutable"));
        assert!(site.get("/models/a%20b.json").unwrap().gzip.is_none(), "two bytes do not shrink");
    }

    #[test]
    fn changed_files_are_read_again() {
        let site = site("change");
        let before = site.get("/").unwrap().etag.clone();
        let path = site.root.join("index.html");
        std::fs::write(&path, "new").unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(2);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(later).unwrap();
        assert_ne!(site.get("/").unwrap().etag, before);
    }

    #[test]
    fn paths_out_of_the_site_are_refused() {
        let site = site("inside");
        for url in [
            "/../secret.txt",
            "/%2e%2e/secret.txt",
            "/..%2fsecret.txt",
            "/models/..%5c..%5csecret.txt",
            "/%00",
            "/%",
            "x",
        ] {
            assert!(site.get(url).is_none(), "{url}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(site.root.join("../secret.txt"), site.root.join("link.txt")).ok();
            assert!(site.get("/link.txt").is_none());
        }
    }
}
