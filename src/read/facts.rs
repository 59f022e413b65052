//! What headers and metadata say of a spectrum, whatever the format: medium, frame, resolving power, position.
//!
//! Sources: FITS standard 4.0 §8 (SPECSYS), ESO Science Data Products Standard (SPEC_RES), and the keywords that spectra in
//! the wild carry.

use super::axis::{set_frame, set_medium};
use super::table::{Params, text_cells};
use crate::spectrum::{Frame, Known, Medium, Meta, Source};

/// Wavelength near which a resolving power is quoted, Å.
const REFERENCE_AA: f64 = 4800.0;

/// Facts of a spectrum of no known survey. `medium`: what the axis itself says, if anything, and what is usual.
pub(crate) fn meta(params: &Params, id: &str, format: &str, medium: (Option<Medium>, Medium)) -> Meta {
    let mut meta = Meta::unknown(id, format);
    set_medium(&mut meta, medium.0.or_else(|| medium_in(params)), medium.1);
    set_frame(&mut meta, frame_in(params));
    meta.resolving_power = resolution_in(params);
    set_position(&mut meta, params.number(&["RA"]), params.number(&["DEC"]));
    if let Some(place) = params.text("spatialLocation").and_then(|p| text_cells::array(p).ok()).filter(|p| p.len() == 2)
    {
        set_position(&mut meta, Some(place[0]), Some(place[1]));
    }
    meta
}

/// Sets right ascension and declination, each if it is one and not known yet, degrees.
pub(crate) fn set_position(meta: &mut Meta, ra_deg: Option<f64>, dec_deg: Option<f64>) {
    meta.ra_deg = meta.ra_deg.or(ra_deg.filter(|v| (0.0..=360.0).contains(v)));
    meta.dec_deg = meta.dec_deg.or(dec_deg.filter(|v| (-90.0..=90.0).contains(v)));
}

/// Air or vacuum, if it is said.
pub(crate) fn medium_in(params: &Params) -> Option<Medium> {
    let word = ["AIRORVAC", "WAVEMED", "MEDIUM"].iter().find_map(|key| params.text(key)).map(str::to_lowercase);
    match (params.logical("VACUUM"), word) {
        (Some(true), _) => Some(Medium::Vacuum),
        (Some(false), _) => Some(Medium::Air),
        (None, Some(word)) if word.starts_with("air") => Some(Medium::Air),
        (None, Some(word)) if word.starts_with("vac") => Some(Medium::Vacuum),
        _ => None,
    }
}

fn frame_in(params: &Params) -> Option<Frame> {
    let frame = params.text("SPECSYS")?.to_uppercase();
    match frame.get(..3)? {
        "BAR" | "HEL" => Some(Frame::Barycentric),
        "TOP" => Some(Frame::Topocentric),
        "SOU" => Some(Frame::Rest),
        _ => None,
    }
}

/// λ/FWHM from the keywords in use; a FWHM in Å is brought to it at the reference wavelength, as a guess: many a header
/// has that of the seeing.
fn resolution_in(params: &Params) -> Option<Known<f64>> {
    let keys = ["SPEC_RES", "SPECRES", "RESOLUTI", "RESOLUTION", "RESOLVE", "RESPOWER", "R"];
    let stated = params.number(&keys).filter(|r| (100.0..1e6).contains(r));
    let fwhm_aa = params.number(&["FWHM"]).filter(|f| (0.01..20.0).contains(f));
    let known = stated.map(|r| Known::new(r, Source::File));
    known.or(fwhm_aa.map(|f| Known::new(REFERENCE_AA / f, Source::Estimated)))
}
