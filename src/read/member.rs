//! A file in a zip archive that is read at any position, without unpacking it whole.
//!
//! A stored file is read where it lies. A deflated one can only be unpacked from its beginning, so the state of the
//! decoder is kept every few MiB; a later read starts from the last state before its position.

use std::io::{self, Read, Seek, SeekFrom};

use flate2::Crc;
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

/// Smallest distance of kept states, bytes of the unpacked file. A state takes 43 kB.
const STATE_SPACING: u64 = 4 << 20;

/// Largest number of kept states of a file.
const MAX_STATES: u64 = 512;

/// Bytes read from the archive at a time.
const CHUNK_BYTES: usize = 1 << 16;

/// Bytes checked at a time.
const CHECK_BYTES: u64 = 1 << 20;

/// A file in a zip archive.
pub(crate) struct Member {
    /// Position of the packed file in the archive, and its length.
    start: u64,
    packed: u64,
    /// Length of the unpacked file, as the archive states it.
    size: u64,
    crc32: u32,
    inflater: Option<Inflater>,
    /// Checksum of the bytes that were checked, and their number.
    checked: Crc,
    n_checked: u64,
}

impl Member {
    /// `packed` bytes at `start` of the archive, with `size` bytes and the checksum `crc32` when unpacked.
    pub(super) fn new(start: u64, packed: u64, size: u64, crc32: u32, is_deflated: bool) -> Self {
        let inflater = is_deflated.then(|| Inflater::new(size));
        Self { start, packed, size, crc32, inflater, checked: Crc::new(), n_checked: 0 }
    }

    /// Length of the unpacked file, bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// `length` bytes from `position` of the unpacked file. `archive` is the archive's file.
    pub(crate) fn read(
        &mut self,
        archive: &mut (impl Read + Seek),
        position: u64,
        length: usize,
    ) -> io::Result<Vec<u8>> {
        let is_inside = position.checked_add(length as u64).is_some_and(|end| end <= self.size);
        if !is_inside {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(inflater) = &mut self.inflater {
            let mut packed = Packed { archive, start: self.start, size: self.packed };
            return inflater.read(&mut packed, position, length);
        }
        if self.size > self.packed {
            return Err(io::Error::other("it is not as long as the zip directory states"));
        }
        archive.seek(SeekFrom::Start(self.start.saturating_add(position)))?;
        read_exactly(archive, length)
    }

    /// Compares the next part of the file with its checksum. Returns true after the last part.
    ///
    /// # Errors
    ///
    /// If the file cannot be unpacked, or if its checksum is wrong.
    pub(crate) fn check(&mut self, archive: &mut (impl Read + Seek)) -> io::Result<bool> {
        let length = (self.size - self.n_checked).min(CHECK_BYTES);
        let bytes = self.read(archive, self.n_checked, length as usize)?;
        self.checked.update(&bytes);
        self.n_checked += length;
        match self.n_checked == self.size {
            true if self.checked.sum() != self.crc32 => Err(io::Error::other("its checksum is wrong")),
            is_complete => Ok(is_complete),
        }
    }
}

/// The packed bytes of a file.
struct Packed<'a, R> {
    archive: &'a mut R,
    start: u64,
    size: u64,
}

impl<R: Read + Seek> Packed<'_, R> {
    /// The next packed bytes from `position`; none at the end.
    fn chunk(&mut self, position: u64) -> io::Result<Vec<u8>> {
        let length = (self.size - position.min(self.size)).min(CHUNK_BYTES as u64);
        self.archive.seek(SeekFrom::Start(self.start.saturating_add(position)))?;
        read_exactly(self.archive, length as usize)
    }
}

