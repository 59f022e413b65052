//! The page; [`specola::ui`] is all of it.

fn main() {
    #[cfg(target_family = "wasm")]
    specola::ui::start();
}
