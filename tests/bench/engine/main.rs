//! Specola as one of the engines that `cargo xtask bench` measures: the library's own code, asked for a case at a time.
//!
//! A question is a line of JSON, and so is its answer ([`talk`]). In a browser's worker they come and go as messages,
//! natively through standard input and output. `bench figures RESULTS.json FOLDER` draws what came of it.

mod case;
#[cfg(feature = "cli")]
mod figures;
mod forward;
mod lesson;
mod numbers;
mod other;
mod talk;

#[cfg(target_family = "wasm")]
mod browser;
#[cfg(not(target_family = "wasm"))]
mod lines;

fn main() {
    #[cfg(target_family = "wasm")]
    browser::start();
    #[cfg(not(target_family = "wasm"))]
    lines::main();
}
