//! What the name and the unit of a column or an array say: wavelength (in which medium, unit and scale), flux, error.
//!
//! Shared by text, tables and bundles, so that `wave_vac`, `LOGLAM` or `log10_wavelength_air_aa` mean the same
//! everywhere.

use super::error::ReadError;
use crate::spectrum::{Frame, Known, Medium, Meta, Source};

/// The unit of a wavelength axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Angstrom,
    Nanometre,
    Micrometre,
    Metre,
}

impl Unit {
    pub(crate) fn in_aa(self) -> f64 {
        match self {
            Unit::Angstrom => 1.0,
            Unit::Nanometre => 10.0,
            Unit::Micrometre => 1e4,
            Unit::Metre => 1e10,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Unit::Angstrom => "Å",
            Unit::Nanometre => "nm",
            Unit::Micrometre => "µm",
            Unit::Metre => "m",
        }
    }

    fn from_word(word: &str) -> Option<Unit> {
        Some(match word {
            "aa" | "a" | "å" | "ang" | "angs" | "angstrom" | "angstroms" | "ångström" | "ångstrom" => {
                Unit::Angstrom
            }
            "nm" | "nanometer" | "nanometers" | "nanometre" | "nanometres" => Unit::Nanometre,
            "um" | "µm" | "μm" | "mum" | "micron" | "microns" | "micrometer" | "micrometers" | "micrometre" => {
                Unit::Micrometre
            }
            "m" | "meter" | "metre" => Unit::Metre,
            _ => return None,
        })
    }
}

/// What a unit says of a wavelength axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stated {
    /// There is none.
    Nothing,
    /// A unit of length; `true` when the values are its log10.
    Length(Unit, bool),
    /// It is no unit of length.
    Other,
}

/// Understands the units in use: `Angstrom`, `0.1nm`, `10**-10 m`, `log10(Angstrom)`, `dex(nm)`, `microns`.
pub(crate) fn stated_unit(text: &str) -> Stated {
    let text = text.trim().to_lowercase();
    if text.is_empty() || ["none", "null", "-"].contains(&text.as_str()) {
        return Stated::Nothing;
    }
    let is_log = text.contains("log") || text.contains("dex");
    let bare = text.replace("log10", "");
    let close: String = bare.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect();
    let unit = match close.as_str() {
        "01nm" | "10-1nm" | "1e-1nm" | "1e-10m" | "10-10m" => Some(Unit::Angstrom),
        "1e-9m" | "10-9m" => Some(Unit::Nanometre),
        "1e-6m" | "10-6m" => Some(Unit::Micrometre),
        // Any other factor is not guessed at.
        _ if close.contains(|c: char| c.is_ascii_digit()) => None,
        _ => words(&bare).find_map(Unit::from_word),
    };
    unit.map_or(Stated::Other, |unit| Stated::Length(unit, is_log))
}

/// A wavelength axis, as far as its name and unit tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Axis {
    /// Air or vacuum.
    pub medium: Option<Medium>,
    /// True when the values are log10 of the wavelength; `None` leaves it to the values.
    pub log10: Option<bool>,
    /// Unit of the wavelength.
    pub unit: Option<Unit>,
}

/// The role of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Wavelength(Axis),
    Flux,
    Sigma,
    Ivar,
}

/// What the values of a column of masks mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mask {
    /// 0 is good, all else bad.
    Bad,
    /// 0 is bad, all else good.
    Good,
}

impl Mask {
    /// What a column of this name says of each pixel, if it is a mask at all. `and_mask` and `or_mask` are none: their bits
    /// mostly mark pixels that are good.
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name.trim().to_lowercase().as_str() {
            "mask" | "masked" | "flag" | "flags" | "qual" | "quality" | "dq" | "bad" | "badpix" | "badpixel" => {
                Some(Self::Bad)
            }
            "good" | "goodpix" | "goodpixel" => Some(Self::Good),
            _ => None,
        }
    }

    /// Which pixels are bad; `None` when all would be, since then it means something else.
    pub(crate) fn bad_pixels(self, zeros: impl Iterator<Item = bool>) -> Option<Vec<bool>> {
        let bad: Vec<bool> = zeros.map(|is_zero| is_zero == (self == Self::Good)).collect();
        bad.contains(&false).then_some(bad)
    }
}

