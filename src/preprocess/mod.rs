//! Preprocessing: from a spectrum to the input of a network.
//!
//! [`conditioning`] is the preprocessing of Specola's own models. [`reference`] and [`xp`] reproduce the published
//! preprocessing (`SpecCLIP`) of LAMOST and Gaia XP spectra. The other modules are steps of these recipes.

pub mod grid;
pub mod log10_f32;
pub mod noise;
pub mod polynomial;
pub mod conditioning;
pub mod reference;
pub mod resample;
pub mod resolution;
pub mod snr;
pub mod xp;
pub mod xp_features;
