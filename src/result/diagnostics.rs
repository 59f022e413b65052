//! Diagnostics of one prediction: the synthetic spectrum at the predicted labels, and the sensitivity (∂label/∂flux).

use serde::{Deserialize, Serialize};

use super::Label;

/// The emulator's spectrum at the predicted labels and its residual, on the model's grid at rest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelFit {
    /// Name and version of the emulator.
    pub emulator: String,
    /// Flux over continuum of the emulator's spectrum, `[1462]`; NaN outside the range of the data.
    pub flux: Vec<f32>,
    /// σ of the data, `[1462]`; empty if the file gives no errors.
    pub sigma: Vec<f32>,
    /// Number of measured pixels in the comparison.
    pub pixels: u32,
    /// Root mean square of data − model over these pixels, in units of the continuum.
    pub rms: f64,
    /// Reduced χ² with the file's own errors; `None` without errors.
    ///
    /// The labels were not fitted to this comparison, so the number of pixels is the number of degrees of freedom.
    pub chi2_red: Option<f64>,
    /// Residual rms after removal of the noise, divided by the expected residual of typical stars with equally deep
    /// lines at their true labels.
    #[serde(alias = "misfit")]
    pub excess_residual: f64,
    /// True if the excess residual exceeds the residuals of nearly all real stars: the labels do not fit the star.
    pub is_poor: bool,
    /// False if the labels lie outside the emulator's grid; the spectrum then belongs to the nearest edge of the grid.
    pub is_inside: bool,
}

/// Sensitivity of a label to the flux of each pixel, ∂label/∂flux.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Saliency {
    /// Column name of the label.
    pub target: String,
    /// Name and version of the model that predicts the label.
    pub model: String,
    /// ∂label/∂flux on the model's grid, `[1462]`, in the label's unit per unit of continuum; NaN for missing pixels.
    pub gradient: Vec<f32>,
    /// Name and sensitivity of the shipped model, if `gradient` belongs to a fine-tuned model.
    pub shipped_gradient: Option<(String, Vec<f32>)>,
}

/// Draws of the labels of one spectrum from their joint density.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PosteriorDraws {
    /// Name and version of the model.
    pub model: String,
    /// Labels of a draw, in order.
    pub labels: Vec<Label>,
    /// The draws, `[n][4]`, in the labels' units.
    pub draws: Vec<[f32; 4]>,
}
