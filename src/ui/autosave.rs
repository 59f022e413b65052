//! Saves the open files, the user's assumptions and the active adapter in IndexedDB, so that a closed tab loses
//! nothing.
//! On the next visit the page asks before it restores them; "Clear local data" deletes them.
//!
//! Results are not saved but computed again with the current model. Links and session files keep results unchanged.

use std::collections::BTreeMap;

use idb::{Database, DatabaseEvent, Factory, ObjectStoreParams, Query, TransactionMode};
use js_sys::{Array, Object, Reflect, Uint8Array};
use leptos::{prelude::*, task::spawn_local};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::File;

use super::files::NamedFile;
use super::format;
use super::imported_rows::IMPORTED_GENERATION;
use super::state::State;
use crate::engine::protocol::Assumptions;

const DATABASE: &str = "specola";
const STORE: &str = "session";
const KEY: &str = "files";

/// Key of the user's assumptions.
const ASSUMPTIONS: &str = "assumptions";

/// Key of the active adapter: its hash and file; `null` for none.
const ADAPTER: &str = "adapter";

/// Assumptions set by the user, by file and spectrum id.
pub type UserAssumptions = BTreeMap<(String, String), Assumptions>;

/// Maximum size of the saved files, bytes: beyond it a browser may evict them or data of other sites.
const MAX_BYTES: f64 = 512.0 * 1024.0 * 1024.0;

/// SHA-256 and content of an adapter file.
pub type AdapterFile = (String, Vec<u8>);

/// Files that can be opened again, with their assumptions and adapter.
#[derive(Clone)]
struct RestorableSession {
    files: Vec<NamedFile>,
    assumptions: UserAssumptions,
    /// The active adapter; clearing the page does not remove it.
    adapter: Option<AdapterFile>,
    /// True if the files were cleared on this visit; false if they are from an earlier visit.
    is_cleared: bool,
}

/// The session that the page offers to restore.
#[derive(Clone, Copy)]
pub struct RestoreOffer(RwSignal<Option<RestorableSession>, LocalStorage>);

impl RestoreOffer {
    /// No session to restore.
    pub fn new() -> Self {
        Self(RwSignal::new_local(None))
    }

    /// Offers to restore files that were just cleared, until other files are opened.
    pub fn offer_cleared(&self, files: Vec<NamedFile>, assumptions: UserAssumptions) {
        if !files.is_empty() {
            self.0.set(Some(RestorableSession { files, assumptions, adapter: None, is_cleared: true }));
        }
    }

    /// Withdraws the offer to restore cleared files, when other files are opened.
    pub fn discard_cleared(&self) {
        if self.0.with_untracked(|session| session.as_ref().is_some_and(|s| s.is_cleared)) {
            self.0.set(None);
        }
    }
}

/// Loads the session of an earlier visit and offers to restore it.
pub fn check_saved(state: State) {
    spawn_local(async move {
        // Without a database there is nothing to restore.
        if let Ok(session) = load().await
            && !session.files.is_empty()
            // Rows from a link have no files and do not count.
            && state.rows.with_untracked(|rows| rows.iter().all(|row| row.key.generation == IMPORTED_GENERATION))
        {
            state.restorable.0.set(Some(session));
        }
    });
}

/// Saves the open files, their assumptions and the active adapter in place of the previous session.
pub fn save(files: Vec<NamedFile>, assumptions: UserAssumptions, adapter: Option<AdapterFile>) {
    spawn_local(async move {
        let bytes: f64 = files.iter().map(|f| f.file.size()).sum();
        // A session that cannot be saved is not offered on the next visit; the page shows no error.
        let _ = if bytes > MAX_BYTES || files.is_empty() {
            remove().await
        } else {
            store(&files, &assumptions, adapter).await
        };
    });
}

async fn open() -> Result<Database, idb::Error> {
    let mut request = Factory::new()?.open(DATABASE, Some(1))?;
    request.on_upgrade_needed(|event| {
        // Fails only if the database cannot be opened, and then the request reports the error.
        let _ = event.database().and_then(|db| db.create_object_store(STORE, ObjectStoreParams::new()));
    });
    request.await
}

async fn store(
    files: &[NamedFile],
    assumptions: &UserAssumptions,
    adapter: Option<AdapterFile>,
) -> Result<(), idb::Error> {
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
    // Pairs, because a JSON key cannot have two parts. Strings and numbers always serialise.
    let assumptions = serde_json::to_string(&assumptions.iter().collect::<Vec<_>>()).unwrap_or_default();
    let store = transaction.object_store(STORE)?;
    store.put(&list, Some(&KEY.into()))?.await?;
    store.put(&assumptions.into(), Some(&ASSUMPTIONS.into()))?.await?;
    let adapter = adapter
        .map_or(JsValue::NULL, |(sha256, file)| Array::of2(&sha256.into(), &Uint8Array::from(file.as_slice())).into());
    store.put(&adapter, Some(&ADAPTER.into()))?.await?;
    transaction.commit()?.await?;
    database.close();
    Ok(())
}

