//! One stellar spectrum, as every later step receives it.
//!
//! Readers bring wavelengths to **vacuum ångström** before they build a [`Spectrum`]; what the file said is kept in
//! [`Meta::medium`], so that the assumption can be shown and changed. Whether the star's own velocity is still in the
//! wavelengths is [`Meta::frame`].

pub mod air_vacuum;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::air_vacuum::{air_to_vacuum_aa, vacuum_to_air_aa};

/// The instrument or survey a spectrum comes from, as recognised from the file's content.
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
    pub const ALL: [Survey; 6] =
        [Survey::LamostLrs, Survey::Sdss, Survey::Miles, Survey::Other, Survey::Desi, Survey::GaiaXp];

    /// The survey of a name.
    pub fn from_name(name: &str) -> Option<Survey> {
        Survey::ALL.into_iter().find(|s| s.name() == name)
    }

    /// Short name, as it stands in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Survey::LamostLrs => "LAMOST LRS",
            Survey::Sdss => "SDSS",
            Survey::Miles => "MILES",
            Survey::Other => "other",
            Survey::Desi => "DESI",
            Survey::GaiaXp => "Gaia XP",
        }
    }

    /// The survey that stands for this one where accuracy is measured: LAMOST for all optical spectra but DESI's, which come
    /// through the same preprocessing at much the same resolving power.
    pub fn measured_as(self) -> Survey {
        match self {
            Survey::Desi | Survey::GaiaXp => self,
            Survey::LamostLrs | Survey::Sdss | Survey::Miles | Survey::Other => Survey::LamostLrs,
        }
    }

    /// Resolving power λ/FWHM near 4800 Å that the survey documents, where it does.
    ///
    /// LAMOST LRS: 1800 (Zhao et al. 2012). SDSS: 1850–2200 over 3800–9000 Å, about 1900 in the model's range (Smee et
    /// al. 2013). MILES: FWHM 2.5 Å (Falcón-Barroso et al. 2011), 1900 at 4750 Å.
    /// DESI: 2000–3200 over 3600–5550 Å (DESI Collaboration 2022), about 2600 here. That of Gaia XP changes too much along
    /// the spectrum to be one number.
    pub fn resolving_power(self) -> Option<f64> {
        match self {
            Survey::LamostLrs => Some(1800.0),
            Survey::Sdss | Survey::Miles => Some(1900.0),
            Survey::Desi => Some(2600.0),
            Survey::Other | Survey::GaiaXp => None,
        }
    }
}

/// What the wavelengths of the file were measured in.
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
            Medium::Air => "air",
            Medium::Vacuum => "vacuum",
        }
    }
}

/// The velocity frame of the wavelengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame {
    /// As received, corrected for the Earth's motion: the star's radial velocity is still in it.
    Barycentric,
    /// As received, with no correction that the file speaks of.
    Topocentric,
    /// Shifted to the star's rest.
    Rest,
}

impl Frame {
    /// `"barycentric"`, `"topocentric"` or `"rest"`.
    pub fn name(self) -> &'static str {
        match self {
            Frame::Barycentric => "barycentric",
            Frame::Topocentric => "topocentric",
            Frame::Rest => "rest",
        }
    }
}

/// A fact about a spectrum together with how it is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Known<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub source: Source,
}

impl<T> Known<T> {
    /// A value with its source.
    pub fn new(value: T, source: Source) -> Self {
        Self { value, source }
    }
}

/// How a fact about a spectrum is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The file's header, column or axis name says it.
    File,
    /// The survey's documentation says it of all its spectra.
    Survey,
    /// Measured from the spectrum itself.
    Estimated,
    /// Nobody says it; the usual case is taken.
    Assumed,
    /// The user said it.
    User,
}

impl Source {
    /// One word for the table and the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Source::File => "file",
            Source::Survey => "survey",
            Source::Estimated => "estimated",
            Source::Assumed => "assumed",
            Source::User => "user",
        }
    }
}

