//! Spectra exported from SPARCL, the SPectra Analysis and Retrievable Catalog Lab: one row of arrays a spectrum, of DESI,
//! SDSS or BOSS, all in vacuum Å and barycentric.

use super::facts::set_position;
use super::table::Table;
use crate::spectrum::{Frame, Known, Medium, Meta, Source, Survey};

/// FWHM of a Gaussian in units of its σ.
const FWHM_OF_SIGMA: f64 = 2.354_820_045;

/// Where the resolving power is stated, Å.
const RESOLUTION_AT_AA: f64 = 4800.0;

/// True for a table that says from which data release its spectra are, or has SPARCL's own ids.
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

/// What is known of a row's spectrum. `stem` is the id of one that has none.
pub(crate) fn meta(table: &Table, row: usize, stem: &str) -> Meta {
    let text = |names: &[&str]| table.text(row, table.find(names)?);
    let survey = survey(table, row);
    let plate = || {
        let part = |names: &[&str]| text(names)?.parse::<u32>().ok().filter(|n| *n > 0);
        let (plate, mjd, fiber) = (part(&["plate"])?, part(&["mjd"])?, part(&["fiberid", "fiber"])?);
        Some(format!("{plate:04}-{mjd}-{fiber:04}"))
    };
    let of_survey = match survey {
        Survey::Desi => text(&["targetid"]),
        Survey::Sdss => plate(),
        _ => None,
    };
    let id = of_survey.or_else(|| text(&["specid", "targetid"])).or_else(|| text(&["sparcl_id"]));
    let mut meta = Meta::unknown(id.unwrap_or_else(|| stem.to_string()), "SPARCL export");
    meta.survey = survey;
    let source = if survey == Survey::Other { Source::Assumed } else { Source::Survey };
    meta.medium = Known::new(Medium::Vacuum, source);
    meta.frame = Known::new(Frame::Barycentric, source);
    meta.class = text(&["spectype"]);
    meta.subclass = text(&["subtype"]);
    meta.redshift = table.number(row, &["redshift"]);
    set_position(&mut meta, table.number(row, &["ra"]), table.number(row, &["dec"]));
    meta
}

/// λ/FWHM from the column `wave_sigma`, the σ of the line profile in Å, else what the survey documents.
pub(crate) fn resolving_power(table: &Table, row: usize, survey: Survey, wave_aa: &[f64]) -> Option<Known<f64>> {
    let sigma_aa = table.find(&["wave_sigma"]).and_then(|column| table.array(row, column).ok());
    let at = wave_aa.partition_point(|w| *w < RESOLUTION_AT_AA);
    let measured = sigma_aa
        .filter(|s| s.len() == wave_aa.len())
        .and_then(|s| s.get(at).map(|s| RESOLUTION_AT_AA / (FWHM_OF_SIGMA * s)))
        .filter(|r| (500.0..20_000.0).contains(r))
        .map(|r| Known::new(r, Source::File));
    measured.or_else(|| survey.resolving_power().map(|r| Known::new(r, Source::Survey)))
}
