//! `models/manifest.json`: every shipped model, what it is made from and what it is worth.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::calibration::ErrorModel;
use crate::result::teach::Metrics;
use crate::result::{Calibration, Label, Measure, ModelCard};
use crate::spectrum::Survey;

/// The version of the manifest's layout that this program reads.
pub const FORMAT: u32 = 1;

/// Why a manifest cannot be used.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum ManifestError {
    #[error(
        "the model manifest is not what this version expects ({0}); reload the page, or reinstall the models beside the program"
    )]
    Json(#[from] serde_json::Error),
    #[error("the model manifest has layout {0}, this version reads {FORMAT}; update Specola")]
    Format(u32),
    #[error("the manifest's default model `{0}` is not in it, or gives no labels")]
    Default(String),
}

/// The list of shipped models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Layout of this file.
    pub format: u32,
    /// Name of the model that answers unless another is asked for.
    pub default: String,
    /// All models.
    pub models: Vec<ModelEntry>,
}

/// What a shipped model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Gives labels of spectra.
    #[default]
    Predictor,
    /// Gives spectra of labels.
    Emulator,
    /// Brings spectra of two surveys into one space, and predicts each from the other.
    EncoderPair,
    /// Embeddings of a reference set, made with an encoder pair.
    Index,
}

/// A measured figure that is no label's accuracy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What was measured: "recall@1, LRS → XP".
    pub what: String,
    /// Of which variant or region; empty where there is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub of: String,
    /// On what.
    pub on: String,
    /// Number of spectra, pairs or nodes.
    pub n: usize,
    /// The figure.
    pub value: f64,
}

/// One shipped model. The default has nothing in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelEntry {
    /// `lrs-mlp`.
    pub name: String,
    /// What it is for; only predictors answer for a dropped spectrum.
    #[serde(default, skip_serializing_if = "is_predictor")]
    pub kind: Kind,
    /// Goes up whenever the weights change.
    pub version: u32,
    /// `lrs`: low-resolution optical spectra.
    pub modality: String,
    /// What it predicts.
    pub labels: Vec<Label>,
    /// Name of the preprocessing it was trained behind.
    pub recipe: String,
    /// The spectra and labels it has seen, in a sentence.
    pub trained_on: String,
    /// The command that made it.
    pub command: String,
    /// Seed of its training.
    pub seed: u64,
    /// Licence of the weights.
    pub license: String,
    /// Bytes of the assembled safetensors file.
    pub bytes: u64,
    /// SHA-256 of the assembled file, lower-case hexadecimal.
    pub sha256: String,
    /// Pieces of the file, in order.
    pub chunks: Vec<Chunk>,
    /// Accuracy as measured when it was made.
    pub accuracy: Vec<Accuracy>,
    /// Accuracy on each survey's spectra as `specola evaluate` measured it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub surveys: Vec<Accuracy>,
    /// Whether those errors are right, on stars that it has not learned from, as `specola evaluate` measured it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calibration: Vec<Calibration>,
    /// Errors of its predictions.
    pub errors: Vec<ErrorModel>,
    /// Spectra further than this from the training subspace are flagged (continuum units).
    pub max_distance: f64,
    /// Labels outside of these are flagged as at the grid's edge: lowest and highest that was trained.
    pub label_range: Vec<(Label, f64, f64)>,
    /// What else was measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<Figure>,
    /// The networks' sizes, JSON, where the weights alone do not tell them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub networks: String,
}

fn is_predictor(kind: &Kind) -> bool {
    *kind == Kind::Predictor
}

/// A piece of a weights file, at most 4 MiB, named by its own hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// Path below `models/`.
    pub file: String,
    /// Size.
    pub bytes: u64,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

/// One measured figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Label measured.
    pub label: Label,
    /// On what: "MILES, 5-fold by star and cluster".
    pub on: String,
    /// The survey whose spectra it holds for ([`Survey::measured_as`]).
    #[serde(default = "lamost")]
    pub survey: Survey,
    /// Whether the stars were simulated.
    #[serde(default)]
    pub simulated: bool,
    /// Number of stars.
    pub n: usize,
    /// Mean of predicted − catalogue after 3 σ clipping.
    pub bias: f64,
    /// Standard deviation after 3 σ clipping.
    pub sigma: f64,
    /// Bootstrap standard error of it, whole groups drawn anew.
    pub sigma_se: Option<f64>,
    /// Coefficient of determination, all stars.
    pub r2: f64,
}

/// Before other surveys were measured, all was on spectra like LAMOST's.
fn lamost() -> Survey {
    Survey::LamostLrs
}

impl Accuracy {
    /// From figures of merit, without a standard error.
    pub fn of(label: Label, on: &str, survey: Survey, simulated: bool, metrics: &Metrics) -> Self {
        let Metrics { n, bias, sigma, r2, .. } = *metrics;
        Self { label, on: on.into(), survey, simulated, n, bias, sigma, sigma_se: None, r2 }
    }

    /// What the page shows of it.
    fn measure(&self) -> Measure {
        let n = u32::try_from(self.n).unwrap_or(u32::MAX);
        Measure {
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
        let manifest: Manifest = serde_json::from_slice(json)?;
        if manifest.format != FORMAT {
            return Err(ManifestError::Format(manifest.format));
        }
        if !manifest.get(&manifest.default).is_some_and(|m| is_predictor(&m.kind)) {
            return Err(ManifestError::Default(manifest.default));
        }
        Ok(manifest)
    }

    /// The model of a name.
    pub fn get(&self, name: &str) -> Option<&ModelEntry> {
        self.models.iter().find(|m| m.name == name)
    }

    /// The models that give labels.
    pub fn predictors(&self) -> impl Iterator<Item = &ModelEntry> {
        self.models.iter().filter(|m| is_predictor(&m.kind))
    }

    /// The model that answers unless another is asked for.
    pub fn default_model(&self) -> Option<&ModelEntry> {
        self.get(&self.default)
    }
}

impl ModelEntry {
    /// `lrs-mlp 1`, as it stands beside every result.
    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// What the page says about it.
    pub fn card(&self) -> ModelCard {
        ModelCard {
            name: self.name.clone(),
            version: self.version,
            sha256: self.sha256.clone(),
            trained_on: self.trained_on.clone(),
            accuracy: self.accuracy.iter().chain(&self.surveys).map(Accuracy::measure).collect(),
            calibration: self.calibration.clone(),
            label_range: self.label_range.clone(),
            recipe: self.recipe.clone(),
            command: self.command.clone(),
            license: self.license.clone(),
            bytes: self.bytes,
        }
    }
}
