//! Actions that change several contexts: opening and clearing files, importing and adding rows, restoring a session.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use leptos::{prelude::*, task::spawn_local};
use wasm_bindgen::JsValue;

use super::autosave;
use super::context::{
    ColumnAssignment, Curves, Diagnostics, Engine, Finetune, ImportSource, ImportedRows, Jobs, Labels, Notice,
    OpenedFiles, Rows, Selection, Similarity, SkippedItem, SpecClip, StoredCurves, TableView,
};
use super::engine_link::EngineStatus;
use super::files::{self, NamedFile};
use super::row::{PredictionStatus, RowKey};
use super::{offline, stored_models};
use crate::engine::protocol::{SpectraRequest, is_checkpoint_name};
use crate::result::Summary;
use crate::share::link::SharedResult;
use crate::share::session::Session as SessionFile;
use crate::share::{self, models_of};

/// [`ImportSource::name`] of rows from the page address.
pub(super) const LINK_ORIGIN: &str = "a link";

/// The contexts of the page, for actions that change several of them.
#[derive(Clone, Copy)]
pub(super) struct Actions {
    pub(super) notice: Notice,
    pub(super) engine: Engine,
    pub(super) jobs: Jobs,
    pub(super) rows: Rows,
    pub(super) table_view: TableView,
    pub(super) imported: ImportedRows,
    pub(super) curves: Curves,
    pub(super) diagnostics: Diagnostics,
    pub(super) selection: Selection,
    pub(super) labels: Labels,
    pub(super) specclip: SpecClip,
    pub(super) finetune: Finetune,
    pub(super) similarity: Similarity,
    pub(super) opened_files: OpenedFiles,
    pub(super) columns: ColumnAssignment,
}

impl Actions {
    /// The contexts of a newly opened page.
    pub(super) fn new() -> Self {
        let notice = Notice::new();
        let engine = Engine::new(notice);
        let jobs = Jobs::new(engine);
        let rows = Rows::new();
        let table_view = TableView::new(rows);
        let imported = ImportedRows::new();
        let curves = Curves::new(engine, rows, imported);
        let diagnostics = Diagnostics::new(engine, rows);
        let finetune = Finetune::new(engine);
        let opened_files = OpenedFiles::new(engine, finetune);
        Self {
            notice,
            engine,
            jobs,
            rows,
            table_view,
            imported,
            curves,
            diagnostics,
            selection: Selection::new(rows, table_view, curves, diagnostics),
            labels: Labels::new(),
            specclip: SpecClip::new(engine),
            finetune,
            similarity: Similarity::new(engine, notice),
            opened_files,
            columns: ColumnAssignment::new(engine, jobs, opened_files),
        }
    }

    /// Provides every context, and the actions, to the components.
    pub(super) fn provide(self) {
        provide_context(self);
        provide_context(self.notice);
        provide_context(self.engine);
        provide_context(self.jobs);
        provide_context(self.rows);
        provide_context(self.table_view);
        provide_context(self.imported);
        provide_context(self.curves);
        provide_context(self.diagnostics);
        provide_context(self.selection);
        provide_context(self.labels);
        provide_context(self.specclip);
        provide_context(self.finetune);
        provide_context(self.similarity);
        provide_context(self.opened_files);
        provide_context(self.columns);
    }

    /// Opens files: the engine reads their spectra and predicts.
    pub(super) fn open(&self, files: Vec<NamedFile>) {
        self.jobs.is_listing_files.set(false);
        self.opened_files.discard_cleared();
        if files.is_empty() {
            self.jobs.skip("Dropped items", "no file found; drop spectra, or a folder with spectra".into());
            return;
        }
        let has_checkpoints = files.iter().any(|file| is_checkpoint_name(&file.path));
        let is_checkpoint_file =
            |file: &NamedFile| has_checkpoints && (is_checkpoint_name(&file.path) || file.may_be_checkpoint_config());
        let (checkpoints, files) = files.into_iter().partition::<Vec<_>, _>(is_checkpoint_file);
        if has_checkpoints {
            // The browser does not store these files for the next visit: the published folder has gigabytes.
            self.specclip.add(checkpoints);
        }
        if files.is_empty() {
            return;
        }
        self.opened_files.add_files(&files);
        let (sessions, files) = files.into_iter().partition::<Vec<_>, _>(NamedFile::may_be_session);
        self.open_sessions(sessions);
        if files.is_empty() {
            return;
        }
        let columns_of = |file: &NamedFile| self.opened_files.columns(&file.path);
        let (files_with_columns, files) = files.into_iter().partition::<Vec<_>, _>(|file| columns_of(file).is_some());
        for file in files_with_columns {
            let columns = columns_of(&file);
            self.jobs.read(vec![file], columns);
        }
        if !files.is_empty() {
            self.jobs.read(files, None);
        }
    }

