//! Units of wavelength in all usual spellings, and the scale (log10, ln) that a unit states.

use super::axis::{Scale, words};

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

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Angstrom => "Å",
            Self::Nanometre => "nm",
            Self::Micrometre => "µm",
            Self::Metre => "m",
        }
    }

    /// The unit with this name, in lower case.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "aa" | "a" | "å" | "ang" | "angs" | "angstr" | "angstrom" | "angstroem" | "ångström" | "ångstrom"
            | "angström" => Self::Angstrom,
            "nm" | "nanom" | "nanometer" | "nanometre" => Self::Nanometre,
            "um" | "µm" | "μm" | "mum" | "micron" | "micrometer" | "micrometre" | "mikrometer" => Self::Micrometre,
            "m" | "meter" | "metre" => Self::Metre,
            _ => return word.strip_suffix('s').filter(|singular| singular.len() > 2).and_then(Self::from_word),
        })
    }
}

/// Interpretation of the unit of a wavelength axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnitHint {
    /// No unit is given.
    Missing,
    /// A unit of length, and the scale of the values if the unit states it.
    Length { unit: Unit, scale: Option<Scale> },
    /// The unit is not a unit of length.
    Other,
}

/// Interprets the usual spellings of units: `Angstrom`, `0.1nm`, `10**-10 m`, `log10(Angstrom)`, `ln(nm)`, `dex(nm)`,
/// `microns`, `Angstrom (Vacuum)`.
pub(crate) fn stated_unit(text: &str) -> UnitHint {
    let text = text.trim().to_lowercase();
    if text.is_empty() || ["none", "null", "-"].contains(&text.as_str()) {
        return UnitHint::Missing;
    }
    let is_ln = text.starts_with("ln") || text.starts_with("loge") || text.contains("ln(");
    let scale =
        if is_ln { Some(Scale::Ln) } else { (text.contains("log") || text.contains("dex")).then_some(Scale::Log10) };
    let without_log = text.replace("log10", "");
    let compact: String = without_log.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect();
    let unit = match compact.as_str() {
        "01nm" | "10-1nm" | "1e-1nm" | "1e-10m" | "10-10m" => Some(Unit::Angstrom),
        "1e-9m" | "10-9m" | "1e-09m" => Some(Unit::Nanometre),
        "1e-6m" | "10-6m" | "1e-06m" => Some(Unit::Micrometre),
        // Units with another numeric factor are rejected.
        _ if compact.contains(|c: char| c.is_ascii_digit()) => None,
        _ => words(&without_log).find_map(Unit::from_word),
    };
    unit.map_or(UnitHint::Other, |unit| UnitHint::Length { unit, scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_in_use() {
        for (text, unit) in [
            ("Angstrom", Unit::Angstrom),
            ("ANGSTROMS", Unit::Angstrom),
            ("Angstrom (Vacuum)", Unit::Angstrom),
            ("0.1 nm", Unit::Angstrom),
            ("0.1nm", Unit::Angstrom),
            ("10**-10 m", Unit::Angstrom),
            ("10**(-10).m", Unit::Angstrom),
            ("1E-10 m", Unit::Angstrom),
            ("10^-10m", Unit::Angstrom),
            ("AA", Unit::Angstrom),
            ("nm", Unit::Nanometre),
            ("nanometers", Unit::Nanometre),
            ("10**-9 m", Unit::Nanometre),
            ("[um]", Unit::Micrometre),
            ("microns", Unit::Micrometre),
            ("10**-6 m", Unit::Micrometre),
            ("m", Unit::Metre),
        ] {
            assert_eq!(stated_unit(text), UnitHint::Length { unit, scale: None }, "{text}");
        }
        for text in ["log10(Angstrom)", "dex(Angstrom)", "log(AA)", "log10(0.1 nm)", "Log Angstrom"] {
            assert!(matches!(stated_unit(text), UnitHint::Length { scale: Some(Scale::Log10), .. }), "{text}");
        }
        for text in ["ln(Angstrom)", "ln Angstrom", "loge(AA)"] {
            assert!(matches!(stated_unit(text), UnitHint::Length { scale: Some(Scale::Ln), .. }), "{text}");
        }
        for text in ["Hz", "eV", "pixel", "cm-1", "km/s", "100 nm", "10**3 nm"] {
            assert_eq!(stated_unit(text), UnitHint::Other, "{text}");
        }
        assert_eq!(stated_unit(" "), UnitHint::Missing);
    }
}
