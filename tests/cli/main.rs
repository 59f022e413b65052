//! The native program, run as a user runs it.
#![cfg(feature = "cli")]

mod aliases;
mod compat;
mod finetune;
mod outputs;
mod predict;
mod real;
mod share;
mod similarity;
mod specclip;
#[path = "../support/mod.rs"]
mod support;
