//! Specola as one of the engines that `cargo xtask bench` measures: runs one case at a time with the code of the
//! library.
//!
//! Commands and replies are lines of JSON ([`protocol`]): messages in a worker of a browser, standard input and output
//! in the native engine. `bench figures RESULTS.json FOLDER` draws the results.

mod case;
#[cfg(feature = "cli")]
mod figures;
mod forward;
mod train;
mod numbers;
mod workloads;
mod protocol;

#[cfg(target_family = "wasm")]
mod browser;
#[cfg(target_family = "wasm")]
mod shared_memory_channel;
#[cfg(not(target_family = "wasm"))]
mod stdio;

fn main() {
    #[cfg(target_family = "wasm")]
    browser::start();
    #[cfg(not(target_family = "wasm"))]
    stdio::main();
}
