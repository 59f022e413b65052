//! What is shipped, and how bytes become networks.

pub mod calibration;
pub mod emulator;
pub mod encoders;
pub mod import;
pub mod manifest;
#[cfg(feature = "train")]
pub mod publish;
pub mod published;
pub mod regressor;
pub mod store;
pub mod weights;
