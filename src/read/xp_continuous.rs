//! Gaia XP continuous spectra: 55 coefficients of basis functions for BP and 55 for RP become the sampled spectrum.
//!
//! Product `xp_continuous_mean_spectrum` of Gaia DR3 (documentation §20.12.5), as the archive, the bulk download, Astroquery
//! and `GaiaXPy` write it: one row per source, with arrays. The samples and their errors are those of `GaiaXPy`'s
//! `calibrate()` (De Angeli et al. 2023, Montegriffo et al. 2023), without truncation. Flux in W m⁻² nm⁻¹.

mod batches;
mod map;

use super::error::{ReadError, truncate};
use super::table::{Table, text_cells};
use super::{Contents, MAX_PIXELS, SkippedPart, gaia_xp, metadata};
use crate::spectrum::Spectrum;
pub use batches::{XpBatch, XpBatches};
use map::{MAPS, N_BASES, N_CORRELATIONS};

/// Columns of coefficients, by which a table of XP continuous spectra is recognised.
const COEFFICIENTS: [&str; 2] = ["bp_coefficients", "rp_coefficients"];

/// Layout of the file, as shown to the user.
const FORMAT: &str = "Gaia XP spectrum, coefficients";

/// Largest absolute value of a correlation, with rounding.
const MAX_CORRELATION: f64 = 1.001;

/// True for column names of XP continuous spectra.
pub(crate) fn has_columns(mut names: impl Iterator<Item = impl AsRef<str>>) -> bool {
    names.any(|name| COEFFICIENTS.iter().any(|c| name.as_ref().trim().eq_ignore_ascii_case(c)))
}

/// True for a table of XP continuous spectra.
pub(crate) fn identify(table: &Table) -> bool {
    has_columns(table.columns.iter().map(|c| &c.name))
}

/// True for a gzipped or plain text table of XP continuous spectra.
pub(crate) fn is_table(bytes: &[u8]) -> bool {
    XpBatches::open(bytes).is_ok_and(|table| table.is_some())
}

/// The columns of one prism.
struct Prism {
    /// "BP" or "RP".
    name: &'static str,
    /// Name of the column of coefficients.
    column: &'static str,
    coefficients: Option<usize>,
    errors: Option<usize>,
    correlations: Option<usize>,
}

impl Prism {
    fn find_both(table: &Table) -> [Self; 2] {
        let find = |name: &'static str, [column, errors, correlations]: [&'static str; 3]| Self {
            name,
            column,
            coefficients: table.find(&[column]),
            errors: table.find(&[errors]),
            correlations: table.find(&[correlations]),
        };
        [
            find("BP", [COEFFICIENTS[0], "bp_coefficient_errors", "bp_coefficient_correlations"]),
            find("RP", [COEFFICIENTS[1], "rp_coefficient_errors", "rp_coefficient_correlations"]),
        ]
    }
}

/// Reads the spectra of all rows. A row that cannot be read is skipped with the reason; `stem` is the id of a spectrum
/// without `source_id`.
///
/// # Errors
///
/// If the table has no rows, or a single row that cannot be read.
pub(crate) fn read(table: &Table, stem: &str) -> Result<Contents, ReadError> {
    match (table.rows, table.bad_rows.len()) {
        (0, 0) => {
            let problem = "it has no rows; export it again".into();
            Err(ReadError::Layout { place: table.place.clone(), problem })
        }
        (1, 0) if table.is_whole() => spectrum(table, &Prism::find_both(table), 0, stem).map(Contents::from_spectrum),
        _ => Ok(read_rows(table, stem, table.first_row.unwrap_or(0))),
    }
}

/// The spectra of all rows, up to [`MAX_PIXELS`]. The table starts with row `first_row` of its file.
fn read_rows(table: &Table, stem: &str, first_row: usize) -> Contents {
    let prisms = Prism::find_both(table);
    let max_spectra = MAX_PIXELS / gaia_xp::ARCHIVE_SAMPLES;
    let mut contents = Contents::default();
    for row in 0..table.rows {
        if contents.spectra.len() == max_spectra {
            let part = format!("spectra from {} on", table.row_name(row));
            let reason = format!(
                "the table has more than {max_spectra} spectra; split it, or give it as CSV to the command-line program"
            );
            contents.skipped.push(SkippedPart { part, reason });
            break;
        }
        match spectrum(table, &prisms, row, &format!("{stem}-{}", first_row + row + 1)) {
            Ok(spectrum) => contents.spectra.push(spectrum),
            Err(error) => {
                contents.skip(|| id(table, row).map_or_else(|| table.row_name(row), |id| truncate(&id)), error);
            }
        }
    }
    contents.skipped.extend(table.skipped_rows());
    contents
}

/// The source id of a row.
fn id(table: &Table, row: usize) -> Option<String> {
    table.text(row, table.find(&["source_id"])?).or_else(|| gaia_xp::source_id(&table.params).map(Into::into))
}

