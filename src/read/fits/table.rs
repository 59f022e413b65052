//! FITS binary tables: cells as numbers or text on request, variable-length arrays included (FITS standard 4.0, §7.3).

use std::ops::Range;

use super::super::error::{ReadError, truncate};
use super::Hdu;
use super::number::{Number, Scaling};

/// Maximum number of columns (the limit of the standard).
const MAX_COLUMNS: i64 = 999;

/// Type of the cells of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell {
    Numbers(Number),
    /// Length and offset of an array in the heap, each in 4 or 8 bytes, with the type of its numbers.
    Pointer(Option<Number>),
    Text,
    Logical,
    /// Bits and complex numbers, which no supported spectrum uses.
    Other,
}

/// A column of a binary table.
#[derive(Debug, Clone)]
pub struct FitsColumn {
    /// TTYPE, as the file spells it.
    pub name: String,
    /// TUNIT; empty if absent.
    pub unit: String,
    /// TUCD; empty if absent.
    pub ucd: String,
    /// Number of values per cell; for variable-length arrays, number of pointers per cell.
    pub repeat: usize,
    cell: Cell,
    scaling: Scaling,
    offset: usize,
    bytes: usize,
}

impl FitsColumn {
    /// True when the cells are numbers.
    pub fn is_numeric(&self) -> bool {
        matches!(self.cell, Cell::Numbers(_))
    }

    /// True when the cells are arrays of numbers, of fixed or variable length.
    pub fn is_array(&self) -> bool {
        match self.cell {
            Cell::Numbers(_) => self.repeat > 1,
            Cell::Pointer(number) => number.is_some(),
            _ => false,
        }
    }

    /// True when the cells are 32-bit floats without scaling.
    pub fn is_f32(&self) -> bool {
        matches!(self.cell, Cell::Numbers(Number::F32) | Cell::Pointer(Some(Number::F32))) && self.scaling.is_plain()
    }
}

/// A binary table.
#[derive(Debug)]
pub struct Table<'a> {
    /// Its columns, in order.
    pub columns: Vec<FitsColumn>,
    /// Number of rows.
    pub rows: usize,
    hdu: usize,
    pub(super) row_bytes: usize,
    bytes: &'a [u8],
    heap: &'a [u8],
}

impl<'a> Table<'a> {
    /// `bytes` must be the complete data of the HDU.
    pub(super) fn new(hdu: &Hdu, bytes: &'a [u8]) -> Result<Self, ReadError> {
        let header = &hdu.header;
        let keyword_error = |keyword: &str, problem: &str| ReadError::FitsKeyword {
            hdu: hdu.index,
            keyword: keyword.into(),
            problem: problem.into(),
        };
        let size = |keyword: &str| header.integer(keyword).and_then(|n| usize::try_from(n).ok());
        if size("NAXIS") != Some(2) || size("GCOUNT").unwrap_or(1) != 1 {
            return Err(keyword_error("NAXIS", "or GCOUNT is invalid for a table"));
        }
        let row_bytes = size("NAXIS1").unwrap_or(0);
        // A table with empty rows could state any number of rows.
        let rows = if row_bytes == 0 { 0 } else { size("NAXIS2").unwrap_or(0) };
        let fields = match header.integer("TFIELDS") {
            Some(n @ 0..=MAX_COLUMNS) => n,
            _ => return Err(keyword_error("TFIELDS", "is missing, negative or larger than 999")),
        };
        let mut columns = Vec::new();
        let mut offset = 0usize;
        for i in 1..=fields {
            let keyword = format!("TFORM{i}");
            let (cell, repeat, length) = header
                .text(&keyword)
                .and_then(parse_form)
                .ok_or_else(|| keyword_error(&keyword, "is missing or not a format"))?;
            let end = offset
                .checked_add(length)
                .filter(|end| *end <= row_bytes)
                .ok_or_else(|| keyword_error(&keyword, "reaches beyond the end of the row (NAXIS1)"))?;
            let text = |stem: &str| header.text(&format!("{stem}{i}")).unwrap_or("").trim().to_string();
            columns.push(FitsColumn {
                name: text("TTYPE"),
                unit: text("TUNIT"),
                ucd: text("TUCD"),
                repeat,
                cell,
                scaling: Scaling {
                    scale: header.number(&format!("TSCAL{i}")).unwrap_or(1.0),
                    zero: header.number(&format!("TZERO{i}")).unwrap_or(0.0),
                    blank: header.integer(&format!("TNULL{i}")),
                },
                offset,
                bytes: length,
            });
            offset = end;
        }
        let heap_at = size("THEAP").or(row_bytes.checked_mul(rows)).unwrap_or(usize::MAX);
        Ok(Self { columns, rows, hdu: hdu.index, row_bytes, bytes, heap: bytes.get(heap_at..).unwrap_or(&[]) })
    }

