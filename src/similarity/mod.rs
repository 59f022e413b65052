//! Similar spectra: an index of embeddings, exact search in it, a map of it, and anomaly scores against it.
//!
//! This module needs no neural network; [`model::encoders`](crate::model::encoders) computes the embeddings.

pub mod file;
pub mod index;
pub mod map;
pub mod anomaly;
pub mod search;
pub mod synthetic_index;
pub mod thumbnail;
