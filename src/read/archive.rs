//! Zip archives of spectrum files, read one file at a time.

use std::collections::HashMap;

use super::container::{Zip, is_zip};
use super::error::ReadError;
use super::{Contents, SkippedPart, read_at, sampling_name, spectra_name};

/// A zip archive whose entries are separate files. Only one entry is unpacked in memory at a time.
pub struct Archive<T> {
    zip: Zip<T>,
    files: Vec<(usize, String)>,
    /// Index in the zip archive by file name.
    index_by_name: HashMap<String, usize>,
    depth: usize,
}

impl<T: AsRef<[u8]>> Archive<T> {
    /// True for a zip archive, except an `.npz` bundle of arrays and a document of an office program.
    pub fn identify(bytes: &[u8]) -> bool {
        is_zip(bytes) && Zip::open(bytes).is_ok_and(|zip| !zip.is_bundle() && zip.office_document().is_none())
    }

    /// Reads the archive's directory.
    ///
    /// # Errors
    ///
    /// If the archive is damaged or lists no file.
    pub fn open(bytes: T) -> Result<Self, ReadError> {
        Self::at_depth(Zip::open(bytes)?, 0)
    }

    pub(super) fn at_depth(zip: Zip<T>, depth: usize) -> Result<Self, ReadError> {
        let files = zip.files();
        let index_by_name = files.iter().map(|(index, file)| (file.clone(), *index)).collect();
        if files.is_empty() { Err(ReadError::Empty) } else { Ok(Self { zip, files, index_by_name, depth }) }
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Never true: an archive without files does not open.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The contents of the file at `position`. If it cannot be read, [`Contents::skipped`] gives the reason.
    pub fn read(&mut self, position: usize) -> Contents {
        let Some((index, file)) = self.files.get(position).cloned() else { return Contents::default() };
        if spectra_name(&file).is_some_and(|spectra| self.index_by_name.contains_key(&spectra)) {
            // The sampling file is read together with its file of spectra.
            return Contents::default();
        }
        let sampling = sampling_name(&file).and_then(|name| Some((*self.index_by_name.get(&name)?, name)));
        let sampling = sampling.and_then(|(index, name)| self.zip.unpack(index, &name).ok());
        let unpacked = self.zip.unpack(index, &file);
        match unpacked.and_then(|bytes| read_at(&file, &bytes, sampling.as_deref(), self.depth + 1)) {
            Ok(mut inner) => {
                inner.skipped.iter_mut().for_each(|s| s.part = format!("{file}: {}", s.part));
                inner
            }
            Err(error) => {
                Contents { skipped: vec![SkippedPart { part: file, reason: error.to_string() }], ..Contents::default() }
            }
        }
    }
}
