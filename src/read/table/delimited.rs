//! Delimited values below a line of names: separated by comma (CSV), tab (TSV), semicolon, bar or blanks.
//!
//! Cells in double quotes may contain separators and line ends, as in `NumPy`'s printed arrays. An array in brackets
//! needs no quotes. Lines that start with `#` are comments; the last comment before the values may hold the names. A
//! line of units and a line of dashes may follow the names, as in `VizieR`'s tables.

use std::borrow::Cow;

use super::text_cells::{TextCells, is_array, unquote};
use super::{BadRow, Column, MAX_BAD_ROWS, MAX_COLUMNS, Table};
use crate::read::error::ReadError;

/// Reads a table; the line of names determines the separator.
pub(super) fn read(text: &str) -> Result<Table<'_>, ReadError> {
    let separator = separator(text);
    let kind = match separator {
        b'\t' => "TSV table",
        b',' => "CSV table",
        _ => "text table",
    };
    read_with(text, separator, kind)
}

/// The names in the first line, and true if a cell of the second line is an array; `None` without a valid first line, or
/// if the second line has another number of cells, as below a title.
pub(crate) fn preview_header(text: &str) -> Option<(Vec<String>, bool)> {
    let mut rows = Rows { text, position: 0, line: 1, separator: separator(text) };
    let (mut names, mut first) = (Vec::new(), Vec::new());
    let cell = |&(from, to): &(u32, u32)| text.get(from as usize..to as usize).unwrap_or("").trim();
    rows.next(&mut names)?;
    if names.len() > MAX_COLUMNS {
        return None;
    }
    if rows.next(&mut first).is_some() && first.len() != names.len() {
        return None;
    }
    let names = names.iter().map(|range| unquote(cell(range)).into_owned()).collect();
    Some((names, first.iter().any(|range| is_array(cell(range)))))
}

/// The separator: the first of tab, semicolon, comma and bar that occurs in the line of names, else a blank.
fn separator(text: &str) -> u8 {
    let names = text.lines().find(|l| is_data(l)).unwrap_or("");
    [b'\t', b';', b',', b'|'].into_iter().find(|s| names.as_bytes().contains(s)).unwrap_or(b' ')
}

/// Reads a table with the given separator.
pub(super) fn read_with<'a>(text: &'a str, separator: u8, kind: &'static str) -> Result<Table<'a>, ReadError> {
    let layout_error = |problem: &str| ReadError::Layout { place: format!("the {kind}"), problem: problem.into() };
    u32::try_from(text.len()).map_err(|_| layout_error("it is larger than 4 GiB; split it"))?;
    let mut rows = Rows { text, position: 0, line: 1, separator };
    let mut names = Vec::new();
    let first_line = rows
        .next(&mut names)
        .ok_or_else(|| layout_error("it is empty; give a line of names and a row for each star"))?;
    if names.len() > MAX_COLUMNS {
        return Err(layout_error("it has more than 5000 columns; use one row per star or per pixel"));
    }
    let columns: Vec<Column> = names
        .iter()
        .map(|&(from, to)| unquote(&text[from as usize..to as usize]).into_owned())
        .map(|name| Column { name, ..Column::default() })
        .collect();
    let mut first = names;

    let (mut ranges, mut lines, mut bad_rows) = (Vec::new(), Vec::new(), Vec::new());
    let mut columns = columns;
    if let Some(names) = commented_names(text, separator, &columns) {
        // The supposed line of names is the first row of values.
        ranges.append(&mut first);
        lines.push(first_line);
        columns.iter_mut().zip(names).for_each(|(column, name)| column.name = name);
    }
    loop {
        let start = ranges.len();
        let Some(line) = rows.next(&mut ranges) else { break };
        let found = ranges.len() - start;
        if found == columns.len() {
            lines.push(line);
        } else {
            ranges.truncate(start);
            if bad_rows.len() < MAX_BAD_ROWS {
                bad_rows.push(BadRow { line: line as usize, found });
            }
        }
    }
    remove_unit_and_dash_lines(text, &mut columns, &mut ranges, &mut lines);
    let cells = TextCells::new(Cow::Borrowed(text), ranges, columns.len(), lines.clone());
    let mut table = Table::of_text(kind, columns, lines.len(), cells);
    table.bad_rows = bad_rows;
    Ok(table)
}

/// Names from the last comment before the values. `None` unless it names every column and at least half of the first
/// line are numbers.
fn commented_names(text: &str, separator: u8, columns: &[Column]) -> Option<Vec<String>> {
    if 2 * columns.iter().filter(|c| c.name.parse::<f64>().is_ok()).count() < columns.len() {
        return None;
    }
    let comment = text.lines().take_while(|l| !is_data(l)).filter(|l| l.trim().len() > 1).last()?.trim();
    let comment = comment.trim_start_matches('#');
    let mut ranges = Vec::new();
    Rows { text: comment, position: 0, line: 1, separator }.next(&mut ranges)?;
    let name = |&(from, to): &(u32, u32)| unquote(comment.get(from as usize..to as usize).unwrap_or("")).into_owned();
    (ranges.len() == columns.len()).then(|| ranges.iter().map(name).collect())
}

