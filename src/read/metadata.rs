//! Metadata of a spectrum from header keywords or table metadata of any format: medium, frame, resolving power,
//! position.
//!
//! Sources: FITS standard 4.0 §8 (SPECSYS), ESO Science Data Products Standard (`SPEC_RES`), and keywords found in real
//! files.

use super::medium::{documented, frame_in, medium_in, set_frame, set_medium};
use super::table::{Params, text_cells};
use crate::spectrum::{Medium, Meta, Source, Sourced};

/// Wavelength to which the resolving power refers, Å.
const REFERENCE_AA: f64 = 4800.0;

/// Metadata of a spectrum of no known survey. `medium`: the medium that the axis states, if any, and the default
/// medium.
pub(crate) fn meta(params: &Params, id: &str, format: &str, medium: (Option<Medium>, Medium)) -> Meta {
    let mut meta = Meta::unknown(id, format);
    let (documented_medium, documented_frame) = documented(params);
    match (medium.0.or_else(|| medium_in(params)), documented_medium) {
        (None, Some(documented)) => meta.medium = Sourced::new(documented, Source::Survey),
        (stated, _) => set_medium(&mut meta, stated, medium.1),
    }
    match (frame_in(params), documented_frame) {
        (None, Some(documented)) => meta.frame = Sourced::new(documented, Source::Survey),
        (stated, _) => set_frame(&mut meta, stated),
    }
    meta.resolving_power = resolution_in(params);
    set_position(&mut meta, params.number(&["RA"]), params.number(&["DEC"]));
    if let Some(position) =
        params.text("spatialLocation").and_then(|p| text_cells::array(p).ok()).filter(|p| p.len() == 2)
    {
        set_position(&mut meta, Some(position[0]), Some(position[1]));
    }
    meta
}

/// Replaces what the survey documents by what the file states: medium, frame and resolving power.
pub(crate) fn set_stated(meta: &mut Meta, params: &Params) {
    if let Some(medium) = medium_in(params) {
        meta.medium = Sourced::new(medium, Source::File);
    }
    if let Some(frame) = frame_in(params) {
        meta.frame = Sourced::new(frame, Source::File);
    }
    if let Some(resolving_power) = resolution_in(params).filter(|r| r.source == Source::File) {
        meta.resolving_power = Some(resolving_power);
    }
}

/// Sets right ascension and declination, degrees, if each is in its valid range and not yet set.
pub(crate) fn set_position(meta: &mut Meta, ra_deg: Option<f64>, dec_deg: Option<f64>) {
    meta.ra_deg = meta.ra_deg.or(ra_deg.filter(|v| (0.0..=360.0).contains(v)));
    meta.dec_deg = meta.dec_deg.or(dec_deg.filter(|v| (-90.0..=90.0).contains(v)));
}

/// Resolving power λ/FWHM from the usual keywords.
///
/// A FWHM in Å is converted at [`REFERENCE_AA`]. The result counts as an estimate, because in many headers FWHM is the
/// seeing.
fn resolution_in(params: &Params) -> Option<Sourced<f64>> {
    let keys = ["SPEC_RES", "SPECRES", "RESOLUTI", "RESOLUTION", "RESOLVE", "RESPOWER", "R"];
    let stated = params.number(&keys).filter(|r| (100.0..1e6).contains(r));
    let fwhm_aa = params.number(&["FWHM"]).filter(|f| (0.01..20.0).contains(f));
    let resolving_power = stated.map(|r| Sourced::new(r, Source::File));
    resolving_power.or(fwhm_aa.map(|f| Sourced::new(REFERENCE_AA / f, Source::Estimated)))
}
