//! What was open is kept in the browser's own database, so that a closed tab loses nothing: the files themselves, what the
//! user said about them, and the adapter that answered. On the next visit the page asks before it restores, and "forget everything" does.
//!
//! Results are not kept but computed again: the answers are then today's model's, and links and session files are what
//! keeps an answer as it was.

use std::collections::BTreeMap;

use idb::{Database, DatabaseEvent, Factory, ObjectStoreParams, Query, TransactionMode};
use js_sys::{Array, Object, Reflect, Uint8Array};
use leptos::{prelude::*, task::spawn_local};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::File;

use super::files::NamedFile;
use super::format;
use super::kept::KEPT_EPOCH;
use super::state::State;
use crate::engine::Assumptions;

const DATABASE: &str = "specola";
const STORE: &str = "session";
const KEY: &str = "files";

/// The key of what the user said.
const SAID: &str = "assumptions";

/// The key of the adapter in use: its file, `null` for none.
const ADAPTER: &str = "adapter";

/// What the user said of spectra, by file and id.
pub type Remembered = BTreeMap<(String, String), Assumptions>;

/// More than this is not kept: a browser would throw it out, or other sites' data for it.
const MOST_BYTES: f64 = 512.0 * 1024.0 * 1024.0;

/// An adapter's hash and its file.
pub type Adapter = (String, Vec<u8>);

/// Files that can be opened again, and what was said of them.
#[derive(Clone)]
struct Left {
    files: Vec<NamedFile>,
    said: Remembered,
    /// The adapter that answered, with its hash; one in use outlives a cleared page.
    adapter: Option<Adapter>,
    /// Whether they were cleared from the page just now; else an earlier visit left them.
    is_cleared: bool,
}

/// What an earlier visit or a cleared page left, while the page asks about it.
#[derive(Clone, Copy)]
pub struct Saved(RwSignal<Option<Left>, LocalStorage>);

impl Saved {
    /// Nothing known yet.
    pub fn new() -> Self {
        Self(RwSignal::new_local(None))
    }

    /// What is cleared can be brought back until something else is opened.
    pub fn offer_cleared(&self, files: Vec<NamedFile>, said: Remembered) {
        if !files.is_empty() {
            self.0.set(Some(Left { files, said, adapter: None, is_cleared: true }));
        }
    }

    /// Other files are opened: those that were cleared stay so.
    pub fn let_cleared_go(&self) {
        if self.0.with_untracked(|left| left.as_ref().is_some_and(|left| left.is_cleared)) {
            self.0.set(None);
        }
    }
}

/// Looks for what an earlier visit left.
pub fn look(state: State) {
    spawn_local(async move {
        // A browser that keeps no database for this page has kept nothing.
        if let Ok(left) = load().await
            && !left.files.is_empty()
            // Results that came with the address are nobody's files.
            && state.rows.with_untracked(|rows| rows.iter().all(|row| row.key.epoch == KEPT_EPOCH))
        {
            state.saved.0.set(Some(left));
        }
    });
}

/// Keeps the files that are open now, what was said of them and the adapter in use, in place of what was kept before.
pub fn save(files: Vec<NamedFile>, said: Remembered, adapter: Option<Adapter>) {
    spawn_local(async move {
        let bytes: f64 = files.iter().map(|f| f.file.size()).sum();
        // What cannot be kept is only not restored; the page says nothing of it now and asks nothing on the next visit.
        let _ =
            if bytes > MOST_BYTES || files.is_empty() { remove().await } else { store(&files, &said, adapter).await };
    });
}

async fn open() -> Result<Database, idb::Error> {
    let mut request = Factory::new()?.open(DATABASE, Some(1))?;
    request.on_upgrade_needed(|event| {
        // Fails only where the database cannot be had at all, which the request itself reports.
        let _ = event.database().and_then(|db| db.create_object_store(STORE, ObjectStoreParams::new()));
    });
    request.await
}

async fn store(files: &[NamedFile], said: &Remembered, adapter: Option<Adapter>) -> Result<(), idb::Error> {
    let list = Array::new();
    for NamedFile { path, file } in files {
        let entry = Object::new();
        // Setting a property of a plain object cannot fail.
        let _ = Reflect::set(&entry, &"path".into(), &path.as_str().into());
        let _ = Reflect::set(&entry, &"file".into(), file);
        list.push(&entry);
    }
    let database = open().await?;
    let transaction = database.transaction(&[STORE], TransactionMode::ReadWrite)?;
    // Pairs, because JSON has no keys of two parts. Texts and plain numbers always become JSON.
    let said = serde_json::to_string(&said.iter().collect::<Vec<_>>()).unwrap_or_default();
    let place = transaction.object_store(STORE)?;
    place.put(&list, Some(&KEY.into()))?.await?;
    place.put(&said.into(), Some(&SAID.into()))?.await?;
    let adapter = adapter
        .map_or(JsValue::NULL, |(sha256, file)| Array::of2(&sha256.into(), &Uint8Array::from(file.as_slice())).into());
    place.put(&adapter, Some(&ADAPTER.into()))?.await?;
    transaction.commit()?.await?;
    database.close();
    Ok(())
}

