//! Messages about similar spectra, translation and anomaly scores.
//!
//! Nothing is downloaded before the first request that needs it. Spectra are embedded when nothing more urgent waits.

use serde::{Deserialize, Serialize};

use super::SpectrumId;
use crate::result::similarity::{
    AnomalyScores, MapPoints, SearchOptions, SimilarityCard, SimilarityView, StarRef, Translation,
};

/// Page → engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SimilarityRequest {
    /// Download the encoder pair and its index, and embed the dropped spectra. Every other request does so too.
    Start,
    /// Stop running and waiting requests; the results so far stay.
    Stop,
    /// Find the stars most similar to these; several are an example set. A new search replaces one that waits.
    Search {
        /// Stars to compare with, all of one survey.
        queries: Vec<StarRef>,
        /// Search options.
        options: SearchOptions,
    },
    /// Predict a spectrum in the other survey. A new request replaces one that waits.
    Translate {
        /// Spectrum.
        spectrum: SpectrumId,
        /// Spectrum of the same star in the other survey, where the user names it.
        partner: Option<SpectrumId>,
    },
    /// Anomaly scores of the dropped spectra.
    Anomalies,
    /// Map of all index entries and dropped spectra.
    Map,
    /// Also search the index in the attached file.
    AddIndex {
        /// Name of the file.
        name: String,
    },
    /// Search only the shipped index and the dropped spectra.
    RemoveIndices,
    /// Write an index of the dropped spectra.
    SaveIndex,
}

/// Engine → page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SimilarityEvent {
    /// Encoder pair or index are being downloaded.
    Loading {
        /// Item being downloaded.
        item: String,
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// Encoder pair and indices in use; sent again whenever they change.
    Ready(Box<SimilarityCard>),
    /// Dropped spectra are being embedded.
    Embedding {
        /// Spectra embedded or refused.
        done: u32,
        /// Spectra in all.
        total: u32,
    },
    /// A spectrum cannot be embedded.
    Refused {
        /// Spectrum.
        spectrum: SpectrumId,
        /// Reason and remedy.
        reason: String,
    },
    /// Result of a search.
    SearchResult(Box<SimilarityView>),
    /// Spectrum predicted in the other survey.
    Translated(Box<Translation>),
    /// Anomaly scores of the dropped spectra, highest first.
    Anomalies(Vec<AnomalyScores>),
    /// Map.
    Map(Box<MapPoints>),
    /// Index of the dropped spectra.
    IndexSaved {
        /// Its file.
        file: Vec<u8>,
        /// Number of spectra in it.
        spectra: u32,
    },
    /// The user stopped the requests.
    Stopped,
    /// An operation failed; the text gives the reason.
    Failed(String),
}
