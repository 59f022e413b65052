//! Files that were dropped together, and how far they are.

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use super::MAX_BATCH;
use crate::engine::dropped::File;
use crate::engine::{Event, JobId, SpectrumId};
use crate::read::Archive;
use crate::read::by_hand::Columns;

/// Files that were dropped together.
pub(super) struct Job<F> {
    pub(super) id: JobId,
    /// How the user says that its texts are to be read.
    pub(super) columns: Option<Columns>,
    pub(super) files: VecDeque<Rc<File<F>>>,
    pub(super) archive: Option<OpenArchive<F>>,
    pub(super) files_total: u32,
    /// Spectra that no network has seen yet.
    pub(super) waiting: VecDeque<SpectrumId>,
    /// Gaia XP spectra among them that wait for the encoder pair.
    pub(super) apart: BTreeSet<SpectrumId>,
    pub(super) spectra_done: u32,
    pub(super) spectra_total: u32,
}

/// A zip that is being read.
pub(super) struct OpenArchive<F> {
    pub(super) archive: Archive<Vec<u8>>,
    pub(super) file: Rc<File<F>>,
    /// Position of the file to read next.
    pub(super) next: usize,
}

impl<F> Job<F> {
    /// How many spectra to predict next.
    pub(super) fn batch(&self) -> usize {
        (1 + self.spectra_done as usize).min(MAX_BATCH)
    }

    /// True when every file was read.
    pub(super) fn is_read(&self) -> bool {
        self.files.is_empty() && self.archive.is_none()
    }

    /// True when nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        self.is_read() && self.waiting.is_empty() && self.apart.is_empty()
    }

    pub(super) fn progress(&self) -> Event {
        let in_archive = self.archive.as_ref().map_or(0, |open| open.archive.len() - open.next);
        Event::Progress {
            job: self.id,
            files_done: self.files_total - (self.files.len() + in_archive) as u32,
            files_total: self.files_total,
            spectra_done: self.spectra_done,
            spectra_total: self.spectra_total,
        }
    }
}
