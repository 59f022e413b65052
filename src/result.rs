//! What the tasks answer, and the form in which it crosses the worker boundary: plain serde types, no tensors.

mod calibration;
pub mod catalogue;
pub mod likes;
pub mod reading;
pub mod teach;

use serde::{Deserialize, Serialize};

pub use calibration::{Calibration, gaussian_share};

use crate::spectrum::{Known, Meta, Spectrum, Survey};

/// A stellar parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// Effective temperature, K.
    Teff,
    /// Surface gravity, log10 of cm s⁻².
    Logg,
    /// [Fe/H], dex.
    Feh,
    /// [α/Fe], dex.
    AlphaFe,
    /// Barycentric radial velocity, km/s.
    Rv,
}

impl Label {
    /// All labels, in the order of tables.
    pub const ALL: [Label; 5] = [Label::Teff, Label::Logg, Label::Feh, Label::AlphaFe, Label::Rv];

    /// Values between which it can be at all: beyond them stands another quantity, another unit, or a code for none.
    pub fn possible(self) -> (f64, f64) {
        match self {
            Label::Teff => (2000.0, 100_000.0),
            Label::Logg => (-1.5, 9.5),
            Label::Feh => (-7.0, 1.5),
            Label::AlphaFe => (-1.0, 1.5),
            Label::Rv => (-2000.0, 2000.0),
        }
    }

    /// Column name: `teff`, `logg`, `feh`, `alpha_fe`, `rv`.
    pub fn name(self) -> &'static str {
        match self {
            Label::Teff => "teff",
            Label::Logg => "logg",
            Label::Feh => "feh",
            Label::AlphaFe => "alpha_fe",
            Label::Rv => "rv",
        }
    }

    /// The label of a column name, if it is one.
    pub fn from_name(name: &str) -> Option<Label> {
        Label::ALL.into_iter().find(|l| l.name() == name)
    }

    /// As people write it: "Teff", "log g", "[Fe/H]".
    pub fn symbol(self) -> &'static str {
        match self {
            Label::Teff => "Teff",
            Label::Logg => "log g",
            Label::Feh => "[Fe/H]",
            Label::AlphaFe => "[α/Fe]",
            Label::Rv => "RV",
        }
    }

    /// Unit, empty for log g by convention.
    pub fn unit(self) -> &'static str {
        match self {
            Label::Teff => "K",
            Label::Logg => "",
            Label::Feh | Label::AlphaFe => "dex",
            Label::Rv => "km/s",
        }
    }
}

/// One predicted parameter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Which parameter.
    pub label: Label,
    /// The value, in the label's unit.
    pub value: f64,
    /// One standard deviation, calibrated on spectra that the model was not trained on.
    pub error: f64,
}

impl Estimate {
    /// Value and error as text; two significant digits of the error decide the decimals. `minus` is the sign to use
    /// (U+2212 on screen, `-` in files).
    pub fn text(&self, minus: char) -> (String, String) {
        let decimals = if self.error.is_finite() && self.error > 0.0 {
            (1 - self.error.log10().floor() as i32).clamp(0, 6) as usize
        } else {
            2
        };
        let sign = |s: String| s.replace('-', &minus.to_string());
        (sign(format!("{:.decimals$}", self.value)), sign(format!("{:.decimals$}", self.error)))
    }
}

/// Something the reader of a result must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Flag {
    /// The survey's pipeline says this is not a star.
    NotStar,
    /// The spectrum lies outside of what the model was trained on.
    OutOfTraining,
    /// The predicted label lies at or beyond the edge of the training grid.
    GridEdge,
    /// The model spectrum at the answer is unlike the star's.
    PoorFit,
    /// S/N below 10 a pixel: errors are extrapolated.
    LowSnr,
    /// No errors in the file: S/N estimated from the scatter between pixels.
    SnrEstimated,
    /// Resolving power below the model's range.
    ResolutionLow,
    /// Resolving power estimated from the spectrum, or assumed.
    ResolutionEstimated,
    /// Less than 90 % of the model's range is there.
    PartialCoverage,
    /// More than 5 % of the model's pixels were masked.
    ManyMasked,
    /// Air or vacuum is assumed: RV may be off by 83 km/s.
    MediumAssumed,
    /// Velocity frame is assumed or has no barycentric correction: RV may be off by up to 30 km/s.
    FrameAssumed,
    /// A label comes from a network that the user taught.
    Taught,
}

impl Flag {
    /// All flags, gravest first.
    pub const ALL: [Flag; 13] = [
        Flag::NotStar,
        Flag::OutOfTraining,
        Flag::GridEdge,
        Flag::PoorFit,
        Flag::LowSnr,
        Flag::SnrEstimated,
        Flag::ResolutionLow,
        Flag::ResolutionEstimated,
        Flag::PartialCoverage,
        Flag::ManyMasked,
        Flag::MediumAssumed,
        Flag::FrameAssumed,
        Flag::Taught,
    ];

