//! What the engine says, brought to the page's state.

use std::collections::BTreeMap;
use std::sync::Arc;

use leptos::prelude::*;

use super::state::{Answer, Curves, EngineStatus, Progress, RowKey, State};
use crate::engine::Event;
use crate::engine::teach_message::TeachEvent;

/// True of what is said of spectra, labels and what is learned from them: all that "Clear all" forgets.
fn is_of_spectra(event: &Event) -> bool {
    match event {
        Event::Found { .. } | Event::Skipped { .. } | Event::Labelled { .. } | Event::Tables { .. } => true,
        Event::Teaching(event) => !matches!(
            event,
            TeachEvent::Bases(_) | TeachEvent::Fetching { .. } | TeachEvent::InUse { .. } | TeachEvent::NotInUse
        ),
        _ => false,
    }
}

impl State {
    /// Takes in what the engine of `epoch` said.
    pub fn receive(&self, epoch: u32, event: Event) {
        let key = |id| RowKey { epoch, id };
        if self.clearing.get_value() > 0 && is_of_spectra(&event) {
            return;
        }
        match event {
            Event::Cleared => self.clearing.update_value(|n| *n = n.saturating_sub(1)),
            Event::Loading { what, done, total } => self.engine.set(EngineStatus::Loading { what, done, total }),
            Event::Ready { backend, model } => {
                self.model.set(Some(model));
                self.engine.set(EngineStatus::Ready(backend));
            }
            Event::Unavailable { reason } => self.engine.set(EngineStatus::Unavailable(reason)),
            Event::Found { spectrum, summary, .. } => self.add_row(key(spectrum), *summary, Answer::Waiting),
            Event::Skipped { what, why, .. } => self.skip(what, why),
            Event::Predicted { spectrum, prediction } => {
                self.answer(key(spectrum), Answer::Predicted(Arc::new(*prediction)));
            }
            Event::Refused { spectrum, why } => self.answer(key(spectrum), Answer::Refused(why)),
            Event::View { spectrum, view } => self.take_view(key(spectrum), Ok(Arc::new(*view))),
            Event::NoView { spectrum, why } => self.take_view(key(spectrum), Err(why)),
            Event::Changed { spectrum, summary } => {
                if let Some(row) = self.row(key(spectrum)) {
                    row.summary.set(Arc::new(*summary));
                }
            }
            Event::Labelled { values } => {
                self.catalogue.update(|all| all.extend(values.into_iter().map(|(id, values)| (key(id), values))));
            }
            Event::Preview { path, preview } => self.columns.update(|question| {
                if let Some(question) = question.as_mut().filter(|question| question.path == path) {
                    question.preview = Some(preview);
                }
            }),
            Event::Networks { report } => {
                // One that was removed meanwhile stays so.
                self.networks.update(|known| {
                    if let Some(known) = known {
                        *known = *report;
                    }
                });
            }
            Event::Measured { spectrum, values } => {
                if self.networks.with_untracked(Option::is_some) {
                    self.measured.update(|all| drop(all.insert(key(spectrum), values)));
                }
            }
            Event::Tables { tables } => self.tables.set(tables),
            Event::Teaching(event) => self.receive_teaching(epoch, event),
            Event::Likes(event) => self.receive_likes(event),
            Event::Reading(event) => self.receive_reading(epoch, event),
            Event::Progress { job, files_done, files_total, spectra_done, spectra_total } => {
                let progress = Progress { files_done, files_total, spectra_done, spectra_total };
                self.jobs.update(|jobs| {
                    if let Some(known) = jobs.get_mut(&job) {
                        *known = progress;
                    }
                });
            }
            // The page asked the two engines for these, not the state.
            Event::GpuTested { .. } | Event::HelpLost { .. } => {}
            Event::Done { job, .. } => {
                // When the progress goes, everything it told of is there.
                self.rearrange();
                self.jobs.update(|jobs| {
                    jobs.remove(&job);
                });
            }
        }
    }

    fn take_view(&self, key: RowKey, view: Curves) {
        self.awaited.deliver(key, &view);
        if self.selected.get_untracked() == Some(key) {
            self.view.set(Some((key, view)));
        }
    }

    fn answer(&self, key: RowKey, answer: Answer) {
        let Some(row) = self.row(key) else { return };
        row.answer.set(answer);
        if self.jobs.with_untracked(BTreeMap::is_empty) {
            self.late_answer.notify();
        }
        self.rearrange_soon();
        // The answer brings the model's side of the curves and the end of the ledger with it.
        if self.selected.get_untracked() == Some(key) {
            self.ask_for_view(key);
            self.ask_reading(key);
        }
    }
}
