//! What retrieval, translation and the search for oddities answer.

use serde::{Deserialize, Serialize};

use super::catalogue::Modality;
use super::{Label, ModelCard};

/// A star that can be asked for and found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Star {
    /// A spectrum that was dropped, by its number.
    Dropped(u32),
    /// A row of an index.
    Indexed {
        /// Which index: 0 is the shipped one, the user's own follow.
        index: u32,
        /// Of which survey's rows.
        modality: Modality,
        /// Which row.
        row: u32,
    },
}

/// A label of the stars of an index, or of the encoders' heads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelInfo {
    /// `teff`, `ebprp` …
    pub name: String,
    /// As people write it.
    pub symbol: String,
    /// Its unit, empty for log g.
    pub unit: String,
}

impl LabelInfo {
    /// What a column name means; one that is not known stands for itself.
    pub fn of(name: &str) -> Self {
        let (symbol, unit) = match (Label::from_name(name), name) {
            (Some(label), _) => (label.symbol(), label.unit()),
            (None, "c_fe") => ("[C/Fe]", "dex"),
            (None, "n_fe") => ("[N/Fe]", "dex"),
            (None, "ebprp") => ("E(BP−RP)", "mag"),
            (None, "ebv") => ("E(B−V)", "mag"),
            (None, other) => (other, ""),
        };
        Self { name: name.into(), symbol: symbol.into(), unit: unit.into() }
    }
}

/// An index that is searched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexCard {
    /// Its name, or its file's.
    pub name: String,
    /// What it was made from.
    pub made_from: String,
    /// Optical spectra in it.
    pub lrs: u32,
    /// XP spectra in it.
    pub xp: u32,
}

/// What answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LikesCard {
    /// The encoder pair, `lrs-xp-pr 1`.
    pub model: String,
    /// Its card: it answers for Gaia XP spectra.
    pub card: ModelCard,
    /// Whether it can predict one survey from the other.
    pub translates: bool,
    /// The indices, the shipped one first.
    pub indices: Vec<IndexCard>,
    /// Labels of all indices together; every list of values is in this order.
    pub labels: Vec<LabelInfo>,
}

/// Which entries may be found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum LabelRule {
    /// Those with the label from `low` to `high`.
    Within {
        /// Name of the label.
        label: String,
        /// Lowest value.
        low: f64,
        /// Highest value.
        high: f64,
    },
    /// Those whose label differs from the query's by at least `by`. The query's value is that of its row, or what the
    /// encoders' head reads from its spectrum; of several queries, the mean.
    Differs {
        /// Name of the label.
        label: String,
        /// By how much.
        by: f64,
    },
}

/// How to search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchOptions {
    /// Neighbours wanted.
    pub top: u32,
    /// Search the other survey's spectra, by the part of the embeddings that both share.
    pub in_other: bool,
    /// Only those, if there is a rule.
    pub rule: Option<LabelRule>,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self { top: 5, in_other: false, rule: None }
    }
}

/// A small normalised spectrum: of LRS flux over continuum, of XP flux over that at 550 nm. All of one survey have the same
/// wavelengths, so that they can be subtracted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Thumbnail {
    /// Vacuum wavelengths at rest, Å.
    pub wave_vac_aa: Vec<f32>,
    /// Flux; NaN where there is nothing.
    pub flux: Vec<f32>,
}

/// A star that is like the one asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Which.
    pub star: Star,
    /// Its name.
    pub id: String,
    /// From which survey.
    pub modality: Modality,
    /// Cosine of the angle between the embeddings; of several queries, the mean.
    pub similarity: f64,
    /// Its labels in the card's order; of a dropped spectrum what the encoders' head reads. `None` where unknown.
    pub labels: Vec<Option<f64>>,
    /// What it looks like.
    pub thumbnail: Thumbnail,
}

/// How far apart the neighbours' labels are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Neighbours that have the label.
    pub n: u32,
    /// Their median.
    pub median: f64,
    /// Half the distance from the 16th to the 84th percentile.
    pub half_width: f64,
}

/// A query and the stars that are like it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LikesView {
    /// What was asked for: one star, or several as an example set.
    pub queries: Vec<Star>,
    /// Their names.
    pub ids: Vec<String>,
    /// The queries' survey.
    pub modality: Modality,
    /// How it was searched.
    pub options: SearchOptions,
    /// The first query's labels, as a neighbour's.
    pub labels: Vec<Option<f64>>,
    /// What the first query looks like, in its own survey.
    pub thumbnail: Thumbnail,
    /// What the first query looks like in the neighbours' survey: the same if they are of its own; else predicted from it,
    /// where the encoders can.
    pub beside: Option<Thumbnail>,
    /// Whether a query that was dropped is none like those of the shipped index, so that labels read from its embedding mean
    /// little.
    pub is_far: bool,
    /// Most alike first; equals in the order of index and row.
    pub neighbours: Vec<Neighbour>,
    /// Of their labels, in the card's order; `None` where no neighbour has the label.
    pub spreads: Vec<Option<Spread>>,
    /// Entries that were compared.
    pub searched: u32,
}

