//! Label tables: CSV with a header, one star a line, as astronomers hand them to each other.
//!
//! Columns are recognised by name in any case, under the aliases of the surveys' own catalogues; an empty cell is a missing
//! value, and so are `nan` and −9999.

use std::collections::BTreeMap;

use thiserror::Error;

pub use super::join::join;

/// Why a label table could not be read.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs)]
pub enum LabelError {
    #[error("the label table is empty; give a CSV file with a header line")]
    Empty,
    #[error("no column of the label table names the stars; call one id, obsid, source_id, targetid or name")]
    NoId,
    #[error(
        "line {line} of the label table has {found} cells, the header {expected}; complete it or quote cells with commas"
    )]
    Ragged { line: usize, found: usize, expected: usize },
    #[error("line {line} of the label table: {column} is “{cell}”, not a number; mend it or leave it empty")]
    NotANumber { line: usize, column: String, cell: String },
}

/// Labels of stars, by column.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LabelTable {
    /// The name of each row's star or spectrum.
    pub id: Vec<String>,
    /// Values by canonical name (`teff`, `logg`, `feh`, `alpha_fe`, `rv`), in that label's unit; `None` where missing.
    pub labels: BTreeMap<&'static str, Vec<Option<f64>>>,
    /// Standard deviations by canonical name of the label (`teff` for `e_teff`).
    pub errors: BTreeMap<&'static str, Vec<Option<f64>>>,
    /// All other columns as text, by the name in the file (`cluster`, `star_group`).
    pub texts: BTreeMap<String, Vec<String>>,
}

/// Aliases, lower case and without punctuation, of each label.
const ALIASES: [(&str, &[&str]); 5] = [
    ("teff", &["teff", "temperature", "teffgspphot", "teffgspspec", "teffspec"]),
    ("logg", &["logg", "logggspphot", "logggspspec", "loggspec"]),
    ("feh", &["feh", "mh", "metallicity", "mhgspphot", "mhgspspec", "fehspec"]),
    ("alpha_fe", &["alphafe", "alpham", "afe", "am", "alphafegspspec"]),
    ("rv", &["rv", "vrad", "radialvelocity", "vhelio", "rvkms"]),
];

/// Names of the column of ids, the best first.
const IDS: [&str; 8] = ["id", "specid", "obsid", "sourceid", "targetid", "name", "star", "object"];

