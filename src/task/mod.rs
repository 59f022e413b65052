//! Tasks: stellar labels, fine-tuning, similarity search and diagnostics of spectra.

pub mod metrics;
pub mod rest_frame;
mod spectral_type_check;
pub mod synthetic_model;
pub mod predict;
pub mod specclip;
pub mod xp_model;
pub mod xp_posterior;
pub mod similarity;
pub mod finetune;
pub mod saliency;
pub mod pipeline;
pub mod self_test;
