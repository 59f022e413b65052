//! Networks, one a file: configuration → `init` → forward.

mod mlp;

pub use mlp::{Mlp, MlpConfig};
