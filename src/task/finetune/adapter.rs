//! The adapter file: safetensors with a card. An adapter works only with its base network.
//!
//! The card is JSON in the file's metadata. An adapter may come from anyone. So the reader bounds all sizes, requires
//! the shapes that the card and the network imply, and rejects numbers that are not finite.

use std::io::Read;

use thiserror::Error;

use super::feature_cache::{FeatureCache, FinetuneError};
use super::finetuned_model::FinetunedModel;
use super::split::Split;
use crate::model::store::sha256_hex;
use crate::nn::checksum::{self, Damaged};
use crate::nn::state_dict::parameters;
use crate::nn::weights::{Tensors, WeightsError};
use crate::result::finetune::{AdapterCard, Metrics, Settings};
use crate::stats::median;
use crate::task::predict::{LabelInput, Predictor};

/// Version of the file format that this program writes.
pub const FORMAT: u32 = 3;

/// Oldest version that it reads. An adapter of this version with a GP correction is refused: the correction was another.
pub const OLDEST_FORMAT: u32 = 2;

/// Beginning of the names of that correction's arrays.
const EARLIER_GP: &str = "closed_form.";

/// Largest file accepted, bytes.
pub const MAX_BYTES: usize = 64 << 20;

/// Largest header (names, shapes and card), bytes.
const MAX_HEADER: u64 = 1 << 20;

/// Metadata key of the card.
const CARD: &str = "specola-adapter";

/// Why an adapter cannot be used.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum AdapterError {
    #[error("the adapter file has {0} bytes; the limit is {MAX_BYTES} bytes; export the adapter again")]
    TooLarge(usize),
    #[error("this file is not a Specola adapter ({0}); save one with Fine-tune or `specola finetune -o`")]
    NotAnAdapter(String),
    #[error(transparent)]
    Damaged(#[from] Damaged),
    #[error("this adapter has file format {found}; this version of Specola reads formats {OLDEST_FORMAT} to {FORMAT}; {}", if *.found < FORMAT { "fine-tune it again" } else { "update Specola" })]
    Format { found: u32 },
    #[error(
        "this adapter needs the base model {base} ({}…); the model in use is {found} ({}…). Choose {base}, or fine-tune {found}", sha256_prefix(.base_sha256), sha256_prefix(.found_sha256)
    )]
    OtherBase { base: String, base_sha256: String, found: String, found_sha256: String },
    #[error("this adapter needs the preprocessing {found}; the model uses {expected}. Fine-tune the model again")]
    Recipe { found: String, expected: String },
    #[error(
        "this adapter contains the Gaussian-process correction of an earlier Specola, which used synthetic spectra; this version has another. Fine-tune again"
    )]
    EarlierGp,
    #[error("the adapter's card is invalid: {0}; save it again")]
    Card(String),
    #[error("the adapter's arrays do not fit: {0}")]
    Weights(#[from] WeightsError),
}

/// The card of a model fine-tuned on the labelled set of `cache`.
///
/// `metrics` are measured on held-out spectra, "all" first; `measured_by` names the method. They give the error of the
/// predictions. Without metrics the error is the standard deviation of the labels.
pub fn card(
    cache: &FeatureCache,
    split: &Split,
    model: &FinetunedModel,
    settings: &Settings,
    metrics: Vec<(String, Metrics)>,
    measured_by: &str,
) -> AdapterCard {
    let labelled_set = &cache.labelled_set;
    let rows: Vec<usize> = split.train.iter().chain(&split.validation).copied().collect();
    let labels = labelled_set.statistics_of(&rows);
    let is_finite = |m: &Metrics| [m.bias, m.sigma, m.r2, m.biweight].iter().all(|v| v.is_finite());
    let metrics: Vec<(String, Metrics)> = metrics.into_iter().filter(|(_, m)| is_finite(m)).collect();
    let error = metrics.first().map_or(labels.std, |(_, m)| m.sigma.hypot(m.bias));
    let mut snr: Vec<f64> = rows.iter().filter_map(|i| labelled_set.spectra[*i].input.snr).collect();
    AdapterCard {
        format: FORMAT,
        base: cache.entry.title(),
        base_sha256: cache.entry.sha256.clone(),
        recipe: cache.entry.recipe.clone(),
        strategy: model.strategy(),
        target: labelled_set.target.clone(),
        labels,
        settings: settings.clone(),
        error,
        error_basis: if metrics.is_empty() { "standard deviation of the labels".into() } else { measured_by.into() },
        snr: median(&mut snr),
        metrics,
    }
}

fn sha256_prefix(sha256: &str) -> String {
    sha256.chars().take(12).collect()
}

/// True for a file that starts with the header of an adapter; false for an unreadable file.
pub fn is_adapter(mut file: impl Read) -> bool {
    let mut length = [0; 8];
    if file.read_exact(&mut length).is_err() || u64::from_le_bytes(length) > MAX_HEADER {
        return false;
    }
    let mut header = Vec::new();
    let is_read = file.take(u64::from_le_bytes(length)).read_to_end(&mut header).is_ok();
    let header: Option<serde_json::Value> = serde_json::from_slice(&header).ok().filter(|_| is_read);
    header.is_some_and(|header| header["__metadata__"][CARD].is_string())
}

