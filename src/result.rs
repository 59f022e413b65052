//! Results of the tasks: plain serde types without tensors, which also cross the worker boundary.

mod calibration;
pub mod specclip;
pub mod similarity;
pub mod diagnostics;
pub mod finetune;
mod withheld;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use calibration::{Calibration, gaussian_coverage};

use crate::spectrum::{Meta, Sourced, Spectrum, Survey};

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
    pub const ALL: [Self; 5] = [Self::Teff, Self::Logg, Self::Feh, Self::AlphaFe, Self::Rv];

    /// Range of physically possible values. A value outside indicates another quantity, another unit, or a code for
    /// missing.
    pub fn physical_range(self) -> (f64, f64) {
        match self {
            Self::Teff => (2000.0, 100_000.0),
            Self::Logg => (-1.5, 9.5),
            Self::Feh => (-7.0, 1.5),
            Self::AlphaFe => (-1.0, 1.5),
            Self::Rv => (-2000.0, 2000.0),
        }
    }

    /// Column name: `teff`, `logg`, `feh`, `alpha_fe`, `rv`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Teff => "teff",
            Self::Logg => "logg",
            Self::Feh => "feh",
            Self::AlphaFe => "alpha_fe",
            Self::Rv => "rv",
        }
    }

    /// The label with this column name; `None` for other names.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|l| l.name() == name)
    }

    /// Symbol for display: "Teff", "log g", "[Fe/H]".
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Teff => "Teff",
            Self::Logg => "log g",
            Self::Feh => "[Fe/H]",
            Self::AlphaFe => "[α/Fe]",
            Self::Rv => "RV",
        }
    }

    /// Unit; empty for log g by convention.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Teff => "K",
            Self::Logg => "",
            Self::Feh | Self::AlphaFe => "dex",
            Self::Rv => "km/s",
        }
    }
}

/// One predicted parameter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The parameter.
    pub label: Label,
    /// The value, in the label's unit.
    pub value: f64,
    /// Standard deviation, calibrated on spectra outside the training set.
    pub error: f64,
}

impl Estimate {
    /// Value and error as text; the first two significant digits of the error determine the number of decimals.
    ///
    /// `minus` is the minus sign: U+2212 on screen, `-` in files.
    pub fn text(&self, minus: char) -> (String, String) {
        let decimals = if self.error.is_finite() && self.error > 0.0 {
            (1 - self.error.log10().floor() as i32).clamp(0, 6) as usize
        } else {
            2
        };
        let with_minus = |s: String| s.replace('-', &minus.to_string());
        (with_minus(format!("{:.decimals$}", self.value)), with_minus(format!("{:.decimals$}", self.error)))
    }
}

/// A caveat on a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Flag {
    /// The survey's pipeline classifies the object as something other than a star.
    NotStar,
    /// Teff lies outside the range of any star; the labels of its network are left out.
    ImpossibleTeff,
    /// [Fe/H] lies outside the range of any star and is left out.
    ImpossibleFeh,
    /// The radial velocity lies outside the range of any star; all labels are left out.
    ImpossibleRv,
    /// The spectrum lies outside the training distribution of the model.
    OutOfTraining,
    /// Hotter than nearly all training stars with a composition.
    HotStar,
    /// The predicted label lies at or beyond the edge of the training grid.
    GridEdge,
    /// The synthetic spectrum at the predicted labels does not match the observed one.
    PoorFit,
    /// S/N below 10 per pixel: errors are extrapolated.
    LowSnr,
    /// No errors in the file: S/N estimated from the scatter between pixels.
    SnrEstimated,
    /// The file lacks the correlations of Gaia XP coefficients, so the errors of the flux may be too small.
    CorrelationsMissing,
    /// Resolving power below the model's range.
    ResolutionLow,
    /// Resolving power estimated from the spectrum, or assumed.
    ResolutionEstimated,
    /// The spectrum covers less than 90 % of the model's wavelength range.
    PartialCoverage,
    /// More than 5 % of the model's pixels were masked.
    ManyMasked,
    /// Air or vacuum is assumed: RV may be off by 83 km/s.
    MediumAssumed,
    /// Velocity frame is assumed or has no barycentric correction: RV may be off by up to 30 km/s.
    FrameAssumed,
    /// A label comes from a model that the user fine-tuned.
    #[serde(alias = "Taught")]
    FinetunedModel,
}