/// What a header cell means.
enum Meaning {
    Value(&'static str),
    Error(&'static str),
    Text,
}

/// True for a header that names stars and labels, as no spectrum's does.
pub(crate) fn is_label_header(cells: &[String]) -> bool {
    let has_id = cells.iter().any(|c| IDS.contains(&bare(c).as_str()));
    has_id && cells.iter().any(|c| matches!(meaning(c), Meaning::Value(_)))
}

impl LabelTable {
    /// Reads a table. Separator: the first of tab, semicolon and comma that the header has; cells may be quoted.
    pub fn read(bytes: &[u8]) -> Result<Self, LabelError> {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_start_matches('\u{feff}');
        let mut lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.starts_with('#'));
        let (_, header) = lines.next().ok_or(LabelError::Empty)?;
        let separator = ['\t', ';'].into_iter().find(|s| header.contains(*s)).unwrap_or(',');
        let header = cells(header, separator);
        let id = IDS.iter().find_map(|name| header.iter().position(|c| bare(c) == *name)).ok_or(LabelError::NoId)?;

        let mut table = Self::default();
        for (i, line) in lines {
            let row = cells(line, separator);
            if row.len() != header.len() {
                return Err(LabelError::Ragged { line: i + 1, found: row.len(), expected: header.len() });
            }
            table.push(i + 1, &header, row, id)?;
        }
        Ok(table)
    }

    fn push(&mut self, line: usize, header: &[String], row: Vec<String>, id: usize) -> Result<(), LabelError> {
        let before = self.id.len();
        for (i, (name, cell)) in header.iter().zip(row).enumerate() {
            let number = |cell: &str| match parse(cell) {
                Some(value) => Ok(value),
                None => {
                    Err(LabelError::NotANumber { line, column: name.clone(), cell: cell.chars().take(30).collect() })
                }
            };
            if i == id {
                self.id.push(cell);
                continue;
            }
            match meaning(name) {
                // Of two columns with one meaning (TEFF and teff_gspphot) the first counts.
                Meaning::Value(label) => push_first(self.labels.entry(label).or_default(), before, number(&cell)?),
                Meaning::Error(label) => push_first(self.errors.entry(label).or_default(), before, number(&cell)?),
                Meaning::Text => push_first(self.texts.entry(name.clone()).or_default(), before, cell),
            }
        }
        Ok(())
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.id.len()
    }

    /// True without a row.
    pub fn is_empty(&self) -> bool {
        self.id.is_empty()
    }

    /// The value of a label, by its canonical name, for an id; `None` when either is missing. Of repeated ids the first counts.
    pub fn get(&self, id: &str, label: &str) -> Option<f64> {
        let row = self.id.iter().position(|i| i == id)?;
        *self.labels.get(label)?.get(row)?
    }
}

fn push_first<T>(column: &mut Vec<T>, before: usize, value: T) {
    if column.len() == before {
        column.push(value);
    }
}

/// Lower case, letters and digits only, without a unit in brackets behind it: `[Fe/H]` is `feh`, `Teff [K]` is `teff`.
fn bare(name: &str) -> String {
    let name = name.trim();
    let name = match name.find(['(', '[']) {
        Some(at) if at > 0 => &name[..at],
        _ => name,
    };
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn meaning(name: &str) -> Meaning {
    let bare = bare(name);
    let label = |word: &str| -> Option<&'static str> {
        ALIASES.iter().find(|(_, names)| names.contains(&word)).map(|(label, _)| *label)
    };
    if let Some(label) = label(&bare) {
        return Meaning::Value(label);
    }
    let separated = name.trim().to_lowercase().starts_with("e_");
    let of = ["uncertainty", "error", "err", "sigma"]
        .iter()
        .find_map(|end| bare.strip_suffix(end).or_else(|| bare.strip_prefix(end)));
    let of = of.or_else(|| bare.strip_prefix('e').filter(|_| separated));
    of.and_then(label).map_or(Meaning::Text, Meaning::Error)
}

/// `Some(None)` for a missing value, `None` for a cell that is no number.
fn parse(cell: &str) -> Option<Option<f64>> {
    let missing = ["", "nan", "null", "none", "--", "n/a", "-9999"];
    if missing.contains(&cell.trim().to_lowercase().as_str()) {
        return Some(None);
    }
    let value: f64 = cell.trim().parse().ok()?;
    Some((value.is_finite() && value > -9999.0).then_some(value))
}

/// Splits a line; a cell in double quotes may contain the separator, and a doubled quote stands for one.
fn cells(line: &str, separator: char) -> Vec<String> {
    let mut cells = Vec::new();
    let mut cell = String::new();
    let mut quoted = false;
    let mut chars = line.trim_end_matches('\r').chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => quoted = !quoted,
            c if c == separator && !quoted => cells.push(std::mem::take(&mut cell).trim().to_string()),
            c => cell.push(c),
        }
    }
    cells.push(cell.trim().to_string());
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_quotes_and_gaps() {
        let text = "ID,TEFF,teff_err,\"[Fe/H]\",e_logg,LOGG,A_FE,cluster\na,5700,80,-0.4,0.1,4.3,,\"NGC, 188\"\nb,nan,,-9999,,,0.2,\n";
        let table = LabelTable::read(text.as_bytes()).unwrap_or_default();
        assert_eq!(table.id, ["a", "b"]);
        assert_eq!(table.labels["teff"], [Some(5700.0), None]);
        assert_eq!(table.errors["teff"], [Some(80.0), None]);
        assert_eq!(table.labels["feh"], [Some(-0.4), None]);
        assert_eq!(table.errors["logg"], [Some(0.1), None]);
        assert_eq!(table.labels["alpha_fe"], [None, Some(0.2)]);
        assert_eq!(table.texts["cluster"], ["NGC, 188", ""]);
        assert_eq!(table.get("a", "logg"), Some(4.3));
        assert_eq!(table.get("b", "teff"), None);
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(LabelTable::read(b"x,y\n1,2"), Err(LabelError::NoId));
        assert_eq!(LabelTable::read(b"id,teff\na,1,2"), Err(LabelError::Ragged { line: 2, found: 3, expected: 2 }));
        assert!(LabelTable::read(b"id,teff\na,hot").is_err());
    }
}
