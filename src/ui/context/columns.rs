//! The file whose columns the user assigns.

use leptos::prelude::*;

use super::engine::Engine;
use super::jobs::Jobs;
use super::opened_files::OpenedFiles;
use crate::engine::protocol::{Assumptions, SpectraRequest};
use crate::read::column_mapping::{ColumnMapping, Preview};
use crate::ui::row::Row;

/// The file whose columns the dialogue asks for.
#[derive(Debug, Clone)]
pub(crate) struct ColumnQuestion {
    /// Path of the file.
    pub path: String,
    /// The spectrum read from the file, if any.
    pub row: Option<Row>,
    /// Its first lines, once the engine has sent them.
    pub preview: Option<Result<Box<Preview>, String>>,
}

/// The open question of the dialogue.
#[derive(Clone, Copy)]
pub(crate) struct ColumnAssignment {
    /// The file whose columns the dialogue asks for; `None` while the dialogue is closed.
    pub question: RwSignal<Option<ColumnQuestion>>,
    engine: Engine,
    jobs: Jobs,
    opened_files: OpenedFiles,
}

impl ColumnAssignment {
    /// No question.
    pub(crate) fn new(engine: Engine, jobs: Jobs, opened_files: OpenedFiles) -> Self {
        Self { question: RwSignal::new(None), engine, jobs, opened_files }
    }

    /// Opens the dialogue for a file. `row` is the spectrum read from it, if any.
    pub(crate) fn ask(&self, path: String, row: Option<Row>) {
        let file = self.opened_files.file(&path);
        let preview = file.is_none().then(|| Err("The file is no longer open. Drop it again.".to_string()));
        self.question.set(Some(ColumnQuestion { path: path.clone(), row, preview }));
        if let Some(file) = file {
            self.engine.send(SpectraRequest::Preview { path }, vec![file.file]);
        }
    }

    /// Shows the first lines of the file.
    pub(crate) fn set_preview(&self, path: &str, preview: Result<Box<Preview>, String>) {
        self.question.update(|question| {
            if let Some(question) = question.as_mut().filter(|question| question.path == path) {
                question.preview = Some(preview);
            }
        });
    }

    /// Reads the file of the dialogue with these columns; with `None` the reader detects them.
    pub(crate) fn read(&self, columns: Option<ColumnMapping>) {
        let Some(question) = self.question.get_untracked() else { return };
        self.question.set(None);
        if let Some(row) = question.row {
            let assumptions = row.assumptions.get_untracked();
            return self.opened_files.set_assumptions(row, Assumptions { columns, ..assumptions });
        }
        let Some(file) = self.opened_files.file(&question.path) else { return };
        self.opened_files.set_columns(&question.path, columns);
        self.jobs.skipped.update(|list| list.retain(|item| item.source != question.path));
        self.jobs.read(vec![file], columns);
    }
}
