//! The border between the page and the compute worker.

pub mod message;

pub use message::{Assumptions, Backend, Event, JobId, ModelCard, Request, SpectrumId};
