//! Binary tables: cells to numbers and texts where asked, variable-length arrays included (FITS standard 4.0, §7.3).

use super::super::error::{ReadError, shown};
use super::Hdu;
use super::number::{Number, Scaling};

/// More columns than any table of spectra has (the standard's own limit).
const MAX_COLUMNS: i64 = 999;

/// What a column stores.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell {
    Numbers(Number),
    /// Length and place of numbers in the heap, each in 4 or 8 bytes.
    Pointer(Option<Number>),
    Text,
    Logical,
    /// Bits and complex numbers: never part of a spectrum that we read.
    Other,
}

/// A column of a binary table.
#[derive(Debug, Clone)]
pub struct Column {
    /// TTYPE, as the file spells it.
    pub name: String,
    /// TUNIT, empty without one.
    pub unit: String,
    /// TUCD, empty without one.
    pub ucd: String,
    /// Numbers in each cell; of variable-length arrays, pointers in each cell.
    pub repeat: usize,
    cell: Cell,
    scaling: Scaling,
    offset: usize,
    bytes: usize,
}

impl Column {
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

    /// True when the cells are 32-bit floats and not scaled.
    pub fn is_f32(&self) -> bool {
        matches!(self.cell, Cell::Numbers(Number::F32) | Cell::Pointer(Some(Number::F32))) && self.scaling.is_plain()
    }
}

/// A binary table.
#[derive(Debug)]
pub struct Table<'a> {
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// Number of rows.
    pub rows: usize,
    hdu: usize,
    row_bytes: usize,
    bytes: &'a [u8],
    heap: &'a [u8],
}

impl<'a> Table<'a> {
    /// `bytes` are all that the header promises.
    pub(super) fn new(hdu: &Hdu, bytes: &'a [u8]) -> Result<Self, ReadError> {
        let header = &hdu.header;
        let bad = |keyword: &str, problem: &str| ReadError::FitsKeyword {
            hdu: hdu.index,
            keyword: keyword.into(),
            problem: problem.into(),
        };
        let size = |keyword: &str| header.integer(keyword).and_then(|n| usize::try_from(n).ok());
        if size("NAXIS") != Some(2) || size("GCOUNT").unwrap_or(1) != 1 {
            return Err(bad("NAXIS", "or GCOUNT is not that of a table"));
        }
        let row_bytes = size("NAXIS1").unwrap_or(0);
        // A table without bytes in its rows may claim any number of them.
        let rows = if row_bytes == 0 { 0 } else { size("NAXIS2").unwrap_or(0) };
        let fields = match header.integer("TFIELDS") {
            Some(n @ 0..=MAX_COLUMNS) => n,
            _ => return Err(bad("TFIELDS", "is missing, negative or larger than 999")),
        };
        let mut columns = Vec::new();
        let mut offset = 0usize;
        for i in 1..=fields {
            let keyword = format!("TFORM{i}");
            let (cell, repeat, length) = header
                .text(&keyword)
                .and_then(parse_form)
                .ok_or_else(|| bad(&keyword, "is missing or not a format"))?;
            let end = offset
                .checked_add(length)
                .filter(|end| *end <= row_bytes)
                .ok_or_else(|| bad(&keyword, "reaches beyond the end of the row (NAXIS1)"))?;
            let text = |stem: &str| header.text(&format!("{stem}{i}")).unwrap_or("").trim().to_string();
            columns.push(Column {
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

    /// The column of this name, in any case.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name.eq_ignore_ascii_case(name))
    }

    fn cell(&self, row: usize, column: &Column) -> Option<&'a [u8]> {
        let start = row.checked_mul(self.row_bytes)?.checked_add(column.offset)?;
        (row < self.rows).then(|| self.bytes.get(start..start.checked_add(column.bytes)?))?
    }

    /// The numbers in one cell. Missing values are NaN.
    pub fn vector(&self, row: usize, column: &Column) -> Result<Vec<f64>, ReadError> {
        let problem = |problem: &str| ReadError::FitsColumn {
            hdu: self.hdu,
            column: shown(&column.name),
            problem: problem.into(),
        };
        let cell = self.cell(row, column).ok_or_else(|| problem("the table has no such row"))?;
        match column.cell {
            Cell::Numbers(number) => Ok(column.scaling.decode(number, cell)),
            // An empty array may have no pointer at all.
            Cell::Pointer(Some(_)) if cell.is_empty() => Ok(Vec::new()),
            Cell::Pointer(Some(number)) => {
                let there = self.in_heap(cell, number.width());
                let there = there.ok_or_else(|| problem("a cell points beyond the end of the data"))?;
                Ok(column.scaling.decode(number, there))
            }
            _ => Err(problem("its cells are not plain numbers")),
        }
    }

    /// The numbers of all rows; a column of vectors is joined. Missing values are NaN.
    pub fn numbers(&self, column: &Column) -> Result<Vec<f64>, ReadError> {
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

    /// Bytes of rows and heap.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes in the heap that a pointer names, of elements of `width` bytes.
    fn in_heap(&self, pointer: &[u8], width: usize) -> Option<&'a [u8]> {
        let number = if pointer.len() == 8 { Number::I32 } else { Number::I64 };
        let half = |b: &[u8]| usize::try_from(number.integer(b)?).ok();
        let length = half(pointer.get(..pointer.len() / 2)?)?.checked_mul(width)?;
        let start = half(pointer.get(pointer.len() / 2..)?)?;
        self.heap.get(start..start.checked_add(length)?)
    }

    /// The bytes in the heap that a named column points to in a row.
    pub(super) fn pointed(&self, row: usize, name: &str) -> Option<&'a [u8]> {
        let column = self.column(name).filter(|c| matches!(c.cell, Cell::Pointer(_)))?;
        self.in_heap(self.cell(row, column)?, 1)
    }

    /// The whole number of a named column in a row, to its last digit; `None` if absent, missing or no whole number.
    pub fn integer(&self, row: usize, name: &str) -> Option<i64> {
        let column = self.column(name)?;
        let Cell::Numbers(number) = column.cell else { return None };
        let exact = column.scaling.exact(number, self.cell(row, column)?.get(..number.width())?)?;
        i64::try_from(exact).ok()
    }

    /// Text of a named column in a row, trimmed; `None` if absent, empty or no text.
    pub fn text(&self, row: usize, name: &str) -> Option<String> {
        let column = self.column(name).filter(|c| c.cell == Cell::Text)?;
        self.shown(row, column)
    }

    /// A cell as text: whole numbers to their last digit, of an array the first number; `None` if it is missing or empty.
    pub(crate) fn shown(&self, row: usize, column: &Column) -> Option<String> {
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

/// A TFORM value as what is stored, how many in a cell, and the cell's length in bytes.
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
