//! Text whose columns the user points out: a look at its first lines, and the reading by what was said.
//!
//! Here nothing is demanded of the columns that are not pointed at, so a table with names, remarks or an unusual header can
//! be read as well. Lines without a number in the columns that matter are passed over and counted.

use serde::{Deserialize, Serialize};

use super::axis::{Axis, Role, Unit, ivar_of_sigma, role, set_frame, set_medium};
use super::error::ReadError;
use super::text::{COMMENT, Row, number, split, unquote};
use super::{Contents, container, stem};
use crate::spectrum::{MIN_PIXELS, Medium, Meta, Spectrum};

/// Most columns that a preview shows.
const MAX_COLUMNS: usize = 40;

/// Lines of values that a preview shows.
const SHOWN: usize = 6;

/// What a column of an error holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorKind {
    /// Standard deviations.
    Sigma,
    /// Inverse variances.
    Ivar,
}

/// Unit of a column of wavelengths.
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
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Angstrom, Self::Nanometre, Self::Micrometre, Self::Log10Angstrom];

    /// As it is written.
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
        Axis { medium: None, log10: Some(self == Self::Log10Angstrom), unit: Some(unit) }
    }
}

/// Which column is what, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Columns {
    /// The wavelengths.
    pub wave: u16,
    /// Their unit.
    pub unit: WaveUnit,
    /// The fluxes.
    pub flux: u16,
    /// Errors of the fluxes.
    pub error: Option<(u16, ErrorKind)>,
}

/// The first lines of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// Name of each column, `column 1` where the file has none.
    pub names: Vec<String>,
    /// Cells of the first lines of values, as they stand there.
    pub lines: Vec<Vec<String>>,
    /// Lines of values in all.
    pub n_lines: usize,
    /// What the names and the values suggest.
    pub guess: Columns,
}

/// The lines of a text and the names above them.
struct Lines<'a> {
    names: Vec<String>,
    rows: Vec<Row<'a>>,
    passed_over: usize,
}

/// A look at a text, for the user to say which column is what.
///
/// # Errors
/// When it is no text, or has not two columns.
pub fn preview(bytes: &[u8]) -> Result<Preview, ReadError> {
    let bytes = unpacked(bytes)?;
    let text = text_of(&bytes)?;
    let Lines { names, rows, .. } = lines(&text)?;
    let width = names.len().min(MAX_COLUMNS);
    let cells = |row: &Row| (0..width).map(|i| row.cells.get(i).map_or(String::new(), |c| shown(c))).collect();
    let lines = rows.iter().take(SHOWN).map(cells).collect();
    let guess = guess(&names, &rows);
    let names = names.into_iter().take(MAX_COLUMNS).map(|name| shown_name(&name)).collect();
    Ok(Preview { names, lines, n_lines: rows.len(), guess })
}

/// Reads a text by what the user said of its columns. `name` gives the spectrum's id.
///
/// # Errors
/// When a column is not there, or holds no spectrum.
pub fn read_by_hand(name: &str, bytes: &[u8], columns: &Columns) -> Result<Contents, ReadError> {
    let bytes = unpacked(bytes)?;
    let text = text_of(&bytes)?;
    let Lines { names, rows, mut passed_over } = lines(&text)?;
    let (mut wave, mut flux, mut error) = (Vec::new(), Vec::new(), Vec::new());
    let width = names.len();
    let wanted = [Some(columns.wave), Some(columns.flux), columns.error.map(|(column, _)| column)];
    if let Some(missing) = wanted.iter().flatten().find(|column| usize::from(**column) >= width) {
        let problem = format!("there is no column {}, only {width}; choose others", missing + 1);
        return Err(ReadError::Layout { place: "the text".into(), problem });
    }
    for row in &rows {
        let value = |column: u16| row.cells.get(usize::from(column)).and_then(|cell| number(cell, row.decimal_comma));
        match (value(columns.wave), value(columns.flux)) {
            (Some(w), Some(f)) if w.is_finite() => {
                wave.push(w);
                flux.push(f);
                // An error that is no number is one that is not known.
                error.extend(columns.error.map(|(column, _)| value(column).unwrap_or(f64::NAN)));
            }
            _ => passed_over += 1,
        }
    }
    let mut meta = Meta::unknown(stem(name), "text, columns as you said");
    let (wave_aa, _) = columns.unit.axis().to_aa(wave);
    set_medium(&mut meta, None, Medium::Vacuum);
    set_frame(&mut meta, None);
    if passed_over > 0 {
        let lines = if passed_over == 1 { "line was" } else { "lines were" };
        meta.notes
            .push(format!("{passed_over} {lines} passed over: no numbers in the columns chosen, or other columns"));
    }
    let ivar = columns.error.map(|(_, kind)| match kind {
        ErrorKind::Sigma => ivar_of_sigma(error),
        ErrorKind::Ivar => error,
    });
    Spectrum::new(meta, wave_aa, flux, ivar, None).map(Contents::of).map_err(ReadError::samples("the columns chosen"))
}

