//! From a spectrum to what a network takes in.

pub mod air_vacuum;
pub mod stats;
