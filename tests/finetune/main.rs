//! Fine-tuning, cross-validation and adapters.
#![cfg(feature = "cli")]

mod adapter;
mod cross_validation;
mod pytorch;
mod small_network;
#[path = "../support/mod.rs"]
mod support;
mod training;
