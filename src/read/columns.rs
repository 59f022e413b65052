//! Spectra from the columns of a table of any format.
//!
//! Either each row holds a spectrum in array cells, or each row is a pixel. In the second case the table holds one
//! spectrum, or several spectra that an id column distinguishes. Names, units and UCDs give the roles of the columns
//! (`axis`). `gaia_xp` and `sparcl` recognise the survey.

use std::collections::HashMap;

use super::axis::{self, Axis, Role, Scale, role};
use super::error::{ReadError, truncate};
use super::fits::Header;
use super::medium::medium_of_ucd;
use super::samples::{Errors, MAX_ORDERS, MaskConvention, Samples, are_orders};
use super::table::{self, Column, Table};
use super::unit::{UnitHint, stated_unit};
use super::wcs::{self, HeaderAxis};
use super::{Contents, MAX_PIXELS, SkippedPart, gaia_xp, labels, metadata, sdss5, sparcl, unsupported, xp_continuous};
use crate::spectrum::{MIN_PIXELS, Medium, Meta, Spectrum, Survey};

/// The columns of a table that form spectra.
#[derive(Debug)]
struct TableLayout {
    wave: Option<(usize, Axis)>,
    flux: usize,
    /// Column and form of the errors.
    errors: Option<(usize, Role)>,
    mask: Option<(usize, MaskConvention)>,
    id: Option<usize>,
    /// True if each row is a spectrum, false if each row is a pixel.
    row_is_spectrum: bool,
}

impl TableLayout {
    /// `None` without a flux column, and without a wavelength column if the fluxes are not arrays.
    fn from_table(table: &Table) -> Option<Self> {
        let roles: Vec<Option<Role>> = table.columns.iter().map(role_of).collect();
        let all = |wanted: fn(&Role) -> bool| {
            let matches = move |r: &Option<Role>| r.as_ref().is_some_and(wanted);
            roles.iter().enumerate().filter(move |(_, r)| matches(r)).map(|(i, _)| i)
        };
        let name = |i: usize| table.columns[i].name.to_lowercase();
        let fluxes = || all(|r| *r == Role::Flux);
        let flux = fluxes().find(|i| name(*i) == "flux").or_else(|| fluxes().next())?;
        let row_is_spectrum = table.columns[flux].is_array;
        let has_same_cell_kind = |i: &usize| table.columns[*i].is_array == row_is_spectrum;
        // Of several columns of a role, the one that belongs to the flux by its name: OPT_WAVE and OPT_COUNTS_IVAR
        // belong to OPT_COUNTS, BOX_WAVE does not.
        let prefix = |i: usize| name(i).split('_').next().unwrap_or("").to_string();
        let closest = |found: Vec<usize>| {
            let contains_flux = |i: &&usize| name(**i).contains(&name(flux));
            let has_prefix = |i: &&usize| prefix(**i) == prefix(flux);
            found.iter().find(contains_flux).or(found.iter().find(has_prefix)).or(found.first()).copied()
        };
        let mut waves: Vec<usize> = all(|r| matches!(r, Role::Wavelength(_))).filter(has_same_cell_kind).collect();
        // The pipeline of ESPRESSO writes wavelength and wavelength_air; the first name does not say vacuum.
        waves.sort_by_key(|i| !matches!(roles[*i], Some(Role::Wavelength(axis)) if axis.medium.is_some()));
        let wave = closest(waves).and_then(|i| match roles[i] {
            Some(Role::Wavelength(axis)) => Some((i, axis)),
            _ => None,
        });
        let ivar = closest(all(|r| *r == Role::Ivar).filter(has_same_cell_kind).collect());
        let sigmas: Vec<usize> =
            all(|r| matches!(r, Role::Sigma | Role::Variance)).filter(has_same_cell_kind).collect();
        let named: Vec<usize> = sigmas.iter().copied().filter(|i| axis::is_flux_error(&name(*i))).collect();
        let only_one = (sigmas.len() == 1 && table.columns.len() <= 4).then(|| sigmas[0]);
        let errors = ivar.or_else(|| closest(named)).or(only_one).and_then(|i| Some((i, roles[i]?)));
        let masks = (0..table.columns.len()).filter(has_same_cell_kind);
        let masks = masks.filter(|i| MaskConvention::from_name(&name(*i)).is_some()).collect();
        let names = table.columns.iter().map(|c| c.name.as_str());
        (wave.is_some() || row_is_spectrum).then(|| Self {
            wave,
            flux,
            errors,
            mask: closest(masks).and_then(|i| Some((i, MaskConvention::from_name(&name(i))?))),
            id: table.find(&["source_id"]).or_else(|| labels::id_column(names)).filter(|i| !table.columns[*i].is_array),
            row_is_spectrum,
        })
    }
}

