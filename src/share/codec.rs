//! Content of a link: converts results into a payload and back.
//!
//! Links outlive versions of the program, so the payload does not depend on the order of enum variants. A dictionary
//! holds each word (survey, flag, label) once, spelt out. Rows refer to a word by its index. The layout of a released
//! format version never changes; a new layout gets a new version.

use serde::{Deserialize, Serialize};

use super::curve::Curve;
use super::record::decimals;
use super::{ModelRef, Outcome, Record, numbers};
use crate::result::{Estimate, Flag, Label, Prediction, Summary};
use crate::spectrum::{Frame, Medium, Meta, Source, Sourced, Survey};

/// Largest number of results in a link.
pub(super) const MAX_ROWS: usize = 200;

/// Longest text in a link, bytes.
const MAX_TEXT: usize = 400;

/// Index of a word in the dictionary.
type WordIndex = u16;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Payload {
    words: Vec<String>,
    models: Vec<EncodedModel>,
    rows: Vec<EncodedRow>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct EncodedModel {
    title: String,
    sha256: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct EncodedRow {
    file: String,
    id: String,
    survey: WordIndex,
    format: WordIndex,
    medium: (WordIndex, WordIndex),
    frame: (WordIndex, WordIndex),
    n_pixels: u32,
    /// First and last vacuum wavelength, 0.1 Å.
    range: (u32, u32),
    outcome: EncodedOutcome,
    curve: Option<Curve>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum EncodedOutcome {
    Predicted {
        model: u16,
        /// S/N in units of 0.01, and its source.
        snr: Option<(i64, WordIndex)>,
        estimates: Vec<EncodedEstimate>,
        flags: Vec<WordIndex>,
    },
    Refused(String),
    Pending,
}

/// A label. Value and error are integers in units of 10^-decimals, with the same digits as in the tables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct EncodedEstimate {
    label: WordIndex,
    decimals: u8,
    value: i64,
    error: Option<i64>,
}

/// Description of the defect in a payload.
pub(super) type CodecError = String;

#[derive(Default)]
struct Dictionary(Vec<String>);

impl Dictionary {
    fn word(&mut self, text: &str) -> WordIndex {
        let index = self.0.iter().position(|w| w == text).unwrap_or_else(|| {
            self.0.push(clip(text));
            self.0.len() - 1
        });
        index.min(usize::from(WordIndex::MAX)) as WordIndex
    }
}

/// Cuts a text to the longest length in a link, without control characters.
fn clip(text: &str) -> String {
    let end = (0..=text.len().min(MAX_TEXT)).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    text[..end].chars().filter(|c| !c.is_control()).collect()
}

impl Payload {
    /// The payload of results. `curves` has one entry for each result.
    pub(super) fn new(records: &[&Record], curves: Vec<Option<Curve>>) -> Self {
        let mut words = Dictionary::default();
        let models = super::models_of(records.iter().copied());
        let rows =
            records.iter().zip(curves).map(|(r, curve)| EncodedRow::new(r, curve, &models, &mut words)).collect();
        let models =
            models.iter().map(|m| EncodedModel { title: clip(&m.title), sha256: bytes_of_hex(&m.sha256) }).collect();
        Self { words: words.0, models, rows }
    }

    /// The results and their curves.
    pub(super) fn results(&self) -> Result<Vec<(Record, Option<Curve>)>, CodecError> {
        if self.rows.len() > MAX_ROWS || self.models.len() > MAX_ROWS || self.words.len() > 4096 {
            return Err("it has more results than a link can hold".into());
        }
        self.rows.iter().map(|row| Ok((row.record(self)?, row.curve.clone()))).collect()
    }

    fn word(&self, word: WordIndex) -> Result<&str, CodecError> {
        self.words.get(usize::from(word)).map(String::as_str).ok_or_else(|| "a word index is out of range".into())
    }

    /// The variant that a word names; an error for a word that this version does not know.
    fn find_variant<T: Copy>(
        &self,
        kind: &str,
        word: WordIndex,
        all: &[T],
        name: impl Fn(T) -> &'static str,
    ) -> Result<T, CodecError> {
        let word = match self.word(word)? {
            // Word of version 0.1 for the flag `finetuned`.
            "taught" => "finetuned",
            word => word,
        };
        all.iter()
            .copied()
            .find(|t| name(*t) == word)
            .ok_or_else(|| format!("this version does not know the {kind} {word:?}"))
    }

    fn model(&self, index: u16) -> Result<ModelRef, CodecError> {
        let model = self.models.get(usize::from(index)).ok_or("a model index is out of range")?;
        let sha256 = model.sha256.iter().take(32).map(|b| format!("{b:02x}")).collect();
        Ok(ModelRef { title: validate_text(&model.title)?, sha256 })
    }
}

impl EncodedRow {
    fn new(record: &Record, curve: Option<Curve>, models: &[ModelRef], words: &mut Dictionary) -> Self {
        let summary = &record.summary;
        let meta = &summary.meta;
        let tenths = |aa: f64| (aa * 10.0).round().clamp(0.0, f64::from(u32::MAX)) as u32;
        let outcome = match &record.outcome {
            Outcome::Predicted(p) => EncodedOutcome::Predicted {
                model: models.iter().position(|m| m.title == p.model && m.sha256 == p.model_sha256).unwrap_or(0) as u16,
                snr: p
                    .snr
                    .filter(|s| s.value.is_finite())
                    .map(|s| ((s.value * 100.0).round() as i64, words.word(s.source.name()))),
                estimates: p.estimates.iter().filter_map(|e| EncodedEstimate::new(e, words)).collect(),
                flags: p.flags.iter().map(|f| words.word(f.code())).collect(),
            },
            Outcome::NotPredicted(why) => EncodedOutcome::Refused(clip(why)),
            Outcome::Pending => EncodedOutcome::Pending,
        };
        Self {
            file: clip(&summary.file),
            id: clip(&meta.id),
            survey: words.word(meta.survey.name()),
            format: words.word(&meta.format),
            medium: (words.word(meta.medium.value.name()), words.word(meta.medium.source.name())),
            frame: (words.word(meta.frame.value.name()), words.word(meta.frame.source.name())),
            n_pixels: u32::try_from(summary.n_pixels).unwrap_or(u32::MAX),
            range: (tenths(summary.wave_min_aa), tenths(summary.wave_max_aa)),
            outcome,
            curve,
        }
    }

    fn record(&self, payload: &Payload) -> Result<Record, CodecError> {
        let source = |word| payload.find_variant("source", word, &SOURCES, Source::name);
        let mut meta = Meta::unknown(validate_text(&self.id)?, validate_text(payload.word(self.format)?)?);
        // A survey without a reader in this version becomes `Other`.
        meta.survey = Survey::from_name(payload.word(self.survey)?).unwrap_or(Survey::Other);
        meta.medium = Sourced::new(
            payload.find_variant("medium", self.medium.0, &[Medium::Air, Medium::Vacuum], Medium::name)?,
            source(self.medium.1)?,
        );
        meta.frame =
            Sourced::new(payload.find_variant("frame", self.frame.0, &FRAMES, Frame::name)?, source(self.frame.1)?);
        let summary = Summary {
            meta,
            file: validate_text(&self.file)?,
            n_pixels: self.n_pixels as usize,
            wave_min_aa: f64::from(self.range.0) / 10.0,
            wave_max_aa: f64::from(self.range.1) / 10.0,
        };
        let outcome = match &self.outcome {
            EncodedOutcome::Predicted { model, snr, estimates, flags } => {
                let ModelRef { title, sha256 } = payload.model(*model)?;
                if estimates.len() > Label::ALL.len() {
                    return Err("a result has too many labels".into());
                }
                let snr = match snr {
                    Some((hundredths, word)) => Some(Sourced::new(*hundredths as f64 / 100.0, source(*word)?)),
                    None => None,
                };
                let estimates = estimates.iter().map(|e| e.estimate(payload)).collect::<Result<_, _>>()?;
                let flag = |word: &WordIndex| payload.find_variant("flag", *word, &Flag::ALL, Flag::code);
                let flags = flags.iter().take(Flag::ALL.len()).map(flag).collect::<Result<_, _>>()?;
                Outcome::Predicted(Prediction {
                    model: title,
                    model_sha256: sha256,
                    snr,
                    estimates,
                    flags,
                    processing_history: Vec::new(),
                    finetuned: None,
                })
            }
            EncodedOutcome::Refused(why) => Outcome::NotPredicted(validate_text(why)?),
            EncodedOutcome::Pending => Outcome::Pending,
        };
        Ok(Record { summary, outcome, snr: None })
    }
}

impl EncodedEstimate {
    fn new(estimate: &Estimate, words: &mut Dictionary) -> Option<Self> {
        let decimals = decimals(estimate.error);
        let scale = 10f64.powi(decimals);
        let to_integer = |v: f64| (v * scale).round() as i64;
        let (value, error) = numbers(estimate);
        let label = words.word(estimate.label.name());
        Some(Self { label, decimals: decimals as u8, value: to_integer(value?), error: error.map(to_integer) })
    }

    fn estimate(&self, payload: &Payload) -> Result<Estimate, CodecError> {
        if self.decimals > 12 {
            return Err("a number has more than 12 decimals".into());
        }
        let scale = 10f64.powi(i32::from(self.decimals));
        let label = payload.find_variant("label", self.label, &Label::ALL, Label::name)?;
        let error = self.error.map_or(f64::NAN, |e| e as f64 / scale);
        Ok(Estimate { label, value: self.value as f64 / scale, error })
    }
}

const SOURCES: [Source; 5] = [Source::File, Source::Survey, Source::Estimated, Source::Assumed, Source::User];
const FRAMES: [Frame; 3] = [Frame::Barycentric, Frame::Topocentric, Frame::Rest];

fn validate_text(text: &str) -> Result<String, CodecError> {
    if text.len() > MAX_TEXT || text.chars().any(char::is_control) {
        return Err("a text is too long or has control characters".into());
    }
    Ok(text.to_owned())
}

fn bytes_of_hex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
