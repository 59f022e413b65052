//! Runs the checks of `tests/model` in a worker of a browser: all on burn-flex, and whole networks on WebGPU too.
//!
//! It posts strings: `begin …` before a check, `flex NAME` or `webgpu NAME` after a passed check, `OFF …` after a check
//! with wrong numbers, `search …` with the time of a search, `FAILED …` on a panic, and `done`.

#[cfg(target_family = "wasm")]
#[path = "../../model/heads.rs"]
mod heads;
#[cfg(target_family = "wasm")]
#[path = "../../model/networks.rs"]
mod networks;
#[cfg(target_family = "wasm")]
#[path = "../../model/mlp.rs"]
mod mlp;
#[cfg(target_family = "wasm")]
#[path = "../../model/training.rs"]
mod training;
#[cfg(target_family = "wasm")]
mod run;
#[cfg(target_family = "wasm")]
#[path = "../../support/mod.rs"]
mod support;

fn main() {
    #[cfg(target_family = "wasm")]
    run::start();
}
