//! Spectra of the session: their flux arrays up to a memory limit, their assumptions, and the files to read them from
//! again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::engine::EngineError;
use crate::engine::input_files::{Attachment, File, OpenedFile};
use crate::engine::protocol::{Assumptions, SpectrumId};
use crate::read::{Contents, Parts};
use crate::spectrum::Spectrum;

/// Limit of the flux arrays of predicted spectra in memory, bytes.
const MAX_BYTES: usize = 256 << 20;

/// Location of a spectrum in the files that the user opened.
pub(super) struct FileLocation<F> {
    pub(super) file: Rc<File<F>>,
    /// Part of the file, if it is read in parts.
    pub(super) part: Option<usize>,
    /// Position of the spectrum in the part or file.
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
    /// Time of the last use, if the flux arrays may be evicted.
    last_use: Option<u64>,
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

/// A file that is read in parts.
type OpenFile<F> = (Rc<File<F>>, Box<Parts<<F as Attachment>::Reader>>);

/// All spectra of the session.
pub(super) struct SpectrumStore<F: Attachment> {
    spectra: BTreeMap<SpectrumId, StoredSpectrum<F>>,
    next_id: SpectrumId,
    /// Predicted spectra with flux arrays in memory, by the time of their last use.
    evictable: BTreeMap<u64, SpectrumId>,
    n_uses: u64,
    /// The file that was read last, if it is read in parts: neighbours are often wanted next.
    open: Option<OpenFile<F>>,
    /// Bytes of all flux arrays in memory.
    bytes: usize,
    max_bytes: usize,
}

impl<F: Attachment> Default for SpectrumStore<F> {
    fn default() -> Self {
        Self {
            spectra: BTreeMap::new(),
            next_id: 0,
            evictable: BTreeMap::new(),
            n_uses: 0,
            open: None,
            bytes: 0,
            max_bytes: MAX_BYTES,
        }
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
        let stored = StoredSpectrum { name, location, assumptions, spectrum: Some(spectrum), last_use: None };
        self.spectra.insert(id, stored);
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
        self.open = None;
        self.bytes = 0;
    }

    /// Sets the assumptions about a spectrum. Other columns mean other flux arrays, which are read again on demand.
    pub(super) fn set_assumptions(&mut self, id: SpectrumId, assumptions: Assumptions) {
        let Some(stored) = self.spectra.get_mut(&id) else { return };
        let previous = std::mem::replace(&mut stored.assumptions, assumptions);
        if previous.columns != assumptions.columns {
            self.evict(id);
        }
    }

    /// Marks predicted spectra as the most recently used, and evicts the flux arrays of other spectra while memory is
    /// short.
    pub(super) fn mark_evictable(&mut self, ids: Vec<SpectrumId>) {
        let n_newest = ids.len();
        for id in ids {
            let Some(stored) = self.spectra.get_mut(&id) else { continue };
            self.n_uses += 1;
            if let Some(earlier) = stored.last_use.replace(self.n_uses) {
                self.evictable.remove(&earlier);
            }
            self.evictable.insert(self.n_uses, id);
        }
        while self.bytes > self.max_bytes && self.evictable.len() > n_newest {
            let Some((_, id)) = self.evictable.pop_first() else { break };
            self.evict(id);
        }
    }

    fn evict(&mut self, id: SpectrumId) {
        let Some(stored) = self.spectra.get_mut(&id) else { return };
        self.bytes -= stored.bytes();
        stored.spectrum = None;
        if let Some(last_use) = stored.last_use.take() {
            self.evictable.remove(&last_use);
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
                Ok(()) => {
                    loaded.push(id);
                    used.extend(Some(id).filter(|id| self.spectra.get(id).is_some_and(|s| s.last_use.is_some())));
                }
                Err(why) => failures.push((id, why)),
            }
        }
        self.mark_evictable(used);
        (loaded, failures)
    }

    /// Reads evicted flux arrays again, with those of the other spectra of the same part or file.
    async fn reload_one(&mut self, id: SpectrumId) -> Result<(), EngineError> {
        let Some(stored) = self.spectra.get(&id).filter(|stored| stored.spectrum.is_none()) else { return Ok(()) };
        let (file, part, index) = (stored.location.file.clone(), stored.location.part, stored.location.index);
        let columns = stored.assumptions.columns;
        let changed = EngineError::FileChanged { file: file.path.clone() };
        if columns.is_some() {
            // A file with assigned columns holds one spectrum.
            let OpenedFile::Contents(contents) = file.open(columns.as_ref()).await? else { return Err(changed) };
            self.restore(id, contents.spectra.into_iter().next().ok_or(changed)?);
            return Ok(());
        }
        let contents = self.contents(&file, part).await?;
        // The spectra of a part have successive numbers.
        let first = id.checked_sub(index as SpectrumId);
        for (i, spectrum) in contents.spectra.into_iter().enumerate() {
            let Some(sibling) = first.map(|first| first + i as SpectrumId) else { break };
            let is_sibling = |stored: &StoredSpectrum<F>| {
                let location = &stored.location;
                Rc::ptr_eq(&location.file, &file) && (location.part, location.index) == (part, i)
            };
            let is_evicted = |stored: &&StoredSpectrum<F>| {
                stored.spectrum.is_none() && stored.assumptions.columns.is_none() && is_sibling(stored)
            };
            if self.spectra.get(&sibling).filter(is_evicted).is_some() {
                self.restore(sibling, spectrum);
            }
        }
        match self.spectra.get(&id).is_some_and(|stored| stored.spectrum.is_some()) {
            true => Ok(()),
            false => Err(changed),
        }
    }

    /// The contents of a file, or of a part of it.
    async fn contents(&mut self, file: &Rc<File<F>>, part: Option<usize>) -> Result<Contents, EngineError> {
        if let (Some((open, parts)), Some(part)) = (&mut self.open, part)
            && Rc::ptr_eq(open, file)
        {
            return Ok(parts.read(part));
        }
        match file.open(None).await? {
            OpenedFile::Contents(contents) => Ok(contents),
            OpenedFile::Parts(mut parts) => {
                let contents = parts.read(part.unwrap_or_default());
                self.open = Some((file.clone(), parts));
                Ok(contents)
            }
        }
    }

    fn restore(&mut self, id: SpectrumId, spectrum: Spectrum) {
        let Some(stored) = self.spectra.get_mut(&id) else { return };
        self.bytes += spectrum.bytes();
        stored.spectrum = Some(spectrum);
        self.n_uses += 1;
        stored.last_use = Some(self.n_uses);
        self.evictable.insert(self.n_uses, id);
    }
}
