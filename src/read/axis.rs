//! Role of a column or an array, from its name and unit: wavelength (with medium, unit and scale), flux or error.
//!
//! Text, tables and bundles share these rules, so that `wave_vac`, `LOGLAM` or `log10_wavelength_air_aa` have the same
//! meaning in every format.

use super::error::ReadError;
use super::medium::medium_in_words;
use super::unit::{Unit, UnitHint, stated_unit};
use crate::spectrum::Medium;

/// Scale of the values of a wavelength axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    Linear,
    Log10,
    Ln,
}

/// A wavelength axis, as far as its name and unit describe it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Axis {
    /// Air or vacuum.
    pub medium: Option<Medium>,
    /// Scale of the values; `None` if the values must decide.
    pub scale: Option<Scale>,
    /// Unit of the wavelength.
    pub unit: Option<Unit>,
}

/// The role of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Wavelength(Axis),
    Flux,
    Sigma,
    Variance,
    Ivar,
}

impl Role {
    /// True for a column of flux errors in any form.
    pub(crate) fn is_error(self) -> bool {
        matches!(self, Self::Sigma | Self::Variance | Self::Ivar)
    }
}

/// True for the name of an axis other than wavelength: frequency, velocity, energy, wavenumber, pixel, time.
pub(crate) fn is_other_axis(name: &str) -> bool {
    const OTHERS: [&str; 29] = [
        "hz",
        "khz",
        "mhz",
        "ghz",
        "thz",
        "vel",
        "kms",
        "ev",
        "kev",
        "pixel",
        "pixels",
        "pix",
        "time",
        "jd",
        "mjd",
        "bjd",
        "hjd",
        "btjd",
        "bkjd",
        "tjd",
        "phase",
        "date",
        "cadence",
        "cadenceno",
        "epoch",
        "ra",
        "dec",
        "mag",
        "magnitude",
    ];
    let name = name.to_lowercase();
    words(&name)
        .any(|w| ["freq", "wavenum", "veloc", "energ"].iter().any(|start| w.starts_with(start)) || OTHERS.contains(&w))
}

/// The role of a column by its name, if the name gives one. `unit` may be empty.
pub(crate) fn role(name: &str, unit: &str) -> Option<Role> {
    let name = name.to_lowercase();
    let mut words: Vec<&str> = words(&name).collect();
    if is_other_axis(&name) {
        return None;
    }
    // PypeIt has OPT_ and BOX_ for optimal and boxcar extraction.
    if words.len() > 1 && ["opt", "box", "obs"].contains(&words[0]) {
        words.remove(0);
    }
    let has = |list: &[&str]| words.iter().any(|w| list.contains(w));
    // Errors come first, because `flux_error` and `ivar_flux` are not fluxes, and `wave_error` is not an axis.
    if has(&["ivar", "invvar"]) || (has(&["inverse", "inv"]) && has(&["variance", "var"])) {
        return Some(Role::Ivar);
    }
    let has_axis_word = || words.iter().any(|w| is_axis_word(w));
    if has(&["var", "variance", "fluxvar"]) {
        return (!has_axis_word()).then_some(Role::Variance);
    }
    if has(&ERROR_WORDS) {
        return (!has_axis_word()).then_some(Role::Sigma);
    }
    if let Some(scale) = axis_scale(&words) {
        let (from_unit, unit_scale) = match stated_unit(unit) {
            UnitHint::Length { unit, scale } => (Some(unit), scale),
            _ => (None, None),
        };
        // A lone `m` in a name is more likely a label than a unit.
        let from_name = || words.iter().skip(1).find_map(|w| Unit::from_word(w)).filter(|u| *u != Unit::Metre);
        return Some(Role::Wavelength(Axis {
            medium: medium_in_words(&words).or_else(|| super::medium::medium_of_text(unit)),
            scale: scale.or(unit_scale),
            unit: from_unit.or_else(from_name),
        }));
    }
    words.iter().any(|w| is_flux_word(w)).then_some(Role::Flux)
}

const ERROR_WORDS: [&str; 27] = [
    "err",
    "errs",
    "error",
    "errors",
    "staterror",
    "staterr",
    "sigma",
    "sig",
    "std",
    "stdev",
    "stddev",
    "noise",
    "uncertainty",
    "uncert",
    "unc",
    "e",
    "eflux",
    "fluxerr",
    "fluxerror",
    "fluxsig",
    "fluxsigma",
    "dflux",
    "ferr",
    "fehler",
    "erreur",
    "errore",
    "unsicherheit",
];

/// The words of a name: runs of letters and digits.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty())
}

