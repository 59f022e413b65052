//! The border between the page and the compute worker, and what stands on each side of it.
//!
//! ```text
//! page: client ──Request──▶ worker: worker ──▶ session ──▶ read · preprocess · model · task
//!       client ◀──Event──── worker: worker ◀── session
//! ```
//!
//! A second worker, the GPU engine, runs full batches of the networks for the session where it is the faster one; the page
//! starts it, judges its self-test, and connects the two by a message port:
//!
//! ```text
//! session ──Batch──▶ helper ══port══▶ gpu: worker ──▶ model on WebGPU
//! ```
//!
//! Trainers are workers too. The page starts them when something is taught, and the session deals trainings to them:
//!
//! ```text
//! session ── teaching ──Order──▶ port_link ══port══▶ training: trainer ──▶ task::teach
//!                     ◀─Report──
//! ```
//!
//! [`message`] is all that the two sides share. `session` is the engine's heart and knows no browser: it runs in native
//! tests as it does in a worker. `worker` and `client` are the two ends of the wire.

#[cfg(feature = "engine")]
mod blob;
#[cfg(feature = "nn")]
mod catalogue;
#[cfg(feature = "ui")]
pub mod client;
#[cfg(all(feature = "gpu", target_family = "wasm"))]
pub mod constructors;
#[cfg(feature = "nn")]
mod dropped;
#[cfg(feature = "nn")]
mod likes;
pub mod likes_message;
#[cfg(feature = "engine")]
pub mod mailbox;
pub mod message;
#[cfg(feature = "nn")]
mod networks;
#[cfg(feature = "nn")]
pub mod session;
#[cfg(feature = "gpu")]
pub mod gpu;
#[cfg(feature = "engine")]
mod helper;
#[cfg(feature = "engine")]
mod port_link;
pub mod reading_message;
pub mod teach_message;
#[cfg(feature = "nn")]
pub mod teaching;
#[cfg(feature = "nn")]
pub mod trainer;
#[cfg(feature = "engine")]
pub mod training;
#[cfg(feature = "browser")]
mod wire;
#[cfg(feature = "engine")]
pub mod worker;

#[cfg(feature = "nn")]
pub use dropped::Attachment;
#[cfg(feature = "nn")]
pub use likes::{ForHost, MadeUp, time_search};
pub use message::{
    Assumptions, Backend, BatchTimes, Event, Fault, ImportedNetwork, JobId, LabelTableReport, MODELS_CACHE,
    NetworksReport, Request, SpectrumId, is_network_name,
};
