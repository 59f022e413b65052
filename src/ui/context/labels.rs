//! Label tables, and their values for the spectra.

use std::collections::BTreeMap;

use leptos::prelude::*;

use crate::engine::protocol::LabelTableReport;
use crate::result::Estimate;
use crate::ui::row::RowKey;

/// Label tables and their values.
#[derive(Clone, Copy)]
pub(crate) struct Labels {
    /// Label tables, with the number of matched spectra.
    pub tables: RwSignal<Vec<LabelTableReport>>,
    /// Values from label tables, by row. They are not stored in the rows: most rows have none, and a signal for each of
    /// ten thousand rows takes time.
    pub values: RwSignal<BTreeMap<RowKey, Vec<Estimate>>>,
}

impl Labels {
    /// No label tables.
    pub(crate) fn new() -> Self {
        Self { tables: RwSignal::new(Vec::new()), values: RwSignal::new(BTreeMap::new()) }
    }

    /// Removes all label tables.
    pub(crate) fn clear(&self) {
        self.tables.update(Vec::clear);
        self.values.update(BTreeMap::clear);
    }
}