/// True for the name of an axis that is not of wavelengths: frequencies, velocities, energies, wave numbers, pixels.
pub(crate) fn is_other_axis(name: &str) -> bool {
    let name = name.to_lowercase();
    words(&name).any(|w| {
        w.starts_with("freq") || w.starts_with("wavenum") || w.starts_with("veloc") || w.starts_with("energ") || {
            ["hz", "khz", "mhz", "ghz", "thz", "vel", "kms", "ev", "kev", "pixel", "pix", "ln", "lnlam", "lnlambda"]
                .contains(&w)
        }
    })
}

/// The role that a column's name gives it, if any. `unit` may be empty.
pub(crate) fn role(name: &str, unit: &str) -> Option<Role> {
    let name = name.to_lowercase();
    let words: Vec<&str> = words(&name).collect();
    let has = |list: &[&str]| words.iter().any(|w| list.contains(w));
    if is_other_axis(&name) {
        return None;
    }
    // Errors first: `flux_error` and `ivar_flux` are not fluxes, `wave_error` is not an axis.
    if has(&["ivar", "invvar"]) || (has(&["inverse", "inv"]) && has(&["variance", "var"])) {
        return Some(Role::Ivar);
    }
    if has(&ERROR_WORDS) {
        return if words.iter().any(|w| is_axis_word(w)) { None } else { Some(Role::Sigma) };
    }
    if let Some(log10) = is_log10_axis(&words) {
        let medium = if has(&["air"]) || words[0].ends_with("air") {
            Some(Medium::Air)
        } else if has(&["vac", "vacuum"]) || words[0].ends_with("vac") {
            Some(Medium::Vacuum)
        } else {
            None
        };
        let (from_unit, log_unit) = match stated_unit(unit) {
            Stated::Length(unit, is_log) => (Some(unit), is_log),
            _ => (None, false),
        };
        // A lone `m` in a name is more likely a label than a unit.
        let from_name = || words.iter().skip(1).find_map(|w| Unit::from_word(w)).filter(|u| *u != Unit::Metre);
        return Some(Role::Wavelength(Axis {
            medium,
            log10: (log10 || log_unit).then_some(true),
            unit: from_unit.or_else(from_name),
        }));
    }
    words.iter().any(|w| is_flux_word(w)).then_some(Role::Flux)
}

const ERROR_WORDS: [&str; 13] = [
    "err",
    "error",
    "errors",
    "sigma",
    "std",
    "stdev",
    "noise",
    "uncertainty",
    "unc",
    "e",
    "eflux",
    "fluxerr",
    "dflux",
];

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty())
}

fn is_axis_word(word: &str) -> bool {
    word.starts_with("wave") || word.starts_with("lambda") || ["wl", "lam", "wlen", "dispersion"].contains(&word)
}

/// True for the name of an error that is an error of the flux: `flux_error`, `sigma`, `e_flux`, but not `redshift_err`.
pub(crate) fn is_flux_error(name: &str) -> bool {
    let name = name.to_lowercase();
    words(&name).all(|w| ERROR_WORDS.contains(&w) || is_flux_word(w))
}

fn is_flux_word(word: &str) -> bool {
    word.starts_with("flux")
        || word.starts_with("intensity")
        || ["flx", "flam", "spec", "spectrum", "counts"].contains(&word)
}

