//! The checks of `tests/golden_*.rs` in a browser's worker: each on burn-flex, and those of the small networks on WebGPU.
//!
//! It says what it does in strings: `flex NAME` and `webgpu NAME` for a check that passed, `OFF …` for one whose
//! numbers are wrong, `FAILED …` for the one that ended it, and `done`.

#[cfg(target_family = "wasm")]
#[path = "../../golden_heads.rs"]
mod golden_heads;
#[cfg(target_family = "wasm")]
#[path = "../../golden_networks.rs"]
mod golden_networks;
#[cfg(target_family = "wasm")]
#[path = "../../golden_nn.rs"]
mod golden_nn;
#[cfg(target_family = "wasm")]
#[path = "../../golden_train.rs"]
mod golden_train;
#[cfg(target_family = "wasm")]
mod run;
#[cfg(target_family = "wasm")]
#[path = "../../support/mod.rs"]
mod support;

fn main() {
    #[cfg(target_family = "wasm")]
    run::start();
}
