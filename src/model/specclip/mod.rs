//! The published `SpecCLIP` system: files and networks of its folder (docs/model-spec.md §3).
//!
//! [`Layout`] locates each network, [`Tower`] embeds spectra, and [`Head`] estimates a parameter from an embedding.
//! [`crate::task::specclip`] combines them.

mod files;
mod head;
mod layout;
mod tower;

pub use files::{Files, Folder};
pub use head::{Head, HeadError, HeadEstimate, SAMPLES, SEED};
pub use layout::{Embedding, HeadRoute, Layout, LayoutError, ROUTES};
pub use tower::Tower;

/// Warning about an omitted or substituted part, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The subject: a file of the folder, or a parameter.
    pub subject: String,
    /// Description of the problem, and advice.
    pub problem: String,
}

impl Warning {
    pub(crate) fn new(subject: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { subject: subject.into(), problem: problem.into() }
    }
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.subject, self.problem)
    }
}
