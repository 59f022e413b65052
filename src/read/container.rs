//! Unpacking of `.gz` and `.zip` files.
//!
//! The size limits stop decompression bombs; no real file of spectra reaches them.

use std::io::{Read, Seek, SeekFrom};

use flate2::read::MultiGzDecoder;
use zip::{CompressionMethod, ZipArchive};

use super::error::ReadError;
use super::member::Member;

/// Maximum unpacked size of one packed file, bytes.
const MAX_UNPACKED: usize = 512 << 20;

/// Unpacked size of all entries of a zip archive that is accepted from an archive of any size, bytes. A larger archive may
/// unpack to [`MAX_ZIP_RATIO`] times its size.
const MAX_ZIP_UNPACKED: u64 = 2 << 30;

/// Maximum ratio of the unpacked size of all entries of a zip archive to its own size. FITS files pack to a half.
const MAX_ZIP_RATIO: u64 = 20;

/// Unpacked size, in bytes, below which any compression ratio is accepted; above it, [`MAX_RATIO`] applies.
const RATIO_EXEMPT_BYTES: usize = 16 << 20;

/// Maximum ratio of unpacked to packed size of one file.
const MAX_RATIO: usize = 100;

/// True for a gzip stream.
pub(crate) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// True for a zip archive, an empty one included.
pub(crate) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

/// Unpacks a gzip stream of `packed` bytes.
pub(crate) fn gunzip(stream: impl Read, packed: usize) -> Result<Vec<u8>, ReadError> {
    unpack(MultiGzDecoder::new(stream), packed, MAX_UNPACKED, "the gzip stream")
}

/// An open zip archive. Only its directory is in memory.
pub(crate) struct Zip<R> {
    archive: ZipArchive<R>,
    /// Size of the archive.
    archive_bytes: u64,
    /// Bytes that may still be unpacked.
    remaining_bytes: u64,
    /// The entries that were unpacked before; to unpack one again costs nothing.
    charged: Vec<bool>,
    /// Number of entries that cannot be reached, because a later one has the same name.
    n_hidden: usize,
}

impl<R: Read + Seek> Zip<R> {
    /// Reads the archive's directory.
    pub(crate) fn open(mut source: R) -> Result<Self, ReadError> {
        let failed = |e: &dyn std::error::Error| unpack_error("the zip directory", e);
        let size = source.seek(SeekFrom::End(0)).map_err(|e| failed(&e))?;
        let n_stated = stated_entries(&mut source, size).map_err(|e| failed(&e))?;
        let archive = ZipArchive::new(source).map_err(|e| failed(&e))?;
        let remaining_bytes = max_unpacked(size);
        let n_hidden = n_stated.map_or(0, |n| n.saturating_sub(archive.len()));
        Ok(Self { charged: vec![false; archive.len()], archive, archive_bytes: size, remaining_bytes, n_hidden })
    }

    /// Number of entries that cannot be reached, because a later one has the same name.
    pub(crate) fn n_hidden(&self) -> usize {
        self.n_hidden
    }