/// How it is known that two spectra are of one star.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum MatchedBy {
    /// The same name or source_id.
    Id,
    /// Their positions, so far apart.
    Position {
        /// Arc seconds.
        arcsec: f64,
    },
    /// The user says so.
    Hand,
}

/// The same star as the other survey saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Number of the spectrum.
    pub spectrum: u32,
    /// Its name.
    pub id: String,
    /// How it was found.
    pub matched_by: MatchedBy,
    /// Its flux on the wavelengths of the prediction; NaN where there is nothing.
    pub flux: Vec<f32>,
    /// Its errors there; empty where the file has none.
    pub sigma: Vec<f32>,
    /// Mean absolute difference to the prediction.
    pub mean_absolute: f64,
    /// √ of the mean of (difference/σ)²; `None` without errors.
    pub weighted_rms: Option<f64>,
    /// Pixels compared.
    pub pixels: u32,
}

/// A label read from both surveys' spectra of one star.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BothLabels {
    /// Which.
    pub label: LabelInfo,
    /// From the spectrum that was translated.
    pub from_spectrum: Option<f64>,
    /// From the observed spectrum of the other survey.
    pub from_observed: Option<f64>,
}

/// How far predictions in the other survey were off, on simulated stars that had taught the networks nothing: mean absolute
/// differences in the unit of the prediction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct UsualError {
    /// Of the prediction.
    pub predicted: f64,
    /// Of the mean of all spectra, had that been the prediction.
    pub of_the_mean: f64,
    /// Stars.
    pub n: usize,
}

/// A spectrum predicted in the other survey.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Translation {
    /// The spectrum that it is predicted from.
    pub spectrum: u32,
    /// Its name.
    pub id: String,
    /// Its survey.
    pub from: Modality,
    /// The survey it is predicted in.
    pub to: Modality,
    /// Vacuum wavelengths at rest, Å.
    pub wave_vac_aa: Vec<f32>,
    /// XP: flux over that at 550 nm. LRS: flux over continuum.
    pub flux: Vec<f32>,
    /// The same star's own spectrum there, if it was dropped too.
    pub observed: Option<Observed>,
    /// Labels from both.
    pub labels: Vec<BothLabels>,
    /// The encoder pair.
    pub model: String,
    /// How good such predictions were measured to be; `None` where nobody measured it.
    pub usual_error: Option<UsualError>,
}

/// One anomaly score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The score; larger is odder.
    pub value: f64,
    /// Percent of the reference set that have a smaller one.
    pub percentile: f64,
    /// ln(value ÷ median) in units of ln(84th percentile ÷ median) of the reference set: goes on where percentiles end.
    pub excess: f64,
}

/// How odd a spectrum is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Oddity {
    /// Its number.
    pub spectrum: u32,
    /// Its name.
    pub id: String,
    /// Its survey.
    pub modality: Modality,
    /// Misfit between the spectra of both surveys, each predicted from the other; `None` where there is one only.
    pub cross: Option<Score>,
    /// Misfit of the spectrum rebuilt from its own embedding; `None` of a pair without decoders.
    pub reconstruction: Option<Score>,
    /// 1 − cosine with the tenth nearest entry of the shipped index.
    pub neighbour: Option<Score>,
    /// The largest of the scores' excesses, by which the list is ranked.
    pub overall: f64,
}

/// Points of the map, column by column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MapPoints {
    /// Which stars.
    pub stars: Vec<Star>,
    /// Their names.
    pub ids: Vec<String>,
    /// Their surveys.
    pub modalities: Vec<Modality>,
    /// First coordinate.
    pub x: Vec<f32>,
    /// Second coordinate.
    pub y: Vec<f32>,
    /// A column for each of the card's labels; NaN where unknown.
    pub labels: Vec<Vec<f32>>,
    /// Part of the reference set's variance that each axis has.
    pub variance: [f64; 2],
}

/// How long searching takes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SearchTime {
    /// Entries that were made up and searched.
    pub entries: u32,
    /// Length of an embedding.
    pub width: u32,
    /// Searches.
    pub queries: u32,
    /// Bytes of the entries in memory.
    pub bytes: u64,
    /// Sum of the neighbours' rows, so that two runs can be told to be the same.
    pub check: u64,
}