fn read_exactly(source: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// A decoder at a position of the file.
#[derive(Clone)]
struct State {
    decoder: Box<InflateState>,
    /// Position in the unpacked and in the packed file, bytes.
    unpacked: u64,
    packed: u64,
}

/// Unpacks a deflated file from any position.
struct Inflater {
    current: State,
    /// Packed bytes that were read and not used.
    input: Vec<u8>,
    /// States of the decoder at earlier positions, in order.
    states: Vec<State>,
    spacing: u64,
}

impl Inflater {
    fn new(size: u64) -> Self {
        let current = State { decoder: InflateState::new_boxed(DataFormat::Raw), unpacked: 0, packed: 0 };
        let spacing = (size / MAX_STATES).max(STATE_SPACING);
        Self { states: vec![current.clone()], current, input: Vec::new(), spacing }
    }

    fn read<R: Read + Seek>(&mut self, packed: &mut Packed<R>, position: u64, length: usize) -> io::Result<Vec<u8>> {
        let nearest = self.states.partition_point(|s| s.unpacked <= position).saturating_sub(1);
        let nearest = &self.states[nearest];
        if self.current.unpacked > position || self.current.unpacked < nearest.unpacked {
            self.current = nearest.clone();
            self.input.clear();
        }
        let mut unwanted = [0; CHUNK_BYTES];
        while self.current.unpacked < position {
            let n = (position - self.current.unpacked).min(unwanted.len() as u64) as usize;
            self.fill(packed, &mut unwanted[..n])?;
        }
        let mut bytes = vec![0; length];
        self.fill(packed, &mut bytes)?;
        Ok(bytes)
    }

    /// Fills `out` with the next unpacked bytes.
    fn fill<R: Read + Seek>(&mut self, packed: &mut Packed<R>, out: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < out.len() {
            if self.input.is_empty() {
                self.input = packed.chunk(self.current.packed)?;
            }
            let step = inflate(&mut self.current.decoder, &self.input, &mut out[filled..], MZFlush::None);
            self.current.packed += step.bytes_consumed as u64;
            self.current.unpacked += step.bytes_written as u64;
            filled += step.bytes_written;
            self.input.drain(..step.bytes_consumed);
            let has_moved = step.bytes_consumed + step.bytes_written > 0;
            match step.status {
                Ok(MZStatus::StreamEnd) if filled < out.len() => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) if has_moved => {}
                Err(MZError::Buf) if has_moved => {}
                Ok(_) | Err(MZError::Buf) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(_) => return Err(io::Error::other("its compressed data are damaged")),
            }
            if self.states.last().is_some_and(|last| self.current.unpacked >= last.unpacked + self.spacing) {
                self.states.push(self.current.clone());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use crate::read::container::Zip;

    /// An archive with `numbers.npy`: some MiB that do not pack away.
    fn archive(method: zip::CompressionMethod) -> (Vec<u8>, Vec<u8>) {
        let mut x = 1u32;
        let mut next = || {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (x >> 28) as u8
        };
        let content: Vec<u8> = (0..10 << 20).map(|_| next()).collect();
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file("numbers.npy", zip::write::SimpleFileOptions::default().compression_method(method)).unwrap();
        writer.write_all(&content).unwrap();
        (writer.finish().unwrap().into_inner(), content)
    }

    #[test]
    fn any_position_gives_the_bytes_of_the_file() {
        for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
            let (archive, content) = archive(method);
            let mut zip = Zip::open(Cursor::new(archive)).unwrap();
            let mut member = zip.member(0, "numbers.npy").unwrap();
            let mut file = zip.into_source();
            assert_eq!(member.size(), content.len() as u64);
            for position in [5, 9 << 20, (9 << 20) + 70_000, 3, (4 << 20) - 1, (8 << 20) + 1, content.len() - 100, 0] {
                let bytes = member.read(&mut file, position as u64, 100).unwrap();
                assert_eq!(bytes, content[position..position + 100], "{method:?} at {position}");
            }
            assert!(member.read(&mut file, content.len() as u64 - 99, 100).is_err());
            while !member.check(&mut file).unwrap() {}
            assert_eq!(member.read(&mut file, 7 << 20, 9).unwrap(), content[7 << 20..(7 << 20) + 9]);
        }
    }

    #[test]
    fn a_changed_byte_is_found() {
        for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
            let (mut archive, _) = archive(method);
            archive[3 << 20] ^= 1;
            let mut zip = Zip::open(Cursor::new(archive)).unwrap();
            let mut member = zip.member(0, "numbers.npy").unwrap();
            let mut file = zip.into_source();
            let failure = loop {
                match member.check(&mut file) {
                    Ok(true) => break None,
                    Ok(false) => {}
                    Err(error) => break Some(error),
                }
            };
            assert!(failure.is_some(), "{method:?}");
        }
    }
}
