//! What helps to read one spectrum: the model spectrum of its answer, and what the answer rests on.

use serde::{Deserialize, Serialize};

/// The emulator's spectrum at the predicted labels beside the data, on the model's grid at rest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelFit {
    /// Name and version of the emulator.
    pub emulator: String,
    /// Flux over continuum of the emulator's spectrum, `[1462]`; NaN where the data do not reach.
    pub flux: Vec<f32>,
    /// σ of the data there, `[1462]`; empty when the file gives no errors.
    pub sigma: Vec<f32>,
    /// Pixels that were measured and compared.
    pub pixels: u32,
    /// Root mean square of data − model over them, units of the continuum.
    pub rms: f64,
    /// χ² a pixel by the file's own errors; `None` when it gives none. The labels were not fitted, so pixels are the degrees
    /// of freedom.
    pub chi2_red: Option<f64>,
    /// What of the rms is not noise, in units of what usual stars with lines as deep show at a right answer.
    pub misfit: f64,
    /// True when the misfit is beyond what nearly all real stars show: the answer does not fit the star.
    pub is_poor: bool,
    /// False when the answer lies outside of the emulator's grid: the spectrum is that of its nearest edge.
    pub is_inside: bool,
}

/// How a label changes with the flux of each pixel: what the answer rests on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Saliency {
    /// Column name of the label.
    pub target: String,
    /// Name and version of what answers for it.
    pub by: String,
    /// ∂label/∂flux on the model's grid, `[1462]`, in the label's unit for a change by the whole continuum; NaN where the
    /// spectrum has nothing.
    pub slope: Vec<f32>,
    /// The same of the shipped model, by its name, where `slope` is that of one that was taught.
    pub before: Option<(String, Vec<f32>)>,
}
