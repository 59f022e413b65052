//! Messages about the published `SpecCLIP` networks that the user opened.

use serde::{Deserialize, Serialize};

use super::SpectrumId;
use crate::result::specclip::{Modality, SpecClipValue};

/// True if the file name is that of a network. Network files are large, so only the reader of networks opens them.
pub fn is_checkpoint_name(path: &str) -> bool {
    let path = path.to_lowercase();
    [".ckpt", ".pt", ".pkl", ".safetensors"].iter().any(|ending| path.ends_with(ending))
}

/// A checkpoint that the user opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedCheckpoint {
    /// Its file.
    pub path: String,
    /// Kind of network, its number of parameters, and the number of the published network; or why it cannot be read.
    pub content: Result<(String, u64, u64), String>,
}

/// State of the published networks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecClipReport {
    /// Checkpoints that were opened without their folder.
    pub networks: Vec<ImportedCheckpoint>,
    /// True when the whole folder is present and predicts.
    pub is_complete: bool,
    /// The missing parts, if the folder is not complete.
    pub missing: String,
    /// Kinds of spectra for which networks were read.
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
