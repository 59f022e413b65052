//! Curves of rows other than the one on show, for files and links.

use std::collections::BTreeMap;

use futures_channel::oneshot::{Sender, channel};
use leptos::prelude::*;

use super::state::{Answer, Curves, Row, RowKey, State};
use crate::share::{self, Record};

/// Who waits for which curves.
#[derive(Clone, Copy)]
pub struct Awaited(StoredValue<BTreeMap<RowKey, Vec<Sender<Curves>>>, LocalStorage>);

impl Awaited {
    /// Nobody.
    pub fn new() -> Self {
        Self(StoredValue::new_local(BTreeMap::new()))
    }

    /// Hands received curves to whoever waits for them.
    pub fn deliver(&self, key: RowKey, received: &Curves) {
        let waiting = self.0.try_update_value(|waiting| waiting.remove(&key)).flatten();
        // Who does not wait any more needs nothing.
        waiting.into_iter().flatten().for_each(|sender| drop(sender.send(received.clone())));
    }

    /// Nothing more will come.
    pub fn give_up(&self) {
        self.0.update_value(BTreeMap::clear);
    }
}

impl State {
    /// The curves of a row, from where they are.
    pub async fn curves(&self, row: Row) -> Curves {
        if let Some(kept) = self.kept.curves(row.key) {
            return kept.get();
        }
        if !self.is_current(row.key) {
            return Err("its curves went with the engine that read it".into());
        }
        let (sender, receiver) = channel();
        self.awaited.0.update_value(|waiting| waiting.entry(row.key).or_default().push(sender));
        self.request_view(row.key);
        receiver.await.unwrap_or_else(|_| Err("the engine stopped before it gave the curves".into()))
    }
}

impl Row {
    /// The row as files and links hold it.
    pub fn record(&self) -> Record {
        let answer = match self.answer.get_untracked() {
            Answer::Predicted(prediction) => share::Answer::Predicted((*prediction).clone()),
            Answer::Refused(why) => share::Answer::Refused(why),
            Answer::Waiting | Answer::Lost => share::Answer::Open,
        };
        Record { summary: (*self.summary.get_untracked()).clone(), answer, snr: None }
    }
}
