//! Role of a column or an array, from its name and unit: wavelength (with medium, unit and scale), flux or error.
//!
//! Text, tables and bundles share these rules, so that `wave_vac`, `LOGLAM` or `log10_wavelength_air_aa` have the same
//! meaning in every format.

use super::error::ReadError;
use crate::spectrum::{Frame, Medium, Meta, Source, Sourced};

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
            Self::Angstrom => 1.0,
            Self::Nanometre => 10.0,
            Self::Micrometre => 1e4,
            Self::Metre => 1e10,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Angstrom => "Å",
            Self::Nanometre => "nm",
            Self::Micrometre => "µm",
            Self::Metre => "m",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "aa" | "a" | "å" | "ang" | "angs" | "angstrom" | "angstroms" | "ångström" | "ångstrom" => {
                Self::Angstrom
            }
            "nm" | "nanometer" | "nanometers" | "nanometre" | "nanometres" => Self::Nanometre,
            "um" | "µm" | "μm" | "mum" | "micron" | "microns" | "micrometer" | "micrometers" | "micrometre" => {
                Self::Micrometre
            }
            "m" | "meter" | "metre" => Self::Metre,
            _ => return None,
        })
    }
}

/// Interpretation of the unit of a wavelength axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnitHint {
    /// No unit is given.
    Missing,
    /// A unit of length; `is_log10` when the values are log10 of the length.
    Length { unit: Unit, is_log10: bool },
    /// The unit is not a unit of length.
    Other,
}

/// Interprets the usual spellings of units: `Angstrom`, `0.1nm`, `10**-10 m`, `log10(Angstrom)`, `dex(nm)`, `microns`.
pub(crate) fn stated_unit(text: &str) -> UnitHint {
    let text = text.trim().to_lowercase();
    if text.is_empty() || ["none", "null", "-"].contains(&text.as_str()) {
        return UnitHint::Missing;
    }
    let is_log10 = text.contains("log") || text.contains("dex");
    let without_log = text.replace("log10", "");
    let compact: String = without_log.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect();
    let unit = match compact.as_str() {
        "01nm" | "10-1nm" | "1e-1nm" | "1e-10m" | "10-10m" => Some(Unit::Angstrom),
        "1e-9m" | "10-9m" => Some(Unit::Nanometre),
        "1e-6m" | "10-6m" => Some(Unit::Micrometre),
        // Units with another numeric factor are rejected.
        _ if compact.contains(|c: char| c.is_ascii_digit()) => None,
        _ => words(&without_log).find_map(Unit::from_word),
    };
    unit.map_or(UnitHint::Other, |unit| UnitHint::Length { unit, is_log10 })
}

/// A wavelength axis, as far as its name and unit describe it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Axis {
    /// Air or vacuum.
    pub medium: Option<Medium>,
    /// True when the values are log10 of the wavelength; `None` if the values must decide.
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

/// Meaning of the values of a mask column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MaskConvention {
    /// 0 is good, any other value is bad.
    Bad,
    /// 0 is bad, any other value is good.
    Good,
}

impl MaskConvention {
    /// The mask convention of a column with this name; `None` if it is not a mask.
    ///
    /// `and_mask` and `or_mask` do not count as masks, because most of their bits mark usable pixels.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name.trim().to_lowercase().as_str() {
            "mask" | "masked" | "flag" | "flags" | "qual" | "quality" | "dq" | "bad" | "badpix" | "badpixel" => {
                Some(Self::Bad)
            }
            "good" | "goodpix" | "goodpixel" => Some(Self::Good),
            _ => None,
        }
    }

    /// True for each bad pixel. `None` if all pixels would be bad, because the column then has another meaning.
    pub(crate) fn bad_pixels(self, zeros: impl Iterator<Item = bool>) -> Option<Vec<bool>> {
        let bad: Vec<bool> = zeros.map(|is_zero| is_zero == (self == Self::Good)).collect();
        bad.contains(&false).then_some(bad)
    }
}

/// True for the name of a spectral axis other than wavelength: frequency, velocity, energy, wavenumber, pixel.
pub(crate) fn is_other_axis(name: &str) -> bool {
    let name = name.to_lowercase();
    words(&name).any(|w| {
        w.starts_with("freq") || w.starts_with("wavenum") || w.starts_with("veloc") || w.starts_with("energ") || {
            ["hz", "khz", "mhz", "ghz", "thz", "vel", "kms", "ev", "kev", "pixel", "pix", "ln", "lnlam", "lnlambda"]
                .contains(&w)
        }
    })
}

