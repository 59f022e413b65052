//! Errors of the import of a checkpoint.

use thiserror::Error;

use crate::nn::weights::WeightsError;

/// Error of the import of a checkpoint; the caller adds the file's name.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum ImportError {
    #[error("the file cannot be read ({0}); download it again")]
    Read(#[from] std::io::Error),
    #[error("the zip container is damaged ({0}); download the file again")]
    Zip(#[from] zip::result::ZipError),
    #[error(
        "unknown file format: not a PyTorch zip, a pickle or a safetensors file; choose a .ckpt, .pt, .pkl or .safetensors file"
    )]
    Unknown,
    #[error("the zip file contains no data.pkl, so it is not a PyTorch checkpoint; choose another file")]
    NoPickle,
    #[error("the checkpoint is big-endian, which is not supported; save it on a little-endian computer (x86 or ARM)")]
    BigEndian,
    #[error("{part} has {bytes} bytes; the limit is {limit}. The file is not one of the published checkpoints")]
    TooLarge { part: &'static str, bytes: u64, limit: u64 },
    #[error("the pickle is truncated or malformed at byte {at} ({problem}); download the file again")]
    Pickle { at: usize, problem: &'static str },
    #[error("the safetensors header is malformed ({0}); download the file again")]
    Header(String),
    #[error("tensor `{name}` {problem}; the file is damaged")]
    Tensor { name: String, problem: String },
    #[error("the checkpoint has no tensor `{name}` of shape {expected:?}; it belongs to another network or version")]
    Missing { name: String, expected: Vec<usize> },
    #[error("tensor `{name}` has shape {found:?} instead of {expected:?}; it belongs to another network or version")]
    Shape { name: String, found: Vec<usize>, expected: Vec<usize> },
    #[error(
        "the checkpoint contains no supported network (its first tensors: {first}); supported are the SpecCLIP encoders, CLIP models, regression heads and flows"
    )]
    NoNetwork { first: String },
    #[error("the checkpoint does not contain a CLIP model; download the CLIP checkpoint again")]
    NotClip,
    #[error("{name} is {found}, which is inconsistent with the network; the file is damaged")]
    HyperParameter { name: &'static str, found: usize },
    #[error(transparent)]
    Weights(#[from] WeightsError),
}
