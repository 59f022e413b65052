//! The published `SpecCLIP` models that the user opened, and their values.

use std::collections::BTreeMap;

use leptos::prelude::*;

use super::engine::Engine;
use crate::engine::protocol::{SpecClipEvent, SpecClipReport, SpecClipRequest};
use crate::result::specclip::SpecClipValue;
use crate::ui::files::NamedFile;
use crate::ui::row::RowKey;

/// `SpecCLIP` models and their values.
#[derive(Clone, Copy)]
pub(crate) struct SpecClip {
    /// State of the `SpecCLIP` models; `None` while there are none.
    pub report: RwSignal<Option<SpecClipReport>>,
    /// Values from the published `SpecCLIP` models, by row, or the reason why there are none.
    pub values: RwSignal<BTreeMap<RowKey, Result<Vec<SpecClipValue>, String>>>,
    engine: Engine,
}

impl SpecClip {
    /// No models.
    pub(crate) fn new(engine: Engine) -> Self {
        Self { report: RwSignal::new(None), values: RwSignal::new(BTreeMap::new()), engine }
    }

    /// Opens checkpoints, or the whole published folder.
    pub(crate) fn add(&self, files: Vec<NamedFile>) {
        let (paths, files) = files.into_iter().map(|f| (f.path, f.file)).unzip();
        self.report.update(|report| *report = Some(report.take().unwrap_or_default()));
        self.engine.send(SpecClipRequest::Add { paths }, files);
    }

    /// Removes the `SpecCLIP` models and their values.
    pub(crate) fn remove(&self) {
        self.engine.send(SpecClipRequest::Remove, Vec::new());
        self.report.set(None);
        self.clear_values();
    }

    /// Removes the values, when their spectra are cleared.
    pub(crate) fn clear_values(&self) {
        self.values.update(BTreeMap::clear);
    }

    /// Removes the models after a crash of the engine, which held them.
    pub(crate) fn handle_engine_loss(&self) {
        self.report.set(None);
    }

    /// Removes the report of a file that proved to be an adapter. Until the engine has read it, the file is listed as a
    /// `SpecCLIP` file.
    pub(crate) fn remove_empty_report(&self) {
        self.report.update(|stored| {
            stored.take_if(|report| !report.is_complete && report.networks.is_empty() && report.busy.is_none());
        });
    }

    /// Applies an event. `generation`: number of engines that were started before the engine that sent it.
    pub(crate) fn apply(&self, generation: u32, event: SpecClipEvent) {
        match event {
            SpecClipEvent::Status(report) => {
                // Ignore the report if the user has removed the models meanwhile.
                self.report.update(|stored| {
                    if let Some(stored) = stored {
                        *stored = *report;
                    }
                });
            }
            SpecClipEvent::Values { spectrum, values } => {
                if self.report.with_untracked(Option::is_some) {
                    self.values.update(|all| drop(all.insert(RowKey { generation, id: spectrum }, values)));
                }
            }
        }
    }
}
