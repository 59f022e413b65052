//! Import of weights from `PyTorch`'s files: Lightning `.ckpt`, `.pt`, `.safetensors` and the pickles of `sbi`
//! (docs/model-spec.md §2.7, §3).
//!
//! The import never executes code from a file. It parses a pickle into a plain tree, in which a class is only a name.
//! The tree gives the locations of the tensors; the import reads only the tensors of the recognised network.

mod checkpoint;
mod container;
mod error;
mod network;
mod pickle;
mod tree;

pub use checkpoint::{Checkpoint, Imported};
pub use error::ImportError;
pub use network::{FlowFileConfig, NetworkConfig};
