//! Source of the published files: a folder on disk in the native program, dropped files on the page.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::{Component, Path, PathBuf};

/// Files of the published folder, addressed by their relative path with `/` as separator.
pub trait Files {
    /// An opened file.
    type File: Read + Seek;

    /// Opens a file.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if the file does not exist.
    fn open(&self, path: &str) -> io::Result<Self::File>;

    /// Contents of a small file; an error if it has more than `limit` bytes.
    fn read(&self, path: &str, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is larger than {limit} bytes")));
        }
        Ok(bytes)
    }
}

/// A folder on a disk.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at a path.
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl Files for Folder {
    type File = BufReader<File>;

    fn open(&self, path: &str) -> io::Result<Self::File> {
        // The paths come from the folder's own config.json; they must not lead out of the folder.
        if Path::new(path).components().any(|part| !matches!(part, Component::Normal(_))) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "this path leads out of the folder"));
        }
        let file = File::open(self.0.join(path))?;
        if file.metadata()?.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it is a folder"));
        }
        Ok(BufReader::new(file))
    }
}