/// The role of a column, by its name, else by its UCD.
fn role_of(column: &Column) -> Option<Role> {
    if column.is_text {
        return None;
    }
    let by_ucd = || match column.ucd.to_lowercase() {
        ucd if ucd.starts_with("em.wl") => role("wavelength", &column.unit),
        ucd if ucd.starts_with("phot.flu") || ucd == "spect" => Some(Role::Flux),
        ucd if ucd.starts_with("stat.error;phot.flu") || ucd == "stat.error;spect" => Some(Role::Sigma),
        _ => None,
    };
    let mut role = role(&column.name, &column.unit).or_else(by_ucd);
    if let Some(Role::Wavelength(axis)) = &mut role {
        axis.medium = axis.medium.or_else(|| medium_of_ucd(&column.ucd));
    }
    role
}

/// Names of the columns of wavelength and flux; `None` for a table without spectra.
pub(crate) fn main_columns(table: &Table) -> Option<(Option<String>, String)> {
    let layout = TableLayout::from_table(table)?;
    let name = |i: usize| table.columns[i].name.clone();
    Some((layout.wave.map(|(i, _)| name(i)), name(layout.flux)))
}

/// Refuses a table with a pixel in each row that has too many rows. `rows` is their number in the file.
pub(crate) fn check_pixels(table: &Table, rows: usize) -> Result<(), ReadError> {
    if rows <= MAX_PIXELS || TableLayout::from_table(table).is_none_or(|layout| layout.row_is_spectrum) {
        return Ok(());
    }
    let problem = format!("it has {rows} rows, one for each pixel, and 40 million are read; split it");
    Err(ReadError::Layout { place: table.place.clone(), problem })
}

/// True if each row of a table is a spectrum of its own, so that it can be read in parts.
pub(crate) fn has_spectrum_in_each_row(table: &Table) -> bool {
    let is_sampled = || TableLayout::from_table(table).is_some_and(|layout| layout.row_is_spectrum);
    xp_continuous::identify(table) || gaia_xp::reject_unsupported(table).is_ok() && is_sampled()
}

/// The wavelengths of a table without fluxes, if it has `pixels` of them.
pub(crate) fn wavelength_column(table: &Table, pixels: usize) -> Result<Option<HeaderAxis>, ReadError> {
    if table.columns.iter().any(|c| role_of(c) == Some(Role::Flux)) {
        return Ok(None);
    }
    let wave = |i: usize| match role_of(&table.columns[i]) {
        Some(Role::Wavelength(axis)) => Some((i, axis)),
        _ => None,
    };
    let Some((i, axis)) = (0..table.columns.len()).find_map(wave) else { return Ok(None) };
    let values = if table.columns[i].is_array && table.rows > 0 {
        table.array(0, i)?
    } else {
        (0..table.rows).map(|row| table.scalar(row, i)).collect::<Result<_, _>>()?
    };
    let (wave_aa, note) = axis.to_aa(values);
    Ok((wave_aa.len() == pixels).then_some(HeaderAxis { wave_aa, medium: axis.medium, note }))
}

/// Reads the spectra of a table; `None` if it has no columns of wavelength and flux.
///
/// `others` are the tables of the file, one of which may hold the wavelengths; `header` is the header of a FITS table,
/// which may hold them too. `stem` is the id of a spectrum without its own id.
pub(crate) fn read(
    table: &Table,
    others: &[Table],
    stem: &str,
    header: Option<&Header>,
) -> Result<Option<Contents>, ReadError> {
    if xp_continuous::identify(table) {
        return xp_continuous::read(table, stem).map(Some);
    }
    gaia_xp::reject_unsupported(table)?;
    let Some(layout) = TableLayout::from_table(table) else { return Ok(None) };
    check_pixels(table, table.rows)?;
    let shared = if layout.wave.is_some() { None } else { shared_axis(table, &layout, others, header)? };
    let groups = group_rows(table, &layout);
    if groups.is_empty() && table.bad_rows.is_empty() {
        let problem = "it has no rows; export it again".into();
        return Err(ReadError::Layout { place: table.place.clone(), problem });
    }
    let mut contents = Contents::default();
    let mut pixels = 0usize;
    let has_several_spectra = groups.len() > 1 || !table.is_whole();
    for (i, (id, rows)) in groups.iter().enumerate() {
        let stem = if has_several_spectra { format!("{stem}-{}", table.row_number(i)) } else { stem.to_string() };
        match spectrum(table, &layout, shared.as_ref(), id.as_deref(), &stem, rows) {
            Ok(spectrum) => {
                pixels = pixels.saturating_add(spectrum.len());
                if pixels > MAX_PIXELS {
                    let part = format!("spectra from number {} on", i + 1);
                    let reason = "the table has more than 40 million pixels; split it".into();
                    contents.skipped.push(SkippedPart { part, reason });
                    break;
                }
                contents.spectra.push(spectrum);
            }
            Err(error) if !has_several_spectra && table.bad_rows.is_empty() => return Err(error),
            Err(error) => {
                let part = || id.clone().unwrap_or_else(|| table.row_name(rows.first().copied().unwrap_or(0)));
                contents.skip(part, error);
            }
        }
    }
    contents.skipped.extend(table.skipped_rows());
    Ok(Some(contents))
}

