//! Label tables with one star per row, in CSV, TSV, ECSV, IPAC, `VOTable` or FITS.
//!
//! Columns are recognised by name, in upper or lower case, including the names in the catalogues of the surveys and the
//! suffixes `_1`, `_2` of a match of two tables. An empty cell, `nan`, fill values such as −9999 ([`is_filler`]) and the
//! missing value of the format mean a missing value; an error of 0 too. Ids are stored as text, with all digits.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::error::{LabelError, ReadError, truncate};
use super::ids::Composite;
pub use super::join::join;
use super::table::{self, Table};
use super::{container, fits, text, unsupported};
use crate::result::finetune::is_filler;

/// Labels of stars, by column.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LabelTable {
    /// Id of the star or spectrum of each row.
    pub id: Vec<String>,
    /// Name of the column of [`Self::id`].
    pub id_column: String,
    /// Further ids: name of the column or columns, and the id of each row. Ids of several columns are composed as in
    /// the names of the survey's files.
    pub other_ids: Vec<(String, Vec<String>)>,
    /// Values by canonical label name (`teff`, `logg`, `feh`, `alpha_fe`, `rv`), in the unit of the label; `None` where
    /// missing.
    pub labels: BTreeMap<&'static str, Vec<Option<f64>>>,
    /// Standard deviations by canonical name of the label (`teff` for `e_teff`).
    pub errors: BTreeMap<&'static str, Vec<Option<f64>>>,
    /// All other columns as text, by their name in the file (`cluster`, `star_group`).
    pub texts: BTreeMap<String, Vec<String>>,
}

/// Maximum number of cells of a table: a cell takes about 40 bytes as text, and a browser tab has 4 GB of memory.
const MAX_CELLS: usize = 20_000_000;

/// Column names of each label, in lower case and without punctuation.
const ALIASES: [(&str, &[&str]); 5] = [
    ("teff", &["teff", "temperature", "teffgspphot", "teffgspspec", "teffspec", "teffadop"]),
    ("logg", &["logg", "logggspphot", "logggspspec", "loggspec", "loggadop"]),
    ("feh", &["feh", "mh", "metallicity", "mhgspphot", "mhgspspec", "fehspec", "fehadop"]),
    ("alpha_fe", &["alphafe", "alpham", "afe", "am", "alphafegspspec"]),
    ("rv", &["rv", "vrad", "radialvelocity", "vhelio", "rvkms", "rvadop", "vheliavg", "vhelioavg", "hrv"]),
];

/// Names, as given by [`normalise_name`], of a column that identifies stars or spectra, in order of preference.
const IDS: [&str; 30] = [
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
    "sdssid",
    "specobjid",
    "catalogid",
    "apogeeid",
    "kepid",
    "kic",
    "tic",
    "ticid",
    "uid",
    "obsidlamost",
    "gaiaid",
    "name",
    "star",
    "starname",
    "starid",
    "object",
    "objid",
    "designation",
    "mainid",
];

/// Suffixes that programs add to the names of columns that both matched tables have.
const MATCH_SUFFIXES: [&str; 4] = ["_1", "_2", "_x", "_y"];

/// Names, as given by [`normalise_name`], of a column of file names, which identify spectra too.
const FILES: [&str; 4] = ["file", "filename", "path", "spectrum"];

/// The normalised names of columns. A suffix of a match of two tables is left out, unless the name without it is that of
/// another column.
fn normalise_names(names: &[&str]) -> Vec<String> {
    let plain = |name: &str| {
        let name = name.trim();
        let stem = MATCH_SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix));
        let is_free = |stem: &&str| !names.iter().any(|other| other.trim().eq_ignore_ascii_case(stem));
        normalise_name(stem.filter(is_free).unwrap_or(name))
    };
    names.iter().map(|name| plain(name)).collect()
}

/// The first column, in the order of `wanted`, with one of these normalised names.
fn first_of(names: &[String], wanted: &[&str]) -> Option<usize> {
    wanted.iter().find_map(|wanted| names.iter().position(|name| name == wanted))
}

