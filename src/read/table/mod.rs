//! Tables of any format as one: named columns with units and UCDs, whose cells are numbers, texts or arrays of numbers.
//!
//! CSV and TSV (`delimited`), ECSV, IPAC, VOTable in all its serialisations and FITS tables are brought to
//! [`Table`]; spectra (`columns`) and labels are then taken from it without asking where it came from. Nothing is
//! decoded before it is asked for: a cell is a place in the file's bytes.

mod delimited;
mod ecsv;
mod fits_text;
mod ipac;
mod params;
mod stream;
pub(crate) mod text_cells;
mod votable;

pub(crate) use delimited::peek;
pub(crate) use params::Params;
pub(crate) use votable::{identify as is_votable, letter};

use std::cell::Cell;

use super::error::{ReadError, shown};
use super::fits;
use stream::Stream;
use text_cells::TextCells;

/// What the tables of FITS files are called.
pub(super) const FITS: &str = "FITS table";

/// Most columns of a table in text form, whose names cost more than the letters in the file.
const MAX_COLUMNS: usize = 5000;

/// Most rows of the wrong length that are kept for the message.
const MAX_BAD_ROWS: usize = 1000;

/// The numbers of a cell, or what is wrong with it.
pub(crate) type Numbers = Result<Vec<f64>, String>;

/// A column's heading.
#[derive(Debug, Clone, Default)]
pub(crate) struct Column {
    /// Name, as the file spells it.
    pub name: String,
    /// Unit, empty without one.
    pub unit: String,
    /// UCD, empty without one.
    pub ucd: String,
    /// True when the cells are arrays of numbers.
    pub is_array: bool,
    /// True when the cells are 32-bit floats.
    pub is_f32: bool,
    /// True when the file says that the cells are no numbers.
    pub is_text: bool,
    /// The number that stands for a missing value in text form.
    pub null: Option<String>,
}

/// A row that could not be cut into cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadRow {
    /// Line of the file, from 1.
    pub line: usize,
    /// Cells that it has.
    pub found: usize,
}

/// A table.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    /// What it is, for people: "ECSV table".
    pub kind: &'static str,
    /// Where it is, for messages: "the table in HDU 1".
    pub place: String,
    /// Headings.
    pub columns: Vec<Column>,
    /// Number of rows.
    pub rows: usize,
    /// Rows that are left out of it.
    pub bad_rows: Vec<BadRow>,
    /// What the file says beside the columns.
    pub params: Params,
    cells: Cells<'a>,
    /// Numbers that cells with arrays have given so far.
    decoded: Cell<usize>,
}

