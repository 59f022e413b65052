//! A worker that trains (`src/engine/training.rs`).

fn main() {
    specola::engine::training::start();
}
