//! Where the shipped weights come from: a folder natively, the page's own site in a browser.
//!
//! Weights travel as chunks of at most 4 MiB (`manifest.rs`). Each is checked by size and sha256 before it is used, asked
//! for again a few times when it is missing or damaged, and then kept where the source can keep it: a download that broke
//! off goes on where it was, and a second visit fetches nothing. The assembled file is checked again as a whole.

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::manifest::{Chunk, Manifest, ManifestError, ModelEntry};

/// Name of the list of what is shipped, below the root of every source.
pub const MANIFEST: &str = "manifest.json";

/// Largest manifest that is read, bytes.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// How often a file is asked for before it is given up.
const TRIES: u32 = 3;

/// Why shipped weights cannot be had.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum StoreError {
    #[error("cannot get {what} from {place}: {why}; {cure}")]
    Get { what: String, place: String, why: String, cure: &'static str },
    #[error("{what} from {place} is damaged: sha256 {found}, the manifest says {expected}; {cure}")]
    Damaged { what: String, place: String, found: String, expected: String, cure: &'static str },
    #[error("the list of models at {place} cannot be used: {why}")]
    Manifest { place: String, why: ManifestError },
}

/// A place that files can be had from by their path below it.
#[allow(async_fn_in_trait)] // One thread drives it: native code blocks on it, a browser has only one.
pub trait Source {
    /// What a user can do when a file is missing or damaged there.
    const CURE: &'static str;

    /// Full address of a file, for messages.
    fn place(&self, path: &str) -> String;

    /// The bytes of a file, an error when there are more than `limit`. `on_bytes` hears how many have come so far.
    async fn get(&self, path: &str, limit: u64, on_bytes: &mut dyn FnMut(u64)) -> Result<Vec<u8>, String>;

    /// The bytes of a file that was kept; nobody has checked them since.
    async fn kept(&self, _path: &str) -> Option<Vec<u8>> {
        None
    }

    /// Keeps a file for later, if it can: a full disk is no error.
    async fn keep(&self, _path: &str, _bytes: &[u8]) {}

    /// Waits before a file is asked for again; `tries` counts how often it was.
    async fn pause(&self, _tries: u32) {}
}

/// The models that are shipped at a source.
#[derive(Debug, Clone)]
pub struct Store<S> {
    source: S,
}

impl<S: Source> Store<S> {
    /// The store at a source.
    pub fn new(source: S) -> Self {
        Self { source }
    }

    /// Where it takes its files from.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// What is shipped.
    pub async fn manifest(&self) -> Result<Manifest, StoreError> {
        let mut tries = 0;
        let json = loop {
            match self.source.get(MANIFEST, MAX_MANIFEST_BYTES, &mut |_| {}).await {
                Ok(json) => {
                    self.source.keep(MANIFEST, &json).await;
                    break json;
                }
                Err(_) if tries + 1 < TRIES => {
                    tries += 1;
                    self.source.pause(tries).await;
                }
                // Offline: the list of the last visit, whose chunks are kept too.
                Err(why) => match self.source.kept(MANIFEST).await {
                    Some(json) => break json,
                    None => return Err(self.cannot_get("the list of models", MANIFEST, why)),
                },
            }
        };
        Manifest::parse(&json).map_err(|why| StoreError::Manifest { place: self.source.place(MANIFEST), why })
    }

    /// The weights of a model: the safetensors file that its chunks make up. `progress` hears bytes so far and in all.
    pub async fn weights(&self, entry: &ModelEntry, mut progress: impl FnMut(u64, u64)) -> Result<Vec<u8>, StoreError> {
        let total = entry.chunks.iter().map(|c| c.bytes).sum();
        let mut weights = Vec::new();
        for (i, chunk) in entry.chunks.iter().enumerate() {
            let what = format!("part {} of {} of the model {}", i + 1, entry.chunks.len(), entry.name);
            let before = weights.len() as u64;
            let mut on_bytes = |n| progress(before + n, total);
            weights.extend(self.chunk(&what, chunk, &mut on_bytes).await?);
        }
        self.check(&format!("the model {}", entry.name), MANIFEST, &weights, &entry.sha256)?;
        Ok(weights)
    }

    /// One chunk: the kept one if it is whole, else fetched, checked and kept.
    async fn chunk(&self, what: &str, chunk: &Chunk, on_bytes: &mut dyn FnMut(u64)) -> Result<Vec<u8>, StoreError> {
        if let Some(bytes) = self.source.kept(&chunk.file).await
            && sha256_hex(&bytes) == chunk.sha256
        {
            on_bytes(chunk.bytes);
            return Ok(bytes);
        }
        let mut tries = 0;
        loop {
            match self.fetch(what, chunk, on_bytes).await {
                Ok(bytes) => {
                    self.source.keep(&chunk.file, &bytes).await;
                    return Ok(bytes);
                }
                Err(_) if tries + 1 < TRIES => {
                    tries += 1;
                    self.source.pause(tries).await;
                }
                Err(why) => return Err(why),
            }
        }
    }

    /// One chunk, fetched once, checked.
    async fn fetch(&self, what: &str, chunk: &Chunk, on_bytes: &mut dyn FnMut(u64)) -> Result<Vec<u8>, StoreError> {
        let bytes = self
            .source
            .get(&chunk.file, chunk.bytes, on_bytes)
            .await
            .map_err(|why| self.cannot_get(what, &chunk.file, why))?;
        self.check(what, &chunk.file, &bytes, &chunk.sha256)?;
        Ok(bytes)
    }

    fn check(&self, what: &str, path: &str, bytes: &[u8], expected: &str) -> Result<(), StoreError> {
        let found = sha256_hex(bytes);
        if found == expected {
            return Ok(());
        }
        Err(StoreError::Damaged {
            what: what.into(),
            place: self.source.place(path),
            found,
            expected: expected.into(),
            cure: S::CURE,
        })
    }

    fn cannot_get(&self, what: &str, path: &str, why: String) -> StoreError {
        StoreError::Get { what: what.into(), place: self.source.place(path), why, cure: S::CURE }
    }
}

/// Lower-case hexadecimal sha256 of some bytes, as the manifest has it.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(not(target_arch = "wasm32"))]
pub use folder::Folder;

#[cfg(not(target_arch = "wasm32"))]
mod folder {
    use std::path::{Path, PathBuf};

    use super::{MANIFEST, Source};

    /// A folder with `manifest.json` and the chunks.
    #[derive(Debug, Clone)]
    pub struct Folder(PathBuf);

    impl Folder {
        /// The folder at a path, whatever is there.
        pub fn new(path: impl Into<PathBuf>) -> Self {
            Self(path.into())
        }

        /// The `models` folder of this installation: beside the program or above it (a build in the project's
        /// `target`), else in the working directory. The last one is named when there is none.
        pub fn find() -> Self {
            let program = std::env::current_exe().and_then(|p| p.canonicalize()).unwrap_or_default();
            program
                .ancestors()
                .skip(1)
                .map(|dir| dir.join("models"))
                .find(|models| models.join(MANIFEST).is_file())
                .map_or_else(|| Self::new("models"), Self)
        }

        /// Where it is.
        pub fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Source for Folder {
        const CURE: &'static str = "name the folder of the shipped models with --models or SPECOLA_MODELS";

        fn place(&self, path: &str) -> String {
            self.0.join(path).display().to_string()
        }

        async fn get(&self, path: &str, limit: u64, on_bytes: &mut dyn FnMut(u64)) -> Result<Vec<u8>, String> {
            let path = self.0.join(path);
            let len = std::fs::metadata(&path).map_err(|e| e.to_string())?.len();
            if len > limit {
                return Err(format!("it has {len} bytes, {limit} at most are expected"));
            }
            let bytes = std::fs::read(&path).map_err(|e| e.to_string())?;
            on_bytes(bytes.len() as u64);
            Ok(bytes)
        }
    }
}

#[cfg(all(target_arch = "wasm32", feature = "engine"))]
pub use site::Site;

#[cfg(all(target_arch = "wasm32", feature = "engine"))]
mod site {
    use js_sys::{Promise, Reflect, Uint8Array};
    use wasm_bindgen::{JsCast, JsValue};
    use wasm_bindgen_futures::JsFuture;
    use web_sys::{
        Cache, DedicatedWorkerGlobalScope, ReadableStreamDefaultReader, RequestCache, RequestInit, Response,
    };

    use super::Source;

    /// A folder of a web site, seen from a worker.
    #[derive(Debug, Clone)]
    pub struct Site {
        scope: DedicatedWorkerGlobalScope,
        base: String,
        /// Name of the browser's cache that keeps its files.
        cache: &'static str,
    }

    impl Site {
        /// The folder `folder` (with its final slash) beside `www/engine-worker.js`, which leaves its own address in the
        /// worker's `scriptUrl`: the worker's location is that of the blob it was started from.
        /// Its files are kept in the browser's cache named `cache`.
        pub fn beside(scope: DedicatedWorkerGlobalScope, folder: &str, cache: &'static str) -> Result<Self, String> {
            let script = js_sys::Reflect::get(&scope, &"scriptUrl".into()).ok().and_then(|url| url.as_string());
            let url = web_sys::Url::new_with_base(folder, &script.unwrap_or_default()).map_err(text)?;
            Ok(Self { scope, base: url.href(), cache })
        }

        /// The browser's cache, where it has one: not in a private window of some, and only on a secure origin.
        async fn cache(&self) -> Option<Cache> {
            let opening = self.scope.caches().ok()?.open(self.cache);
            JsFuture::from(opening).await.ok()?.dyn_into().ok()
        }
    }

    impl Source for Site {
        const CURE: &'static str = "check the connection and reload the page";

        fn place(&self, path: &str) -> String {
            format!("{}{path}", self.base)
        }

        async fn get(&self, path: &str, limit: u64, on_bytes: &mut dyn FnMut(u64)) -> Result<Vec<u8>, String> {
            // Past the browser's own store of answers: what arrived damaged would come from there for ever, and what
            // arrived well would be on the disk twice.
            let how = RequestInit::new();
            how.set_cache(RequestCache::NoStore);
            let asked = self.scope.fetch_with_str_and_init(&self.place(path), &how);
            let answer = JsFuture::from(asked).await.map_err(text)?;
            let answer: Response = answer.dyn_into().map_err(text)?;
            if !answer.ok() {
                return Err(format!("the server answers {} {}", answer.status(), answer.status_text()));
            }
            let Some(body) = answer.body() else { return Err("the server's answer is empty".into()) };
            let reader: ReadableStreamDefaultReader = body.get_reader().dyn_into().map_err(|e| text(e.into()))?;
            let mut bytes = Vec::new();
            loop {
                let piece = JsFuture::from(reader.read()).await.map_err(text)?;
                let value = Reflect::get(&piece, &"value".into()).map_err(text)?;
                let Ok(value) = value.dyn_into::<Uint8Array>() else { return Ok(bytes) };
                bytes.extend_from_slice(&value.to_vec());
                if bytes.len() as u64 > limit {
                    return Err(format!("the server sends more than the {limit} bytes that are expected"));
                }
                on_bytes(bytes.len() as u64);
            }
        }

        async fn kept(&self, path: &str) -> Option<Vec<u8>> {
            let found = self.cache().await?.match_with_str(&self.place(path));
            let answer: Response = JsFuture::from(found).await.ok()?.dyn_into().ok()?;
            let buffer = JsFuture::from(answer.array_buffer().ok()?).await.ok()?;
            Some(Uint8Array::new(&buffer).to_vec())
        }

        async fn keep(&self, path: &str, bytes: &[u8]) {
            let Some(cache) = self.cache().await else { return };
            let Ok(answer) = Response::new_with_opt_js_u8_array(Some(&Uint8Array::from(bytes))) else { return };
            // Fails where the disk is full: then it is fetched again next time.
            let _ = JsFuture::from(cache.put_with_str(&self.place(path), &answer)).await;
        }

        async fn pause(&self, tries: u32) {
            let wait_ms = (300 * tries * tries) as i32;
            let promise = Promise::new(&mut |resolve, _| {
                // A browser that sets no timer gets no pause.
                let set = self.scope.set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, wait_ms);
                if set.is_err() {
                    let _ = resolve.call0(&JsValue::NULL);
                }
            });
            let _ = JsFuture::from(promise).await;
        }
    }

    /// A JavaScript error as text.
    fn text(error: JsValue) -> String {
        error.dyn_ref::<js_sys::Error>().map_or_else(|| format!("{error:?}"), |e| String::from(e.message()))
    }
}
