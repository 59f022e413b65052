//! The benchmark in `tests/bench`: what it needs, where its page comes from, and running it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::golden::for_worker;
use crate::run::{cargo, command, root, run, target_dir};
use crate::site::Site;
use crate::{page, serve, tools};

/// What the benchmark is asked for.
#[derive(Debug, Default)]
pub struct Options {
    /// Where the results go.
    pub json: Option<PathBuf>,
    /// Cases whose name begins so.
    pub only: Option<String>,
    /// Whether a bar that is missed is an error.
    pub check: bool,
    /// Whether to leave it to the user's own browser.
    pub open: bool,
    /// Whether to write the README's tables and the figures.
    pub readme: bool,
    /// Whether one timing each will do, to see that everything works.
    pub once: bool,
}

fn dir() -> PathBuf {
    root().join("tests/bench")
}

/// Builds everything, then measures.
pub fn bench(options: &Options) -> Result<()> {
    tools::npm_packages(&dir())?;
    let site = site()?;
    let url = serve::beside(Site::new(&site)?.isolated())?;
    let url = format!("{url}bench.html");
    if options.open {
        println!("\nThe benchmark is at {url}  (Ctrl-C ends it)");
        serve::open_in_browser(&url);
        loop {
            std::thread::park();
        }
    }
    page::build()?;
    // The command line, and our engine as a native program.
    run(cargo().args(["build", "--locked", "--release", "--bin", "specola", "--example", "bench"]))?;
    let release = target_dir().join("release");
    let engine = release.join("examples/bench");
    let results = target_dir().join("bench/results.json");
    let mut node = command("node");
    node.current_dir(dir()).arg("run.js").arg(&url).arg("--json").arg(&results);
    node.args(options.only.iter().flat_map(|only| ["--only", only]));
    let flags = [("--check", options.check), ("--once", options.once)];
    node.args(flags.into_iter().filter_map(|(flag, is_set)| is_set.then_some(flag)));
    if options.readme {
        node.arg("--readme").arg(root().join("README.md"));
    }
    node.env("SPECOLA_URL", serve::in_background()?).env("CHROME", tools::chromium()?);
    node.env("SPECOLA_BIN", release.join("specola")).env("SPECOLA_ENGINE", &engine);
    match python() {
        Ok(python) => node.env("BENCH_PYTHON", python),
        Err(why) => {
            println!("Without PyTorch: {why:#}");
            node.env_remove("BENCH_PYTHON")
        }
    };
    // What the specs of the browser tests do on the page.
    tools::npm_packages(&root().join("tests/browser"))?;
    let measured = run(&mut node);
    // Bars that were missed are results too.
    if let Some(json) = options.json.as_ref().filter(|_| results.exists()) {
        fs::copy(&results, json).with_context(|| format!("writing {}", json.display()))?;
    }
    if options.readme && results.exists() {
        run(command(engine).arg("figures").arg(&results).arg(root().join("models/figures")))?;
    }
    measured
}

/// A Python that has PyTorch, in an environment of its own.
fn python() -> Result<PathBuf> {
    let wanted = dir().join("requirements.txt");
    let home = target_dir().join("bench/python");
    let python = home.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let installed = home.join("installed.txt");
    let wanted_now = fs::read(&wanted).context("reading requirements.txt")?;
    if fs::read(&installed).is_ok_and(|was| was == wanted_now) {
        return Ok(python);
    }
    println!(
        "Installing PyTorch into {} (once; gigabytes, where its package brings a GPU's libraries)",
        home.display()
    );
    run(command(if cfg!(windows) { "python" } else { "python3" }).args(["-m", "venv"]).arg(&home))?;
    run(command(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&wanted))?;
    fs::write(&installed, wanted_now).context("noting what pip installed")?;
    Ok(python)
}

/// Puts the page, the peers' files and our own programs side by side.
fn site() -> Result<PathBuf> {
    let out = target_dir().join("bench/site");
    for (engine, name) in [("engine", "cpu"), ("gpu", "gpu")] {
        for_worker("bench", engine, &out.join(name))?;
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

/// Copies those files of a directory whose names are `wanted`.
fn copy(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("looking into {}", from.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|_| path.is_file()) else { continue };
        if wanted(name) {
            fs::copy(&path, to.join(name)).with_context(|| format!("copying {}", path.display()))?;
        }
    }
    Ok(())
}