    /// Place in a row, bytes, of the cells that point to arrays of numbers in the heap; with the width of these numbers.
    pub(super) fn pointers(&self) -> Vec<(Range<usize>, usize)> {
        let pointer = |c: &FitsColumn| match c.cell {
            // The cell of an empty array may lack the pointer.
            Cell::Pointer(Some(number)) if c.bytes > 0 => Some((c.offset..c.offset + c.bytes, number.width())),
            _ => None,
        };
        self.columns.iter().filter_map(pointer).collect()
    }

    /// The column with this name; upper and lower case are equal.
    pub fn column(&self, name: &str) -> Option<&FitsColumn> {
        self.columns.iter().find(|c| c.name.eq_ignore_ascii_case(name))
    }

    fn cell(&self, row: usize, column: &FitsColumn) -> Option<&'a [u8]> {
        let start = row.checked_mul(self.row_bytes)?.checked_add(column.offset)?;
        (row < self.rows).then(|| self.bytes.get(start..start.checked_add(column.bytes)?))?
    }

    /// The numbers in one cell. Missing values are NaN.
    pub fn vector(&self, row: usize, column: &FitsColumn) -> Result<Vec<f64>, ReadError> {
        let problem = |problem: &str| ReadError::FitsColumn {
            hdu: self.hdu,
            column: truncate(&column.name),
            problem: problem.into(),
        };
        let cell = self.cell(row, column).ok_or_else(|| problem("the table has no such row"))?;
        match column.cell {
            Cell::Numbers(number) => Ok(column.scaling.decode(number, cell)),
            // The cell of an empty array may lack the pointer.
            Cell::Pointer(Some(_)) if cell.is_empty() => Ok(Vec::new()),
            Cell::Pointer(Some(number)) => {
                let array_bytes = self.in_heap(cell, number.width());
                let array_bytes = array_bytes.ok_or_else(|| problem("a cell points beyond the end of the data"))?;
                Ok(column.scaling.decode(number, array_bytes))
            }
            _ => Err(problem("its cells are not plain numbers")),
        }
    }

    /// The numbers of all rows; the vectors of a vector column are concatenated. Missing values are NaN.
    pub fn numbers(&self, column: &FitsColumn) -> Result<Vec<f64>, ReadError> {
        let Cell::Numbers(number) = column.cell else {
            return self.vector(0, column);
        };
        let mut all = Vec::new();
        for row in 0..self.rows {
            let Some(cell) = self.cell(row, column) else { break };
            all.extend(cell.chunks_exact(number.width()).map(|b| column.scaling.value(number, b)));
        }
        Ok(all)
    }

    /// The first number of a named column in a row; `None` if absent, missing or not finite.
    pub fn number(&self, row: usize, name: &str) -> Option<f64> {
        let values = self.vector(row, self.column(name)?).ok()?;
        values.first().copied().filter(|v| v.is_finite())
    }

    /// Size of rows and heap, bytes.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes in the heap that a pointer describes, for elements of `width` bytes.
    fn in_heap(&self, pointer: &[u8], width: usize) -> Option<&'a [u8]> {
        let number = if pointer.len() == 8 { Number::I32 } else { Number::I64 };
        let read_integer = |b: &[u8]| usize::try_from(number.integer(b)?).ok();
        let length = read_integer(pointer.get(..pointer.len() / 2)?)?.checked_mul(width)?;
        let start = read_integer(pointer.get(pointer.len() / 2..)?)?;
        self.heap.get(start..start.checked_add(length)?)
    }

    /// The bytes in the heap to which a named column points in a row, for elements of 1 byte.
    pub(super) fn heap_bytes(&self, row: usize, name: &str) -> Option<&'a [u8]> {
        let column = self.column(name).filter(|c| matches!(c.cell, Cell::Pointer(_)))?;
        self.in_heap(self.cell(row, column)?, 1)
    }

    /// The integer of a named column in a row, with all digits; `None` if absent, missing or not an integer.
    pub fn integer(&self, row: usize, name: &str) -> Option<i64> {
        let column = self.column(name)?;
        let Cell::Numbers(number) = column.cell else { return None };
        let exact = column.scaling.exact(number, self.cell(row, column)?.get(..number.width())?)?;
        i64::try_from(exact).ok()
    }

    /// Text of a named column in a row, trimmed; `None` if absent, empty or not text.
    pub fn text(&self, row: usize, name: &str) -> Option<String> {
        let column = self.column(name).filter(|c| c.cell == Cell::Text)?;
        self.cell_text(row, column)
    }

    /// A cell as text: integers with all digits, for an array its first number; `None` if it is missing or empty.
    pub(crate) fn cell_text(&self, row: usize, column: &FitsColumn) -> Option<String> {
        let cell = self.cell(row, column)?;
        match column.cell {
            Cell::Text => {
                let text = String::from_utf8_lossy(cell.split(|b| *b == 0).next()?).trim().to_string();
                (!text.is_empty()).then_some(text)
            }
            Cell::Logical => match cell.first()? {
                b'T' => Some("true".into()),
                b'F' => Some("false".into()),
                _ => None,
            },
            Cell::Numbers(number) => {
                let first = cell.get(..number.width())?;
                let value = column.scaling.value(number, first);
                let exact = column.scaling.exact(number, first);
                exact.map(|e| e.to_string()).or_else(|| value.is_finite().then(|| value.to_string()))
            }
            Cell::Pointer(_) | Cell::Other => None,
        }
    }
}

