//! Delimited text: two columns or two rows, with or without header and comments, with any usual separator.
//!
//! Lines of a title may come before the numbers. A line of names must name the wavelengths or the fluxes. Without a
//! header the first column is the wavelength and the second column the flux. A third column is σ if the header says so. Without a header it is σ if its values are similar to the scatter of the flux. Two long rows are a
//! row of wavelengths and a row of fluxes. A decimal comma is accepted if the separator is a semicolon or a tab.

use super::axis::{Axis, Role, counts_pixels, is_other_axis, role};
use super::error::{ReadError, truncate};
use super::fits::parse_number;
use super::medium::{medium_of_comments, set_frame, set_medium};
use super::samples::{Errors, MaskConvention, Samples};
use super::{gaia_xp, labels, unsupported};
use crate::spectrum::{MAX_PIXELS, MIN_PIXELS, Medium, Meta, Source, Sourced, Spectrum};
use crate::stats::median;

/// Characters that start a comment line.
pub(super) const COMMENT: [char; 5] = ['#', '%', '!', ';', '\\'];

/// One line of values.
pub(super) struct Row<'a> {
    pub(super) line: usize,
    pub(super) cells: Vec<&'a str>,
    pub(super) decimal_comma: bool,
    /// Between the cells; `None` for blanks.
    pub(super) separator: Option<char>,
}

impl Row<'_> {
    /// True if at least one cell is a number.
    pub(super) fn has_number(&self) -> bool {
        self.cells.iter().any(|cell| number(cell, self.decimal_comma).is_some_and(f64::is_finite))
    }
}

/// Maximum length of a line, bytes. Its cells take several times as much memory.
const MAX_LINE_BYTES: usize = 32 << 20;

/// Maximum number of lines of a title before the numbers.
const MAX_TITLE_LINES: usize = 50;

/// Beginning of the title in files of `ESPaDOnS` and NARVAL (pipeline Libre-ESpRIT, `.s`). Their wavelengths are in air,
/// their last column is σ.
const LIBRE_ESPRIT: &str = "***Reduced spectrum of";

/// Wavelengths, in Å, that a column without the name of a wavelength may hold.
const PLAUSIBLE_AA: std::ops::Range<f64> = 500.0..100_000.0;

/// Columns of numbers, with names if the text gives them.
struct TextColumns<'a> {
    /// The lines before the names.
    titles: Vec<&'a str>,
    names: Vec<String>,
    /// Number of the line of names; of the first numbers without names.
    line: usize,
    /// Units from the line below the names; empty without that line.
    units: Vec<String>,
    values: Vec<Vec<f64>>,
    format: &'static str,
}

/// True for text. Binary files have zeros and other control characters near their start.
pub(crate) fn identify(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(4096)];
    let control = start.iter().filter(|b| **b < 32 && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0c)).count();
    control == 0 && start.iter().any(u8::is_ascii_digit)
}

