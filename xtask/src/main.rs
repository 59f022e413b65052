//! `cargo xtask …`: everything that sets up, builds, serves and tests Specola.
//!
//! Each command installs what it needs and does not find, into the target directory where that is possible, so that a
//! fresh clone on a fresh machine needs one line and no preparation but Rust, a C compiler and Node.js for the tests.

mod bench;
mod browser;
mod budget;
mod golden;
mod offline;
mod page;
mod run;
mod serve;
mod site;
mod stages;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use lexopt::prelude::*;

const USAGE: &str = "\
Sets up, builds, serves and tests Specola.

  cargo xtask serve [--port N] [--no-build] [--open]   build the page, serve it on this machine
  cargo xtask build                                    build the page into dist/
  cargo xtask check                                    formatting, lints and unit tests: the quick part of `test`
  cargo xtask test [--real DIR] [--only STAGE]         everything; DIR holds real spectra (else ../shared/data/real)
  cargo xtask bench [--json FILE] [--only CASE] [--check] [--readme] [--once]
                                                       time Specola beside PyTorch, onnxruntime-web and TensorFlow.js
  cargo xtask bench --open                             the same in your own browser
  cargo xtask screenshot                               take www/screenshot.png anew

`test --only` takes one of: fmt, clippy, native, page, budget, browser; `bench --only` the beginning of a case's name.
`bench --check` fails when a bar is missed, `--readme` writes the README's tables, `--once` sees that everything works.
";

fn main() -> ExitCode {
    match command() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn command() -> Result<()> {
    let mut args = lexopt::Parser::from_env();
    let Some(Value(name)) = args.next()? else {
        print!("{USAGE}");
        return Ok(());
    };
    let (mut port, mut build, mut open) = (None, true, false);
    let (mut real, mut only) = (None, None);
    let mut bench = bench::Options::default();
    let name = name.string()?;
    while let Some(arg) = args.next()? {
        match (name.as_str(), arg) {
            ("serve", Long("port")) => port = Some(args.value()?.parse()?),
            ("serve", Long("no-build")) => build = false,
            ("serve", Long("open")) => open = true,
            ("test", Long("real")) => real = Some(PathBuf::from(args.value()?)),
            ("test", Long("only")) => only = Some(args.value()?.string()?),
            ("bench", Long("json")) => bench.json = Some(PathBuf::from(args.value()?)),
            ("bench", Long("only")) => bench.only = Some(args.value()?.string()?),
            ("bench", Long("check")) => bench.check = true,
            ("bench", Long("open")) => bench.open = true,
            ("bench", Long("readme")) => bench.readme = true,
            ("bench", Long("once")) => bench.once = true,
            (_, Short('h') | Long("help")) => {
                print!("{USAGE}");
                return Ok(());
            }
            (_, arg) => return Err(arg.unexpected().into()),
        }
    }
    match name.as_str() {
        "serve" => {
            if build {
                page::build()?;
            }
            serve::serve(port, open)
        }
        "build" => page::build().map(|_| ()),
        "check" => stages::check(),
        "test" => stages::test(real, only.as_deref()),
        "bench" => bench::bench(&bench),
        "screenshot" => browser::screenshot(),
        "help" => {
            print!("{USAGE}");
            Ok(())
        }
        other => bail!("there is no `cargo xtask {other}`\n\n{USAGE}"),
    }
}