/// Whether a wavelength axis is logarithmic (`loglam`, `log10_wavelength`, `log lambda`); `None` when it is no axis.
fn is_log10_axis(words: &[&str]) -> Option<bool> {
    let first = words.first()?;
    let stem = first.strip_prefix("log10").or_else(|| first.strip_prefix("log"));
    match stem {
        // specutils calls it so.
        None if words == ["spectral", "axis"] => Some(false),
        Some("") => words.get(1).is_some_and(|w| is_axis_word(w)).then_some(true),
        Some(stem) => is_axis_word(stem).then_some(true),
        None => is_axis_word(first).then_some(false),
    }
}

impl Axis {
    /// The values in ångström, and a note when the scale or the unit had to be told from the values.
    ///
    /// By range: a last value below 30 is log10 of Å when all lie in 3–4.7 (1000 Å – 5 µm), else µm; below 2000 it is nm.
    pub(crate) fn to_aa(self, mut values: Vec<f64>) -> (Vec<f64>, Option<String>) {
        let (low, high) =
            values.iter().filter(|v| v.is_finite()).fold((f64::INFINITY, 0.0_f64), |(l, h), &v| (l.min(v), h.max(v)));
        let looks_log = low > 3.0 && high < 4.7;
        let log10 = self.log10.unwrap_or(looks_log && self.unit.is_none_or(|u| u == Unit::Angstrom));
        let unit = self.unit.unwrap_or(match high {
            _ if log10 => Unit::Angstrom,
            h if h < 30.0 => Unit::Micrometre,
            h if h < 2000.0 => Unit::Nanometre,
            _ => Unit::Angstrom,
        });
        let guessed_scale = log10 && self.log10.is_none();
        let guessed_unit = self.unit.is_none() && unit != Unit::Angstrom;
        for v in &mut values {
            *v = if log10 { 10f64.powf(*v) } else { *v } * unit.in_aa();
        }
        let note = match (guessed_scale, guessed_unit) {
            (true, _) => Some("wavelengths are taken as log10 of Å, by their range".to_string()),
            (_, true) => Some(format!("wavelengths are taken as {}, by their range", unit.name())),
            _ => None,
        };
        (values, note)
    }
}

/// Inverse variances of standard deviations; 0 where σ is not a positive, finite number.
pub(crate) fn ivar_of_sigma(sigma: Vec<f64>) -> Vec<f64> {
    sigma.into_iter().map(|s| if s.is_finite() && s > 0.0 { (s * s).recip() } else { 0.0 }).collect()
}

/// Sets the medium to what the file says, else to `usual`, with a note that this is assumed.
pub(crate) fn set_medium(meta: &mut Meta, said: Option<Medium>, usual: Medium) {
    meta.medium = match said {
        Some(medium) => Known::new(medium, Source::File),
        None => {
            meta.notes.push(format!("the file does not say air or vacuum; {} is assumed", usual.name()));
            Known::new(usual, Source::Assumed)
        }
    };
}

/// Sets the frame to what the file says, else to barycentric, with a note that this is assumed.
pub(crate) fn set_frame(meta: &mut Meta, said: Option<Frame>) {
    meta.frame = match said {
        Some(frame) => Known::new(frame, Source::File),
        None => {
            meta.notes.push("the file does not say the velocity frame; barycentric is assumed".to_string());
            Known::new(Frame::Barycentric, Source::Assumed)
        }
    };
}

