//! A spectrum in the rest frame: conditioned, shifted by its radial velocity, normalised.

use crate::preprocess::conditioning::{ConditionedSpectrum, PreparedInput};
use crate::preprocess::noise::pixel_sigma;
use crate::spectrum::Spectrum;

/// A conditioned spectrum, shifted to the rest frame and normalised.
#[derive(Debug, Clone)]
pub struct RestFrameSpectrum {
    pub(super) conditioned: ConditionedSpectrum,
    pub(super) rv_kms: f64,
    pub(super) prepared: PreparedInput,
}

/// Normalised flux in the rest frame.
#[derive(Debug, Clone, PartialEq)]
pub struct RestFrameFlux {
    /// Radial velocity, km/s.
    pub rv_kms: f64,
    /// S/N per model pixel, if known.
    pub snr: Option<f64>,
    /// Normalised flux in the rest frame, `[1462]`; NaN for a missing pixel.
    pub norm: Vec<f32>,
    /// Errors of the flux, `[1462]`; empty when the file has none.
    pub sigma: Vec<f32>,
}

impl RestFrameSpectrum {
    /// S/N per model pixel, if known.
    pub fn snr(&self) -> Option<f64> {
        self.conditioned.snr.map(|s| s.value)
    }

    /// The normalised flux with its errors; `spectrum` is the observed spectrum.
    pub fn flux(&self, spectrum: &Spectrum) -> RestFrameFlux {
        RestFrameFlux {
            rv_kms: self.rv_kms,
            snr: self.snr(),
            norm: self.prepared.norm.clone(),
            sigma: pixel_sigma(spectrum, &self.conditioned, &self.prepared, self.rv_kms),
        }
    }
}
