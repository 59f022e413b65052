//! Networks for Gaia XP spectra, trained on real stars with APOGEE labels.

pub mod augment;
mod brightness;
pub mod emulator;
pub mod posterior;
pub mod regressor;
pub mod scores;
pub mod stars;
pub mod unusual;
