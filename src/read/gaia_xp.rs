//! Gaia XP (BP and RP) spectra, sampled in wavelength: the archive's products and the output of `GaiaXPy`'s `calibrate`.
//!
//! The archive's `xp_sampled_mean_spectrum` has 343 samples at 336, 338 … 1020 nm in W m⁻² nm⁻¹ (Gaia DR3
//! documentation, §20.12.4). It has one row per sample, or one row of arrays per star. `GaiaXPy` writes arrays, with the
//! sampling in the FITS keyword, the `VOTable` PARAM or the ECSV metadata `sampling`. For CSV, `GaiaXPy` writes the
//! sampling into a second file. Its default sampling is the grid of the archive.

use super::error::{ReadError, truncate};
use super::table::{Params, Table, text_cells};
use crate::spectrum::{Medium, Meta, Source, Sourced, Survey};

/// Suffix of `GaiaXPy`'s file of wavelengths.
const SAMPLING_SUFFIX: &str = "_sampling";

/// Number of samples of the archive's grid.
pub(crate) const ARCHIVE_SAMPLES: usize = 343;

/// Minimum sample width of an XP spectrum, Å (Radial Velocity Spectrometer, RVS: 0.1 Å).
const MIN_SAMPLE_WIDTH_AA: f64 = 10.0;

/// Minimum wavelength span of an XP spectrum, Å (RVS: 240 Å).
const MIN_SPAN_AA: f64 = 3000.0;

/// The archive's grid in Å.
pub(crate) fn grid_aa() -> Vec<f64> {
    (0..ARCHIVE_SAMPLES).map(|i| 3360.0 + 20.0 * i as f64).collect()
}

/// True for the archive's grid, within the rounding of a CSV file.
pub(crate) fn is_grid(wave_aa: &[f64]) -> bool {
    wave_aa.len() == ARCHIVE_SAMPLES && wave_aa.iter().zip(grid_aa()).all(|(w, g)| (w - g).abs() < 0.5)
}

/// True if a table names Gaia sources, in a column or in its metadata. Other telescopes number their sources too (JWST).
pub(crate) fn has_gaia_sources(table: &Table) -> bool {
    if table.params.text("TELESCOP").is_some_and(|telescope| !telescope.to_lowercase().contains("gaia")) {
        return false;
    }
    table.find(&["source_id"]).is_some()
        || source_id(&table.params).is_some()
        || table.params.text("Publisher").or(table.params.text("PUBLISHE")).is_some_and(|p| p.contains("Gaia"))
}

/// The source id in the metadata of a table.
pub(crate) fn source_id(params: &Params) -> Option<&str> {
    params.text("source_id").or_else(|| params.text("SOURCEID"))
}

/// True for the sampling of an XP spectrum. `is_gaia`: the table names Gaia sources.
pub(crate) fn is_xp(is_gaia: bool, wave_aa: &[f64]) -> bool {
    let span = wave_aa.first().zip(wave_aa.last()).map_or(0.0, |(a, b)| (b - a).abs());
    is_grid(wave_aa) || (is_gaia && span >= MIN_SPAN_AA && span >= MIN_SAMPLE_WIDTH_AA * (wave_aa.len() as f64 - 1.0))
}

/// `GaiaXPy`'s `sampling`, in Å.
pub(crate) fn sampling_aa(params: &Params) -> Option<Vec<f64>> {
    let nm = text_cells::array(params.text("sampling")?).ok()?;
    Some(nm.into_iter().map(|w| w * 10.0).collect())
}

/// The name of `GaiaXPy`'s file of wavelengths for a file of spectra: `x_sampling.csv` for `x.csv`. `None` for other
/// names.
pub fn sampling_name(spectra: &str) -> Option<String> {
    let (stem, ending) = spectra.split_at_checked(spectra.len().checked_sub(4)?)?;
    let is_spectra = ending.eq_ignore_ascii_case(".csv") && !stem.is_empty() && !stem.ends_with(SAMPLING_SUFFIX);
    is_spectra.then(|| format!("{stem}{SAMPLING_SUFFIX}{ending}"))
}

/// The name of the file of spectra for a file of wavelengths; the inverse of [`sampling_name`].
pub fn spectra_name(sampling: &str) -> Option<String> {
    let (stem, ending) = sampling.split_at_checked(sampling.len().checked_sub(4)?)?;
    let stem = stem.strip_suffix(SAMPLING_SUFFIX).filter(|_| ending.eq_ignore_ascii_case(".csv"))?;
    Some(format!("{stem}{ending}"))
}

/// True for `GaiaXPy`'s table of wavelengths: one row with the column `pos`, in nm.
pub(crate) fn is_sampling(table: &Table) -> bool {
    table.columns.len() == 1 && table.rows == 1 && table.find(&["pos"]).is_some()
}

/// Advice for the user about a Gaia spectrum with this number of samples and no wavelengths.
pub(crate) fn missing_wavelengths_advice(samples: usize) -> &'static str {
    match samples {
        2401 => "2401 samples are an RVS spectrum (846–870 nm), which no model covers; give a sampled XP spectrum",
        _ => "add GaiaXPy's sampling file, or use GaiaXPy's FITS, ECSV or XML output, which contains the sampling",
    }
}

/// Metadata of an XP spectrum. `unit`: unit of the flux in the file; empty if unknown.
pub(crate) fn meta(id: &str, unit: &str, grid_is_assumed: bool) -> Meta {
    let mut meta = Meta::unknown(id, "Gaia XP spectrum, sampled");
    meta.survey = Survey::GaiaXp;
    // Gaia measures above the air: all its wavelengths are vacuum wavelengths.
    meta.medium = Sourced::new(Medium::Vacuum, Source::Survey);
    meta.notes.push(match unit {
        "" => "the file does not name the unit of the flux; W m⁻² nm⁻¹ is assumed, as in the archive".into(),
        unit => format!("flux in {}", truncate(unit)),
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

/// Rejects Gaia XP products that are not sampled spectra.
pub(crate) fn reject_unsupported(table: &Table) -> Result<(), ReadError> {
    let has = |names: &[&str]| table.find(names).is_some();
    let (format, advice) = if has(&["xp"]) && has(&["source_id"]) && has(&["flux"]) {
        (
            "a Gaia XP spectrum in pseudo-wavelengths (GaiaXPy's convert)",
            "use GaiaXPy's calibrate(), whose output has wavelengths in nm",
        )
    } else if is_sampling(table) {
        (
            "a GaiaXPy sampling file without its file of spectra",
            "open it together with the file of spectra (x.csv and x_sampling.csv in one folder or .zip)",
        )
    } else {
        return Ok(());
    };
    Err(ReadError::Unsupported { format, advice })
}
