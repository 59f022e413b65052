//! Values with separators below a line of names: CSV, TSV, semicolons, blanks.
//!
//! Cells in double quotes may hold separators and line ends, as those do that NumPy prints arrays into; an array in
//! brackets may do without the quotes. Lines that begin with `#` are comments, of which the last one before the values may
//! hold the names. Below the names may be lines of units and of dashes, as VizieR writes them.

use std::borrow::Cow;

use super::text_cells::{TextCells, is_array, unquote};
use super::{BadRow, Column, MAX_BAD_ROWS, MAX_COLUMNS, Table};
use crate::read::error::ReadError;

/// Reads a table; the line of names tells the separator.
pub(super) fn read(text: &str) -> Result<Table<'_>, ReadError> {
    let separator = separator(text);
    let kind = match separator {
        b'\t' => "TSV table",
        b',' => "CSV table",
        _ => "text table",
    };
    read_with(text, separator, kind)
}

/// The names in the first line, and whether a cell of the second is an array; `None` without a line of a sensible length.
pub(crate) fn peek(text: &str) -> Option<(Vec<String>, bool)> {
    let mut rows = Rows { text, at: 0, line: 1, separator: separator(text) };
    let (mut names, mut first) = (Vec::new(), Vec::new());
    let cell = |&(from, to): &(u32, u32)| text.get(from as usize..to as usize).unwrap_or("").trim();
    rows.next(&mut names)?;
    if names.len() > MAX_COLUMNS {
        return None;
    }
    rows.next(&mut first);
    let names = names.iter().map(|place| unquote(cell(place)).into_owned()).collect();
    Some((names, first.iter().any(|place| is_array(cell(place)))))
}

/// The first of tab, semicolon and comma that the line of names has, else a blank.
fn separator(text: &str) -> u8 {
    let names = text.lines().find(|l| is_data(l)).unwrap_or("");
    [b'\t', b';', b',', b'|'].into_iter().find(|s| names.as_bytes().contains(s)).unwrap_or(b' ')
}

/// Reads a table with a known separator.
pub(super) fn read_with<'a>(text: &'a str, separator: u8, kind: &'static str) -> Result<Table<'a>, ReadError> {
    let bad = |problem: &str| ReadError::Layout { place: format!("the {kind}"), problem: problem.into() };
    u32::try_from(text.len()).map_err(|_| bad("it is larger than 4 GiB; cut it into several"))?;
    let mut rows = Rows { text, at: 0, line: 1, separator };
    let mut names = Vec::new();
    let first_line =
        rows.next(&mut names).ok_or_else(|| bad("it is empty; give a line of names and a row for each star"))?;
    if names.len() > MAX_COLUMNS {
        return Err(bad("it has more than 5000 columns; put each star or pixel into a row"));
    }
    let columns: Vec<Column> = names
        .iter()
        .map(|&(from, to)| unquote(&text[from as usize..to as usize]).into_owned())
        .map(|name| Column { name, ..Column::default() })
        .collect();
    let mut first = names;

    let (mut places, mut lines, mut bad_rows) = (Vec::new(), Vec::new(), Vec::new());
    let mut columns = columns;
    if let Some(names) = commented_names(text, separator, &columns) {
        // What seemed to be the names is the first row.
        places.append(&mut first);
        lines.push(first_line);
        columns.iter_mut().zip(names).for_each(|(column, name)| column.name = name);
    }
    loop {
        let start = places.len();
        let Some(line) = rows.next(&mut places) else { break };
        let found = places.len() - start;
        if found == columns.len() {
            lines.push(line);
        } else {
            places.truncate(start);
            if bad_rows.len() < MAX_BAD_ROWS {
                bad_rows.push(BadRow { line: line as usize, found });
            }
        }
    }
    drop_ruled_lines(text, &mut columns, &mut places, &mut lines);
    let cells = TextCells::new(Cow::Borrowed(text), places, columns.len(), lines.clone());
    let mut table = Table::of_text(kind, columns, lines.len(), cells);
    table.bad_rows = bad_rows;
    Ok(table)
}

/// Names in the last comment before the values, when there are as many as columns and the first line is mostly numbers.
fn commented_names(text: &str, separator: u8, columns: &[Column]) -> Option<Vec<String>> {
    if 2 * columns.iter().filter(|c| c.name.parse::<f64>().is_ok()).count() < columns.len() {
        return None;
    }
    let comment = text.lines().take_while(|l| !is_data(l)).filter(|l| l.trim().len() > 1).last()?.trim();
    let comment = comment.trim_start_matches('#');
    let mut places = Vec::new();
    Rows { text: comment, at: 0, line: 1, separator }.next(&mut places)?;
    let name = |&(from, to): &(u32, u32)| unquote(comment.get(from as usize..to as usize).unwrap_or("")).into_owned();
    (places.len() == columns.len()).then(|| places.iter().map(name).collect())
}

