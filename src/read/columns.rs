//! Spectra from the columns of a table, whichever format it came in.
//!
//! Either a row holds a spectrum in cells that are arrays, or a row is a pixel, of one spectrum or of several that an id
//! column keeps apart. What the columns are, their names, units and UCDs say (`axis`); whose spectra they are,
//! `gaia_xp` and `sparcl` recognise.

use std::collections::HashMap;

use super::axis::{self, Axis, Mask, Role, Stated, ivar_of_sigma, role};
use super::error::{ReadError, shown};
use super::table::{self, Column, Table};
use super::{Contents, MAX_PIXELS, Skipped, facts, gaia_xp, labels, sparcl};
use crate::spectrum::{MIN_PIXELS, Medium, Meta, Spectrum, Survey};

/// Most parts that are listed one by one as unreadable.
const MAX_LISTED: usize = 1000;

/// Which columns make spectra.
#[derive(Debug)]
struct Layout {
    wave: Option<(usize, Axis)>,
    flux: usize,
    ivar: Option<usize>,
    sigma: Option<usize>,
    mask: Option<(usize, Mask)>,
    id: Option<usize>,
    /// True when a row is a spectrum.
    arrays: bool,
}

impl Layout {
    /// `None` when no column is a flux, or none is a wavelength and the fluxes are not arrays.
    fn of(table: &Table) -> Option<Self> {
        let roles: Vec<Option<Role>> = table.columns.iter().map(role_of).collect();
        let all = |wanted: fn(&Role) -> bool| {
            let fits = move |r: &Option<Role>| r.as_ref().is_some_and(wanted);
            roles.iter().enumerate().filter(move |(_, r)| fits(r)).map(|(i, _)| i)
        };
        let plainly =
            |name: &str| all(|r| *r == Role::Flux).find(|i| table.columns[*i].name.eq_ignore_ascii_case(name));
        let flux = plainly("flux").or_else(|| all(|r| *r == Role::Flux).next())?;
        let arrays = table.columns[flux].is_array;
        let alike = |i: &usize| table.columns[*i].is_array == arrays;
        let wave = all(|r| matches!(r, Role::Wavelength(_))).find(alike).and_then(|i| match roles[i] {
            Some(Role::Wavelength(axis)) => Some((i, axis)),
            _ => None,
        });
        let sigmas = || all(|r| *r == Role::Sigma).filter(alike);
        let sigma = sigmas()
            .find(|i| axis::is_flux_error(&table.columns[*i].name))
            .or_else(|| sigmas().next().filter(|_| sigmas().count() == 1 && table.columns.len() <= 4));
        let names = table.columns.iter().map(|c| c.name.as_str());
        (wave.is_some() || arrays).then(|| Self {
            wave,
            flux,
            ivar: all(|r| *r == Role::Ivar).find(alike),
            sigma,
            mask: (0..table.columns.len()).filter(alike).find_map(|i| Some((i, Mask::of(&table.columns[i].name)?))),
            id: table.find(&["source_id"]).or_else(|| labels::id_column(names)).filter(|i| !table.columns[*i].is_array),
            arrays,
        })
    }
}

/// What a column is, by its name, else by its UCD.
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
    if let Some(Role::Wavelength(axis)) = &mut role
        && axis.medium.is_none()
        && column.ucd.starts_with("em.wl")
        && column.ucd.contains("obs.atmos")
    {
        axis.medium = Some(Medium::Air);
    }
    role
}