fn unpacked(bytes: &[u8]) -> Result<std::borrow::Cow<'_, [u8]>, ReadError> {
    if container::is_gzip(bytes) { Ok(container::gunzip(bytes)?.into()) } else { Ok(bytes.into()) }
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

/// Splits a text into cells. There are as many columns as the line of names has, else as most lines; a long row is turned into a column.
fn lines(text: &str) -> Result<Lines<'_>, ReadError> {
    // An IPAC table frames its names with bars.
    let framed = text.lines().find(|line| line.starts_with('|'));
    let is_data = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with(COMMENT) && !line.starts_with('|');
    let all: Vec<Row> =
        text.lines().enumerate().filter(|(_, line)| is_data(line)).map(|(i, line)| split(line.trim(), i + 1)).collect();
    let is_wide = |row: &Row| row.cells.len() > MIN_PIXELS;
    if (2..=6).contains(&all.len()) && all.iter().all(is_wide) {
        return Ok(turned(all));
    }
    let mut widths: Vec<usize> = all.iter().map(|row| row.cells.len()).collect();
    widths.sort_unstable();
    let width = widths.get(widths.len() / 2).copied().unwrap_or(0);
    if width < 2 {
        return Err(ReadError::Layout {
            place: "the text".into(),
            problem: "it has not two columns; separate wavelength and flux by comma, blank, tab or semicolon".into(),
        });
    }
    let (mut rows, mut names) = (all, Vec::new());
    if rows.first().is_some_and(|row| row.cells.len() >= width && !row.has_number()) {
        names = rows.remove(0).cells.iter().map(|cell| unquote(cell).to_string()).collect();
    } else if let Some(framed) = framed {
        names = framed.trim().trim_matches('|').split('|').map(|name| name.trim().to_string()).collect();
    }
    let width = width.max(names.len());
    names.resize(width, String::new());
    let n = rows.len();
    // Empty cells at the end of a line are lost in splitting it.
    rows.retain(|row| (2..=width).contains(&row.cells.len()));
    let passed_over = n - rows.len();
    for (i, name) in names.iter_mut().enumerate().filter(|(_, name)| name.is_empty()) {
        *name = format!("column {}", i + 1);
    }
    Ok(Lines { names, rows, passed_over })
}

