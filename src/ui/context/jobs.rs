//! Jobs that read files, and the files that gave no spectrum.

use std::collections::{BTreeMap, VecDeque};

use leptos::prelude::*;

use super::engine::Engine;
use crate::engine::protocol::{JobId, SpectraRequest};
use crate::read::column_mapping::ColumnMapping;
use crate::read::spectra_name;
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
    /// Files of the running jobs.
    files: StoredValue<BTreeMap<JobId, JobFiles>, LocalStorage>,
    /// Files of jobs of a stopped engine that are read when it has been restarted.
    waiting: StoredValue<Vec<JobFiles>, LocalStorage>,
    next: StoredValue<JobId>,
    engine: Engine,
}

/// Files of a job, which are sent again if the engine stops.
#[derive(Clone, Default)]
pub(crate) struct JobFiles {
    /// The files that the engine has not begun to read, in its order.
    pub unread: VecDeque<NamedFile>,
    /// Columns that the user assigned.
    pub columns: Option<ColumnMapping>,
    /// Path of the file that the engine began last.
    pub begun: String,
    /// True while the engine reads that file.
    pub is_reading: bool,
}

impl JobFiles {
    /// Path of the file that the engine reads now.
    fn reading(&self) -> Option<String> {
        self.is_reading.then(|| self.begun.clone())
    }
}

impl Jobs {
    /// No jobs.
    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            running: RwSignal::new(BTreeMap::new()),
            is_listing_files: RwSignal::new(false),
            skipped: RwSignal::new(Vec::new()),
            files: StoredValue::new_local(BTreeMap::new()),
            waiting: StoredValue::new_local(Vec::new()),
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
        self.files.update_value(|all| {
            all.insert(job, JobFiles { unread: files.iter().cloned().collect(), columns, ..JobFiles::default() });
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

    /// Notes that the engine begins to read a file.
    pub(crate) fn begin_file(&self, job: JobId, path: &str) {
        self.files.update_value(|all| {
            if let Some(files) = all.get_mut(&job) {
                // A file that is read in parts begins many times. The engine takes the files in their order, so the
                // next one is at the front, behind at most those of wavelengths.
                if files.begun != path {
                    files.begun = path.to_owned();
                    let place = files.unread.iter().position(|file| file.path == path);
                    place.and_then(|i| files.unread.remove(i));
                }
                files.is_reading = true;
            }
        });
    }

    /// Path of the file that the engine reads now.
    pub(crate) fn reading(&self) -> Option<String> {
        self.files.with_value(|all| all.values().find_map(JobFiles::reading))
    }

    /// Removes the running jobs after their engine has stopped. Their unread files wait for the next engine. Returns the
    /// paths of the files that the engine was reading.
    pub(crate) fn interrupt(&self) -> Vec<String> {
        self.running.update(BTreeMap::clear);
        let mut stopped = BTreeMap::new();
        self.files.update_value(|all| stopped = std::mem::take(all));
        let reading = stopped.values().filter_map(JobFiles::reading).collect();
        self.waiting.update_value(|waiting| waiting.extend(stopped.into_values()));
        reading
    }

    /// Sends the files of interrupted jobs to a new engine.
    pub(crate) fn resume(&self) {
        let mut waiting = Vec::new();
        self.waiting.update_value(|files| waiting = std::mem::take(files));
        for JobFiles { mut unread, columns, .. } in waiting {
            let paths: Vec<String> = unread.iter().map(|file| file.path.clone()).collect();
            // A file with only the wavelengths of a file that was read is of no further use.
            unread.retain(|file| spectra_name(&file.path).is_none_or(|spectra| paths.contains(&spectra)));
            if !unread.is_empty() {
                self.read(unread.into(), columns);
            }
        }
    }

    /// Sets the progress of a running job.
    pub(crate) fn set_progress(&self, job: JobId, progress: Progress) {
        self.running.update(|jobs| {
            if let Some(stored_progress) = jobs.get_mut(&job) {
                *stored_progress = progress;
            }
        });
        self.files.update_value(|all| {
            if let Some(files) = all.get_mut(&job) {
                files.is_reading = false;
            }
        });
    }

    /// Removes a job that ended.
    pub(crate) fn finish(&self, job: JobId) {
        self.running.update(|jobs| {
            jobs.remove(&job);
        });
        self.files.update_value(|all| {
            all.remove(&job);
        });
    }

    /// Adds an item to the list of skipped files.
    pub(crate) fn skip(&self, source: impl Into<String>, reason: String) {
        self.is_listing_files.set(false);
        self.skipped.update(|list| list.push(SkippedItem { source: source.into(), reason }));
    }

    /// Removes the running jobs. Called when their spectra are cleared.
    pub(crate) fn clear_running(&self) {
        self.interrupt();
        self.waiting.update_value(Vec::clear);
    }
}
