//! From a spectrum to what a network takes in.
//!
//! [`reference`] is the published recipe, number for number; [`recipe`] is the one that Specola's shipped models use. The
//! other modules are their steps.

pub mod grid;
pub mod log10_f32;
pub mod noise;
pub mod polynomial;
pub mod recipe;
pub mod reference;
pub mod resample;
pub mod resolution;
pub mod snr;
pub mod stats;
pub mod xp;
