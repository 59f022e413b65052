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
pub enum StoredCurves {
    /// In memory.
    InMemory(Arc<SpectrumView>),
    /// In a session file, under the index of its record.
    InFile(Rc<RefCell<Session>>, usize),
}

impl StoredCurves {
    /// The curves, or the reason why they are missing.
    pub fn get(&self) -> Result<Arc<SpectrumView>, String> {
        match self {
            StoredCurves::InMemory(view) if view.model_flux.is_empty() => {
                Err("The link does not contain the curves of this spectrum. Ask its author for a session file.".into())
            }
            StoredCurves::InMemory(view) => Ok(view.clone()),
            StoredCurves::InFile(session, result) => match session.borrow_mut().curves(*result) {
                Ok(Some(view)) => Ok(Arc::new(view)),
                Ok(None) => Err("The session file does not contain the curves of this spectrum.".into()),
                Err(why) => Err(why.to_string()),
            },
        }
    }
}

/// Origin of a group of imported rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// Its name: "a link", "a session file".
    pub source: &'static str,
    /// Number of rows.
    pub rows: usize,
    /// Models that predicted them.
    pub models: Vec<ModelRef>,
}

/// Curves and origins of the imported rows.
#[derive(Clone, Copy)]
pub struct ImportedRows {
    /// Origin of each group.
    pub origins: RwSignal<Vec<Origin>>,
    curves: StoredValue<BTreeMap<RowKey, StoredCurves>, LocalStorage>,
}

impl ImportedRows {
    /// No imported rows.
    pub fn new() -> Self {
        Self { origins: RwSignal::new(Vec::new()), curves: StoredValue::new_local(BTreeMap::new()) }
    }

    /// Key of the `n`-th row, counted from 0, that is imported after those stored now.
    pub fn key(&self, n: usize) -> RowKey {
        RowKey { generation: IMPORTED_GENERATION, id: self.curves.with_value(|curves| (curves.len() + n) as u32) }
    }

    /// Stores the curves of a row.
    pub fn store(&self, key: RowKey, curves: StoredCurves) {
        self.curves.update_value(|stored| drop(stored.insert(key, curves)));
    }

    /// Stored curves of a row, if it is an imported one.
    pub fn curves(&self, key: RowKey) -> Option<StoredCurves> {
        self.curves.with_value(|curves| curves.get(&key).cloned())
    }

    /// Removes all imported rows.
    pub fn clear(&self) {
        self.curves.update_value(BTreeMap::clear);
        self.origins.update(Vec::clear);
    }
}
