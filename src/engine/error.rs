//! Errors of the engine. The page shows their texts.

use thiserror::Error;

use crate::read::ReadError;
use crate::task::finetune::adapter::AdapterError;
use crate::task::predict::PredictError;
use crate::task::similarity::encoders::EncodeError;

/// Reason why the engine cannot do what was requested.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the message of each variant says what it is")]
pub enum EngineError {
    #[error("the page sent no content for this file; drop it again")]
    NoContent,
    #[error("the file has {gib:.1} GiB; the page takes {max_gib} GiB at most. Split it, or use the command line")]
    FileTooLarge { gib: f64, max_gib: u64 },
    #[error("{file} was changed since it was dropped; drop it again")]
    FileChanged { file: String },
    #[error("the spectrum is not loaded any more; drop it again")]
    NoSpectrum,
    #[error("the encoders are not loaded")]
    NoEncoders,
    #[error("the encoders cannot read this spectrum, so there are no similar spectra")]
    NotEncodable,
    #[error("no model is loaded, so no adapter can be applied")]
    NoModel,
    #[error("{0} has no decoders and cannot translate")]
    NoDecoders(String),
    #[error("the model in use does not predict {0}; choose another label")]
    NoLabel(String),
    #[error("a synthetic spectrum needs Teff, log g and [Fe/H]; the model in use does not predict them")]
    NoSyntheticSpectrum,
    #[error("the model for Gaia XP spectra has neither a synthetic spectrum nor a sensitivity")]
    NoXpDiagnostics,
    #[error("no index has the label {0}")]
    NoIndexLabel(String),
    #[error("an example set must be from one survey; remove the spectra of the other survey")]
    MixedSurveys,
    #[error("the search has no query; select a spectrum")]
    NoQuery,
    #[error("the compute device returned no result; reload the page")]
    Device,
    #[error(
        "the adapter is not the one that was saved with the session: its sha256 is {found}, not {expected}; save the session again"
    )]
    OtherAdapter { found: String, expected: String },
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Predict(#[from] PredictError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// A model could not be downloaded or built, or an index could not be read. The text gives the reason.
    #[error("{0}")]
    Unavailable(String),
}

impl From<&str> for EngineError {
    fn from(reason: &str) -> Self {
        Self::Unavailable(reason.into())
    }
}
