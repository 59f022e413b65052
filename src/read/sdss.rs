//! SDSS and BOSS single-object spectra (`spec-PLATE-MJD-FIBER.fits`, DR8 and later; `spec-full-FIELD-MJD-CATALOGID.fits`
//! of SDSS-V).
//!
//! HDU 1 `COADD`: one row per pixel with `flux`, `loglam` (log10 of vacuum Å), `ivar`, `and_mask`, `wdisp`. HDU 2
//! `SPECOBJ` or `SPALL`: one row of pipeline results. The reader ignores later HDUs (line fits, 10–30 single
//! exposures). Data model: data.sdss.org/datamodel, `spec`. By the survey's documentation, wavelengths are heliocentric
//! and in vacuum.
//!
//! `and_mask` does not mask pixels. The pipeline itself sets ivar to 0 for the serious bits (SDSS DR10, SPPIXMASK). The
//! bits that remain in real files are of two kinds. BRIGHTSKY, BADSKYCHI and NEARBADPIXEL mark noisier pixels, whose
//! ivar is already lower. Other bits apply to the whole fibre, such as WHOPPER (a bright star nearby on the slit),
//! which is set in 1734 of 3829 pixels of a good spectrum.

use super::axis::require;
use super::error::ReadError;
use super::fits::{Fits, Header, Table};
use super::metadata::set_stated;
use super::table::Params;
use crate::spectrum::{FWHM_OVER_SIGMA, Frame, Medium, Meta, Source, Sourced, Spectrum, Survey};

/// Pixel width of the pipeline's grid, in log10 of the wavelength.
const LOG10_STEP: f64 = 1e-4;

/// True for a file with the columns of the co-added spectrum in HDU 1, and with the telescope keyword, the HDU names or
/// the mask of the survey.
pub(crate) fn identify(fits: &Fits) -> bool {
    let Some(hdu) = fits.hdus.get(1) else { return false };
    let has_survey_names = fits.find_by_name("SPECOBJ").or_else(|| fits.find_by_name("SPALL")).is_some();
    match hdu.table() {
        Some(Ok(table)) => {
            let has_columns = ["loglam", "flux", "ivar"].iter().all(|c| table.column(c).is_some());
            let is_coadd = hdu.name() == "COADD" && table.column("and_mask").is_some();
            has_columns && table.rows > 1 && (is_coadd || has_survey_names || is_sdss(fits.primary()))
        }
        Some(Err(_)) => is_sdss(fits.primary()) && hdu.name() == "COADD",
        None => false,
    }
}

/// True for the image files of DR7 and before (`spSpec-*.fit`), which have another layout.
pub(crate) fn is_legacy(fits: &Fits) -> bool {
    let primary = fits.primary();
    is_sdss(primary) && primary.integer("NAXIS") == Some(2) && primary.has("COEFF0")
}

fn is_sdss(primary: &Header) -> bool {
    primary.text("TELESCOP").is_some_and(|t| t.starts_with("SDSS"))
}

/// Reads the co-added spectrum. `stem` is the id when plate, mjd and fiber are unknown.
pub(crate) fn read(fits: &Fits, stem: &str) -> Result<Spectrum, ReadError> {
    let place = "the COADD table in HDU 1";
    let table = require(fits.hdus.get(1).and_then(|h| h.table()), place, "it is missing; download the file again")??;
    let column = |name: &str| {
        let missing = format!("column {name} is missing; download the file again");
        table.numbers(require(table.column(name), place, &missing)?)
    };
    let wave_aa: Vec<f64> = column("loglam")?.into_iter().map(|log10| 10f64.powf(log10)).collect();
    let (flux, ivar) = (column("flux")?, column("ivar")?);

    let pipeline_results = fits.hdus.get(2).and_then(|h| h.table()).and_then(Result::ok).filter(|t| t.rows > 0);
    let mut meta = meta(fits.primary(), pipeline_results.as_ref(), stem);
    let width = column("wdisp").unwrap_or_default();
    let measured = measured_resolution(&wave_aa, &width).map(|r| Sourced::new(r, Source::File));
    let documented = || Survey::Sdss.resolving_power().map(|r| Sourced::new(r, Source::Survey));
    meta.resolving_power = meta.resolving_power.or(measured).or_else(documented);
    let n_flagged =
        column("and_mask").map_or(0, |m| m.iter().zip(&ivar).filter(|(m, v)| **m != 0.0 && **v > 0.0).count());
    if n_flagged > 0 {
        meta.notes
            .push(format!("{n_flagged} pixels with an and_mask bit have a positive inverse variance; they are used"));
    }
    Spectrum::new(meta, wave_aa, flux, Some(ivar), None).map_err(ReadError::samples(place))
}

/// λ/FWHM in 4500–5100 Å from `wdisp`, the σ of the line profile in pixels.
fn measured_resolution(wave_aa: &[f64], sigma_pixels: &[f64]) -> Option<f64> {
    let near: Vec<f64> = wave_aa
        .iter()
        .zip(sigma_pixels)
        .filter(|(w, s)| (4500.0..5100.0).contains(*w) && **s > 0.0)
        .map(|(_, s)| *s)
        .collect();
    let mean_sigma = near.iter().sum::<f64>() / near.len() as f64;
    let resolution = 1.0 / (FWHM_OVER_SIGMA * mean_sigma * LOG10_STEP * std::f64::consts::LN_10);
    // Also false for NaN, the result of an empty range.
    (500.0..10_000.0).contains(&resolution).then(|| resolution.round())
}

fn meta(primary: &Header, pipeline_results: Option<&Table>, stem: &str) -> Meta {
    let number = |name: &str| pipeline_results.and_then(|t| t.number(0, name));
    let text = |name: &str| pipeline_results.and_then(|t| t.text(0, name));
    let integer = |name: &str, key: &str| {
        number(name).or_else(|| primary.number(key)).filter(|v| (0.0..1e7).contains(v)).map(|v| v as u64)
    };
    let id = match (integer("PLATE", "PLATEID"), integer("MJD", "MJD"), integer("FIBERID", "FIBERID")) {
        (Some(plate), Some(mjd), Some(fiber)) => format!("{plate:04}-{mjd}-{fiber:04}"),
        (_, Some(mjd), _) => {
            // SDSS-V has fields and catalogue ids in place of plates and fibres.
            let field = integer("FIELD", "FIELDID");
            let catalog_id = pipeline_results.and_then(|t| t.integer(0, "CATALOGID")).filter(|id| *id > 0);
            let id = field.zip(catalog_id).map(|(field, catalog_id)| format!("{field:06}-{mjd}-{catalog_id}"));
            id.unwrap_or_else(|| stem.to_string())
        }
        _ => stem.to_string(),
    };
    let mut meta = Meta::unknown(id, "SDSS/BOSS spec file");
    meta.survey = Survey::Sdss;
    meta.medium = Sourced::new(Medium::Vacuum, Source::Survey);
    let frame_source = if primary.has("HELIO_RV") { Source::File } else { Source::Survey };
    meta.frame = Sourced::new(Frame::Barycentric, frame_source);
    set_stated(&mut meta, &Params::of_header(primary));
    meta.class = text("CLASS");
    meta.subclass = text("SUBCLASS");
    meta.redshift = number("Z");
    meta.ra_deg = number("PLUG_RA").or_else(|| number("FIBER_RA")).filter(|v| (0.0..=360.0).contains(v));
    meta.dec_deg = number("PLUG_DEC").or_else(|| number("FIBER_DEC")).filter(|v| (-90.0..=90.0).contains(v));
    meta
}
