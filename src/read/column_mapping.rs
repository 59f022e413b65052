//! Text files with columns assigned by the user: preview of the first lines, and reading with the chosen columns.
//!
//! All other columns may contain any text, so a table with names, remarks or an unusual header is readable too. Lines
//! without a number in a chosen column are skipped and counted.

use serde::{Deserialize, Serialize};

use super::axis::{Axis, Role, Scale, role};
use super::error::ReadError;
use super::medium::{set_frame, set_medium};
use super::samples::{Errors, Samples};
use super::text::{COMMENT, Row, number, split, unquote};
use super::unit::Unit;
use super::{Contents, container, stem};
use crate::spectrum::{MIN_PIXELS, Medium, Meta};

/// Maximum number of columns of a preview.
const MAX_COLUMNS: usize = 40;

/// Number of lines of values in a preview.
const PREVIEW_LINES: usize = 6;

/// Quantity in an error column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorKind {
    /// Standard deviations.
    Sigma,
    /// Inverse variances.
    Ivar,
}

/// Unit of a wavelength column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WaveUnit {
    /// Å.
    Angstrom,
    /// nm.
    Nanometre,
    /// µm.
    Micrometre,
    /// log10 of Å.
    Log10Angstrom,
}

impl WaveUnit {
    /// All units.
    pub const ALL: [Self; 4] = [Self::Angstrom, Self::Nanometre, Self::Micrometre, Self::Log10Angstrom];

    /// Symbol of the unit.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Angstrom => "Å",
            Self::Nanometre => "nm",
            Self::Micrometre => "µm",
            Self::Log10Angstrom => "log10 Å",
        }
    }

    fn axis(self) -> Axis {
        let unit = match self {
            Self::Angstrom | Self::Log10Angstrom => Unit::Angstrom,
            Self::Nanometre => Unit::Nanometre,
            Self::Micrometre => Unit::Micrometre,
        };
        let scale = if self == Self::Log10Angstrom { Scale::Log10 } else { Scale::Linear };
        Axis { medium: None, scale: Some(scale), unit: Some(unit) }
    }
}

/// The columns of a spectrum in a table, with indices from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnMapping {
    /// Column of the wavelengths.
    pub wave: u16,
    /// Unit of the wavelengths.
    pub unit: WaveUnit,
    /// Column of the fluxes.
    pub flux: u16,
    /// Column and kind of the flux errors, if any.
    pub error: Option<(u16, ErrorKind)>,
}

/// Preview of a text file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// Name of each column, `column 1` where the file has none.
    pub names: Vec<String>,
    /// Cells of the first lines of values, as text.
    pub lines: Vec<Vec<String>>,
    /// Total number of lines of values.
    pub n_lines: usize,
    /// Column mapping suggested by names and values.
    pub guess: ColumnMapping,
}

/// The lines of values of a text, and the names of its columns.
struct Lines<'a> {
    names: Vec<String>,
    rows: Vec<Row<'a>>,
    skipped_lines: usize,
}

/// Preview of a text file, from which the user assigns the columns.
///
/// # Errors
/// If the file is not text, or has fewer than two columns.
pub fn preview(bytes: &[u8]) -> Result<Preview, ReadError> {
    let bytes = unpack(bytes)?;
    let text = text_of(&bytes)?;
    let Lines { names, rows, .. } = lines(&text)?;
    let width = names.len().min(MAX_COLUMNS);
    let cells = |row: &Row| (0..width).map(|i| row.cells.get(i).map_or(String::new(), |c| preview_cell(c))).collect();
    let lines = rows.iter().take(PREVIEW_LINES).map(cells).collect();
    let guess = guess(&names, &rows);
    let names = names.into_iter().take(MAX_COLUMNS).map(|name| preview_name(&name)).collect();
    Ok(Preview { names, lines, n_lines: rows.len(), guess })
}

