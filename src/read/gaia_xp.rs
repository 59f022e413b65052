//! Gaia XP (BP and RP) spectra, sampled in wavelength: the archive's products and the output of GaiaXPy's `calibrate`.
//!
//! The archive's `xp_sampled_mean_spectrum` has 343 samples at 336, 338 … 1020 nm in W m⁻² nm⁻¹ (Gaia DR3 documentation,
//! §20.12.4), one row a sample or one row of arrays a star. GaiaXPy writes arrays, with the sampling in the FITS keyword,
//! the VOTable PARAM or the ECSV metadata `sampling`; beside CSV in a second file, whose default is the archive's.

use super::axis::set_medium;
use super::error::{ReadError, shown};
use super::table::{Params, Table, text_cells};
use crate::spectrum::{Medium, Meta, Survey};

/// What GaiaXPy adds to the name of the file of wavelengths.
const SAMPLING: &str = "_sampling";

/// Number of samples of the archive's grid.
const SAMPLES: usize = 343;

/// Spectra of a Gaia source with narrower samples than this are not XP (the RVS has 0.1 Å), Å.
const FINEST_AA: f64 = 10.0;

/// Spectra of a Gaia source that span less than this are not XP (the RVS spans 240 Å), Å.
const NARROWEST_AA: f64 = 3000.0;

/// The archive's grid in Å.
pub(crate) fn grid_aa() -> Vec<f64> {
    (0..SAMPLES).map(|i| 3360.0 + 20.0 * i as f64).collect()
}

/// True for the archive's grid, to the digits that a CSV file keeps.
pub(crate) fn is_grid(wave_aa: &[f64]) -> bool {
    wave_aa.len() == SAMPLES && wave_aa.iter().zip(grid_aa()).all(|(w, g)| (w - g).abs() < 0.5)
}

/// True when a table names Gaia sources, in a column or beside it.
pub(crate) fn is_named(table: &Table) -> bool {
    table.find(&["source_id"]).is_some()
        || source_id(&table.params).is_some()
        || table.params.text("Publisher").or(table.params.text("PUBLISHE")).is_some_and(|p| p.contains("Gaia"))
}

/// The id that stands beside the columns.
pub(crate) fn source_id(params: &Params) -> Option<&str> {
    params.text("source_id").or_else(|| params.text("SOURCEID"))
}

/// True for an XP spectrum, by its samples.
pub(crate) fn is_xp(is_named: bool, wave_aa: &[f64]) -> bool {
    let span = wave_aa.first().zip(wave_aa.last()).map_or(0.0, |(a, b)| (b - a).abs());
    is_grid(wave_aa) || is_named && span >= NARROWEST_AA && span >= FINEST_AA * (wave_aa.len() as f64 - 1.0)
}

/// GaiaXPy's `sampling`, in Å.
pub(crate) fn sampling_aa(params: &Params) -> Option<Vec<f64>> {
    let nm = text_cells::array(params.text("sampling")?).ok()?;
    Some(nm.into_iter().map(|w| w * 10.0).collect())
}

/// The name that GaiaXPy gives to the file of wavelengths that it writes beside a file of spectra: `x_sampling.csv` beside
/// `x.csv`. `None` for names of other files.
pub fn sampling_name(spectra: &str) -> Option<String> {
    let (stem, ending) = spectra.split_at_checked(spectra.len().checked_sub(4)?)?;
    let is_spectra = ending.eq_ignore_ascii_case(".csv") && !stem.is_empty() && !stem.ends_with(SAMPLING);
    is_spectra.then(|| format!("{stem}{SAMPLING}{ending}"))
}

/// The name of the file of spectra beside which a file of this name holds the wavelengths; the reverse of [`sampling_name`].
pub fn spectra_name(sampling: &str) -> Option<String> {
    let (stem, ending) = sampling.split_at_checked(sampling.len().checked_sub(4)?)?;
    let stem = stem.strip_suffix(SAMPLING).filter(|_| ending.eq_ignore_ascii_case(".csv"))?;
    Some(format!("{stem}{ending}"))
}

/// True for the table of wavelengths that GaiaXPy writes beside its spectra: one row of the column `pos`, in nm.
pub(crate) fn is_sampling(table: &Table) -> bool {
    table.columns.len() == 1 && table.rows == 1 && table.find(&["pos"]).is_some()
}

/// What to do about a Gaia spectrum of so many samples without wavelengths.
pub(crate) fn cure(samples: usize) -> &'static str {
    match samples {
        2401 => "the RVS has so many, 846–870 nm, which no model here covers: give an XP spectrum, sampled",
        _ => "give GaiaXPy's file of the sampling together with it, or its FITS, ECSV or XML, which carry it",
    }
}

/// What is known of an XP spectrum. `unit`: that of its flux in the file.
pub(crate) fn meta(id: &str, unit: &str, grid_is_assumed: bool) -> Meta {
    let mut meta = Meta::unknown(id, "Gaia XP spectrum, sampled");
    meta.survey = Survey::GaiaXp;
    set_medium(&mut meta, None, Medium::Vacuum);
    meta.notes.push(match unit {
        "" => "the file does not name the unit of the flux; W m⁻² nm⁻¹ is assumed, as in the archive".into(),
        unit => format!("flux in {}", shown(unit)),
    });
    if grid_is_assumed {
        meta.notes
            .push("the file has no wavelengths; the archive's grid, 336–1020 nm in steps of 2 nm, is assumed".into());
    }
    if !id.bytes().all(|b| b.is_ascii_digit()) && id.parse::<f64>().is_ok_and(|v| v > 1e9) {
        meta.notes.push(format!("the file gives source_id as the rounded number {id}; its last digits are lost"));
    }
    meta
}

/// Refuses what belongs to XP spectra and is not a sampled one.
pub(crate) fn refuse(table: &Table) -> Result<(), ReadError> {
    let has = |names: &[&str]| table.find(names).is_some();
    let (what, instead) = if has(&["bp_coefficients", "rp_coefficients"]) {
        (
            "a Gaia XP spectrum as coefficients (XP_CONTINUOUS)",
            "download it sampled (the archive's DataLink product XP_SAMPLED), or give the file that GaiaXPy's calibrate() makes of it",
        )
    } else if has(&["xp"]) && has(&["source_id"]) && has(&["flux"]) {
        (
            "a Gaia XP spectrum in pseudo-wavelengths (GaiaXPy's convert)",
            "give the file that GaiaXPy's calibrate() makes, which is in nanometres",
        )
    } else if is_sampling(table) {
        (
            "the sampling that GaiaXPy writes beside its spectra",
            "give it together with the file of spectra (x.csv beside x_sampling.csv, in one folder or .zip)",
        )
    } else {
        return Ok(());
    };
    Err(ReadError::Foreign { what, instead })
}
