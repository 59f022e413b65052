//! One table type for all formats: named columns with units and UCDs, with cells that are numbers, text or arrays of
//! numbers.
//!
//! CSV and TSV (`delimited`), ECSV, IPAC, `VOTable` in all its serialisations and FITS tables become a [`Table`]. Spectra
//! (`columns`) and labels (`labels`) are then read from it independently of the format. A cell is a byte range of the
//! file, which is decoded only on request.

mod delimited;
mod ecsv;
mod fits_text;
mod ipac;
mod params;
mod stream;
pub(crate) mod text_cells;
mod votable;

pub(crate) use delimited::preview_header;
pub(crate) use params::Params;
pub(crate) use votable::{entity_char, identify as is_votable};

use std::cell::Cell;

use super::error::{ReadError, truncate};
use super::{MAX_LISTED, SkippedPart, fits};
use stream::Stream;
use text_cells::TextCells;

/// Name of the tables of FITS files.
pub(super) const FITS: &str = "FITS table";

/// Maximum number of columns of a text table. The limit bounds memory, because a column takes more memory than its name
/// takes in the file.
const MAX_COLUMNS: usize = 5000;

/// Maximum number of rows of the wrong length that are recorded for the message.
const MAX_BAD_ROWS: usize = 1000;

/// The numbers of a cell, or a description of the problem.
pub(crate) type Numbers = Result<Vec<f64>, String>;

/// A column's heading.
#[derive(Debug, Clone, Default)]
pub(crate) struct Column {
    /// Name, as the file spells it.
    pub name: String,
    /// Unit; empty if absent.
    pub unit: String,
    /// UCD; empty if absent.
    pub ucd: String,
    /// True when the cells are arrays of numbers.
    pub is_array: bool,
    /// True when the cells are 32-bit floats.
    pub is_f32: bool,
    /// True when the file states that the cells are not numbers.
    pub is_text: bool,
    /// The text that means a missing value in this column.
    pub null: Option<String>,
}

/// A row with the wrong number of cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadRow {
    /// Line of the file, from 1.
    pub line: usize,
    /// Number of its cells.
    pub found: usize,
}

/// A table.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    /// Kind of table, as shown to the user: "ECSV table".
    pub kind: &'static str,
    /// Place in the file, for messages: "the table in HDU 1".
    pub place: String,
    /// Headings of the columns.
    pub columns: Vec<Column>,
    /// Number of rows.
    pub rows: usize,
    /// Rows that are excluded, because they have the wrong number of cells.
    pub bad_rows: Vec<BadRow>,
    /// Metadata of the table.
    pub params: Params,
    /// Number of the first row in the table of the file, if these rows are a part of it.
    pub first_row: Option<usize>,
    cells: Cells<'a>,
    /// Count of the numbers decoded from array cells so far.
    decoded: Cell<usize>,
}