/// English, German, French, Italian and Spanish words.
fn is_axis_word(word: &str) -> bool {
    ["wave", "lambda", "wellenl", "longueur", "lunghezza", "longitud"].iter().any(|start| word.starts_with(start))
        || ["wl", "lam", "wlen", "wvl", "dispersion", "λ"].contains(&word)
}

/// True for the name of a flux error: `flux_error`, `sigma`, `e_flux`, but not `redshift_err`.
pub(crate) fn is_flux_error(name: &str) -> bool {
    let name = name.to_lowercase();
    words(&name).all(|w| ERROR_WORDS.contains(&w) || is_flux_word(w) || ["opt", "box", "var", "variance"].contains(&w))
}

fn is_flux_word(word: &str) -> bool {
    ["flux", "intensit", "fluss", "flujo", "count"].iter().any(|start| word.starts_with(start))
        || ["flx", "flam", "spec", "spectrum", "fλ"].contains(&word)
}

/// Scale of a wavelength axis by its name: logarithmic (`loglam`, `log10_wavelength`, `log lambda`, `ln_wave`), or not
/// stated. `None` if it is not a wavelength axis.
fn axis_scale(words: &[&str]) -> Option<Option<Scale>> {
    let first = *words.first()?;
    // The name that specutils gives to the axis.
    if words == ["spectral", "axis"] || is_axis_word(first) {
        return Some(None);
    }
    let scales = [("log10", Scale::Log10), ("loge", Scale::Ln), ("log", Scale::Log10), ("ln", Scale::Ln)];
    scales.into_iter().find_map(|(prefix, scale)| {
        let stem = first.strip_prefix(prefix)?;
        let is_axis = if stem.is_empty() { is_axis_word(words.get(1)?) } else { is_axis_word(stem) };
        is_axis.then_some(Some(scale))
    })
}

impl Axis {
    /// The values in ångström, and a note if scale or unit were inferred from the range of the values.
    ///
    /// Values that all lie in 3–4.7 are log10 of Å (1000 Å – 5 µm), values in 7.6–10.2 are ln of Å (2000 Å – 2.7 µm).
    /// Otherwise the largest value decides: below 30 the unit is µm, below 2000 it is nm; below 5000 it is nm if the
    /// smallest is below 900, because hydrogen absorbs starlight below 912 Å. Padding (0, −1, −999 …) becomes NaN.
    pub(crate) fn to_aa(self, mut values: Vec<f64>) -> (Vec<f64>, Option<String>) {
        let is_padding = |v: f64| !v.is_finite() || v <= 0.0;
        let (low, high) = values
            .iter()
            .filter(|v| !is_padding(**v))
            .fold((f64::INFINITY, 0.0_f64), |(low, high), &v| (low.min(v), high.max(v)));
        let is_log_unit = self.unit.is_none_or(|u| u == Unit::Angstrom);
        let scale = self.scale.unwrap_or(match (low, high) {
            _ if !is_log_unit => Scale::Linear,
            (low, high) if low > 3.0 && high < 4.7 => Scale::Log10,
            (low, high) if low > 7.6 && high < 10.2 => Scale::Ln,
            _ => Scale::Linear,
        });
        let unit = self.unit.unwrap_or(match high {
            _ if scale != Scale::Linear => Unit::Angstrom,
            h if h < 30.0 => Unit::Micrometre,
            h if h < 2000.0 || low < 900.0 && h < 5000.0 => Unit::Nanometre,
            _ => Unit::Angstrom,
        });
        // Logarithms of wavelengths in µm or m may be negative.
        let may_be_negative = scale != Scale::Linear && matches!(unit, Unit::Micrometre | Unit::Metre);
        for v in &mut values {
            *v = match scale {
                _ if is_padding(*v) && !may_be_negative => f64::NAN,
                Scale::Linear => *v,
                Scale::Log10 => 10f64.powf(*v),
                Scale::Ln => v.exp(),
            } * unit.in_aa();
        }
        let is_unit_inferred = self.unit.is_none() && unit != Unit::Angstrom;
        let assumed = match scale {
            Scale::Log10 if self.scale.is_none() => Some("log10 of Å"),
            Scale::Ln if self.scale.is_none() => Some("ln of Å"),
            _ => is_unit_inferred.then(|| unit.name()),
        };
        let what = if scale == Scale::Linear { "in " } else { "" };
        let note = assumed.map(|a| format!("wavelengths are assumed to be {what}{a}, from the range of the values"));
        (values, note)
    }
}

