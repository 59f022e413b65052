//! Files as the page hands them over, and what they turn out to be.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read, Seek};
use std::rc::Rc;

use crate::read::by_hand::Columns;
use crate::read::{self, Archive, Contents};

/// Largest file that is taken into memory, bytes. A worker has 4 GiB at most, and a file is there about twice.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// A file that is read when its turn comes, and may be read again.
#[allow(async_fn_in_trait)] // One thread drives it: a browser's worker, or a test that blocks on it.
pub trait Attachment: Clone {
    /// Its size in bytes.
    fn size(&self) -> u64;
    /// Its content, or why it cannot be had.
    async fn bytes(self) -> Result<Vec<u8>, String>;
    /// What reads parts of it.
    type Reader: Read + Seek;
    /// Opens it for reading parts.
    fn reader(&self) -> Self::Reader;
}

impl Attachment for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    async fn bytes(self) -> Result<Vec<u8>, String> {
        Ok(self)
    }

    type Reader = Cursor<Vec<u8>>;

    fn reader(&self) -> Self::Reader {
        Cursor::new(self.clone())
    }
}

/// A file as it was given.
pub(super) struct File<F> {
    pub(super) path: String,
    /// `None` when the page sent none.
    content: Option<F>,
    /// The file of wavelengths that belongs to it, if there is one.
    beside: Option<F>,
}

/// Puts paths and contents together; what only holds the wavelengths of another file goes with that.
pub(super) fn files<F: Attachment>(paths: Vec<String>, contents: Vec<F>) -> impl Iterator<Item = Rc<File<F>>> {
    let names: BTreeSet<String> = paths.iter().cloned().collect();
    let mut contents = contents.into_iter();
    let all: Vec<(String, Option<F>)> = paths.into_iter().map(|path| (path, contents.next())).collect();
    let belongs = |path: &str| read::spectra_name(path).is_some_and(|spectra| names.contains(&spectra));
    let (beside, files): (Vec<_>, Vec<_>) = all.into_iter().partition(|(path, _)| belongs(path));
    let mut beside: BTreeMap<String, Option<F>> = beside.into_iter().collect();
    files.into_iter().map(move |(path, content)| {
        let beside = read::sampling_name(&path).and_then(|name| beside.remove(&name).flatten());
        Rc::new(File { path, content, beside })
    })
}

/// What a file turned out to be.
pub(super) enum Opened {
    /// A zip of files, to be read one by one.
    Archive(Archive<Vec<u8>>),
    /// Anything else.
    Contents(Contents),
}

impl<F: Attachment> File<F> {
    /// Opens the file; by `columns`, where the user says which they are.
    pub(super) async fn open(&self, columns: Option<&Columns>) -> Result<Opened, String> {
        let content = self.content.as_ref().ok_or("the page sent no content for this file; drop it again")?;
        let bytes = bytes_of(content).await?;
        if Archive::<Vec<u8>>::identify(&bytes) {
            return Archive::open(bytes).map(Opened::Archive).map_err(|e| e.to_string());
        }
        let sampling = match &self.beside {
            Some(beside) => bytes_of(beside).await.ok(),
            None => None,
        };
        let contents = match columns {
            Some(columns) => read::read_by_hand(&self.path, &bytes, columns),
            None => read::read_beside(&self.path, &bytes, sampling.as_deref()),
        };
        contents.map(Opened::Contents).map_err(|e| e.to_string())
    }
}

/// The whole of a file that is not too large.
pub(super) async fn bytes_of<F: Attachment>(content: &F) -> Result<Vec<u8>, String> {
    if content.size() > MAX_FILE_BYTES {
        return Err(format!(
            "the file has {:.1} GiB; the page takes {} GiB at most. Split it, or use the command line",
            content.size() as f64 / (1u64 << 30) as f64,
            MAX_FILE_BYTES >> 30
        ));
    }
    content.clone().bytes().await
}
