//! IPAC tables: fixed-width columns, keywords after backslashes.
//!
//! The bars of up to four header lines (names, types, units, nulls) define the columns.

use std::borrow::Cow;

use super::text_cells::TextCells;
use super::{Column, MAX_COLUMNS, Params, Table};
use crate::read::error::ReadError;

/// True for text that starts with one to four header lines between bars and ends without a bar. Keywords and comments
/// may precede the header.
pub(super) fn identify(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim_end).skip_while(|l| l.is_empty() || l.starts_with('\\'));
    let is_header = |l: &&str| l.starts_with('|') && l.ends_with('|') && l.len() > 2;
    let headers = lines.by_ref().take_while(is_header).take(5).count();
    // If the rows have bars too, the bars are only separators.
    (1..=4).contains(&headers) && !text.trim_end().ends_with('|')
}

pub(super) fn read(text: &str) -> Result<Table<'_>, ReadError> {
    let layout_error = |problem: &str| ReadError::Layout { place: "the IPAC table".into(), problem: problem.into() };
    u32::try_from(text.len()).map_err(|_| layout_error("it is larger than 4 GiB; split it"))?;
    let mut params = Params::default();
    let mut bars: Vec<usize> = Vec::new();
    let mut columns: Vec<Column> = Vec::new();
    let (mut ranges, mut lines) = (Vec::new(), Vec::new());
    let mut headers = 0;
    let mut offset = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let start = offset;
        offset += line.len();
        let line = line.trim_end_matches(['\n', '\r']);
        if let Some(keyword) = line.strip_prefix('\\') {
            if let Some((name, value)) = keyword.split_once('=') {
                params.add(name, value.trim().trim_matches(['\'', '"']));
            }
        } else if let Some(words) = line.strip_prefix('|') {
            if headers == 0 {
                bars = line.bytes().enumerate().filter(|(_, b)| *b == b'|').map(|(i, _)| i).collect();
                if bars.len() > MAX_COLUMNS {
                    return Err(layout_error("it has more than 5000 columns; use one row per star or per pixel"));
                }
                columns = vec![Column::default(); bars.len().saturating_sub(1)];
            }
            for (column, word) in columns.iter_mut().zip(words.split('|').map(str::trim)) {
                match headers {
                    0 => column.name = word.into(),
                    1 => column.is_f32 = matches!(word, "real" | "float" | "r"),
                    2 => column.unit = word.into(),
                    _ => column.null = (!word.is_empty()).then(|| word.to_string()),
                }
            }
            headers += 1;
        } else if !line.trim().is_empty() && !columns.is_empty() {
            for (i, pair) in bars.windows(2).enumerate() {
                // A character under a bar belongs to the column on its left; the last column extends to the end of the
                // line.
                let from = if i == 0 { 0 } else { pair[0] + 1 }.min(line.len());
                let to = if i + 2 == bars.len() { line.len() } else { (pair[1] + 1).min(line.len()) }.max(from);
                if !(line.is_char_boundary(from) && line.is_char_boundary(to)) {
                    return Err(ReadError::Text {
                        line: number + 1,
                        problem: "a non-ASCII character crosses a column border; remove it".into(),
                    });
                }
                ranges.push(((start + from) as u32, (start + to) as u32));
            }
            lines.push(number as u32 + 1);
            // More cells than characters can only come from lines shorter than the header.
            if ranges.len() > text.len() {
                return Err(layout_error("its lines are shorter than its header; export the table again"));
            }
        }
    }
    let (width, rows) = (columns.len(), lines.len());
    let cells = TextCells::new(Cow::Borrowed(text), ranges, width, lines);
    let mut table = Table::of_text("IPAC table", columns, rows, cells);
    table.params = params;
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_units_and_nulls() {
        let text = "\\fixlen = T\n\\SPECSYS = 'BARYCENT'\n|  wave |flux  |\n| double|real  |\n|     um|Jy    |\n|   null|-99   |\n   0.51  1.5   \n   0.52  -99  \n";
        let table = read(text).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(table.params.text("specsys"), Some("BARYCENT"));
        assert_eq!((table.rows, table.columns[0].name.as_str(), table.columns[0].unit.as_str()), (2, "wave", "um"));
        assert_eq!((table.scalar(0, 0).ok(), table.scalar(0, 1).ok()), (Some(0.51), Some(1.5)));
        assert!(table.scalar(1, 1).is_ok_and(f64::is_nan) && table.columns[1].is_f32);
        assert_eq!(table.row_name(1), "line 8");
    }

    /// A line of one character with a thousand cells would need a thousand times the memory of the file.
    #[test]
    fn lines_much_shorter_than_the_header_give_an_error() {
        let header = "|a".repeat(1000) + "|\n";
        let text = format!("{header}{}", "1\n".repeat(5000));
        let error = read(&text).map(|table| table.rows).expect_err("refused").to_string();
        assert!(error.contains("shorter than its header"), "{error}");
    }
}