#[derive(Debug)]
enum Cells<'a> {
    Text(TextCells<'a>),
    Stream(Stream),
    Fits(fits::Table<'a>),
}

impl<'a> Table<'a> {
    /// A text table. A column whose first non-missing cell is an array counts as a column of arrays.
    fn of_text(kind: &'static str, mut columns: Vec<Column>, rows: usize, cells: TextCells<'a>) -> Self {
        for (i, column) in columns.iter_mut().enumerate() {
            let first = (0..rows).map(|row| cells.cell(row, i)).find(|cell| !text_cells::is_missing(cell));
            column.is_array |= first.is_some_and(|cell| text_cells::is_array(&cell));
        }
        Self {
            kind,
            place: format!("the {kind}"),
            columns,
            rows,
            bad_rows: Vec::new(),
            params: Params::default(),
            first_row: None,
            cells: Cells::Text(cells),
            decoded: Cell::new(0),
        }
    }

    /// A FITS binary table; `None` if the HDU is not a binary table. Keywords of its header take precedence over the
    /// primary header.
    fn of_fits(hdu: &fits::Hdu<'a>, primary: &Params) -> Option<Result<Self, ReadError>> {
        let table = match hdu.table()? {
            Ok(table) => table,
            Err(error) => return Some(Err(error)),
        };
        let heading = |c: &fits::FitsColumn| Column {
            name: c.name.clone(),
            unit: c.unit.clone(),
            ucd: c.ucd.clone(),
            is_array: c.is_array(),
            is_f32: c.is_f32(),
            is_text: !c.is_numeric() && !c.is_array(),
            null: None,
        };
        Some(Ok(Self {
            kind: FITS,
            place: place_of(hdu),
            columns: table.columns.iter().map(heading).collect(),
            rows: table.rows,
            bad_rows: Vec::new(),
            params: Params::of_headers(&hdu.header, primary),
            first_row: hdu.first_row(),
            cells: Cells::Fits(table),
            decoded: Cell::new(0),
        }))
    }

    /// Index of the column with the first of these names that exists; upper and lower case are equal.
    pub(crate) fn find(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.columns.iter().position(|c| c.name.eq_ignore_ascii_case(name)))
    }

    /// A cell as text, integers with all digits; `None` if it is missing or empty.
    pub(crate) fn text(&self, row: usize, column: usize) -> Option<String> {
        match &self.cells {
            Cells::Text(cells) => {
                let cell = cells.cell(row, column);
                (!self.is_null(column, &cell) && !text_cells::is_missing(&cell)).then(|| cell.into_owned())
            }
            Cells::Stream(stream) => stream.text(row, column),
            Cells::Fits(table) => table.cell_text(row, table.columns.get(column)?),
        }
    }

    /// A cell as a finite number, in the column with the first of these names that exists.
    pub(crate) fn number(&self, row: usize, names: &[&str]) -> Option<f64> {
        fits::parse_number(&self.text(row, self.find(names)?)?).filter(|v| v.is_finite())
    }

    /// The numbers of one cell; missing numbers are NaN, and a missing array is empty.
    ///
    /// # Errors
    ///
    /// If the cell is not an array of numbers, or if the cells so far gave more numbers than the file has bytes. The
    /// second error protects against variable-length arrays that all point to the same place.
    pub(crate) fn array(&self, row: usize, column: usize) -> Result<Vec<f64>, ReadError> {
        if self.decoded.get() > self.size() {
            return Err(self.bad_cell(
                row,
                column,
                "the arrays of this column overlap in the file; download the file again".into(),
            ));
        }
        let values = match &self.cells {
            Cells::Text(cells) => {
                let cell = cells.cell(row, column);
                let values = if text_cells::is_missing(&cell) { Ok(Vec::new()) } else { text_cells::array(&cell) };
                values.map(|v| v.into_iter().map(|v| self.as_declared(column, v)).collect())
            }
            Cells::Stream(stream) => stream.numbers(row, column),
            Cells::Fits(table) => match table.columns.get(column) {
                Some(heading) => return table.vector(row, heading).inspect(|v| self.count(v.len())),
                None => Ok(Vec::new()),
            },
        };
        values.map_err(|problem| self.bad_cell(row, column, problem)).inspect(|v: &Vec<f64>| self.count(v.len()))
    }

    fn count(&self, numbers: usize) {
        self.decoded.set(self.decoded.get().saturating_add(numbers));
    }

    /// The single number of a cell; NaN if it is missing.
    pub(crate) fn scalar(&self, row: usize, column: usize) -> Result<f64, ReadError> {
        match &self.cells {
            Cells::Text(cells) => {
                let cell = cells.cell(row, column);
                if self.is_null(column, &cell) {
                    return Ok(f64::NAN);
                }
                text_cells::number(&cell).map(|v| self.as_declared(column, v)).ok_or_else(|| {
                    self.bad_cell(
                        row,
                        column,
                        format!("“{}” is not a number; correct it or leave it empty", truncate(&cell)),
                    )
                })
            }
            _ => Ok(self.array(row, column)?.first().copied().unwrap_or(f64::NAN)),
        }
    }

    /// True for the declared missing value of a column, also in another spelling of the number: −999 and −999.0.
    fn is_null(&self, column: usize, cell: &str) -> bool {
        let Some(null) = self.columns.get(column).and_then(|c| c.null.as_deref()) else { return false };
        let number = |text: &str| fits::parse_number(text.trim());
        cell == null || number(cell).is_some_and(|value| number(null) == Some(value))
    }

    /// Rounds a number from text to 32 bits if the file declares the column as 32-bit floats.
    fn as_declared(&self, column: usize, value: f64) -> f64 {
        if self.columns.get(column).is_some_and(|c| c.is_f32) { f64::from(value as f32) } else { value }
    }

    /// Size of the data, bytes; a valid table has fewer numbers.
    pub(crate) fn size(&self) -> usize {
        match &self.cells {
            Cells::Text(cells) => cells.size(),
            Cells::Stream(stream) => stream.size(),
            Cells::Fits(table) => table.size(),
        }
    }

    /// Number of a row in the table of the file, from 1.
    pub(crate) fn row_number(&self, row: usize) -> usize {
        self.first_row.unwrap_or(0) + row + 1
    }

    /// True if these rows are the whole table of the file.
    pub(crate) fn is_whole(&self) -> bool {
        self.first_row.is_none()
    }

    /// Place of a row, for messages.
    pub(crate) fn row_name(&self, row: usize) -> String {
        match &self.cells {
            Cells::Text(cells) if self.kind != votable::KIND && self.kind != FITS => {
                format!("line {}", cells.line(row))
            }
            _ => format!("row {}", self.row_number(row)),
        }
    }

    /// Moves the lines of all rows down by `n`, for a table whose text lacks lines of its file.
    pub(crate) fn shift_lines(&mut self, n: usize) {
        self.bad_rows.iter_mut().for_each(|bad| bad.line += n);
        if let Cells::Text(cells) = &mut self.cells {
            cells.shift_lines(n);
        }
    }

    /// The rows that are excluded, with the reason.
    pub(crate) fn skipped_rows(&self) -> impl Iterator<Item = SkippedPart> {
        self.bad_rows.iter().take(MAX_LISTED).map(|bad| SkippedPart {
            part: format!("line {}", bad.line),
            reason: format!("it has {} cells, but the line of names has {}; correct it", bad.found, self.columns.len()),
        })
    }

    /// The error for a cell.
    pub(crate) fn bad_cell(&self, row: usize, column: usize, problem: String) -> ReadError {
        ReadError::Cell {
            place: self.place.clone(),
            column: self.columns.get(column).map_or_else(String::new, |c| truncate(&c.name)),
            row: self.row_name(row),
            problem,
        }
    }
}