    /// The word in the `flags` column; several are joined by `|`.
    pub fn code(self) -> &'static str {
        match self {
            Flag::NotStar => "not_star",
            Flag::OutOfTraining => "out_of_training",
            Flag::GridEdge => "grid_edge",
            Flag::PoorFit => "poor_fit",
            Flag::LowSnr => "low_snr",
            Flag::SnrEstimated => "snr_estimated",
            Flag::ResolutionLow => "resolution_low",
            Flag::ResolutionEstimated => "resolution_estimated",
            Flag::PartialCoverage => "partial_coverage",
            Flag::ManyMasked => "many_masked",
            Flag::MediumAssumed => "medium_assumed",
            Flag::FrameAssumed => "frame_assumed",
            Flag::Taught => "taught",
        }
    }

    /// What it means, in one sentence for the page.
    pub fn meaning(self) -> &'static str {
        match self {
            Flag::NotStar => "Not a star, says the survey's pipeline; stellar parameters mean nothing here.",
            Flag::OutOfTraining => {
                "The spectrum does not look like those the model was trained on; do not rely on its parameters."
            }
            Flag::GridEdge => {
                "The answer lies at the edge of the training grid or beyond it: the star may lie elsewhere."
            }
            Flag::PoorFit => {
                "The model spectrum at this answer is less like the star's than for nearly all stars: the answer may not fit."
            }
            Flag::LowSnr => "S/N below 10 a pixel: the errors are extrapolated.",
            Flag::SnrEstimated => "The file gives no errors; S/N is estimated from the scatter between pixels.",
            Flag::ResolutionLow => "The resolving power is below the range that the model was trained for.",
            Flag::ResolutionEstimated => {
                "The file does not tell the resolving power: it is estimated from the spectrum, or taken as the model's where that fails; set it if you know it."
            }
            Flag::PartialCoverage => {
                "Part of the model's range, 4000–5599 Å, is missing; the errors are larger for it."
            }
            Flag::ManyMasked => "More than 5 % of the model's pixels are masked.",
            Flag::MediumAssumed => {
                "The file does not say air or vacuum; if the assumption is wrong, RV is off by 83 km/s."
            }
            Flag::FrameAssumed => "No barycentric correction is known; RV may be off by up to 30 km/s.",
            Flag::Taught => {
                "A label comes from a network that was taught on labels of the user's, not from the shipped one."
            }
        }
    }

    /// True for flags that put the parameters themselves in doubt, false for remarks.
    pub fn is_grave(self) -> bool {
        use Flag::{GridEdge, LowSnr, NotStar, OutOfTraining, PoorFit, ResolutionLow};
        matches!(self, NotStar | OutOfTraining | GridEdge | PoorFit | LowSnr | ResolutionLow)
    }
}

/// A signal-to-noise ratio a pixel over the model's range, measured or estimated.
pub type Snr = Known<f64>;

/// The answer for one spectrum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Model name and version (`lrs-mlp 1`).
    pub model: String,
    /// SHA-256 of the model's weights, lower-case hexadecimal.
    pub model_sha256: String,
    /// Median S/N a pixel over the model's range.
    pub snr: Option<Snr>,
    /// One entry a label, in the order of [`Label::ALL`].
    pub estimates: Vec<Estimate>,
    /// What to know about it, gravest first.
    pub flags: Vec<Flag>,
    /// What was done to the spectrum before the model saw it.
    pub ledger: Vec<LedgerEntry>,
    /// The label that comes from a network the user taught.
    #[serde(default)]
    pub taught: Option<teach::TaughtValue>,
}

impl Prediction {
    /// Marks it as one whose model spectrum is not that of the star.
    pub fn mark_poor_fit(&mut self) {
        if !self.flags.contains(&Flag::PoorFit) {
            self.flags.push(Flag::PoorFit);
            self.flags.sort_unstable();
        }
    }

    /// The estimate of one label.
    pub fn get(&self, label: Label) -> Option<&Estimate> {
        self.estimates.iter().find(|e| e.label == label)
    }

    /// This answer with a label in it that was taught, and marked; `model` is what was taught, by title and hash.
    pub fn with(mut self, taught: teach::TaughtValue, (model, model_sha256): (String, String)) -> Self {
        if let Some(own) = self.estimates.iter_mut().find(|e| e.label.name() == taught.target) {
            (own.value, own.error) = (taught.value, taught.error);
        }
        self.flags.push(Flag::Taught);
        self.flags.sort_unstable();
        Self { model, model_sha256, taught: Some(taught), ..self }
    }