/// The text of a file in UTF-16 (the “Unicode” export of spreadsheets), or with line ends that are a carriage return
/// alone.
///
/// `None` for all other files, which need no conversion.
pub(crate) fn decode_text(bytes: &[u8]) -> Option<String> {
    let decoded = |read_unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes[2..].chunks_exact(2).map(|pair| read_unit([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    let text = match bytes {
        [0xff, 0xfe, ..] => decoded(u16::from_le_bytes),
        [0xfe, 0xff, ..] => decoded(u16::from_be_bytes),
        _ if identify(bytes) && bytes.contains(&b'\r') && !bytes.contains(&b'\n') => {
            return Some(String::from_utf8_lossy(bytes).replace('\r', "\n"));
        }
        _ => return None,
    };
    identify(text.as_bytes()).then_some(text)
}

/// Reads the spectrum of a text file. `stem` becomes its id.
pub(crate) fn read(text: &str, stem: &str) -> Result<Spectrum, ReadError> {
    let columns = columns(text)?;
    let comments = comments(text, &columns.titles);
    let unit_from_comments = unit_in_comments(&comments);
    let unit = |i: usize| columns.units.get(i).map_or(if i == 0 { unit_from_comments } else { "" }, String::as_str);
    let roles: Vec<Option<Role>> = columns.names.iter().enumerate().map(|(i, n)| role(n, unit(i))).collect();
    let (wave, flux) = main_columns(&columns, &roles, &unit)?;
    let mut axis = match roles.get(wave) {
        Some(Some(Role::Wavelength(axis))) => *axis,
        _ => Axis::default(),
    };
    axis.medium = axis.medium.or_else(|| medium_of_comments(&comments));

    let is_libre_esprit = columns.titles.first().is_some_and(|title| title.starts_with(LIBRE_ESPRIT));
    let unnamed_columns = if columns.names.is_empty() { columns.values.as_slice() } else { &[] };
    let is_third_sigma = matches!(unnamed_columns, [_, flux, third] if !is_libre_esprit && is_like_sigma(third, flux));
    let error_column = match roles.iter().position(|r| *r == Some(Role::Ivar)) {
        None if is_third_sigma => Some((2, Role::Sigma)),
        None if is_libre_esprit && columns.values.len() > 2 => Some((columns.values.len() - 1, Role::Sigma)),
        ivar => {
            ivar.or_else(|| roles.iter().position(|r| r.is_some_and(Role::is_error))).and_then(|i| Some((i, roles[i]?)))
        }
    };
    let mut values: Vec<Option<Vec<f64>>> = columns.values.into_iter().map(Some).collect();
    let mut take = |i: usize| {
        values.get_mut(i).and_then(Option::take).ok_or(ReadError::Text {
            line: 1,
            problem: "there is only one column; give wavelength and flux, separated by comma, blank, tab or semicolon"
                .into(),
        })
    };
    let (wave_aa, note) = axis.to_aa(take(wave)?);
    let flux = take(flux)?;
    let errors = match error_column {
        Some((i, role)) => Errors::of(Some(role), take(i)?),
        None => None,
    };
    let mut meta = if gaia_xp::is_grid(&wave_aa) && axis.medium.is_none() {
        gaia_xp::meta(stem, "", false)
    } else {
        let mut meta = Meta::unknown(stem, columns.format);
        match axis.medium {
            None if is_libre_esprit => meta.medium = Sourced::new(Medium::Air, Source::Survey),
            medium => set_medium(&mut meta, medium, Medium::Vacuum),
        }
        set_frame(&mut meta, None);
        meta
    };
    meta.notes.extend(note);
    if is_third_sigma {
        meta.notes.push("the third column is assumed to be σ, because it is similar to the scatter of the flux".into());
    }
    let mask = columns.names.iter().enumerate().find_map(|(i, name)| Some((i, MaskConvention::from_name(name)?)));
    let mask = mask.and_then(|(i, convention)| Some((convention, values.get_mut(i)?.take()?)));
    let unused_columns = (0..values.len()).filter(|i| values[*i].is_some());
    let unused_columns: Vec<String> = unused_columns
        .map(|i| columns.names.get(i).map_or(format!("column {}", i + 1), |name| truncate(name)))
        .collect();
    if !unused_columns.is_empty() {
        meta.notes.push(format!(
            "columns not read: {}; to use errors or a mask, name the column error, sigma, ivar or mask in a header",
            unused_columns.join(", ")
        ));
    }
    Samples { wave_aa, flux, errors, mask }.into_spectrum(meta).map_err(ReadError::samples("the text"))
}

/// The columns of wavelength and flux.
///
/// # Errors
/// If the line of names has neither, or names another quantity in place of the wavelength.
fn main_columns<'u>(
    columns: &TextColumns,
    roles: &[Option<Role>],
    unit: &dyn Fn(usize) -> &'u str,
) -> Result<(usize, usize), ReadError> {
    let name = |i: usize| columns.names.get(i).map_or("", String::as_str);
    let error = |problem: String| ReadError::Text { line: columns.line, problem };
    let wave = roles.iter().position(|r| matches!(r, Some(Role::Wavelength(_))));
    let flux = roles.iter().position(|r| *r == Some(Role::Flux));
    let free = |taken: Option<usize>| {
        let is_free = |i: &usize| {
            Some(*i) != taken
                && roles.get(*i).is_none_or(Option::is_none)
                && MaskConvention::from_name(name(*i)).is_none()
        };
        (0..columns.values.len()).find(is_free).unwrap_or(usize::from(taken == Some(0)))
    };
    let is_neutral = |name: &str| {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || " _:".contains(c)).to_lowercase();
        ["", "x", "y", "z", "dy", "yerr", "c", "f", "col", "column", "field", "unnamed"].contains(&stem.as_str())
    };
    if wave.is_none() {
        unsupported::check_names(columns.names.iter().map(String::as_str))?;
    }
    let (wave, flux) = match (wave, flux) {
        (Some(wave), Some(flux)) => return Ok((wave, flux)),
        (Some(wave), None) => (wave, free(Some(wave))),
        (None, Some(flux)) => (free(Some(flux)), flux),
        // Without names the order is assumed to be wavelength, flux.
        (None, None) if columns.names.iter().all(|name| is_neutral(name)) => {
            return check_unnamed_wavelengths(columns, 0).map(|()| (0, 1)).map_err(error);
        }
        (None, None) => {
            let names: Vec<String> = columns.names.iter().take(12).map(|n| truncate(n)).collect();
            return Err(error(format!(
                "the names {} stand for neither wavelength nor flux; name the columns wavelength and flux, or begin a line of title with #",
                names.join(", ")
            )));
        }
    };
    if let Some(wrong) =
        [wave, flux].into_iter().find(|i| is_other_axis(name(*i)) || *i == wave && is_other_axis(unit(*i)))
    {
        let kind = if wrong == wave { "wavelength" } else { "flux" };
        let cure = if wrong == wave { "; give wavelengths in Å, nm or µm" } else { "" };
        return Err(error(format!("“{}” is not a {kind} column{cure}", truncate(name(wrong)))));
    }
    let is_named = roles.iter().flatten().any(|r| matches!(r, Role::Wavelength(_)));
    if !is_named && is_neutral(name(wave)) {
        check_unnamed_wavelengths(columns, wave).map_err(error)?;
    } else if !is_named {
        let (aa, _) = Axis::default().to_aa(columns.values.get(wave).cloned().unwrap_or_default());
        let is_monotonic = aa.windows(2).all(|w| w[1] > w[0]) || aa.windows(2).all(|w| w[1] < w[0]);
        if !is_monotonic || aa.iter().any(|w| !PLAUSIBLE_AA.contains(w)) {
            return Err(error(format!(
                "no column is named wavelength, and “{}” does not hold wavelengths; name the columns wavelength and flux",
                truncate(name(wave))
            )));
        }
    }
    Ok((wave, flux))
}

/// Checks that a column without a name can hold wavelengths.
fn check_unnamed_wavelengths(columns: &TextColumns, column: usize) -> Result<(), String> {
    let values = columns.values.get(column).map_or(&[][..], Vec::as_slice);
    let number = column + 1;
    if counts_pixels(values) {
        return Err(format!(
            "column {number} counts pixels or rows and holds no wavelengths; give wavelengths in Å, nm or µm in its place"
        ));
    }
    let (aa, _) = Axis::default().to_aa(values.to_vec());
    let mut stated = values.iter().zip(&aa).filter(|(_, aa)| !aa.is_nan());
    match stated.find(|(_, aa)| !PLAUSIBLE_AA.contains(*aa)) {
        Some((value, _)) => Err(format!(
            "column {number} is read as wavelengths, but {value} is none in Å, nm or µm; give columns named wavelength and flux"
        )),
        None => Ok(()),
    }
}

/// True for values that are plausible errors of a flux: positive, and similar to the scatter between pixels.
///
/// The accepted ratio of median error to scatter is 0.1 to 5. It may be small, because lines add to the scatter. A
/// continuum is far larger than the scatter.
pub(super) fn is_like_sigma(values: &[f64], flux: &[f64]) -> bool {
    let is_mostly_positive = 10 * values.iter().filter(|v| **v > 0.0).count() >= 9 * values.len();
    let sigma = median(&mut values.to_vec());
    let differences = flux.windows(3).map(|f| (f[1] - 0.5 * (f[0] + f[2])).abs() * 1.4826 / 1.5f64.sqrt());
    let scatter = median(&mut differences.collect());
    let ratio = sigma.zip(scatter).map(|(sigma, scatter)| sigma / scatter);
    is_mostly_positive && ratio.is_some_and(|ratio| (0.1..=5.0).contains(&ratio))
}

/// Splits the text into named columns, from either layout (columns or rows).
fn columns(text: &str) -> Result<TextColumns<'_>, ReadError> {
    let mut last_comment = None;
    let mut rows = Vec::new();
    let mut lines = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line_text = line.trim();
        if line_text.starts_with(COMMENT) {
            if rows.is_empty() {
                last_comment = Some(line_text.trim_start_matches(COMMENT).trim());
            }
        } else if !line_text.is_empty() {
            if rows.len() >= MAX_PIXELS || line_text.len() > MAX_LINE_BYTES {
                let problem = format!(
                    "the text has more than {MAX_PIXELS} lines, or a line of more than {} MiB; a spectrum has fewer pixels, so cut it into parts",
                    MAX_LINE_BYTES >> 20
                );
                return Err(ReadError::Text { line: i + 1, problem });
            }
            rows.push(split(line_text, i + 1));
            if lines.len() <= MAX_TITLE_LINES {
                lines.push(line_text);
            }
        }
    }
    let n_title = title_lines(&rows);
    let is_labels = |row: &Row| labels::is_label_header(row.cells.iter().map(|c| unquote(c)));
    if rows.iter().take(n_title + 1).any(is_labels) {
        return Err(ReadError::LabelTable);
    }
    lines.truncate(n_title);
    let rows = &rows[n_title..];
    let is_wide = |row: &Row| row.cells.len() > MIN_PIXELS;
    if (2..=3).contains(&rows.len())
        && rows.iter().all(is_wide)
        && rows.iter().all(|r| r.cells.len() == rows[0].cells.len())
    {
        return two_rows(rows);
    }

    let has_header = rows.first().is_some_and(|r| r.cells.iter().any(|c| number(c, r.decimal_comma).is_none()));
    let (names, body) = match (has_header, rows) {
        (_, []) => {
            return Err(ReadError::Text {
                line: 1,
                problem: "the text has no line of numbers; give two columns, wavelength and flux".into(),
            });
        }
        (true, [header, body @ ..]) => (header.cells.iter().map(|c| unquote(c).to_string()).collect::<Vec<_>>(), body),
        (false, body) => (last_comment.map(|comment| names_of(&split(comment, 0).cells)).unwrap_or_default(), body),
    };
    let (units, body) = match body {
        [units, rest @ ..] if has_header && units.cells.len() == names.len() && !units.has_number() => {
            (units.cells.iter().map(|c| unquote(c).to_string()).collect(), rest)
        }
        body => (Vec::new(), body),
    };
    let Some(first) = body.first() else {
        return Err(ReadError::Text {
            line: rows[0].line,
            problem: format!(
                "no numbers follow “{}”; give two columns, wavelength and flux, or download the file again if this is the message of a server",
                truncate(&rows[0].cells.join(" "))
            ),
        });
    };
    if !first.has_number() {
        let problem = format!(
            "“{}” is text; a spectrum is columns of numbers, wavelength and flux",
            truncate(first.cells.first().unwrap_or(&""))
        );
        return Err(ReadError::Text { line: first.line, problem });
    }
    let width = first.cells.len();
    if has_decimal_commas(body) {
        let problem = "commas separate both columns and decimals; separate the columns by semicolons or tabs, or write decimal points".into();
        return Err(ReadError::Text { line: first.line, problem });
    }
    let mut values = vec![Vec::with_capacity(body.len()); width];
    for row in body {
        if row.cells.len() != width {
            let problem =
                format!("it has {} values, but the lines before have {width}; correct or remove it", row.cells.len());
            return Err(ReadError::Text { line: row.line, problem });
        }
        for (column, cell) in values.iter_mut().zip(&row.cells) {
            column.push(parse(cell, row)?);
        }
    }
    // A comment counts as a header only if it names every column.
    let names = if names.len() == width { names } else { Vec::new() };
    let line = rows[0].line;
    Ok(TextColumns { titles: lines, names, line, units, values, format: "text, one pixel per line" })
}

