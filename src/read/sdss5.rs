//! SDSS-V spectra of Milky Way Mapper (`mwmStar-*.fits`, `mwmVisit-*.fits`): one row for each visit or star.
//!
//! Four tables, one for each spectrograph and observatory (EXTNAME `BOSS/APO` … `APOGEE/LCO`), most of them empty. The
//! wavelengths are a column, or the keywords CRVAL and CDELT of the table, log10 of vacuum Å. Data model:
//! data.sdss.org/datamodel, `mwmStar` and `mwmVisit`.

use super::medium::{frame_in, set_frame};
use super::table::Table;
use crate::spectrum::{Medium, Meta, Source, Sourced, Survey};

/// Resolving power of APOGEE (Majewski et al. 2017).
const APOGEE_RESOLVING_POWER: f64 = 22_500.0;

/// True for a table of the pipeline Astra, which writes its version and SDSS's own ids.
pub(crate) fn identify(table: &Table) -> bool {
    table.params.text("V_ASTRA").is_some() && table.find(&["spectrum_pk", "sdss_id"]).is_some()
}

/// Metadata of the spectrum in a row. `stem` is the id of a spectrum without its own id.
pub(crate) fn meta(table: &Table, row: usize, stem: &str) -> Meta {
    let text = |names: &[&str]| table.text(row, table.find(names)?);
    let is_apogee = table.params.text("INSTRMNT").is_some_and(|i| i.eq_ignore_ascii_case("APOGEE"));
    let positive = |id: &String| id.parse::<i64>().is_ok_and(|id| id > 0);
    let id = text(&["sdss_id"]).filter(positive).or_else(|| table.params.text("SDSS_ID").map(str::to_string));
    let mut meta = Meta::unknown(id.unwrap_or_else(|| stem.to_string()), "SDSS-V table (Milky Way Mapper)");
    (meta.survey, meta.resolving_power) = match is_apogee {
        true => (Survey::Other, Some(Sourced::new(APOGEE_RESOLVING_POWER, Source::Survey))),
        false => (Survey::Sdss, Survey::Sdss.resolving_power().map(|r| Sourced::new(r, Source::Survey))),
    };
    meta.medium = Sourced::new(Medium::Vacuum, Source::Survey);
    set_frame(&mut meta, frame_in(&table.params));
    if let Some(mjd) = text(&["mjd"]) {
        meta.notes.push(format!("visit of MJD {mjd}"));
    }
    meta
}
