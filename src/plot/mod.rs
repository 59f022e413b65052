//! Figures, drawn by one function onto any `plotters` backend: the page's canvas and the exported SVG are the same
//! picture.
//!
//! plotters gives the backends and the text; axes, ticks and decimation are ours, because a spectrum of 200,000 pixels
//! must be drawn in the time of one frame and no two of its points may fall into the same column unseen.

mod axis;
mod chart;
mod cloud;
mod contour;
mod decimate;
mod figure;
mod lines;
// Of pretraining, which is native only.
#[cfg(feature = "cli")]
mod losses;
mod pen;
mod reading;
mod smooth;
mod spectrum;
mod theme;

pub use axis::{decimals_for, ticks};
pub use chart::{Chart, Mark, Plot, Relief, range_of};
pub use cloud::{Cloud, Window, ramp};
pub use decimate::columns;
pub use figure::{Figure, Frame, Layer, Panel};
pub use lines::{LINES, SpectralLine, identify};
#[cfg(feature = "cli")]
pub use losses::{LossSeries, losses};
pub use pen::{Drawing, Drawn, Scale};
pub use reading::{Feature, FitCurves, SlopeCurves};
pub use smooth::{smoothed, smoothed_values};
pub use spectrum::{SpectrumFigure, nearest_index};
pub use theme::{Paint, Rgb, Theme};
