//! Curves of any row, for files and links.

use std::collections::BTreeMap;

use futures_channel::oneshot::{Sender, channel};
use leptos::prelude::*;

use super::state::{Curves, PredictionStatus, Row, RowKey, State};
use crate::share::{self, Record};

/// Tasks that wait for the curves of a row.
#[derive(Clone, Copy)]
pub struct PendingViews(StoredValue<BTreeMap<RowKey, Vec<Sender<Curves>>>, LocalStorage>);

impl PendingViews {
    /// No task waits.
    pub fn new() -> Self {
        Self(StoredValue::new_local(BTreeMap::new()))
    }

    /// Sends received curves to the tasks that wait for them.
    pub fn deliver(&self, key: RowKey, received: &Curves) {
        let waiting = self.0.try_update_value(|waiting| waiting.remove(&key)).flatten();
        // A task that no longer waits has dropped its receiver; the error can be ignored.
        waiting.into_iter().flatten().for_each(|sender| drop(sender.send(received.clone())));
    }

    /// Drops all waiting tasks, for example after the engine stopped.
    pub fn clear_pending(&self) {
        self.0.update_value(BTreeMap::clear);
    }
}

impl State {
    /// Curves of a row, from memory, a session file or the engine.
    pub async fn curves(&self, row: Row) -> Curves {
        if let Some(stored) = self.imported.curves(row.key) {
            return stored.get();
        }
        if !self.is_current(row.key) {
            return Err("the engine that held its curves has stopped; read the file again".into());
        }
        let (sender, receiver) = channel();
        self.pending_curves.0.update_value(|waiting| waiting.entry(row.key).or_default().push(sender));
        self.request_curves(row.key);
        receiver.await.unwrap_or_else(|_| Err("the engine stopped before it sent the curves".into()))
    }
}

impl Row {
    /// The row as a record for files and links.
    pub fn record(&self) -> Record {
        let outcome = match self.status.get_untracked() {
            PredictionStatus::Predicted(prediction) => share::Outcome::Predicted((*prediction).clone()),
            PredictionStatus::Refused(why) => share::Outcome::Refused(why),
            PredictionStatus::Pending | PredictionStatus::Lost => share::Outcome::Pending,
        };
        Record { summary: (*self.summary.get_untracked()).clone(), outcome, snr: None }
    }
}
