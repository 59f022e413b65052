//! `cargo xtask …`: sets up, builds, serves and tests Specola.
//!
//! Each command installs missing tools, into the target directory where possible. A fresh clone needs one command, and
//! only Rust, a C compiler, and Node.js for the tests.

mod bench;
mod browser;
mod budget;
mod golden;
mod offline;
mod package;
mod page;
mod run;
mod serve;
mod site;
mod stages;
mod structure;
mod tools;
mod vocabulary;

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
  cargo xtask bench [--json FILE] [--only CASE] [--check] [--write] [--once]
                                                       time Specola beside PyTorch, onnxruntime-web and TensorFlow.js
  cargo xtask bench --open                             the same in your own browser
  cargo xtask package [--page]                         pack the native program, or the page, into target/package
  cargo xtask torture                                  attack program and page at full size (about an hour, 5 GB of disk)
  cargo xtask screenshot                               take www/screenshot.png again

`test --only` takes one of: fmt, words, structure, clippy, native, page, budget, browser; `bench --only` the beginning of a case's name.
`bench --check` fails when a target is missed, `--write` updates docs/benchmarks.md, `--once` runs each case once.
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
    let mut is_page = false;
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
            ("bench", Long("write" | "readme")) => bench.write = true,
            ("bench", Long("once")) => bench.once = true,
            ("package", Long("page")) => is_page = true,
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
        "package" => package::package(is_page),
        "screenshot" => browser::screenshot(),
        "torture" => stages::torture(),
        "help" => {
            print!("{USAGE}");
            Ok(())
        }
        other => bail!("there is no `cargo xtask {other}`\n\n{USAGE}"),
    }
}
