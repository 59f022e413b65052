//! Specola: stellar parameters from spectra, in a browser tab or on the command line.
//!
//! ```text
//! bytes ──read──▶ Spectrum ──preprocess──▶ model input ──model──▶ output ──task──▶ Result ──▶ plot · export · share
//! ```
//!
//! The modules stand in that order, and each imports only earlier ones.
#![warn(missing_docs)]

pub mod spectrum;
pub mod result;
pub mod read;
pub mod preprocess;
#[cfg(feature = "nn")]
pub mod nn;
#[cfg(feature = "nn")]
pub mod model;
#[cfg(feature = "nn")]
pub mod retrieve;
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
