//! FITS file with one binary table (FITS Standard 4.0, §7.3).
//!
//! Text is in ASCII, as the standard requires. Only ids are in UTF-8 where they are not ASCII, so that they come back
//! letter for letter; astropy reads them so.

use super::columns::{Cell, ColumnType, OutputColumn, all_columns, ascii, table_metadata};
use super::{Record, models_of};
use crate::result::Label;

const BLOCK: usize = 2880;
const CARD: usize = 80;

/// The whole file.
pub fn table(records: &[Record], labels: &[Label]) -> Vec<u8> {
    let columns = all_columns(labels);
    let rows: Vec<Vec<Cell>> =
        records.iter().map(|r| columns.iter().map(|c| fits_cell(c, c.cell(r))).collect()).collect();
    let min_width = |column: &OutputColumn| if column.kind == ColumnType::Text { 1 } else { size_of::<f64>() };
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(i, column)| rows.iter().map(|r| width(&r[i])).max().unwrap_or(min_width(column)))
        .collect();

    let mut file = primary();
    file.extend(header(records, &columns, &widths));
    for row in &rows {
        for (cell, width) in row.iter().zip(&widths) {
            match cell {
                Cell::Text(text) => {
                    file.extend_from_slice(text.as_bytes());
                    file.resize(file.len() + width - text.len(), 0);
                }
                Cell::Number(number) => file.extend(number.unwrap_or(f64::NAN).to_be_bytes()),
            }
        }
    }
    pad(&mut file, 0);
    file
}

/// A cell with the characters that its column may have.
fn fits_cell(column: &OutputColumn, cell: Cell) -> Cell {
    match cell {
        Cell::Text(text) if column.name == "id" => {
            Cell::Text(text.chars().map(|c| if c.is_control() { '?' } else { c }).collect())
        }
        Cell::Text(text) => Cell::Text(ascii(&text)),
        number => number,
    }
}

/// Width of a cell, bytes. A text column is at least one byte wide.
fn width(cell: &Cell) -> usize {
    match cell {
        Cell::Text(text) => text.len().max(1),
        Cell::Number(_) => size_of::<f64>(),
    }
}

fn primary() -> Vec<u8> {
    let mut cards = Cards::default();
    cards.value("SIMPLE", "T", "FITS standard 4.0");
    cards.value("BITPIX", "8", "");
    cards.value("NAXIS", "0", "the table is in the first extension");
    cards.value("EXTEND", "T", "");
    cards.end()
}

fn header(records: &[Record], columns: &[OutputColumn], widths: &[usize]) -> Vec<u8> {
    let mut cards = Cards::default();
    cards.text("XTENSION", "BINTABLE", "binary table");
    cards.value("BITPIX", "8", "");
    cards.value("NAXIS", "2", "");
    cards.value("NAXIS1", &widths.iter().sum::<usize>().to_string(), "bytes a row");
    cards.value("NAXIS2", &records.len().to_string(), "rows");
    cards.value("PCOUNT", "0", "");
    cards.value("GCOUNT", "1", "");
    cards.value("TFIELDS", &columns.len().to_string(), "columns");
    for (i, (column, width)) in columns.iter().zip(widths).enumerate() {
        let n = i + 1;
        cards.text(&format!("TTYPE{n}"), &column.name, &column.description);
        let form = match column.kind {
            ColumnType::Text => format!("{width}A"),
            ColumnType::Number => "D".into(),
        };
        cards.text(&format!("TFORM{n}"), &form, "");
        if !column.unit.is_empty() {
            cards.text(&format!("TUNIT{n}"), column.unit, "");
        }
        cards.text(&format!("TUCD{n}"), &column.ucd, "");
    }
    cards.text("EXTNAME", "SPECOLA", "");
    cards.text("CREATOR", &format!("Specola {}", env!("CARGO_PKG_VERSION")), "");
    for (i, model) in models_of(records).into_iter().enumerate() {
        cards.text(&format!("MODEL{}", i + 1), &model.title, "model and version");
        cards.text(&format!("MODSHA{}", i + 1), &model.sha256, "");
    }
    for (name, value) in table_metadata(records) {
        cards.comment(&format!("{name}: {value}"));
    }
    cards.end()
}

/// Header cards of 80 bytes.
#[derive(Default)]
struct Cards(Vec<u8>);

impl Cards {
    fn push(&mut self, card: &str) {
        let mut bytes = card.as_bytes().to_vec();
        bytes.resize(CARD, b' ');
        self.0.extend(bytes);
    }

    /// Card of a number or a logical value, right-justified to column 30.
    fn value(&mut self, key: &str, value: &str, comment: &str) {
        self.with_comment(format!("{key:<8}= {value:>20}"), comment);
    }

    /// Card of a string. A string that does not fit is cut; of Specola's strings, only a model's name can be too long.
    fn text(&mut self, key: &str, value: &str, comment: &str) {
        let mut value = ascii(value).replace('\'', "''");
        value.truncate(CARD - 12);
        self.with_comment(format!("{key:<8}= '{value:<8}'"), comment);
    }

    fn with_comment(&mut self, mut card: String, comment: &str) {
        // A comment that does not fit is left out: it only repeats the name of the column.
        if !comment.is_empty() && card.len() + 3 + comment.len() <= CARD {
            card += &format!(" / {comment}");
        }
        self.push(&card);
    }

    /// Free text, on as many cards as needed.
    fn comment(&mut self, text: &str) {
        for part in ascii(text).as_bytes().chunks(CARD - 10) {
            self.push(&format!("COMMENT   {}", String::from_utf8_lossy(part)));
        }
    }

    fn end(mut self) -> Vec<u8> {
        self.push("END");
        pad(&mut self.0, b' ');
        self.0
    }
}

fn pad(bytes: &mut Vec<u8>, fill: u8) {
    bytes.resize(bytes.len().div_ceil(BLOCK) * BLOCK, fill);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The row width is the sum of the column widths, also in a table without rows.
    #[test]
    fn a_table_without_rows_is_complete() {
        let file = table(&[], &Label::ALL);
        let text = String::from_utf8_lossy(&file);
        let value = |name: &str| -> &str {
            let at = text.find(&format!("{name:<8}=")).unwrap_or_else(|| panic!("no {name}"));
            text[at + 10..at + 30].trim()
        };
        let forms = text.match_indices("TFORM").map(|(at, _)| text[at + 10..at + 30].trim().trim_matches('\''));
        let widths = forms.map(|form| match form.trim().strip_suffix('A') {
            Some(n) => n.parse::<usize>().unwrap_or(1),
            None => 8,
        });
        assert_eq!(value("NAXIS2"), "0");
        assert_eq!(value("NAXIS1").parse(), Ok(widths.sum::<usize>()));
    }
}
