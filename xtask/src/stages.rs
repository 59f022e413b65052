//! The stages of `cargo xtask test`, each with its time. `cargo xtask check` runs the quick stages.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail, ensure};

use crate::run::{cargo, root, run};
use crate::{browser, budget, page, structure, tools, vocabulary};

/// Features of the native tests. `ui` includes the unit tests of the page that need no browser.
pub(crate) const NATIVE_FEATURES: &str = "ui,token-parallel";

type Job<'a> = Box<dyn FnOnce() -> Result<()> + 'a>;

/// A stage: its name, what it does, and how many minutes it takes from scratch on 2 cores.
type Stage<'a> = (&'static str, &'static str, u32, Job<'a>);

/// The quick stages: formatting, lints of the native program, unit tests.
pub(crate) fn check() -> Result<()> {
    run_stages(vec![
        ("fmt", "formatting", 0, Box::new(fmt)),
        ("words", "replaced identifiers", 0, Box::new(vocabulary::check)),
        ("structure", "order of modules, import circles, length of files", 0, Box::new(structure::check)),
        ("clippy", "lints", 3, Box::new(native_clippy)),
        (
            "unit",
            "unit tests",
            0,
            Box::new(|| run(cargo().args(["test", "--locked", "--workspace", "--lib", "--bins"]))),
        ),
    ])
}

/// The attacks of `tests/torture` on the program and of `torture.test.js` on the page, at full size, with a table of the
/// outcomes.
pub(crate) fn torture() -> Result<()> {
    println!("\n| attack | outcome | memory | time |\n|---|---|---|---|");
    let native = || {
        let mut test = cargo();
        test.args(["test", "--locked", "--release", "--test", "torture", "--", "--nocapture", "--test-threads=1"]);
        run(test.env("SPECOLA_TORTURE", "full"))
    };
    run_stages(vec![
        ("native", "attacks on the program", 40, Box::new(native)),
        ("page", "attacks on the page", 20, Box::new(browser::torture)),
    ])
}

/// All stages. `real` is a directory of real spectra; `../shared/data/real` is the default if it exists.
pub(crate) fn test(real: Option<PathBuf>, only: Option<&str>) -> Result<()> {
    if let Some(dir) = &real {
        ensure!(dir.is_dir(), "--real names {}, which is no directory", dir.display());
    }
    let default_dir = root().join("../shared/data/real");
    let real =
        real.or_else(|| default_dir.is_dir().then_some(default_dir)).map(|dir| dir.canonicalize()).transpose()?;
    match &real {
        Some(dir) => println!("Real spectra: {}", dir.display()),
        None => println!("Real spectra: none here, so the tests on them are left out (name a directory with --real)"),
    }
    let mut stages: Vec<Stage> = vec![
        ("fmt", "formatting", 0, Box::new(fmt)),
        ("words", "replaced identifiers", 0, Box::new(vocabulary::check)),
        ("structure", "order of modules, import circles, length of files", 0, Box::new(structure::check)),
        ("clippy", "lints", 3, Box::new(clippy)),
        ("native", "compiles the library and its tests, runs them", 8, Box::new(|| native(real.as_ref()))),
        ("page", "builds the page", 12, Box::new(|| page::build().map(|_| ()))),
        ("budget", "download sizes of the page", 0, Box::new(|| budget::check(&page::dist()))),
        ("browser", "the page in Chromium", 8, Box::new(|| browser::test(real.as_ref()))),
    ];
    if let Some(only) = only {
        ensure!(stages.iter().any(|stage| stage.0 == only), "there is no stage {only}");
        stages.retain(|stage| stage.0 == only);
    }
    run_stages(stages)
}

/// Runs all stages in turn, also after a failure, and prints a summary.
fn run_stages(stages: Vec<Stage>) -> Result<()> {
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    let total_start = Instant::now();
    for (name, what, minutes, job) in stages {
        let duration =
            if minutes > 0 { format!(" (about {minutes} min from scratch on 2 cores)") } else { String::new() };
        println!("\n── {name}: {what}{duration} ──");
        let start = Instant::now();
        let outcome = match job() {
            Ok(()) => "passed",
            Err(error) => {
                eprintln!("{name}: {error:#}");
                failed.push(name);
                "FAILED"
            }
        };
        let line = format!("{name:<9} {outcome}  {:5.1} min", start.elapsed().as_secs_f64() / 60.0);
        println!("{line}");
        lines.push(line);
    }
    println!("\n── summary ──\n{}", lines.join("\n"));
    println!("in all            {:5.1} min", total_start.elapsed().as_secs_f64() / 60.0);
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn fmt() -> Result<()> {
    run(cargo().args(["fmt", "--all", "--check"]))
}

fn native_clippy() -> Result<()> {
    let mut clippy = cargo();
    clippy.args(["clippy", "--locked", "--workspace", "--all-targets", "--features", "token-parallel"]);
    run(clippy.args(["--", "-D", "warnings"]))
}

/// Lints of the native program and of the browser binaries. The GPU engine includes the code of the CPU engine.
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
    let test = || {
        let mut test = cargo();
        test.args(["test", "--locked", "--workspace", "--features", NATIVE_FEATURES]);
        test
    };
    run(&mut test())?;
    // Tests of real spectra are in modules named `real`. Without `--real` they are counted as ignored.
    match real {
        Some(dir) => run(test().args(["--tests", "--", "--ignored", "real::"]).env("SPECOLA_REAL", dir)),
        None => Ok(()),
    }
}
