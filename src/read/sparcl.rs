//! Spectra exported from SPARCL, the `SPectra` Analysis and Retrievable Catalog Lab.
//!
//! Each row holds a spectrum of DESI, SDSS or BOSS as arrays. All wavelengths are in vacuum Å and barycentric.

use super::metadata::set_position;
use super::table::Table;
use crate::spectrum::{FWHM_OVER_SIGMA, Frame, Medium, Meta, Source, Sourced, Survey};

/// Wavelength at which the resolving power is given, Å.
const RESOLUTION_AT_AA: f64 = 4800.0;

/// True for a table with SPARCL's own ids, or with the data release and the id of each spectrum.
pub(crate) fn identify(table: &Table) -> bool {
    table.find(&["sparcl_id"]).is_some()
        || table.find(&["data_release", "_dr"]).is_some() && table.find(&["specid", "targetid"]).is_some()
}

/// The survey of a row.
pub(crate) fn survey(table: &Table, row: usize) -> Survey {
    let release = table.find(&["data_release", "_dr"]).and_then(|column| table.text(row, column));
    match release.unwrap_or_default().to_uppercase() {
        r if r.contains("DESI") => Survey::Desi,
        r if r.contains("SDSS") || r.contains("BOSS") => Survey::Sdss,
        _ if table.find(&["targetid"]).and_then(|column| table.text(row, column)).is_some() => Survey::Desi,
        _ => Survey::Other,
    }
}

/// Metadata of the spectrum in a row. `stem` is the id of a spectrum without its own id.
pub(crate) fn meta(table: &Table, row: usize, stem: &str) -> Meta {
    let text = |names: &[&str]| table.text(row, table.find(names)?);
    let survey = survey(table, row);
    let plate_mjd_fiber = || {
        let integer = |names: &[&str]| text(names)?.parse::<u32>().ok().filter(|n| *n > 0);
        let (plate, mjd, fiber) = (integer(&["plate"])?, integer(&["mjd"])?, integer(&["fiberid", "fiber"])?);
        Some(format!("{plate:04}-{mjd}-{fiber:04}"))
    };
    let survey_id = match survey {
        Survey::Desi => text(&["targetid"]),
        Survey::Sdss => plate_mjd_fiber(),
        _ => None,
    };
    let id = survey_id.or_else(|| text(&["specid", "targetid"])).or_else(|| text(&["sparcl_id"]));
    let mut meta = Meta::unknown(id.unwrap_or_else(|| stem.to_string()), "SPARCL export");
    meta.survey = survey;
    let source = if survey == Survey::Other { Source::Assumed } else { Source::Survey };
    meta.medium = Sourced::new(Medium::Vacuum, source);
    meta.frame = Sourced::new(Frame::Barycentric, source);
    meta.class = text(&["spectype"]);
    meta.subclass = text(&["subtype"]);
    meta.redshift = table.number(row, &["redshift"]);
    set_position(&mut meta, table.number(row, &["ra"]), table.number(row, &["dec"]));
    meta
}

/// Resolving power λ/FWHM from the column `wave_sigma` (σ of the line profile, Å), else the documented value of the
/// survey.
pub(crate) fn resolving_power(table: &Table, row: usize, survey: Survey, wave_aa: &[f64]) -> Option<Sourced<f64>> {
    let sigma_aa = table.find(&["wave_sigma"]).and_then(|column| table.array(row, column).ok());
    let pixel = wave_aa.partition_point(|w| *w < RESOLUTION_AT_AA);
    let measured = sigma_aa
        .filter(|s| s.len() == wave_aa.len())
        .and_then(|s| s.get(pixel).map(|s| RESOLUTION_AT_AA / (FWHM_OVER_SIGMA * s)))
        .filter(|r| (500.0..20_000.0).contains(r))
        .map(|r| Sourced::new(r, Source::File));
    measured.or_else(|| survey.resolving_power().map(|r| Sourced::new(r, Source::Survey)))
}
