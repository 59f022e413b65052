//! What page and engine say to each other about look-alikes, translation and oddities.
//!
//! Nothing is fetched before the first request that needs it; spectra are embedded when there is nothing more urgent to do.

use serde::{Deserialize, Serialize};

use super::SpectrumId;
use crate::result::likes::{LikesCard, LikesView, MapPoints, Oddity, SearchOptions, SearchTime, Star, Translation};

/// Page → engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum LikesRequest {
    /// Fetch the encoder pair and its index, and embed what was dropped. Every other request does it too.
    Open,
    /// Stop what runs or waits; what is there already stays.
    Stop,
    /// Find the stars that are like these; several are an example set. A new search takes the place of one that waits.
    Search {
        /// What to look for: all of one survey.
        queries: Vec<Star>,
        /// How.
        options: SearchOptions,
    },
    /// Predict a spectrum in the other survey. A new one takes the place of one that waits.
    Translate {
        /// Which.
        spectrum: SpectrumId,
        /// The same star in the other survey, where the user names it.
        partner: Option<SpectrumId>,
    },
    /// How odd each dropped spectrum is.
    Oddities,
    /// The map of all entries and dropped spectra.
    Map,
    /// Search the index in the attached file too.
    AddIndex {
        /// The file's name.
        name: String,
    },
    /// Search only the shipped index and what was dropped.
    ForgetIndices,
    /// Make an index of the dropped spectra.
    Save,
    /// Search made-up entries, so that the time from this request to its answer can be taken.
    Time {
        /// How many entries; those of the last such request are used again if they are as many.
        entries: u32,
        /// Length of an embedding.
        width: u32,
        /// Searches; none only makes the entries.
        queries: u32,
    },
}

/// Engine → page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum LikesEvent {
    /// Encoder pair or index are arriving.
    Loading {
        /// What is being fetched.
        what: String,
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// What answers, and what is searched; again whenever it changes.
    Ready(Box<LikesCard>),
    /// Dropped spectra are being embedded.
    Embedding {
        /// So many are, or cannot be.
        done: u32,
        /// Of so many.
        total: u32,
    },
    /// A spectrum cannot be embedded, and why.
    Refused {
        /// Which.
        spectrum: SpectrumId,
        /// Why, and the cure.
        why: String,
    },
    /// The stars that are alike.
    Found(Box<LikesView>),
    /// The spectrum in the other survey.
    Translated(Box<Translation>),
    /// How odd the dropped spectra are, oddest first.
    Oddities(Vec<Oddity>),
    /// The map.
    Map(Box<MapPoints>),
    /// The index of the dropped spectra.
    Saved {
        /// Its file.
        file: Vec<u8>,
        /// Spectra in it.
        spectra: u32,
    },
    /// After [`LikesRequest::Time`].
    Timed(SearchTime),
    /// The user stopped it.
    Stopped,
    /// Something cannot be done, and why.
    Failed(String),
}