/// The column that identifies stars or spectra.
pub(crate) fn id_column<'a>(names: impl Iterator<Item = &'a str>) -> Option<usize> {
    first_of(&normalise_names(&names.collect::<Vec<_>>()), &IDS)
}

/// Meaning of a column name.
enum HeaderRole {
    Value(&'static str),
    Error(&'static str),
    Text,
}

/// True for a header with a column of labels and with ids or file names, or with two columns of labels; files of spectra
/// have no such header.
pub(crate) fn is_label_header<'a>(names: impl Iterator<Item = &'a str>) -> bool {
    let names: Vec<&str> = names.collect();
    let plain = normalise_names(&names);
    let n_labels = plain.iter().filter(|name| label(name).is_some()).count();
    let has_id = || first_of(&plain, &IDS).or(first_of(&plain, &FILES)).is_some() || Composite::find(&plain).is_some();
    n_labels > 1 || n_labels == 1 && has_id()
}

impl LabelTable {
    /// Reads a label table. The format is recognised by content; the file may be compressed as `.gz`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read as a table, no column identifies the stars, or a label is not a number.
    pub fn read(bytes: &[u8]) -> Result<Self, LabelError> {
        let unpacked = if container::is_gzip(bytes) { Some(container::gunzip(bytes, bytes.len())?) } else { None };
        let bytes = unpacked.as_deref().unwrap_or(bytes);
        if fits::Fits::identify(bytes) {
            let file = fits::Fits::parse(bytes)?;
            let (tables, damaged) = table::of_fits(&file);
            return match (select_label_table(&tables), damaged) {
                (Some(table), _) => Self::from_table(table),
                (None, Some(error)) => Err(error.into()),
                (None, None) => Err(LabelError::Empty),
            };
        }
        if container::is_zip(bytes) {
            let format =
                container::Zip::open(std::io::Cursor::new(bytes))?.office_document().unwrap_or("a zip archive");
            return Err(ReadError::Unsupported { format, advice: "save the table as CSV and give that" }.into());
        }
        let decoded = text::decode_text(bytes);
        let bytes = decoded.as_deref().map_or(bytes, str::as_bytes);
        unsupported::check_bytes(bytes)?;
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_start_matches('\u{feff}');
        if text.lines().all(|l| l.trim().is_empty() || l.starts_with('#')) {
            return Err(LabelError::Empty);
        }
        if table::is_votable(text) {
            return Self::from_table(select_label_table(&table::of_votable(text)?).ok_or(LabelError::Empty)?);
        }
        Self::from_table(&table::of_text(text)?)
    }

    fn from_table(table: &Table) -> Result<Self, LabelError> {
        if let Some(bad) = table.bad_rows.first() {
            return Err(LabelError::Ragged { line: bad.line, found: bad.found, expected: table.columns.len() });
        }
        let (rows, columns) = (table.rows, table.columns.len());
        if rows.saturating_mul(columns) > MAX_CELLS {
            return Err(LabelError::TooLarge { rows, columns });
        }
        let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
        let plain = normalise_names(&names);
        let texts = |column: usize| -> Vec<String> {
            (0..table.rows).map(|row| table.text(row, column).unwrap_or_default()).collect()
        };
        let numbers =
            |column, label| (0..table.rows).map(|row| value(table, row, column, label)).collect::<Result<Vec<_>, _>>();
        let is_id = |i: &usize| IDS.contains(&plain[*i].as_str());
        let mut id_columns: Vec<usize> = (0..columns).filter(is_id).collect();
        id_columns.sort_by_key(|i| IDS.iter().position(|id| *id == plain[*i]));
        let named = |i: &usize| (names[*i].trim().to_string(), texts(*i));
        let mut ids: Vec<(String, Vec<String>)> = id_columns.iter().map(named).collect();
        if let Some(composite) = Composite::find(&plain) {
            let name = composite.columns.iter().map(|i| names[*i].trim()).collect::<Vec<_>>().join("-");
            let cells =
                |row| composite.columns.iter().map(|i| table.text(row, *i).unwrap_or_default()).collect::<Vec<_>>();
            ids.push((name, (0..rows).map(|row| composite.id(&cells(row))).collect()));
        }
        if ids.is_empty() {
            ids.extend(first_of(&plain, &FILES).iter().map(named));
        }
        if ids.is_empty() {
            let found = names.iter().take(12).map(|n| truncate(n)).collect::<Vec<_>>().join(", ");
            return Err(LabelError::NoId { found });
        }
        let (id_column, id) = ids.remove(0);
        let mut labels = Self { id, id_column, other_ids: ids, ..Self::default() };
        for (i, column) in table.columns.iter().enumerate().filter(|(i, _)| names[*i].trim() != labels.id_column) {
            // If two columns hold the same label (TEFF and teff_gspphot), the first counts.
            match header_role(&column.name, &plain[i]) {
                HeaderRole::Value(label) => {
                    if let Entry::Vacant(entry) = labels.labels.entry(label) {
                        entry.insert(numbers(i, label)?);
                    }
                }
                HeaderRole::Error(label) => {
                    if let Entry::Vacant(entry) = labels.errors.entry(label) {
                        entry.insert(numbers(i, label)?.into_iter().map(|error| error.filter(|e| *e > 0.0)).collect());
                    }
                }
                HeaderRole::Text => {
                    labels.texts.entry(column.name.clone()).or_insert_with(|| texts(i));
                }
            }
        }
        Ok(labels)
    }

