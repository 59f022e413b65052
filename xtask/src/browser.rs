//! The browser tests in `tests/browser`: installs their dependencies and runs them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::run::{cargo, command, root, run, target_dir};
use crate::stages::NATIVE_FEATURES;
use crate::{golden, page, serve, tools};

fn dir() -> PathBuf {
    root().join("tests/browser")
}

/// Runs every spec against the built page; `real` is the directory of real spectra, if there is one.
pub(crate) fn test(real: Option<&PathBuf>) -> Result<()> {
    // With the features of the native tests, which have built this program already.
    run(cargo().args(["build", "--locked", "--workspace", "--features", NATIVE_FEATURES, "--bin", "specola"]))?;
    let specs = dir().join("specs");
    let golden = golden::build()?;
    let mut node = node(&serve::serve_page_in_background()?)?;
    node.env("SPECOLA_GOLDEN", golden);
    node.args(["--test", "--test-concurrency=1", "--test-reporter=spec"]);
    // Each file is named: the handling of directories by `node --test` depends on its version.
    let mut files: Vec<_> = std::fs::read_dir(specs)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    node.args(files.iter().filter(|path| path.to_string_lossy().ends_with(".test.js")));
    match real {
        Some(real) => node.env("SPECOLA_REAL", real),
        None => node.env_remove("SPECOLA_REAL"),
    };
    run(&mut node)
}

/// Runs the attacks on the built page at full size.
pub(crate) fn torture() -> Result<()> {
    page::build()?;
    let mut node = node(&serve::serve_page_in_background()?)?;
    node.env("SPECOLA_TORTURE", "full").args(["--test", "--test-reporter=spec", "specs/torture.test.js"]);
    run(&mut node)
}

/// Takes the screenshot of the README from the built page.
pub(crate) fn screenshot() -> Result<()> {
    page::build()?;
    run(node(&serve::serve_page_in_background()?)?.arg("screenshot.js").arg(root().join("www/screenshot.png")))
}

/// Node.js in the directory of the tests, with the addresses of page, browser and program in its environment.
fn node(url: &str) -> Result<Command> {
    let chromium = tools::chromium()?;
    tools::npm_packages(&dir())?;
    let mut node = command("node");
    node.current_dir(dir()).env("SPECOLA_URL", url).env("CHROME", chromium);
    node.env("SPECOLA_BIN", target_dir().join("debug/specola"));
    Ok(node)
}
