//! Builds the page: Trunk makes `dist/` from the browser binaries. Then the page's security policy and the list of
//! cached files are written.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use base64::prelude::{BASE64_STANDARD, Engine};
use sha2::{Digest, Sha256};

use crate::run::{cargo, command, root, run};
use crate::{offline, tools};

/// Directory of the built page.
pub(crate) fn dist() -> PathBuf {
    root().join("dist")
}

/// Builds the release page into `dist/`. A static host can serve it below any path.
pub(crate) fn build() -> Result<PathBuf> {
    tools::wasm_target()?;
    let trunk = tools::trunk()?;
    tools::wasm_bindgen()?;
    // Trunk runs offline, so that it downloads no program, and passes this option to cargo. Cargo fetches first.
    run(cargo().args(["fetch", "--locked"]))?;
    let mut build = command(trunk);
    build.args(["build", "--offline", "--skip-version-check"]).env("PATH", tools::path_with_tools()?);
    build.env("CARGO_ENCODED_RUSTFLAGS", wasm_flags());
    // Trunk accepts only "true" or "false" in NO_COLOR, not the usual "1".
    run(build.env_remove("NO_COLOR"))?;
    shrink()?;
    let index = dist().join("index.html");
    let html = std::fs::read_to_string(&index).context("reading the built index.html")?;
    std::fs::write(&index, with_policy(&html)?).context("writing the page's security policy")?;
    offline::write(&dist())?;
    Ok(dist())
}

/// Runs wasm-opt on the page's program, which takes seconds and saves a quarter of the download before the first paint.
/// The engine is not optimised: wasm-opt took minutes and made it no smaller under gzip.
fn shrink() -> Result<()> {
    let Some(wasm_opt) = tools::wasm_opt() else { return Ok(()) };
    let mut files = std::fs::read_dir(dist())?.filter_map(|entry| Some(entry.ok()?.path()));
    let is_app = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("app") && name.ends_with(".wasm")
    };
    let app = files.find(is_app).context("Trunk built no app*.wasm")?;
    run(command("node").arg(wasm_opt).arg("-Oz").arg(&app).arg("-o").arg(&app))
}

/// Compiler flags for the browser programs. `simd128`: all current browsers have these vectors, and burn's kernels need
/// them. `remap-path-prefix`: panics name source files without the builder's home directory.
pub(crate) fn wasm_flags() -> String {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).unwrap_or_default();
    // Cargo separates encoded flags by U+001F.
    format!("-Ctarget-feature=+simd128\u{1f}--remap-path-prefix={}=cargo", home.display())
}

/// Address of a SAMP hub on the visitor's computer (src/share/samp.rs). The page connects to it only after the visitor
/// presses Connect.
const SAMP_HUB: &str = "http://localhost:21012";

/// Inserts the security policy. The page may load from and connect to its own origin and the SAMP hub only, and may run
/// only the scripts of the build.
///
/// The policy is in a `meta` element, because static hosts do not allow custom headers. Inline scripts of Trunk are
/// listed by hash. The worker is started from a blob, because only then does it inherit this policy
/// (src/engine/client.rs).
fn with_policy(html: &str) -> Result<String> {
    ensure!(
        !html.contains("Content-Security-Policy"),
        "www/index.html has a security policy of its own; the build writes it, take it out there"
    );
    let mut scripts = String::from("'self' 'wasm-unsafe-eval'");
    for script in inline_scripts(html)? {
        scripts += &format!(" 'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(script)));
    }
    let policy = format!(
        "default-src 'none'; script-src {scripts}; style-src 'self'; img-src 'self' data: blob:; connect-src 'self' {SAMP_HUB}; \
         worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'"
    );
    let (before, after) = html.split_once("<head>").context("index.html has no <head>")?;
    Ok(format!("{before}<head>\n<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">{after}"))
}

/// The contents of the script elements that have no `src`.
fn inline_scripts(html: &str) -> Result<Vec<&str>> {
    let mut scripts = Vec::new();
    let mut rest = html;
    while let Some((_, after)) = rest.split_once("<script") {
        let Some((attributes, body)) = after.split_once('>') else {
            bail!("index.html has a script element without an end");
        };
        let (inside, next) = body.split_once("</script>").context("index.html has a script without </script>")?;
        if !attributes.contains("src=") {
            scripts.push(inside);
        }
        rest = next;
    }
    Ok(scripts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_names_inline_scripts_and_comes_first() {
        let html = "<html><head><script src=\"a.js\"></script><script type=\"module\">go()</script></head></html>";
        assert_eq!(inline_scripts(html).unwrap(), ["go()"]);
        let page = with_policy(html).unwrap();
        // printf 'go()' | openssl dgst -sha256 -binary | base64
        assert!(page.contains("'sha256-5KYv+PUboo5h+0+YAtGRPbwv5d/QxzHslP4YGnUaxRw='"), "{page}");
        assert!(page.find("Content-Security-Policy").unwrap() < page.find("<script").unwrap());
        assert!(with_policy(&page).is_err(), "one policy only");
    }
}
