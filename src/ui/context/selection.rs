//! Selection of a row: the detail panel shows it, with its curves and diagnostics.

use leptos::prelude::*;

use super::curves::Curves;
use super::diagnostics::Diagnostics;
use super::rows::Rows;
use super::table_view::TableView;
use crate::ui::row::RowKey;

/// Selects rows and requests their curves and diagnostics.
#[derive(Clone, Copy)]
pub(crate) struct Selection {
    /// True after a key press moved the selection: the newly selected row then takes the focus.
    pub takes_focus: StoredValue<bool>,
    rows: Rows,
    table_view: TableView,
    curves: Curves,
    diagnostics: Diagnostics,
}

impl Selection {
    /// Nothing is selected.
    pub(crate) fn new(rows: Rows, table_view: TableView, curves: Curves, diagnostics: Diagnostics) -> Self {
        Self { takes_focus: StoredValue::new(false), rows, table_view, curves, diagnostics }
    }

    /// Selects a row and requests its curves.
    pub(crate) fn select(&self, key: RowKey) {
        if self.rows.selected.get_untracked() == Some(key) {
            return;
        }
        self.rows.selected.set(Some(key));
        self.load(key);
    }

    /// Moves the selection down by `step` rows, or up if `step` is negative.
    pub(crate) fn select_by(&self, step: isize) {
        let rows = self.table_view.shown.get_untracked();
        let selected = self.rows.selected.get_untracked();
        let current = selected.and_then(|key| rows.iter().position(|row| row.key == key));
        let last = rows.len().saturating_sub(1);
        let next = current.map_or(0, |i| i.saturating_add_signed(step).min(last));
        // At either end of the table the selection stays, and no row takes the focus.
        self.takes_focus.update_value(|is_set| *is_set &= current != Some(next));
        if let Some(row) = rows.get(next) {
            self.select(row.key);
        }
    }

    /// Requests the curves of a row again, if it is the selected one.
    pub(crate) fn reload(&self, key: RowKey) {
        if self.rows.selected.get_untracked() == Some(key) {
            self.load(key);
        }
    }

    fn load(&self, key: RowKey) {
        self.curves.load(key);
        self.diagnostics.request(key);
    }
}
