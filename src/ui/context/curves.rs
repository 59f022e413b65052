//! Curves of spectra: of the selected spectrum for the plots, of any spectrum for files and links.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures_channel::oneshot::{Sender, channel};
use leptos::prelude::*;

use super::engine::Engine;
use super::imported_rows::ImportedRows;
use super::rows::Rows;
use crate::engine::protocol::SpectraRequest;
use crate::result::SpectrumView;
use crate::ui::row::{Row, RowKey};

/// The curves of a spectrum, or the reason why there are none.
type CurvesResult = Result<Arc<SpectrumView>, String>;

/// Number of spectra whose curves are requested ahead.
const AT_ONCE: usize = 64;

/// Number of spectra between two reports of progress.
const PROGRESS_STEP: usize = 16;

/// Curves of the selected spectrum, and the tasks that wait for curves.
#[derive(Clone, Copy)]
pub(crate) struct Curves {
    /// Row of the curves received last, and the curves or the reason why there are none.
    pub selected: RwSignal<Option<(RowKey, CurvesResult)>>,
    waiting: StoredValue<BTreeMap<RowKey, Vec<Sender<CurvesResult>>>, LocalStorage>,
    engine: Engine,
    rows: Rows,
    imported: ImportedRows,
}

impl Curves {
    /// No curves.
    pub(crate) fn new(engine: Engine, rows: Rows, imported: ImportedRows) -> Self {
        let waiting = StoredValue::new_local(BTreeMap::new());
        Self { selected: RwSignal::new(None), waiting, engine, rows, imported }
    }

    /// Shows the curves of an imported row, or requests them from the engine.
    pub(crate) fn load(&self, key: RowKey) {
        if let Some(curves) = self.imported.curves(key) {
            self.selected.set(Some((key, curves.get())));
        } else if self.engine.is_current(key) {
            self.request(key);
        }
    }

    /// Curves of a row, from memory, a session file or the engine. They are requested at once, so that the engine can
    /// compute those of several rows before the first is awaited.
    pub(crate) fn of(&self, row: Row) -> impl Future<Output = CurvesResult> + use<> {
        let stored = self.imported.curves(row.key);
        let (sender, receiver) = channel();
        let is_lost = stored.is_none() && !self.engine.is_current(row.key);
        if stored.is_none() && !is_lost {
            self.waiting.update_value(|waiting| waiting.entry(row.key).or_default().push(sender));
            self.request(row.key);
        }
        async move {
            match stored {
                Some(stored) => stored.get(),
                None if is_lost => Err("the engine stopped and the curves are lost; read the file again".into()),
                None => receiver.await.unwrap_or_else(|_| Err("the engine stopped before it sent the curves".into())),
            }
        }
    }

    /// Passes the curves of all rows to `each`, in order, with the position of the row. `progress` gets the number of rows
    /// done; it returns false to stop.
    pub(crate) async fn for_each(
        &self,
        rows: &[Row],
        mut progress: impl FnMut(usize) -> bool,
        mut each: impl FnMut(usize, CurvesResult) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut rows = rows.iter();
        let mut requested: VecDeque<_> = rows.by_ref().take(AT_ONCE).map(|row| self.of(*row)).collect();
        let mut done = 0;
        while let Some(curves) = requested.pop_front() {
            each(done, curves.await)?;
            done += 1;
            requested.extend(rows.next().map(|row| self.of(*row)));
            if done % PROGRESS_STEP == 0 && !progress(done) {
                return Err("Cancelled; nothing was saved.".into());
            }
        }
        Ok(())
    }

    /// Sends received curves to the tasks that wait for them, and shows those of the selected row.
    pub(crate) fn deliver(&self, key: RowKey, received: CurvesResult) {
        let waiting = self.waiting.try_update_value(|waiting| waiting.remove(&key)).flatten();
        // A task that no longer waits has dropped its receiver; the error can be ignored.
        waiting.into_iter().flatten().for_each(|sender| drop(sender.send(received.clone())));
        if self.rows.selected.get_untracked() == Some(key) {
            self.selected.set(Some((key, received)));
        }
    }

    /// Drops all waiting tasks, for example after the engine stopped.
    pub(crate) fn drop_waiting(&self) {
        self.waiting.update_value(BTreeMap::clear);
    }

    /// Removes the curves of the selected spectrum and drops all waiting tasks.
    pub(crate) fn clear(&self) {
        self.selected.set(None);
        self.drop_waiting();
    }

    fn request(&self, key: RowKey) {
        self.engine.send(SpectraRequest::View { spectrum: key.id }, Vec::new());
    }
}