    /// True if two rows have the same labels, errors and texts.
    pub(super) fn have_equal_values(&self, a: usize, b: usize) -> bool {
        let mut numbers = self.labels.values().chain(self.errors.values());
        numbers.all(|column| column.get(a) == column.get(b))
            && self.texts.values().all(|column| column.get(a) == column.get(b))
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.id.len()
    }

    /// True without a row.
    pub fn is_empty(&self) -> bool {
        self.id.is_empty()
    }

    /// The value of the label with canonical name `label` for an id; `None` if id, label or value is missing.
    ///
    /// If an id is repeated, its first row counts.
    pub fn get(&self, id: &str, label: &str) -> Option<f64> {
        let row = self.id.iter().position(|i| i == id)?;
        *self.labels.get(label)?.get(row)?
    }
}

/// The first table that identifies stars and has a label, else the first table.
fn select_label_table<'a, 'b>(tables: &'b [Table<'a>]) -> Option<&'b Table<'a>> {
    tables.iter().find(|t| is_label_header(t.columns.iter().map(|c| c.name.as_str()))).or(tables.first())
}

/// The value of a label, or its error; `None` where it is missing.
fn value(table: &Table, row: usize, column: usize, label: &str) -> Result<Option<f64>, LabelError> {
    let Some(cell) = table.text(row, column) else { return Ok(None) };
    match table::text_cells::number(&cell) {
        Some(value) => {
            // A star may have a radial velocity of −99 km/s.
            let is_missing = is_filler(value) && (label != "rv" || !value.is_finite() || value.abs() >= 999.0);
            Ok((!is_missing).then_some(value))
        }
        None => Err(LabelError::NotANumber {
            row: table.row_name(row),
            column: truncate(&table.columns[column].name),
            cell: truncate(&cell),
        }),
    }
}

/// A column name in lower case, with letters and digits only, and without a unit in brackets at its end.
///
/// Examples: `[Fe/H] [dex]` becomes `feh`, `Teff [K]` becomes `teff`. The text in brackets remains if it is part of the
/// name, as in `e_[Fe/H]` and `log(g)`.
fn normalise_name(name: &str) -> String {
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

/// The canonical name of the label with this column name (as given by [`normalise_name`]).
fn label(word: &str) -> Option<&'static str> {
    ALIASES.iter().find(|(_, names)| names.contains(&word)).map(|(label, _)| *label)
}