/// Reads a text file with the columns chosen by the user. `name` gives the id of the spectrum.
///
/// # Errors
/// If a column does not exist, or if the columns do not form a spectrum.
pub fn read_with_columns(name: &str, bytes: &[u8], columns: &ColumnMapping) -> Result<Contents, ReadError> {
    let bytes = unpack(bytes)?;
    let text = text_of(&bytes)?;
    let Lines { names, rows, mut skipped_lines } = lines(&text)?;
    let (mut wave, mut flux, mut error) = (Vec::new(), Vec::new(), Vec::new());
    let width = names.len();
    let wanted = [Some(columns.wave), Some(columns.flux), columns.error.map(|(column, _)| column)];
    if let Some(missing) = wanted.iter().flatten().find(|column| usize::from(**column) >= width) {
        let problem =
            format!("column {} does not exist, the text has {width} columns; choose another column", missing + 1);
        return Err(ReadError::Layout { place: "the text".into(), problem });
    }
    for row in &rows {
        let value = |column: u16| row.cells.get(usize::from(column)).and_then(|cell| number(cell, row.decimal_comma));
        match (value(columns.wave), value(columns.flux)) {
            (Some(w), Some(f)) if w.is_finite() => {
                wave.push(w);
                flux.push(f);
                // An error that is not a number is unknown.
                error.extend(columns.error.map(|(column, _)| value(column).unwrap_or(f64::NAN)));
            }
            _ => skipped_lines += 1,
        }
    }
    let mut meta = Meta::unknown(stem(name), "text, columns chosen by the user");
    let (wave_aa, _) = columns.unit.axis().to_aa(wave);
    set_medium(&mut meta, None, Medium::Vacuum);
    set_frame(&mut meta, None);
    if skipped_lines > 0 {
        let lines = if skipped_lines == 1 { "line was" } else { "lines were" };
        meta.notes.push(format!(
            "{skipped_lines} {lines} skipped: no number in a chosen column, or a wrong number of columns"
        ));
    }
    let errors = columns.error.map(|(_, kind)| match kind {
        ErrorKind::Sigma => Errors::Sigma(error),
        ErrorKind::Ivar => Errors::Ivar(error),
    });
    Samples { wave_aa, flux, errors, mask: None }
        .into_spectrum(meta)
        .map(Contents::from_spectrum)
        .map_err(ReadError::samples("the columns chosen"))
}

fn unpack(bytes: &[u8]) -> Result<std::borrow::Cow<'_, [u8]>, ReadError> {
    if container::is_gzip(bytes) { Ok(container::gunzip(bytes, bytes.len())?.into()) } else { Ok(bytes.into()) }
}

fn text_of(bytes: &[u8]) -> Result<String, ReadError> {
    if !super::text::identify(bytes) {
        return Err(ReadError::Layout {
            place: "the file".into(),
            problem: "it is not text, so no columns can be chosen; export the spectrum as CSV".into(),
        });
    }
    Ok(String::from_utf8_lossy(bytes).trim_start_matches('\u{feff}').to_string())
}

/// Splits a text into cells. A few long rows are transposed into columns.
///
/// The number of columns is the median number of cells per line, or the number of names if that is larger.
fn lines(text: &str) -> Result<Lines<'_>, ReadError> {
    // An IPAC table separates its names with bars.
    let ipac_header = text.lines().find(|line| line.starts_with('|'));
    let is_data = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with(COMMENT) && !line.starts_with('|');
    let all: Vec<Row> =
        text.lines().enumerate().filter(|(_, line)| is_data(line)).map(|(i, line)| split(line.trim(), i + 1)).collect();
    let is_wide = |row: &Row| row.cells.len() > MIN_PIXELS;
    if (2..=6).contains(&all.len()) && all.iter().all(is_wide) {
        return Ok(transpose(all));
    }
    let mut widths: Vec<usize> = all.iter().map(|row| row.cells.len()).collect();
    widths.sort_unstable();
    let width = widths.get(widths.len() / 2).copied().unwrap_or(0);
    if width < 2 {
        return Err(ReadError::Layout {
            place: "the text".into(),
            problem: "it has fewer than two columns; separate wavelength and flux by comma, blank, tab or semicolon"
                .into(),
        });
    }
    let (mut rows, mut names) = (all, Vec::new());
    if rows.first().is_some_and(|row| row.cells.len() >= width && !row.has_number()) {
        names = rows.remove(0).cells.iter().map(|cell| unquote(cell).to_string()).collect();
    } else if let Some(ipac_header) = ipac_header {
        names = ipac_header.trim().trim_matches('|').split('|').map(|name| name.trim().to_string()).collect();
    }
    let width = width.max(names.len());
    names.resize(width, String::new());
    let n = rows.len();
    // `split` drops empty cells at the end of a line, so shorter lines are accepted.
    rows.retain(|row| (2..=width).contains(&row.cells.len()));
    let skipped_lines = n - rows.len();
    for (i, name) in names.iter_mut().enumerate().filter(|(_, name)| name.is_empty()) {
        *name = format!("column {}", i + 1);
    }
    Ok(Lines { names, rows, skipped_lines })
}

