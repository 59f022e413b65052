//! The programs that a build or a test needs: found, or installed.
//!
//! Rust programs of a pinned version go into `<target>/tools`, so that the user's own are left as they are. What only a
//! system's package manager can give (a browser, Node.js) is asked of `apt-get` where we may, else of the user.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::run::{cargo, command, output, root, run, target_dir};

/// 0.21.14 is the last one that builds with this toolchain, and needs its own lock file for that.
const TRUNK: &str = "0.21.14";

/// What the browser tests need of Node.js (playwright-core asks for it).
const NODE_MAJOR: u32 = 20;

fn tools_dir() -> PathBuf {
    target_dir().join("tools")
}

/// `PATH` with our own tools in front, for Trunk, which looks for its helpers there.
pub fn path_with_tools() -> Result<OsString> {
    let rest = env::var_os("PATH").unwrap_or_default();
    Ok(env::join_paths([tools_dir().join("bin")].into_iter().chain(env::split_paths(&rest)))?)
}

/// The standard library for WebAssembly.
pub fn wasm_target() -> Result<()> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let sysroot = output(command("rustc").args(["--print", "sysroot"])).context("rustc is not on the PATH")?;
    if Path::new(&sysroot).join("lib/rustlib").join(TARGET).join("lib").is_dir() {
        return Ok(());
    }
    run(command("rustup").args(["target", "add", TARGET])).with_context(|| {
        format!("adding Rust's {TARGET} target; without rustup, install it through your package manager")
    })
}

/// Trunk, which makes a page of the browser binaries.
pub fn trunk() -> Result<PathBuf> {
    // Its own lock file holds the versions it builds with. Unoptimised: it compiles in half the time and only copies.
    cargo_tool("trunk", "trunk", TRUNK, &["--locked", "--debug"])
}

/// The wasm-bindgen command line, which must be of the very version that the page is compiled with.
pub fn wasm_bindgen() -> Result<PathBuf> {
    cargo_tool("wasm-bindgen", "wasm-bindgen-cli", &locked_version("wasm-bindgen")?, &["--debug"])
}

/// A recent wasm-opt, from the npm package that `tests/browser` pins: systems' packages are years behind. `None`
/// without Node.js, which only the tests insist on: the page is then larger, and works.
pub fn wasm_opt() -> Option<PathBuf> {
    let dir = root().join("tests/browser");
    match npm_packages(&dir) {
        Ok(()) => Some(dir.join("node_modules/binaryen/bin/wasm-opt")),
        Err(why) => {
            println!("Without wasm-opt the page is a third larger: {why:#}");
            None
        }
    }
}

/// A program on the `PATH` or in our own directory if it has the version, else compiled into the latter.
fn cargo_tool(program: &str, package: &str, version: &str, options: &[&str]) -> Result<PathBuf> {
    let ours = tools_dir().join("bin").join(program).with_extension(env::consts::EXE_EXTENSION);
    for candidate in [Path::new(program), &ours] {
        let said = output(command(candidate).arg("--version")).unwrap_or_default();
        if said.split_whitespace().nth(1) == Some(version) {
            return Ok(candidate.to_owned());
        }
    }
    println!("Installing {package} {version} into {} (once)", tools_dir().display());
    let mut install = cargo();
    // Not `root()`: the toolchain and settings of this project are not those of the tool.
    install.current_dir(env::temp_dir()).args(["install", package, "--version", version]).args(options);
    install.arg("--root").arg(tools_dir()).arg("--target-dir").arg(tools_dir().join("build"));
    run(&mut install)?;
    // Half a gigabyte that nobody needs again.
    std::fs::remove_dir_all(tools_dir().join("build")).ok();
    Ok(ours)
}

/// The version of a package in `Cargo.lock`.
fn locked_version(package: &str) -> Result<String> {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).context("reading Cargo.lock")?;
    let wanted = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != wanted);
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    Ok(version.with_context(|| format!("Cargo.lock names no {package}"))?.to_owned())
}

/// Node.js with npm, for the browser tests.
pub fn node() -> Result<()> {
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

/// The packages of a `package-lock.json`, once for every change of it.
pub fn npm_packages(dir: &Path) -> Result<()> {
    node()?;
    let lock = std::fs::read(dir.join("package-lock.json")).context("reading package-lock.json")?;
    let installed = dir.join("node_modules/.locked");
    if std::fs::read(&installed).is_ok_and(|was| was == lock) {
        return Ok(());
    }
    run(command(npm()).current_dir(dir).args(["ci", "--no-fund", "--no-audit", "--loglevel=error"]))?;
    std::fs::write(installed, lock).context("noting what npm installed")
}

fn npm() -> &'static str {
    if cfg!(windows) { "npm.cmd" } else { "npm" }
}

/// A Chromium: `$CHROME`, else the usual names and places, else installed.
pub fn chromium() -> Result<PathBuf> {
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

/// Where a program is: itself if it is a path, else the first directory of `PATH` that has it.
fn on_path(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// Installs Debian or Ubuntu packages, as root or through a `sudo` that asks no password.
fn apt_install(packages: &[&str], what: &str) -> Result<()> {
    if on_path(Path::new("apt-get")).is_none() {
        bail!("{what} is missing, and there is no apt-get to install it with");
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
    println!("Installing {what}");
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
