//! Source of the shipped weights: a folder in the native program, the page's own site in a browser.
//!
//! Weights come as chunks of at most 4 MiB (`manifest.rs`). The store checks size and SHA-256 of each chunk before its
//! use. It requests a missing or damaged chunk again, up to the limit of attempts. It then caches the chunk if the
//! source can. An interrupted download therefore resumes, and a second visit downloads nothing. The store also checks
//! the assembled file.

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::manifest::{Chunk, Manifest, ManifestError, ModelEntry};

/// Name of the manifest, below the root of every source.
pub const MANIFEST: &str = "manifest.json";

/// Largest accepted size of the manifest, bytes.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// Number of requests for a file before the store reports an error.
const MAX_ATTEMPTS: u32 = 3;

/// Error of the access to shipped weights.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum StoreError {
    #[error("cannot get {item} from {address}: {reason}; {advice}")]
    Get { item: String, address: String, reason: String, advice: &'static str },
    #[error("{item} from {address} is damaged: sha256 {found}, the manifest says {expected}; {advice}")]
    Damaged { item: String, address: String, found: String, expected: String, advice: &'static str },
    #[error("the list of models at {address} cannot be used: {reason}")]
    Manifest { address: String, reason: ManifestError },
}

/// A source of files, addressed by their path below its root.
#[allow(async_fn_in_trait, reason = "one thread drives it: native code blocks, and a browser has one thread")]
pub trait Source {
    /// Advice for the user if a file is missing or damaged.
    const ADVICE: &'static str;

    /// Full address of a file, for error messages.
    fn address(&self, path: &str) -> String;

    /// The bytes of a file; an error if it has more than `limit` bytes. `on_bytes` receives the number of bytes so far.
    async fn get(&self, path: &str, limit: u64, on_bytes: &mut dyn FnMut(u64)) -> Result<Vec<u8>, String>;

    /// The bytes of a file from the cache, unchecked.
    async fn cached(&self, _path: &str) -> Option<Vec<u8>> {
        None
    }

    /// Caches a file if the source can; a full disk is not an error.
    async fn store_in_cache(&self, _path: &str, _bytes: &[u8]) {}

    /// Waits before the next request for a file; `attempts` is the number of requests so far.
    async fn pause(&self, _tries: u32) {}
}

/// The shipped models of a source.
#[derive(Debug, Clone)]
pub struct Store<S> {
    source: S,
}

impl<S: Source> Store<S> {
    /// The store at a source.
    pub fn new(source: S) -> Self {
        Self { source }
    }

    /// The source of its files.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// The manifest of the shipped models.
    pub async fn manifest(&self) -> Result<Manifest, StoreError> {
        let mut attempts = 0;
        let json = loop {
            match self.source.get(MANIFEST, MAX_MANIFEST_BYTES, &mut |_| {}).await {
                Ok(json) => {
                    self.source.store_in_cache(MANIFEST, &json).await;
                    break json;
                }
                Err(_) if attempts + 1 < MAX_ATTEMPTS => {
                    attempts += 1;
                    self.source.pause(attempts).await;
                }
                // Offline: use the manifest of the last visit, whose chunks are also in the cache.
                Err(reason) => match self.source.cached(MANIFEST).await {
                    Some(json) => break json,
                    None => return Err(self.cannot_get("the list of models", MANIFEST, reason)),
                },
            }
        };
        Manifest::parse(&json).map_err(|reason| StoreError::Manifest { address: self.source.address(MANIFEST), reason })
    }

    /// The weights of a model: a safetensors file, assembled from its chunks.
    ///
    /// `progress` receives the bytes so far and in total.
    pub async fn weights(&self, entry: &ModelEntry, mut progress: impl FnMut(u64, u64)) -> Result<Vec<u8>, StoreError> {
        let total = entry.chunks.iter().map(|c| c.bytes).sum();
        let mut weights = Vec::new();
        for (i, chunk) in entry.chunks.iter().enumerate() {
            let item = format!("part {} of {} of the model {}", i + 1, entry.chunks.len(), entry.name);
            let before = weights.len() as u64;
            let mut on_bytes = |n| progress(before + n, total);
            weights.extend(self.chunk(&item, chunk, &mut on_bytes).await?);
        }
        self.check(&format!("the model {}", entry.name), MANIFEST, &weights, &entry.sha256)?;
        Ok(weights)
    }

    /// One chunk, from the cache if it is intact; otherwise downloaded, checked and cached.
    async fn chunk(&self, item: &str, chunk: &Chunk, on_bytes: &mut dyn FnMut(u64)) -> Result<Vec<u8>, StoreError> {
        if let Some(bytes) = self.source.cached(&chunk.file).await
            && sha256_hex(&bytes) == chunk.sha256
        {
            on_bytes(chunk.bytes);
            return Ok(bytes);
        }
        let mut attempts = 0;
        loop {
            match self.fetch(item, chunk, on_bytes).await {
                Ok(bytes) => {
                    self.source.store_in_cache(&chunk.file, &bytes).await;
                    return Ok(bytes);
                }
                Err(_) if attempts + 1 < MAX_ATTEMPTS => {
                    attempts += 1;
                    self.source.pause(attempts).await;
                }
                Err(reason) => return Err(reason),
            }
        }
    }

    /// Downloads and checks one chunk, in a single attempt.
    async fn fetch(&self, item: &str, chunk: &Chunk, on_bytes: &mut dyn FnMut(u64)) -> Result<Vec<u8>, StoreError> {
        let bytes = self
            .source
            .get(&chunk.file, chunk.bytes, on_bytes)
            .await
            .map_err(|reason| self.cannot_get(item, &chunk.file, reason))?;
        self.check(item, &chunk.file, &bytes, &chunk.sha256)?;
        Ok(bytes)
    }

    fn check(&self, item: &str, path: &str, bytes: &[u8], expected: &str) -> Result<(), StoreError> {
        let found = sha256_hex(bytes);
        if found == expected {
            return Ok(());
        }
        Err(StoreError::Damaged {
            item: item.into(),
            address: self.source.address(path),
            found,
            expected: expected.into(),
            advice: S::ADVICE,
        })
    }

    fn cannot_get(&self, item: &str, path: &str, reason: String) -> StoreError {
        StoreError::Get { item: item.into(), address: self.source.address(path), reason, advice: S::ADVICE }
    }
}

/// Lower-case hexadecimal SHA-256 of bytes, as in the manifest.
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
        /// A folder, which need not exist.
        pub fn new(path: impl Into<PathBuf>) -> Self {
            Self(path.into())
        }

        /// The `models` folder of this installation.
        ///
        /// Searches beside the program and in every folder above it (a build in the project's `target`). Without
        /// success, it returns `models` in the working directory.
        pub fn find() -> Self {
            let program = std::env::current_exe().and_then(|p| p.canonicalize()).unwrap_or_default();
            program
                .ancestors()
                .skip(1)
                .map(|dir| dir.join("models"))
                .find(|models| models.join(MANIFEST).is_file())
                .map_or_else(|| Self::new("models"), Self)
        }

        /// Path of the folder.
        pub fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Source for Folder {
        const ADVICE: &'static str = "name the folder of the shipped models with --models or SPECOLA_MODELS";

        fn address(&self, path: &str) -> String {
            self.0.join(path).display().to_string()
        }

        async fn get(&self, path: &str, limit: u64, on_bytes: &mut dyn FnMut(u64)) -> Result<Vec<u8>, String> {
            let path = self.0.join(path);
            let len = std::fs::metadata(&path).map_err(|e| e.to_string())?.len();
            if len > limit {
                return Err(format!("the file has {len} bytes; at most {limit} are allowed"));
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
    use js_sys::{Array, Promise, Reflect, Uint8Array};
    use wasm_bindgen::{JsCast, JsValue};
    use wasm_bindgen_futures::JsFuture;
    use web_sys::{
        Cache, DedicatedWorkerGlobalScope, ReadableStreamDefaultReader, RequestCache, RequestInit, Response,
    };

    use super::{MANIFEST, Source};

    /// A folder of a web site, as a worker accesses it.
    #[derive(Debug, Clone)]
    pub struct Site {
        scope: DedicatedWorkerGlobalScope,
        base: String,
        /// Query with the version of the page, which the manifest belongs to; may be empty. Weights are named by their
        /// hash.
        query: String,
        /// Name of the browser cache for its files.
        cache: &'static str,
    }

    impl Site {
        /// The folder `folder` (with its final slash) beside `www/engine-worker.js`, with the browser cache named
        /// `cache`.
        ///
        /// The script stores its own address in the worker's `scriptUrl`, since the worker's location is the address of
        /// the blob that started it.
        pub fn beside(scope: DedicatedWorkerGlobalScope, folder: &str, cache: &'static str) -> Result<Self, String> {
            let script = js_sys::Reflect::get(&scope, &"scriptUrl".into()).ok().and_then(|url| url.as_string());
            let script = script.unwrap_or_default();
            let url = web_sys::Url::new_with_base(folder, &script).map_err(text)?;
            let query = web_sys::Url::new(&script).map_or_else(|_| String::new(), |script| script.search());
            Ok(Self { scope, base: url.href(), query, cache })
        }

        /// The browser cache, if there is one. Some private windows have none, and it needs a secure origin.
        async fn cache(&self) -> Option<Cache> {
            let request = self.scope.caches().ok()?.open(self.cache);
            JsFuture::from(request).await.ok()?.dyn_into().ok()
        }
    }

    /// Time without a byte after which a request counts as stalled, ms.
    const STALL_MS: i32 = 30_000;

    impl Site {
        /// The result of a promise, or an error if the server sends nothing for [`STALL_MS`].
        async fn unless_stalled(&self, promise: &Promise) -> Result<JsValue, String> {
            let timer = Promise::new(&mut |_, reject| {
                // A browser that cannot set a timer waits without end.
                let _ = self.scope.set_timeout_with_callback_and_timeout_and_arguments_0(&reject, STALL_MS);
            });
            match JsFuture::from(Promise::race(&Array::of2(promise, &timer))).await {
                Ok(value) => Ok(value),
                Err(reason) if reason.is_undefined() => {
                    Err(format!("the server sent nothing for {} s", STALL_MS / 1000))
                }
                Err(reason) => Err(text(reason)),
            }
        }
    }

    impl Source for Site {
        const ADVICE: &'static str = "check the connection and reload the page";

        fn address(&self, path: &str) -> String {
            format!("{}{path}", self.base)
        }

        async fn get(&self, path: &str, limit: u64, on_bytes: &mut dyn FnMut(u64)) -> Result<Vec<u8>, String> {
            // Bypasses the browser's HTTP cache: a damaged answer would come from there for ever, and an intact one
            // would be on the disk twice.
            let init = RequestInit::new();
            init.set_cache(RequestCache::NoStore);
            let query = if path == MANIFEST { self.query.as_str() } else { "" };
            let request = self.scope.fetch_with_str_and_init(&format!("{}{query}", self.address(path)), &init);
            let response = self.unless_stalled(&request).await?;
            let response: Response = response.dyn_into().map_err(text)?;
            if !response.ok() {
                return Err(format!("the server returned {} {}", response.status(), response.status_text()));
            }
            let Some(body) = response.body() else { return Err("the server returned an empty response".into()) };
            let reader: ReadableStreamDefaultReader = body.get_reader().dyn_into().map_err(|e| text(e.into()))?;
            let mut bytes = Vec::new();
            loop {
                let piece = self.unless_stalled(&reader.read()).await?;
                let value = Reflect::get(&piece, &"value".into()).map_err(text)?;
                let Ok(value) = value.dyn_into::<Uint8Array>() else { return Ok(bytes) };
                bytes.extend_from_slice(&value.to_vec());
                if bytes.len() as u64 > limit {
                    return Err(format!("the server sent more than the expected {limit} bytes"));
                }
                on_bytes(bytes.len() as u64);
            }
        }

        async fn cached(&self, path: &str) -> Option<Vec<u8>> {
            let request = self.cache().await?.match_with_str(&self.address(path));
            let response: Response = JsFuture::from(request).await.ok()?.dyn_into().ok()?;
            let buffer = JsFuture::from(response.array_buffer().ok()?).await.ok()?;
            Some(Uint8Array::new(&buffer).to_vec())
        }

        async fn store_in_cache(&self, path: &str, bytes: &[u8]) {
            let Some(cache) = self.cache().await else { return };
            let Ok(response) = Response::new_with_opt_js_u8_array(Some(&Uint8Array::from(bytes))) else { return };
            // This fails on a full disk; the next visit then downloads the file again.
            let _ = JsFuture::from(cache.put_with_str(&self.address(path), &response)).await;
        }

        async fn pause(&self, attempts: u32) {
            let wait_ms = (300 * attempts * attempts) as i32;
            let promise = Promise::new(&mut |resolve, _| {
                // A browser that cannot set a timer does not wait.
                let timer = self.scope.set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, wait_ms);
                if timer.is_err() {
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