async fn load() -> Result<Left, idb::Error> {
    let database = open().await?;
    let transaction = database.transaction(&[STORE], TransactionMode::ReadOnly)?;
    let place = transaction.object_store(STORE)?;
    let found = place.get(Query::Key(KEY.into()))?.await?;
    let said = place.get(Query::Key(SAID.into()))?.await?.and_then(|said| said.as_string()).unwrap_or_default();
    let adapter = place.get(Query::Key(ADAPTER.into()))?.await?.and_then(|pair| pair.dyn_into::<Array>().ok());
    database.close();
    let list: Array = found.and_then(|list| list.dyn_into().ok()).unwrap_or_default();
    let entry = |entry: JsValue| {
        let path = Reflect::get(&entry, &"path".into()).ok()?.as_string()?;
        Some(NamedFile { path, file: Reflect::get(&entry, &"file".into()).ok()?.dyn_into::<File>().ok()? })
    };
    // What an older version wrote otherwise is as if it had not been said.
    let said: Vec<((String, String), Assumptions)> = serde_json::from_str(&said).unwrap_or_default();
    let adapter =
        adapter.and_then(|pair| Some((pair.get(0).as_string()?, pair.get(1).dyn_into::<Uint8Array>().ok()?.to_vec())));
    let files = list.iter().filter_map(entry).collect();
    Ok(Left { files, said: said.into_iter().collect(), adapter, is_cleared: false })
}

async fn remove() -> Result<(), idb::Error> {
    let database = open().await?;
    let transaction = database.transaction(&[STORE], TransactionMode::ReadWrite)?;
    transaction.object_store(STORE)?.clear()?.await?;
    transaction.commit()?.await?;
    database.close();
    Ok(())
}

/// Asks whether to open again what an earlier visit or a cleared page left.
#[component]
pub fn RestoreQuestion() -> impl IntoView {
    let state = expect_context::<State>();
    let saved = state.saved.0;
    let restore = move |_| open_again(state);
    view! {
        {move || saved.with(|s| s.as_ref().map(|Left { files, is_cleared, .. }| {
            let n = format::count(files.len(), "file", "files");
            let (text, yes, no, forget): (_, _, _, fn(State)) = if *is_cleared {
                (format!("{n} cleared."), "Bring back", "Dismiss", |state| state.saved.0.set(None))
            } else {
                let bytes = format::bytes(files.iter().map(|f| f.file.size()).sum::<f64>() as u64);
                let where_from = "had been opened; they are still in this browser, and nowhere else.";
                (format!("On your last visit {n} ({bytes}) {where_from}"), "Open them again", "Forget them", forget)
            };
            view! {
                <div class="notice" role="status" data-testid="restore">
                    <p>{text}</p>
                    <button class="primary" data-testid="restore-yes" on:click=restore>{yes}</button>
                    <button data-testid="restore-no" on:click=move |_| forget(state)>{no}</button>
                </div>
            }
        }))}
    }
}

/// Opens what was left.
fn open_again(state: State) {
    if let Some(Left { files, said, adapter, .. }) = state.saved.0.get_untracked() {
        state.saved.0.set(None);
        state.remembered.set_value(said);
        if let Some((sha256, file)) = adapter.filter(|_| state.teach.in_use.with_untracked(Option::is_none)) {
            state.restore_adapter(sha256, &file);
        }
        state.open(files);
    }
}

/// Takes back the last step that can be: a cleared page, else a taught model in use.
pub fn undo(state: State) {
    if state.saved.0.with_untracked(|left| left.as_ref().is_some_and(|left| left.is_cleared)) {
        open_again(state);
    } else if state.teach.in_use.with_untracked(Option::is_some) {
        state.forget_adapter();
    }
}

/// Clears the page and everything that it keeps in this browser.
pub fn forget(state: State) {
    state.clear();
    state.saved.0.set(None);
    // The results in a link stand in the address.
    if let (Ok(history), Ok(page)) = (window().history(), window().location().href()) {
        let bare = page.split('#').next().unwrap_or_default();
        let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(bare));
    }
    spawn_local(async move {
        super::kept_models::delete_all().await;
        super::offline::forget().await;
        let done = async {
            let delete = Factory::new()?.delete(DATABASE)?;
            delete.await
        };
        state.notice.set(Some(match done.await {
            Ok(()) => "Everything that this page kept in this browser is forgotten.".into(),
            Err(why) => format!(
                "The browser did not delete what this page kept: {why}. Delete this site's data in its settings."
            ),
        }));
    });
}
