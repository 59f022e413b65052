//! The page; all its code is in [`specola::ui`].

fn main() {
    specola::ui::start();
}
