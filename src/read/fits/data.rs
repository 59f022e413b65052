//! Images and binary tables: big-endian bytes to numbers, row by row, with scaling and missing values applied.

use super::super::error::ReadError;
use super::Hdu;

/// More columns than any table of spectra has (the standard's own limit).
const MAX_COLUMNS: i64 = 999;

/// How one number is stored.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    U8,
    I16,
    I32,
    I64,
    F32,
    F64,
}

impl Number {
    fn width(self) -> usize {
        match self {
            Number::U8 => 1,
            Number::I16 => 2,
            Number::I32 | Number::F32 => 4,
            Number::I64 | Number::F64 => 8,
        }
    }

    /// The whole number in exactly `width` bytes; `None` for floating point.
    fn integer(self, b: &[u8]) -> Option<i64> {
        Some(match self {
            Number::U8 => i64::from(*b.first()?),
            Number::I16 => i64::from(i16::from_be_bytes(b.try_into().ok()?)),
            Number::I32 => i64::from(i32::from_be_bytes(b.try_into().ok()?)),
            Number::I64 => i64::from_be_bytes(b.try_into().ok()?),
            Number::F32 | Number::F64 => return None,
        })
    }

    fn float(self, b: &[u8]) -> f64 {
        match self {
            Number::F32 => b.try_into().map_or(f64::NAN, |b| f64::from(f32::from_be_bytes(b))),
            Number::F64 => b.try_into().map_or(f64::NAN, f64::from_be_bytes),
            _ => self.integer(b).map_or(f64::NAN, |i| i as f64),
        }
    }
}

/// `stored × scale + zero`, and which stored integer means "missing".
#[derive(Debug, Clone, Copy)]
struct Scaling {
    scale: f64,
    zero: f64,
    blank: Option<i64>,
}

impl Scaling {
    /// Missing values become NaN.
    fn decode(&self, number: Number, bytes: &[u8]) -> Vec<f64> {
        let plain = self.scale == 1.0 && self.zero == 0.0;
        bytes
            .chunks_exact(number.width())
            .map(|b| match self.blank {
                Some(blank) if number.integer(b) == Some(blank) => f64::NAN,
                _ if plain => number.float(b),
                _ => number.float(b) * self.scale + self.zero,
            })
            .collect()
    }
}

/// The pixels of an image HDU.
#[derive(Debug)]
pub struct Image<'a> {
    /// Length of each axis, the fastest first; never 0.
    pub axes: Vec<usize>,
    number: Number,
    scaling: Scaling,
    bytes: &'a [u8],
}

impl<'a> Image<'a> {
    /// `bytes` are all that the header promises.
    pub(super) fn new(hdu: &Hdu, bytes: &'a [u8]) -> Result<Self, ReadError> {
        let header = &hdu.header;
        let number = match header.integer("BITPIX") {
            Some(8) => Number::U8,
            Some(16) => Number::I16,
            Some(32) => Number::I32,
            Some(64) => Number::I64,
            Some(-32) => Number::F32,
            _ => Number::F64,
        };
        let axes = (1..=header.integer("NAXIS").unwrap_or(0))
            .map(|i| header.integer(&format!("NAXIS{i}")).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| ReadError::FitsKeyword {
                hdu: hdu.index,
                keyword: "NAXISn".into(),
                problem: "is 0 although the HDU has data".into(),
            })?;
        let scaling = Scaling {
            scale: header.number("BSCALE").unwrap_or(1.0),
            zero: header.number("BZERO").unwrap_or(0.0),
            blank: header.integer("BLANK"),
        };
        Ok(Self { axes, number, scaling, bytes })
    }

    /// Number of pixels along the fastest axis.
    pub fn width(&self) -> usize {
        self.axes.first().copied().unwrap_or(0)
    }

    /// Number of rows, all slower axes together.
    pub fn rows(&self) -> usize {
        self.axes.iter().skip(1).product()
    }

    /// True when pixels are stored as 32-bit floats and not scaled.
    pub fn is_f32(&self) -> bool {
        self.number == Number::F32 && self.scaling.scale == 1.0 && self.scaling.zero == 0.0
    }

    /// One row along the fastest axis; `None` beyond the last.
    pub fn row(&self, row: usize) -> Option<Vec<f64>> {
        let length = self.width().checked_mul(self.number.width())?;
        let start = row.checked_mul(length)?;
        let bytes = self.bytes.get(start..start.checked_add(length)?)?;
        Some(self.scaling.decode(self.number, bytes))
    }
}