/// Samples the spectrum of one row. `name` is its id if it has no `source_id`.
fn spectrum(table: &Table, prisms: &[Prism; 2], row: usize, name: &str) -> Result<Spectrum, ReadError> {
    let coefficients = coefficients(table, prisms, row)?;
    let mut flux = vec![0.0; gaia_xp::ARCHIVE_SAMPLES];
    let mut variance = vec![0.0; gaia_xp::ARCHIVE_SAMPLES];
    let (mut has_errors, mut has_correlations) = (true, true);
    for ((prism, map), coefficients) in prisms.iter().zip(&*MAPS).zip(&coefficients) {
        map.add_flux(coefficients, &mut flux);
        let errors = errors(table, prism, row)?;
        let correlations = correlations(table, prism, row)?;
        has_errors &= errors.is_some();
        has_correlations &= correlations.is_some();
        if let Some(errors) = errors {
            map.add_variance(&errors, correlations.as_deref(), &mut variance);
        }
    }
    let ivar = has_errors.then(|| variance.iter().map(|v| 1.0 / v).collect());
    let id = id(table, row);
    let mut meta = gaia_xp::meta(id.as_deref().unwrap_or(name), "W m⁻² nm⁻¹, computed from the coefficients", false);
    meta.format = FORMAT.into();
    metadata::set_position(&mut meta, table.number(row, &["ra"]), table.number(row, &["dec"]));
    if !has_errors {
        meta.notes.push("the file has no errors of the coefficients, so the flux has none".into());
    } else if !has_correlations {
        meta.errors_lack_correlations = true;
        meta.notes.push(
            "the file has no correlations of the coefficients; they are taken as 0, so the errors of the flux are wrong (on real stars 0.6 to 2.3 times the right ones)".into(),
        );
    }
    let place = format!("{} of {}", table.row_name(row), table.place);
    Spectrum::new(meta, gaia_xp::grid_aa(), flux, ivar, None).map_err(ReadError::samples(place))
}

/// The coefficients of BP and RP.
fn coefficients(table: &Table, prisms: &[Prism; 2], row: usize) -> Result<[Vec<f64>; 2], ReadError> {
    let cell = |prism: &Prism| prism.coefficients.map_or(Ok(Vec::new()), |column| numbers(table, row, column));
    let cells = [cell(&prisms[0])?, cell(&prisms[1])?];
    // Masked cells of arrays with a fixed length are all NaN.
    let is_missing = |cell: &Vec<f64>| cell.iter().all(|c| c.is_nan());
    let problem = match [is_missing(&cells[0]), is_missing(&cells[1])] {
        [true, true] => Some((&prisms[0], "neither BP nor RP has coefficients; remove the row".to_string())),
        [true, false] => Some((&prisms[0], one_prism(prisms[1].name))),
        [false, true] => Some((&prisms[1], one_prism(prisms[0].name))),
        [false, false] => None,
    };
    if let Some((prism, problem)) = problem {
        return Err(ReadError::Cell {
            place: table.place.clone(),
            column: prism.column.into(),
            row: table.row_name(row),
            problem,
        });
    }
    for (prism, cell) in prisms.iter().zip(&cells) {
        check(table, row, prism.coefficients, cell, &[N_BASES], f64::MAX)?;
    }
    Ok(cells)
}

fn one_prism(name: &str) -> String {
    format!(
        "this source has coefficients of {name} only; a sampled spectrum from 336 to 1020 nm needs BP and RP, so leave the source out"
    )
}

/// The errors of the coefficients of a prism; `None` if the file has none.
fn errors(table: &Table, prism: &Prism, row: usize) -> Result<Option<Vec<f64>>, ReadError> {
    let Some(column) = prism.errors else { return Ok(None) };
    let errors = numbers(table, row, column)?;
    if errors.iter().all(|e| e.is_nan()) {
        return Ok(None);
    }
    check(table, row, Some(column), &errors, &[N_BASES], f64::MAX)?;
    match errors.iter().find(|e| **e < 0.0) {
        Some(error) => Err(table.bad_cell(row, column, format!("the error {error} is negative; correct it"))),
        None => Ok(Some(errors)),
    }
}

/// The correlations of the coefficients of a prism, as [`map::PrismMap::add_variance`] takes them; `None` if the file
/// has none. The file has one triangle of the matrix, or the full matrix.
fn correlations(table: &Table, prism: &Prism, row: usize) -> Result<Option<Vec<f64>>, ReadError> {
    let Some(column) = prism.correlations else { return Ok(None) };
    let mut correlations = numbers(table, row, column)?;
    if correlations.iter().all(|r| r.is_nan()) {
        return Ok(None);
    }
    check(table, row, Some(column), &correlations, &[N_CORRELATIONS, N_BASES * N_BASES], MAX_CORRELATION)?;
    if correlations.len() > N_CORRELATIONS {
        correlations = (0..N_BASES).flat_map(|i| correlations[i * N_BASES..][..i].to_vec()).collect();
    }
    Ok(Some(correlations))
}

/// The numbers of an array cell, also of an array that is written as text.
fn numbers(table: &Table, row: usize, column: usize) -> Result<Vec<f64>, ReadError> {
    if table.columns[column].is_text {
        let text = table.text(row, column).unwrap_or_default();
        return text_cells::array(&text).map_err(|problem| table.bad_cell(row, column, problem));
    }
    table.array(row, column)
}

/// Checks the length of a cell and the range of its numbers.
fn check(
    table: &Table,
    row: usize,
    column: Option<usize>,
    values: &[f64],
    lengths: &[usize],
    max: f64,
) -> Result<(), ReadError> {
    let bad_number = values.iter().position(|v| v.is_nan() || v.abs() > max);
    let problem = match (lengths.contains(&values.len()), bad_number) {
        (false, _) => format!("it has {} numbers, not {}; download the file again", values.len(), lengths[0]),
        (true, Some(i)) if values[i].is_finite() => {
            format!("number {} is {}, which is no correlation; download the file again", i + 1, values[i])
        }
        (true, Some(i)) => format!("number {} is missing or not finite; remove the row or download it again", i + 1),
        (true, None) => return Ok(()),
    };
    Err(table.bad_cell(row, column.unwrap_or(0), problem))
}
