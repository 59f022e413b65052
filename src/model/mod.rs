//! The models of Specola: manifest, download, weights, and the networks built from them.

pub mod calibration;
pub mod emulator;
pub mod encoders;
pub mod import;
pub mod manifest;
#[cfg(feature = "train")]
pub mod publish;
pub mod specclip;
pub mod regressor;
pub mod store;
pub mod xp_posterior;
pub mod xp_regressor;
