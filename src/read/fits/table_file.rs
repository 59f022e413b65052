//! A FITS file with one large binary table, read in parts of a few rows.
//!
//! The headers and all other HDUs are in memory. A part is a FITS file of its own: the same HDUs, with these rows of the
//! table and the arrays of the heap to which they point.

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use super::super::error::ReadError;
use super::header::MAX_HEADER_BYTES;
use super::{BLOCK, Fits, Hdu, Header, MAX_HDUS, Table, data_size};
use crate::spectrum::MAX_PIXELS;

/// Smallest table that is read in parts, bytes. A smaller file is read whole. Unit tests use small tables.
const MIN_TABLE_BYTES: u64 = if cfg!(test) { 1 << 10 } else { 4 << 20 };

/// Maximum size of all other HDUs, bytes.
const MAX_OTHER_BYTES: u64 = 16 << 20;

/// Maximum size of the heap of a part, bytes. Arrays of the heap may overlap in the file, but not in a part.
const MAX_HEAP_BYTES: usize = 64 << 20;

/// A FITS file with a large table.
pub(crate) struct TableFile<R> {
    file: R,
    hdus: Arc<Vec<StoredHdu>>,
    /// Position of the large table among the HDUs, and its place in the file.
    table: usize,
    rows_start: u64,
    heap_start: u64,
    end: u64,
    rows: usize,
    row_bytes: usize,
    /// Place in a row, bytes, of each column with pointers to the heap; with the width of the numbers there.
    pointers: Vec<(Range<usize>, usize)>,
}

struct StoredHdu {
    header: Header,
    /// Empty for the large table.
    data: Vec<u8>,
}

/// Rows of the large table, with all other HDUs.
pub(crate) struct TablePart {
    hdus: Arc<Vec<StoredHdu>>,
    table: usize,
    header: Header,
    first_row: usize,
    data: Vec<u8>,
}

impl<R: Read + Seek> TableFile<R> {
    /// Opens a file; `None` if it has no large table, several, or large HDUs beside it.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or if the large table is damaged or truncated.
    pub(crate) fn open(mut file: R) -> Result<Option<Self>, ReadError> {
        let unreadable = |hdu: usize| {
            move |e: std::io::Error| ReadError::FitsHeader { hdu, problem: format!("the file cannot be read: {e}") }
        };
        let end = file.seek(SeekFrom::End(0)).map_err(unreadable(0))?;
        if end < MIN_TABLE_BYTES {
            return Ok(None);
        }
        let mut hdus: Vec<StoredHdu> = Vec::new();
        let (mut large, mut other_bytes, mut offset) = (None, 0u64, 0);
        while offset < end && hdus.len() < MAX_HDUS {
            let index = hdus.len();
            let head = read_header(&mut file, offset).map_err(unreadable(index))?;
            if index > 0 && !head.starts_with(b"XTENSION") {
                break;
            }
            // The reader of whole files describes the damage.
            let Some((header, header_bytes)) = Header::parse(&head) else { return Ok(None) };
            let Ok(size) = data_size(index, &header) else { return Ok(None) };
            check_length(index, &header)?;
            let start = offset.saturating_add(header_bytes.next_multiple_of(BLOCK) as u64);
            let is_table = header.text("XTENSION") == Some("BINTABLE") && !super::tiles::identify(&header);
            let mut data = Vec::new();
            if is_table && size >= MIN_TABLE_BYTES {
                if large.replace((index, start, size)).is_some() {
                    return Ok(None);
                }
            } else {
                other_bytes = size.saturating_add(other_bytes);
                if other_bytes > MAX_OTHER_BYTES {
                    return Ok(None);
                }
                file.seek(SeekFrom::Start(start)).map_err(unreadable(index))?;
                file.by_ref().take(size).read_to_end(&mut data).map_err(unreadable(index))?;
                if (data.len() as u64) < size {
                    return Ok(None);
                }
            }
            hdus.push(StoredHdu { header, data });
            offset = start.saturating_add(size.div_ceil(BLOCK as u64).saturating_mul(BLOCK as u64));
        }
        let Some((index, rows_start, size)) = large else { return Ok(None) };
        if rows_start.saturating_add(size) > end {
            let available = end.saturating_sub(rows_start);
            return Err(ReadError::FitsTruncated { hdu: index, expected: size, available });
        }
        let layout = Hdu::of_part(index, hdus[index].header.clone(), &[], None);
        let table = Table::new(&layout, &[])?;
        let rows_bytes = (table.rows as u64).saturating_mul(table.row_bytes as u64);
        let heap_start = hdus[index].header.integer("THEAP").and_then(|n| u64::try_from(n).ok()).unwrap_or(rows_bytes);
        Ok(Some(Self {
            file,
            table: index,
            rows_start,
            heap_start: rows_start.saturating_add(heap_start),
            end: rows_start + size,
            rows: table.rows,
            row_bytes: table.row_bytes,
            pointers: table.pointers(),
            hdus: Arc::new(hdus),
        }))
    }

