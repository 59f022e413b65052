//! CSV with the columns of the command line's contract (RFC 4180, with a bare line feed as everybody has it).

use super::Record;
use super::table::{Cell, Column, contract};
use crate::result::Label;

/// The whole table.
pub fn table(records: &[Record], labels: &[Label]) -> String {
    let columns = contract(labels);
    let mut text = header_of(&columns);
    records.iter().for_each(|record| text += &line_of(&columns, record));
    text
}

/// The header line.
pub fn header(labels: &[Label]) -> String {
    header_of(&contract(labels))
}

/// The line of one row.
pub fn line(record: &Record, labels: &[Label]) -> String {
    line_of(&contract(labels), record)
}

/// The header line with a taught label that is not ours, before the flags.
pub fn header_with(labels: &[Label], taught: Option<&str>) -> String {
    with(header(labels), taught.map(|name| [name.to_owned(), format!("e_{name}")]))
}

/// The line of one row with such a label.
pub fn line_with(record: &Record, labels: &[Label], taught: Option<&str>) -> String {
    let cells = taught.map(|_| {
        let (value, error) = record.prediction().and_then(|p| p.taught.as_ref()).map_or((None, None), |t| t.numbers());
        [value, error].map(|v| v.map_or_else(String::new, |v| v.to_string()))
    });
    with(line(record, labels), cells)
}

/// Two more cells before the last one, which is made of codes and so never quoted.
fn with(line: String, cells: Option<[String; 2]>) -> String {
    match (cells, line.rsplit_once(',')) {
        (Some(cells), Some((before, flags))) => format!("{before},{},{flags}", join(cells).trim_end_matches('\n')),
        _ => line,
    }
}

pub(super) fn header_of(columns: &[Column]) -> String {
    join(columns.iter().map(|c| c.name.as_str()))
}

pub(super) fn line_of(columns: &[Column], record: &Record) -> String {
    join(columns.iter().map(|column| match column.cell(record) {
        Cell::Text(text) => text,
        Cell::Number(number) => number.map_or_else(String::new, |n| n.to_string()),
    }))
}

/// Cells as one line.
pub fn join<S: AsRef<str>>(cells: impl IntoIterator<Item = S>) -> String {
    let quoted = |cell: S| match cell.as_ref() {
        c if c.contains([',', '"', '\n', '\r']) => format!("\"{}\"", c.replace('"', "\"\"")),
        c => c.to_owned(),
    };
    let mut line = cells.into_iter().map(quoted).collect::<Vec<_>>().join(",");
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_separators_are_quoted() {
        assert_eq!(join(["a", "b,c", "d\"e"]), "a,\"b,c\",\"d\"\"e\"\n");
    }
}
