//! A row of the table: where it stands, what was read, and how far its answer is.

use std::sync::Arc;

use leptos::prelude::RwSignal;

use crate::engine::{Assumptions, SpectrumId};
use crate::result::{Prediction, Summary};

/// A spectrum's place on the page: the engine counts anew after a restart, so its number alone is not unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    /// How many engines there were before the one that found it.
    pub epoch: u32,
    /// The engine's number of it.
    pub id: SpectrumId,
}

/// How far a spectrum's answer is.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Read, waiting for the network.
    Waiting,
    /// The network answered.
    Predicted(Arc<Prediction>),
    /// No network can answer, and why.
    Refused(String),
    /// The engine stopped before it answered.
    Lost,
}

impl Answer {
    /// The prediction, if there is one.
    pub fn prediction(&self) -> Option<&Prediction> {
        match self {
            Answer::Predicted(prediction) => Some(prediction),
            _ => None,
        }
    }
}

/// One row of the table. The row itself never changes; what it shows are signals, so that only its own cells redraw.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its place.
    pub key: RowKey,
    /// What was read.
    pub summary: RwSignal<Arc<Summary>>,
    /// What was answered.
    pub answer: RwSignal<Answer>,
    /// What the user said about it.
    pub assumptions: RwSignal<Assumptions>,
}
