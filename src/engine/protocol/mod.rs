//! Messages between the page and the workers: one enum of requests, one enum of events, one file for each family.
//!
//! A message is posted as `[bytes, attachment …]`. `bytes` is the postcard form of the enum, in a transferred buffer.
//! Attachments are JavaScript values that cannot be serialised: files and message ports. The page never handles a
//! tensor, and the engine never handles an element of the page.

use serde::{Deserialize, Serialize};

mod diagnostics;
mod finetune;
mod similarity;
mod specclip;
mod spectra;
mod worker;

pub use diagnostics::{DiagnosticsEvent, DiagnosticsRequest};
pub use finetune::{FinetuneEvent, FinetuneJob, FinetuneRequest, LabelColumn};
pub use similarity::{SimilarityEvent, SimilarityRequest};
pub use specclip::{ImportedCheckpoint, SpecClipEvent, SpecClipReport, SpecClipRequest, is_checkpoint_name};
pub use spectra::{Assumptions, JobId, LabelTableReport, SpectraEvent, SpectraRequest, SpectrumId};
pub use worker::{Backend, BatchTimes, WorkerEvent, WorkerRequest};

/// Name of the browser's cache for model weights. The engine fills it; the page lists its content and empties it.
pub const MODELS_CACHE: &str = "specola-models";

/// Page → worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Reading and prediction of spectra, label tables.
    Spectra(SpectraRequest),
    /// The published `SpecCLIP` networks.
    SpecClip(SpecClipRequest),
    /// Fine-tuning. [`FinetuneRequest::Load`] comes with one `File`, [`FinetuneRequest::ConnectTrainer`] with one port.
    Finetune(FinetuneRequest),
    /// Similar spectra, translation, anomaly scores. [`SimilarityRequest::AddIndex`] comes with one `File`.
    Similarity(SimilarityRequest),
    /// Diagnostics of one prediction.
    Diagnostics(DiagnosticsRequest),
    /// Task of a worker, and the connections between workers.
    Worker(WorkerRequest),
}

/// Worker → page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// Start-up of a worker, and the GPU.
    Worker(WorkerEvent),
    /// Reading and prediction of spectra, label tables.
    Spectra(SpectraEvent),
    /// The published `SpecCLIP` networks.
    SpecClip(SpecClipEvent),
    /// Fine-tuning.
    Finetune(FinetuneEvent),
    /// Similar spectra, translation, anomaly scores.
    Similarity(SimilarityEvent),
    /// Diagnostics of one prediction.
    Diagnostics(DiagnosticsEvent),
}

macro_rules! family {
    ($($message:ty: $($variant:ident($family:ty)),*;)*) => {
        $($(impl From<$family> for $message {
            fn from(message: $family) -> Self {
                Self::$variant(message)
            }
        })*)*
    };
}

family! {
    Request: Spectra(SpectraRequest), SpecClip(SpecClipRequest), Finetune(FinetuneRequest),
        Similarity(SimilarityRequest), Diagnostics(DiagnosticsRequest), Worker(WorkerRequest);
    Event: Worker(WorkerEvent), Spectra(SpectraEvent), SpecClip(SpecClipEvent), Finetune(FinetuneEvent),
        Similarity(SimilarityEvent), Diagnostics(DiagnosticsEvent);
}