/// The spectra of a table; `None` when it has no columns of wavelength and flux. `others`: the file's other tables, one of
/// which may hold the wavelengths. `stem` names a spectrum without an id.
pub(crate) fn read(table: &Table, others: &[Table], stem: &str) -> Result<Option<Contents>, ReadError> {
    gaia_xp::refuse(table)?;
    let Some(layout) = Layout::of(table) else { return Ok(None) };
    let shared = if layout.wave.is_some() { None } else { shared_axis(table, others)? };
    let stars = stars(table, &layout);
    if stars.is_empty() && table.bad_rows.is_empty() {
        let problem = "it has no rows; export it again".into();
        return Err(ReadError::Layout { place: table.place.clone(), problem });
    }
    let mut contents = Contents::default();
    let mut pixels = 0usize;
    let numbered = stars.len() > 1;
    for (i, (id, rows)) in stars.iter().enumerate() {
        let stem = if numbered { format!("{stem}-{}", i + 1) } else { stem.to_string() };
        match spectrum(table, &layout, shared.as_deref(), id.as_deref(), &stem, rows) {
            Ok(spectrum) => {
                pixels = pixels.saturating_add(spectrum.len());
                if pixels > MAX_PIXELS {
                    let why = "more than 40 million pixels in all; cut the table into several".into();
                    contents.skipped.push(Skipped { what: format!("spectra from the {}th on", i + 1), why });
                    break;
                }
                contents.spectra.push(spectrum);
            }
            Err(error) if !numbered && table.bad_rows.is_empty() => return Err(error),
            Err(error) if contents.skipped.len() < MAX_LISTED => {
                let what = id.clone().unwrap_or_else(|| table.row_name(rows.first().copied().unwrap_or(0)));
                contents.skipped.push(Skipped { what, why: error.to_string() });
            }
            Err(_) => {}
        }
    }
    for bad in table.bad_rows.iter().take(MAX_LISTED) {
        let why = format!("it has {} cells, the line of names has {}; complete it", bad.found, table.columns.len());
        contents.skipped.push(Skipped { what: format!("line {}", bad.line), why });
    }
    Ok(Some(contents))
}

/// True for text whose line of names makes it a table that [`read`] understands better than plain columns of numbers are
/// understood: it names stars beside fluxes, has arrays for cells, or is known and refused.
pub(crate) fn has_columns(text: &str) -> bool {
    let Some((names, has_arrays)) = table::peek(text) else { return false };
    let has = |wanted: &[&str]| names.iter().any(|n| wanted.iter().any(|w| n.eq_ignore_ascii_case(w)));
    let names_stars = labels::id_column(names.iter().map(String::as_str)).is_some();
    let has_flux = names.iter().any(|n| role(n, "") == Some(Role::Flux));
    has_arrays && names.iter().any(|n| n.chars().any(char::is_alphabetic))
        || names_stars && has_flux
        || has(&["bp_coefficients", "rp_coefficients"])
}

/// True for a table without a damaged row whose names say what is wavelength and what is flux.
pub(crate) fn is_named(table: &Table) -> bool {
    table.bad_rows.is_empty() && Layout::of(table).is_some_and(|layout| layout.wave.is_some())
}

/// True for a table that names stars and labels.
pub(crate) fn is_labels(table: &Table) -> bool {
    labels::is_label_header(table.columns.iter().map(|c| c.name.as_str()))
}

/// The error for a file whose tables have no spectrum.
pub(crate) fn none_found(tables: &[Table]) -> ReadError {
    if tables.iter().any(is_labels) {
        return ReadError::LabelTable;
    }
    let place = tables.first().map_or_else(|| "the VOTable".to_string(), |t| t.place.clone());
    let names: Vec<String> = tables.iter().flat_map(|t| &t.columns).take(12).map(|c| shown(&c.name)).collect();
    let found = if names.is_empty() { "no columns".to_string() } else { format!("the columns {}", names.join(", ")) };
    ReadError::Layout {
        place,
        problem: format!(
            "it has {found}, and none of wavelength and flux; call two of them wavelength and flux, with their units"
        ),
    }
}