    /// Opens session files. A file that is not a session file is listed as skipped.
    fn open_sessions(&self, files: Vec<NamedFile>) {
        let actions = *self;
        for named in files {
            spawn_local(async move {
                let opened = match files::bytes_of(&named.file).await {
                    Ok(bytes) => SessionFile::open(bytes).map_err(|e| e.to_string()),
                    Err(error) => Err(error),
                };
                match opened {
                    Ok(session) => actions.show_session(session),
                    Err(error) => actions.jobs.skip(named.path, error),
                }
            });
        }
    }

    /// Shows the results in a session file.
    fn show_session(&self, mut session: SessionFile) {
        match session.adapter() {
            Ok(Some((sha256, file))) => self.reapply_adapter(sha256, &file),
            Ok(None) => {}
            Err(why) => self.jobs.skip("The session's adapter", why.to_string()),
        }
        let contents = session.contents.clone();
        let session = Rc::new(RefCell::new(session));
        let curves = (0..contents.records.len()).map(|i| StoredCurves::InFile(session.clone(), i)).collect();
        self.jobs.skipped.update(|list| {
            list.extend(contents.skipped.into_iter().map(|(source, reason)| SkippedItem { source, reason }))
        });
        self.import_rows("a session file", contents.records, curves, contents.selected);
    }

    /// Shows the results in a link.
    pub(super) fn show_link(&self, shared: Vec<SharedResult>) {
        let records = shared.iter().map(|s| s.record.clone()).collect();
        let curves = shared.iter().map(|s| StoredCurves::InMemory(Arc::new(s.view()))).collect();
        self.import_rows(LINK_ORIGIN, records, curves, None);
    }

    fn import_rows(
        &self,
        source: &'static str,
        records: Vec<share::Record>,
        curves: Vec<StoredCurves>,
        selected: Option<usize>,
    ) {
        let source = ImportSource { name: source, rows: records.len(), models: models_of(&records) };
        self.imported.sources.update(|sources| sources.push(source));
        let selected = selected.map(|selected| self.imported.key(selected));
        for (record, curves) in records.into_iter().zip(curves) {
            let key = self.imported.key(0);
            self.imported.store(key, curves);
            let status = match record.outcome {
                share::Outcome::Predicted(prediction) => PredictionStatus::Predicted(Arc::new(prediction)),
                share::Outcome::NotPredicted(why) => PredictionStatus::NotPredicted(why),
                share::Outcome::Pending => PredictionStatus::Interrupted,
            };
            self.add_row(key, record.summary, status);
        }
        if let Some(selected) = selected {
            self.selection.select(selected);
        }
    }

    /// Adds a row. The first row is selected.
    pub(super) fn add_row(&self, key: RowKey, summary: Summary, status: PredictionStatus) {
        let row = self.rows.add(key, summary, status);
        self.table_view.schedule_update();
        if self.rows.selected.get_untracked().is_none() {
            self.selection.select(key);
        }
        if self.engine.is_current(key) {
            self.opened_files.reapply_assumptions(row);
        }
    }

    /// Loads a saved adapter, unless another adapter is active.
    fn reapply_adapter(&self, sha256: String, file: &[u8]) {
        if self.finetune.active_adapter.with_untracked(Option::is_some) {
            return self.jobs.skip(
                "The session's adapter",
                "another adapter is active; return to the shipped model, then drop the session again".into(),
            );
        }
        self.finetune.load_adapter(sha256, file);
    }

