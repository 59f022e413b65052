//! What an astronomer asks for: plain inputs, plain results.

pub(crate) mod cholesky;
pub mod discrepancy;
pub mod fit;
mod kinds;
pub mod likes;
pub mod metrics;
pub mod predict;
pub mod published;
pub mod saliency;
pub mod self_test;
pub mod teach;
