//! `.gz` and `.zip`, unpacked in memory within bounds that no real spectrum reaches and no bomb passes.

use std::io::{Cursor, Read};

use flate2::read::MultiGzDecoder;
use zip::ZipArchive;

use super::error::ReadError;

/// Most bytes that one packed file may unpack to.
const MAX_UNPACKED: usize = 512 << 20;

/// Most bytes that all entries of one zip may unpack to.
const MAX_ZIP_UNPACKED: usize = 2 << 30;

/// Below this size any ratio is let through; above it, no spectrum packs better than [`MAX_RATIO`].
const SMALL: usize = 16 << 20;

/// Unpacked over packed size.
const MAX_RATIO: usize = 100;

/// True for a gzip stream.
pub(crate) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// True for a zip archive, an empty one included.
pub(crate) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

/// Unpacks a gzip stream.
pub(crate) fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, ReadError> {
    unpack(MultiGzDecoder::new(bytes), bytes.len(), MAX_UNPACKED, "the gzip stream")
}

/// A zip archive, opened.
pub(crate) struct Zip<T> {
    archive: ZipArchive<Cursor<T>>,
    left: usize,
}

impl<T: AsRef<[u8]>> Zip<T> {
    /// Reads the archive's directory.
    pub(crate) fn open(bytes: T) -> Result<Self, ReadError> {
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| failed("the zip directory", &e))?;
        Ok(Self { archive, left: MAX_ZIP_UNPACKED })
    }

    /// Names of the entries that are files, with their positions. Directories and what macOS adds are left out.
    pub(crate) fn files(&self) -> Vec<(usize, String)> {
        (0..self.archive.len())
            .filter_map(|i| Some((i, self.archive.name_for_index(i)?.ok()?.into_owned())))
            .filter(|(_, name)| !name.ends_with('/') && !name.starts_with("__MACOSX/") && !name.ends_with(".DS_Store"))
            .collect()
    }

    /// True when every file is a NumPy array: one bundle, and not an archive of files.
    pub(crate) fn is_bundle(&self) -> bool {
        let files = self.files();
        !files.is_empty() && files.iter().all(|(_, file)| file.ends_with(".npy"))
    }

    /// Unpacks one entry.
    pub(crate) fn unpack(&mut self, index: usize, name: &str) -> Result<Vec<u8>, ReadError> {
        let part = format!("entry {name}");
        let entry = self.archive.by_index(index).map_err(|e| failed(&part, &e))?;
        let packed = usize::try_from(entry.compressed_size()).unwrap_or(usize::MAX);
        let bytes = unpack(entry, packed, self.left.min(MAX_UNPACKED), &part)?;
        self.left -= bytes.len();
        Ok(bytes)
    }
}

fn failed(part: &str, error: &dyn std::error::Error) -> ReadError {
    ReadError::Unpack { part: part.to_string(), problem: error.to_string() }
}

/// Reads to the end, but never more than the limits: what the archive claims about sizes is not believed.
fn unpack(mut source: impl Read, packed: usize, limit: usize, part: &str) -> Result<Vec<u8>, ReadError> {
    let limit = limit.min(packed.saturating_mul(MAX_RATIO).max(SMALL));
    let mut bytes = Vec::new();
    source.by_ref().take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|e| failed(part, &e))?;
    if bytes.len() > limit {
        return Err(ReadError::TooLarge { part: part.to_string(), limit_mib: limit >> 20 });
    }
    Ok(bytes)
}
