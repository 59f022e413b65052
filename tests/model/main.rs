//! Networks, weights, stores, importers and pretraining, compared with `PyTorch`, sbi and `NumPy`.
#![cfg(feature = "cli")]

mod heads;
mod import;
mod mlp;
mod networks;
mod preprocess;
mod pretrain;
mod specclip;
mod store;
#[cfg(feature = "token-parallel")]
mod token_parallel;
mod training;
mod xp;
#[path = "../support/mod.rs"]
mod support;
