//! `models/manifest.json`: every shipped model with its origin and its accuracy.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::calibration::ErrorModel;
use crate::result::finetune::Metrics;
use crate::result::{Calibration, Label, LabelAccuracy, ModelCard};
use crate::spectrum::Survey;

/// Layout version of the manifest that this program reads.
pub const FORMAT: u32 = 1;

/// Error of a manifest.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum ManifestError {
    #[error(
        "the model manifest is invalid for this version ({0}); reload the page, or reinstall the program's models folder"
    )]
    Json(#[from] serde_json::Error),
    #[error("the model manifest has layout version {0}; this program reads version {FORMAT}. Update Specola")]
    Format(u32),
    #[error(
        "the manifest's default model `{0}` is missing from the manifest or does not predict labels; reinstall the models"
    )]
    Default(String),
}

/// The list of shipped models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Layout version of this file.
    pub format: u32,
    /// Name of the default model for predictions.
    pub default: String,
    /// All models.
    pub models: Vec<ModelEntry>,
}

/// Purpose of a shipped model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Predicts labels from spectra.
    #[default]
    Predictor,
    /// Predicts labels from Gaia XP spectra.
    XpPredictor,
    /// Gives the joint density of the labels of Gaia XP spectra.
    XpPosterior,
    /// Computes spectra from labels.
    Emulator,
    /// Embeds spectra of two surveys in one space, and predicts each survey from the other.
    EncoderPair,
    /// Embeddings of a reference set, computed with an encoder pair.
    Index,
}

/// A measured number other than the accuracy of a label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The measured quantity: "recall@1, LRS → XP".
    #[serde(rename = "what")]
    pub quantity: String,
    /// The variant or region; empty if there is only one.
    #[serde(rename = "of", default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// The data set.
    #[serde(rename = "on")]
    pub data_set: String,
    /// Number of spectra, pairs or nodes.
    pub n: usize,
    /// The value.
    pub value: f64,
}

/// One shipped model. Its `Default` is empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelEntry {
    /// Name, for example `lrs-mlp`.
    pub name: String,
    /// Purpose; only predictors process an opened spectrum.
    #[serde(default, skip_serializing_if = "is_predictor")]
    pub kind: Kind,
    /// Version, which increases when the weights change.
    pub version: u32,
    /// Type of input: `lrs` for low-resolution optical spectra.
    pub modality: String,
    /// Predicted labels.
    pub labels: Vec<Label>,
    /// Name of the preprocessing in training and prediction.
    pub recipe: String,
    /// Spectra and labels of the training set, in one sentence.
    pub trained_on: String,
    /// Command that produced the model.
    pub command: String,
    /// Random seed of the training.
    pub seed: u64,
    /// Licence of the weights.
    pub license: String,
    /// Size of the assembled safetensors file, bytes.
    pub bytes: u64,
    /// SHA-256 of the assembled file, lower-case hexadecimal.
    pub sha256: String,
    /// Chunks of the file, in order.
    pub chunks: Vec<Chunk>,
    /// Accuracy, measured after training.
    pub accuracy: Vec<Accuracy>,
    /// Accuracy on each survey's spectra, measured by `specola evaluate`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub surveys: Vec<Accuracy>,
    /// Calibration of the errors on stars outside the training set, measured by `specola evaluate`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calibration: Vec<Calibration>,
    /// Error model of each label.
    pub errors: Vec<ErrorModel>,
    /// Largest distance from the training subspace, in continuum units; spectra beyond it are flagged.
    pub max_distance: f64,
    /// Lowest and highest training value of each label; predictions outside are flagged as at the grid's edge.
    pub label_range: Vec<(Label, f64, f64)>,
    /// Other measurements.
    #[serde(rename = "figures", default, skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<Measurement>,
    /// Sizes of the networks as JSON, if the weights alone do not determine them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub networks: String,
}

fn is_predictor(kind: &Kind) -> bool {
    *kind == Kind::Predictor
}

/// A chunk of a weights file: at most 4 MiB, named by its own hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// Path below `models/`.
    pub file: String,
    /// Size, bytes.
    pub bytes: u64,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

/// Measured accuracy of one label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// The label.
    pub label: Label,
    /// The data set: "MILES, 5-fold cross-validation by star and cluster".
    pub on: String,
    /// Survey to whose spectra the figures apply ([`Survey::accuracy_survey`]).
    #[serde(default = "lamost")]
    pub survey: Survey,
    /// Whether the spectra are simulated.
    #[serde(default)]
    pub simulated: bool,
    /// Number of stars.
    pub n: usize,
    /// Mean of predicted − catalogue after 3 σ clipping.
    pub bias: f64,
    /// Standard deviation after 3 σ clipping.
    pub sigma: f64,
    /// Bootstrap standard error of `sigma`, from resampling whole groups.
    pub sigma_se: Option<f64>,
    /// Coefficient of determination of all stars.
    pub r2: f64,
}

/// Default survey: manifests from before the measurements of other surveys contain only spectra similar to LAMOST's.
fn lamost() -> Survey {
    Survey::LamostLrs
}

impl Accuracy {
    /// Accuracy from figures of merit, without a standard error.
    pub fn of(label: Label, on: &str, survey: Survey, simulated: bool, metrics: &Metrics) -> Self {
        let Metrics { n, bias, sigma, r2, .. } = *metrics;
        Self { label, on: on.into(), survey, simulated, n, bias, sigma, sigma_se: None, r2 }
    }

    /// The figures for the page.
    fn label_accuracy(&self) -> LabelAccuracy {
        let n = u32::try_from(self.n).unwrap_or(u32::MAX);
        LabelAccuracy {
            label: self.label,
            on: self.on.clone(),
            survey: self.survey,
            is_simulated: self.simulated,
            n,
            bias: self.bias,
            sigma: self.sigma,
        }
    }
}

impl Manifest {
    /// Reads a manifest.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = serde_json::from_slice(json)?;
        if manifest.format != FORMAT {
            return Err(ManifestError::Format(manifest.format));
        }
        if !manifest.get(&manifest.default).is_some_and(|m| is_predictor(&m.kind)) {
            return Err(ManifestError::Default(manifest.default));
        }
        Ok(manifest)
    }

    /// The model with this name.
    pub fn get(&self, name: &str) -> Option<&ModelEntry> {
        self.models.iter().find(|m| m.name == name)
    }

    /// The models that predict labels.
    pub fn predictors(&self) -> impl Iterator<Item = &ModelEntry> {
        self.models.iter().filter(|m| is_predictor(&m.kind))
    }

    /// The default model for predictions.
    pub fn default_model(&self) -> Option<&ModelEntry> {
        self.get(&self.default)
    }
}

impl ModelEntry {
    /// True if the manifest states the range of a label's values in the training set.
    pub fn is_trained_for(&self, label: Label) -> bool {
        self.label_range.iter().any(|(trained, ..)| *trained == label)
    }

    /// Name and version, shown with every result: `lrs-mlp 1`.
    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// The model card on the page.
    pub fn card(&self) -> ModelCard {
        ModelCard {
            name: self.name.clone(),
            version: self.version,
            sha256: self.sha256.clone(),
            trained_on: self.trained_on.clone(),
            accuracy: self.accuracy.iter().chain(&self.surveys).map(Accuracy::label_accuracy).collect(),
            calibration: self.calibration.clone(),
            label_range: self.label_range.clone(),
            recipe: self.recipe.clone(),
            command: self.command.clone(),
            license: self.license.clone(),
            bytes: self.bytes,
        }
    }
}