/// Long rows as columns; a first cell that is no number is the name.
fn turned(all: Vec<Row<'_>>) -> Lines<'_> {
    let n = all.iter().map(|row| row.cells.len()).min().unwrap_or(0);
    let decimal_comma = all.iter().any(|row| row.decimal_comma);
    let is_named = all.iter().all(|row| number(row.cells[0], decimal_comma).is_none());
    let name = |(i, row): (usize, &Row)| {
        if is_named { unquote(row.cells[0]).to_string() } else { format!("row {}", i + 1) }
    };
    let names = all.iter().enumerate().map(name).collect();
    let rows = (usize::from(is_named)..n)
        .map(|i| Row { line: 1, cells: all.iter().map(|row| row.cells[i]).collect(), decimal_comma })
        .collect();
    Lines { names, rows, passed_over: 0 }
}

fn guess(names: &[String], rows: &[Row]) -> Columns {
    let roles: Vec<Option<Role>> = names.iter().map(|name| role(name, "")).collect();
    let find = |wanted: fn(&Role) -> bool| roles.iter().position(|role| role.as_ref().is_some_and(wanted));
    // Without names: what only rises or only falls is the wavelength, the first other column of numbers the flux.
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
    let said = match roles.get(wave) {
        Some(Some(Role::Wavelength(axis))) => *axis,
        _ => Axis::default(),
    };
    let values =
        rows.iter().filter_map(|row| number(row.cells.get(wave)?, row.decimal_comma)).filter(|v| v.is_finite());
    let high = values.fold(0.0_f64, f64::max);
    let unit = match (said.log10, said.unit) {
        (Some(true), _) => WaveUnit::Log10Angstrom,
        (_, Some(Unit::Nanometre)) => WaveUnit::Nanometre,
        (_, Some(Unit::Micrometre)) => WaveUnit::Micrometre,
        (_, Some(_)) => WaveUnit::Angstrom,
        _ if (3.0..4.7).contains(&high) => WaveUnit::Log10Angstrom,
        _ if high < 30.0 => WaveUnit::Micrometre,
        _ if high < 2000.0 => WaveUnit::Nanometre,
        _ => WaveUnit::Angstrom,
    };
    Columns { wave: wave as u16, unit, flux: flux as u16, error }
}

/// A cell as it is shown: not longer than a table can bear.
fn shown(cell: &str) -> String {
    unquote(cell).chars().take(24).collect()
}

fn shown_name(name: &str) -> String {
    name.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_rises_is_taken_for_the_wavelength() {
        let lines: String = (0..20).map(|i| format!("{} {}\n", 5 + i % 3, 6000 - i)).collect();
        let guess = Columns { wave: 1, unit: WaveUnit::Angstrom, flux: 0, error: None };
        assert_eq!(preview(lines.as_bytes()).expect("a preview").guess, guess);
    }

    /// A table as a reduction pipeline writes it: names that say nothing, remarks, a line that breaks off.
    fn odd_table() -> String {
        let mut text = String::from("# order 12\nstar,x,y,z,remark\n");
        for i in 0..300 {
            let (nm, counts) = (480.0 + 0.05 * f64::from(i), 100.0 + f64::from(i % 7));
            text.push_str(&format!("HD 1,{nm:.3},{counts},2,{}\n", if i == 5 { "cosmic" } else { "" }));
        }
        text.push_str("HD 1,495.0,bad,2,\nend of file\n");
        text
    }

    const CHOICE: Columns = Columns { wave: 1, unit: WaveUnit::Nanometre, flux: 2, error: Some((3, ErrorKind::Sigma)) };

    #[test]
    fn a_preview_shows_names_values_and_a_guess() {
        let seen = preview(odd_table().as_bytes()).expect("a preview");
        assert_eq!(seen.names, ["star", "x", "y", "z", "remark"]);
        assert_eq!(seen.lines[0], ["HD 1", "480.000", "100", "2", ""]);
        assert_eq!((seen.lines.len(), seen.n_lines), (6, 302));
        assert_eq!(seen.guess, Columns { error: None, ..CHOICE });
    }

    #[test]
    fn the_columns_pointed_at_are_read_and_bad_lines_counted() {
        assert!(super::super::read("odd.csv", odd_table().as_bytes()).is_err(), "it cannot be read without help");
        let contents = read_by_hand("night/odd.csv", odd_table().as_bytes(), &CHOICE).expect("a spectrum");
        let spectrum = &contents.spectra[0];
        assert_eq!((spectrum.meta.id.as_str(), spectrum.len()), ("odd", 300));
        assert!((spectrum.wave_vac_aa()[1] - 4800.5).abs() < 1e-9);
        assert_eq!((spectrum.flux()[3], spectrum.ivar().map(|v| v[3])), (103.0, Some(0.25)));
        assert!(
            spectrum.meta.notes.iter().any(|n| n.starts_with("2 lines were passed over")),
            "{:?}",
            spectrum.meta.notes
        );
    }

    #[test]
    fn long_rows_and_framed_names() {
        let row =
            |name: &str, of: fn(usize) -> f64| (0..400).map(of).fold(name.to_string(), |line, v| format!("{line},{v}"));
        let wide = format!("{}\n{}\n", row("flux", |i| i as f64), row("loglam", |i| 3.6 + 1e-4 * i as f64));
        let seen = preview(wide.as_bytes()).expect("a preview");
        let guess = Columns { wave: 1, unit: WaveUnit::Log10Angstrom, flux: 0, error: None };
        assert_eq!((seen.names, seen.guess), (vec!["flux".to_string(), "loglam".into()], guess));
        let ipac = "\\ a remark\n| a    | b   |\n|real  | real|\n 5000.0  1.0\n 5001.0  2.0\n";
        assert_eq!(preview(ipac.as_bytes()).expect("a preview").names, ["a", "b"]);
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        let wrong = Columns { flux: 9, ..CHOICE };
        let why = read_by_hand("odd.csv", odd_table().as_bytes(), &wrong).expect_err("no such column").to_string();
        assert!(why.contains("no column 10"), "{why}");
        assert!(preview(b"\x89PNG\r\n\x1a\n").expect_err("no text").to_string().contains("not text"));
        assert!(preview(b"one\ntwo\n3\n").expect_err("one column").to_string().contains("two columns"));
    }
}
