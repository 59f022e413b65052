//! Air or vacuum, and the velocity frame: what names, UCDs, units, keywords and comments state, and what is assumed
//! otherwise.
//!
//! Sources: FITS standard 4.0 §8 (`WAVE` vacuum, `AWAV` air, SPECSYS), ESO Science Data Products Standard and IVOA
//! Spectral Data Model (UCD `em.wl` vacuum, `em.wl;obs.atmos` air).

use super::axis::words;
use super::table::Params;
use crate::spectrum::{Frame, Medium, Meta, Source, Sourced};

/// The medium that words in lower case name, if they name exactly one. A word may end so, as `wavevac` does.
pub(super) fn medium_in_words(words: &[&str]) -> Option<Medium> {
    let has = |wanted: &[&str]| {
        let ends =
            |w: &str| wanted.iter().any(|m| w == *m || w.strip_suffix(m).is_some_and(|s| s.starts_with(['w', 'l'])));
        words.iter().any(|w| ends(w))
    };
    match (has(&["air"]), has(&["vac", "vacuum", "vakuum"])) {
        (true, false) => Some(Medium::Air),
        (false, true) => Some(Medium::Vacuum),
        _ => None,
    }
}

/// The medium that a unit or another short text names: `Angstrom (Vacuum)`, `air`.
pub(crate) fn medium_of_text(text: &str) -> Option<Medium> {
    let text = text.to_lowercase();
    medium_in_words(&words(&text).collect::<Vec<_>>())
}

/// The medium that the UCD of a wavelength axis states.
pub(crate) fn medium_of_ucd(ucd: &str) -> Option<Medium> {
    let ucd = ucd.to_lowercase();
    let mut atoms = ucd.split(';').map(str::trim);
    match (atoms.next()?, atoms.any(|a| a == "obs.atmos")) {
        ("em.wl", true) => Some(Medium::Air),
        ("em.wl", false) => Some(Medium::Vacuum),
        _ => None,
    }
}

/// Air or vacuum from comments, if they name exactly one of the two.
///
/// The word counts only alone on its line or in a line about wavelengths, because comments also give air mass and air
/// temperature.
pub(crate) fn medium_of_comments(comments: &str) -> Option<Medium> {
    let comments = comments.to_lowercase();
    let is_about = |word: &str| ["wav", "lam", "λ", "ang", "å", "medium"].iter().any(|start| word.starts_with(start));
    let has = |wanted: &[&str]| {
        comments.lines().any(|line| {
            let words: Vec<&str> = words(line).collect();
            words.iter().any(|w| wanted.contains(w)) && (words.len() == 1 || words.iter().any(|w| is_about(w)))
        })
    };
    match (has(&["air"]), has(&["vacuum", "vac"])) {
        (true, false) => Some(Medium::Air),
        (false, true) => Some(Medium::Vacuum),
        _ => None,
    }
}

/// Air or vacuum, if a keyword states it.
pub(crate) fn medium_in(params: &Params) -> Option<Medium> {
    if let Some(is_vacuum) = params.logical("VACUUM") {
        return Some(if is_vacuum { Medium::Vacuum } else { Medium::Air });
    }
    let text = |key: &str| params.text(key).and_then(medium_of_text);
    ["AIRORVAC", "WAVEMED", "MEDIUM", "CUNIT", "CUNIT1"].into_iter().find_map(text)
}

