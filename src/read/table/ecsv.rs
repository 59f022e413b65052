//! ECSV 1.0: comma- or blank-separated values below a commented YAML header with names, units and metadata.
//!
//! The parser supports the part of YAML that these headers use: a list of columns and metadata with scalar values. Each
//! column is a block of indented lines `key: value`, or one `{key: value, …}`. Format: Astropy Proposal for Enhancement
//! 6 (APE 6).

use super::{Column, MAX_COLUMNS, Params, Table, delimited};
use crate::read::error::ReadError;

/// True for text that starts like ECSV.
pub(super) fn identify(text: &str) -> bool {
    text.lines().next().is_some_and(|l| l.trim_start_matches('#').trim().starts_with("%ECSV"))
}

pub(super) fn read(text: &str) -> Result<Table<'_>, ReadError> {
    let header = Header::parse(text);
    let mut table = delimited::read_with(text, header.separator, "ECSV table")?;
    for column in &mut table.columns {
        if let Some(declared) = header.columns.iter().find(|c| c.name == column.name) {
            // The header and the first cell may each show that the cells are arrays.
            let is_array = declared.is_array || column.is_array;
            *column = Column { is_array, is_text: declared.is_text && !is_array, ..declared.clone() };
        }
    }
    table.params = header.params;
    Ok(table)
}

struct Header {
    separator: u8,
    columns: Vec<Column>,
    params: Params,
}

impl Header {
    fn parse(text: &str) -> Self {
        let mut header = Self { separator: b' ', columns: Vec::new(), params: Params::default() };
        let mut in_columns = false;
        let comments = text.lines().map_while(|l| l.trim_start().strip_prefix('#'));
        for entry in (Entries { lines: comments }) {
            let (indent, line) = (entry.len() - entry.trim_start().len(), entry.trim());
            let starts_item = line == "-" || line.starts_with("- ");
            if in_columns && starts_item && header.columns.len() < MAX_COLUMNS {
                header.columns.push(Column::default());
            } else if indent <= 1 && !starts_item {
                in_columns = line.starts_with("datatype:");
            }
            let line = line.trim_start_matches('-').trim();
            let pairs = match line.strip_prefix('{').and_then(|l| l.strip_suffix('}')) {
                Some(inner) => pieces(inner),
                None => vec![line],
            };
            for (key, value) in pairs.into_iter().filter_map(|p| p.split_once(':')) {
                let (key, value) = (key.trim(), parse_scalar(value));
                match header.columns.last_mut().filter(|_| in_columns) {
                    Some(column) => set(column, key, &value),
                    None if key == "delimiter" => header.separator = value.bytes().next().unwrap_or(b' '),
                    None => header.params.add(key, &value),
                }
            }
        }
        header
    }
}

fn set(column: &mut Column, key: &str, value: &str) {
    match key {
        "name" => column.name = value.to_string(),
        "unit" => column.unit = value.to_string(),
        "datatype" => {
            column.is_f32 |= value == "float32";
            column.is_text = value == "string" && !column.is_array;
        }
        "subtype" => {
            column.is_array = value.contains('[');
            column.is_text &= !column.is_array;
            column.is_f32 = value.starts_with("float32");
        }
        "ucd" => column.ucd = value.to_string(),
        // `meta: !!omap [{ucd: em.wl}]`
        "meta" => {
            if let Some(at) = value.find("ucd:") {
                column.ucd =
                    value[at + 4..].trim_matches([' ', '\'', '"']).split(['}', ',']).next().unwrap_or("").into();
            }
        }
        _ => {}
    }
}

/// Lines of YAML without the comment sign; lines inside one pair of braces or brackets are joined.
struct Entries<I> {
    lines: I,
}

impl<'a, I: Iterator<Item = &'a str>> Iterator for Entries<I> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let mut entry = self.lines.next()?.to_string();
        let mut open = depth(&entry);
        while open > 0 {
            let Some(more) = self.lines.next() else { break };
            entry.push(' ');
            entry.push_str(more.trim());
            open += depth(more);
        }
        Some(entry)
    }
}

/// Number of opened minus closed braces and brackets in a line.
fn depth(line: &str) -> i64 {
    line.bytes().fold(0, |d, b| d + i64::from(matches!(b, b'{' | b'[')) - i64::from(matches!(b, b'}' | b']')))
}

/// The `key: value` pieces of a flow mapping, split at commas outside quotes and brackets.
fn pieces(inner: &str) -> Vec<&str> {
    let (mut pieces, mut from, mut depth, mut quote) = (Vec::new(), 0, 0i64, None);
    for (i, c) in inner.char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => depth -= 1,
            (None, ',') if depth == 0 => {
                pieces.push(&inner[from..i]);
                from = i + 1;
            }
            _ => {}
        }
    }
    pieces.push(&inner[from..]);
    pieces
}

/// A scalar without its tag, anchor and quotes.
fn parse_scalar(value: &str) -> String {
    let mut value = value.trim();
    while value.starts_with(['!', '&']) {
        value = value.split_once(' ').map_or("", |(_, rest)| rest.trim_start());
    }
    for quote in ['\'', '"'] {
        // The delimiter may be a blank in quotes, so the quoted text is not trimmed.
        if let Some(inner) = value.strip_prefix(quote).and_then(|v| v.strip_suffix(quote)) {
            return inner.to_string();
        }
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flow_and_block_headers() {
        let flow = "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: wavelength, unit: nm, datatype: float64, description: 'a, b: c'}\n\
             # - {name: flux, unit: W / (m2 nm), datatype: string, subtype: 'float32[3]',\n#   meta: !!omap [{ucd: phot.flux}]}\n\
             # meta: !!omap\n# - {source_id: 5937083312263887616}\n# - comments: [x, y]\n# schema: astropy-2.0\nwavelength flux\n336.0 [1.0,null,2.0]\n";
        let block = "# %ECSV 1.0\n# ---\n# delimiter: ','\n# datatype:\n# -\n#   name: wavelength\n#   datatype: float64\n#   unit: nm\n\
             # -\n#   name: flux\n#   datatype: string\n#   subtype: float32[3]\n#   unit: W / (m2 nm)\n#   meta:\n#     ucd: phot.flux\n\
             # meta:\n#   source_id: 5937083312263887616\nwavelength,flux\n336.0,\"[1.0, null, 2.0]\"\n";
        for text in [flow, block] {
            let table = read(text).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(table.params.text("source_id"), Some("5937083312263887616"));
            let [wave, flux] = &table.columns[..] else { panic!("{:?}", table.columns) };
            assert_eq!((wave.unit.as_str(), wave.is_array), ("nm", false));
            assert_eq!((flux.unit.as_str(), flux.ucd.as_str()), ("W / (m2 nm)", "phot.flux"));
            assert!(flux.is_array && flux.is_f32 && !wave.is_f32);
            let values = table.array(0, 1).unwrap_or_default();
            assert!(values.len() == 3 && values[1].is_nan() && values[2] == 2.0, "{values:?}");
        }
    }
}
