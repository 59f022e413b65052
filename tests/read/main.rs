//! Readers of spectra and of tables of labels.
#![cfg(feature = "cli")]

mod instruments;
mod layouts;
mod parts;
mod real;
mod synthetic;
mod tables;
mod xp_continuous;
#[path = "../support/mod.rs"]
mod support;
