//! The published folder with random weights (`tests/published`), and the outputs of its networks from `NumPy`.

use std::fs;
use std::io::{Cursor, Read};

use serde_json::Value;

use super::Folder;

fn fixture(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/published/{name}", env!("CARGO_MANIFEST_DIR"))).expect("the fixture")
}

/// The published folder with random weights.
pub(crate) fn unpacked(test: &str) -> Folder {
    let folder = Folder::new(test);
    let mut zip = zip::ZipArchive::new(Cursor::new(fixture("folder.zip"))).expect("a zip");
    for i in 0..zip.len() {
        let mut file = zip.by_index(i).expect("a file");
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).expect("its bytes");
        folder.write(&format!("system/{}", file.name().expect("a name")), bytes);
    }
    folder
}

/// Outputs of the networks from `NumPy`.
pub(crate) fn expected() -> Value {
    serde_json::from_slice(&fixture("expected.json")).expect("JSON")
}

pub(crate) fn remove(folder: &Folder, name: &str) {
    fs::remove_file(folder.path().join("system").join(name)).expect("the file was there");
}
