//! The stages of `cargo xtask test`, each timed; the quick ones are `cargo xtask check`.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail, ensure};

use crate::run::{cargo, root, run};
use crate::{browser, budget, page, tools};

type Job<'a> = Box<dyn FnOnce() -> Result<()> + 'a>;

/// The quick part: formatting, lints of the native program, unit tests.
pub fn check() -> Result<()> {
    go(vec![
        ("fmt", Box::new(fmt)),
        ("clippy", Box::new(native_clippy)),
        ("unit", Box::new(|| run(cargo().args(["test", "--locked", "--workspace", "--lib", "--bins"])))),
    ])
}

/// Everything. `real` is a directory of real spectra; `../shared/data/real` is taken if it is there.
pub fn test(real: Option<PathBuf>, only: Option<&str>) -> Result<()> {
    if let Some(dir) = &real {
        ensure!(dir.is_dir(), "--real names {}, which is no directory", dir.display());
    }
    let usual = root().join("../shared/data/real");
    let real = real.or_else(|| usual.is_dir().then_some(usual)).map(|dir| dir.canonicalize()).transpose()?;
    match &real {
        Some(dir) => println!("Real spectra: {}", dir.display()),
        None => println!("Real spectra: none here, so the tests on them are left out (name a directory with --real)"),
    }
    let mut stages: Vec<(&str, Job)> = vec![
        ("fmt", Box::new(fmt)),
        ("clippy", Box::new(clippy)),
        ("native", Box::new(|| native(real.as_ref()))),
        ("page", Box::new(|| page::build().map(|_| ()))),
        ("budget", Box::new(|| budget::check(&page::dist()))),
        ("browser", Box::new(|| browser::test(real.as_ref()))),
    ];
    if let Some(only) = only {
        ensure!(stages.iter().any(|(name, _)| *name == only), "there is no stage {only}");
        stages.retain(|(name, _)| *name == only);
    }
    go(stages)
}

/// Runs the stages in turn, all of them even if one fails, and sums up.
fn go(stages: Vec<(&str, Job)>) -> Result<()> {
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    let begun = Instant::now();
    for (name, job) in stages {
        println!("\n── {name} ──");
        let start = Instant::now();
        let verdict = match job() {
            Ok(()) => "passed",
            Err(error) => {
                eprintln!("{name}: {error:#}");
                failed.push(name);
                "FAILED"
            }
        };
        let line = format!("{name:<8} {verdict}  {:5.1} min", start.elapsed().as_secs_f64() / 60.0);
        println!("{line}");
        lines.push(line);
    }
    println!("\n── summary ──\n{}", lines.join("\n"));
    println!("in all           {:5.1} min", begun.elapsed().as_secs_f64() / 60.0);
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn fmt() -> Result<()> {
    run(cargo().args(["fmt", "--all", "--check"]))
}

fn native_clippy() -> Result<()> {
    run(cargo().args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

/// The native program, then the library as the browser's binaries have it; all of the CPU engine is in the GPU engine.
fn clippy() -> Result<()> {
    native_clippy()?;
    tools::wasm_target()?;
    for (feature, bins) in [("ui", &["app"][..]), ("gpu", &["engine", "trainer", "gpu"])] {
        let mut clippy = cargo();
        clippy.args(["clippy", "--locked", "--target", "wasm32-unknown-unknown", "--no-default-features", "--lib"]);
        clippy.args(bins.iter().flat_map(|bin| ["--bin", bin]));
        run(clippy.args(["--features", feature, "--", "-D", "warnings"]))?;
    }
    Ok(())
}

fn native(real: Option<&PathBuf>) -> Result<()> {
    let mut test = cargo();
    // `ui` for the unit tests of the page's plain logic, which need no browser.
    test.args(["test", "--locked", "--workspace", "--features", "ui"]);
    match real {
        Some(dir) => test.env("SPECOLA_REAL", dir),
        None => test.env_remove("SPECOLA_REAL"),
    };
    run(&mut test)
}
