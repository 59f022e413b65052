//! The compute engine: the protocol between the page and its workers, and the code on either side of it.
//!
//! ```text
//! page: client ──Request──▶ worker ──▶ session ──▶ read · preprocess · model · task
//!       client ◀──Event──── worker ◀── session
//! ```
//!
//! The GPU engine is a second worker. It runs full batches of the networks for the session where it is faster. The page
//! starts it, checks its self-test, and connects the two by a message port:
//!
//! ```text
//! session ──Batch──▶ gpu_client ══port══▶ gpu ──▶ model on WebGPU
//! ```
//!
//! Trainers are workers too. The page starts them for fine-tuning, and the session distributes training runs to them:
//!
//! ```text
//! session ── finetuning ──TrainerCommand──▶ port_link ══port══▶ trainer_worker ──▶ trainer ──▶ task::finetune
//!                       ◀──TrainerStatus──
//! ```
//!
//! Page and workers share only [`protocol`]. [`session`] does not depend on a browser, so native tests run it like a
//! worker. `worker` and [`client`] are the two ends of the message channel.

pub mod protocol;
#[cfg(feature = "browser")]
mod codec;
#[cfg(feature = "ui")]
pub mod client;

#[cfg(feature = "nn")]
mod error;
#[cfg(feature = "nn")]
mod input_files;
#[cfg(feature = "nn")]
mod label_tables;
#[cfg(feature = "nn")]
mod specclip;
#[cfg(feature = "nn")]
mod similarity;
#[cfg(feature = "nn")]
pub mod trainer;
#[cfg(feature = "nn")]
pub mod finetuning;
#[cfg(feature = "nn")]
pub mod session;

#[cfg(feature = "engine")]
mod downloads;
#[cfg(feature = "engine")]
mod file_reader;
#[cfg(feature = "engine")]
mod gpu_client;
#[cfg(feature = "engine")]
mod port_link;
#[cfg(feature = "engine")]
mod scope;
#[cfg(feature = "engine")]
pub mod worker;
#[cfg(feature = "engine")]
pub mod trainer_worker;
#[cfg(feature = "gpu")]
pub mod gpu;
#[cfg(all(feature = "gpu", target_family = "wasm"))]
pub mod wasm_ctors;

#[cfg(feature = "nn")]
pub use error::EngineError;
#[cfg(feature = "nn")]
pub use input_files::Attachment;
pub use protocol::{Event, Request};
#[cfg(feature = "nn")]
pub use session::HostRequest;
