//! The page; [`specola::ui`] is all of it.

fn main() {
    specola::ui::start();
}