    /// Removes every spectrum, and offers to open the files again.
    pub(super) fn clear(&self) {
        self.jobs.cancel();
        self.engine.expect_clear();
        self.engine.send(SpectraRequest::Clear, Vec::new());
        self.opened_files.clear();
        self.clear_table();
        self.finetune.clear();
        self.similarity.clear();
        self.notice.clear();
    }

    fn clear_table(&self) {
        self.jobs.clear_running();
        self.rows.selected.set(None);
        self.curves.clear();
        self.imported.clear();
        self.labels.clear();
        self.specclip.clear_values();
        self.jobs.skipped.update(Vec::clear);
        let rows = self.rows.take();
        self.table_view.clear_ticked();
        self.table_view.update();
        Rows::dispose(rows);
    }

    /// Reads every opened file again.
    pub(super) fn reopen(&self) {
        let files = self.opened_files.take_files();
        self.clear_table();
        if self.engine.status.with_untracked(|status| matches!(status, EngineStatus::Stopped(_))) {
            self.engine.restart();
        }
        self.notice.clear();
        self.open(files);
    }

    /// Updates the contexts after a crash of the engine: predictions stay, unread files wait for the next engine, and the
    /// file that the engine was reading is set aside. Returns true if there was such a file.
    pub(super) fn handle_engine_loss(&self, why: &str) -> bool {
        self.finetune.handle_engine_loss();
        let set_aside = self.jobs.interrupt();
        for path in &set_aside {
            self.opened_files.set_aside(path);
            let reason = format!(
                "the engine stopped while it read this file ({why}), so the file is set aside and the others are read; split it, or give it to the command-line program"
            );
            self.jobs.skip(path.clone(), reason);
        }
        self.curves.drop_waiting();
        self.specclip.handle_engine_loss();
        self.similarity.handle_engine_loss();
        self.diagnostics.handle_engine_loss();
        self.rows.mark_interrupted();
        !set_aside.is_empty()
    }

    /// Loads the sessions of earlier visits and offers to restore them.
    pub(super) fn check_saved(self) {
        spawn_local(async move {
            // Without a database there is nothing to restore.
            if let Ok(sessions) = autosave::load().await {
                self.opened_files.earlier.set(sessions);
            }
        });
    }

    /// Opens the files of an earlier session, and sets their assumptions and adapter.
    pub(super) fn restore(&self, session: autosave::Session) {
        self.opened_files.resume(&session);
        if let Some((sha256, file)) = &session.adapter {
            match self.finetune.active_adapter.with_untracked(|a| a.as_ref().map(|a| a.sha256.clone())) {
                None => self.finetune.load_adapter(sha256.clone(), file),
                Some(active) if active == *sha256 => {}
                Some(_) => self.jobs.skip(
                    "The saved adapter",
                    "another adapter is active. This one stays among the earlier sessions: return to the shipped model, reload the page and restore it".into(),
                ),
            }
        }
        if !session.files.is_empty() {
            self.open(session.files);
        }
    }

    /// Undoes clearing the page; if nothing was cleared, returns to the shipped model.
    pub(super) fn undo(&self) {
        if let Some(cleared) = self.opened_files.cleared.get_untracked() {
            self.restore(cleared);
        } else if self.finetune.active_adapter.with_untracked(Option::is_some) {
            self.finetune.remove_adapter();
        }
    }

    /// Clears the page and deletes all its data in this browser.
    pub(super) fn clear_local_data(self) {
        self.clear();
        self.opened_files.discard_cleared();
        self.opened_files.earlier.set(Vec::new());
        // After opening a link, the page address contains its results.
        if let (Ok(history), Ok(page)) = (window().history(), window().location().href()) {
            let address = page.split('#').next().unwrap_or_default();
            let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(address));
        }
        spawn_local(async move {
            stored_models::delete_all().await;
            offline::delete_cache().await;
            self.notice.show(match autosave::delete_database().await {
                Ok(()) => "All local data of this page have been deleted.".into(),
                Err(why) => format!(
                    "The browser could not delete the local data: {why}. Delete the data of this site in the browser settings."
                ),
            });
        });
    }
}
