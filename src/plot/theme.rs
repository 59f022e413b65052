//! Colours of a figure. The page takes them from its style sheet; an exported figure is on white paper.

use super::ramp;

/// Red, green, blue.
pub type Rgb = (u8, u8, u8);

/// Role of an element in a figure; the theme assigns the colour.
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
    /// Grid lines and reference levels.
    Grid,
    /// Names of spectral lines.
    Label,
    /// One of several series, counted from 0.
    Series(usize),
    /// Position on the colour ramp ([`super::ramp`]): 0 for the lowest height, 255 for the highest.
    Ramp(u8),
}

/// Colours of all [`Paint`] roles. The three curves differ in lightness as well as in hue, so they are distinguishable
/// without colour vision and in grey print.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each field is the colour of the mark that it names")]
pub struct Theme {
    pub data: Rgb,
    pub continuum: Rgb,
    pub model: Rgb,
    pub sigma: Rgb,
    pub masked: Rgb,
    pub axis: Rgb,
    pub grid: Rgb,
    pub label: Rgb,
    /// Font families in order of preference, in CSS syntax.
    pub font: String,
}

impl Theme {
    /// Theme for print: dark on white.
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

    /// Colour of the ramp at a fraction from 0 to 1, for points on the background. Omits the end of the ramp that the
    /// background hides: the dark end in a dark theme, the light end in a light one.
    pub fn point_colour(&self, fraction: f64) -> Rgb {
        let (r, g, b) = self.axis;
        let is_dark = u32::from(r) + u32::from(g) + u32::from(b) > 3 * 128;
        let (low, high) = if is_dark { (0.3, 1.0) } else { (0.0, 0.7) };
        ramp(low + (high - low) * fraction.clamp(0.0, 1.0))
    }

    /// Colour and opacity of a paint.
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
            Paint::Series(i) => {
                let colours = [self.data, self.continuum, self.model, self.masked, self.label, self.sigma, self.axis];
                (colours[i % colours.len()], 1.0)
            }
        }
    }
}

impl Default for Theme {
    fn default() -> Self {
        Self::paper()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn point_colours_omit_the_end_of_the_ramp_that_the_background_hides() {
        let light = Theme::paper();
        assert_eq!((light.point_colour(0.0), light.point_colour(1.0)), ((68, 1, 84), (82, 190, 106)));
        let dark = Theme { axis: (179, 186, 200), ..light };
        assert_eq!((dark.point_colour(0.0), dark.point_colour(2.0)), ((54, 95, 139), (253, 231, 37)));
    }
}
