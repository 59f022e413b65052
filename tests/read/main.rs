//! Readers of spectra and of tables of labels.
#![cfg(feature = "cli")]

mod layouts;
mod real;
mod synthetic;
mod tables;
#[path = "../support/mod.rs"]
mod support;