/// Flags of one result, the most severe first.
pub type FlagSet = BTreeSet<Flag>;

impl Flag {
    /// All flags, the most severe first.
    pub const ALL: [Self; 18] = [
        Self::NotStar,
        Self::ImpossibleTeff,
        Self::ImpossibleFeh,
        Self::ImpossibleRv,
        Self::OutOfTraining,
        Self::HotStar,
        Self::GridEdge,
        Self::PoorFit,
        Self::LowSnr,
        Self::SnrEstimated,
        Self::CorrelationsMissing,
        Self::ResolutionLow,
        Self::ResolutionEstimated,
        Self::PartialCoverage,
        Self::ManyMasked,
        Self::MediumAssumed,
        Self::FrameAssumed,
        Self::FinetunedModel,
    ];

    /// Code in the `flags` column, which joins several codes by `|`.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotStar => "not_star",
            Self::ImpossibleTeff => "impossible_teff",
            Self::ImpossibleFeh => "impossible_feh",
            Self::ImpossibleRv => "impossible_rv",
            Self::OutOfTraining => "out_of_training",
            Self::HotStar => "hot_star",
            Self::GridEdge => "grid_edge",
            Self::PoorFit => "poor_fit",
            Self::LowSnr => "low_snr",
            Self::SnrEstimated => "snr_estimated",
            Self::CorrelationsMissing => "correlations_missing",
            Self::ResolutionLow => "resolution_low",
            Self::ResolutionEstimated => "resolution_estimated",
            Self::PartialCoverage => "partial_coverage",
            Self::ManyMasked => "many_masked",
            Self::MediumAssumed => "medium_assumed",
            Self::FrameAssumed => "frame_assumed",
            Self::FinetunedModel => "finetuned",
        }
    }

    /// Meaning, for the page.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::NotStar => {
                "The survey's pipeline classifies this object as not a star; stellar parameters are meaningless."
            }
            Self::ImpossibleTeff => {
                "The predicted Teff lies outside the range of any star, 2000 to 60,000 K. It is left out, with the other labels of its network. Check wavelengths, their unit and the kind of object."
            }
            Self::ImpossibleFeh => {
                "The predicted [Fe/H] lies below −7, outside the range of any star. It is left out. Check the wavelengths and the kind of object."
            }
            Self::ImpossibleRv => {
                "The predicted RV lies outside ±1500 km/s, the range of any star. All labels are left out. Check wavelengths, their unit and the medium."
            }
            Self::OutOfTraining => {
                "The spectrum lies outside the training distribution of the model; do not rely on its parameters."
            }
            Self::HotStar => {
                "Hotter than nearly all training stars of known composition: Teff is uncertain, and [Fe/H] and [α/Fe] are not given."
            }
            Self::GridEdge => {
                "A predicted label lies at or beyond the edge of the training grid; the true value may lie elsewhere."
            }
            Self::PoorFit => {
                "The synthetic spectrum at the predicted labels matches the observed one worse than for nearly all stars; the labels may be wrong."
            }
            Self::LowSnr => "S/N below 10 per pixel: the errors are extrapolated.",
            Self::SnrEstimated => {
                "The file gives no usable flux errors; S/N is estimated from the scatter between pixels."
            }
            Self::CorrelationsMissing => {
                "The file has no correlations of the Gaia XP coefficients. Without them the errors of the flux are wrong: on real stars they are 0.6 to 2.3 times the right ones."
            }
            Self::ResolutionLow => "The resolving power is below the range that the model was trained for.",
            Self::ResolutionEstimated => {
                "The file does not give the resolving power. It is estimated from the spectrum; where that fails, the model's is assumed. Set it if you know it."
            }
            Self::PartialCoverage => "Part of the model's range, 4000–5599 Å, is missing; the errors are larger.",
            Self::ManyMasked => "More than 5 % of the model's pixels are masked.",
            Self::MediumAssumed => {
                "The file does not say air or vacuum; if the assumption is wrong, RV is off by 83 km/s."
            }
            Self::FrameAssumed => {
                "The velocity frame is topocentric, or the file does not state it and barycentric is assumed. In a topocentric frame, RV is off by up to 30 km/s."
            }
            Self::FinetunedModel => {
                "A label comes from a model that was fine-tuned on the user's labels, not from the shipped model."
            }
        }
    }

    /// True for a flag that makes the parameters unreliable; false for a note.
    pub fn is_severe(self) -> bool {
        use Flag::{
            GridEdge, HotStar, ImpossibleFeh, ImpossibleRv, ImpossibleTeff, LowSnr, NotStar, OutOfTraining, PoorFit,
            ResolutionLow,
        };
        matches!(
            self,
            NotStar
                | ImpossibleTeff
                | ImpossibleFeh
                | ImpossibleRv
                | OutOfTraining
                | HotStar
                | GridEdge
                | PoorFit
                | LowSnr
                | ResolutionLow
        )
    }
}

