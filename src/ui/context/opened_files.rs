//! The opened files and the user's assumptions about their spectra. The browser stores them for the next visit.

use leptos::{prelude::*, task::spawn_local};

use super::engine::Engine;
use super::finetune::Finetune;
use crate::engine::protocol::{Assumptions, SpectraRequest};
use crate::read::column_mapping::ColumnMapping;
use crate::ui::autosave::{self, Session, UserAssumptions};
use crate::ui::files::NamedFile;
use crate::ui::row::{PredictionStatus, Row};

/// Opened files, the user's assumptions, and the sessions that can be restored.
#[derive(Clone, Copy)]
pub(crate) struct OpenedFiles {
    /// Sessions of earlier visits, which the page offers to open again; the latest first.
    pub earlier: RwSignal<Vec<Session>, LocalStorage>,
    /// What the user has just cleared, until other files are opened.
    pub cleared: RwSignal<Option<Session>, LocalStorage>,
    /// Why the browser does not keep the open files for the next visit.
    pub not_saved: RwSignal<Option<String>>,
    /// Name of this tab, and number of its session.
    tab: StoredValue<(String, u32)>,
    /// Keys of the sessions that this one continues. Each is deleted when this one has been saved with the adapter, if it
    /// had one.
    continued: StoredValue<Vec<(String, Option<String>)>>,
    /// The opened files, to read them again after a crash.
    files: StoredValue<Vec<NamedFile>, LocalStorage>,
    /// The user's assumptions, by file and id. They apply again when the same spectrum is read again.
    assumptions: StoredValue<UserAssumptions>,
    engine: Engine,
    finetune: Finetune,
}

impl OpenedFiles {
    /// No files.
    pub(crate) fn new(engine: Engine, finetune: Finetune) -> Self {
        Self {
            earlier: RwSignal::new_local(Vec::new()),
            cleared: RwSignal::new_local(None),
            not_saved: RwSignal::new(None),
            tab: StoredValue::new((autosave::tab_name(), 0)),
            continued: StoredValue::new(Vec::new()),
            files: StoredValue::new_local(Vec::new()),
            assumptions: StoredValue::new(UserAssumptions::new()),
            engine,
            finetune,
        }
    }

    /// The opened file with this path.
    pub(crate) fn file(&self, path: &str) -> Option<NamedFile> {
        self.files.with_value(|files| files.iter().rev().find(|file| file.path == path).cloned())
    }

    /// Adds opened files.
    pub(crate) fn add_files(&self, files: &[NamedFile]) {
        self.files.update_value(|opened| opened.extend_from_slice(files));
        self.autosave();
    }

    /// Removes the opened files and returns them.
    pub(crate) fn take_files(&self) -> Vec<NamedFile> {
        let mut files = Vec::new();
        self.files.update_value(|opened| files = std::mem::take(opened));
        files
    }

    /// Removes a file at which the engine stopped, so that reading all files again does not stop it again.
    pub(crate) fn set_aside(&self, path: &str) {
        self.files.update_value(|opened| opened.retain(|file| file.path != path));
        self.autosave();
    }

    /// Columns that the user assigned to a file.
    pub(crate) fn columns(&self, path: &str) -> Option<ColumnMapping> {
        self.assumptions.with_value(|all| all.get(&file_key(path))?.columns)
    }

    /// Stores the columns that the user assigned to a file.
    pub(crate) fn set_columns(&self, path: &str, columns: Option<ColumnMapping>) {
        self.assumptions.update_value(|all| {
            all.insert(file_key(path), Assumptions { columns, ..Assumptions::default() });
        });
        self.autosave();
    }

    /// Changes the assumptions about a spectrum: the engine preprocesses and predicts it again.
    pub(crate) fn set_assumptions(&self, row: Row, assumptions: Assumptions) {
        row.assumptions.set(assumptions);
        row.status.set(PredictionStatus::Pending);
        let summary = row.summary.get_untracked();
        let name = (summary.file.clone(), summary.meta.id.clone());
        self.assumptions.update_value(|all| {
            all.insert(name, assumptions);
        });
        self.autosave();
        self.engine.send(SpectraRequest::SetAssumptions { spectrum: row.key.id, assumptions }, Vec::new());
    }

