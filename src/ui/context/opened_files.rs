//! The opened files and the user's assumptions about their spectra. The browser stores them for the next visit.

use leptos::prelude::*;

use super::engine::Engine;
use super::finetune::Finetune;
use crate::engine::protocol::{Assumptions, SpectraRequest};
use crate::read::column_mapping::ColumnMapping;
use crate::ui::autosave::{self, RestorableSession, UserAssumptions};
use crate::ui::files::NamedFile;
use crate::ui::row::{PredictionStatus, Row};

/// Opened files, the user's assumptions, and the session that can be restored.
#[derive(Clone, Copy)]
pub(crate) struct OpenedFiles {
    /// Files of an earlier visit or of a cleared page, which the page offers to open again.
    pub restorable: RwSignal<Option<RestorableSession>, LocalStorage>,
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
            restorable: RwSignal::new_local(None),
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

    /// True when there are files to store for the next visit.
    pub(crate) fn has_files(&self) -> bool {
        self.files.with_value(|files| !files.is_empty())
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
        autosave::save(self.files.get_value(), self.assumptions.get_value(), adapter);
    }

    /// Removes the files and the assumptions, and offers to restore them until other files are opened.
    pub(crate) fn clear(&self) {
        let files = self.take_files();
        let mut assumptions = UserAssumptions::new();
        self.assumptions.update_value(|stored| assumptions = std::mem::take(stored));
        if !files.is_empty() {
            let cleared = RestorableSession { files, assumptions, adapter: None, is_cleared: true };
            self.restorable.set(Some(cleared));
        }
        self.autosave();
    }

    /// True while the page offers to restore cleared files.
    pub(crate) fn can_restore_cleared(&self) -> bool {
        self.restorable.with_untracked(|session| session.as_ref().is_some_and(|s| s.is_cleared))
    }

    /// Withdraws the offer to restore cleared files, when other files are opened.
    pub(crate) fn discard_cleared(&self) {
        if self.can_restore_cleared() {
            self.restorable.set(None);
        }
    }

    /// Withdraws the offer and returns its session. Its assumptions apply from then on.
    pub(crate) fn take_restorable(&self) -> Option<RestorableSession> {
        let session = self.restorable.get_untracked()?;
        self.restorable.set(None);
        self.assumptions.set_value(session.assumptions.clone());
        Some(session)
    }
}

/// The key of assumptions about a whole file.
fn file_key(path: &str) -> (String, String) {
    (path.to_owned(), String::new())
}
