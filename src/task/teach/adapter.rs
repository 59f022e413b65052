//! The file that keeps what was taught: safetensors with a card, of use on the very network that it was taught on.
//!
//! The card is JSON in the file's metadata. An adapter may come from anyone, so sizes are bounded, every array must have the
//! shape that the card and the network call for, and every number must be finite.

use std::io::Read;

use thiserror::Error;

use super::classroom::{Classroom, TeachError};
use super::look::Column;
use super::split::Split;
use super::taught::Taught;
use crate::model::store::sha256_hex;
use crate::model::weights::{Tensors, WeightsError};
use crate::nn::keyed::parameters;
use crate::preprocess::stats::median;
use crate::result::teach::{AdapterCard, Metrics, Settings};
use crate::task::fit::Modeller;
use crate::task::predict::{LabelInput, Predictor};

/// Version of the layout that this program writes and reads.
pub const FORMAT: u32 = 2;

/// Largest file that is read, bytes.
pub const MAX_BYTES: usize = 64 << 20;

/// Largest header: names, shapes and the card.
const MAX_HEADER: u64 = 1 << 20;

/// Where the card is in the file's metadata.
const CARD: &str = "specola-adapter";

/// Why an adapter cannot be used.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum AdapterError {
    #[error("the adapter has {0} bytes, {MAX_BYTES} at most are read; save it again")]
    TooLarge(usize),
    #[error("this is no adapter of Specola ({0}); save one with Fine-tune or `specola finetune -o`")]
    Foreign(String),
    #[error("this adapter has layout {found}, this version reads {FORMAT}; {}", if *.found < FORMAT { "teach it anew" } else { "update Specola" })]
    Format { found: u32 },
    #[error(
        "this adapter belongs to {base} ({}…), the model in use is {found} ({}…); choose that model, or teach this one anew", short(.base_sha256), short(.found_sha256)
    )]
    OtherBase { base: String, base_sha256: String, found: String, found_sha256: String },
    #[error("this adapter was taught behind the preprocessing {found}, this model has {expected}; teach it anew")]
    Recipe { found: String, expected: String },
    #[error("this adapter goes by the emulator {wanted}, {found}; teach it anew")]
    OtherEmulator { wanted: String, found: String },
    #[error("the adapter's card is not sound: {0}; save it again")]
    Card(String),
    #[error("the adapter's arrays do not fit: {0}")]
    Weights(#[from] WeightsError),
}

/// The card of what was taught in a classroom.
///
/// `metrics` are what was measured on spectra kept apart, "all" first, as `measured_by` says; they give the error of its
/// predictions. Without any the error is the labels' own spread, which promises nothing.
pub fn card(
    room: &Classroom,
    split: &Split,
    taught: &Taught,
    settings: &Settings,
    metrics: Vec<(String, Metrics)>,
    measured_by: &str,
) -> AdapterCard {
    let lesson = &room.lesson;
    let used: Vec<usize> = split.train.iter().chain(&split.validation).copied().collect();
    let labels = lesson.statistics_of(&used);
    let is_sound = |m: &Metrics| [m.bias, m.sigma, m.r2, m.biweight].iter().all(|v| v.is_finite());
    let metrics: Vec<(String, Metrics)> = metrics.into_iter().filter(|(_, m)| is_sound(m)).collect();
    let error = metrics.first().map_or(labels.std, |(_, m)| m.sigma.hypot(m.bias));
    let mut snr: Vec<f64> = used.iter().filter_map(|i| lesson.inputs[*i].snr).collect();
    AdapterCard {
        format: FORMAT,
        base: room.entry.title(),
        base_sha256: room.entry.sha256.clone(),
        recipe: room.entry.recipe.clone(),
        strategy: taught.strategy(),
        emulator: lesson.emulator.clone().filter(|_| taught.is_refined()),
        target: lesson.target.clone(),
        labels,
        settings: settings.clone(),
        error,
        error_from: if metrics.is_empty() { "the labels' own spread".into() } else { measured_by.into() },
        snr: median(&mut snr),
        metrics,
    }
}