/// Takes a line of dashes below the names away, and with it the line of units that may stand between.
fn drop_ruled_lines(text: &str, columns: &mut [Column], places: &mut Vec<(u32, u32)>, lines: &mut Vec<u32>) {
    let width = columns.len();
    let cell = |place: &(u32, u32)| text.get(place.0 as usize..place.1 as usize).unwrap_or("").trim();
    let is_ruled = |row: usize| {
        let row = places.get(row * width..(row + 1) * width).filter(|row| !row.is_empty());
        row.is_some_and(|row| row.iter().all(|p| cell(p).len() > 1 && cell(p).bytes().all(|b| b == b'-')))
    };
    let Some(ruled) = (0..2).find(|row| is_ruled(*row)) else { return };
    if ruled == 1 {
        columns
            .iter_mut()
            .zip(places.iter())
            .for_each(|(column, place)| column.unit = unquote(cell(place)).into_owned());
    }
    places.drain(..(ruled + 1) * width);
    lines.drain(..ruled + 1);
}

/// True for a line that is neither empty nor a comment.
fn is_data(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

/// Rows of a text, from where `at` is.
struct Rows<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    separator: u8,
}

impl Rows<'_> {
    /// Adds the places of the next row's cells and gives its line; `None` at the end.
    fn next(&mut self, places: &mut Vec<(u32, u32)>) -> Option<u32> {
        let bytes = self.text.as_bytes();
        loop {
            let rest = self.text.get(self.at..)?;
            let end = rest.find('\n').map_or(rest.len(), |n| n + 1);
            if end == 0 {
                return None;
            }
            if is_data(&rest[..end]) {
                break;
            }
            self.at += end;
            self.line += 1;
        }
        let line = self.line;
        let start = self.at;
        // A bracket that is not closed on the line stands for itself; looking for its end again and again would be slow.
        let mut unclosed = false;
        if self.separator == b' ' {
            self.skip_blanks();
        }
        loop {
            let from = self.at;
            self.skip_blanks();
            match bytes.get(self.at) {
                Some(b'"') => self.skip_quoted(),
                Some(open @ (b'[' | b'(')) if !unclosed => {
                    let close = if *open == b'[' { b']' } else { b')' };
                    let ends = |b: &u8| *b == close || *b == b'\n';
                    match bytes[self.at..].iter().position(ends).filter(|n| bytes[self.at + n] == close) {
                        Some(n) => self.at += n,
                        None => unclosed = true,
                    }
                }
                _ => {}
            }
            let is_end = |b: &u8| *b == self.separator || *b == b'\n';
            let length = bytes[self.at..].iter().position(is_end).unwrap_or(bytes.len() - self.at);
            self.at += length;
            places.push((from as u32, self.at as u32));
            if self.separator == b' ' {
                self.skip_blanks();
            }
            match bytes.get(self.at) {
                Some(b'\n') => {
                    self.at += 1;
                    break;
                }
                None => break,
                Some(_) if self.separator == b' ' => {}
                Some(_) => self.at += 1,
            }
        }
        self.line += bytes[start..self.at].iter().filter(|b| **b == b'\n').count() as u32;
        Some(line)
    }

    fn skip_blanks(&mut self) {
        while self.text.as_bytes().get(self.at).is_some_and(|b| matches!(b, b' ' | b'\r')) {
            self.at += 1;
        }
    }

    /// To behind the closing quote, or to the end of the text.
    fn skip_quoted(&mut self) {
        let bytes = self.text.as_bytes();
        self.at += 1;
        while let Some(n) = bytes[self.at..].iter().position(|b| *b == b'"') {
            self.at += n + 1;
            if bytes.get(self.at) != Some(&b'"') {
                return;
            }
            self.at += 1;
        }
        self.at = bytes.len();
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
    fn bad_rows_are_left_out_and_named() {
        let table = read("a,b\n1,2\n3\n4,5,6\n7,8\n").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((table.rows, table.bad_rows), (2, vec![BadRow { line: 3, found: 1 }, BadRow { line: 4, found: 3 }]));
        assert!(read("").is_err());
    }
}