/// Transposes long rows into columns. If no first cell is a number, the first cells are the names.
fn transpose(all: Vec<Row<'_>>) -> Lines<'_> {
    let n = all.iter().map(|row| row.cells.len()).min().unwrap_or(0);
    let decimal_comma = all.iter().any(|row| row.decimal_comma);
    let is_named = all.iter().all(|row| number(row.cells[0], decimal_comma).is_none());
    let name = |(i, row): (usize, &Row)| {
        if is_named { unquote(row.cells[0]).to_string() } else { format!("row {}", i + 1) }
    };
    let names = all.iter().enumerate().map(name).collect();
    let rows = (usize::from(is_named)..n)
        .map(|i| Row { line: 1, cells: all.iter().map(|row| row.cells[i]).collect(), decimal_comma, separator: None })
        .collect();
    Lines { names, rows, skipped_lines: 0 }
}

fn guess(names: &[String], rows: &[Row]) -> ColumnMapping {
    let roles: Vec<Option<Role>> = names.iter().map(|name| role(name, "")).collect();
    let find = |wanted: fn(&Role) -> bool| roles.iter().position(|role| role.as_ref().is_some_and(wanted));
    // Without names, the first strictly monotonic column is the wavelength, and the first other numeric column the
    // flux.
    let value = |row: &Row, i: usize| number(row.cells.get(i)?, row.decimal_comma).filter(|v| v.is_finite());
    let numeric: Vec<usize> =
        (0..names.len()).filter(|&i| rows.first().is_some_and(|row| value(row, i).is_some())).collect();
    let is_ordered = |i: &&usize| {
        let values: Vec<f64> = rows.iter().filter_map(|row| value(row, **i)).collect();
        let is = |order: fn(&f64, &f64) -> bool| values.windows(2).all(|w| order(&w[0], &w[1]));
        values.len() > 1 && (is(|a, b| a < b) || is(|a, b| a > b))
    };
    let first = || numeric.iter().find(is_ordered).or(numeric.first()).copied();
    let wave = find(|r| matches!(r, Role::Wavelength(_))).or_else(first).unwrap_or(0);
    let flux = find(|r| *r == Role::Flux).or_else(|| numeric.iter().find(|i| **i != wave).copied());
    let flux = flux.unwrap_or(usize::from(wave == 0));
    let ivar = find(|r| *r == Role::Ivar).map(|i| (i as u16, ErrorKind::Ivar));
    let error = ivar.or_else(|| find(|r| *r == Role::Sigma).map(|i| (i as u16, ErrorKind::Sigma)));
    let stated_axis = match roles.get(wave) {
        Some(Some(Role::Wavelength(axis))) => *axis,
        _ => Axis::default(),
    };
    let values =
        rows.iter().filter_map(|row| number(row.cells.get(wave)?, row.decimal_comma)).filter(|v| v.is_finite());
    let high = values.fold(0.0_f64, f64::max);
    let unit = match (stated_axis.scale, stated_axis.unit) {
        (Some(Scale::Log10), _) => WaveUnit::Log10Angstrom,
        (_, Some(Unit::Nanometre)) => WaveUnit::Nanometre,
        (_, Some(Unit::Micrometre)) => WaveUnit::Micrometre,
        (_, Some(_)) => WaveUnit::Angstrom,
        _ if (3.0..4.7).contains(&high) => WaveUnit::Log10Angstrom,
        _ if high < 30.0 => WaveUnit::Micrometre,
        _ if high < 2000.0 => WaveUnit::Nanometre,
        _ => WaveUnit::Angstrom,
    };
    ColumnMapping { wave: wave as u16, unit, flux: flux as u16, error }
}

/// A cell for the preview, truncated to 24 characters.
fn preview_cell(cell: &str) -> String {
    unquote(cell).chars().take(24).collect()
}

fn preview_name(name: &str) -> String {
    name.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monotonic_column_is_the_wavelength() {
        let lines: String = (0..20).map(|i| format!("{} {}\n", 5 + i % 3, 6000 - i)).collect();
        let guess = ColumnMapping { wave: 1, unit: WaveUnit::Angstrom, flux: 0, error: None };
        assert_eq!(preview(lines.as_bytes()).expect("a preview").guess, guess);
    }

    /// A table as a reduction pipeline may write it: names without meaning, remarks, an incomplete line.
    fn irregular_table() -> String {
        let mut text = String::from("# order 12\nstar,x,y,z,remark\n");
        for i in 0..300 {
            let (nm, counts) = (480.0 + 0.05 * f64::from(i), 100.0 + f64::from(i % 7));
            text.push_str(&format!("HD 1,{nm:.3},{counts},2,{}\n", if i == 5 { "cosmic" } else { "" }));
        }
        text.push_str("HD 1,495.0,bad,2,\nend of file\n");
        text
    }

    const CHOICE: ColumnMapping =
        ColumnMapping { wave: 1, unit: WaveUnit::Nanometre, flux: 2, error: Some((3, ErrorKind::Sigma)) };

    #[test]
    fn a_preview_shows_names_values_and_a_guess() {
        let preview_result = preview(irregular_table().as_bytes()).expect("a preview");
        assert_eq!(preview_result.names, ["star", "x", "y", "z", "remark"]);
        assert_eq!(preview_result.lines[0], ["HD 1", "480.000", "100", "2", ""]);
        assert_eq!((preview_result.lines.len(), preview_result.n_lines), (6, 302));
        assert_eq!(preview_result.guess, ColumnMapping { error: None, ..CHOICE });
    }

    #[test]
    fn the_chosen_columns_are_read_and_bad_lines_counted() {
        assert!(super::super::read("odd.csv", irregular_table().as_bytes()).is_err(), "it cannot be read without help");
        let contents = read_with_columns("night/odd.csv", irregular_table().as_bytes(), &CHOICE).expect("a spectrum");
        let spectrum = &contents.spectra[0];
        assert_eq!((spectrum.meta.id.as_str(), spectrum.len()), ("odd", 300));
        assert!((spectrum.wave_vac_aa()[1] - 4800.5).abs() < 1e-9);
        assert_eq!((spectrum.flux()[3], spectrum.ivar().map(|v| v[3])), (103.0, Some(0.25)));
        assert!(spectrum.meta.notes.iter().any(|n| n.starts_with("2 lines were skipped")), "{:?}", spectrum.meta.notes);
    }

    #[test]
    fn long_rows_and_ipac_names() {
        let row =
            |name: &str, of: fn(usize) -> f64| (0..400).map(of).fold(name.to_string(), |line, v| format!("{line},{v}"));
        let wide = format!("{}\n{}\n", row("flux", |i| i as f64), row("loglam", |i| 3.6 + 1e-4 * i as f64));
        let preview_result = preview(wide.as_bytes()).expect("a preview");
        let guess = ColumnMapping { wave: 1, unit: WaveUnit::Log10Angstrom, flux: 0, error: None };
        assert_eq!((preview_result.names, preview_result.guess), (vec!["flux".to_string(), "loglam".into()], guess));
        let ipac = "\\ a remark\n| a    | b   |\n|real  | real|\n 5000.0  1.0\n 5001.0  2.0\n";
        assert_eq!(preview(ipac.as_bytes()).expect("a preview").names, ["a", "b"]);
    }

    #[test]
    fn invalid_columns_and_files_give_an_error() {
        let wrong = ColumnMapping { flux: 9, ..CHOICE };
        let message =
            read_with_columns("odd.csv", irregular_table().as_bytes(), &wrong).expect_err("no such column").to_string();
        assert!(message.contains("column 10 does not exist"), "{message}");
        assert!(preview(b"\x89PNG\r\n\x1a\n").expect_err("no text").to_string().contains("not text"));
        assert!(preview(b"one\ntwo\n3\n").expect_err("one column").to_string().contains("two columns"));
    }
}
