//! Building the page: Trunk makes `dist/` of the browser binaries, then the page's security policy and the list of what
//! is kept for later visits are written.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use base64::prelude::{BASE64_STANDARD, Engine};
use sha2::{Digest, Sha256};

use crate::run::{cargo, command, root, run};
use crate::{offline, tools};

/// Where the built page lies.
pub fn dist() -> PathBuf {
    root().join("dist")
}

/// Builds the release page into `dist/`, which any static host may serve below any path.
pub fn build() -> Result<PathBuf> {
    tools::wasm_target()?;
    let trunk = tools::trunk()?;
    tools::wasm_bindgen()?;
    // Trunk is told to stay off the network, so that it fetches no program behind our back, and tells cargo the same.
    run(cargo().args(["fetch", "--locked"]))?;
    let mut build = command(trunk);
    build.args(["build", "--offline", "--skip-version-check"]).env("PATH", tools::path_with_tools()?);
    build.env("CARGO_ENCODED_RUSTFLAGS", wasm_flags());
    // Trunk takes only "true" or "false" there, not the usual "1".
    run(build.env_remove("NO_COLOR"))?;
    shrink()?;
    let index = dist().join("index.html");
    let html = std::fs::read_to_string(&index).context("reading the built index.html")?;
    std::fs::write(&index, with_policy(&html)?).context("writing the page's security policy")?;
    offline::write(&dist())?;
    Ok(dist())
}

/// Runs wasm-opt over the page's own program: a quarter less to download before it paints, for seconds of work. The
/// engine is left as it is: minutes of work made it no smaller under gzip.
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

/// The compiler's flags for the browser's programs: vectors of four numbers, which every browser with WebGPU or without has
/// had for years and burn's kernels need anyway, and source files named in panics without the builder's home directory.
pub fn wasm_flags() -> String {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).unwrap_or_default();
    // Apart from each other as cargo wants it.
    format!("-Ctarget-feature=+simd128\u{1f}--remap-path-prefix={}=cargo", home.display())
}

/// Where a SAMP hub listens on the visitor's own computer (src/share/samp.rs); the page asks nothing of it before the
/// visitor presses Connect.
const SAMP_HUB: &str = "http://localhost:21012";

/// The page may load from and connect to nothing but its own origin and that hub, and run no script that the build did not
/// put there.
///
/// It stands in a `meta` element, because static hosts let nobody set headers; what Trunk writes inline is named by hash.
/// The worker is started from a blob, because only then it has this policy too (src/engine/client.rs).
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
    let mut found = Vec::new();
    let mut rest = html;
    while let Some((_, after)) = rest.split_once("<script") {
        let Some((attributes, body)) = after.split_once('>') else {
            bail!("index.html has a script element without an end");
        };
        let (inside, next) = body.split_once("</script>").context("index.html has a script without </script>")?;
        if !attributes.contains("src=") {
            found.push(inside);
        }
        rest = next;
    }
    Ok(found)
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