async fn load() -> Result<RestorableSession, idb::Error> {
    let database = open().await?;
    let transaction = database.transaction(&[STORE], TransactionMode::ReadOnly)?;
    let store = transaction.object_store(STORE)?;
    let found = store.get(Query::Key(KEY.into()))?.await?;
    let assumptions =
        store.get(Query::Key(ASSUMPTIONS.into()))?.await?.and_then(|json| json.as_string()).unwrap_or_default();
    let adapter = store.get(Query::Key(ADAPTER.into()))?.await?.and_then(|pair| pair.dyn_into::<Array>().ok());
    database.close();
    let list: Array = found.and_then(|list| list.dyn_into().ok()).unwrap_or_default();
    let entry = |entry: JsValue| {
        let path = Reflect::get(&entry, &"path".into()).ok()?.as_string()?;
        Some(NamedFile { path, file: Reflect::get(&entry, &"file".into()).ok()?.dyn_into::<File>().ok()? })
    };
    // Assumptions in the format of an older version are dropped.
    let assumptions: Vec<((String, String), Assumptions)> = serde_json::from_str(&assumptions).unwrap_or_default();
    let adapter =
        adapter.and_then(|pair| Some((pair.get(0).as_string()?, pair.get(1).dyn_into::<Uint8Array>().ok()?.to_vec())));
    let files = list.iter().filter_map(entry).collect();
    Ok(RestorableSession { files, assumptions: assumptions.into_iter().collect(), adapter, is_cleared: false })
}

async fn remove() -> Result<(), idb::Error> {
    let database = open().await?;
    let transaction = database.transaction(&[STORE], TransactionMode::ReadWrite)?;
    transaction.object_store(STORE)?.clear()?.await?;
    transaction.commit()?.await?;
    database.close();
    Ok(())
}

/// Asks whether to restore the files of an earlier visit or the files just cleared.
#[component]
pub fn RestoreQuestion() -> impl IntoView {
    let state = expect_context::<State>();
    let saved = state.restorable.0;
    let restore = move |_| restore_session(state);
    view! {
        {move || saved.with(|s| s.as_ref().map(|RestorableSession { files, is_cleared, .. }| {
            let n = format::count(files.len(), "file", "files");
            let (text, yes, no, dismiss): (_, _, _, fn(State)) = if *is_cleared {
                (format!("{n} cleared."), "Restore", "Dismiss", |state| state.restorable.0.set(None))
            } else {
                let bytes = format::bytes(files.iter().map(|f| f.file.size()).sum::<f64>() as u64);
                let storage_note = "were open. They are stored in this browser only.";
                (format!("On your last visit {n} ({bytes}) {storage_note}"), "Restore", "Delete", clear_local_data)
            };
            view! {
                <div class="notice" role="status" data-testid="restore">
                    <p>{text}</p>
                    <button class="primary" data-testid="restore-yes" on:click=restore>{yes}</button>
                    <button data-testid="restore-no" on:click=move |_| dismiss(state)>{no}</button>
                </div>
            }
        }))}
    }
}

/// Opens the files of the offered session and sets their assumptions and adapter.
fn restore_session(state: State) {
    if let Some(RestorableSession { files, assumptions, adapter, .. }) = state.restorable.0.get_untracked() {
        state.restorable.0.set(None);
        state.user_assumptions.set_value(assumptions);
        if let Some((sha256, file)) = adapter.filter(|_| state.finetune.active_adapter.with_untracked(Option::is_none))
        {
            state.reapply_adapter(sha256, &file);
        }
        state.open(files);
    }
}

/// Undoes clearing the page; if nothing was cleared, returns to the shipped model.
pub fn undo(state: State) {
    if state.restorable.0.with_untracked(|session| session.as_ref().is_some_and(|s| s.is_cleared)) {
        restore_session(state);
    } else if state.finetune.active_adapter.with_untracked(Option::is_some) {
        state.remove_adapter();
    }
}

/// Clears the page and deletes all its data in this browser.
pub fn clear_local_data(state: State) {
    state.clear();
    state.restorable.0.set(None);
    // A link keeps its results in the page address.
    if let (Ok(history), Ok(page)) = (window().history(), window().location().href()) {
        let bare = page.split('#').next().unwrap_or_default();
        let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(bare));
    }
    spawn_local(async move {
        super::stored_models::delete_all().await;
        super::offline::forget().await;
        let done = async {
            let delete = Factory::new()?.delete(DATABASE)?;
            delete.await
        };
        state.notice.set(Some(match done.await {
            Ok(()) => "All local data of this page have been deleted.".into(),
            Err(why) => format!(
                "The browser could not delete the local data: {why}. Delete the data of this site in the browser settings."
            ),
        }));
    });
}
