//! From a drop, a picker or the samples to a list of files.

use js_sys::{Array, Function, Promise};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{DataTransfer, File, FileList, FileSystemDirectoryEntry, FileSystemEntry, FileSystemFileEntry};

/// A file and its path below what was dropped.
#[derive(Debug, Clone)]
pub struct NamedFile {
    /// Path, with `/` between folders.
    pub path: String,
    /// Its content, not yet read.
    pub file: File,
}

impl NamedFile {
    /// True when its name is that of a session file. Whether it is one its content says; but to look into each of ten
    /// thousand files for it would keep them waiting.
    pub fn may_be_session(&self) -> bool {
        self.path.ends_with(".specola")
    }
}

impl NamedFile {
    /// True when its name is that of a file that goes with checkpoints.
    pub fn may_go_with_networks(&self) -> bool {
        self.path.to_lowercase().ends_with(".json")
    }
}

/// The content of a file.
///
/// # Errors
/// What the browser says.
pub async fn bytes_of(file: &File) -> Result<Vec<u8>, String> {
    let buffer =
        JsFuture::from(file.array_buffer()).await.map_err(|e| format!("it could not be read: {}", text_of(&e)))?;
    Ok(js_sys::Uint8Array::new(&buffer).to_vec())
}

/// What a drop holds, taken while its event lasts: afterwards the browser empties it.
pub struct Dropped {
    entries: Vec<FileSystemEntry>,
    plain: Vec<NamedFile>,
}

impl Dropped {
    /// Takes what was dropped.
    pub fn take(transfer: &DataTransfer) -> Self {
        let items = transfer.items();
        let items: Vec<_> = (0..items.length()).filter_map(|i| items.get(i)).filter(|i| i.kind() == "file").collect();
        let entries: Vec<_> = items.iter().filter_map(|item| item.webkit_get_as_entry().ok().flatten()).collect();
        // A browser, or a test, that makes files without entries.
        let plain = if entries.is_empty() { from_list(transfer.files()) } else { Vec::new() };
        Self { entries, plain }
    }

    /// Walks the folders and lists every file, in the order of their paths. Files and folders whose names begin with a
    /// dot are the system's own and left out.
    ///
    /// # Errors
    /// The folder that could not be read and what the browser says.
    pub async fn files(self) -> Result<Vec<NamedFile>, String> {
        let mut found = self.plain;
        let mut open = self.entries;
        while let Some(entry) = open.pop() {
            let path = entry.full_path().trim_start_matches('/').to_owned();
            if entry.name().starts_with('.') || entry.name() == "__MACOSX" {
                continue;
            }
            let failed = |e: JsValue| format!("{path} could not be read: {}", text_of(&e));
            // Asked, not cast: Chromium gives these classes no name in the window to compare with.
            if entry.is_directory() {
                open.extend(entries_of(entry.unchecked_ref()).await.map_err(failed)?);
            } else if entry.is_file() {
                let entry: &FileSystemFileEntry = entry.unchecked_ref();
                let file = callback(|done, fail| entry.file_with_callback_and_callback(done, fail)).await;
                found.push(NamedFile { file: file.map_err(failed)?.unchecked_into(), path });
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }
}

/// The files of a picker.
pub fn from_list(list: Option<FileList>) -> Vec<NamedFile> {
    let Some(list) = list else { return Vec::new() };
    let files = (0..list.length()).filter_map(|i| list.get(i));
    let mut found: Vec<_> = files
        .map(|file| {
            // web-sys does not know this attribute of files from a folder picker.
            let path = js_sys::Reflect::get(&file, &"webkitRelativePath".into()).ok().and_then(|v| v.as_string());
            NamedFile { path: path.filter(|p| !p.is_empty()).unwrap_or_else(|| file.name()), file }
        })
        .filter(|named| !named.path.split('/').any(|part| part.starts_with('.')))
        .collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// A file made of bytes, as if it had been dropped.
///
/// # Errors
/// What the browser says.
pub fn from_bytes(path: &str, bytes: &[u8]) -> Result<NamedFile, String> {
    let parts = Array::of1(&js_sys::Uint8Array::from(bytes));
    let file = File::new_with_u8_array_sequence(&parts, path).map_err(|e| text_of(&e))?;
    Ok(NamedFile { path: path.to_owned(), file })
}

/// All entries of a folder. A reader gives at most a hundred at a time and an empty list at the end.
async fn entries_of(folder: &FileSystemDirectoryEntry) -> Result<Vec<FileSystemEntry>, JsValue> {
    let reader = folder.create_reader();
    let mut all = Vec::new();
    loop {
        let batch = callback(|done, fail| reader.read_entries_with_callback_and_callback(done, fail)).await?;
        let batch: Array = batch.dyn_into()?;
        if batch.length() == 0 {
            return Ok(all);
        }
        all.extend(batch.iter().map(|entry| entry.unchecked_into::<FileSystemEntry>()));
    }
}

/// Awaits a function that takes a callback for success and one for failure.
async fn callback<R: Outcome>(start: impl Fn(&Function, &Function) -> R) -> Result<JsValue, JsValue> {
    let mut run = |done: Function, fail: Function| {
        if let Err(error) = start(&done, &fail).outcome() {
            let _ = fail.call1(&JsValue::NULL, &error);
        }
    };
    JsFuture::from(Promise::new(&mut run)).await
}

/// Some of the browser's functions can fail at once, others only later.
trait Outcome {
    fn outcome(self) -> Result<(), JsValue>;
}

impl Outcome for () {
    fn outcome(self) -> Result<(), JsValue> {
        Ok(())
    }
}

impl Outcome for Result<(), JsValue> {
    fn outcome(self) -> Result<(), JsValue> {
        self
    }
}

/// A browser's error as text.
pub fn text_of(error: &JsValue) -> String {
    let message = js_sys::Reflect::get(error, &"message".into()).ok().and_then(|m| m.as_string());
    message.or_else(|| error.as_string()).unwrap_or_else(|| format!("{error:?}"))
}
