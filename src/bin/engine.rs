//! The compute worker (`src/engine`).

fn main() {
    specola::engine::worker::start();
}