/// True for text that [`read`] must read as a table, instead of the reader of plain columns of numbers.
///
/// This is text with an id column and a flux column, with array cells, or with Gaia XP coefficients.
pub(crate) fn has_columns(text: &str) -> bool {
    let Some((names, has_arrays)) = table::preview_header(text) else { return false };
    let has_id = labels::id_column(names.iter().map(String::as_str)).is_some();
    let has_flux = names.iter().any(|n| role(n, "") == Some(Role::Flux));
    has_arrays && names.iter().any(|n| n.chars().any(char::is_alphabetic))
        || has_id && has_flux
        || xp_continuous::has_columns(names.iter())
}

/// True for a table without damaged rows whose column names identify wavelength and flux.
pub(crate) fn has_named_axes(table: &Table) -> bool {
    table.bad_rows.is_empty() && TableLayout::from_table(table).is_some_and(|layout| layout.wave.is_some())
}

/// True for a label table.
pub(crate) fn is_labels(table: &Table) -> bool {
    labels::is_label_header(table.columns.iter().map(|c| c.name.as_str()))
}

/// The error for a file whose tables contain no spectrum.
pub(crate) fn no_spectrum_error(tables: &[Table]) -> ReadError {
    if tables.iter().any(is_labels) {
        return ReadError::LabelTable;
    }
    if let Some(Err(error)) = tables.iter().map(unsupported::check_table).find(Result::is_err) {
        return error;
    }
    let place = tables.first().map_or_else(|| "the VOTable".to_string(), |t| t.place.clone());
    let names: Vec<String> = tables.iter().flat_map(|t| &t.columns).take(12).map(|c| truncate(&c.name)).collect();
    let found = if names.is_empty() { "no columns".to_string() } else { format!("the columns {}", names.join(", ")) };
    ReadError::Layout {
        place,
        problem: format!(
            "it has {found}, but not both wavelengths and fluxes; name these columns wavelength and flux, with units"
        ),
    }
}

/// Wavelengths common to all rows: `GaiaXPy`'s sampling, in this file or in a second file; the axis in the header; or a
/// table with a wavelength column only.
fn shared_axis(
    table: &Table,
    layout: &TableLayout,
    others: &[Table],
    header: Option<&Header>,
) -> Result<Option<HeaderAxis>, ReadError> {
    let plain = |wave_aa| HeaderAxis { wave_aa, medium: None, note: None };
    if let Some(wave_aa) = gaia_xp::sampling_aa(&table.params) {
        return Ok(Some(plain(wave_aa)));
    }
    if let Some(sampling) = others.iter().find(|t| gaia_xp::is_sampling(t)) {
        return Ok(Some(plain(sampling.array(0, 0)?.into_iter().map(|nm| nm * 10.0).collect())));
    }
    if table.rows == 0 {
        return Ok(None);
    }
    let pixels = if layout.row_is_spectrum { table.array(0, layout.flux)?.len() } else { table.rows };
    for keys in header.iter().flat_map(|_| wcs::Keys::of_table(layout.flux)) {
        let axis = header.map_or(Ok(None), |header| wcs::read(header, &keys, pixels))?;
        if axis.is_some() {
            return Ok(axis);
        }
    }
    others.iter().filter(|t| t.columns.len() == 1).find_map(|t| wavelength_column(t, pixels).transpose()).transpose()
}