/// A fine-tuned model and its card, read from a file.
#[derive(Debug, Clone)]
pub struct Adapter {
    card: AdapterCard,
    model: FinetunedModel,
    sha256: String,
}

impl Adapter {
    /// Writes the adapter file and reads it back, so that the adapter in memory predicts exactly as the file. Returns
    /// the adapter and the file.
    pub async fn export(
        card: AdapterCard,
        model: &FinetunedModel,
        predictor: &Predictor,
    ) -> Result<(Self, Vec<u8>), AdapterError> {
        let arrays = model.arrays().await?;
        let json = serde_json::to_string(&card).map_err(|e| AdapterError::Card(e.to_string()))?;
        let file = arrays.to_f32_file_with(&[(CARD, &json)])?;
        let adapter = Self::open(&file, predictor).await?;
        Ok((adapter, file))
    }

    /// The card of a file, for any network.
    pub fn card_of(file: &[u8]) -> Result<AdapterCard, AdapterError> {
        if file.len() > MAX_BYTES {
            return Err(AdapterError::TooLarge(file.len()));
        }
        let not_an_adapter = |why: &str| AdapterError::NotAnAdapter(why.into());
        let length: [u8; 8] =
            file.get(..8).and_then(|b| b.try_into().ok()).ok_or_else(|| not_an_adapter("it is too short"))?;
        if u64::from_le_bytes(length) > MAX_HEADER {
            return Err(not_an_adapter("its header is too long"));
        }
        checksum::check(file)?;
        let json = Tensors::metadata(file, CARD).map_err(|e| AdapterError::NotAnAdapter(e.to_string()))?;
        let json = json.ok_or_else(|| not_an_adapter("it has no card"))?;
        let format = serde_json::from_str::<serde_json::Value>(&json).ok().and_then(|card| card["format"].as_u64());
        match format {
            Some(format) if (u64::from(OLDEST_FORMAT)..=u64::from(FORMAT)).contains(&format) => {}
            Some(format) => {
                return Err(AdapterError::Format { found: u32::try_from(format).unwrap_or(u32::MAX) });
            }
            None => return Err(AdapterError::Card("its file format number is missing".into())),
        }
        let card: AdapterCard = serde_json::from_str(&json).map_err(|e| AdapterError::Card(e.to_string()))?;
        let numbers = [card.error, card.labels.mean, card.labels.std, card.labels.min, card.labels.max];
        if numbers.iter().any(|v| !v.is_finite()) || card.error < 0.0 {
            return Err(AdapterError::Card("its error or its labels are not numbers".into()));
        }
        match card.settings.problem() {
            Some(problem) => Err(AdapterError::Card(problem)),
            None => Ok(card),
        }
    }

    /// Opens a file for the network of `predictor`.
    pub async fn open(file: &[u8], predictor: &Predictor) -> Result<Self, AdapterError> {
        let card = Self::card_of(file)?;
        let entry = predictor.entry();
        if card.base_sha256 != entry.sha256 {
            return Err(AdapterError::OtherBase {
                base: card.base,
                base_sha256: card.base_sha256,
                found: entry.title(),
                found_sha256: entry.sha256.clone(),
            });
        }
        if card.recipe != entry.recipe {
            return Err(AdapterError::Recipe { found: card.recipe, expected: entry.recipe.clone() });
        }
        let arrays = Tensors::parse(file)?;
        if arrays.names().any(|name| name.starts_with(EARLIER_GP)) {
            return Err(AdapterError::EarlierGp);
        }
        let base = predictor.label_network();
        let base_arrays = parameters(&base.mlp, "").await?;
        let device = predictor.device();
        let model = FinetunedModel::load(&arrays, card.strategy, &card.settings, base, &base_arrays, device)?;
        if !(model.scale.is_finite() && model.scale > 0.0) {
            return Err(AdapterError::Card("the scale of its labels is not a positive number".into()));
        }
        Ok(Self { card, model, sha256: sha256_hex(file) })
    }

    /// The card.
    pub fn card(&self) -> &AdapterCard {
        &self.card
    }

    /// SHA-256 of its file, lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The fine-tuned model.
    pub fn trained_model(&self) -> &FinetunedModel {
        &self.model
    }

    /// ∂label/∂flux of each pixel ([`FinetunedModel::gradients`]).
    pub async fn gradients(&self, predictor: &Predictor, input: &LabelInput) -> Result<Vec<f32>, FinetuneError> {
        self.model.gradients(predictor.label_network(), input, predictor.device()).await
    }

    /// Predictions for spectra, in the label's unit.
    pub async fn predict(&self, predictor: &Predictor, inputs: &[&LabelInput]) -> Result<Vec<f64>, FinetuneError> {
        self.model.predict(predictor.label_network(), inputs, predictor.device()).await
    }
}