/// True for rows of an even number of integers, four or more, between commas, the first of which is repeated: numbers
/// with a decimal comma.
fn has_decimal_commas(rows: &[Row]) -> bool {
    let is_integer = |cell: &&str| cell.trim_start_matches('-').bytes().all(|b| b.is_ascii_digit());
    let is_even = |row: &Row| row.cells.len() >= 4 && row.cells.len().is_multiple_of(2);
    rows.iter().all(|row| row.separator == Some(',') && is_even(row) && row.cells.iter().all(is_integer))
        && rows.windows(2).any(|pair| pair[0].cells[0] == pair[1].cells[0])
}

/// The names in cells, if they name wavelength or flux; otherwise empty.
fn names_of(cells: &[&str]) -> Vec<String> {
    let names: Vec<String> = cells.iter().map(|c| unquote(c).to_string()).collect();
    let is_named = names.iter().any(|n| matches!(role(n, ""), Some(Role::Wavelength(_) | Role::Flux)));
    if is_named { names } else { Vec::new() }
}

/// Number of lines before the line of names and the numbers: a title, and possibly a line with the number of pixels.
///
/// The numbers begin with two lines of numbers of equal length. The lines of names and units just before them have the
/// same length.
fn title_lines(rows: &[Row]) -> usize {
    let is_numeric = |row: &Row| row.has_number() && row.cells.iter().all(|c| number(c, row.decimal_comma).is_some());
    let begins = |i: &usize| {
        let counts_lines = rows[*i].cells.first().and_then(|c| c.parse().ok()) == Some(rows.len() - i - 1);
        is_numeric(&rows[*i])
            && !counts_lines
            && rows.get(i + 1).is_some_and(|next| is_numeric(next) && next.cells.len() == rows[*i].cells.len())
    };
    let Some(first) = (0..rows.len().min(MAX_TITLE_LINES)).find(begins) else { return 0 };
    let body = &rows[first];
    let is_heading = |row: &Row| {
        let is_alike = row.separator == body.separator || row.cells.iter().all(|c| role(unquote(c), "").is_some());
        row.cells.len() == body.cells.len() && !row.has_number() && is_alike
    };
    let headings: Vec<&Row> = rows[..first].iter().rev().take(2).take_while(|row| is_heading(row)).collect();
    let has_role = |row: &Row| row.cells.iter().any(|c| role(unquote(c), "").is_some());
    match headings[..] {
        // The line before a line of names is a title, unless it has the names and the other line the units.
        [names, title] if has_role(names) && !has_role(title) => first - 1,
        _ => first - headings.len(),
    }
}