/// The role of a column by its name, if the name gives one. `unit` may be empty.
pub(crate) fn role(name: &str, unit: &str) -> Option<Role> {
    let name = name.to_lowercase();
    let words: Vec<&str> = words(&name).collect();
    let has = |list: &[&str]| words.iter().any(|w| list.contains(w));
    if is_other_axis(&name) {
        return None;
    }
    // Errors come first, because `flux_error` and `ivar_flux` are not fluxes, and `wave_error` is not an axis.
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
            UnitHint::Length { unit, is_log10 } => (Some(unit), is_log10),
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

/// True for the name of a flux error: `flux_error`, `sigma`, `e_flux`, but not `redshift_err`.
pub(crate) fn is_flux_error(name: &str) -> bool {
    let name = name.to_lowercase();
    words(&name).all(|w| ERROR_WORDS.contains(&w) || is_flux_word(w))
}

fn is_flux_word(word: &str) -> bool {
    word.starts_with("flux")
        || word.starts_with("intensity")
        || ["flx", "flam", "spec", "spectrum", "counts"].contains(&word)
}

/// True for a logarithmic wavelength axis (`loglam`, `log10_wavelength`, `log lambda`); `None` if it is not a
/// wavelength axis.
fn is_log10_axis(words: &[&str]) -> Option<bool> {
    let first = words.first()?;
    let stem = first.strip_prefix("log10").or_else(|| first.strip_prefix("log"));
    match stem {
        // The name that specutils gives to the axis.
        None if words == ["spectral", "axis"] => Some(false),
        Some("") => words.get(1).is_some_and(|w| is_axis_word(w)).then_some(true),
        Some(stem) => is_axis_word(stem).then_some(true),
        None => is_axis_word(first).then_some(false),
    }
}

impl Axis {
    /// The values in ångström, and a note if scale or unit were inferred from the range of the values.
    ///
    /// Values that all lie in 3–4.7 are log10 of Å (1000 Å – 5 µm). Otherwise the largest value decides: below 30 the
    /// unit is µm, below 2000 it is nm.
    pub(crate) fn to_aa(self, mut values: Vec<f64>) -> (Vec<f64>, Option<String>) {
        let (low, high) =
            values.iter().filter(|v| v.is_finite()).fold((f64::INFINITY, 0.0_f64), |(l, h), &v| (l.min(v), h.max(v)));
        let is_in_log_range = low > 3.0 && high < 4.7;
        let log10 = self.log10.unwrap_or(is_in_log_range && self.unit.is_none_or(|u| u == Unit::Angstrom));
        let unit = self.unit.unwrap_or(match high {
            _ if log10 => Unit::Angstrom,
            h if h < 30.0 => Unit::Micrometre,
            h if h < 2000.0 => Unit::Nanometre,
            _ => Unit::Angstrom,
        });
        let is_scale_inferred = log10 && self.log10.is_none();
        let is_unit_inferred = self.unit.is_none() && unit != Unit::Angstrom;
        for v in &mut values {
            *v = if log10 { 10f64.powf(*v) } else { *v } * unit.in_aa();
        }
        let note = match (is_scale_inferred, is_unit_inferred) {
            (true, _) => Some("wavelengths are assumed to be log10 of Å, from the range of the values".to_string()),
            (_, true) => {
                Some(format!("wavelengths are assumed to be in {}, from the range of the values", unit.name()))
            }
            _ => None,
        };
        (values, note)
    }
}

/// Inverse variances from standard deviations; 0 where σ is not a positive, finite number.
pub(crate) fn ivar_of_sigma(sigma: Vec<f64>) -> Vec<f64> {
    sigma.into_iter().map(|s| if s.is_finite() && s > 0.0 { (s * s).recip() } else { 0.0 }).collect()
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

/// The value, or else a [`ReadError::Layout`] that states `problem` at `place`.
pub(crate) fn require<T>(value: Option<T>, place: &str, problem: &str) -> Result<T, ReadError> {
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
        for (name, unit, medium, log10, expected_unit) in [
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
            assert_eq!(axis(name, unit), Axis { medium, log10, unit: expected_unit }, "{name}");
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
            assert_eq!(stated_unit(text), UnitHint::Length { unit, is_log10: false }, "{text}");
        }
        for text in ["log10(Angstrom)", "dex(Angstrom)", "log(AA)", "log10(0.1 nm)", "Log Angstrom"] {
            assert!(matches!(stated_unit(text), UnitHint::Length { is_log10: true, .. }), "{text}");
        }
        for text in ["Hz", "eV", "pixel", "cm-1", "km/s", "100 nm", "10**3 nm"] {
            assert_eq!(stated_unit(text), UnitHint::Other, "{text}");
        }
        assert_eq!(stated_unit(" "), UnitHint::Missing);
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
            (
                MaskConvention::from_name("QUAL"),
                MaskConvention::from_name("good"),
                MaskConvention::from_name("and_mask")
            ),
            (Some(MaskConvention::Bad), Some(MaskConvention::Good), None)
        );
    }

    #[test]
    fn the_range_of_the_values_gives_the_unit() {
        let unspecified = Axis::default();
        assert_eq!(unspecified.to_aa(vec![3700.0, 9000.0]), (vec![3700.0, 9000.0], None));
        assert_eq!(unspecified.to_aa(vec![514.0, 530.0]).0, [5140.0, 5300.0]);
        assert_eq!(unspecified.to_aa(vec![0.4, 0.9]).0, [4000.0, 9000.0]);
        assert!((unspecified.to_aa(vec![3.6, 4.0]).0[1] - 1e4).abs() < 1e-6);
        let micrometres = Axis { unit: Some(Unit::Micrometre), ..unspecified };
        assert_eq!(micrometres.to_aa(vec![3.5, 4.0]).0, [35_000.0, 40_000.0]);
    }
}
