//! Attacks on the native program: damaged, hostile and merely large inputs, and kills at any moment. Each attack prints
//! its outcome, the peak of the memory and the time as a row of a table.
//!
//! In the suite the inputs are small. `cargo xtask torture` runs the same attacks at full size, with `SPECOLA_TORTURE=full`.
#![cfg(feature = "cli")]

mod attack;
mod changed;
mod cost;
mod killed;
mod large;
#[path = "../support/mod.rs"]
mod support;