/// Two or three long rows: wavelength, flux and optionally an error, if the first cells name the rows.
fn two_rows<'a>(rows: &[Row]) -> Result<TextColumns<'a>, ReadError> {
    let has_names = rows.iter().all(|r| number(r.cells[0], r.decimal_comma).is_none());
    let skip = usize::from(has_names);
    let names = if has_names { rows.iter().map(|r| unquote(r.cells[0]).to_string()).collect() } else { Vec::new() };
    let values = rows
        .iter()
        .map(|row| row.cells.iter().skip(skip).map(|cell| parse(cell, row)).collect())
        .collect::<Result<Vec<Vec<f64>>, _>>()?;
    let format = "text, a row of wavelengths and a row of fluxes";
    let line = rows[0].line;
    Ok(TextColumns { titles: Vec::new(), names, line, units: Vec::new(), values, format })
}

pub(super) fn split(line: &str, number: usize) -> Row<'_> {
    let line = line.trim().trim_end_matches([',', ';']);
    let separator = [';', '\t', ','].into_iter().find(|s| line.contains(*s));
    let cells: Vec<&str> = match separator {
        Some(s) => line.split(s).map(|c| c.trim().trim_end_matches(if s == '\t' { ',' } else { ' ' })).collect(),
        None => line.split_whitespace().collect(),
    };
    Row { line: number, cells, decimal_comma: matches!(separator, Some(';' | '\t')), separator }
}

