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
    match taught {
        Some(name) => before_flags(&header(labels), [name.to_owned(), format!("e_{name}")]),
        None => header(labels),
    }
}

/// The line of one row with such a label.
pub fn line_with(record: &Record, labels: &[Label], taught: Option<&str>) -> String {
    let plain = line(record, labels);
    if taught.is_none() {
        return plain;
    }
    let (value, error) = record.prediction().and_then(|p| p.taught.as_ref()).map_or((None, None), |t| t.numbers());
    before_flags(&plain, [value, error].map(|v| v.map_or_else(String::new, |v| v.to_string())))
}

/// Two more cells before the last one of a line, which is made of codes and so never quoted.
pub fn before_flags(line: &str, cells: [String; 2]) -> String {
    let (before, flags) = line.rsplit_once(',').unwrap_or(("", line));
    format!("{before},{},{flags}", join(cells).trim_end_matches('\n'))
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