/// Wavelengths in Å that all rows share: GaiaXPy's sampling, in this file or beside it, or a table with nothing else.
fn shared_axis(table: &Table, others: &[Table]) -> Result<Option<Vec<f64>>, ReadError> {
    if let Some(wave_aa) = gaia_xp::sampling_aa(&table.params) {
        return Ok(Some(wave_aa));
    }
    if let Some(sampling) = others.iter().find(|t| gaia_xp::is_sampling(t)) {
        return Ok(Some(sampling.array(0, 0)?.into_iter().map(|nm| nm * 10.0).collect()));
    }
    for other in others.iter().filter(|t| t.columns.len() == 1) {
        if let Some(Role::Wavelength(axis)) = role_of(&other.columns[0]) {
            let values = if other.columns[0].is_array {
                other.array(0, 0)?
            } else {
                (0..other.rows).map(|row| other.scalar(row, 0)).collect::<Result<_, _>>()?
            };
            return Ok(Some(axis.to_aa(values).0));
        }
    }
    Ok(None)
}

/// The rows of each spectrum with its id, in the order in which they begin.
fn stars(table: &Table, layout: &Layout) -> Vec<(Option<String>, Vec<usize>)> {
    let id_of = |row: usize| layout.id.and_then(|column| table.text(row, column));
    if layout.arrays {
        return (0..table.rows).map(|row| (id_of(row), vec![row])).collect();
    }
    let mut stars: Vec<(Option<String>, Vec<usize>)> = Vec::new();
    let mut places: HashMap<Option<String>, usize> = HashMap::new();
    for row in 0..table.rows {
        let id = id_of(row);
        let place = *places.entry(id.clone()).or_insert_with(|| {
            stars.push((id, Vec::new()));
            stars.len() - 1
        });
        stars[place].1.push(row);
        // A column that numbers the pixels is no id.
        if stars.len() > 1 && stars.len() * MIN_PIXELS > table.rows {
            return vec![(None, (0..table.rows).collect())];
        }
    }
    stars
}

/// The numbers of a spectrum in a column: those of its one row, or one of each row.
fn values(table: &Table, layout: &Layout, rows: &[usize], column: usize) -> Result<Vec<f64>, ReadError> {
    match rows {
        [row, ..] if layout.arrays => table.array(*row, column),
        rows => rows.iter().map(|row| table.scalar(*row, column)).collect(),
    }
}

/// One spectrum: of one row of arrays, or of one row a pixel.
fn spectrum(
    table: &Table,
    layout: &Layout,
    shared_aa: Option<&[f64]>,
    id: Option<&str>,
    stem: &str,
    rows: &[usize],
) -> Result<Spectrum, ReadError> {
    let values = |column: usize| values(table, layout, rows, column);
    let first = rows.first().copied().unwrap_or(0);
    let flux = values(layout.flux)?;
    let wave = wavelengths(table, layout, shared_aa, rows, flux.len())?;
    let ivar = match (layout.ivar, layout.sigma) {
        (Some(column), _) => Some(values(column)?),
        (None, Some(column)) => Some(ivar_of_sigma(values(column)?)),
        (None, None) => None,
    };
    // An array that is missing in this row says nothing of any pixel.
    let ivar = ivar.filter(|v| !v.is_empty());
    let masked = layout.mask.and_then(|(column, mask)| bad_pixels(table, layout, rows, column, mask));
    let mut masked = masked.filter(|m| m.len() == flux.len());

    let mut meta = meta(table, layout, &wave, id, stem, first);
    if meta.survey == Survey::Sdss {
        // SDSS's and_mask masks nothing, see `sdss`.
        let flagged = masked.take().map_or(0, |m| m.iter().filter(|bad| **bad).count());
        if flagged > 0 {
            meta.notes.push(format!("{flagged} pixels have a mask bit; they are kept, as inverse variances tell"));
        }
    }
    let place = match layout.arrays {
        true => format!("{} of {}", table.row_name(first), table.place),
        false => table.place.clone(),
    };
    Spectrum::new(meta, wave.aa, flux, ivar, masked).map_err(ReadError::samples(place))
}

/// The wavelengths of a spectrum.
struct Wavelengths {
    aa: Vec<f64>,
    /// How unit and scale were told from the values.
    note: Option<String>,
    /// True when nothing says what they are.
    is_assumed: bool,
}