/// Meaning of a column by its name and its normalised name.
fn header_role(name: &str, normalised: &str) -> HeaderRole {
    if let Some(label) = label(normalised) {
        return HeaderRole::Value(label);
    }
    let has_e_prefix = name.trim().to_lowercase().starts_with("e_");
    let label_name = ["uncertainty", "unc", "error", "err", "sigma", "std"]
        .iter()
        .find_map(|end| normalised.strip_suffix(end).or_else(|| normalised.strip_prefix(end)));
    let label_name = label_name.or_else(|| normalised.strip_prefix('e').filter(|_| has_e_prefix));
    label_name.and_then(label).map_or(HeaderRole::Text, HeaderRole::Error)
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
        for (name, expected) in [
            ("Teff [K]", "teff"),
            ("[Fe/H] (dex)", "feh"),
            ("[Fe/H]", "feh"),
            ("log(g)", "logg"),
            ("log(g) [cgs]", "logg"),
            ("e_[Fe/H]", "efeh"),
            ("err([Fe/H])", "errfeh"),
            ("[", ""),
        ] {
            assert_eq!(normalise_name(name), expected, "{name}");
        }
        assert!(matches!(header_role("e_log(g)", "elogg"), HeaderRole::Error("logg")));
    }

    fn table(csv: &str) -> LabelTable {
        LabelTable::read(csv.as_bytes()).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn names_after_a_match_of_two_tables() {
        let t = table("id_1,TEFF_1,e_TEFF_1,id_2,TEFF_2,Separation\na,5000,50,7,5100,0.1\n");
        assert_eq!((t.id_column.as_str(), t.id[0].as_str()), ("id_1", "a"));
        assert_eq!(t.other_ids, [("id_2".to_string(), vec!["7".to_string()])]);
        assert_eq!((t.get("a", "teff"), t.errors["teff"][0]), (Some(5000.0), Some(50.0)));
        // A plain name comes first; a suffix of another kind is part of the name.
        let t = table("id,teff,teff_1,flag_1\na,5000,1,x\n");
        assert_eq!((t.get("a", "teff"), t.texts["flag_1"][0].as_str()), (Some(5000.0), "x"));
    }

    #[test]
    fn ids_in_several_columns_and_labels_without_ids() {
        let t = table("PLATE,MJD,FIBERID,TEFF\n266,51602,5,5000\n");
        assert_eq!((t.id_column.as_str(), t.id[0].as_str()), ("PLATE-MJD-FIBERID", "0266-51602-0005"));
        let t = table("specobjid,plate,mjd,fiberid,teff\n299567,266,51602,5,5000\n");
        assert_eq!((t.id_column.as_str(), t.other_ids[0].1[0].as_str()), ("specobjid", "0266-51602-0005"));
        assert!(is_label_header(["plate", "mjd", "fiberid", "teff"].into_iter()));
        assert!(is_label_header(["x", "teff", "logg"].into_iter()));
        assert!(!is_label_header(["x", "teff"].into_iter()) && !is_label_header(["wave", "flux"].into_iter()));
    }

    #[test]
    fn fill_values_are_missing() {
        for fill in ["-9.99", "-99", "-99.9", "-999", "-999.0", "-9999", "-9999.0", "99.99", "nan", ""] {
            assert_eq!(table(&format!("id,feh\na,{fill}\n")).get("a", "feh"), None, "{fill}");
        }
        let t = table("id,rv\na,-99\nb,-999\nc,nan\n");
        assert_eq!(t.labels["rv"], [Some(-99.0), None, None]);
        let t = table("id,feh,e_feh\na,-0.5,0\nb,-0.4,-9.99\nc,-0.3,0.1\n");
        assert_eq!(t.errors["feh"], [None, None, Some(0.1)]);
        let ecsv = "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: id, datatype: string}\n# - {name: feh, datatype: float64}\nid feh\na -0.5\n";
        assert_eq!(table(ecsv).get("a", "feh"), Some(-0.5));
    }

    #[test]
    fn errors_name_the_line() {
        let error = LabelTable::read(b"x,y\n1,2").map_err(|e| e.to_string());
        assert!(error.is_err_and(|e| e.contains("no id column") && e.contains("x, y")));
        assert_eq!(LabelTable::read(b"id,teff\na,1,2"), Err(LabelError::Ragged { line: 2, found: 3, expected: 2 }));
        assert!(LabelTable::read(b"id,teff\na,hot").is_err());
    }
}