/// What a column stores.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell {
    Numbers(Number),
    Text,
    /// Bits, logicals, complex numbers and variable-length arrays: never part of a spectrum that we read.
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
    /// Numbers in each cell.
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

    /// True when the cells are 32-bit floats and not scaled.
    pub fn is_f32(&self) -> bool {
        self.cell == Cell::Numbers(Number::F32) && self.scaling.scale == 1.0 && self.scaling.zero == 0.0
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
        let rows = size("NAXIS2").unwrap_or(0);
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
        Ok(Self { columns, rows, hdu: hdu.index, row_bytes, bytes })
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
            column: column.name.clone(),
            problem: problem.into(),
        };
        let Cell::Numbers(number) = column.cell else {
            return Err(problem("its cells are not plain numbers"));
        };
        let cell = self.cell(row, column).ok_or_else(|| problem("the table has no such row"))?;
        Ok(column.scaling.decode(number, cell))
    }

    /// The numbers of all rows; a column of vectors is joined. Missing values are NaN.
    pub fn numbers(&self, column: &Column) -> Result<Vec<f64>, ReadError> {
        let Cell::Numbers(number) = column.cell else {
            return self.vector(0, column);
        };
        let mut all = Vec::new();
        // A table without bytes in its rows may claim any number of them.
        for row in 0..if column.bytes == 0 { 0 } else { self.rows } {
            let Some(cell) = self.cell(row, column) else { break };
            if cell.len() == number.width() {
                all.extend(column.scaling.decode(number, cell).first());
            } else {
                all.extend(column.scaling.decode(number, cell));
            }
        }
        Ok(all)
    }

    /// The first number of a named column in a row; `None` if absent, missing or not finite.
    pub fn number(&self, row: usize, name: &str) -> Option<f64> {
        let values = self.vector(row, self.column(name)?).ok()?;
        values.first().copied().filter(|v| v.is_finite())
    }

    /// The data of the whole table, its heap included.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Length and place in the heap of what a named column points to in a row.
    pub(super) fn pointer(&self, row: usize, name: &str) -> Option<(usize, usize)> {
        let cell = self.cell(row, self.column(name)?)?;
        let number = if cell.len() == 8 { Number::I32 } else { Number::I64 };
        let half = |b: &[u8]| usize::try_from(number.integer(b)?).ok();
        Some((half(cell.get(..cell.len() / 2)?)?, half(cell.get(cell.len() / 2..)?)?))
    }

    /// The whole number of a named column in a row, to its last digit; `None` if absent, missing or no whole number.
    pub fn integer(&self, row: usize, name: &str) -> Option<i64> {
        let column = self.column(name)?;
        let Cell::Numbers(number) = column.cell else { return None };
        let stored = number.integer(self.cell(row, column)?.get(..number.width())?)?;
        let is_plain = column.scaling.scale == 1.0 && column.scaling.zero == 0.0;
        (is_plain && column.scaling.blank != Some(stored)).then_some(stored)
    }

    /// Text of a named column in a row, trimmed; `None` if absent, empty or no text.
    pub fn text(&self, row: usize, name: &str) -> Option<String> {
        let column = self.column(name).filter(|c| c.cell == Cell::Text)?;
        let cell = self.cell(row, column)?;
        let text = String::from_utf8_lossy(cell.split(|b| *b == 0).next()?).trim().to_string();
        (!text.is_empty()).then_some(text)
    }
}

/// A TFORM value as what is stored, how many in a cell, and the cell's length in bytes.
fn parse_form(form: &str) -> Option<(Cell, usize, usize)> {
    let form = form.trim();
    let digits = form.find(|c: char| !c.is_ascii_digit())?;
    let repeat: usize = if digits == 0 { 1 } else { form[..digits].parse().ok()? };
    let (cell, width) = match form[digits..].chars().next()? {
        'B' => (Cell::Numbers(Number::U8), 1),
        'I' => (Cell::Numbers(Number::I16), 2),
        'J' => (Cell::Numbers(Number::I32), 4),
        'K' => (Cell::Numbers(Number::I64), 8),
        'E' => (Cell::Numbers(Number::F32), 4),
        'D' => (Cell::Numbers(Number::F64), 8),
        'A' => (Cell::Text, 1),
        'L' => (Cell::Other, 1),
        'X' => return Some((Cell::Other, repeat, repeat.div_ceil(8))),
        'C' | 'P' => (Cell::Other, 8),
        'M' | 'Q' => (Cell::Other, 16),
        _ => return None,
    };
    Some((cell, repeat, repeat.checked_mul(width)?))
}
