//! Figures. One function draws a figure onto any `plotters` backend, so the page's canvas and the exported SVG show the
//! same picture.
//!
//! plotters provides the backends and the text. Axes, ticks and decimation are Specola's own, for two reasons: a
//! spectrum of 200,000 pixels must be drawn within one frame, and no spike may disappear where many points share a
//! pixel column.

mod axis;
mod chart;
mod scatter_raster;
mod contour;
mod corner;
mod decimate;
mod figure;
mod lines;
// Loss curves of pretraining, which exists only in the native program.
#[cfg(feature = "cli")]
mod losses;
mod painter;
mod diagnostics;
mod smooth;
mod spectrum;
mod theme;

pub use axis::{decimals_for, ticks};
pub use chart::{Chart, Heatmap, Mark, Plot, range_of};
pub use corner::Corner;
pub use decimate::columns;
pub use diagnostics::{Feature, FitCurves, SaliencyCurves};
pub use figure::{Figure, Frame, Layer, Panel};
pub use lines::{LINES, SpectralLine, identify};
#[cfg(feature = "cli")]
pub use losses::{LossSeries, losses};
pub use painter::{DrawResult, Drawable, Scale};
pub use scatter_raster::{ScatterRaster, Window, ramp};
pub use smooth::{smooth, smooth_values};
pub use spectrum::{SpectrumFigure, nearest_index};
pub use theme::{Paint, Rgb, Theme};