fn short(sha256: &str) -> String {
    sha256.chars().take(12).collect()
}

/// True for a file that begins as an adapter does; what it cannot be told of is none.
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

/// What was taught, and what it says about itself.
#[derive(Debug, Clone)]
pub struct Adapter {
    card: AdapterCard,
    taught: Taught,
    sha256: String,
}

impl Adapter {
    /// Seals what was taught: from here on it answers exactly as its file will. Gives the file too.
    pub async fn seal(
        card: AdapterCard,
        taught: &Taught,
        predictor: &Predictor,
    ) -> Result<(Self, Vec<u8>), AdapterError> {
        let arrays = taught.arrays().await?;
        let json = serde_json::to_string(&card).map_err(|e| AdapterError::Card(e.to_string()))?;
        let file = arrays.to_f32_file_with(&[(CARD, &json)])?;
        let adapter = Self::open(&file, predictor).await?;
        Ok((adapter, file))
    }

    /// The card of a file, whatever network it belongs to.
    pub fn card_of(file: &[u8]) -> Result<AdapterCard, AdapterError> {
        if file.len() > MAX_BYTES {
            return Err(AdapterError::TooLarge(file.len()));
        }
        let foreign = |why: &str| AdapterError::Foreign(why.into());
        let length: [u8; 8] =
            file.get(..8).and_then(|b| b.try_into().ok()).ok_or_else(|| foreign("it is too short"))?;
        if u64::from_le_bytes(length) > MAX_HEADER {
            return Err(foreign("its header is too long"));
        }
        let json = Tensors::metadata(file, CARD).map_err(|e| AdapterError::Foreign(e.to_string()))?;
        let json = json.ok_or_else(|| foreign("it has no card"))?;
        let format = serde_json::from_str::<serde_json::Value>(&json).ok().and_then(|card| card["format"].as_u64());
        match format {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) => {
                return Err(AdapterError::Format { found: u32::try_from(format).unwrap_or(u32::MAX) });
            }
            None => return Err(AdapterError::Card("it does not tell its layout".into())),
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

    /// Opens a file on the network of `predictor`.
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
        let base = predictor.label_network();
        let base_arrays = parameters(&base.mlp, "").await?;
        let column = Column::of(card.label(), predictor.outputs());
        let device = predictor.device();
        let taught = Taught::load(&arrays, card.strategy, &card.settings, base, column, &base_arrays, device)?;
        if taught.is_refined() != card.emulator.is_some() {
            return Err(AdapterError::Card("it does not tell its emulator".into()));
        }
        if !(taught.scale.is_finite() && taught.scale > 0.0) {
            return Err(AdapterError::Card("its labels have no spread".into()));
        }
        Ok(Self { card, taught, sha256: sha256_hex(file) })
    }

    /// Whether it can answer beside this emulator.
    pub fn is_answered_by(&self, modeller: Option<&Modeller>) -> Result<(), AdapterError> {
        let Some(wanted) = self.card.emulator.clone().filter(|wanted| modeller.is_none_or(|m| m.title() != wanted))
        else {
            return Ok(());
        };
        let found = modeller.map_or("and none is there".into(), |m| format!("and {} is there", m.title()));
        Err(AdapterError::OtherEmulator { wanted, found })
    }

    /// What it says about itself.
    pub fn card(&self) -> &AdapterCard {
        &self.card
    }

    /// SHA-256 of its file, lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What was taught.
    pub fn taught(&self) -> &Taught {
        &self.taught
    }

    /// How the label changes with the flux of each pixel, as [`Taught::slopes`] gives it.
    pub async fn slopes(&self, predictor: &Predictor, input: &LabelInput) -> Result<Vec<f32>, TeachError> {
        self.taught.slopes(predictor.label_network(), input, predictor.device()).await
    }

    /// The label of spectra, in the label's unit.
    pub async fn answer(&self, predictor: &Predictor, inputs: &[&LabelInput]) -> Result<Vec<f64>, TeachError> {
        self.taught.answer(predictor.label_network(), inputs, predictor.device()).await
    }
}
