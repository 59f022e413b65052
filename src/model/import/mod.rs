//! PyTorch's files → our weights: Lightning `.ckpt`, `.pt`, `.safetensors` and the pickles of `sbi` (MODEL_SPEC §2.7, §3).
//!
//! Nothing in a file is ever run. A pickle is read into a plain tree in which every class is only a name; from that tree
//! the places of the tensors are taken, and only those that the recognised network needs are read.

mod checkpoint;
mod container;
mod error;
mod network;
mod pickle;
mod tree;

pub use checkpoint::{Checkpoint, Imported};
pub use error::ImportError;
pub use network::{FlowFileConfig, NetworkConfig};
