//! The published SpecCLIP system as it lies in its folder: which file is what, and the networks in them (MODEL_SPEC §3).
//!
//! [`Layout`] says where each network is, [`Tower`] turns spectra into embeddings, [`Head`] turns an embedding into a
//! parameter. [`crate::task::published`] runs them together.

mod files;
mod head;
mod layout;
mod tower;

pub use files::{Files, Folder};
pub use head::{Answer, Head, HeadError, SAMPLES, SEED};
pub use layout::{Embedding, Layout, NotPublished, ROUTES, Route};
pub use tower::Tower;

/// Something that is left out or done otherwise, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What it is about: a file of the folder, or a parameter.
    pub about: String,
    /// What is the matter, and the cure.
    pub problem: String,
}

impl Warning {
    pub(crate) fn new(about: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { about: about.into(), problem: problem.into() }
    }
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.about, self.problem)
    }
}