    /// The same with the label that another model was taught: what that model says besides is left aside.
    pub fn with_taught(self, other: Prediction) -> Self {
        match other.taught {
            Some(taught) => self.with(taught, (other.model, other.model_sha256)),
            None => self,
        }
    }
}

/// One line of the preprocessing ledger: what was done to the samples, and with which numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Name of the step ("continuum").
    pub step: String,
    /// What happened, in words with numbers and units.
    pub did: String,
    /// True when the step assumed or estimated something that the user can correct.
    pub assumed: bool,
}

/// What the table shows of a spectrum before any network has seen it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Everything known about it but its samples.
    pub meta: Meta,
    /// Name of the file it came from.
    pub file: String,
    /// Number of pixels.
    pub n_pixels: usize,
    /// First vacuum wavelength, Å.
    pub wave_min_aa: f64,
    /// Last vacuum wavelength, Å.
    pub wave_max_aa: f64,
}

impl Summary {
    /// The summary of a spectrum from a file.
    pub fn of(file: &str, spectrum: &Spectrum) -> Self {
        let wave = spectrum.wave_vac_aa();
        let (wave_min_aa, wave_max_aa) = (wave[0], wave[wave.len() - 1]);
        Self { meta: spectrum.meta.clone(), file: file.into(), n_pixels: spectrum.len(), wave_min_aa, wave_max_aa }
    }
}

/// The curves of one spectrum, for plotting.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpectrumView {
    /// Vacuum wavelengths of the file's pixels, Å.
    pub wave_vac_aa: Vec<f32>,
    /// Flux as in the file; NaN where it is masked and 0, which is how surveys write that nothing was measured.
    pub flux: Vec<f32>,
    /// σ of the flux; empty without inverse variances.
    pub sigma: Vec<f32>,
    /// Masked pixels as half-open index ranges.
    pub masked: Vec<(u32, u32)>,
    /// Vacuum wavelengths of the continuum, Å (in the frame of `wave_vac_aa`).
    pub continuum_wave_vac_aa: Vec<f32>,
    /// Continuum in the unit of `flux`.
    pub continuum: Vec<f32>,
    /// Vacuum wavelengths of the model's grid, Å, at rest; empty when preprocessing refused the spectrum.
    pub model_wave_vac_aa: Vec<f32>,
    /// What the model sees there: flux over continuum.
    pub model_flux: Vec<f32>,
    /// What was done to get there.
    pub ledger: Vec<LedgerEntry>,
}

/// What the page says about the model that answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// `lrs-mlp`.
    pub name: String,
    /// Version of its weights.
    pub version: u32,
    /// SHA-256 of its weights, lower-case hexadecimal.
    pub sha256: String,
    /// One sentence on what it was trained on.
    pub trained_on: String,
    /// Measured accuracy: of each label first on all stars that it was measured on.
    pub accuracy: Vec<Measure>,
    /// Whether its errors are right, where that was measured.
    pub calibration: Vec<Calibration>,
    /// Lowest and highest of each label that it was trained on.
    pub label_range: Vec<(Label, f64, f64)>,
    /// The preprocessing that it was trained behind.
    pub recipe: String,
    /// The command that made it.
    pub command: String,
    /// Licence of its weights.
    pub license: String,
    /// Download size, bytes.
    pub bytes: u64,
}

impl ModelCard {
    /// The accuracy of a label that holds for a survey's spectra: the first on real stars, else the last on simulated ones,
    /// which is what `specola evaluate` found; `None` where none was measured.
    pub fn measure(&self, label: Label, survey: Survey) -> Option<&Measure> {
        let holds = || self.accuracy.iter().filter(|m| m.label == label && m.survey == survey.measured_as());
        holds().find(|m| !m.is_simulated).or(holds().next_back())
    }
}

/// How good a label was measured to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Which.
    pub label: Label,
    /// On which stars.
    pub on: String,
    /// The survey whose spectra it holds for, of those that stand for others ([`Survey::measured_as`]).
    pub survey: Survey,
    /// Whether the stars were simulated.
    pub is_simulated: bool,
    /// How many.
    pub n: u32,
    /// Mean of predicted − catalogue, in the label's unit.
    pub bias: f64,
    /// Scatter of the same, in the label's unit.
    pub sigma: f64,
}

impl Measure {
    /// `Teff σ 110 K, bias -7 K, N 414`.
    pub fn figures(&self) -> String {
        let Measure { label, n, bias, sigma, .. } = self;
        let d = if *sigma >= 10.0 { 0 } else { 3 };
        let unit = if label.unit().is_empty() { String::new() } else { format!(" {}", label.unit()) };
        format!("{} σ {sigma:.d$}{unit}, bias {bias:+.d$}{unit}, N {n}", label.symbol())
    }
}

/// `Teff σ 110 K, bias -7 K, N 414 (MILES …)`.
impl std::fmt::Display for Measure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.figures(), self.on)
    }
}