/// Signal-to-noise ratio per pixel over the model's range, measured or estimated.
pub type Snr = Sourced<f64>;

/// The prediction for one spectrum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Model name and version (`lrs-mlp 1`).
    pub model: String,
    /// SHA-256 of the model's weights, lower-case hexadecimal.
    pub model_sha256: String,
    /// Median S/N per pixel over the model's range.
    pub snr: Option<Snr>,
    /// One estimate per label, in the order of [`Label::ALL`].
    pub estimates: Vec<Estimate>,
    /// Flags, the most severe first.
    pub flags: FlagSet,
    /// Preprocessing steps, in order.
    #[serde(alias = "ledger")]
    pub processing_history: Vec<ProcessingStep>,
    /// The label predicted by a model that the user fine-tuned.
    #[serde(default, alias = "taught")]
    pub finetuned: Option<finetune::FinetunedEstimate>,
}

impl Prediction {
    /// False for a star unlike those on which the model's accuracy was measured: the accuracy of Gaia XP spectra is that of
    /// cooler stars.
    pub fn has_measured_accuracy(&self) -> bool {
        !self.flags.contains(&Flag::HotStar)
    }

    /// Adds [`Flag::PoorFit`].
    pub fn flag_poor_fit(&mut self) {
        self.flags.insert(Flag::PoorFit);
    }

    /// The estimate of one label.
    pub fn get(&self, label: Label) -> Option<&Estimate> {
        self.estimates.iter().find(|e| e.label == label)
    }

    /// This prediction with one label replaced by the estimate of a fine-tuned model, and flagged.
    ///
    /// `model` is the title and the SHA-256 of the fine-tuned model.
    pub fn replace_label(
        mut self,
        finetuned: finetune::FinetunedEstimate,
        (model, model_sha256): (String, String),
    ) -> Self {
        if let Some(estimate) = self.estimates.iter_mut().find(|e| e.label.name() == finetuned.target) {
            (estimate.value, estimate.error) = (finetuned.value, finetuned.error);
        }
        self.flags.insert(Flag::FinetunedModel);
        Self { model, model_sha256, finetuned: Some(finetuned), ..self }
    }

    /// This prediction with the fine-tuned label of another model; the other labels of that model are ignored.
    pub fn with_finetuned(self, other: Self) -> Self {
        match other.finetuned {
            Some(finetuned) => self.replace_label(finetuned, (other.model, other.model_sha256)),
            None => self,
        }
    }
}