/// Removes a line of dashes below the names, and stores the units from a line between names and dashes.
fn remove_unit_and_dash_lines(text: &str, columns: &mut [Column], ranges: &mut Vec<(u32, u32)>, lines: &mut Vec<u32>) {
    let width = columns.len();
    let cell = |range: &(u32, u32)| text.get(range.0 as usize..range.1 as usize).unwrap_or("").trim();
    let is_dash_row = |row: usize| {
        let row = ranges.get(row * width..(row + 1) * width).filter(|row| !row.is_empty());
        row.is_some_and(|row| row.iter().all(|p| cell(p).len() > 1 && cell(p).bytes().all(|b| b == b'-')))
    };
    let Some(dash_row) = (0..2).find(|row| is_dash_row(*row)) else { return };
    if dash_row == 1 {
        columns
            .iter_mut()
            .zip(ranges.iter())
            .for_each(|(column, range)| column.unit = unquote(cell(range)).into_owned());
    }
    ranges.drain(..(dash_row + 1) * width);
    lines.drain(..dash_row + 1);
}

/// True for a line that is neither empty nor a comment.
fn is_data(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

/// The rows of a text, from byte `position` on.
struct Rows<'a> {
    text: &'a str,
    position: usize,
    line: u32,
    separator: u8,
}

impl Rows<'_> {
    /// Appends the byte ranges of the cells of the next row and returns its line number; `None` at the end.
    fn next(&mut self, ranges: &mut Vec<(u32, u32)>) -> Option<u32> {
        let bytes = self.text.as_bytes();
        loop {
            let rest = self.text.get(self.position..)?;
            let end = rest.find('\n').map_or(rest.len(), |n| n + 1);
            if end == 0 {
                return None;
            }
            if is_data(&rest[..end]) {
                break;
            }
            self.position += end;
            self.line += 1;
        }
        let line = self.line;
        let start = self.position;
        // A bracket without an end on its line is plain text; this flag avoids a repeated, slow search for its end.
        let mut is_unclosed = false;
        if self.separator == b' ' {
            self.skip_blanks();
        }
        loop {
            let from = self.position;
            self.skip_blanks();
            match bytes.get(self.position) {
                Some(b'"') => self.skip_quoted(),
                Some(open @ (b'[' | b'(' | b'{')) if !is_unclosed => {
                    let close = match open {
                        b'[' => b']',
                        b'(' => b')',
                        _ => b'}',
                    };
                    let ends = |b: &u8| *b == close || *b == b'\n';
                    match bytes[self.position..].iter().position(ends).filter(|n| bytes[self.position + n] == close) {
                        Some(n) => self.position += n,
                        None => is_unclosed = true,
                    }
                }
                _ => {}
            }
            let is_end = |b: &u8| *b == self.separator || *b == b'\n';
            let length = bytes[self.position..].iter().position(is_end).unwrap_or(bytes.len() - self.position);
            self.position += length;
            ranges.push((from as u32, self.position as u32));
            if self.separator == b' ' {
                self.skip_blanks();
            }
            match bytes.get(self.position) {
                Some(b'\n') => {
                    self.position += 1;
                    break;
                }
                None => break,
                Some(_) if self.separator == b' ' => {}
                Some(_) => self.position += 1,
            }
        }
        self.line += bytes[start..self.position].iter().filter(|b| **b == b'\n').count() as u32;
        Some(line)
    }

    fn skip_blanks(&mut self) {
        while self.text.as_bytes().get(self.position).is_some_and(|b| matches!(b, b' ' | b'\r')) {
            self.position += 1;
        }
    }

    /// Moves past the closing quote, or to the end of the text.
    fn skip_quoted(&mut self) {
        let bytes = self.text.as_bytes();
        self.position += 1;
        while let Some(n) = bytes[self.position..].iter().position(|b| *b == b'"') {
            self.position += n + 1;
            if bytes.get(self.position) != Some(&b'"') {
                return;
            }
            self.position += 1;
        }
        self.position = bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(text: &str) -> Vec<Vec<String>> {
        let Ok(table) = read(text) else { return Vec::new() };
        (0..table.rows)
            .map(|r| (0..table.columns.len()).map(|c| table.text(r, c).unwrap_or_default()).collect())
            .collect()
    }

    #[test]
    fn quotes_brackets_and_line_ends() {
        let text = "# note\na,\"b, c\",d\r\n1,\"say \"\"so\"\"\",[1, 2]\r\n\n# between\n 2 ,\"(3\n 4)\",\r\n";
        assert_eq!(cells(text), [["1", "say \"so\"", "[1, 2]"], ["2", "(3\n 4)", ""]]);
        let table = read(text).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(table.columns[1].name, "b, c");
        assert_eq!((table.row_name(0), table.row_name(1)), ("line 3".into(), "line 6".into()));
        assert!(table.columns[2].is_array && !table.columns[0].is_array);
    }

    #[test]
    fn other_separators() {
        assert_eq!(cells("a\tb\n1\t\n"), [["1", ""]]);
        assert_eq!(cells("a;b\n1;x y"), [["1", "x y"]]);
        assert_eq!(cells("  a   b  \n  1   \"x y\"  \n 2 [3, 4]\n"), [["1", "x y"], ["2", "[3, 4]"]]);
    }

    #[test]
    fn names_in_a_comment_and_lines_of_units() {
        let table = read("# from somewhere\n# id teff\nm1 5000\nm2 6000\n").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((table.columns[1].name.as_str(), table.rows, table.row_name(0)), ("teff", 2, "line 3".into()));
        let table = read("#VizieR\n#\nName;Teff\n ;K\n----;----\na;5000\n").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((table.rows, table.columns[1].unit.as_str(), table.row_name(0)), (1, "K", "line 6".into()));
        assert_eq!(cells("obsid|teff\n1|5000\n"), [["1", "5000"]]);
    }

    #[test]
    fn bad_rows_are_skipped_and_listed() {
        let table = read("a,b\n1,2\n3\n4,5,6\n7,8\n").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((table.rows, table.bad_rows), (2, vec![BadRow { line: 3, found: 1 }, BadRow { line: 4, found: 3 }]));
        assert!(read("").is_err());
    }
}
