//! One stellar spectrum, in the form that every later step receives.
//!
//! The wavelengths of a [`Spectrum`] are in **vacuum ångström**: [`Spectrum::new`] converts air wavelengths.
//! [`Meta::medium`] records the medium of the wavelengths in the file, so that the user can see and change the
//! assumption. [`Meta::frame`] says whether the wavelengths still contain the star's radial velocity.

pub mod air_vacuum;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::air_vacuum::{air_to_vacuum_aa, vacuum_to_air_aa};

/// The instrument or survey of a spectrum, recognised from the content of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Survey {
    /// LAMOST low-resolution survey, R ≈ 1800, 3700–9100 Å.
    LamostLrs,
    /// SDSS or BOSS single-object spectrum, R ≈ 1500–2500.
    Sdss,
    /// MILES stellar library, FWHM 2.5 Å.
    Miles,
    /// Anything else with wavelengths and fluxes.
    Other,
    /// DESI, R ≈ 2000–5500, 3600–9824 Å.
    Desi,
    /// Gaia BP and RP, sampled, R ≈ 30–100, 3360–10200 Å.
    GaiaXp,
}

impl Survey {
    /// All surveys.
    pub const ALL: [Self; 6] = [Self::LamostLrs, Self::Sdss, Self::Miles, Self::Other, Self::Desi, Self::GaiaXp];

    /// The survey whose [`Survey::name`] is `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }

    /// Short name, as written in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::LamostLrs => "LAMOST LRS",
            Self::Sdss => "SDSS",
            Self::Miles => "MILES",
            Self::Other => "other",
            Self::Desi => "DESI",
            Self::GaiaXp => "Gaia XP",
        }
    }

    /// The survey whose measured accuracy applies to spectra of this survey.
    ///
    /// LAMOST represents all optical spectra except DESI's, because they pass through the same preprocessing at a
    /// similar resolving power.
    pub fn accuracy_survey(self) -> Self {
        match self {
            Self::Desi | Self::GaiaXp => self,
            Self::LamostLrs | Self::Sdss | Self::Miles | Self::Other => Self::LamostLrs,
        }
    }

    /// Documented resolving power λ/FWHM of the survey near 4800 Å; `None` if the survey has no single value.
    ///
    /// LAMOST LRS: 1800 (Zhao et al. 2012). SDSS: 1850–2200 over 3800–9000 Å, about 1900 in the model's range (Smee et
    /// al. 2013). MILES: FWHM 2.5 Å (Falcón-Barroso et al. 2011), 1900 at 4750 Å. DESI: 2000–3200 over 3600–5550 Å
    /// (DESI Collaboration 2022), about 2600 near 4800 Å. The resolving power of Gaia XP changes too much along the
    /// spectrum for a single number.
    pub fn resolving_power(self) -> Option<f64> {
        match self {
            Self::LamostLrs => Some(1800.0),
            Self::Sdss | Self::Miles => Some(1900.0),
            Self::Desi => Some(2600.0),
            Self::Other | Self::GaiaXp => None,
        }
    }
}

/// The medium, air or vacuum, to which wavelengths refer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Medium {
    /// Standard air, 15 °C and 1 atm.
    Air,
    /// Vacuum.
    Vacuum,
}

impl Medium {
    /// `"air"` or `"vacuum"`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Air => "air",
            Self::Vacuum => "vacuum",
        }
    }
}

/// The velocity frame of the wavelengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame {
    /// As observed, corrected for the Earth's motion; the star's radial velocity is still present.
    Barycentric,
    /// As observed, without correction for the Earth's motion.
    Topocentric,
    /// The rest frame of the star.
    Rest,
}

impl Frame {
    /// `"barycentric"`, `"topocentric"` or `"rest"`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Barycentric => "barycentric",
            Self::Topocentric => "topocentric",
            Self::Rest => "rest",
        }
    }
}

/// A value that describes a spectrum, with the source of the value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub source: Source,
}

impl<T> Sourced<T> {
    /// A value with its source.
    pub fn new(value: T, source: Source) -> Self {
        Self { value, source }
    }
}

/// Source of a value that describes a spectrum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The file states it: in a header keyword, a column name or an axis name.
    File,
    /// The survey's documentation states it for all spectra of the survey.
    Survey,
    /// Measured from the spectrum itself.
    Estimated,
    /// Neither the file nor the survey states it; this is the default.
    Assumed,
    /// The user chose it.
    User,
}

