//! The checks of `tests/golden_*.rs` as a program for a browser: built of the very crates that the GPU engine is.

use std::path::PathBuf;

use anyhow::Result;

use crate::page::remapped_paths;
use crate::run::{cargo, command, run, target_dir};
use crate::tools;

/// Builds the checks and gives the directory where `golden.js` and its program lie.
pub fn build() -> Result<PathBuf> {
    tools::wasm_target()?;
    let wasm_bindgen = tools::wasm_bindgen()?;
    let mut build = cargo();
    build.args(["build", "--locked", "--target", "wasm32-unknown-unknown", "--profile", "gpu"]);
    build.args(["--no-default-features", "--features", "gpu", "--example", "golden"]);
    // As Trunk builds the page, or every dependency would be built twice.
    run(build.env("CARGO_ENCODED_RUSTFLAGS", remapped_paths()))?;
    let built = target_dir().join("wasm32-unknown-unknown/gpu/examples/golden.wasm");
    let out = target_dir().join("golden");
    run(command(wasm_bindgen).args(["--target", "web", "--no-typescript", "--out-dir"]).arg(&out).arg(built))?;
    Ok(out)
}
