//! Applies the engine's events to the page's state.

use std::collections::BTreeMap;
use std::sync::Arc;

use leptos::prelude::*;

use super::state::{Curves, EngineStatus, PredictionStatus, Progress, RowKey, State};
use crate::engine::protocol::{Event, FinetuneEvent, SpecClipEvent, SpectraEvent, WorkerEvent};

/// True for events about spectra, labels and fine-tuning: the state that "Clear all" removes.
fn is_of_spectra(event: &Event) -> bool {
    match event {
        Event::Spectra(SpectraEvent::Added { .. })
        | Event::Spectra(SpectraEvent::Skipped { .. })
        | Event::Spectra(SpectraEvent::Labels { .. })
        | Event::Spectra(SpectraEvent::LabelTables { .. }) => true,
        Event::Finetune(event) => !matches!(
            event,
            FinetuneEvent::BaseModels(_)
                | FinetuneEvent::Fetching { .. }
                | FinetuneEvent::AdapterApplied { .. }
                | FinetuneEvent::AdapterRemoved
        ),
        _ => false,
    }
}

impl State {
    /// Applies an event from the engine of this generation.
    pub fn receive(&self, generation: u32, event: Event) {
        let key = |id| RowKey { generation, id };
        if self.pending_clears.get_value() > 0 && is_of_spectra(&event) {
            return;
        }
        match event {
            Event::Spectra(SpectraEvent::Cleared) => self.pending_clears.update_value(|n| *n = n.saturating_sub(1)),
            Event::Worker(WorkerEvent::Loading { item: what, done, total }) => {
                self.engine.set(EngineStatus::Loading { name: what, done, total })
            }
            Event::Worker(WorkerEvent::Ready { backend, model }) => {
                self.model.set(Some(model));
                self.engine.set(EngineStatus::Ready(backend));
            }
            Event::Worker(WorkerEvent::Unavailable { reason }) => self.engine.set(EngineStatus::Unavailable(reason)),
            Event::Spectra(SpectraEvent::Added { spectrum, summary, .. }) => {
                self.add_row(key(spectrum), *summary, PredictionStatus::Pending)
            }
            Event::Spectra(SpectraEvent::Skipped { item: what, reason: why, .. }) => self.skip(what, why),
            Event::Spectra(SpectraEvent::Predicted { spectrum, prediction }) => {
                self.set_status(key(spectrum), PredictionStatus::Predicted(Arc::new(*prediction)));
            }
            Event::Spectra(SpectraEvent::Refused { spectrum, reason: why }) => {
                self.set_status(key(spectrum), PredictionStatus::Refused(why))
            }
            Event::Spectra(SpectraEvent::View { spectrum, view }) => {
                self.store_curves(key(spectrum), Ok(Arc::new(*view)))
            }
            Event::Spectra(SpectraEvent::ViewUnavailable { spectrum, reason: why }) => {
                self.store_curves(key(spectrum), Err(why))
            }
            Event::Spectra(SpectraEvent::Updated { spectrum, summary }) => {
                if let Some(row) = self.row(key(spectrum)) {
                    row.summary.set(Arc::new(*summary));
                }
            }
            Event::Spectra(SpectraEvent::Labels { values }) => {
                let values = values.into_iter().map(|(id, values)| (key(id), values));
                self.catalogue_labels.update(|all| all.extend(values));
            }
            Event::Spectra(SpectraEvent::Preview { path, preview }) => self.column_question.update(|question| {
                if let Some(question) = question.as_mut().filter(|question| question.path == path) {
                    question.preview = Some(preview);
                }
            }),
            Event::SpecClip(SpecClipEvent::Status(report)) => {
                // Ignore the report if the user has removed the models meanwhile.
                self.specclip.update(|known| {
                    if let Some(known) = known {
                        *known = *report;
                    }
                });
            }
            Event::SpecClip(SpecClipEvent::Values { spectrum, values }) => {
                if self.specclip.with_untracked(Option::is_some) {
                    self.specclip_values.update(|all| drop(all.insert(key(spectrum), values)));
                }
            }
            Event::Spectra(SpectraEvent::LabelTables { tables }) => self.label_tables.set(tables),
            Event::Finetune(event) => self.receive_finetune_event(generation, event),
            Event::Similarity(event) => self.apply_similarity_event(event),
            Event::Diagnostics(event) => self.apply_diagnostics_event(generation, event),
            Event::Spectra(SpectraEvent::Progress { job, files_done, files_total, spectra_done, spectra_total }) => {
                let progress = Progress { files_done, files_total, spectra_done, spectra_total };
                self.jobs.update(|jobs| {
                    if let Some(known) = jobs.get_mut(&job) {
                        *known = progress;
                    }
                });
            }
            // `GpuLink` and `EngineLink` handle these.
            Event::Worker(WorkerEvent::GpuTested { .. }) | Event::Worker(WorkerEvent::GpuLost { .. }) => {}
            Event::Spectra(SpectraEvent::Done { job, .. }) => {
                // Update the table before the progress bar goes.
                self.update_view();
                self.jobs.update(|jobs| {
                    jobs.remove(&job);
                });
            }
        }
    }

    fn store_curves(&self, key: RowKey, curves: Curves) {
        self.pending_curves.deliver(key, &curves);
        if self.selected.get_untracked() == Some(key) {
            self.selected_curves.set(Some((key, curves)));
        }
    }

    fn set_status(&self, key: RowKey, status: PredictionStatus) {
        let Some(row) = self.row(key) else { return };
        row.status.set(status);
        if self.jobs.with_untracked(BTreeMap::is_empty) {
            self.late_prediction.notify();
        }
        self.schedule_view_update();
        // The prediction adds the normalised spectrum and the last preprocessing steps.
        if self.selected.get_untracked() == Some(key) {
            self.load_curves(key);
            self.request_diagnostics(key);
        }
    }
}
