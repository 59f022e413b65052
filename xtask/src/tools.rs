//! Finds or installs the programs for builds and tests.
//!
//! Rust programs of a pinned version are installed into `<target>/tools`, so that the user's programs stay unchanged. A
//! browser and Node.js come from `apt-get` if permitted, else an error asks the user to install them.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::run::{cargo, command, output, root, run, target_dir};

/// The last version that builds with this toolchain, with its own lock file.
const TRUNK: &str = "0.21.14";

/// Smallest version of Node.js for the browser tests, from playwright-core.
const NODE_MAJOR: u32 = 20;

fn tools_dir() -> PathBuf {
    target_dir().join("tools")
}

/// `PATH` with the directory of installed tools in front. Trunk looks for its helpers there.
pub(crate) fn path_with_tools() -> Result<OsString> {
    let rest = env::var_os("PATH").unwrap_or_default();
    Ok(env::join_paths([tools_dir().join("bin")].into_iter().chain(env::split_paths(&rest)))?)
}

/// Installs the standard library for WebAssembly.
pub(crate) fn wasm_target() -> Result<()> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let sysroot = output(command("rustc").args(["--print", "sysroot"])).context("rustc is not on the PATH")?;
    if Path::new(&sysroot).join("lib/rustlib").join(TARGET).join("lib").is_dir() {
        return Ok(());
    }
    run(command("rustup").args(["target", "add", TARGET])).with_context(|| {
        format!("adding Rust's {TARGET} target; without rustup, install it through your package manager")
    })
}

/// Trunk, which builds the page from the browser binaries.
pub(crate) fn trunk() -> Result<PathBuf> {
    // Trunk builds only with the versions of its lock file. An unoptimised Trunk compiles in half the time; it only
    // copies files.
    let trunk =
        CargoTool { package: "trunk", program: "trunk", version: TRUNK, options: &["--locked"], opt_level: "0" };
    trunk.find_or_install()
}

/// The wasm-bindgen command line, in the version of the wasm-bindgen crate in `Cargo.lock`.
pub(crate) fn wasm_bindgen() -> Result<PathBuf> {
    let version = &locked_version("wasm-bindgen")?;
    // Unoptimised, it takes a minute for the GPU engine.
    let (package, program) = ("wasm-bindgen-cli", "wasm-bindgen");
    CargoTool { package, program, version, options: &[], opt_level: "1" }.find_or_install()
}

/// wasm-opt from the npm package that `tests/browser` pins, since packages of systems are years older. `None` without
/// Node.js, which only the tests require: the page is then larger, but works.
pub(crate) fn wasm_opt() -> Option<PathBuf> {
    let dir = root().join("tests/browser");
    match npm_packages(&dir) {
        Ok(()) => Some(dir.join("node_modules/binaryen/bin/wasm-opt")),
        Err(why) => {
            println!("Without wasm-opt the page is a third larger: {why:#}");
            None
        }
    }
}

/// A program that cargo compiles from source.
struct CargoTool<'a> {
    package: &'a str,
    program: &'a str,
    version: &'a str,
    options: &'a [&'a str],
    opt_level: &'a str,
}

impl CargoTool<'_> {
    /// The program on the `PATH` or in our own directory if it has the version; otherwise compiles it into the latter.
    fn find_or_install(&self) -> Result<PathBuf> {
        let Self { package, program, version, .. } = *self;
        let ours = tools_dir().join("bin").join(program).with_extension(env::consts::EXE_EXTENSION);
        for candidate in [Path::new(program), &ours] {
            let answer = output(command(candidate).arg("--version")).unwrap_or_default();
            if answer.split_whitespace().nth(1) == Some(version) {
                return Ok(candidate.to_owned());
            }
        }
        println!("Installing {package} {version} into {} (once; it takes minutes)", tools_dir().display());
        let mut install = cargo();
        // Not `root()`: the toolchain and settings of this project are not for the tool.
        install.current_dir(env::temp_dir()).args(["install", package, "--version", version]).args(self.options);
        install.arg("--root").arg(tools_dir()).arg("--target-dir").arg(tools_dir().join("build"));
        // The default features of both tools are for downloads and for questions after newer versions.
        install.args(["--debug", "--no-default-features"]);
        install.env("CARGO_PROFILE_DEV_OPT_LEVEL", self.opt_level).env("CARGO_PROFILE_DEV_DEBUG", "0");
        run(&mut install)?;
        // The build directory has half a gigabyte.
        std::fs::remove_dir_all(tools_dir().join("build")).ok();
        Ok(ours)
    }
}

