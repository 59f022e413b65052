//! Why a checkpoint cannot be used.

use thiserror::Error;

use crate::model::weights::WeightsError;

/// Why a checkpoint cannot be used; the caller adds the file's name.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum ImportError {
    #[error("the file cannot be read ({0}); download it again")]
    Read(#[from] std::io::Error),
    #[error("the zip container is damaged ({0}); download the file again")]
    Zip(#[from] zip::result::ZipError),
    #[error(
        "this is no checkpoint: neither a PyTorch zip, a pickle nor safetensors; choose a .ckpt, .pt, .pkl or .safetensors file"
    )]
    Unknown,
    #[error("the zip holds no data.pkl; it is not a checkpoint that PyTorch wrote")]
    NoPickle,
    #[error("the checkpoint is big-endian; save it on a usual computer")]
    BigEndian,
    #[error(
        "{part} would be {bytes} bytes, more than the limit of {limit}; this is not one of the published checkpoints"
    )]
    TooLarge { part: &'static str, bytes: u64, limit: u64 },
    #[error("the pickle breaks off or is malformed at byte {at} ({problem}); download the file again")]
    Pickle { at: usize, problem: &'static str },
    #[error("the safetensors header is malformed ({0}); download the file again")]
    Header(String),
    #[error("tensor `{name}` {problem}; the file is damaged")]
    Tensor { name: String, problem: String },
    #[error(
        "the checkpoint has no tensor `{name}`, whose shape should be {expected:?}; it belongs to another network or version"
    )]
    Missing { name: String, expected: Vec<usize> },
    #[error(
        "tensor `{name}` has shape {found:?} where {expected:?} is expected; it belongs to another network or version"
    )]
    Shape { name: String, found: Vec<usize>, expected: Vec<usize> },
    #[error(
        "the checkpoint holds no network that is known here (its first tensors: {first}); known are the SpecCLIP encoders, CLIP models, regression heads and flows"
    )]
    NoNetwork { first: String },
    #[error("the checkpoint holds another network than a CLIP model, which is expected here; download it again")]
    NotClip,
    #[error("{what} is {found}, which does not fit the network; the file is damaged")]
    Setting { what: &'static str, found: usize },
    #[error(transparent)]
    Weights(#[from] WeightsError),
}