/// The wavelengths of `pixels` fluxes: the row's own, those that all rows share, or else the grid of Gaia's archive.
fn wavelengths(
    table: &Table,
    layout: &Layout,
    shared_aa: Option<&[f64]>,
    rows: &[usize],
    pixels: usize,
) -> Result<Wavelengths, ReadError> {
    let bad = |problem: String| ReadError::Layout { place: table.place.clone(), problem };
    if let Some((column, axis)) = layout.wave {
        let heading = &table.columns[column];
        if axis::stated_unit(&heading.unit) == Stated::Other {
            let (unit, name) = (shown(&heading.unit), shown(&heading.name));
            return Err(bad(format!("“{unit}”, the unit of {name}, is not one of wavelength; give Å, nm, µm or m")));
        }
        let (aa, note) = axis.to_aa(values(table, layout, rows, column)?);
        return Ok(Wavelengths { aa, note, is_assumed: false });
    }
    if let Some(shared) = shared_aa {
        if shared.len() != pixels {
            return Err(bad(format!("a spectrum has {pixels} fluxes where {} wavelengths are given", shared.len())));
        }
        return Ok(Wavelengths { aa: shared.to_vec(), note: None, is_assumed: false });
    }
    let aa = gaia_xp::grid_aa();
    if aa.len() != pixels {
        let is_gaia = gaia_xp::is_named(table);
        let cure = if is_gaia { gaia_xp::cure(pixels) } else { "add a column of wavelengths, with its unit" };
        return Err(bad(format!("a spectrum has {pixels} fluxes and no wavelengths; {cure}")));
    }
    Ok(Wavelengths { aa, note: None, is_assumed: true })
}

/// What is known of a spectrum, of Gaia's, SPARCL's or no known survey.
fn meta(table: &Table, layout: &Layout, wave: &Wavelengths, id: Option<&str>, stem: &str, row: usize) -> Meta {
    let unit = table.columns[layout.flux].unit.as_str();
    let id = id.or_else(|| gaia_xp::source_id(&table.params)).unwrap_or(stem);
    let is_gaia = gaia_xp::is_named(table);
    let mut meta = if gaia_xp::is_xp(is_gaia, &wave.aa) || layout.wave.is_none() && is_gaia {
        gaia_xp::meta(id, unit, wave.is_assumed)
    } else if sparcl::identify(table) {
        let mut meta = sparcl::meta(table, row, stem);
        meta.resolving_power = sparcl::resolving_power(table, row, meta.survey, &wave.aa);
        meta
    } else {
        let axis = layout.wave.map(|w| w.1).unwrap_or_default();
        // A column of log10 λ is the custom of SDSS, which is in vacuum.
        let is_air = axis.log10 != Some(true) && table.kind == table::FITS && !is_gaia;
        let usual = if is_air { Medium::Air } else { Medium::Vacuum };
        let cells = if layout.arrays { "arrays" } else { "one row a pixel" };
        let mut meta = facts::meta(&table.params, id, &format!("{}, {cells}", table.kind), (axis.medium, usual));
        if !unit.is_empty() {
            meta.notes.push(format!("flux in {}", shown(unit)));
        }
        meta
    };
    facts::set_position(&mut meta, table.number(row, &["ra"]), table.number(row, &["dec"]));
    meta.notes.extend(wave.note.clone());
    meta.wave_is_f32 = layout.wave.is_some_and(|(c, axis)| table.columns[c].is_f32 && axis.log10 != Some(true));
    meta
}

/// Pixels that the mask column calls bad: those that are neither 0 nor false. `None` when it cannot be read.
fn bad_pixels(table: &Table, layout: &Layout, rows: &[usize], column: usize, mask: Mask) -> Option<Vec<bool>> {
    if layout.arrays {
        return mask.bad_pixels(table.array(*rows.first()?, column).ok()?.iter().map(|m| *m == 0.0));
    }
    let is_zero = |row: &usize| {
        table.text(*row, column).is_none_or(|m| ["0", "0.0", "false", "f"].contains(&m.to_lowercase().as_str()))
    };
    mask.bad_pixels(rows.iter().map(is_zero))
}
