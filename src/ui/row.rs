//! A row of the table: its key, the spectrum's metadata and the state of its prediction.

use std::sync::Arc;

use leptos::prelude::{Get, GetUntracked, RwSignal, With};

use crate::engine::protocol::{Assumptions, SpectrumId};
use crate::result::{Label, Prediction, Summary};
use crate::share::{self, Record};
use crate::spectrum::Frame;

/// Generation of imported rows, which no engine has read.
pub(super) const IMPORTED_GENERATION: u32 = u32::MAX;

/// Key of a spectrum on the page. A restarted engine numbers spectra from 0 again, so the number alone is not unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RowKey {
    /// Number of engine restarts before the spectrum was read.
    pub generation: u32,
    /// The engine's number of the spectrum.
    pub id: SpectrumId,
}

/// State of a spectrum's prediction.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PredictionStatus {
    /// The spectrum is read and waits for the network.
    Pending,
    /// The network predicted the labels.
    Predicted(Arc<Prediction>),
    /// No network can predict from it. Holds the reason.
    NotPredicted(String),
    /// The engine stopped before the prediction.
    Interrupted,
}

impl PredictionStatus {
    /// The prediction, if there is one.
    pub(super) fn prediction(&self) -> Option<&Prediction> {
        match self {
            Self::Predicted(prediction) => Some(prediction),
            _ => None,
        }
    }
}

/// One row of the table. The row itself never changes; its contents are signals, so that a change redraws only
/// its own cells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// Its key.
    pub key: RowKey,
    /// The file, the metadata and the wavelength range.
    pub summary: RwSignal<Arc<Summary>>,
    /// State of the prediction.
    pub status: RwSignal<PredictionStatus>,
    /// The user's assumptions about it.
    pub assumptions: RwSignal<Assumptions>,
}

impl Row {
    /// Radial velocity by which the wavelengths in the file are shifted, km/s. It is 0 in the rest frame, and without a
    /// prediction.
    pub(super) fn rv_in_wavelengths_kms(&self) -> f64 {
        if self.summary.get().meta.frame.value == Frame::Rest {
            return 0.0;
        }
        self.status.with(|status| status.prediction().and_then(|p| p.get(Label::Rv)).map_or(0.0, |rv| rv.value))
    }

    /// The row as a record for files and links.
    pub(super) fn record(&self) -> Record {
        let outcome = match self.status.get_untracked() {
            PredictionStatus::Predicted(prediction) => share::Outcome::Predicted((*prediction).clone()),
            PredictionStatus::NotPredicted(why) => share::Outcome::NotPredicted(why),
            PredictionStatus::Pending | PredictionStatus::Interrupted => share::Outcome::Pending,
        };
        Record { summary: (*self.summary.get_untracked()).clone(), outcome, snr: None }
    }
}
