//! Saves the open files, the user's assumptions and the active adapter in `IndexedDB`, so that the user can close the tab
//! without losing them.
//!
//! On the next visit the page asks before it restores them (see [`super::restore`]); "Clear local data" deletes them.
//!
//! Results are not saved: the page computes them again with the current model. Links and session files keep results
//! unchanged.

use std::collections::BTreeMap;

use idb::{Database, DatabaseEvent, Factory, ObjectStoreParams, Query, TransactionMode};
use js_sys::{Array, Object, Reflect, Uint8Array};
use leptos::task::spawn_local;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::File;

use super::files::NamedFile;
use crate::engine::protocol::Assumptions;

const DATABASE: &str = "specola";
const STORE: &str = "session";
const KEY: &str = "files";

/// Key of the user's assumptions.
const ASSUMPTIONS: &str = "assumptions";

/// Key of the active adapter. Its value is the pair of hash and file; `null` without an adapter.
const ADAPTER: &str = "adapter";

/// Assumptions set by the user, by file and spectrum id.
pub(super) type UserAssumptions = BTreeMap<(String, String), Assumptions>;

/// Maximum total size of the saved files, bytes. Above it a browser may delete them or data of other sites.
const MAX_BYTES: f64 = 512.0 * 1024.0 * 1024.0;

/// SHA-256 and content of an adapter file.
pub(super) type AdapterFile = (String, Vec<u8>);

/// Files that can be opened again, with their assumptions and adapter.
#[derive(Clone)]
pub(super) struct RestorableSession {
    /// The files.
    pub files: Vec<NamedFile>,
    /// Assumptions about their spectra.
    pub assumptions: UserAssumptions,
    /// The active adapter; clearing the page does not remove it.
    pub adapter: Option<AdapterFile>,
    /// True if the files were cleared on this visit; false if they are from an earlier visit.
    pub is_cleared: bool,
}

/// Saves the open files, their assumptions and the active adapter in place of the previous session.
pub(super) fn save(files: Vec<NamedFile>, assumptions: UserAssumptions, adapter: Option<AdapterFile>) {
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

/// Loads the session of an earlier visit.
///
/// # Errors
/// The browser cannot open or read the database.
pub(super) async fn load() -> Result<RestorableSession, idb::Error> {
    let database = open().await?;
    let transaction = database.transaction(&[STORE], TransactionMode::ReadOnly)?;
    let store = transaction.object_store(STORE)?;
    let list = store.get(Query::Key(KEY.into()))?.await?;
    let assumptions =
        store.get(Query::Key(ASSUMPTIONS.into()))?.await?.and_then(|json| json.as_string()).unwrap_or_default();
    let adapter = store.get(Query::Key(ADAPTER.into()))?.await?.and_then(|pair| pair.dyn_into::<Array>().ok());
    database.close();
    let list: Array = list.and_then(|list| list.dyn_into().ok()).unwrap_or_default();
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

/// Deletes the database.
///
/// # Errors
/// The browser cannot delete it.
pub(super) async fn delete_database() -> Result<(), idb::Error> {
    Factory::new()?.delete(DATABASE)?.await
}
