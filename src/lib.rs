//! Specola: stellar parameters from spectra, in a browser tab or on the command line.
//!
//! ```text
//! bytes ──read──▶ Spectrum ──preprocess──▶ model input ──model──▶ output ──task──▶ Prediction ──▶ plot · share
//! ```
//!
//! The modules below follow the order of this chain, and each module imports only earlier modules.

pub mod linalg;
#[cfg(feature = "train")]
pub mod whole_file;
pub mod stats;
pub mod spectrum;
pub mod result;
pub mod read;
pub mod preprocess;
#[cfg(feature = "nn")]
pub mod nn;
#[cfg(feature = "nn")]
pub mod model;
#[cfg(feature = "nn")]
pub mod similarity;
#[cfg(feature = "nn")]
pub mod task;
#[cfg(feature = "train")]
pub mod train;
#[cfg(any(feature = "ui", feature = "cli"))]
pub mod plot;
pub mod share;
pub mod engine;
#[cfg(feature = "ui")]
pub mod ui;
#[cfg(feature = "cli")]
pub mod cli;