/// Parses a TFORM value: type of the cell, number of values per cell, and length of the cell in bytes.
fn parse_form(form: &str) -> Option<(Cell, usize, usize)> {
    let form = form.trim();
    let digits = form.find(|c: char| !c.is_ascii_digit())?;
    let repeat: usize = if digits == 0 { 1 } else { form[..digits].parse().ok()? };
    let mut letters = form[digits..].chars();
    let number = |letter: char| {
        Some(match letter {
            'B' => Number::U8,
            'I' => Number::I16,
            'J' => Number::I32,
            'K' => Number::I64,
            'E' => Number::F32,
            'D' => Number::F64,
            _ => return None,
        })
    };
    let (cell, width) = match letters.next()? {
        'A' => (Cell::Text, 1),
        'L' => (Cell::Logical, 1),
        'X' => return Some((Cell::Other, repeat, repeat.div_ceil(8))),
        'C' => (Cell::Other, 8),
        'M' => (Cell::Other, 16),
        // The standard allows a repeat of 0 or 1.
        'P' => (Cell::Pointer(letters.next().and_then(number)), 8),
        'Q' => (Cell::Pointer(letters.next().and_then(number)), 16),
        letter => number(letter).map(|n| (Cell::Numbers(n), n.width()))?,
    };
    Some((cell, repeat, repeat.checked_mul(width)?))
}
