//! Predictions of the published `SpecCLIP` system (docs/model-spec.md §3.3, §5): the parameters in the order of its
//! catalogue, and the values that its heads predict.

use serde::{Deserialize, Serialize};

/// Type of the input spectra.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Modality {
    /// Optical low-resolution spectra (LAMOST, SDSS, DESI …): continuum-normalised flux on 1,462 pixels.
    Lrs,
    /// Gaia XP spectra: flux relative to 550 nm on 343 pixels.
    Xp,
}

impl Modality {
    /// Name in the published folder: `lrs` or `xp`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lrs => "lrs",
            Self::Xp => "xp",
        }
    }
}

/// Type of head that predicts a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// A multilayer perceptron: value without an error.
    #[serde(rename = "MLP")]
    Mlp,
    /// A normalising flow (simulation-based inference): median and standard deviation of samples.
    #[serde(rename = "SBI")]
    Sbi,
}

impl Method {
    /// Name in the catalogue.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mlp => "MLP",
            Self::Sbi => "SBI",
        }
    }
}

/// A parameter of the published system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "`symbol` and `unit` describe each parameter")]
pub enum Parameter {
    AFe,
    CFe,
    NFe,
    MgFe,
    OFe,
    AlFe,
    SiFe,
    CaFe,
    TiFe,
    MnFe,
    NiFe,
    CrFe,
    Dnu,
    NuMax,
    Mass,
    Rad,
    Age,
    Rv,
    Dpi,
    Teff,
    Logg,
    FeH,
    EBpRp,
}

impl Parameter {
    /// All parameters, in the order of the catalogue.
    pub const ALL: [Self; 23] = {
        use Parameter::*;
        [
            AFe, CFe, NFe, MgFe, OFe, AlFe, SiFe, CaFe, TiFe, MnFe, NiFe, CrFe, Dnu, NuMax, Mass, Rad, Age, Rv, Dpi,
            Teff, Logg, FeH, EBpRp,
        ]
    };

    /// Name in the catalogue: `a_fe`, `teff`.
    pub fn name(self) -> &'static str {
        self.properties().0
    }

    /// Symbol for display: "[α/Fe]", "`T_eff`".
    pub fn symbol(self) -> &'static str {
        self.properties().1
    }

    /// Unit of value and error; for log g, dex of cm s⁻².
    pub fn unit(self) -> &'static str {
        self.properties().2
    }

    /// The parameter with this name: the catalogue's name, or the name in Specola's own models (`feh`, `alpha_fe`).
    pub fn from_name(name: &str) -> Option<Self> {
        let name = match name {
            "feh" => "fe_h",
            "alpha_fe" => "a_fe",
            other => other,
        };
        Self::ALL.into_iter().find(|p| p.name() == name)
    }

    fn properties(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::AFe => ("a_fe", "[α/Fe]", "dex"),
            Self::CFe => ("c_fe", "[C/Fe]", "dex"),
            Self::NFe => ("n_fe", "[N/Fe]", "dex"),
            Self::MgFe => ("mg_fe", "[Mg/Fe]", "dex"),
            Self::OFe => ("o_fe", "[O/Fe]", "dex"),
            Self::AlFe => ("al_fe", "[Al/Fe]", "dex"),
            Self::SiFe => ("si_fe", "[Si/Fe]", "dex"),
            Self::CaFe => ("ca_fe", "[Ca/Fe]", "dex"),
            Self::TiFe => ("ti_fe", "[Ti/Fe]", "dex"),
            Self::MnFe => ("mn_fe", "[Mn/Fe]", "dex"),
            Self::NiFe => ("ni_fe", "[Ni/Fe]", "dex"),
            Self::CrFe => ("cr_fe", "[Cr/Fe]", "dex"),
            Self::Dnu => ("dnu", "Δν", "μHz"),
            Self::NuMax => ("nu_max", "ν_max", "μHz"),
            Self::Mass => ("mass", "Mass", "M☉"),
            Self::Rad => ("rad", "Radius", "R☉"),
            Self::Age => ("age", "Age", "Gyr"),
            Self::Rv => ("rv", "RV", "km/s"),
            Self::Dpi => ("dpi", "ΔΠ₁", "s"),
            Self::Teff => ("teff", "T_eff", "K"),
            Self::Logg => ("logg", "log g", "dex"),
            Self::FeH => ("fe_h", "[Fe/H]", "dex"),
            Self::EBpRp => ("e_bp_rp", "E(BP−RP)", "mag"),
        }
    }
}

/// One value of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SpecClipValue {
    /// The parameter.
    pub parameter: Parameter,
    /// Value, in the parameter's unit.
    pub value: f64,
    /// Standard deviation of the flow's samples; `None` for an MLP.
    pub error: Option<f64>,
    /// Type of the head.
    pub method: Method,
}

#[cfg(test)]
mod tests {
    use super::Parameter;

    #[test]
    fn names_are_parsed_back() {
        for parameter in Parameter::ALL {
            assert_eq!(Parameter::from_name(parameter.name()), Some(parameter));
        }
        assert_eq!(Parameter::from_name("feh"), Some(Parameter::FeH));
        assert_eq!(Parameter::from_name("alpha_fe"), Some(Parameter::AFe));
        assert_eq!(Parameter::from_name("snr"), None);
    }
}
