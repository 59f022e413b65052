//! The rows of the table: one per spectrum.

use std::collections::BTreeMap;
use std::sync::Arc;

use leptos::prelude::*;

use crate::engine::protocol::Assumptions;
use crate::result::Summary;
use crate::ui::row::{PredictionStatus, Row, RowKey};

/// All rows, and the key of the selected one.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    /// One row per spectrum, in the order of reading.
    pub all: RwSignal<Vec<Row>>,
    /// The row that the detail panel shows. Written by [`super::Selection`].
    pub selected: RwSignal<Option<RowKey>>,
    /// Notified of a prediction that arrives while no job runs: its model had to be downloaded, or the user changed an
    /// assumption.
    pub late_prediction: RwSignal<()>,
    by_key: StoredValue<BTreeMap<RowKey, Row>>,
}

impl Rows {
    /// No rows.
    pub(crate) fn new() -> Self {
        Self {
            all: RwSignal::new(Vec::new()),
            selected: RwSignal::new(None),
            late_prediction: RwSignal::new(()),
            by_key: StoredValue::new(BTreeMap::new()),
        }
    }

    /// The row with this key.
    pub(crate) fn get(&self, key: RowKey) -> Option<Row> {
        self.by_key.with_value(|index| index.get(&key).copied())
    }

    /// The selected row.
    pub(crate) fn selected(&self) -> Option<Row> {
        self.get(self.selected.get()?)
    }

    /// Adds a row.
    pub(crate) fn add(&self, key: RowKey, summary: Summary, status: PredictionStatus) -> Row {
        let row = Row {
            key,
            summary: RwSignal::new(Arc::new(summary)),
            status: RwSignal::new(status),
            assumptions: RwSignal::new(Assumptions::default()),
        };
        self.by_key.update_value(|index| {
            index.insert(key, row);
        });
        self.all.update(|rows| rows.push(row));
        row
    }

    /// Marks every row that waits for a prediction as interrupted, after a crash of the engine.
    pub(crate) fn mark_interrupted(&self) {
        for row in self.all.read_untracked().iter() {
            if row.status.with_untracked(|status| *status == PredictionStatus::Pending) {
                row.status.set(PredictionStatus::Interrupted);
            }
        }
    }

    /// Removes all rows and returns them. The caller passes them to [`Rows::dispose`] when no view shows them any more.
    pub(crate) fn take(&self) -> Vec<Row> {
        let rows = self.all.get_untracked();
        self.all.update(Vec::clear);
        self.by_key.update_value(BTreeMap::clear);
        rows
    }

    /// Frees the signals of removed rows.
    pub(crate) fn dispose(rows: Vec<Row>) {
        for row in rows {
            row.summary.dispose();
            row.status.dispose();
            row.assumptions.dispose();
        }
    }
}
