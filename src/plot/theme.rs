//! The colours of a figure. The page takes them from its style sheet; an exported figure is on white paper.

use super::ramp;

/// Red, green, blue.
pub type Rgb = (u8, u8, u8);

/// What something in a figure is; the theme says which colour that has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// The observed flux.
    Data,
    /// The fitted continuum.
    Continuum,
    /// The normalised flux on the model's grid.
    Model,
    /// ±1 σ.
    Sigma,
    /// Masked pixels.
    Masked,
    /// Frame, ticks and their text.
    Axis,
    /// Lines of the grid, reference levels.
    Grid,
    /// Names of spectral lines.
    Label,
    /// One of several series, counted from 0.
    Series(usize),
    /// A height, from 0 for the lowest to 255: the ramp of [`super::ramp`].
    Ramp(u8),
}

/// A colour for every [`Paint`]. The three curves are told apart by lightness as well as by hue, so that they stay
/// apart without colour vision and in grey print.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct Theme {
    pub data: Rgb,
    pub continuum: Rgb,
    pub model: Rgb,
    pub sigma: Rgb,
    pub masked: Rgb,
    pub axis: Rgb,
    pub grid: Rgb,
    pub label: Rgb,
    /// Font families in the order of preference, as CSS writes them.
    pub font: String,
}

impl Theme {
    /// For print: dark on white.
    pub fn paper() -> Self {
        Self {
            data: (27, 48, 84),
            continuum: (201, 92, 0),
            model: (0, 98, 84),
            sigma: (120, 140, 180),
            masked: (176, 52, 96),
            axis: (40, 40, 40),
            grid: (225, 225, 222),
            label: (90, 90, 90),
            font: "Helvetica, Arial, sans-serif".into(),
        }
    }

    /// The colour of one thing and its opacity.
    pub fn colour(&self, paint: Paint) -> (Rgb, f64) {
        match paint {
            Paint::Data => (self.data, 1.0),
            Paint::Continuum => (self.continuum, 1.0),
            Paint::Model => (self.model, 1.0),
            Paint::Sigma => (self.sigma, 0.35),
            Paint::Masked => (self.masked, 0.22),
            Paint::Axis => (self.axis, 1.0),
            Paint::Grid => (self.grid, 1.0),
            Paint::Label => (self.label, 1.0),
            Paint::Ramp(height) => (ramp(f64::from(height) / 255.0), 1.0),
            Paint::Series(i) => ([self.data, self.continuum, self.model, self.masked, self.label][i % 5], 1.0),
        }
    }
}

impl Default for Theme {
    fn default() -> Self {
        Self::paper()
    }
}
