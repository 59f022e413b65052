//! Passes the engine's events to the contexts.

use std::collections::BTreeMap;
use std::sync::Arc;

use leptos::prelude::*;

use super::actions::Actions;
use super::context::Progress;
use super::row::{PredictionStatus, RowKey};
use crate::engine::protocol::{Event, FinetuneEvent, SpectraEvent};

/// Applies an event. `generation`: number of engines that were started before the engine that sent it.
pub(super) fn apply(actions: Actions, generation: u32, event: Event) {
    if actions.engine.is_clearing() && is_stale_after_clear(&event) {
        return;
    }
    match event {
        Event::Worker(event) => actions.engine.apply(event),
        Event::Spectra(event) => apply_spectra_event(actions, generation, event),
        Event::SpecClip(event) => actions.specclip.apply(generation, event),
        Event::Finetune(event) => apply_finetune_event(actions, generation, event),
        Event::Similarity(event) => actions.similarity.apply(event),
        Event::Diagnostics(event) => actions.diagnostics.apply(generation, event),
    }
}

/// True for events about spectra, labels and fine-tuning: the state that "Clear all" removes.
fn is_stale_after_clear(event: &Event) -> bool {
    match event {
        Event::Spectra(event) => matches!(
            event,
            SpectraEvent::Added { .. }
                | SpectraEvent::Skipped { .. }
                | SpectraEvent::Labels { .. }
                | SpectraEvent::LabelTables { .. }
        ),
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

fn apply_spectra_event(actions: Actions, generation: u32, event: SpectraEvent) {
    let Actions { engine, jobs, rows, table_view, curves, labels, columns, .. } = actions;
    let key = |id| RowKey { generation, id };
    match event {
        SpectraEvent::XpModelLoading { done, total } => {
            engine.xp_loading.set((done < total).then_some((done, total)));
        }
        SpectraEvent::XpModelReady(card) => {
            engine.xp_loading.set(None);
            engine.xp_model.set(Some(*card));
        }
        SpectraEvent::Reading { job, path } => jobs.begin_file(job, &path),
        SpectraEvent::Added { spectrum, summary, .. } => {
            actions.add_row(key(spectrum), *summary, PredictionStatus::Pending);
        }
        SpectraEvent::Skipped { item, reason, .. } => jobs.skip(item, reason),
        SpectraEvent::Predicted { spectrum, prediction } => {
            set_status(actions, key(spectrum), PredictionStatus::Predicted(Arc::new(*prediction)));
        }
        SpectraEvent::NotPredicted { spectrum, reason } => {
            set_status(actions, key(spectrum), PredictionStatus::NotPredicted(reason));
        }
        SpectraEvent::View { spectrum, view } => curves.deliver(key(spectrum), Ok(Arc::new(*view))),
        SpectraEvent::ViewUnavailable { spectrum, reason } => curves.deliver(key(spectrum), Err(reason)),
        SpectraEvent::Updated { spectrum, summary } => {
            if let Some(row) = rows.get(key(spectrum)) {
                row.summary.set(Arc::new(*summary));
            }
        }
        SpectraEvent::Preview { path, preview } => columns.set_preview(&path, preview),
        SpectraEvent::Labels { values } => {
            let values = values.into_iter().map(|(id, values)| (key(id), values));
            labels.values.update(|all| all.extend(values));
        }
        SpectraEvent::LabelTables { tables } => labels.tables.set(tables),
        SpectraEvent::Progress { job, files_done, files_total, spectra_done, spectra_total } => {
            jobs.set_progress(job, Progress { files_done, files_total, spectra_done, spectra_total });
        }
        SpectraEvent::Cleared => engine.confirm_clear(),
        SpectraEvent::Done { job, .. } => {
            // Update the table before the progress bar disappears.
            table_view.update();
            jobs.finish(job);
        }
    }
}

fn set_status(actions: Actions, key: RowKey, status: PredictionStatus) {
    let Some(row) = actions.rows.get(key) else { return };
    row.status.set(status);
    if actions.jobs.running.with_untracked(BTreeMap::is_empty) {
        actions.rows.late_prediction.notify();
    }
    actions.table_view.schedule_update();
    // The prediction adds the normalised spectrum and the last preprocessing steps.
    actions.selection.reload(key);
}

fn apply_finetune_event(actions: Actions, generation: u32, event: FinetuneEvent) {
    if matches!(event, FinetuneEvent::AdapterApplied { .. } | FinetuneEvent::Failed(_)) {
        actions.specclip.remove_empty_report();
    }
    let changes_adapter = matches!(event, FinetuneEvent::AdapterApplied { .. } | FinetuneEvent::AdapterRemoved);
    actions.finetune.apply(generation, event);
    if changes_adapter {
        actions.opened_files.autosave();
    }
}
