//! Jobs that read files, and the files that gave no spectrum.

use std::collections::BTreeMap;

use leptos::prelude::*;

use super::engine::Engine;
use crate::engine::protocol::{JobId, SpectraRequest};
use crate::read::column_mapping::ColumnMapping;
use crate::ui::files::NamedFile;

/// A file, or a part of a file, that gave no spectrum.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SkippedItem {
    /// The file, and the part of it.
    pub source: String,
    /// The reason, and what to do.
    pub reason: String,
}

/// Progress of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Files read.
    pub files_done: u32,
    /// Files in total.
    pub files_total: u32,
    /// Spectra predicted or refused.
    pub spectra_done: u32,
    /// Spectra found so far.
    pub spectra_total: u32,
}

/// Running jobs and skipped files.
#[derive(Clone, Copy)]
pub(crate) struct Jobs {
    /// Running jobs.
    pub running: RwSignal<BTreeMap<JobId, Progress>>,
    /// True from a drop until the page has listed its files.
    pub is_listing_files: RwSignal<bool>,
    /// Files, and parts of files, that gave no spectrum.
    pub skipped: RwSignal<Vec<SkippedItem>>,
    next: StoredValue<JobId>,
    engine: Engine,
}

impl Jobs {
    /// No jobs.
    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            running: RwSignal::new(BTreeMap::new()),
            is_listing_files: RwSignal::new(false),
            skipped: RwSignal::new(Vec::new()),
            next: StoredValue::new(0),
            engine,
        }
    }

    /// Sends files to the engine as one job.
    pub(crate) fn read(&self, files: Vec<NamedFile>, columns: Option<ColumnMapping>) {
        let job = self.next.get_value();
        self.next.set_value(job + 1);
        let files_total = u32::try_from(files.len()).unwrap_or(u32::MAX);
        self.running.update(|jobs| {
            jobs.insert(job, Progress { files_total, ..Progress::default() });
        });
        let (paths, files) = files.into_iter().map(|f| (f.path, f.file)).unzip();
        self.engine.send(SpectraRequest::Open { job, paths, columns }, files);
    }

    /// Stops every running job. Spectra that were read stay.
    pub(crate) fn cancel(&self) {
        for job in self.running.with_untracked(|jobs| jobs.keys().copied().collect::<Vec<_>>()) {
            self.engine.send(SpectraRequest::Cancel { job }, Vec::new());
        }
    }

    /// Sets the progress of a running job.
    pub(crate) fn set_progress(&self, job: JobId, progress: Progress) {
        self.running.update(|jobs| {
            if let Some(stored_progress) = jobs.get_mut(&job) {
                *stored_progress = progress;
            }
        });
    }

    /// Removes a job that ended.
    pub(crate) fn finish(&self, job: JobId) {
        self.running.update(|jobs| {
            jobs.remove(&job);
        });
    }

    /// Adds an item to the list of skipped files.
    pub(crate) fn skip(&self, source: impl Into<String>, reason: String) {
        self.is_listing_files.set(false);
        self.skipped.update(|list| list.push(SkippedItem { source: source.into(), reason }));
    }

    /// Removes the running jobs. Called when their engine has stopped or their spectra are cleared.
    pub(crate) fn clear_running(&self) {
        self.running.update(BTreeMap::clear);
    }
}
