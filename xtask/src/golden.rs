//! The checks of `tests/golden_*.rs` as a program for a browser: built of the very crates that the GPU engine is.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::page::wasm_flags;
use crate::run::{cargo, command, run, target_dir};
use crate::tools;

/// Builds the checks and gives the directory where `golden.js` and its program lie.
pub fn build() -> Result<PathBuf> {
    let out = target_dir().join("golden");
    for_worker("golden", "gpu", &out)?;
    Ok(out)
}

/// Builds an example as a program for a browser's worker, `NAME.js` in `out`; `engine` is both the feature and the profile of
/// the page's engine that it shall be like.
pub fn for_worker(example: &str, engine: &str, out: &Path) -> Result<()> {
    tools::wasm_target()?;
    let wasm_bindgen = tools::wasm_bindgen()?;
    let mut build = cargo();
    build.args(["build", "--locked", "--target", "wasm32-unknown-unknown", "--profile", engine]);
    build.args(["--no-default-features", "--features", engine, "--example", example]);
    // As Trunk builds the page, or every dependency would be built twice.
    run(build.env("CARGO_ENCODED_RUSTFLAGS", wasm_flags()))?;
    let built = target_dir().join(format!("wasm32-unknown-unknown/{engine}/examples/{example}.wasm"));
    run(command(wasm_bindgen).args(["--target", "web", "--no-typescript", "--out-dir"]).arg(out).arg(built))
}
