//! What an astronomer asks for: plain inputs, plain results.

pub(crate) mod cholesky;
pub mod emulator_residual;
pub mod synthetic_model;
mod spectral_type_check;
pub mod similarity;
pub mod metrics;
pub mod predict;
pub mod specclip;
pub mod saliency;
pub mod self_test;
pub mod finetune;
