//! Reading parts of a dropped file where they are needed: a worker may do that without waiting, and half a gigabyte need
//! not be in memory.

use std::io::{self, Read, Seek, SeekFrom};

use js_sys::Uint8Array;
use web_sys::{Blob, File, FileReaderSync};

use super::wire::text_of;

/// Bytes read ahead for readers that ask for little at a time.
const AHEAD: usize = 1 << 18;

/// A file that is read in parts.
pub struct FileReader {
    file: File,
    at: u64,
    /// What was read ahead, and where it begins.
    ahead: Vec<u8>,
    ahead_at: u64,
}

impl FileReader {
    pub(super) fn new(file: &File) -> Self {
        Self { file: file.clone(), at: 0, ahead: Vec::new(), ahead_at: 0 }
    }

    /// `n` bytes from `from`, fewer at the end.
    fn fetch(&self, from: u64, n: usize) -> io::Result<Uint8Array> {
        let failed = |error| io::Error::other(format!("the browser cannot read it: {}", text_of(&error)));
        let part: Blob = self.file.slice_with_f64_and_f64(from as f64, (from + n as u64) as f64).map_err(failed)?;
        let buffer = FileReaderSync::new().and_then(|reader| reader.read_as_array_buffer(&part)).map_err(failed)?;
        Ok(Uint8Array::new(&buffer))
    }
}

impl Read for FileReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.len() >= AHEAD {
            let bytes = self.fetch(self.at, out.len())?;
            let n = bytes.length() as usize;
            bytes.copy_to(&mut out[..n]);
            self.at += n as u64;
            return Ok(n);
        }
        let is_ahead = (self.ahead_at..self.ahead_at + self.ahead.len() as u64).contains(&self.at);
        if !is_ahead {
            self.ahead = self.fetch(self.at, AHEAD)?.to_vec();
            self.ahead_at = self.at;
        }
        let rest = &self.ahead[(self.at - self.ahead_at) as usize..];
        let n = rest.len().min(out.len());
        out[..n].copy_from_slice(&rest[..n]);
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for FileReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, by) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::End(by) => (self.file.size() as u64, by),
            SeekFrom::Current(by) => (self.at, by),
        };
        let before = || io::Error::new(io::ErrorKind::InvalidInput, "a place before the file's start");
        self.at = base.checked_add_signed(by).ok_or_else(before)?;
        Ok(self.at)
    }
}
