//! Figures, drawn by one function onto any `plotters` backend: the page's canvas and the exported SVG are the same
//! picture.
//!
//! plotters gives the backends and the text; axes, ticks and decimation are ours, because a spectrum of 200,000 pixels
//! must be drawn in the time of one frame and no two of its points may fall into the same column unseen.

mod axis;
mod chart;
mod scatter_raster;
mod contour;
mod decimate;
mod figure;
mod lines;
// Of pretraining, which is native only.
#[cfg(feature = "cli")]
mod losses;
mod painter;
mod diagnostics;
mod smooth;
mod spectrum;
mod theme;

pub use axis::{decimals_for, ticks};
pub use chart::{Chart, Heatmap, Mark, Plot, range_of};
pub use decimate::columns;
pub use diagnostics::{Feature, FitCurves, SlopeCurves};
pub use figure::{Figure, Frame, Layer, Panel};
pub use lines::{LINES, SpectralLine, identify};
#[cfg(feature = "cli")]
pub use losses::{LossSeries, losses};
pub use painter::{Drawable, Drawn, Scale};
pub use scatter_raster::{ScatterRaster, Window, ramp};
pub use smooth::{smoothed, smoothed_values};
pub use spectrum::{SpectrumFigure, nearest_index};
pub use theme::{Paint, Rgb, Theme};
