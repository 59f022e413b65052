//! What a link holds, between the results and the bytes.
//!
//! Links outlive versions: nothing here may depend on the order in which today's enums list their variants, so every
//! word (survey, flag, label) stands once, spelt out, in a dictionary and is referred to by its place there. Once
//! released, the layout of a format version never changes; a new layout gets a new version.

use serde::{Deserialize, Serialize};

use super::curve::Curve;
use super::record::decimals;
use super::{Answer, ModelRef, Record, numbers};
use crate::result::{Estimate, Flag, Label, Prediction, Summary};
use crate::spectrum::{Frame, Known, Medium, Meta, Source, Survey};

/// Most results in a link.
pub const MAX_ROWS: usize = 200;

/// Longest text in a link, bytes.
const MAX_TEXT: usize = 400;

/// Number of a word in the dictionary.
type Word = u16;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Payload {
    words: Vec<String>,
    models: Vec<WireModel>,
    rows: Vec<WireRow>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct WireModel {
    title: String,
    sha256: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct WireRow {
    file: String,
    id: String,
    survey: Word,
    format: Word,
    medium: (Word, Word),
    frame: (Word, Word),
    n_pixels: u32,
    /// First and last vacuum wavelength, tenths of Å.
    range: (u32, u32),
    answer: WireAnswer,
    curve: Option<Curve>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum WireAnswer {
    Predicted {
        model: u16,
        /// S/N in hundredths and how it is known.
        snr: Option<(i64, Word)>,
        estimates: Vec<WireEstimate>,
        flags: Vec<Word>,
    },
    Refused(String),
    Open,
}

/// A label with value and error as whole numbers of 10^-decimals: the digits that tables have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct WireEstimate {
    label: Word,
    decimals: u8,
    value: i64,
    error: Option<i64>,
}

/// What is wrong with a payload, in words.
pub(super) type Wrong = String;

#[derive(Default)]
struct Dictionary(Vec<String>);

impl Dictionary {
    fn word(&mut self, text: &str) -> Word {
        let at = self.0.iter().position(|w| w == text).unwrap_or_else(|| {
            self.0.push(clip(text));
            self.0.len() - 1
        });
        at.min(usize::from(Word::MAX)) as Word
    }
}

/// Text short enough for a link.
fn clip(text: &str) -> String {
    let end = (0..=text.len().min(MAX_TEXT)).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    text[..end].chars().filter(|c| !c.is_control()).collect()
}

impl Payload {
    /// The payload of some results; `curves` has one for each.
    pub fn new(records: &[&Record], curves: Vec<Option<Curve>>) -> Payload {
        let mut words = Dictionary::default();
        let models = super::models_of(records.iter().copied());
        let rows = records.iter().zip(curves).map(|(r, curve)| WireRow::new(r, curve, &models, &mut words)).collect();
        let models =
            models.iter().map(|m| WireModel { title: clip(&m.title), sha256: bytes_of_hex(&m.sha256) }).collect();
        Payload { words: words.0, models, rows }
    }

    /// The results and their curves.
    pub fn results(&self) -> Result<Vec<(Record, Option<Curve>)>, Wrong> {
        if self.rows.len() > MAX_ROWS || self.models.len() > MAX_ROWS || self.words.len() > 4096 {
            return Err("it claims more results than any link holds".into());
        }
        self.rows.iter().map(|row| Ok((row.record(self)?, row.curve.clone()))).collect()
    }

    fn word(&self, word: Word) -> Result<&str, Wrong> {
        self.words
            .get(usize::from(word))
            .map(String::as_str)
            .ok_or_else(|| "it refers to a word it does not hold".into())
    }

    /// The thing that a word names, of those that this version knows.
    fn named<T: Copy>(&self, what: &str, word: Word, all: &[T], name: impl Fn(T) -> &'static str) -> Result<T, Wrong> {
        let word = self.word(word)?;
        all.iter().copied().find(|t| name(*t) == word).ok_or_else(|| format!("this version knows no {what} {word:?}"))
    }

    fn model(&self, at: u16) -> Result<ModelRef, Wrong> {
        let model = self.models.get(usize::from(at)).ok_or("it refers to a model it does not name")?;
        let sha256 = model.sha256.iter().take(32).map(|b| format!("{b:02x}")).collect();
        Ok(ModelRef { title: sound(&model.title)?, sha256 })
    }
}

impl WireRow {
    fn new(record: &Record, curve: Option<Curve>, models: &[ModelRef], words: &mut Dictionary) -> WireRow {
        let summary = &record.summary;
        let meta = &summary.meta;
        let tenths = |aa: f64| (aa * 10.0).round().clamp(0.0, f64::from(u32::MAX)) as u32;
        let answer = match &record.answer {
            Answer::Predicted(p) => WireAnswer::Predicted {
                model: models.iter().position(|m| m.title == p.model && m.sha256 == p.model_sha256).unwrap_or(0) as u16,
                snr: p
                    .snr
                    .filter(|s| s.value.is_finite())
                    .map(|s| ((s.value * 100.0).round() as i64, words.word(s.source.name()))),
                estimates: p.estimates.iter().filter_map(|e| WireEstimate::new(e, words)).collect(),
                flags: p.flags.iter().map(|f| words.word(f.code())).collect(),
            },
            Answer::Refused(why) => WireAnswer::Refused(clip(why)),
            Answer::Open => WireAnswer::Open,
        };
        WireRow {
            file: clip(&summary.file),
            id: clip(&meta.id),
            survey: words.word(meta.survey.name()),
            format: words.word(&meta.format),
            medium: (words.word(meta.medium.value.name()), words.word(meta.medium.source.name())),
            frame: (words.word(meta.frame.value.name()), words.word(meta.frame.source.name())),
            n_pixels: u32::try_from(summary.n_pixels).unwrap_or(u32::MAX),
            range: (tenths(summary.wave_min_aa), tenths(summary.wave_max_aa)),
            answer,
            curve,
        }
    }

    fn record(&self, payload: &Payload) -> Result<Record, Wrong> {
        let source = |word| payload.named("source", word, &SOURCES, Source::name);
        let mut meta = Meta::unknown(sound(&self.id)?, sound(payload.word(self.format)?)?);
        // A survey that this version has no reader for is still a name.
        meta.survey = Survey::from_name(payload.word(self.survey)?).unwrap_or(Survey::Other);
        meta.medium = Known::new(
            payload.named("medium", self.medium.0, &[Medium::Air, Medium::Vacuum], Medium::name)?,
            source(self.medium.1)?,
        );
        meta.frame = Known::new(payload.named("frame", self.frame.0, &FRAMES, Frame::name)?, source(self.frame.1)?);
        let summary = Summary {
            meta,
            file: sound(&self.file)?,
            n_pixels: self.n_pixels as usize,
            wave_min_aa: f64::from(self.range.0) / 10.0,
            wave_max_aa: f64::from(self.range.1) / 10.0,
        };
        let answer = match &self.answer {
            WireAnswer::Predicted { model, snr, estimates, flags } => {
                let ModelRef { title, sha256 } = payload.model(*model)?;
                if estimates.len() > Label::ALL.len() {
                    return Err("it holds more labels than there are".into());
                }
                let snr = match snr {
                    Some((hundredths, word)) => Some(Known::new(*hundredths as f64 / 100.0, source(*word)?)),
                    None => None,
                };
                let estimates = estimates.iter().map(|e| e.estimate(payload)).collect::<Result<_, _>>()?;
                let flag = |word: &Word| payload.named("flag", *word, &Flag::ALL, Flag::code);
                let flags = flags.iter().take(Flag::ALL.len()).map(flag).collect::<Result<_, _>>()?;
                Answer::Predicted(Prediction {
                    model: title,
                    model_sha256: sha256,
                    snr,
                    estimates,
                    flags,
                    ledger: Vec::new(),
                    taught: None,
                })
            }
            WireAnswer::Refused(why) => Answer::Refused(sound(why)?),
            WireAnswer::Open => Answer::Open,
        };
        Ok(Record { summary, answer, snr: None })
    }
}

impl WireEstimate {
    fn new(estimate: &Estimate, words: &mut Dictionary) -> Option<WireEstimate> {
        let decimals = decimals(estimate.error);
        let scale = 10f64.powi(decimals);
        let whole = |v: f64| (v * scale).round() as i64;
        let (value, error) = numbers(estimate);
        let label = words.word(estimate.label.name());
        Some(WireEstimate { label, decimals: decimals as u8, value: whole(value?), error: error.map(whole) })
    }

    fn estimate(&self, payload: &Payload) -> Result<Estimate, Wrong> {
        if self.decimals > 12 {
            return Err("it holds a number of more decimals than are ever written".into());
        }
        let scale = 10f64.powi(i32::from(self.decimals));
        let label = payload.named("label", self.label, &Label::ALL, Label::name)?;
        let error = self.error.map_or(f64::NAN, |e| e as f64 / scale);
        Ok(Estimate { label, value: self.value as f64 / scale, error })
    }
}

const SOURCES: [Source; 5] = [Source::File, Source::Survey, Source::Estimated, Source::Assumed, Source::User];
const FRAMES: [Frame; 3] = [Frame::Barycentric, Frame::Topocentric, Frame::Rest];

fn sound(text: &str) -> Result<String, Wrong> {
    if text.len() > MAX_TEXT || text.chars().any(char::is_control) {
        return Err("it holds text that no link is made with".into());
    }
    Ok(text.to_owned())
}

fn bytes_of_hex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