/// Reads the table of a text file: ECSV or IPAC if it starts like one, else delimited values below a line of names.
///
/// # Errors
///
/// If there is no line of names, or if an ECSV or IPAC table cannot be parsed.
pub(crate) fn of_text(text: &str) -> Result<Table<'_>, ReadError> {
    if ecsv::identify(text) {
        ecsv::read(text)
    } else if ipac::identify(text) {
        ipac::read(text)
    } else {
        delimited::read(text)
    }
}

/// True for text that starts like ECSV or IPAC.
pub(crate) fn is_declared(text: &str) -> bool {
    ecsv::identify(text) || ipac::identify(text)
}

/// Reads the tables of a `VOTable` document.
pub(crate) fn of_votable(text: &str) -> Result<Vec<Table<'static>>, ReadError> {
    votable::read(text)
}

/// Name of the table of an HDU in messages.
pub(crate) fn place_of(hdu: &fits::Hdu) -> String {
    format!("the table in HDU {}", hdu.index)
}

/// The readable tables of a FITS file, and the first error of the other tables.
pub(crate) fn of_fits<'a>(file: &fits::Fits<'a>) -> (Vec<Table<'a>>, Option<ReadError>) {
    let (mut tables, mut damaged) = (Vec::new(), None);
    let primary = Params::of_header(file.primary());
    let read = |hdu| Table::of_fits(hdu, &primary).or_else(|| fits_text::read(hdu, &primary));
    for table in file.hdus.iter().filter_map(read) {
        match table {
            Ok(table) => tables.push(table),
            Err(error) => {
                damaged.get_or_insert(error);
            }
        }
    }
    (tables, damaged)
}
