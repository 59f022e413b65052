//! Look-alikes: an index of embeddings, exact search in it, a map of it, and how odd a spectrum is beside it.
//!
//! Plain Rust: what makes the embeddings is [`model::encoders`](crate::model::encoders).

pub(crate) mod axes;
pub mod file;
pub mod index;
pub mod map;
pub mod oddity;
pub mod search;
pub mod thumbnail;
