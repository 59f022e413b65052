//! Rows imported from a link or a session file: their stored curves and their origin.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use leptos::prelude::*;

use crate::result::SpectrumView;
use crate::share::ModelRef;
use crate::share::session::Session;
use crate::ui::row::{IMPORTED_GENERATION, RowKey};

/// Where the curves of an imported row are stored.
#[derive(Clone)]
pub(crate) enum StoredCurves {
    /// In memory.
    InMemory(Arc<SpectrumView>),
    /// In a session file, under the index of its record.
    InFile(Rc<RefCell<Session>>, usize),
}

impl StoredCurves {
    /// The curves, or the reason why they are missing.
    pub(crate) fn get(&self) -> Result<Arc<SpectrumView>, String> {
        match self {
            Self::InMemory(view) if view.model_flux.is_empty() => {
                Err("The link does not contain the curves of this spectrum. Ask its author for a session file.".into())
            }
            Self::InMemory(view) => Ok(view.clone()),
            Self::InFile(session, result) => match session.borrow_mut().curves(*result) {
                Ok(Some(view)) => Ok(Arc::new(view)),
                Ok(None) => Err("The session file does not contain the curves of this spectrum.".into()),
                Err(why) => Err(why.to_string()),
            },
        }
    }
}

/// Source of a group of imported rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ImportSource {
    /// Its name: "a link", "a session file".
    pub name: &'static str,
    /// Number of rows.
    pub rows: usize,
    /// Models that predicted them.
    pub models: Vec<ModelRef>,
}

/// Curves and sources of the imported rows.
#[derive(Clone, Copy)]
pub(crate) struct ImportedRows {
    /// Source of each group.
    pub sources: RwSignal<Vec<ImportSource>>,
    curves: StoredValue<BTreeMap<RowKey, StoredCurves>, LocalStorage>,
}

impl ImportedRows {
    /// No imported rows.
    pub(crate) fn new() -> Self {
        Self { sources: RwSignal::new(Vec::new()), curves: StoredValue::new_local(BTreeMap::new()) }
    }

    /// Key of the `n`-th row, counted from 0, that is imported after those stored now.
    pub(crate) fn key(&self, n: usize) -> RowKey {
        RowKey { generation: IMPORTED_GENERATION, id: self.curves.with_value(|curves| (curves.len() + n) as u32) }
    }

    /// Stores the curves of a row.
    pub(crate) fn store(&self, key: RowKey, curves: StoredCurves) {
        self.curves.update_value(|stored| drop(stored.insert(key, curves)));
    }

    /// Stored curves of an imported row; `None` for other rows.
    pub(crate) fn curves(&self, key: RowKey) -> Option<StoredCurves> {
        self.curves.with_value(|curves| curves.get(&key).cloned())
    }

    /// Removes all imported rows.
    pub(crate) fn clear(&self) {
        self.curves.update_value(BTreeMap::clear);
        self.sources.update(Vec::clear);
    }
}
