//! Saves the open files, the user's assumptions and the active adapter in `IndexedDB`, so that a closed tab loses nothing.
//!
//! Each tab has its own session, so that no tab replaces what another one saved. On the next visit the page lists the
//! sessions that no open tab uses (see [`super::restore`]). "Clear all" begins a new session and leaves the earlier one in
//! the list. A session is deleted when it has been restored and saved again, on demand, or as the oldest of more than
//! [`MAX_SESSIONS`]; "Clear local data" deletes all.
//!
//! Results are not saved: the page computes them again with the current model. Links and session files keep results
//! unchanged.

use std::collections::{BTreeMap, BTreeSet};

use idb::{Database, DatabaseEvent, Factory, ObjectStoreParams, Query, TransactionMode};
use js_sys::{Array, Function, Object, Promise, Reflect, Uint8Array};
use leptos::prelude::window;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::File;

use super::files::NamedFile;
use super::format;
use crate::engine::protocol::Assumptions;

const DATABASE: &str = "specola";
const STORE: &str = "session";

/// Keys of the one session that versions before sessions of tabs saved.
const FORMER_KEYS: [&str; 3] = ["files", "assumptions", "adapter"];

/// Prefix of the names of the locks that tell which tabs are open.
const LOCK: &str = "specola-tab ";

/// Largest number of sessions that are kept.
const MAX_SESSIONS: usize = 8;

/// Maximum total size of the saved files, bytes. Above it a browser may delete them or data of other sites.
const MAX_BYTES: f64 = 512.0 * 1024.0 * 1024.0;

/// Assumptions set by the user, by file and spectrum id.
pub(super) type UserAssumptions = BTreeMap<(String, String), Assumptions>;

/// SHA-256 and content of an adapter file.
pub(super) type AdapterFile = (String, Vec<u8>);

/// Files with their assumptions and adapter.
#[derive(Clone, Default)]
pub(super) struct Session {
    /// Its key in the database: name of the tab, and number of its session.
    pub key: String,
    /// The files.
    pub files: Vec<NamedFile>,
    /// Assumptions about their spectra.
    pub assumptions: UserAssumptions,
    /// The active adapter.
    pub adapter: Option<AdapterFile>,
    /// Time when it was saved, ms since 1970.
    pub saved_ms: f64,
}

impl Session {
    /// True if there is nothing to save.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.adapter.is_none()
    }

    /// Total size of the files, bytes.
    pub(super) fn bytes(&self) -> f64 {
        self.files.iter().map(|f| f.file.size()).sum()
    }
}

/// A name for this tab that no other tab has. It is locked for the life of the tab.
pub(super) fn tab_name() -> String {
    let random = (js_sys::Math::random() * f64::from(u32::MAX)) as u32;
    let name = format!("{:x}{random:08x}", js_sys::Date::now() as u64);
    let until_the_tab_closes = Promise::new(&mut |_, _| {});
    let hold = Closure::once_into_js(move || JsValue::from(until_the_tab_closes));
    // A browser without locks lists the sessions of open tabs, too.
    let _ = lock_manager().and_then(|locks| {
        let request: Function = Reflect::get(&locks, &"request".into())?.dyn_into()?;
        request.call2(&locks, &format!("{LOCK}{name}").into(), &hold)
    });
    name
}

/// Names of the open tabs.
async fn open_tabs() -> Result<BTreeSet<String>, JsValue> {
    let locks = lock_manager()?;
    let query: Function = Reflect::get(&locks, &"query".into())?.dyn_into()?;
    let state = JsFuture::from(query.call0(&locks)?.dyn_into::<Promise>()?).await?;
    let held: Array = Reflect::get(&state, &"held".into())?.dyn_into()?;
    let name =
        |lock: JsValue| Some(Reflect::get(&lock, &"name".into()).ok()?.as_string()?.strip_prefix(LOCK)?.to_owned());
    Ok(held.iter().filter_map(name).collect())
}

fn lock_manager() -> Result<JsValue, JsValue> {
    Reflect::get(&window().navigator(), &"locks".into())
}

/// Why the browser does not keep a session.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotSaved {
    #[error("they have {}, and the limit is {}", format::bytes(*.0 as u64), format::bytes(MAX_BYTES as u64))]
    TooLarge(f64),
    #[error("{0}")]
    Browser(#[from] idb::Error),
}

/// Saves a session in place of its earlier version, or deletes it if it is empty; then deletes the sessions `replaced`. What
/// was saved before stays if this fails.
pub(super) async fn save(session: Session, replaced: Vec<String>) -> Result<(), NotSaved> {
    let bytes = session.bytes();
    if bytes > MAX_BYTES {
        return Err(NotSaved::TooLarge(bytes));
    }
    let database = open().await?;
    let transaction = database.transaction(&[STORE], TransactionMode::ReadWrite)?;
    let store = transaction.object_store(STORE)?;
    let mut deleted = replaced;
    if session.is_empty() {
        deleted.push(session.key);
    } else {
        store.put(&to_value(&session), Some(&session.key.as_str().into()))?.await?;
    }
    if deleted.iter().any(|key| key == FORMER_KEYS[0]) {
        deleted.extend(FORMER_KEYS[1..].iter().map(|key| (*key).into()));
    }
    for key in deleted {
        store.delete(Query::Key(key.as_str().into()))?.await?;
    }
    transaction.commit()?.await?;
    database.close();
    Ok(())
}

