//! CSV with the columns of the command line's CSV table (RFC 4180, but with a line feed alone, as usual).

use super::Record;
use super::columns::{Cell, OutputColumn, csv_columns};
use crate::result::Label;

/// The whole table.
pub fn table(records: &[Record], labels: &[Label]) -> String {
    let columns = csv_columns(labels);
    let mut text = header_of(&columns);
    records.iter().for_each(|record| text += &line_of(&columns, record));
    text
}

/// The header line.
pub fn header(labels: &[Label]) -> String {
    header_of(&csv_columns(labels))
}

/// The line of a result.
pub fn line(record: &Record, labels: &[Label]) -> String {
    line_of(&csv_columns(labels), record)
}

/// The header line; before the flags, the columns of a fine-tuned label that is none of Specola's labels.
pub fn header_with_label(labels: &[Label], finetuned_label: Option<&str>) -> String {
    match finetuned_label {
        Some(name) => insert_before_flags(&header(labels), finetuned_columns(name)),
        None => header(labels),
    }
}

/// Names of the columns of a fine-tuned label that is none of Specola's, and of its errors. A name that another column has
/// gets a prefix.
pub fn finetuned_columns(label: &str) -> [String; 2] {
    const OF_JSON: [&str; 6] = ["withheld", "measured", "model", "refused", "fit_rms", "fit_chi2"];
    let error = format!("e_{label}");
    let columns = csv_columns(&Label::ALL);
    let is_taken = |name: &str| OF_JSON.contains(&name) || columns.iter().any(|c| c.name == name);
    match is_taken(label) || is_taken(&error) {
        true => [format!("finetuned_{label}"), format!("e_finetuned_{label}")],
        false => [label.to_owned(), error],
    }
}

/// The line of a result, with the values of such a label.
pub fn line_with_label(record: &Record, labels: &[Label], finetuned_label: Option<&str>) -> String {
    let plain = line(record, labels);
    if finetuned_label.is_none() {
        return plain;
    }
    let (value, error) =
        record.prediction().and_then(|p| p.finetuned.as_ref()).map_or((None, None), |estimate| estimate.numbers());
    insert_before_flags(&plain, [value, error].map(|v| v.map_or_else(String::new, |v| v.to_string())))
}

/// Inserts two cells before the last cell of a line. The last cell holds codes, which are never quoted.
pub fn insert_before_flags(line: &str, cells: [String; 2]) -> String {
    let (before, flags) = line.rsplit_once(',').unwrap_or(("", line));
    format!("{before},{},{flags}", join(cells).trim_end_matches('\n'))
}

pub(super) fn header_of(columns: &[OutputColumn]) -> String {
    join(columns.iter().map(|c| c.name.as_str()))
}

pub(super) fn line_of(columns: &[OutputColumn], record: &Record) -> String {
    join(columns.iter().map(|column| match column.cell(record) {
        Cell::Text(text) => text,
        Cell::Number(number) => number.map_or_else(String::new, |n| n.to_string()),
    }))
}

/// Joins cells into one line.
pub fn join<S: AsRef<str>>(cells: impl IntoIterator<Item = S>) -> String {
    let mut line = cells.into_iter().map(|c| cell(c.as_ref())).collect::<Vec<_>>().join(",");
    line.push('\n');
    line
}

/// A cell, quoted if necessary. Letter for letter, but for control characters, which a terminal obeys: they become spaces.
/// Tabs and line ends stay.
pub fn cell(text: &str) -> String {
    let text = text.replace(|c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r'), " ");
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_separators_are_quoted() {
        assert_eq!(join(["a", "b,c", "d\"e"]), "a,\"b,c\",\"d\"\"e\"\n");
    }

    #[test]
    fn a_fine_tuned_label_does_not_take_the_name_of_another_column() {
        assert_eq!(finetuned_columns("age"), ["age", "e_age"]);
        for taken in ["snr", "id", "teff", "fit_chi2"] {
            assert_eq!(finetuned_columns(taken)[0], format!("finetuned_{taken}"));
        }
        let header = header_with_label(&[Label::Feh], Some("snr"));
        assert_eq!(header, "file,id,survey,snr,feh,e_feh,finetuned_snr,e_finetuned_snr,flags\n");
    }

    #[test]
    fn texts_are_letter_for_letter_but_give_no_orders_to_a_terminal() {
        assert_eq!(join(["=1+1", "-x", "a\tb", "c\nd"]), "=1+1,-x,a\tb,\"c\nd\"\n");
        assert_eq!(join(["a\x1b]0;b\x07", "c\u{9b}d"]), "a ]0;b ,c d\n");
    }
}
