//! Indices of embeddings and the search in them.
#![cfg(feature = "cli")]

mod index;
#[path = "../support/mod.rs"]
mod support;