impl Source {
    /// One word for the table and the processing history.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Survey => "survey",
            Self::Estimated => "estimated",
            Self::Assumed => "assumed",
            Self::User => "user",
        }
    }
}

/// Metadata of a spectrum: all information except the samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Identifier: the id in the bundle; else obsid, plate-mjd-fiber, TARGETID or `source_id`; else the file name without
    /// extension.
    pub id: String,
    /// Survey or instrument.
    pub survey: Survey,
    /// Recognised file layout, as shown to the user ("LAMOST DR9+ table").
    pub format: String,
    /// Medium of the wavelengths **in the file**; the wavelengths of the [`Spectrum`] are always vacuum.
    pub medium: Sourced<Medium>,
    /// Velocity frame of the wavelengths.
    pub frame: Sourced<Frame>,
    /// Resolving power λ/FWHM near 4800 Å, if the file or the survey states it.
    pub resolving_power: Option<Sourced<f64>>,
    /// True when the file stored wavelengths as 32-bit floats. The published continuum fit depends on this
    /// (docs/model-spec.md §0.7).
    pub wave_is_f32: bool,
    /// The survey pipeline's class ("STAR", "QSO", "GALAXY"), as the file spells it.
    pub class: Option<String>,
    /// The survey pipeline's subclass ("G7").
    pub subclass: Option<String>,
    /// The survey pipeline's redshift.
    pub redshift: Option<f64>,
    /// Right ascension, degrees.
    pub ra_deg: Option<f64>,
    /// Declination, degrees.
    pub dec_deg: Option<f64>,
    /// True if the errors of the flux follow from errors of coefficients whose correlations the file lacks. They
    /// may be too small.
    #[serde(default)]
    pub errors_lack_correlations: bool,
    /// Remarks of the reader for the user ("row 2 is a continuum, not wavelengths").
    pub notes: Vec<String>,
}

impl Meta {
    /// Metadata of a spectrum of unknown survey; vacuum and barycentric are assumed.
    pub fn unknown(id: impl Into<String>, format: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            survey: Survey::Other,
            format: format.into(),
            medium: Sourced::new(Medium::Vacuum, Source::Assumed),
            frame: Sourced::new(Frame::Barycentric, Source::Assumed),
            resolving_power: None,
            wave_is_f32: false,
            class: None,
            subclass: None,
            redshift: None,
            ra_deg: None,
            dec_deg: None,
            errors_lack_correlations: false,
            notes: Vec::new(),
        }
    }
}

/// The reason why samples do not form a valid spectrum.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum SpectrumError {
    #[error("the wavelength axis has {wave} values but {what} has {other}; their lengths must be equal")]
    Length { wave: usize, what: &'static str, other: usize },
    #[error("only {0} pixels; a spectrum needs at least {MIN_PIXELS}")]
    TooShort(usize),
    #[error("{0} pixels, more than the {MAX_PIXELS} of the longest spectrum that is read; cut it into parts")]
    TooLong(usize),
    #[error("wavelength {value} at pixel {pixel} is not a positive, finite number")]
    Wavelength { pixel: usize, value: f64 },
    #[error(
        "wavelengths do not increase at pixel {pixel}: {before} is followed by {after}; sort the file by wavelength and drop repeated rows"
    )]
    Order { pixel: usize, before: f64, after: f64 },
    #[error("no unmasked pixel has a finite flux")]
    Empty,
}

/// Minimum number of pixels of a spectrum.
pub const MIN_PIXELS: usize = 10;

/// Maximum number of pixels of a spectrum, some ten times those of the longest echelle spectra. Reading and preparing a
/// spectrum takes about 200 bytes a pixel.
pub const MAX_PIXELS: usize = 4 << 20;

/// Ratio FWHM/σ of a Gaussian.
pub const FWHM_OVER_SIGMA: f64 = 2.354_820_045;

/// A spectrum: strictly increasing vacuum wavelengths, with flux and mask for each pixel, and inverse variances if
/// known.
///
/// Masked pixels keep the flux of the file, which may be NaN; their `ivar` is 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum {
    /// Metadata.
    pub meta: Meta,
    wave_vac_aa: Vec<f64>,
    flux: Vec<f64>,
    ivar: Option<Vec<f64>>,
    masked: Vec<bool>,
}

