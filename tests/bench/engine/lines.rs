//! Natively: a line in, a line out, until the input ends.

use std::io::{BufRead, Write, stdin, stdout};
use std::time::Instant;

use crate::talk::Engine;

/// Answers questions, or draws figures if it is told to.
pub fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        #[cfg(feature = "cli")]
        ["figures", results, folder] => {
            if let Err(why) = crate::figures::draw(results.as_ref(), folder.as_ref()) {
                eprintln!("error: figures of {results}: {why}");
                std::process::exit(1);
            }
        }
        _ => answer_all(),
    }
}

/// Answers what standard input asks.
fn answer_all() {
    let began = Instant::now();
    let mut engine = Engine::default();
    for question in stdin().lock().lines().map_while(Result::ok) {
        let answer = engine.answer(&question, || began.elapsed().as_secs_f64() * 1e3);
        let mut out = stdout().lock();
        // Nobody is left to tell when the reader has gone.
        let _ = writeln!(out, "{}", pollster::block_on(answer)).and_then(|()| out.flush());
    }
}