/// Deletes a session.
pub(super) async fn delete(key: String) -> Result<(), NotSaved> {
    save(Session { key, ..Session::default() }, Vec::new()).await
}

/// The sessions that no open tab uses, the latest first. Deletes those beyond [`MAX_SESSIONS`].
pub(super) async fn load() -> Result<Vec<Session>, idb::Error> {
    let open_tabs = open_tabs().await.unwrap_or_default();
    let database = open().await?;
    let transaction = database.transaction(&[STORE], TransactionMode::ReadOnly)?;
    let store = transaction.object_store(STORE)?;
    let mut sessions = Vec::new();
    for key in store.get_all_keys(None, None)?.await?.into_iter().filter_map(|key| key.as_string()) {
        let is_open = key.split_once('/').is_some_and(|(tab, _)| open_tabs.contains(tab));
        if is_open || FORMER_KEYS[1..].contains(&key.as_str()) {
            continue;
        }
        let Some(value) = store.get(Query::Key(key.as_str().into()))?.await? else { continue };
        sessions.push(if key == FORMER_KEYS[0] {
            let former = Object::new();
            set(&former, "files", &value);
            for name in &FORMER_KEYS[1..] {
                let value = store.get(Query::Key((*name).into()))?.await?;
                set(&former, name, &value.unwrap_or(JsValue::NULL));
            }
            of_value(key, &former)
        } else {
            of_value(key, &value)
        });
    }
    database.close();
    sessions.sort_by(|a, b| b.saved_ms.total_cmp(&a.saved_ms));
    for oldest in sessions.split_off(MAX_SESSIONS.min(sessions.len())) {
        // If this fails, the next visit tries again.
        let _ = delete(oldest.key).await;
    }
    sessions.retain(|session| !session.is_empty());
    Ok(sessions)
}

/// Deletes the database.
///
/// # Errors
/// The browser cannot delete it.
pub(super) async fn delete_database() -> Result<(), idb::Error> {
    Factory::new()?.delete(DATABASE)?.await
}

async fn open() -> Result<Database, idb::Error> {
    let mut request = Factory::new()?.open(DATABASE, Some(1))?;
    request.on_upgrade_needed(|event| {
        // Fails only if the database cannot be opened, and then the request reports the error.
        let _ = event.database().and_then(|db| db.create_object_store(STORE, ObjectStoreParams::new()));
    });
    request.await
}

fn set(object: &JsValue, name: &str, value: &JsValue) {
    // Setting a property of a plain object cannot fail.
    let _ = Reflect::set(object, &name.into(), value);
}

/// The value that is stored for a session: files by reference, assumptions as JSON, the adapter as hash and file.
fn to_value(session: &Session) -> Object {
    let files = Array::new();
    for NamedFile { path, file } in &session.files {
        let entry = Object::new();
        set(&entry, "path", &path.as_str().into());
        set(&entry, "file", file);
        files.push(&entry);
    }
    // Pairs, because a JSON key cannot have two parts. Strings and numbers always serialise.
    let assumptions = serde_json::to_string(&session.assumptions.iter().collect::<Vec<_>>()).unwrap_or_default();
    let adapter = session.adapter.as_ref().map_or(JsValue::NULL, |(sha256, file)| {
        Array::of2(&sha256.as_str().into(), &Uint8Array::from(file.as_slice())).into()
    });
    let value = Object::new();
    set(&value, "files", &files);
    set(&value, "assumptions", &assumptions.into());
    set(&value, "adapter", &adapter);
    set(&value, "saved_ms", &session.saved_ms.into());
    value
}

/// The session of a stored value. Parts in the format of another version are left out.
fn of_value(key: String, value: &JsValue) -> Session {
    let get = |name: &str| Reflect::get(value, &name.into()).ok();
    let entry = |entry: JsValue| {
        let path = Reflect::get(&entry, &"path".into()).ok()?.as_string()?;
        Some(NamedFile { path, file: Reflect::get(&entry, &"file".into()).ok()?.dyn_into::<File>().ok()? })
    };
    let files: Array = get("files").and_then(|list| list.dyn_into().ok()).unwrap_or_default();
    let assumptions = get("assumptions").and_then(|json| json.as_string()).unwrap_or_default();
    let assumptions: Vec<((String, String), Assumptions)> = serde_json::from_str(&assumptions).unwrap_or_default();
    let adapter = get("adapter").and_then(|pair| pair.dyn_into::<Array>().ok());
    let adapter =
        adapter.and_then(|pair| Some((pair.get(0).as_string()?, pair.get(1).dyn_into::<Uint8Array>().ok()?.to_vec())));
    Session {
        key,
        files: files.iter().filter_map(entry).collect(),
        assumptions: assumptions.into_iter().collect(),
        adapter,
        saved_ms: get("saved_ms").and_then(|ms| ms.as_f64()).unwrap_or(0.0),
    }
}
