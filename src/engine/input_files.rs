//! Files that the page sent, and their contents.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read, Seek};
use std::rc::Rc;

use super::EngineError;
use crate::read::column_mapping::ColumnMapping;
use crate::read::{self, Contents, MAX_FILE_BYTES, Parts};

/// A file that is read when its turn comes, and may be read again.
#[allow(async_fn_in_trait, reason = "one thread drives it: a browser's worker, or a test that blocks on it")]
pub trait Attachment: Clone {
    /// Its size in bytes.
    fn size(&self) -> u64;
    /// Its content.
    async fn bytes(self) -> Result<Vec<u8>, EngineError>;
    /// Reader of parts of the file.
    type Reader: Read + Seek;
    /// Opens the file for reading in parts.
    fn reader(&self) -> Self::Reader;
}

impl Attachment for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    async fn bytes(self) -> Result<Self, EngineError> {
        Ok(self)
    }

    type Reader = Cursor<Self>;

    fn reader(&self) -> Self::Reader {
        Cursor::new(self.clone())
    }
}

/// A file that the page sent.
pub(super) struct File<F> {
    pub(super) path: String,
    /// `None` when the page sent the path alone.
    content: Option<F>,
    /// The file with its wavelengths, if there is one.
    sampling: Option<F>,
}

/// Pairs paths with contents. A file that holds only the wavelengths of another file is attached to that file.
pub(super) fn pair_files<F: Attachment>(paths: Vec<String>, contents: Vec<F>) -> impl Iterator<Item = Rc<File<F>>> {
    let names: BTreeSet<String> = paths.iter().cloned().collect();
    let mut contents = contents.into_iter();
    let all: Vec<(String, Option<F>)> = paths.into_iter().map(|path| (path, contents.next())).collect();
    let is_sampling_file = |path: &str| read::spectra_name(path).is_some_and(|spectra| names.contains(&spectra));
    let (sampling, files): (Vec<_>, Vec<_>) = all.into_iter().partition(|(path, _)| is_sampling_file(path));
    let mut sampling: BTreeMap<String, Option<F>> = sampling.into_iter().collect();
    files.into_iter().map(move |(path, content)| {
        let sampling = read::sampling_name(&path).and_then(|name| sampling.remove(&name).flatten());
        Rc::new(File { path, content, sampling })
    })
}

/// Contents of a file.
pub(super) enum OpenedFile<R> {
    /// A file that is read in parts.
    Parts(Box<Parts<R>>),
    /// Any other file.
    Contents(Contents),
}

impl<F: Attachment> File<F> {
    /// Opens the file. `columns` are the columns that the user assigned.
    pub(super) async fn open(&self, columns: Option<&ColumnMapping>) -> Result<OpenedFile<F::Reader>, EngineError> {
        let content = self.content.as_ref().ok_or(EngineError::NoContent)?;
        if columns.is_none()
            && let Some(parts) = Parts::open(&self.path, content.reader())?
        {
            return Ok(OpenedFile::Parts(Box::new(parts)));
        }
        let bytes = bytes_of(content).await?;
        let sampling = match &self.sampling {
            Some(sampling) => bytes_of(sampling).await.ok(),
            None => None,
        };
        let contents = match columns {
            Some(columns) => read::read_with_columns(&self.path, &bytes, columns),
            None => read::read_with_sampling(&self.path, &bytes, sampling.as_deref()),
        };
        Ok(OpenedFile::Contents(contents?))
    }
}

/// Content of a file, up to the size limit.
pub(super) async fn bytes_of<F: Attachment>(content: &F) -> Result<Vec<u8>, EngineError> {
    if content.size() > MAX_FILE_BYTES {
        return Err(EngineError::FileTooLarge {
            gib: content.size() as f64 / (1u64 << 30) as f64,
            max_gib: MAX_FILE_BYTES >> 30,
        });
    }
    content.clone().bytes().await
}
