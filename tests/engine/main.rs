//! The engine's session, driven as a worker drives it.
#![cfg(feature = "cli")]

mod diagnostics;
mod finetune;
mod similarity;
mod specclip;
mod spectra;
#[path = "../support/mod.rs"]
mod support;
