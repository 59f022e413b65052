//! Figures, drawn by one function onto any `plotters` backend: the page's canvas and the exported SVG are the same
//! picture.
//!
//! plotters gives the backends and the text; axes, ticks and decimation are ours, because a spectrum of 200,000 pixels
//! must be drawn in the time of one frame and no two of its points may fall into the same column unseen.

mod axis;
mod decimate;
mod figure;
mod lines;
mod losses;
mod spectrum;
mod theme;

pub use axis::{decimals_for, ticks};
pub use decimate::columns;
pub use figure::{Drawn, Figure, Frame, Layer, Panel, Scale};
pub use lines::{LINES, SpectralLine};
pub use losses::{LossSeries, losses};
pub use spectrum::{SpectrumFigure, nearest_index};
pub use theme::{Paint, Rgb, Theme};
