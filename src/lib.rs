//! Specola: stellar parameters from spectra, in a browser tab or on the command line.
//!
//! ```text
//! bytes ──read──▶ Spectrum ──preprocess──▶ model input ──model──▶ output ──task──▶ Result ──▶ plot · export · share
//! ```
//!
//! The modules stand in that order, and each imports only earlier ones.
#![warn(missing_docs)]

pub mod engine;
pub mod preprocess;
pub mod result;
pub mod spectrum;