impl Spectrum {
    /// Checks the samples and builds a spectrum. `wave_aa` is in the medium that `meta.medium` names, in Å.
    ///
    /// A pixel is masked if `masked` is true for it, if its flux is not finite, or if its inverse variance is not a
    /// positive, finite number. Fluxes of −9999 and −999 are masked too, because tables write these numbers for missing
    /// values. Strictly decreasing wavelengths are reversed, together with flux, inverse variance and mask.
    pub fn new(
        meta: Meta,
        mut wave_aa: Vec<f64>,
        mut flux: Vec<f64>,
        mut ivar: Option<Vec<f64>>,
        mut masked: Option<Vec<bool>>,
    ) -> Result<Self, SpectrumError> {
        let n = wave_aa.len();
        let check =
            |what, other: usize| if other == n { Ok(()) } else { Err(SpectrumError::Length { wave: n, what, other }) };
        check("the flux", flux.len())?;
        check("the inverse variance", ivar.as_ref().map_or(n, Vec::len))?;
        check("the mask", masked.as_ref().map_or(n, Vec::len))?;
        if n < MIN_PIXELS {
            return Err(SpectrumError::TooShort(n));
        }
        if n > MAX_PIXELS {
            return Err(SpectrumError::TooLong(n));
        }
        if let Some(pixel) = wave_aa.iter().position(|w| !w.is_finite() || *w <= 0.0) {
            return Err(SpectrumError::Wavelength { pixel, value: wave_aa[pixel] });
        }
        if wave_aa.windows(2).all(|w| w[1] < w[0]) {
            wave_aa.reverse();
            flux.reverse();
            ivar.iter_mut().for_each(|v| v.reverse());
            masked.iter_mut().for_each(|v| v.reverse());
        }
        if let Some(i) = wave_aa.windows(2).position(|w| w[1] <= w[0]) {
            return Err(SpectrumError::Order { pixel: i + 1, before: wave_aa[i], after: wave_aa[i + 1] });
        }
        let mut masked = masked.unwrap_or_else(|| vec![false; n]);
        for (bad, f) in masked.iter_mut().zip(&flux) {
            *bad |= !f.is_finite() || *f == -9999.0 || *f == -999.0;
        }
        if let Some(ivar) = &mut ivar {
            for (bad, v) in masked.iter_mut().zip(ivar.iter_mut()) {
                *bad |= !(v.is_finite() && *v > 0.0);
                if *bad {
                    *v = 0.0;
                }
            }
        }
        if masked.iter().all(|bad| *bad) {
            return Err(SpectrumError::Empty);
        }
        if meta.medium.value == Medium::Air {
            wave_aa.iter_mut().for_each(|w| *w = air_to_vacuum_aa(*w));
        }
        Ok(Self { meta, wave_vac_aa: wave_aa, flux, ivar, masked })
    }

    /// Vacuum wavelengths in Å, strictly increasing.
    pub fn wave_vac_aa(&self) -> &[f64] {
        &self.wave_vac_aa
    }

    /// Flux in the file's unit.
    pub fn flux(&self) -> &[f64] {
        &self.flux
    }

    /// Inverse variance in 1/flux², 0 where masked; `None` when the file gives none.
    pub fn ivar(&self) -> Option<&[f64]> {
        self.ivar.as_deref()
    }

    /// True where a pixel must not be used.
    pub fn masked(&self) -> &[bool] {
        &self.masked
    }

    /// Memory used by the samples, in bytes.
    pub fn bytes(&self) -> usize {
        self.len() * (if self.ivar.is_some() { 3 } else { 2 } * size_of::<f64>() + size_of::<bool>())
    }

    /// Number of pixels.
    pub fn len(&self) -> usize {
        self.wave_vac_aa.len()
    }

    /// Never true: a spectrum has at least [`MIN_PIXELS`] pixels.
    pub fn is_empty(&self) -> bool {
        self.wave_vac_aa.is_empty()
    }

    /// The same samples, with the file's wavelengths interpreted as wavelengths in `medium`.
    pub fn with_medium(mut self, medium: Sourced<Medium>) -> Self {
        match (self.meta.medium.value, medium.value) {
            (Medium::Air, Medium::Vacuum) => self.wave_vac_aa.iter_mut().for_each(|w| *w = vacuum_to_air_aa(*w)),
            (Medium::Vacuum, Medium::Air) => self.wave_vac_aa.iter_mut().for_each(|w| *w = air_to_vacuum_aa(*w)),
            _ => {}
        }
        self.meta.medium = medium;
        self
    }
}
