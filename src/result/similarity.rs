//! Results of the similarity search, the translation between surveys, and the anomaly search.

use serde::{Deserialize, Serialize};

use super::specclip::Modality;
use super::{Label, ModelCard};

/// Reference to a star, for queries and results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StarRef {
    /// An opened spectrum, by its number.
    User(u32),
    /// A row of an index.
    Indexed {
        /// Number of the index: 0 is the shipped index, the user's own follow.
        index: u32,
        /// Survey of the row.
        modality: Modality,
        /// Number of the row.
        row: u32,
    },
}

/// A label of an index or of the encoders' heads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelInfo {
    /// Name: `teff`, `ebprp` …
    pub name: String,
    /// Symbol for display.
    pub symbol: String,
    /// Unit; empty for log g.
    pub unit: String,
}

impl LabelInfo {
    /// Symbol and unit of a column name; an unknown name is its own symbol.
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

/// Description of an index in the search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexCard {
    /// Name of the index or of its file.
    pub name: String,
    /// Origin of its spectra.
    pub provenance: String,
    /// Number of optical spectra.
    pub lrs: u32,
    /// Number of XP spectra.
    pub xp: u32,
}

/// Description of the similarity search: encoder pair and indices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SimilarityCard {
    /// Name and version of the encoder pair, for example `lrs-xp-pr 1`.
    pub model: String,
    /// Model card of the encoder pair, which also predicts the labels of Gaia XP spectra.
    pub card: ModelCard,
    /// Whether the pair can predict one survey from the other.
    pub can_translate: bool,
    /// The indices, the shipped one first.
    pub indices: Vec<IndexCard>,
    /// Labels of all indices, merged; every list of label values has this order.
    pub labels: Vec<LabelInfo>,
}

/// Filter on the entries of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum LabelFilter {
    /// Entries with a label from `low` to `high`.
    Within {
        /// Name of the label.
        label: String,
        /// Lowest value.
        low: f64,
        /// Highest value.
        high: f64,
    },
    /// Entries whose label differs from the query's by at least `min_difference`.
    ///
    /// The query's value is the label of its row, or the prediction of the encoders' head from its spectrum. Several
    /// queries have the mean of their values.
    Differs {
        /// Name of the label.
        label: String,
        /// Smallest difference, in the label's unit.
        #[serde(rename = "by")]
        min_difference: f64,
    },
}

/// Options of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchOptions {
    /// Number of neighbours.
    #[serde(rename = "top")]
    pub n_results: u32,
    /// Search in the other survey's spectra, by the shared part of the embeddings.
    #[serde(rename = "in_other")]
    pub in_other_survey: bool,
    /// Filter, if any.
    #[serde(rename = "rule")]
    pub label_filter: Option<LabelFilter>,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self { n_results: 5, in_other_survey: false, label_filter: None }
    }
}

/// Thumbnail of a normalised spectrum: flux over continuum (LRS), or flux relative to 550 nm (XP).
///
/// All thumbnails of a survey have the same wavelengths, so they can be subtracted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Thumbnail {
    /// Vacuum wavelengths at rest, Å.
    pub wave_vac_aa: Vec<f32>,
    /// Normalised flux; NaN for missing samples.
    pub flux: Vec<f32>,
}

/// A star similar to the query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Neighbour {
    /// The star.
    pub star: StarRef,
    /// Name of the star.
    pub id: String,
    /// Survey of its spectrum.
    pub modality: Modality,
    /// Cosine similarity of the embeddings; the mean over several queries.
    pub similarity: f64,
    /// Labels in the card's order; for an opened spectrum, predictions of the encoders' head. `None` if unknown.
    pub labels: Vec<Option<f64>>,
    /// Its normalised spectrum.
    pub thumbnail: Thumbnail,
}

/// Spread of one label over the neighbours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Number of neighbours with this label.
    pub n: u32,
    /// Median of their values.
    pub median: f64,
    /// Half the distance from the 16th to the 84th percentile.
    pub half_width: f64,
}

/// A query and its neighbours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SimilarityView {
    /// The query: one star, or several as a set of examples.
    pub queries: Vec<StarRef>,
    /// Names of the query's stars.
    pub ids: Vec<String>,
    /// The queries' survey.
    pub modality: Modality,
    /// Options of the search.
    pub options: SearchOptions,
    /// Labels of the first query, in the card's order.
    pub labels: Vec<Option<f64>>,
    /// Normalised spectrum of the first query, in its own survey.
    pub thumbnail: Thumbnail,
    /// Normalised spectrum of the first query in the neighbours' survey.
    ///
    /// Equal to `thumbnail` within one survey. In the other survey it is a prediction; `None` if the encoders cannot
    /// predict it.
    pub query_thumbnail: Option<Thumbnail>,
    /// Whether an opened query spectrum is unlike the spectra of the shipped index; labels predicted from its embedding
    /// are then unreliable.
    pub is_out_of_distribution: bool,
    /// Neighbours by decreasing similarity; equal similarities in the order of index and row.
    pub neighbours: Vec<Neighbour>,
    /// Spread of each label, in the card's order; `None` if no neighbour has the label.
    pub spreads: Vec<Option<Spread>>,
    /// Number of entries in the search.
    pub searched: u32,
}

