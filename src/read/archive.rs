//! Zip archives of spectrum files, read one file at a time.

use std::collections::HashMap;
use std::io::{Read, Seek};

use super::container::Zip;
use super::error::ReadError;
use super::{Contents, SkippedPart, read_at, sampling_name, spectra_name};

/// A zip archive whose entries are separate files. Only one entry is unpacked in memory at a time.
pub(crate) struct Archive<R> {
    zip: Zip<R>,
    files: Vec<(usize, String)>,
    /// Index in the zip archive by file name.
    index_by_name: HashMap<String, usize>,
    depth: usize,
}

/// A file of an archive, unpacked.
pub(crate) struct Entry {
    file: String,
    bytes: Vec<u8>,
    /// The file with its wavelengths, if there is one.
    sampling: Option<Vec<u8>>,
    depth: usize,
}

impl<R: Read + Seek> Archive<R> {
    /// The files of an open archive, which is nested in `depth` other containers.
    ///
    /// # Errors
    ///
    /// If the archive lists no file.
    pub(crate) fn new(zip: Zip<R>, depth: usize) -> Result<Self, ReadError> {
        let files = zip.files();
        let index_by_name = files.iter().map(|(index, file)| (file.clone(), *index)).collect();
        if files.is_empty() { Err(ReadError::Empty) } else { Ok(Self { zip, files, index_by_name, depth }) }
    }

    /// Number of files, at least 1.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// The entries that cannot be read because others have their names.
    pub(crate) fn hidden(&self) -> Option<SkippedPart> {
        let n = self.zip.n_hidden();
        let reason = "another entry of the archive has the same name; give each a name of its own".into();
        (n > 0).then(|| SkippedPart { part: format!("{n} of the entries"), reason })
    }

    /// Unpacks the file at `position`; `None` for one that is read with another.
    ///
    /// # Errors
    ///
    /// Its name, and the reason why it cannot be unpacked.
    pub(crate) fn unpack(&mut self, position: usize) -> Result<Option<Entry>, (String, ReadError)> {
        let Some((index, file)) = self.files.get(position).cloned() else { return Ok(None) };
        if spectra_name(&file).is_some_and(|spectra| self.index_by_name.contains_key(&spectra)) {
            // The sampling file is read together with its file of spectra.
            return Ok(None);
        }
        let sampling = sampling_name(&file).and_then(|name| Some((*self.index_by_name.get(&name)?, name)));
        let sampling = sampling.and_then(|(index, name)| self.zip.unpack(index, &name).ok());
        match self.zip.unpack(index, &file) {
            Ok(bytes) => Ok(Some(Entry { file, bytes, sampling, depth: self.depth + 1 })),
            Err(error) => Err((file, error)),
        }
    }
}

impl Entry {
    /// Size in memory, bytes.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Its contents. If it cannot be read, [`Contents::skipped`] gives the reason.
    pub(crate) fn read(&self) -> Contents {
        match read_at(&self.file, &self.bytes, self.sampling.as_deref(), self.depth) {
            Ok(mut inner) => {
                inner.skipped.iter_mut().for_each(|s| s.part = format!("{}: {}", self.file, s.part));
                inner
            }
            Err(error) => refused(self.file.clone(), &error),
        }
    }
}

/// Contents without a spectrum: a part that cannot be read.
pub(crate) fn refused(part: String, error: &ReadError) -> Contents {
    Contents { skipped: vec![SkippedPart { part, reason: error.to_string() }], ..Contents::default() }
}
