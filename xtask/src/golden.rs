//! The checks of `tests/model` as a program for a browser, built with the dependencies of the GPU engine.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::page::wasm_flags;
use crate::run::{cargo, command, run, target_dir};
use crate::tools;

/// Builds the checks and returns the directory of `golden.js` and its program.
pub(crate) fn build() -> Result<PathBuf> {
    let out = target_dir().join("golden");
    build_for_worker("golden", "gpu", &[], &out)?;
    Ok(out)
}

/// Builds an example as a program for a browser's worker, `NAME.js` in `out`. `engine` is the feature and the profile
/// of an engine of the page; `extra_features` are further features.
pub(crate) fn build_for_worker(example: &str, engine: &str, extra_features: &[&str], out: &Path) -> Result<()> {
    tools::wasm_target()?;
    let wasm_bindgen = tools::wasm_bindgen()?;
    let mut build = cargo();
    build.args(["build", "--locked", "--target", "wasm32-unknown-unknown", "--profile", engine]);
    build.args([
        "--no-default-features",
        "--features",
        &[&[engine], extra_features].concat().join(","),
        "--example",
        example,
    ]);
    // The flags of Trunk's build, so that dependencies are not built twice.
    run(build.env("CARGO_ENCODED_RUSTFLAGS", wasm_flags()))?;
    let built = target_dir().join(format!("wasm32-unknown-unknown/{engine}/examples/{example}.wasm"));
    run(command(wasm_bindgen).args(["--target", "web", "--no-typescript", "--out-dir"]).arg(out).arg(built))
}
