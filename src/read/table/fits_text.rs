//! FITS ASCII tables: rows of fixed length, with columns at `TBCOLn` (FITS standard 4.0, §7.2).

use std::borrow::Cow;

use super::super::fits::Hdu;
use super::text_cells::TextCells;
use super::{Column, FITS, Params, Table, place_of};
use crate::read::error::ReadError;

/// The table of an HDU; `None` if it is not an ASCII table.
pub(super) fn read(hdu: &Hdu, primary: &Params) -> Option<Result<Table<'static>, ReadError>> {
    (hdu.header.text("XTENSION") == Some("TABLE")).then(|| split_cells(hdu, primary))
}

fn split_cells(hdu: &Hdu, primary: &Params) -> Result<Table<'static>, ReadError> {
    let header = &hdu.header;
    let keyword_error =
        |keyword: String, problem: &str| ReadError::FitsKeyword { hdu: hdu.index, keyword, problem: problem.into() };
    let size = |keyword: &str| header.integer(keyword).and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    // Each non-ASCII byte becomes one ASCII character, so that the columns keep their byte positions.
    let text: String = hdu.data()?.iter().map(|b| if b.is_ascii() { *b as char } else { '?' }).collect();
    u32::try_from(text.len()).map_err(|_| keyword_error("NAXIS2".into(), "makes it larger than 4 GiB"))?;
    let row_bytes = size("NAXIS1");
    let rows = text.len().checked_div(row_bytes).unwrap_or(0).min(size("NAXIS2"));

    let (mut columns, mut spans, mut widths) = (Vec::new(), Vec::new(), 0usize);
    for i in 1..=size("TFIELDS").min(999) {
        let form = header.text(&format!("TFORM{i}")).unwrap_or("").trim();
        let width = form.get(1..).and_then(|w| w.split('.').next()?.trim().parse::<usize>().ok());
        let width = width.ok_or_else(|| keyword_error(format!("TFORM{i}"), "is missing or not a format"))?;
        let from = size(&format!("TBCOL{i}")).checked_sub(1);
        let span = from.and_then(|from| Some(from..from.checked_add(width)?)).filter(|s| s.end <= row_bytes);
        let span = span.ok_or_else(|| {
            keyword_error(format!("TBCOL{i}"), "is missing or reaches beyond the end of the row (NAXIS1)")
        })?;
        widths = widths.saturating_add(width.max(1));
        let scaled = |key: &str, plain: f64| header.number(&format!("{key}{i}")).is_some_and(|v| v != plain);
        if widths > row_bytes || scaled("TSCAL", 1.0) || scaled("TZERO", 0.0) {
            return Err(keyword_error(
                format!("TBCOL{i}, TSCAL{i} or TZERO{i}"),
                "defines overlapping or scaled columns, which are not supported",
            ));
        }
        let keyword_text = |key: &str| header.text(&format!("{key}{i}")).unwrap_or("").trim().to_string();
        let null = header.text(&format!("TNULL{i}")).map(|n| n.trim().to_string());
        let is_text = form.starts_with('A');
        columns.push(Column {
            name: keyword_text("TTYPE"),
            unit: keyword_text("TUNIT"),
            ucd: keyword_text("TUCD"),
            is_text,
            is_f32: form.starts_with('E'),
            null,
            ..Column::default()
        });
        spans.push(span);
    }
    let range = |row: usize, span: &std::ops::Range<usize>| {
        ((row * row_bytes + span.start) as u32, (row * row_bytes + span.end) as u32)
    };
    let ranges = (0..rows).flat_map(|row| spans.iter().map(move |span| range(row, span))).collect();
    let lines = (1..=rows as u32).collect();
    let cells = TextCells::new(Cow::Owned(text), ranges, columns.len(), lines);
    let mut table = Table::of_text(FITS, columns, rows, cells);
    table.place = place_of(hdu);
    table.params = Params::of_headers(header, primary);
    Ok(table)
}