/// Id and rows of each spectrum, in the order of their first rows.
fn group_rows(table: &Table, layout: &TableLayout) -> Vec<(Option<String>, Vec<usize>)> {
    let id_of = |row: usize| layout.id.and_then(|column| table.text(row, column));
    if layout.row_is_spectrum {
        if table.is_whole() && rows_are_orders(table, layout) {
            return vec![(None, (0..table.rows).collect())];
        }
        return (0..table.rows).map(|row| (id_of(row), vec![row])).collect();
    }
    let mut groups: Vec<(Option<String>, Vec<usize>)> = Vec::new();
    let mut group_index: HashMap<Option<String>, usize> = HashMap::new();
    for row in 0..table.rows {
        let id = id_of(row);
        let index = *group_index.entry(id.clone()).or_insert_with(|| {
            groups.push((id, Vec::new()));
            groups.len() - 1
        });
        groups[index].1.push(row);
        // A column with almost as many values as rows numbers the pixels and is not an id.
        if groups.len() > 1 && groups.len() * MIN_PIXELS > table.rows {
            return vec![(None, (0..table.rows).collect())];
        }
    }
    groups
}

/// True if the rows are orders or arms of one spectrum. An id for each row says that they are not.
fn rows_are_orders(table: &Table, layout: &TableLayout) -> bool {
    let (Some((column, axis)), None, 2..=MAX_ORDERS) = (layout.wave, layout.id, table.rows) else { return false };
    let wave: Option<Vec<Vec<f64>>> =
        (0..table.rows).map(|row| Some(axis.to_aa(table.array(row, column).ok()?).0)).collect();
    wave.is_some_and(|rows| are_orders(&rows))
}

/// The values of a spectrum in a column: the arrays of its rows, or one number from each of its rows.
fn values(table: &Table, layout: &TableLayout, rows: &[usize], column: usize) -> Result<Vec<f64>, ReadError> {
    if layout.row_is_spectrum {
        let arrays = rows.iter().map(|row| table.array(*row, column)).collect::<Result<Vec<_>, _>>()?;
        return Ok(arrays.concat());
    }
    rows.iter().map(|row| table.scalar(*row, column)).collect()
}

/// Builds one spectrum from a row of arrays, or from one row per pixel.
fn spectrum(
    table: &Table,
    layout: &TableLayout,
    shared: Option<&HeaderAxis>,
    id: Option<&str>,
    stem: &str,
    rows: &[usize],
) -> Result<Spectrum, ReadError> {
    let values = |column: usize| values(table, layout, rows, column);
    let first_row = rows.first().copied().unwrap_or(0);
    let flux = values(layout.flux)?;
    let mut wave = wavelengths(table, layout, shared, rows, flux.len())?;
    // An empty array means that this row has no errors.
    let errors = match layout.errors {
        Some((column, role)) => Some(values(column)?).filter(|v| !v.is_empty()).and_then(|v| Errors::of(Some(role), v)),
        None => None,
    };
    let mut mask = layout.mask.and_then(|(column, convention)| {
        mask_values(table, layout, rows, column).filter(|m| m.len() == flux.len()).map(|mask| (convention, mask))
    });

    let mut meta = meta(table, layout, &wave, id, stem, first_row);
    if meta.survey == Survey::Sdss {
        // SDSS's and_mask does not mask pixels, see `sdss`.
        let n_flagged = mask.take().map_or(0, |(_, m)| m.iter().filter(|m| **m != 0.0).count());
        if n_flagged > 0 {
            meta.notes.push(format!(
                "{n_flagged} pixels with a mask bit are used, because SDSS sets the inverse variance of bad pixels to 0"
            ));
        }
    }
    let place = match layout.row_is_spectrum {
        true => format!("{} of {}", table.row_name(first_row), table.place),
        false => table.place.clone(),
    };
    let samples = Samples { wave_aa: std::mem::take(&mut wave.aa), flux, errors, mask };
    samples.into_spectrum(meta).map_err(ReadError::samples(place))
}

/// The wavelengths of a spectrum.
struct Wavelengths {
    aa: Vec<f64>,
    /// Air or vacuum, if the axis states it.
    medium: Option<Medium>,
    /// Remark that unit or scale were inferred from the values.
    note: Option<String>,
    /// True if the file gives no wavelengths and the grid of the Gaia archive is assumed.
    is_assumed: bool,
}