#[derive(Debug)]
enum Cells<'a> {
    Text(TextCells<'a>),
    Stream(Stream),
    Fits(fits::Table<'a>),
}

impl<'a> Table<'a> {
    /// A table in text form. Columns whose first cell is an array are taken as columns of arrays.
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
            cells: Cells::Text(cells),
            decoded: Cell::new(0),
        }
    }

    /// A FITS binary table, with the keywords of its header before those of the primary one; `None` when the HDU is none.
    fn of_fits(hdu: &fits::Hdu<'a>, primary: &Params) -> Option<Result<Self, ReadError>> {
        let table = match hdu.table()? {
            Ok(table) => table,
            Err(error) => return Some(Err(error)),
        };
        let heading = |c: &fits::Column| Column {
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
            cells: Cells::Fits(table),
            decoded: Cell::new(0),
        }))
    }

    /// Position of the column with the first of these names that is there, in any case.
    pub(crate) fn find(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.columns.iter().position(|c| c.name.eq_ignore_ascii_case(name)))
    }

    /// A cell as text: whole numbers to their last digit. `None` when it is missing or empty.
    pub(crate) fn text(&self, row: usize, column: usize) -> Option<String> {
        match &self.cells {
            Cells::Text(cells) => {
                let cell = cells.cell(row, column);
                let is_null = self.columns.get(column).is_some_and(|c| c.null.as_deref() == Some(&*cell));
                (!is_null && !text_cells::is_missing(&cell)).then(|| cell.into_owned())
            }
            Cells::Stream(stream) => stream.text(row, column),
            Cells::Fits(table) => table.shown(row, table.columns.get(column)?),
        }
    }

    /// A cell of a named column as a finite number.
    pub(crate) fn number(&self, row: usize, names: &[&str]) -> Option<f64> {
        fits::parse_number(&self.text(row, self.find(names)?)?).filter(|v| v.is_finite())
    }

    /// The numbers of one cell; missing ones are NaN, and a missing array is empty.
    ///
    /// # Errors
    ///
    /// When the cell is no array of numbers, or cells have given more numbers than there are bytes: arrays of variable
    /// length may all point to the same place.
    pub(crate) fn array(&self, row: usize, column: usize) -> Result<Vec<f64>, ReadError> {
        if self.decoded.get() > self.size() {
            return Err(self.bad_cell(row, column, "the arrays before it overlap; download the file again".into()));
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

    /// The one number of a cell, NaN if it is missing.
    pub(crate) fn scalar(&self, row: usize, column: usize) -> Result<f64, ReadError> {
        match &self.cells {
            Cells::Text(cells) => {
                let cell = cells.cell(row, column);
                let is_null = self.columns.get(column).is_some_and(|c| c.null.as_deref() == Some(&*cell));
                if is_null {
                    return Ok(f64::NAN);
                }
                text_cells::number(&cell).map(|v| self.as_declared(column, v)).ok_or_else(|| {
                    self.bad_cell(row, column, format!("“{}” is not a number; mend it or leave it empty", shown(&cell)))
                })
            }
            _ => Ok(self.array(row, column)?.first().copied().unwrap_or(f64::NAN)),
        }
    }

    /// A number in text form as the type that the file declares keeps it.
    fn as_declared(&self, column: usize, value: f64) -> f64 {
        if self.columns.get(column).is_some_and(|c| c.is_f32) { f64::from(value as f32) } else { value }
    }

    /// Bytes of data behind it: no honest table has more numbers.
    pub(crate) fn size(&self) -> usize {
        match &self.cells {
            Cells::Text(cells) => cells.size(),
            Cells::Stream(stream) => stream.size(),
            Cells::Fits(table) => table.size(),
        }
    }

    /// Where a row is, for messages.
    pub(crate) fn row_name(&self, row: usize) -> String {
        match &self.cells {
            Cells::Text(cells) if self.kind != votable::KIND && self.kind != FITS => {
                format!("line {}", cells.line(row))
            }
            _ => format!("row {}", row + 1),
        }
    }

    fn bad_cell(&self, row: usize, column: usize, problem: String) -> ReadError {
        ReadError::Cell {
            place: self.place.clone(),
            column: self.columns.get(column).map_or_else(String::new, |c| shown(&c.name)),
            row: self.row_name(row),
            problem,
        }
    }
}

/// The table of a text file: ECSV or IPAC by their first line, else values with separators below a line of names.
///
/// # Errors
///
/// When there is no line of names, or ECSV or IPAC headers cannot be understood.
pub(crate) fn of_text(text: &str) -> Result<Table<'_>, ReadError> {
    if ecsv::identify(text) {
        ecsv::read(text)
    } else if ipac::identify(text) {
        ipac::read(text)
    } else {
        delimited::read(text)
    }
}

/// True for text that says by its first line that it is a table.
pub(crate) fn is_declared(text: &str) -> bool {
    ecsv::identify(text) || ipac::identify(text)
}

/// The tables of a VOTable.
pub(crate) fn of_votable(text: &str) -> Result<Vec<Table<'static>>, ReadError> {
    votable::read(text)
}

/// What the table of an HDU is called in messages.
pub(crate) fn place_of(hdu: &fits::Hdu) -> String {
    format!("the table in HDU {}", hdu.index)
}

/// The tables of a FITS file that can be read, and the first error of those that cannot.
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
