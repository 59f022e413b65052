//! Pretraining: native only. Inference never imports it.

pub mod dataset;
pub mod errors;
pub mod evaluate;
pub mod experiment;
pub mod fit;
pub mod grid;
pub mod library;
pub mod pretrain;
pub mod report;
pub mod simulate;
pub mod smooth;
pub mod straighten;
pub mod subspace;
pub mod transfer;
