//! The file whose columns the user assigns.

use leptos::prelude::*;

use super::engine::Engine;
use super::jobs::Jobs;
use super::session::Session;
use crate::engine::protocol::{Assumptions, SpectraRequest};
use crate::read::column_mapping::{ColumnMapping, Preview};
use crate::ui::row::Row;

/// The file whose columns the dialogue asks for.
#[derive(Debug, Clone)]
pub struct ColumnQuestion {
    /// Path of the file.
    pub path: String,
    /// The spectrum read from the file, if any.
    pub row: Option<Row>,
    /// Its first lines, once the engine has sent them.
    pub preview: Option<Result<Box<Preview>, String>>,
}

/// The open question of the dialogue.
#[derive(Clone, Copy)]
pub struct Columns {
    /// The file whose columns the user is choosing.
    pub question: RwSignal<Option<ColumnQuestion>>,
    engine: Engine,
    jobs: Jobs,
    session: Session,
}

impl Columns {
    /// No question.
    pub fn new(engine: Engine, jobs: Jobs, session: Session) -> Self {
        Self { question: RwSignal::new(None), engine, jobs, session }
    }

    /// Opens the dialogue for a file. `row` is the spectrum read from it, if any.
    pub fn ask(&self, path: String, row: Option<Row>) {
        let file = self.session.file(&path);
        let preview = file.is_none().then(|| Err("The file is no longer open. Drop it again.".to_string()));
        self.question.set(Some(ColumnQuestion { path: path.clone(), row, preview }));
        if let Some(file) = file {
            self.engine.send(SpectraRequest::Preview { path }, vec![file.file]);
        }
    }

    /// Shows the first lines of the file.
    pub fn set_preview(&self, path: &str, preview: Result<Box<Preview>, String>) {
        self.question.update(|question| {
            if let Some(question) = question.as_mut().filter(|question| question.path == path) {
                question.preview = Some(preview);
            }
        });
    }

    /// Reads the file of the dialogue with these columns; with `None` the reader detects them.
    pub fn read(&self, columns: Option<ColumnMapping>) {
        let Some(question) = self.question.get_untracked() else { return };
        self.question.set(None);
        if let Some(row) = question.row {
            let assumptions = row.assumptions.get_untracked();
            return self.session.set_assumptions(row, Assumptions { columns, ..assumptions });
        }
        let Some(file) = self.session.file(&question.path) else { return };
        self.session.set_columns(&question.path, columns);
        self.jobs.skipped.update(|list| list.retain(|item| item.source != question.path));
        self.jobs.read(vec![file], columns);
    }
}
