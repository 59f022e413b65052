//! Networks for Gaia XP spectra, trained on real stars with APOGEE labels.

pub mod augment;
pub mod posterior;
pub mod regressor;
pub mod scores;
pub mod stars;