/// One preprocessing step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessingStep {
    /// Name of the step ("continuum").
    pub step: String,
    /// Description in words, with numbers and units.
    #[serde(alias = "did")]
    pub description: String,
    /// True when the step assumed or estimated a quantity that the user can correct.
    #[serde(alias = "assumed")]
    pub is_assumed: bool,
}

/// Metadata of a spectrum, for the table; no model is needed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Metadata of the spectrum.
    pub meta: Meta,
    /// Name of the source file.
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
    /// Flux as in the file. NaN where the pixel is masked and the flux is 0: surveys write 0 for missing data.
    pub flux: Vec<f32>,
    /// σ of the flux; empty without inverse variances.
    pub sigma: Vec<f32>,
    /// Masked pixels as half-open index ranges.
    pub masked: Vec<(u32, u32)>,
    /// Vacuum wavelengths of the continuum, Å (in the frame of `wave_vac_aa`).
    pub continuum_wave_vac_aa: Vec<f32>,
    /// Continuum in the unit of `flux`.
    pub continuum: Vec<f32>,
    /// Rest-frame vacuum wavelengths of the model grid, Å; empty when preprocessing failed.
    pub model_wave_vac_aa: Vec<f32>,
    /// Normalised flux on the model grid: the input of the model.
    pub model_flux: Vec<f32>,
    /// Preprocessing steps, in order.
    #[serde(alias = "ledger")]
    pub processing_history: Vec<ProcessingStep>,
}

/// Description of a model, for the page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// Name, for example `lrs-mlp`.
    pub name: String,
    /// Version of its weights.
    pub version: u32,
    /// SHA-256 of its weights, lower-case hexadecimal.
    pub sha256: String,
    /// Training data in one sentence.
    pub trained_on: String,
    /// Measured accuracy; for each label, the value over all test stars comes first.
    pub accuracy: Vec<LabelAccuracy>,
    /// Error calibration, where measured.
    pub calibration: Vec<Calibration>,
    /// Minimum and maximum of each label in the training set.
    pub label_range: Vec<(Label, f64, f64)>,
    /// Name of the preprocessing recipe used in training.
    pub recipe: String,
    /// Command that produced the model.
    pub command: String,
    /// Licence of its weights.
    pub license: String,
    /// Download size, bytes.
    pub bytes: u64,
}

impl ModelCard {
    /// Accuracy of a label for spectra of a survey; `None` if it was not measured.
    ///
    /// The first entry for real stars; without one, the last entry for simulated stars (from `specola evaluate`).
    pub fn accuracy_of(&self, label: Label, survey: Survey) -> Option<&LabelAccuracy> {
        let matching = || self.accuracy.iter().filter(|m| m.label == label && m.survey == survey.accuracy_survey());
        matching().find(|m| !m.is_simulated).or(matching().next_back())
    }
}

/// Measured accuracy of one label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelAccuracy {
    /// The label.
    pub label: Label,
    /// Test set.
    pub on: String,
    /// Survey whose spectra the accuracy applies to ([`Survey::accuracy_survey`]).
    pub survey: Survey,
    /// True when the test spectra were simulated.
    pub is_simulated: bool,
    /// Number of spectra.
    pub n: u32,
    /// Mean of predicted − catalogue, in the label's unit.
    pub bias: f64,
    /// Scatter of predicted − catalogue, in the label's unit.
    pub sigma: f64,
}

impl LabelAccuracy {
    /// The accuracy as text: `Teff σ 110 K, bias -7 K, N 414`.
    pub fn figures(&self) -> String {
        let Self { label, n, bias, sigma, .. } = self;
        let decimals = if *sigma >= 10.0 { 0 } else { 3 };
        let unit = if label.unit().is_empty() { String::new() } else { format!(" {}", label.unit()) };
        format!("{} σ {sigma:.decimals$}{unit}, bias {bias:+.decimals$}{unit}, N {n}", label.symbol())
    }
}

/// The accuracy with its test set: `Teff σ 110 K, bias -7 K, N 414 (MILES …)`.
impl std::fmt::Display for LabelAccuracy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.figures(), self.on)
    }
}