/// The wavelengths of a spectrum with `pixels` fluxes: its own, else the common axis of all rows, else the grid of the
/// Gaia archive.
fn wavelengths(
    table: &Table,
    layout: &TableLayout,
    shared: Option<&HeaderAxis>,
    rows: &[usize],
    pixels: usize,
) -> Result<Wavelengths, ReadError> {
    let layout_error = |problem: String| ReadError::Layout { place: table.place.clone(), problem };
    if let Some((column, axis)) = layout.wave {
        let heading = &table.columns[column];
        if stated_unit(&heading.unit) == UnitHint::Other {
            let (unit, name) = (truncate(&heading.unit), truncate(&heading.name));
            return Err(layout_error(format!(
                "“{unit}”, the unit of {name}, is not a unit of wavelength; use Å, nm, µm or m"
            )));
        }
        let values = values(table, layout, rows, column)?;
        if axis::counts_pixels(&values) {
            let name = truncate(&heading.name);
            return Err(layout_error(format!(
                "{name} counts pixels and holds no wavelengths; give wavelengths in its place"
            )));
        }
        let (aa, note) = axis.to_aa(values);
        return Ok(Wavelengths { aa, medium: axis.medium, note, is_assumed: false });
    }
    if let Some(HeaderAxis { wave_aa, medium, note }) = shared.cloned() {
        if wave_aa.len() != pixels {
            return Err(layout_error(format!("a spectrum has {pixels} fluxes, but {} wavelengths", wave_aa.len())));
        }
        return Ok(Wavelengths { aa: wave_aa, medium, note, is_assumed: false });
    }
    let aa = gaia_xp::grid_aa();
    if aa.len() != pixels {
        let is_gaia = gaia_xp::has_gaia_sources(table);
        let advice = if is_gaia {
            gaia_xp::missing_wavelengths_advice(pixels)
        } else {
            "add a column of wavelengths, with its unit"
        };
        return Err(layout_error(format!("a spectrum has {pixels} fluxes and no wavelengths; {advice}")));
    }
    Ok(Wavelengths { aa, medium: None, note: None, is_assumed: true })
}

/// Metadata of a spectrum from Gaia, from SPARCL or of no known survey.
fn meta(table: &Table, layout: &TableLayout, wave: &Wavelengths, id: Option<&str>, stem: &str, row: usize) -> Meta {
    let unit = table.columns[layout.flux].unit.as_str();
    let is_gaia = gaia_xp::has_gaia_sources(table);
    let id = id.or_else(|| gaia_xp::source_id(&table.params).filter(|_| is_gaia)).unwrap_or(stem);
    let mut meta = if gaia_xp::is_xp(is_gaia, &wave.aa) || layout.wave.is_none() && is_gaia {
        gaia_xp::meta(id, unit, wave.is_assumed)
    } else if sdss5::identify(table) {
        let mut meta = sdss5::meta(table, row, stem);
        metadata::set_stated(&mut meta, &table.params);
        meta
    } else if sparcl::identify(table) {
        let mut meta = sparcl::meta(table, row, stem);
        meta.resolving_power = sparcl::resolving_power(table, row, meta.survey, &wave.aa);
        meta
    } else {
        let axis = layout.wave.map(|w| w.1).unwrap_or_default();
        // A column of log10 λ is the convention of SDSS, which uses vacuum wavelengths.
        let is_air = axis.scale != Some(Scale::Log10) && table.kind == table::FITS && !is_gaia;
        let default_medium = if is_air { Medium::Air } else { Medium::Vacuum };
        let cells = if layout.row_is_spectrum { "arrays" } else { "one row per pixel" };
        let mut meta =
            metadata::meta(&table.params, id, &format!("{}, {cells}", table.kind), (wave.medium, default_medium));
        if !unit.is_empty() {
            meta.notes.push(format!("flux in {}", truncate(unit)));
        }
        meta
    };
    metadata::set_position(&mut meta, table.number(row, &["ra"]), table.number(row, &["dec"]));
    meta.notes.extend(wave.note.clone());
    meta.wave_is_f32 = layout.wave.is_some_and(|(c, axis)| table.columns[c].is_f32 && axis.scale != Some(Scale::Log10));
    meta
}

/// The numbers of the mask column; true counts as 1. `None` if the column cannot be read.
fn mask_values(table: &Table, layout: &TableLayout, rows: &[usize], column: usize) -> Option<Vec<f64>> {
    if layout.row_is_spectrum {
        return values(table, layout, rows, column).ok();
    }
    let value = |row: &usize| match table.text(*row, column).unwrap_or_default().to_lowercase().as_str() {
        "" | "0" | "0.0" | "false" | "f" | "no" => 0.0,
        "true" | "t" | "yes" => 1.0,
        other => other.parse().unwrap_or(2.0),
    };
    Some(rows.iter().map(value).collect())
}
