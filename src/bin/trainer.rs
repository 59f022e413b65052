//! The training worker (`src/engine/trainer_worker.rs`).

fn main() {
    specola::engine::trainer_worker::start();
}
