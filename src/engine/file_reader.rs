//! Reader of parts of a file that the user opened. A worker may read synchronously, so a file of half a gigabyte need
//! not be in memory.

use std::io::{self, Read, Seek, SeekFrom};

use js_sys::Uint8Array;
use web_sys::{Blob, File, FileReaderSync};

use super::codec::text_of;

/// Bytes read ahead when a reader asks for few bytes at a time.
const READ_AHEAD_BYTES: usize = 1 << 18;

/// A file that is read in parts.
pub struct FileReader {
    file: File,
    position: u64,
    /// Bytes read ahead, and their position in the file.
    buffer: Vec<u8>,
    buffer_start: u64,
}

impl FileReader {
    pub(super) fn new(file: &File) -> Self {
        Self { file: file.clone(), position: 0, buffer: Vec::new(), buffer_start: 0 }
    }

    /// Reads `n` bytes from the position `from`; fewer at the end of the file.
    fn fetch(&self, from: u64, n: usize) -> io::Result<Uint8Array> {
        let failed = |error| io::Error::other(format!("the browser cannot read the file: {}", text_of(&error)));
        let part: Blob = self.file.slice_with_f64_and_f64(from as f64, (from + n as u64) as f64).map_err(failed)?;
        let buffer = FileReaderSync::new().and_then(|reader| reader.read_as_array_buffer(&part)).map_err(failed)?;
        Ok(Uint8Array::new(&buffer))
    }
}

impl Read for FileReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.len() >= READ_AHEAD_BYTES {
            let bytes = self.fetch(self.position, out.len())?;
            let n = bytes.length() as usize;
            bytes.copy_to(&mut out[..n]);
            self.position += n as u64;
            return Ok(n);
        }
        let is_buffered = (self.buffer_start..self.buffer_start + self.buffer.len() as u64).contains(&self.position);
        if !is_buffered {
            self.buffer = self.fetch(self.position, READ_AHEAD_BYTES)?.to_vec();
            self.buffer_start = self.position;
        }
        let rest = &self.buffer[(self.position - self.buffer_start) as usize..];
        let n = rest.len().min(out.len());
        out[..n].copy_from_slice(&rest[..n]);
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for FileReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, offset) = match to {
            SeekFrom::Start(position) => (position, 0),
            SeekFrom::End(offset) => (self.file.size() as u64, offset),
            SeekFrom::Current(offset) => (self.position, offset),
        };
        let out_of_range = || io::Error::new(io::ErrorKind::InvalidInput, "a position before the start of the file");
        self.position = base.checked_add_signed(offset).ok_or_else(out_of_range)?;
        Ok(self.position)
    }
}