/// Everything known about a spectrum but its samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// The bundle's id; else obsid, plate-mjd-fiber, TARGETID or source_id; else the file's stem.
    pub id: String,
    /// Where it comes from.
    pub survey: Survey,
    /// Layout that was recognised, for people ("LAMOST DR9+ table").
    pub format: String,
    /// Medium of the wavelengths **in the file**; those of the [`Spectrum`] are vacuum.
    pub medium: Known<Medium>,
    /// Velocity frame of the wavelengths.
    pub frame: Known<Frame>,
    /// Resolving power λ/FWHM near 4800 Å, where the file or the survey tells.
    pub resolving_power: Option<Known<f64>>,
    /// True when the file stored wavelengths as 32-bit floats: the published continuum fit depends on it
    /// (MODEL_SPEC §0.7).
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
    /// What the reader noticed and the user should know ("row 2 is a continuum, not wavelengths").
    pub notes: Vec<String>,
}

impl Meta {
    /// A record that claims nothing: survey unknown, vacuum and barycentric assumed.
    pub fn unknown(id: impl Into<String>, format: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            survey: Survey::Other,
            format: format.into(),
            medium: Known::new(Medium::Vacuum, Source::Assumed),
            frame: Known::new(Frame::Barycentric, Source::Assumed),
            resolving_power: None,
            wave_is_f32: false,
            class: None,
            subclass: None,
            redshift: None,
            ra_deg: None,
            dec_deg: None,
            notes: Vec::new(),
        }
    }
}

/// Why samples cannot be a spectrum.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs)]
pub enum SpectrumError {
    #[error("the wavelength axis has {wave} values but {what} has {other}; they must be equally long")]
    Length { wave: usize, what: &'static str, other: usize },
    #[error("only {0} pixels; a spectrum needs at least {MIN_PIXELS}")]
    TooShort(usize),
    #[error("wavelength {value} at pixel {pixel} is not a positive, finite number")]
    Wavelength { pixel: usize, value: f64 },
    #[error(
        "wavelengths do not increase at pixel {pixel}: {before} is followed by {after}; sort the file by wavelength and drop repeated rows"
    )]
    Order { pixel: usize, before: f64, after: f64 },
    #[error("not one pixel has a finite flux that is not masked")]
    Empty,
}

/// Fewest pixels that can be called a spectrum.
pub const MIN_PIXELS: usize = 10;

/// A spectrum: strictly increasing vacuum wavelengths, a flux and a mask for each, inverse variances if known.
///
/// Fluxes of masked pixels are kept as they were in the file (they may be NaN); `ivar` is 0 there.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum {
    /// What is known about it.
    pub meta: Meta,
    wave_vac_aa: Vec<f64>,
    flux: Vec<f64>,
    ivar: Option<Vec<f64>>,
    masked: Vec<bool>,
}

impl Spectrum {
    /// Checks the samples and builds a spectrum. `wave_aa` is in the medium that `meta.medium` names.
    ///
    /// A pixel is masked when `masked` says so, its flux is not finite or is −9999 or −999 (which tables write where nothing
    /// was measured), or its inverse variance is not a positive,
    /// finite number. Wavelengths that only decrease are turned round, with everything that belongs to them.
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

    /// Memory that its samples take, bytes.
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

    /// The same samples read as if the file's wavelengths were in `medium`.
    pub fn with_medium(mut self, medium: Known<Medium>) -> Self {
        match (self.meta.medium.value, medium.value) {
            (Medium::Air, Medium::Vacuum) => self.wave_vac_aa.iter_mut().for_each(|w| *w = vacuum_to_air_aa(*w)),
            (Medium::Vacuum, Medium::Air) => self.wave_vac_aa.iter_mut().for_each(|w| *w = air_to_vacuum_aa(*w)),
            _ => {}
        }
        self.meta.medium = medium;
        self
    }
}