    /// The kind of document that the archive is, if it is one of an office program.
    pub(crate) fn office_document(&self) -> Option<&'static str> {
        let has = |part: &str| self.archive.file_names().any(|name| name.is_ok_and(|name| name.starts_with(part)));
        match (has("[Content_Types].xml"), has("mimetype") && (has("META-INF/manifest.xml") || has("content.xml"))) {
            (true, _) if has("xl/") => Some("a spreadsheet (Excel)"),
            (true, _) => Some("an office document"),
            (_, true) => Some("a spreadsheet or document (OpenDocument)"),
            _ => None,
        }
    }

    /// Index and name of each file in the archive, without directories and without the additional files of macOS.
    pub(crate) fn files(&self) -> Vec<(usize, String)> {
        (0..self.archive.len())
            .filter_map(|i| Some((i, self.archive.name_for_index(i)?.ok()?.into_owned())))
            .filter(|(_, name)| {
                let file = name.rsplit('/').next().unwrap_or("");
                !file.is_empty() && !name.starts_with("__MACOSX/") && !file.starts_with("._") && file != ".DS_Store"
            })
            .collect()
    }

    /// True if every file is a `NumPy` array: the archive is then an `.npz` bundle.
    pub(crate) fn is_bundle(&self) -> bool {
        let files = self.files();
        !files.is_empty() && files.iter().all(|(_, file)| file.ends_with(".npy"))
    }

    /// Unpacks one entry. `name` is its name in error messages.
    pub(crate) fn unpack(&mut self, index: usize, name: &str) -> Result<Vec<u8>, ReadError> {
        let part = format!("entry {name}");
        let entry = self.archive.by_index(index).map_err(|e| unpack_error(&part, &e))?;
        let packed = usize::try_from(entry.compressed_size()).unwrap_or(usize::MAX);
        let is_charged = self.charged.get(index).copied().unwrap_or(false);
        let budget = if is_charged { u64::MAX } else { self.remaining_bytes };
        if budget == 0 {
            let limit_mib = (max_unpacked(self.archive_bytes) >> 20) as usize;
            return Err(ReadError::TooLarge { part: "the archive".into(), limit_mib });
        }
        let mut counted = Counted { source: entry, bytes: 0 };
        let limit = usize::try_from(budget).unwrap_or(usize::MAX).min(MAX_UNPACKED);
        let unpacked = unpack(&mut counted, packed, limit, &part);
        // Entries that are refused cost as much as others.
        if !is_charged {
            self.remaining_bytes = self.remaining_bytes.saturating_sub(counted.bytes);
        }
        if let Some(charged) = self.charged.get_mut(index) {
            *charged = true;
        }
        unpacked
    }

    /// An entry that is read in parts, without unpacking it.
    pub(crate) fn member(&mut self, index: usize, name: &str) -> Result<Member, ReadError> {
        let part = format!("entry {name}");
        let entry = self.archive.by_index_raw(index).map_err(|e| unpack_error(&part, &e))?;
        let problem = |problem: &str| ReadError::Unpack { part: part.clone(), problem: problem.into() };
        if entry.encrypted() {
            return Err(problem("it is encrypted"));
        }
        let is_deflated = match entry.compression() {
            CompressionMethod::Stored => false,
            CompressionMethod::Deflated => true,
            _ => return Err(problem("its compression is neither deflate nor none")),
        };
        let (packed, size) = (entry.compressed_size(), entry.size());
        // Of the whole archive: errors that are the same everywhere pack to nothing beside the fluxes.
        let limit = self.archive_bytes.saturating_mul(MAX_RATIO as u64).max(RATIO_EXEMPT_BYTES as u64);
        if size > limit {
            return Err(ReadError::TooLarge { part, limit_mib: (limit >> 20) as usize });
        }
        let start = entry.data_start().ok_or_else(|| problem("its place in the file is unknown"))?;
        Ok(Member::new(start, packed, size, entry.crc32(), is_deflated))
    }

    /// The file of the archive.
    pub(crate) fn into_source(self) -> R {
        self.archive.into_inner()
    }
}

/// Maximum unpacked size of all entries of an archive of this size, bytes.
fn max_unpacked(archive_bytes: u64) -> u64 {
    archive_bytes.saturating_mul(MAX_ZIP_RATIO).max(MAX_ZIP_UNPACKED)
}

/// Number of entries that the end record of an archive states; `None` without one, and in a large archive, whose number
/// is in another record.
fn stated_entries(source: &mut (impl Read + Seek), size: u64) -> std::io::Result<Option<usize>> {
    // A comment of at most 64 KiB follows the record.
    const MAX_TAIL: u64 = (1 << 16) + 22;
    let mut tail = Vec::new();
    source.seek(SeekFrom::Start(size.saturating_sub(MAX_TAIL)))?;
    source.by_ref().take(MAX_TAIL).read_to_end(&mut tail)?;
    let record = tail.windows(4).rposition(|w| w == b"PK\x05\x06").and_then(|at| tail.get(at + 10..at + 12));
    Ok(record.map(|n| usize::from(u16::from_le_bytes([n[0], n[1]]))).filter(|n| *n < usize::from(u16::MAX)))
}

/// A source that counts what was read from it.
struct Counted<R> {
    source: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.source.read(buffer)?;
        self.bytes += n as u64;
        Ok(n)
    }
}

pub(crate) fn unpack_error(part: &str, error: &dyn std::error::Error) -> ReadError {
    ReadError::Unpack { part: part.to_string(), problem: error.to_string() }
}

/// Reads to the end within the limits. The sizes that the archive states are not trusted.
fn unpack(mut source: impl Read, packed: usize, limit: usize, part: &str) -> Result<Vec<u8>, ReadError> {
    let limit = limit.min(packed.saturating_mul(MAX_RATIO).max(RATIO_EXEMPT_BYTES));
    let mut bytes = Vec::new();
    source.by_ref().take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|e| unpack_error(part, &e))?;
    if bytes.len() > limit {
        return Err(ReadError::TooLarge { part: part.to_string(), limit_mib: limit >> 20 });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::*;

    #[test]
    fn refused_entries_are_charged() {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let zeros = vec![0; RATIO_EXEMPT_BYTES + 1];
        for name in ["a", "b", "c"] {
            writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(&zeros).unwrap();
        }
        let mut zip = Zip::open(writer.finish().unwrap()).unwrap();
        zip.remaining_bytes = RATIO_EXEMPT_BYTES as u64 + 10;
        let mut refusal = |i| zip.unpack(i, "x").unwrap_err().to_string();
        assert!(refusal(0).contains("entry x"), "its ratio is too high");
        assert!(refusal(1).contains("entry x"), "more than is left");
        assert!(refusal(2).contains("the archive"), "nothing is left");
    }
}
