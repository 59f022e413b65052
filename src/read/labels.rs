//! Label tables: one star a row, as astronomers hand them to each other, in CSV, TSV, ECSV, IPAC, VOTable or FITS.
//!
//! Columns are recognised by name in any case, under the aliases of the surveys' own catalogues; an empty cell is a missing
//! value, and so are `nan`, −9999, −999 and what the format itself calls missing. Ids are kept as text, to the last digit.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use thiserror::Error;

use super::error::{ReadError, shown};
pub use super::join::join;
use super::table::{self, Table};
use super::{container, fits};
use crate::result::teach::is_filler;

/// Why a label table could not be read.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs)]
pub enum LabelError {
    #[error("the label table is empty; give a table with a line of names and a row for each star")]
    Empty,
    #[error("no column of the label table names the stars; call one id, obsid, source_id, targetid, name or file")]
    NoId,
    #[error(
        "line {line} of the label table has {found} cells, the header {expected}; complete it or quote cells with commas"
    )]
    Ragged { line: usize, found: usize, expected: usize },
    #[error("{row} of the label table: {column} is “{cell}”, not a number; mend it or leave it empty")]
    NotANumber { row: String, column: String, cell: String },
    #[error(
        "the label table has {rows} rows of {columns} columns, which are too many; keep the columns that are needed"
    )]
    TooLarge { rows: usize, columns: usize },
    #[error("the label table: {0}")]
    Unreadable(#[from] ReadError),
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

/// Most cells of a table: as text they take some forty bytes each, and a browser tab has four gigabytes in all.
const MAX_CELLS: usize = 20_000_000;

/// Aliases, lower case and without punctuation, of each label.
const ALIASES: [(&str, &[&str]); 5] = [
    ("teff", &["teff", "temperature", "teffgspphot", "teffgspspec", "teffspec"]),
    ("logg", &["logg", "logggspphot", "logggspspec", "loggspec"]),
    ("feh", &["feh", "mh", "metallicity", "mhgspphot", "mhgspspec", "fehspec"]),
    ("alpha_fe", &["alphafe", "alpham", "afe", "am", "alphafegspspec"]),
    ("rv", &["rv", "vrad", "radialvelocity", "vhelio", "rvkms"]),
];

/// Names, bare, of a column that tells stars or spectra apart, the best first.
const IDS: [&str; 18] = [
    "id",
    "specid",
    "obsid",
    "sourceid",
    "gaiasourceid",
    "gaiadr3sourceid",
    "gaiadr2sourceid",
    "dr3name",
    "source",
    "targetid",
    "sparclid",
    "name",
    "star",
    "starname",
    "starid",
    "object",
    "objid",
    "designation",
];

/// Names, bare, of a column that tells them apart by their files.
const FILES: [&str; 4] = ["file", "filename", "path", "spectrum"];

/// The column that tells spectra apart.
pub(crate) fn id_column<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<usize> {
    IDS.iter().find_map(|id| names.clone().position(|name| bare(name) == *id))
}

fn file_column<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<usize> {
    FILES.iter().find_map(|file| names.clone().position(|name| bare(name) == *file))
}

/// What a header cell means.
enum Meaning {
    Value(&'static str),
    Error(&'static str),
    Text,
}

/// True for a header that names stars and labels, as no spectrum's does.
pub(crate) fn is_label_header<'a>(names: impl Iterator<Item = &'a str> + Clone) -> bool {
    let names_stars = id_column(names.clone()).or_else(|| file_column(names.clone())).is_some();
    names_stars && names.into_iter().any(|name| matches!(meaning(name), Meaning::Value(_)))
}

impl LabelTable {
    /// Reads a table of any of the formats, recognised by content; it may be packed as `.gz`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read as a table, no column names the stars, or a label is not a number.
    pub fn read(bytes: &[u8]) -> Result<Self, LabelError> {
        let unpacked = if container::is_gzip(bytes) { Some(container::gunzip(bytes)?) } else { None };
        let bytes = unpacked.as_deref().unwrap_or(bytes);
        if fits::Fits::identify(bytes) {
            let file = fits::Fits::parse(bytes)?;
            let (tables, damaged) = table::of_fits(&file);
            return match (best(&tables), damaged) {
                (Some(table), _) => Self::of(table),
                (None, Some(error)) => Err(error.into()),
                (None, None) => Err(LabelError::Empty),
            };
        }
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_start_matches('\u{feff}');
        if text.lines().all(|l| l.trim().is_empty() || l.starts_with('#')) {
            return Err(LabelError::Empty);
        }
        if table::is_votable(text) {
            return Self::of(best(&table::of_votable(text)?).ok_or(LabelError::Empty)?);
        }
        Self::of(&table::of_text(text)?)
    }

    fn of(table: &Table) -> Result<Self, LabelError> {
        if let Some(bad) = table.bad_rows.first() {
            return Err(LabelError::Ragged { line: bad.line, found: bad.found, expected: table.columns.len() });
        }
        let (rows, columns) = (table.rows, table.columns.len());
        if rows.saturating_mul(columns) > MAX_CELLS {
            return Err(LabelError::TooLarge { rows, columns });
        }
        let names = table.columns.iter().map(|c| c.name.as_str());
        let id = id_column(names.clone()).or_else(|| file_column(names.clone())).ok_or(LabelError::NoId)?;
        let texts = |column| (0..table.rows).map(|row| table.text(row, column).unwrap_or_default()).collect();
        let numbers = |column| (0..table.rows).map(|row| value(table, row, column)).collect::<Result<Vec<_>, _>>();
        let mut labels = Self { id: texts(id), ..Self::default() };
        for (i, column) in table.columns.iter().enumerate().filter(|(i, _)| *i != id) {
            // Of two columns with one meaning (TEFF and teff_gspphot) the first counts.
            match meaning(&column.name) {
                Meaning::Value(label) => {
                    if let Entry::Vacant(place) = labels.labels.entry(label) {
                        place.insert(numbers(i)?);
                    }
                }
                Meaning::Error(label) => {
                    if let Entry::Vacant(place) = labels.errors.entry(label) {
                        place.insert(numbers(i)?);
                    }
                }
                Meaning::Text => {
                    labels.texts.entry(column.name.clone()).or_insert_with(|| texts(i));
                }
            }
        }
        Ok(labels)
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

/// The first table that names stars and labels, else the first.
fn best<'a, 'b>(tables: &'b [Table<'a>]) -> Option<&'b Table<'a>> {
    tables.iter().find(|t| is_label_header(t.columns.iter().map(|c| c.name.as_str()))).or(tables.first())
}

/// A label's value; `None` where it is missing.
fn value(table: &Table, row: usize, column: usize) -> Result<Option<f64>, LabelError> {
    let Some(cell) = table.text(row, column) else { return Ok(None) };
    match table::text_cells::number(&cell) {
        Some(value) => Ok((!is_filler(value)).then_some(value)),
        None => Err(LabelError::NotANumber {
            row: table.row_name(row),
            column: shown(&table.columns[column].name),
            cell: shown(&cell),
        }),
    }
}

/// Lower case, letters and digits only, without a unit in brackets behind it: `[Fe/H] [dex]` is `feh`, `Teff [K]` is
/// `teff`. Brackets that are part of the name, as in `e_[Fe/H]` and `log(g)`, stay.
fn bare(name: &str) -> String {
    let letters =
        |text: &str| -> String { text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect() };
    let name = name.trim();
    let unit_at = name.rfind(['(', '[']).filter(|at| *at > 0 && name.ends_with([')', ']']));
    let is_unit = |inside: &str| inside != "g" && label(inside).is_none();
    match unit_at.filter(|at| is_unit(&letters(&name[*at..]))) {
        Some(at) => letters(&name[..at]),
        None => letters(name),
    }
}

/// The label that a bare name is one of.
fn label(word: &str) -> Option<&'static str> {
    ALIASES.iter().find(|(_, names)| names.contains(&word)).map(|(label, _)| *label)
}

fn meaning(name: &str) -> Meaning {
    let bare = bare(name);
    if let Some(label) = label(&bare) {
        return Meaning::Value(label);
    }
    let separated = name.trim().to_lowercase().starts_with("e_");
    let of = ["uncertainty", "unc", "error", "err", "sigma", "std"]
        .iter()
        .find_map(|end| bare.strip_suffix(end).or_else(|| bare.strip_prefix(end)));
    let of = of.or_else(|| bare.strip_prefix('e').filter(|_| separated));
    of.and_then(label).map_or(Meaning::Text, Meaning::Error)
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
    fn brackets_are_a_unit_or_part_of_the_name() {
        for (name, of) in [
            ("Teff [K]", "teff"),
            ("[Fe/H] (dex)", "feh"),
            ("[Fe/H]", "feh"),
            ("log(g)", "logg"),
            ("log(g) [cgs]", "logg"),
            ("e_[Fe/H]", "efeh"),
            ("err([Fe/H])", "errfeh"),
            ("[", ""),
        ] {
            assert_eq!(bare(name), of, "{name}");
        }
        assert!(matches!(meaning("e_log(g)"), Meaning::Error("logg")));
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(LabelTable::read(b"x,y\n1,2"), Err(LabelError::NoId));
        assert_eq!(LabelTable::read(b"id,teff\na,1,2"), Err(LabelError::Ragged { line: 2, found: 3, expected: 2 }));
        assert!(LabelTable::read(b"id,teff\na,hot").is_err());
    }
}