/// The version of a package in `Cargo.lock`.
fn locked_version(package: &str) -> Result<String> {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).context("reading Cargo.lock")?;
    let name_line = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name_line);
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    Ok(version.with_context(|| format!("Cargo.lock names no {package}"))?.to_owned())
}

/// Checks or installs Node.js with npm, for the browser tests.
pub(crate) fn node() -> Result<()> {
    let major = || -> Option<u32> {
        output(command(npm()).arg("--version"))?;
        output(command("node").arg("--version"))?.trim_start_matches('v').split('.').next()?.parse().ok()
    };
    if major().is_none() {
        apt_install(&["nodejs", "npm"], "Node.js with npm").ok();
    }
    match major() {
        Some(found) if found >= NODE_MAJOR => Ok(()),
        Some(found) => bail!("Node.js {found} is too old for the browser tests: install {NODE_MAJOR} or newer"),
        None => bail!("the browser tests need Node.js {NODE_MAJOR} or newer with npm: install it and try again"),
    }
}

/// Installs the packages of a `package-lock.json`, again after each change of it.
pub(crate) fn npm_packages(dir: &Path) -> Result<()> {
    node()?;
    let lock = std::fs::read(dir.join("package-lock.json")).context("reading package-lock.json")?;
    let installed = dir.join("node_modules/.locked");
    if std::fs::read(&installed).is_ok_and(|content| content == lock) {
        return Ok(());
    }
    run(command(npm()).current_dir(dir).args(["ci", "--no-fund", "--no-audit", "--loglevel=error"]))?;
    std::fs::write(installed, lock).context("noting what npm installed")
}

fn npm() -> &'static str {
    if cfg!(windows) { "npm.cmd" } else { "npm" }
}

/// Chromium: from `$CHROME`, else from the common names and places, else installed.
pub(crate) fn chromium() -> Result<PathBuf> {
    if let Some(named) = env::var_os("CHROME") {
        let named = PathBuf::from(named);
        return on_path(&named).with_context(|| format!("CHROME names {}, which is not there", named.display()));
    }
    if let Some(found) = find_chromium() {
        return Ok(found);
    }
    apt_install(&["chromium"], "Chromium").ok();
    find_chromium().context("the browser tests need Chromium or Chrome: install one, or name it in CHROME")
}

fn find_chromium() -> Option<PathBuf> {
    [
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "C:/Program Files/Google/Chrome/Application/chrome.exe",
    ]
    .into_iter()
    .find_map(|name| on_path(Path::new(name)))
}

/// Path of a program: the given path, or the first match in the directories of `PATH`.
fn on_path(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// Installs Debian or Ubuntu packages, as root or through `sudo` without a password.
fn apt_install(packages: &[&str], name: &str) -> Result<()> {
    if on_path(Path::new("apt-get")).is_none() {
        bail!("{name} is missing, and there is no apt-get to install it with");
    }
    let is_root = output(command("id").arg("-u")).as_deref() == Some("0");
    let apt_get = || {
        let mut apt = if is_root { command("apt-get") } else { command("sudo") };
        if !is_root {
            apt.args(["-n", "apt-get"]);
        }
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    println!("Installing {name}");
    run(apt_get().args(["-q", "update"]))?;
    run(apt_get().args(["-q", "-y", "--no-install-recommends", "install"]).args(packages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_file_names_the_version_of_wasm_bindgen() {
        let version = locked_version("wasm-bindgen").unwrap();
        assert_eq!(version.split('.').count(), 3, "{version}");
        assert!(locked_version("no-such-package").is_err());
    }
}