/// The value, or the error that something is wrong with `place`.
pub(crate) fn need<T>(value: Option<T>, place: &str, problem: &str) -> Result<T, ReadError> {
    value.ok_or_else(|| ReadError::Layout { place: place.into(), problem: problem.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(name: &str, unit: &str) -> Axis {
        match role(name, unit) {
            Some(Role::Wavelength(axis)) => axis,
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn names_of_axes() {
        let (air, vac) = (Some(Medium::Air), Some(Medium::Vacuum));
        let (log, aa, nm, um) = (Some(true), Some(Unit::Angstrom), Some(Unit::Nanometre), Some(Unit::Micrometre));
        for (name, unit, medium, log10, of) in [
            ("wavelength_air_aa", "", air, None, aa),
            ("log10_wavelength_vac_aa", "", vac, log, aa),
            ("loglam_vac", "", vac, log, None),
            ("LOGLAM", "", None, log, None),
            ("log_lambda", "", None, log, None),
            ("waveobs", "", None, None, None),
            ("Wavelength [nm]", "", None, None, nm),
            ("lambda(Angstrom)", "", None, None, aa),
            ("WAVE_AIR", "micron", air, None, um),
            ("wl", "", None, None, None),
        ] {
            assert_eq!(axis(name, unit), Axis { medium, log10, unit: of }, "{name}");
        }
    }

    #[test]
    fn units_in_use() {
        for (text, unit) in [
            ("Angstrom", Unit::Angstrom),
            ("0.1 nm", Unit::Angstrom),
            ("10**-10 m", Unit::Angstrom),
            ("10**(-10).m", Unit::Angstrom),
            ("1E-10 m", Unit::Angstrom),
            ("AA", Unit::Angstrom),
            ("nm", Unit::Nanometre),
            ("[um]", Unit::Micrometre),
            ("m", Unit::Metre),
        ] {
            assert_eq!(stated_unit(text), Stated::Length(unit, false), "{text}");
        }
        for text in ["log10(Angstrom)", "dex(Angstrom)", "log(AA)", "log10(0.1 nm)", "Log Angstrom"] {
            assert!(matches!(stated_unit(text), Stated::Length(_, true)), "{text}");
        }
        for text in ["Hz", "eV", "pixel", "cm-1", "km/s", "100 nm", "10**3 nm"] {
            assert_eq!(stated_unit(text), Stated::Other, "{text}");
        }
        assert_eq!(stated_unit(" "), Stated::Nothing);
        assert_eq!(axis("lambda", "log10(Angstrom)").log10, Some(true));
        assert_eq!(axis("spectral_axis", "nm").unit, Some(Unit::Nanometre));
    }

    #[test]
    fn names_of_fluxes_and_errors() {
        assert!(is_flux_error("flux_error") && is_flux_error("E_FLUX") && is_flux_error("sigma"));
        assert!(!is_flux_error("redshift_err") && !is_flux_error("ra_error"));
        assert_eq!(role("FLUX_REDUCED", ""), Some(Role::Flux));
        assert_eq!(role("intensity", ""), Some(Role::Flux));
        assert_eq!(role("flux_error", ""), Some(Role::Sigma));
        assert_eq!(role("e_flux", ""), Some(Role::Sigma));
        assert_eq!(role("err", ""), Some(Role::Sigma));
        assert_eq!(role("ivar", ""), Some(Role::Ivar));
        assert_eq!(role("wave_error", ""), None);
        assert_eq!(role("and_mask", ""), None);
        for name in ["frequency_THz", "velocity (km/s)", "wavenumber", "ln_wave", "energy"] {
            assert!(role(name, "").is_none() && is_other_axis(name), "{name}");
        }
        assert_eq!(
            (Mask::of("QUAL"), Mask::of("good"), Mask::of("and_mask")),
            (Some(Mask::Bad), Some(Mask::Good), None)
        );
    }

    #[test]
    fn ranges_tell_the_unit() {
        let bare = Axis::default();
        assert_eq!(bare.to_aa(vec![3700.0, 9000.0]), (vec![3700.0, 9000.0], None));
        assert_eq!(bare.to_aa(vec![514.0, 530.0]).0, [5140.0, 5300.0]);
        assert_eq!(bare.to_aa(vec![0.4, 0.9]).0, [4000.0, 9000.0]);
        assert!((bare.to_aa(vec![3.6, 4.0]).0[1] - 1e4).abs() < 1e-6);
        let micrometres = Axis { unit: Some(Unit::Micrometre), ..bare };
        assert_eq!(micrometres.to_aa(vec![3.5, 4.0]).0, [35_000.0, 40_000.0]);
    }
}