/// True for values that count pixels or rows: 0, 1, 2 … or 1, 2, 3 …
pub(crate) fn counts_pixels(values: &[f64]) -> bool {
    values.len() > 1 && values[0].abs() <= 1.0 && values.windows(2).all(|w| w[1] - w[0] == 1.0)
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
        let (log, ln) = (Some(Scale::Log10), Some(Scale::Ln));
        let (aa, nm, um) = (Some(Unit::Angstrom), Some(Unit::Nanometre), Some(Unit::Micrometre));
        for (name, unit, medium, scale, expected_unit) in [
            ("wavelength_air_aa", "", air, None, aa),
            ("log10_wavelength_vac_aa", "", vac, log, aa),
            ("loglam_vac", "", vac, log, None),
            ("LOGLAM", "", None, log, None),
            ("log_lambda", "", None, log, None),
            ("ln_wave", "", None, ln, None),
            ("lnlambda", "Angstrom", None, ln, aa),
            ("waveobs", "", None, None, None),
            ("OPT_WAVE", "Angstrom", None, None, aa),
            ("OPT_WAVE_AIR", "Angstrom", air, None, aa),
            ("Wavelength [nm]", "", None, None, nm),
            ("Wellenlänge [nm]", "", None, None, nm),
            ("lambda(Angstrom)", "", None, None, aa),
            ("WAVE_AIR", "micron", air, None, um),
            ("wavelength", "Angstrom (Vacuum)", vac, None, aa),
            ("wl", "", None, None, None),
        ] {
            assert_eq!(axis(name, unit), Axis { medium, scale, unit: expected_unit }, "{name}");
        }
        assert_eq!(axis("lambda", "log10(Angstrom)").scale, Some(Scale::Log10));
        assert_eq!(axis("spectral_axis", "nm").unit, Some(Unit::Nanometre));
    }

    #[test]
    fn names_of_fluxes_and_errors() {
        assert!(is_flux_error("flux_error") && is_flux_error("E_FLUX") && is_flux_error("sigma"));
        assert!(is_flux_error("OPT_COUNTS_SIG") && is_flux_error("STATERROR"));
        assert!(!is_flux_error("redshift_err") && !is_flux_error("ra_error"));
        for (name, expected) in [
            ("FLUX_REDUCED", Some(Role::Flux)),
            ("intensity", Some(Role::Flux)),
            ("OPT_COUNTS", Some(Role::Flux)),
            ("Fluss", Some(Role::Flux)),
            ("flux_error", Some(Role::Sigma)),
            ("e_flux", Some(Role::Sigma)),
            ("err", Some(Role::Sigma)),
            ("STATERROR", Some(Role::Sigma)),
            ("Fehler", Some(Role::Sigma)),
            ("FLUX_VAR", Some(Role::Variance)),
            ("ivar", Some(Role::Ivar)),
            ("OPT_COUNTS_IVAR", Some(Role::Ivar)),
            // A systematic error does not describe the noise between pixels.
            ("SYSERROR", None),
            ("wave_error", None),
            ("and_mask", None),
        ] {
            assert_eq!(role(name, ""), expected, "{name}");
        }
        for name in ["frequency_THz", "velocity (km/s)", "wavenumber", "energy", "BJD", "time", "pixel"] {
            assert!(role(name, "").is_none() && is_other_axis(name), "{name}");
        }
    }

    #[test]
    fn the_range_of_the_values_gives_the_unit() {
        let unspecified = Axis::default();
        assert_eq!(unspecified.to_aa(vec![3700.0, 9000.0]), (vec![3700.0, 9000.0], None));
        assert_eq!(unspecified.to_aa(vec![514.0, 530.0]).0, [5140.0, 5300.0]);
        assert_eq!(unspecified.to_aa(vec![350.0, 2480.0]).0, [3500.0, 24_800.0]);
        assert_eq!(unspecified.to_aa(vec![1150.0, 3200.0]).0, [1150.0, 3200.0]);
        assert_eq!(unspecified.to_aa(vec![0.4, 0.9]).0, [4000.0, 9000.0]);
        assert!((unspecified.to_aa(vec![3.6, 4.0]).0[1] - 1e4).abs() < 1e-6);
        assert!((unspecified.to_aa(vec![8.2, 8.5]).0[1] - 4_914.768_840_299_134).abs() < 1e-6);
        let micrometres = Axis { unit: Some(Unit::Micrometre), ..unspecified };
        assert_eq!(micrometres.to_aa(vec![3.5, 4.0]).0, [35_000.0, 40_000.0]);
    }

    #[test]
    fn padding_does_not_change_the_unit_and_becomes_nan() {
        let (values, _) = Axis::default().to_aa(vec![0.0, 3.6, 3.7, -1.0, f64::NAN]);
        assert!((values[1] - 3_981.071_705_534_973).abs() < 1e-6, "{values:?}");
        assert!([0, 3, 4].iter().all(|i: &usize| values[*i].is_nan()), "{values:?}");
    }
}