/// The medium and the velocity frame that the documentation of a program or archive states for all its files.
///
/// `PypeIt` (which writes its spectrograph), CALSPEC (its table), HST and JWST are in vacuum. The pipeline of HARPS and
/// HARPS-N (which writes the Earth's velocity) is in air, corrected for that velocity. The X-shooter Spectral Library is
/// in air and the rest frame, unless `REST_COR` is false.
pub(crate) fn documented(params: &Params) -> (Option<Medium>, Option<Frame>) {
    if ["ESO DRS BERV", "TNG DRS BERV"].iter().any(|key| params.text(key).is_some()) {
        return (Some(Medium::Air), Some(Frame::Barycentric));
    }
    if params.text("XSL_ID").is_some() {
        return (Some(Medium::Air), Some(Frame::Rest).filter(|_| params.logical("REST_COR") != Some(false)));
    }
    let is =
        |key: &str, wanted: &[&str]| params.text(key).is_some_and(|v| wanted.iter().any(|w| v.eq_ignore_ascii_case(w)));
    let is_vacuum = params.text("PYP_SPEC").is_some()
        || is("DMODCLS", &["OneSpec", "SpecObj"])
        || is("DBTABLE", &["CRSPECTRUM"])
        || is("TELESCOP", &["HST", "JWST"]);
    (is_vacuum.then_some(Medium::Vacuum), None)
}

/// The velocity frame, if a keyword states it.
pub(crate) fn frame_in(params: &Params) -> Option<Frame> {
    let named = |key: &str| {
        let value = params.text(key)?.to_uppercase();
        match value.get(..3)? {
            "BAR" | "HEL" => Some(Frame::Barycentric),
            "TOP" | "GEO" | "OBS" => Some(Frame::Topocentric),
            "SOU" | "RES" => Some(Frame::Rest),
            _ => None,
        }
    };
    let by_name = ["SPECSYS", "VEL_TYPE", "REFFRAME"].into_iter().find_map(named);
    let of_logical = |is_helio| if is_helio { Frame::Barycentric } else { Frame::Topocentric };
    by_name.or_else(|| params.logical("HELIO").map(of_logical))
}

/// Sets the medium to `stated`, the medium that the file states. Without it, sets `default_medium` and adds a note that
/// this is assumed.
pub(crate) fn set_medium(meta: &mut Meta, stated: Option<Medium>, default_medium: Medium) {
    meta.medium = match stated {
        Some(medium) => Sourced::new(medium, Source::File),
        None => {
            meta.notes.push(format!("the file does not state air or vacuum; {} is assumed", default_medium.name()));
            Sourced::new(default_medium, Source::Assumed)
        }
    };
}

/// Sets the frame to `stated`, the frame that the file states. Without it, sets barycentric and adds a note that this
/// is assumed.
pub(crate) fn set_frame(meta: &mut Meta, stated: Option<Frame>) {
    meta.frame = match stated {
        Some(frame) => Sourced::new(frame, Source::File),
        None => {
            meta.notes.push("the file does not state the velocity frame; barycentric is assumed".to_string());
            Sourced::new(Frame::Barycentric, Source::Assumed)
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_units_and_ucds_state_the_medium() {
        let (air, vacuum) = (Some(Medium::Air), Some(Medium::Vacuum));
        for (text, medium) in [
            ("Angstrom (Vacuum)", vacuum),
            ("vac", vacuum),
            ("air", air),
            ("WAVEVAC", vacuum),
            ("lambda_air", air),
            ("wave_air_to_vacuum", None),
            ("stair", None),
            ("Angstrom", None),
        ] {
            assert_eq!(medium_of_text(text), medium, "{text}");
        }
        for (ucd, medium) in [
            ("em.wl", vacuum),
            ("em.wl;obs.atmos", air),
            ("EM.WL;obs.atmos;meta.main", air),
            ("em.freq", None),
            ("", None),
        ] {
            assert_eq!(medium_of_ucd(ucd), medium, "{ucd}");
        }
    }

    #[test]
    fn the_medium_is_read_from_comments_about_wavelengths() {
        for (comment, medium) in [
            ("# Air mass: 1.12", None),
            ("# wavelength in air, Å", Some(Medium::Air)),
            ("# vacuum", Some(Medium::Vacuum)),
            ("# lambda_vac flux", Some(Medium::Vacuum)),
            ("row 1 wavelength (A, vacuum), row 2 flux", Some(Medium::Vacuum)),
            ("# pressure of the air 770 hPa", None),
        ] {
            assert_eq!(medium_of_comments(comment), medium, "{comment}");
        }
    }
}
