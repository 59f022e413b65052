//! The compute worker on a GPU (`src/engine/gpu.rs`).

fn main() {
    specola::engine::gpu::start();
}
