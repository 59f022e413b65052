//! Predictions of the shipped and of untrained models.
#![cfg(feature = "cli")]

mod inference_backend;
mod real;
mod shipped_models;
mod xp_model;
#[path = "../support/mod.rs"]
mod support;