    /// Applies the assumptions that the user had made about this spectrum before it was read again.
    pub(crate) fn reapply_assumptions(&self, row: Row) {
        let (of_file, of_spectrum) = self.assumptions.with_value(|all| {
            if all.is_empty() {
                return (None, None);
            }
            let summary = row.summary.get_untracked();
            let of_file = all.get(&file_key(&summary.file)).copied();
            (of_file, all.get(&(summary.file.clone(), summary.meta.id.clone())).copied())
        });
        if let Some(assumptions) = of_file {
            // The engine received them with the file.
            row.assumptions.set(assumptions);
        }
        if let Some(assumptions) = of_spectrum {
            self.set_assumptions(row, assumptions);
        }
    }

    /// Stores the opened files, the assumptions and the active adapter for the next visit.
    pub(crate) fn autosave(&self) {
        let adapter = self
            .finetune
            .active_adapter
            .with_untracked(|adapter| adapter.as_ref().map(|adapter| (adapter.sha256.clone(), adapter.file.to_vec())));
        let has_adapter = |sha256: &String| adapter.as_ref().is_some_and(|(active, _)| active == sha256);
        let is_contained = |(_, sha256): &&(String, Option<String>)| sha256.as_ref().is_none_or(has_adapter);
        let contained = self.continued.with_value(|all| all.iter().filter(is_contained).cloned().collect::<Vec<_>>());
        let session = self.session(adapter.clone());
        let Self { not_saved, continued, .. } = *self;
        spawn_local(async move {
            let keys = contained.iter().map(|(key, _)| key.clone()).collect();
            let problem = match autosave::save(session, keys).await {
                Ok(()) => {
                    continued.update_value(|all| all.retain(|session| !contained.contains(session)));
                    None
                }
                Err(why) => Some(format!(
                    "This browser does not keep the open files for the next visit: {why}. Save a session file before you close the tab."
                )),
            };
            if not_saved.get_untracked() != problem {
                not_saved.set(problem);
            }
        });
    }

    fn session(&self, adapter: Option<autosave::AdapterFile>) -> Session {
        Session {
            key: self.tab.with_value(|(tab, number)| format!("{tab}/{number}")),
            files: self.files.get_value(),
            assumptions: self.assumptions.get_value(),
            adapter,
            saved_ms: js_sys::Date::now(),
        }
    }

    /// True if closing the tab would lose assumptions or an adapter that the browser did not keep.
    pub(crate) fn would_lose_work(&self) -> bool {
        self.not_saved.with_untracked(Option::is_some)
            && (self.assumptions.with_value(|all| !all.is_empty())
                || self.finetune.active_adapter.with_untracked(Option::is_some))
    }

    /// Removes the files and the assumptions, and offers to restore them until other files are opened. What was saved
    /// stays for the next visit.
    pub(crate) fn clear(&self) {
        let cleared = self.session(None);
        self.take_files();
        self.assumptions.set_value(UserAssumptions::new());
        if !cleared.is_empty() {
            self.cleared.set(Some(cleared));
            self.tab.update_value(|(_, number)| *number += 1);
        }
        self.autosave();
    }

    /// Withdraws the offer to restore cleared files, when other files are opened.
    pub(crate) fn discard_cleared(&self) {
        if self.cleared.with_untracked(Option::is_some) {
            self.cleared.set(None);
        }
    }

    /// Continues an earlier session: its assumptions apply from then on, and this tab saves what it held.
    pub(crate) fn resume(&self, session: &Session) {
        self.earlier.update(|all| all.retain(|other| other.key != session.key));
        self.assumptions.update_value(|all| all.extend(session.assumptions.clone()));
        let sha256 = session.adapter.as_ref().map(|(sha256, _)| sha256.clone());
        self.continued.update_value(|all| all.push((session.key.clone(), sha256)));
    }

    /// Deletes an earlier session.
    pub(crate) fn forget(&self, key: String) {
        self.earlier.update(|all| all.retain(|other| other.key != key));
        let not_saved = self.not_saved;
        spawn_local(async move {
            if let Err(why) = autosave::delete(key).await {
                not_saved.set(Some(format!("This browser could not delete the earlier session: {why}.")));
            }
        });
    }
}

/// The key of assumptions about a whole file.
fn file_key(path: &str) -> (String, String) {
    (path.to_owned(), String::new())
}
