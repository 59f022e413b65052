//! Messages about diagnostics of a prediction: synthetic spectrum, sensitivity, joint density.
//!
//! The first request that needs the emulator or the density starts its download. No other request does.

use serde::{Deserialize, Serialize};

use super::SpectrumId;
use crate::result::diagnostics::{ModelFit, PosteriorDraws, Saliency};

/// Page → engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum DiagnosticsRequest {
    /// Compute the synthetic spectrum at the predicted labels. A new request replaces a waiting one.
    CheckFit {
        /// Spectrum.
        spectrum: SpectrumId,
    },
    /// Compute the derivative of a label with respect to the flux. A new request replaces a waiting one.
    Saliency {
        /// Spectrum.
        spectrum: SpectrumId,
        /// Column name of the label.
        target: String,
    },
    /// Draw the labels of a Gaia XP spectrum from their joint density. A new request replaces a waiting one.
    Posterior {
        /// Spectrum.
        spectrum: SpectrumId,
    },
}

/// Engine → page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum DiagnosticsEvent {
    /// The emulator or the density is being downloaded.
    Loading {
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// Synthetic spectrum at the predicted labels, or the reason why there is none.
    Fit {
        /// Spectrum.
        spectrum: SpectrumId,
        /// Comparison of the two spectra.
        fit: Result<Box<ModelFit>, String>,
    },
    /// Derivative of a label with respect to the flux, or the reason why there is none.
    Saliency {
        /// Spectrum.
        spectrum: SpectrumId,
        /// Derivatives.
        saliency: Result<Box<Saliency>, String>,
    },
    /// Draws from the joint density of the labels, or the reason why there are none.
    Posterior {
        /// Spectrum.
        spectrum: SpectrumId,
        /// Draws.
        draws: Result<Box<PosteriorDraws>, String>,
    },
}
