//! Messages about the published SpecCLIP networks that the user dropped.

use serde::{Deserialize, Serialize};

use super::SpectrumId;
use crate::result::specclip::{Modality, SpecClipValue};

/// True for the name of a file that holds a network. Such files are large, so they are not opened before they reach the
/// reader of networks.
pub fn is_network_name(path: &str) -> bool {
    let path = path.to_lowercase();
    [".ckpt", ".pt", ".pkl", ".safetensors"].iter().any(|ending| path.ends_with(ending))
}

/// A checkpoint that was dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedNetwork {
    /// Its file.
    pub path: String,
    /// Kind of network, its number of parameters and that of the published one; or why it cannot be read.
    pub content: Result<(String, u64, u64), String>,
}

/// State of the published networks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecClipReport {
    /// Checkpoints that were dropped without their folder.
    pub networks: Vec<ImportedNetwork>,
    /// True when the whole folder is present and predicts.
    pub is_complete: bool,
    /// Otherwise, the missing parts.
    pub missing: String,
    /// Kinds of spectra whose networks were read.
    pub read: Vec<Modality>,
    /// Deviations from the published configuration.
    pub warnings: Vec<String>,
    /// Long operation in progress.
    pub busy: Option<String>,
    /// Spectra predicted or refused.
    pub done: u32,
    /// Spectra in all.
    pub total: u32,
}

/// Page → engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SpecClipRequest {
    /// Add checkpoints, or their whole folder. One `File` is attached for each path.
    Add {
        /// Path of each file below the dropped folder.
        paths: Vec<String>,
    },
    /// Remove all published networks.
    Remove,
}

/// Engine → page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SpecClipEvent {
    /// State of the networks.
    Status(Box<SpecClipReport>),
    /// Values that the published networks predict for a spectrum, or why there are none.
    Values {
        /// Spectrum.
        spectrum: SpectrumId,
        /// Values in the order of the published catalogue.
        values: Result<Vec<SpecClipValue>, String>,
    },
}
