//! The benchmark in `tests/bench`: installs its dependencies, builds its page, and runs it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::golden::build_for_worker;
use crate::run::{cargo, command, root, run, target_dir};
use crate::site::Site;
use crate::{page, serve, tools};

/// Options of the benchmark.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// File for the results.
    pub json: Option<PathBuf>,
    /// Prefix of the names of the cases to run.
    pub only: Option<String>,
    /// Whether a missed target is an error.
    pub check: bool,
    /// Whether to run in the user's browser instead.
    pub open: bool,
    /// Whether to write the tables and figures of docs/benchmarks.md.
    pub write: bool,
    /// Whether to time each case only once, as a test of the benchmark.
    pub once: bool,
}

fn dir() -> PathBuf {
    root().join("tests/bench")
}

/// Builds everything, then measures.
pub(crate) fn bench(options: &Options) -> Result<()> {
    tools::npm_packages(&dir())?;
    let site = site()?;
    let url = serve::serve_in_background(Site::new(&site)?.isolated())?;
    let url = format!("{url}bench.html");
    if options.open {
        println!("\nThe benchmark is at {url}  (Ctrl-C ends it)");
        serve::open_in_browser(&url);
        loop {
            std::thread::park();
        }
    }
    page::build()?;
    // The command line, and the native engine of the benchmark.
    let mut native = cargo();
    native.args(["build", "--locked", "--release", "--features", "token-parallel"]);
    run(native.args(["--bin", "specola", "--example", "bench"]))?;
    let release = target_dir().join("release");
    let engine = release.join("examples/bench");
    let results = target_dir().join("bench/results.json");
    let mut node = command("node");
    node.current_dir(dir()).arg("run.js").arg(&url).arg("--json").arg(&results);
    node.args(options.only.iter().flat_map(|only| ["--only", only]));
    let flags = [("--check", options.check), ("--once", options.once)];
    node.args(flags.into_iter().filter_map(|(flag, is_set)| is_set.then_some(flag)));
    if options.write {
        node.arg("--write").arg(root().join("docs/benchmarks.md"));
    }
    node.env("SPECOLA_URL", serve::serve_page_in_background()?).env("CHROME", tools::chromium()?);
    node.env("SPECOLA_BIN", release.join("specola")).env("SPECOLA_ENGINE", &engine);
    match python() {
        Ok(python) => node.env("BENCH_PYTHON", python),
        Err(why) => {
            println!("Without PyTorch: {why:#}");
            node.env_remove("BENCH_PYTHON")
        }
    };
    // The benchmark of the page uses the browser tests' helpers.
    tools::npm_packages(&root().join("tests/browser"))?;
    let outcome = run(&mut node);
    // Results are written also when a target is missed.
    if let Some(json) = options.json.as_ref().filter(|_| results.exists()) {
        fs::copy(&results, json).with_context(|| format!("writing {}", json.display()))?;
    }
    if options.write && results.exists() {
        run(command(engine).arg("figures").arg(&results).arg(root().join("docs/figures")))?;
    }
    outcome
}

/// A Python with `PyTorch`, in its own virtual environment.
fn python() -> Result<PathBuf> {
    let requirements = dir().join("requirements.txt");
    let environment = target_dir().join("bench/python");
    let python = environment.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let installed = environment.join("installed.txt");
    let wanted_requirements = fs::read(&requirements).context("reading requirements.txt")?;
    if fs::read(&installed).is_ok_and(|content| content == wanted_requirements) {
        return Ok(python);
    }
    println!(
        "Installing PyTorch into {} (once; gigabytes, where its package brings a GPU's libraries)",
        environment.display()
    );
    run(command(if cfg!(windows) { "python" } else { "python3" }).args(["-m", "venv"]).arg(&environment))?;
    run(command(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&requirements))?;
    fs::write(&installed, wanted_requirements).context("noting what pip installed")?;
    Ok(python)
}

/// Assembles the benchmark's site: its page, the files of the compared libraries, and Specola's engines.
fn site() -> Result<PathBuf> {
    let out = target_dir().join("bench/site");
    for (engine, name) in [("engine", "cpu"), ("gpu", "gpu")] {
        build_for_worker("bench", engine, &["token-parallel"], &out.join(name))?;
    }
    copy(&dir(), &out, |name| [".js", ".html", ".css"].iter().any(|end| name.ends_with(end)))?;
    let packages = dir().join("node_modules");
    for name in ["limits", "limits-relaxed"] {
        let mut assemble = command("node");
        assemble
            .current_dir(dir())
            .arg("node_modules/binaryen/bin/wasm-as")
            .args(["--enable-simd", "--enable-relaxed-simd"]);
        run(assemble.arg(format!("{name}.wat")).arg("-o").arg(out.join(format!("{name}.wasm"))))?;
    }
    copy(&packages.join("protobufjs/dist/light"), &out.join("peers"), |name| name == "protobuf.min.js")?;
    copy(&packages.join("onnxruntime-web/dist"), &out.join("peers/ort"), |name| {
        name.ends_with(".min.mjs") || name.starts_with("ort-wasm-simd-threaded")
    })?;
    for package in ["tfjs", "tfjs-backend-wasm", "tfjs-backend-webgpu"] {
        let from = packages.join("@tensorflow").join(package).join("dist");
        copy(&from, &out.join("peers/tfjs"), |name| name.ends_with(".min.js") || name.ends_with(".wasm"))?;
    }
    Ok(out)
}

/// Copies the files of a directory for which `is_wanted` is true.
fn copy(from: &Path, to: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("looking into {}", from.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|_| path.is_file()) else { continue };
        if is_wanted(name) {
            fs::copy(&path, to.join(name)).with_context(|| format!("copying {}", path.display()))?;
        }
    }
    Ok(())
}