/// A number; NaN for a word that means a missing value; `None` for any other text.
pub(super) fn number(cell: &str, decimal_comma: bool) -> Option<f64> {
    let cell = unquote(cell);
    if cell.is_empty() || ["null", "none", "--", "n/a", "na", "indef"].contains(&cell.to_lowercase().as_str()) {
        return Some(f64::NAN);
    }
    parse_number(cell).or_else(|| parse_number(&cell.replacen(',', ".", 1)).filter(|_| decimal_comma))
}

fn parse(cell: &str, row: &Row) -> Result<f64, ReadError> {
    number(cell, row.decimal_comma).ok_or_else(|| ReadError::Text {
        line: row.line,
        problem: format!("“{}” is not a number; remove the line or begin it with #", truncate(cell)),
    })
}

pub(super) fn unquote(cell: &str) -> &str {
    cell.trim().trim_matches(['"', '\''])
}

/// The comment lines and title lines among the first 200 lines.
fn comments(text: &str, titles: &[&str]) -> String {
    let lines = text.lines().take(200).map(str::trim).filter(|l| l.starts_with(COMMENT));
    lines.chain(titles.iter().copied()).flat_map(|l| [l, "\n"]).collect()
}

/// A unit of length from the comments, if they name exactly one; else empty.
fn unit_in_comments(comments: &str) -> &'static str {
    let comments = comments.to_lowercase();
    let has = |wanted: &[&str]| comments.split(|c: char| !c.is_alphanumeric()).any(|w| wanted.contains(&w));
    match (
        has(&["angstrom", "angstroms", "å"]),
        has(&["nm", "nanometer", "nanometers"]),
        has(&["micron", "microns", "um"]),
    ) {
        (true, false, false) => "angstrom",
        (false, true, false) => "nm",
        (false, false, true) => "um",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text with wavelength, flux at an S/N of about 50, and a third column.
    fn text(third: impl Fn(f64) -> f64) -> String {
        let noise = |i: u32| f64::from(i.wrapping_mul(2_654_435_761) >> 16) / 65_536.0 - 0.5;
        (0..900u32)
            .map(|i| {
                let flux = 300.0 + 0.05 * f64::from(i) + 6.0 * 12f64.sqrt() * noise(i);
                format!("{} {flux:.3} {:.5}\n", 4000.0 + f64::from(i), third(flux))
            })
            .collect()
    }

    #[test]
    fn an_unnamed_third_column_similar_to_the_scatter_is_sigma() {
        let read = |third: &dyn Fn(f64) -> f64| read(&text(third), "star").expect("a spectrum");
        let spectrum = read(&|_| 6.0);
        assert!(spectrum.ivar().is_some_and(|ivar| ivar.iter().all(|v| (v * 36.0 - 1.0).abs() < 1e-9)));
        assert!(spectrum.meta.notes.iter().any(|note| note.contains("assumed to be σ")), "{:?}", spectrum.meta.notes);
        // A continuum, an inverse variance in another unit, a mask.
        for third in [&|flux| flux, &|_| 1.0 / 3600.0, &|_| 0.0] as [&dyn Fn(f64) -> f64; 3] {
            let spectrum = read(third);
            assert!(spectrum.ivar().is_none());
            assert!(spectrum.meta.notes.iter().any(|note| note.contains("not read: column 3")));
        }
    }
}
