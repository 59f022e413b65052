//! A job: files that the user opened together, and their progress.

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use super::MAX_BATCH;
use crate::engine::input_files::{Attachment, File};
use crate::engine::protocol::{JobId, SpectraEvent, SpectrumId};
use crate::read::column_mapping::ColumnMapping;
use crate::read::{ListedParts, Parts};

/// Files that the user opened together.
pub(super) struct Job<F: Attachment> {
    pub(super) id: JobId,
    /// Columns of the text files, where the user assigned them.
    pub(super) columns: Option<ColumnMapping>,
    pub(super) files: VecDeque<Rc<File<F>>>,
    pub(super) open: Option<OpenParts<F>>,
    pub(super) files_total: u32,
    /// Spectra without a prediction.
    pub(super) waiting: VecDeque<SpectrumId>,
    /// Gaia XP spectra that wait for their model.
    pub(super) waiting_for_xp_model: BTreeSet<SpectrumId>,
    pub(super) spectra_done: u32,
    pub(super) spectra_total: u32,
}

/// A file that is being read in parts.
pub(super) struct OpenParts<F: Attachment> {
    pub(super) parts: Box<Parts<F::Reader>>,
    pub(super) file: Rc<File<F>>,
    /// Position of the part to read next.
    pub(super) next: usize,
    pub(super) listed: ListedParts,
}

impl<F: Attachment> OpenParts<F> {
    /// Number of files in an archive that were not read.
    pub(super) fn files_left(&self) -> usize {
        if self.parts.rows_from(0).is_some() { 1 } else { self.parts.len() - self.next }
    }
}

impl<F: Attachment> Job<F> {
    /// A job with no file read yet.
    pub(super) fn new(id: JobId, columns: Option<ColumnMapping>, files: VecDeque<Rc<File<F>>>) -> Self {
        Self {
            id,
            columns,
            files_total: files.len() as u32,
            files,
            open: None,
            waiting: VecDeque::new(),
            waiting_for_xp_model: BTreeSet::new(),
            spectra_done: 0,
            spectra_total: 0,
        }
    }

    /// Size of the next batch.
    pub(super) fn batch_size(&self) -> usize {
        (1 + self.spectra_done as usize).min(MAX_BATCH)
    }

    /// Removes the next batch from the waiting spectra.
    pub(super) fn next_batch(&mut self) -> Vec<SpectrumId> {
        self.waiting.drain(..self.batch_size().min(self.waiting.len())).collect()
    }

    /// True when every file was read.
    pub(super) fn is_read(&self) -> bool {
        self.files.is_empty() && self.open.is_none()
    }

    /// True when nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        self.is_read() && self.waiting.is_empty() && self.waiting_for_xp_model.is_empty()
    }

    pub(super) fn progress(&self) -> SpectraEvent {
        let in_archive = self.open.as_ref().map_or(0, OpenParts::files_left);
        // The rows of an open bundle count, although they are not read yet.
        let rows_left = self.open.as_ref().and_then(|open| open.parts.rows_from(open.next)).unwrap_or(0);
        SpectraEvent::Progress {
            job: self.id,
            files_done: self.files_total - (self.files.len() + in_archive) as u32,
            files_total: self.files_total,
            spectra_done: self.spectra_done,
            spectra_total: self.spectra_total + rows_left as u32,
        }
    }
}
