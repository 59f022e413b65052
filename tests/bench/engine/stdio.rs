//! The native engine: reads a command per line from standard input and prints a reply per line, until the input ends.

use std::io::{BufRead, Write, stdin, stdout};
use std::time::Instant;

use crate::protocol::Engine;

/// Runs commands, or draws figures: `bench figures RESULTS.json FOLDER`.
pub(crate) fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        #[cfg(feature = "cli")]
        ["figures", results, folder] => {
            if let Err(why) = crate::figures::draw(results.as_ref(), folder.as_ref()) {
                eprintln!("error: figures of {results}: {why}");
                std::process::exit(1);
            }
        }
        _ => run_all(),
    }
}

/// Runs the commands from standard input.
fn run_all() {
    let start = Instant::now();
    let mut engine = Engine::default();
    for command in stdin().lock().lines().map_while(Result::ok) {
        let reply = engine.reply(&command, || start.elapsed().as_secs_f64() * 1e3);
        let mut out = stdout().lock();
        // A write error means that the reader has ended.
        let _ = writeln!(out, "{}", pollster::block_on(reply)).and_then(|()| out.flush());
    }
}
