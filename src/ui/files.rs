//! Files from a drop, a picker or the samples.

use js_sys::{Array, Function, Promise};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{DataTransfer, File, FileList, FileSystemDirectoryEntry, FileSystemEntry, FileSystemFileEntry};

/// A file and its path relative to the dropped folder.
#[derive(Debug, Clone)]
pub(super) struct NamedFile {
    /// Path, with `/` between folders.
    pub path: String,
    /// The file; its content is not read yet.
    pub file: File,
}

impl NamedFile {
    /// True if the name ends in `.specola`. The content is not checked: reading ten thousand files to find session
    /// files would be slow.
    pub(super) fn may_be_session(&self) -> bool {
        self.path.ends_with(".specola")
    }
}

impl NamedFile {
    /// True if the name ends in `.json`, as configuration files of checkpoints do.
    pub(super) fn may_be_checkpoint_config(&self) -> bool {
        self.path.to_lowercase().ends_with(".json")
    }
}

/// Reads the content of a file.
///
/// # Errors
/// The error text of the browser.
pub(super) async fn bytes_of(file: &File) -> Result<Vec<u8>, String> {
    let buffer = JsFuture::from(file.array_buffer())
        .await
        .map_err(|e| format!("the file could not be read: {}", text_of(&e)))?;
    Ok(js_sys::Uint8Array::new(&buffer).to_vec())
}

/// Dropped items, copied during the drop event: the browser empties the list afterwards.
pub(super) struct DroppedItems {
    entries: Vec<FileSystemEntry>,
    files_without_entries: Vec<NamedFile>,
}

impl DroppedItems {
    /// Copies the items of a drop event.
    pub(super) fn from_event(transfer: &DataTransfer) -> Self {
        let items = transfer.items();
        let items: Vec<_> = (0..items.length()).filter_map(|i| items.get(i)).filter(|i| i.kind() == "file").collect();
        let entries: Vec<_> = items.iter().filter_map(|item| item.webkit_get_as_entry().ok().flatten()).collect();
        // Some browsers and tests drop files without entries.
        let files_without_entries = if entries.is_empty() { from_list(transfer.files()) } else { Vec::new() };
        Self { entries, files_without_entries }
    }

    /// Lists all files in the dropped folders, sorted by path, without hidden and system files.
    ///
    /// # Errors
    /// The path that could not be read and the error text of the browser.
    pub(super) async fn files(self) -> Result<Vec<NamedFile>, String> {
        let mut files = self.files_without_entries;
        let mut pending = self.entries;
        while let Some(entry) = pending.pop() {
            let path = entry.full_path().trim_start_matches('/').to_owned();
            if entry.name().starts_with('.') || entry.name() == "__MACOSX" {
                continue;
            }
            let failed = |e: JsValue| format!("{path} could not be read: {}", text_of(&e));
            // `dyn_into` fails here: Chromium does not expose these classes on the window.
            if entry.is_directory() {
                pending.extend(entries_of(entry.unchecked_ref()).await.map_err(failed)?);
            } else if entry.is_file() {
                let entry: &FileSystemFileEntry = entry.unchecked_ref();
                let file = await_callbacks(|done, fail| entry.file_with_callback_and_callback(done, fail)).await;
                files.push(NamedFile { file: file.map_err(failed)?.unchecked_into(), path });
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }
}

/// Files of a file picker, sorted by path.
pub(super) fn from_list(list: Option<FileList>) -> Vec<NamedFile> {
    let Some(list) = list else { return Vec::new() };
    let files = (0..list.length()).filter_map(|i| list.get(i));
    let mut named_files: Vec<_> = files
        .map(|file| {
            // web-sys has no binding for `webkitRelativePath`.
            let path = js_sys::Reflect::get(&file, &"webkitRelativePath".into()).ok().and_then(|v| v.as_string());
            NamedFile { path: path.filter(|p| !p.is_empty()).unwrap_or_else(|| file.name()), file }
        })
        .filter(|named| !named.path.split('/').any(|part| part.starts_with('.')))
        .collect();
    named_files.sort_by(|a, b| a.path.cmp(&b.path));
    named_files
}

/// A file made from bytes, treated like a dropped file.
///
/// # Errors
/// The error text of the browser.
pub(super) fn from_bytes(path: &str, bytes: &[u8]) -> Result<NamedFile, String> {
    let parts = Array::of1(&js_sys::Uint8Array::from(bytes));
    let file = File::new_with_u8_array_sequence(&parts, path).map_err(|e| text_of(&e))?;
    Ok(NamedFile { path: path.to_owned(), file })
}

/// All entries of a folder. `readEntries` returns at most 100 entries per call and an empty list at the end.
async fn entries_of(folder: &FileSystemDirectoryEntry) -> Result<Vec<FileSystemEntry>, JsValue> {
    let reader = folder.create_reader();
    let mut all = Vec::new();
    loop {
        let batch = await_callbacks(|done, fail| reader.read_entries_with_callback_and_callback(done, fail)).await?;
        let batch: Array = batch.dyn_into()?;
        if batch.length() == 0 {
            return Ok(all);
        }
        all.extend(batch.iter().map(|entry| entry.unchecked_into::<FileSystemEntry>()));
    }
}

/// Awaits a function that takes a success callback and a failure callback.
async fn await_callbacks<R: IntoJsResult>(start: impl Fn(&Function, &Function) -> R) -> Result<JsValue, JsValue> {
    let mut run = |done: Function, fail: Function| {
        if let Err(error) = start(&done, &fail).into_js_result() {
            let _ = fail.call1(&JsValue::NULL, &error);
        }
    };
    JsFuture::from(Promise::new(&mut run)).await
}

/// Common result type: some browser functions return a `Result`, others fail only through the callback.
trait IntoJsResult {
    fn into_js_result(self) -> Result<(), JsValue>;
}

impl IntoJsResult for () {
    fn into_js_result(self) -> Result<(), JsValue> {
        Ok(())
    }
}

impl IntoJsResult for Result<(), JsValue> {
    fn into_js_result(self) -> Result<(), JsValue> {
        self
    }
}

/// The message of a JavaScript error.
pub(super) fn text_of(error: &JsValue) -> String {
    let message = js_sys::Reflect::get(error, &"message".into()).ok().and_then(|m| m.as_string());
    message.or_else(|| error.as_string()).unwrap_or_else(|| format!("{error:?}"))
}