/// Criterion by which two spectra were assigned to one star.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum MatchedBy {
    /// Same name or `source_id`.
    Id,
    /// Positions, with their angular separation.
    Position {
        /// Separation, arcsec.
        arcsec: f64,
    },
    /// Choice of the user.
    User,
}

/// Spectrum of the same star in the other survey.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedPartner {
    /// Number of the spectrum.
    pub spectrum: u32,
    /// Name of the spectrum.
    pub id: String,
    /// Criterion of the match.
    pub matched_by: MatchedBy,
    /// Flux on the wavelengths of the prediction; NaN for missing pixels.
    pub flux: Vec<f32>,
    /// Errors of the flux; empty if the file has none.
    pub sigma: Vec<f32>,
    /// Mean absolute difference from the prediction.
    pub mean_absolute: f64,
    /// Root of the mean of (difference/σ)²; `None` without errors.
    pub weighted_rms: Option<f64>,
    /// Number of pixels in the comparison.
    pub pixels: u32,
}

/// A label predicted from the spectra of one star in both surveys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairedLabels {
    /// The label.
    pub label: LabelInfo,
    /// Prediction from the spectrum that was translated.
    pub from_spectrum: Option<f64>,
    /// Prediction from the observed spectrum of the other survey.
    pub from_observed: Option<f64>,
}

/// Error of predictions in the other survey: mean absolute differences in the unit of the prediction, measured on
/// simulated stars outside the training set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanComparison {
    /// Error of the prediction.
    pub predicted: f64,
    /// Error of the mean of all spectra as a prediction.
    pub mean_spectrum: f64,
    /// Number of stars.
    pub n: usize,
}

/// A spectrum predicted in the other survey (a translation).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Translation {
    /// Number of the input spectrum.
    pub spectrum: u32,
    /// Name of the input spectrum.
    pub id: String,
    /// Survey of the input spectrum.
    pub from: Modality,
    /// Survey of the prediction.
    pub to: Modality,
    /// Vacuum wavelengths at rest, Å.
    pub wave_vac_aa: Vec<f32>,
    /// Predicted flux: XP, flux relative to 550 nm; LRS, flux over continuum.
    pub flux: Vec<f32>,
    /// Observed spectrum of the same star in this survey, if it is open.
    pub observed: Option<ObservedPartner>,
    /// Labels predicted from both spectra.
    pub labels: Vec<PairedLabels>,
    /// Name and version of the encoder pair.
    pub model: String,
    /// Measured error of such translations; `None` if not measured.
    pub measured_error: Option<MeanComparison>,
}

/// One anomaly score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The score; a larger value is more anomalous.
    pub value: f64,
    /// Percentage of the reference set with a smaller score.
    pub percentile: f64,
    /// ln(value ÷ median) in units of ln(84th percentile ÷ median) of the reference set. It still increases beyond the
    /// 100th percentile.
    pub excess: f64,
}

/// Anomaly scores of a spectrum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnomalyScores {
    /// Number of the spectrum.
    pub spectrum: u32,
    /// Name of the spectrum.
    pub id: String,
    /// Survey of the spectrum.
    pub modality: Modality,
    /// Residual between the spectra of both surveys, each predicted from the other; `None` for a star with one
    /// spectrum.
    pub cross: Option<Score>,
    /// Residual of the spectrum after reconstruction from its own embedding; `None` for a pair without decoders.
    pub reconstruction: Option<Score>,
    /// 1 − cosine similarity with the tenth nearest entry of the shipped index.
    pub neighbour: Option<Score>,
    /// Largest excess of the scores, which determines the rank.
    pub overall: f64,
}

/// Points of the map of embeddings, as columns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MapPoints {
    /// The stars.
    pub stars: Vec<StarRef>,
    /// Names of the stars.
    pub ids: Vec<String>,
    /// Surveys of the spectra.
    pub modalities: Vec<Modality>,
    /// First coordinate.
    pub x: Vec<f32>,
    /// Second coordinate.
    pub y: Vec<f32>,
    /// One column per label of the card; NaN if unknown.
    pub labels: Vec<Vec<f32>>,
    /// Fraction of the reference set's variance along each axis.
    pub variance: [f64; 2],
}