    /// Number of rows of the large table.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Size of a row with its share of the heap, bytes.
    pub(crate) fn bytes_per_row(&self) -> usize {
        ((self.end - self.rows_start) / self.rows.max(1) as u64) as usize
    }

    /// Loads `count` rows from row `first`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub(crate) fn load(&mut self, first: usize, count: usize) -> Result<TablePart, ReadError> {
        let count = count.min(self.rows.saturating_sub(first));
        let start = self.rows_start + first as u64 * self.row_bytes as u64;
        let mut data = self.bytes(start, count * self.row_bytes)?;
        let mut heap = Vec::new();
        for row in 0..count {
            for i in 0..self.pointers.len() {
                let (cell, width) = self.pointers[i].clone();
                let cell = row * self.row_bytes + cell.start..row * self.row_bytes + cell.end;
                let moved = self.load_array(&data[cell.clone()], width, &mut heap)?;
                data[cell].copy_from_slice(&moved);
            }
        }
        let mut header = self.hdus[self.table].header.clone();
        header.set_integer("NAXIS2", count as i64);
        header.set_integer("THEAP", data.len() as i64);
        header.set_integer("PCOUNT", heap.len() as i64);
        data.append(&mut heap);
        Ok(TablePart { hdus: self.hdus.clone(), table: self.table, header, first_row: first, data })
    }

    /// Appends the array of a cell to `heap`, and returns the cell for its new place. A cell that points beyond the end of
    /// the data stays as it is, which is an error when it is read.
    fn load_array(&mut self, cell: &[u8], width: usize, heap: &mut Vec<u8>) -> Result<Vec<u8>, ReadError> {
        let half = cell.len() / 2;
        let integer = |bytes: &[u8]| bytes.iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
        let (length, position) = (integer(&cell[..half]), integer(&cell[half..]));
        let bytes = length.saturating_mul(width as u64);
        let start = self.heap_start.saturating_add(position);
        if bytes == 0 || start.saturating_add(bytes) > self.end {
            return Ok(cell.to_vec());
        }
        if heap.len() as u64 + bytes > MAX_HEAP_BYTES as u64 {
            return Err(ReadError::Layout {
                place: format!("the table in HDU {}", self.table),
                problem: format!("the arrays of a few rows have more than {} MiB", MAX_HEAP_BYTES >> 20),
            });
        }
        let moved = heap.len() as u64;
        heap.extend(self.bytes(start, bytes as usize)?);
        let mut cell = cell.to_vec();
        let moved = moved.to_be_bytes();
        cell[half..].copy_from_slice(&moved[8 - half..]);
        Ok(cell)
    }

    fn bytes(&mut self, start: u64, length: usize) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::new();
        let read = self
            .file
            .seek(SeekFrom::Start(start))
            .and_then(|_| self.file.by_ref().take(length as u64).read_to_end(&mut bytes));
        match read {
            Ok(n) if n == length => Ok(bytes),
            Ok(n) => Err(ReadError::FitsTruncated { hdu: self.table, expected: length as u64, available: n as u64 }),
            Err(e) => Err(ReadError::Layout {
                place: format!("the table in HDU {}", self.table),
                problem: format!("the file cannot be read: {e}"),
            }),
        }
    }
}

/// Refuses a file whose only image is longer than any spectrum that is read, before its data are read.
fn check_length(index: usize, header: &Header) -> Result<(), ReadError> {
    match (index, header.integer("NAXIS"), header.integer("NAXIS1")) {
        (0, Some(1), Some(pixels)) if pixels > MAX_PIXELS as i64 => Err(ReadError::Layout {
            place: "the image in HDU 0".into(),
            problem: format!("it has {pixels} pixels, more than the longest spectrum that is read; cut it into parts"),
        }),
        _ => Ok(()),
    }
}

/// The bytes at `offset` up to the end of a header, or up to the longest possible header.
fn read_header(file: &mut (impl Read + Seek), offset: u64) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut head = Vec::new();
    while head.len() < MAX_HEADER_BYTES {
        let n = file.by_ref().take(BLOCK as u64).read_to_end(&mut head)?;
        let is_end = |card: &[u8]| card.starts_with(b"END") && card[3..].iter().all(|b| *b == b' ');
        if n < BLOCK || head[head.len() - BLOCK..].chunks(super::header::CARD).any(is_end) {
            break;
        }
    }
    Ok(head)
}

impl TablePart {
    /// The file with only these rows.
    pub(crate) fn fits(&self) -> Fits<'_> {
        let mut hdus = Vec::new();
        for (index, stored) in self.hdus.iter().enumerate() {
            hdus.push(match index == self.table {
                true => Hdu::of_part(index, self.header.clone(), &self.data, Some(self.first_row)),
                false => Hdu::of_part(index, stored.header.clone(), &stored.data, None),
            });
        }
        Fits { hdus, damage: None }
    }

    /// Size in memory, bytes.
    pub(crate) fn size(&self) -> usize {
        self.data.len()
    }
}
