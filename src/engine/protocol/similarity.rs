//! Messages about similar spectra, translation and anomaly scores.
//!
//! The first request that needs a file starts its download. Spectra are embedded when no more urgent work waits.

use serde::{Deserialize, Serialize};

use super::SpectrumId;
use crate::result::similarity::{
    AnomalyScores, MapPoints, SearchOptions, SimilarityCard, SimilarityView, StarRef, Translation,
};

/// Page → engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SimilarityRequest {
    /// Download the encoder pair and its index, and embed the user's spectra. Every other request does so too.
    Start,
    /// Stop running and waiting requests. The results so far stay.
    Stop,
    /// Find the stars that are most similar to these. Several stars are an example set. A new search replaces a waiting
    /// one.
    Search {
        /// Stars to compare with, all of one survey.
        queries: Vec<StarRef>,
        /// Search options.
        options: SearchOptions,
    },
    /// Predict a spectrum in the other survey. A new request replaces a waiting one.
    Translate {
        /// Spectrum.
        spectrum: SpectrumId,
        /// Spectrum of the same star in the other survey, if the user names one.
        partner: Option<SpectrumId>,
    },
    /// Anomaly scores of the user's spectra.
    Anomalies,
    /// Map of all index entries and of the user's spectra.
    Map,
    /// Also search the index in the attached file.
    AddIndex {
        /// Name of the file.
        name: String,
    },
    /// Search only the shipped index and the user's spectra.
    RemoveIndices,
    /// Write an index of the user's spectra.
    SaveIndex,
}

/// Engine → page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SimilarityEvent {
    /// The encoder pair or the index is being downloaded.
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
    /// The user's spectra are being embedded.
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
    /// Anomaly scores of the user's spectra, highest first.
    Anomalies(Vec<AnomalyScores>),
    /// Map.
    Map(Box<MapPoints>),
    /// Index of the user's spectra.
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
