//! Pretraining: native only. Inference never imports it.

pub mod components;
pub mod dataset;
pub mod emulator;
pub mod encoders;
pub mod errors;
pub mod evaluate;
pub mod experiment;
pub mod extinction;
pub mod fit;
pub mod grid;
pub mod heads;
pub mod lessons;
pub mod library;
pub mod pairs;
pub mod population;
pub mod pretrain;
pub mod report;
pub mod retrieval;
pub mod simulate;
pub mod simulate_desi;
pub mod simulate_xp;
pub mod smooth;
pub mod steps;
pub mod straighten;
pub mod subspace;
pub mod transfer;
