//! What page and engine say to each other about the reading of one spectrum.
//!
//! The emulator is fetched before the first request that needs it, and by no other.

use serde::{Deserialize, Serialize};

use super::SpectrumId;
use crate::result::reading::{ModelFit, Saliency};

/// Page → engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ReadingRequest {
    /// The model spectrum of the answer. A new request takes the place of one that waits.
    Fit {
        /// Which spectrum.
        spectrum: SpectrumId,
    },
    /// How a label changes with the flux. A new request takes the place of one that waits.
    Saliency {
        /// Which spectrum.
        spectrum: SpectrumId,
        /// Column name of the label.
        target: String,
    },
}

/// Engine → page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ReadingEvent {
    /// The emulator is arriving.
    Loading {
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The model spectrum of an answer, or why there is none.
    Fitted {
        /// Which spectrum.
        spectrum: SpectrumId,
        /// The comparison.
        fit: Result<Box<ModelFit>, String>,
    },
    /// How a label changes with the flux, or why that cannot be told.
    Salient {
        /// Which spectrum.
        spectrum: SpectrumId,
        /// The derivatives.
        saliency: Result<Box<Saliency>, String>,
    },
}
