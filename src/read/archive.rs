//! A zip of files, read one after the other.

use std::collections::HashMap;

use super::container::{Zip, is_zip};
use super::error::ReadError;
use super::{Contents, Skipped, read_at, sampling_name, spectra_name};

/// A zip whose entries are files of their own. Only one of them is unpacked at a time.
pub struct Archive<T> {
    zip: Zip<T>,
    files: Vec<(usize, String)>,
    /// Places in the zip by name.
    places: HashMap<String, usize>,
    depth: usize,
}

impl<T: AsRef<[u8]>> Archive<T> {
    /// True for a zip that holds anything but the arrays of one bundle.
    pub fn identify(bytes: &[u8]) -> bool {
        is_zip(bytes) && Zip::open(bytes).is_ok_and(|zip| !zip.is_bundle())
    }

    /// Reads the archive's directory.
    ///
    /// # Errors
    ///
    /// When it is damaged, or lists no file.
    pub fn open(bytes: T) -> Result<Self, ReadError> {
        Self::at(Zip::open(bytes)?, 0)
    }

    pub(super) fn at(zip: Zip<T>, depth: usize) -> Result<Self, ReadError> {
        let files = zip.files();
        let places = files.iter().map(|(index, file)| (file.clone(), *index)).collect();
        if files.is_empty() { Err(ReadError::Empty) } else { Ok(Self { zip, files, places, depth }) }
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Never true: an archive without files does not open.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// What the file at `position` holds; if it cannot be read, one line that says why.
    pub fn read(&mut self, position: usize) -> Contents {
        let Some((index, file)) = self.files.get(position).cloned() else { return Contents::default() };
        if spectra_name(&file).is_some_and(|spectra| self.places.contains_key(&spectra)) {
            // It is read together with the spectra that it belongs to.
            return Contents::default();
        }
        let sampling = sampling_name(&file).and_then(|name| Some((*self.places.get(&name)?, name)));
        let sampling = sampling.and_then(|(index, name)| self.zip.unpack(index, &name).ok());
        let unpacked = self.zip.unpack(index, &file);
        match unpacked.and_then(|bytes| read_at(&file, &bytes, sampling.as_deref(), self.depth + 1)) {
            Ok(mut inner) => {
                inner.skipped.iter_mut().for_each(|s| s.what = format!("{file}: {}", s.what));
                inner
            }
            Err(error) => {
                Contents { skipped: vec![Skipped { what: file, why: error.to_string() }], ..Contents::default() }
            }
        }
    }
}
