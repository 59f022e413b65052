//! Spectra of the session: their flux arrays up to a memory limit, their assumptions, and the files to read them from
//! again.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::engine::EngineError;
use crate::engine::input_files::{Attachment, File, OpenedFile};
use crate::engine::protocol::{Assumptions, SpectrumId};
use crate::spectrum::Spectrum;

/// Limit of the flux arrays of predicted spectra in memory, bytes.
const MAX_BYTES: usize = 512 << 20;

/// Location of a spectrum in the files that the user opened.
pub(super) struct FileLocation<F> {
    pub(super) file: Rc<File<F>>,
    /// Position of the file in a zip archive.
    pub(super) entry: Option<usize>,
    /// Position of the spectrum in the file.
    pub(super) index: usize,
}

/// A spectrum and the user's assumptions about it.
pub(super) struct StoredSpectrum<F> {
    /// Id from its file.
    pub(super) name: String,
    pub(super) location: FileLocation<F>,
    pub(super) assumptions: Assumptions,
    /// The spectrum as it was read; `None` when its flux arrays were evicted.
    spectrum: Option<Spectrum>,
}

impl<F> StoredSpectrum<F> {
    /// The spectrum under the user's assumptions; `None` when its flux arrays were evicted.
    pub(super) fn with_assumptions(&self) -> Option<Cow<'_, Spectrum>> {
        let spectrum = self.spectrum.as_ref()?;
        let is_as_read = self.assumptions == Assumptions::default();
        Some(if is_as_read {
            Cow::Borrowed(spectrum)
        } else {
            Cow::Owned(self.assumptions.applied_to(spectrum.clone()))
        })
    }

    fn bytes(&self) -> usize {
        self.spectrum.as_ref().map_or(0, Spectrum::bytes)
    }
}

/// All spectra of the session.
pub(super) struct SpectrumStore<F> {
    spectra: BTreeMap<SpectrumId, StoredSpectrum<F>>,
    next_id: SpectrumId,
    /// Predicted spectra with flux arrays in memory, the least recently used first.
    evictable: VecDeque<SpectrumId>,
    /// Bytes of all flux arrays in memory.
    bytes: usize,
    max_bytes: usize,
}

impl<F> Default for SpectrumStore<F> {
    fn default() -> Self {
        Self { spectra: BTreeMap::new(), next_id: 0, evictable: VecDeque::new(), bytes: 0, max_bytes: MAX_BYTES }
    }
}

impl<F: Attachment> SpectrumStore<F> {
    pub(super) fn set_limit(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
    }

    /// Bytes of all flux arrays in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a spectrum and returns its number. Its flux arrays stay in memory until [`SpectrumStore::mark_evictable`]
    /// names it.
    pub(super) fn insert(
        &mut self,
        spectrum: Spectrum,
        location: FileLocation<F>,
        assumptions: Assumptions,
    ) -> SpectrumId {
        let id = self.next_id;
        self.next_id += 1;
        self.bytes += spectrum.bytes();
        let name = spectrum.meta.id.clone();
        self.spectra.insert(id, StoredSpectrum { name, location, assumptions, spectrum: Some(spectrum) });
        id
    }

    pub(super) fn get(&self, id: SpectrumId) -> Option<&StoredSpectrum<F>> {
        self.spectra.get(&id)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = SpectrumId> + '_ {
        self.spectra.keys().copied()
    }

    /// Each spectrum with its id and its file.
    pub(super) fn names(&self) -> impl Iterator<Item = (SpectrumId, &str, &str)> {
        self.spectra.iter().map(|(id, stored)| (*id, stored.name.as_str(), stored.location.file.path.as_str()))
    }

    /// Removes all spectra. Their numbers are not used again.
    pub(super) fn clear(&mut self) {
        self.spectra.clear();
        self.evictable.clear();
        self.bytes = 0;
    }

    /// Sets the assumptions about a spectrum. Other columns mean other flux arrays, which are read again on demand.
    pub(super) fn set_assumptions(&mut self, id: SpectrumId, assumptions: Assumptions) {
        let Some(stored) = self.spectra.get_mut(&id) else { return };
        let previous = std::mem::replace(&mut stored.assumptions, assumptions);
        if previous.columns != assumptions.columns {
            self.bytes -= stored.bytes();
            stored.spectrum = None;
        }
    }

    /// Marks predicted spectra as the most recently used, and evicts the flux arrays of other spectra while memory is
    /// short.
    pub(super) fn mark_evictable(&mut self, ids: Vec<SpectrumId>) {
        self.evictable.retain(|id| !ids.contains(id));
        let n_newest = ids.len();
        self.evictable.extend(ids);
        while self.bytes > self.max_bytes && self.evictable.len() > n_newest {
            let Some(stored) = self.evictable.pop_front().and_then(|id| self.spectra.get_mut(&id)) else { continue };
            self.bytes -= stored.bytes();
            stored.spectrum = None;
        }
    }

    /// Reads the flux arrays of a spectrum again if they were evicted.
    pub(super) async fn reload(&mut self, id: SpectrumId) -> Result<(), EngineError> {
        self.reload_all(&[id]).await.1.pop().map_or(Ok(()), |(_, why)| Err(why))
    }

    /// Reads the flux arrays of several spectra again. Returns the loaded spectra, and the others with the reason.
    pub(super) async fn reload_all(&mut self, ids: &[SpectrumId]) -> (Vec<SpectrumId>, Vec<(SpectrumId, EngineError)>) {
        let (mut loaded, mut failures) = (Vec::new(), Vec::new());
        // Spectra that wait for their first prediction are not evictable yet.
        let mut used = Vec::new();
        for &id in ids {
            match self.reload_one(id).await {
                Ok(was_evicted) => {
                    loaded.push(id);
                    used.extend(Some(id).filter(|id| was_evicted || self.evictable.contains(id)));
                }
                Err(why) => failures.push((id, why)),
            }
        }
        self.mark_evictable(used);
        (loaded, failures)
    }

    /// Reads evicted flux arrays again. Returns true when they had been evicted.
    async fn reload_one(&mut self, id: SpectrumId) -> Result<bool, EngineError> {
        let Some(stored) = self.spectra.get(&id).filter(|stored| stored.spectrum.is_none()) else { return Ok(false) };
        let (file, entry, index) = (stored.location.file.clone(), stored.location.entry, stored.location.index);
        let columns = stored.assumptions.columns;
        // A file with assigned columns holds one spectrum.
        let index = if columns.is_some() { 0 } else { index };
        let mut contents = match file.open(columns.as_ref()).await? {
            OpenedFile::Archive(mut archive) => archive.read(entry.unwrap_or_default()),
            OpenedFile::Contents(contents) => contents,
        };
        if index >= contents.spectra.len() {
            return Err(EngineError::FileChanged { file: file.path.clone() });
        }
        let spectrum = contents.spectra.swap_remove(index);
        self.bytes += spectrum.bytes();
        if let Some(stored) = self.spectra.get_mut(&id) {
            stored.spectrum = Some(spectrum);
        }
        Ok(true)
    }
}
