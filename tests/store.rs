//! Weights reach a network whole or not at all.

mod support;

use std::cell::{Cell, RefCell};
use std::fs;

use pollster::block_on;
use specola::model::store::{Folder as ModelFolder, Source, Store, StoreError, sha256_hex};
use support::{Folder, write_untrained_model};

/// A folder whose files arrive badly the first `failures` times.
struct Flaky {
    folder: ModelFolder,
    failures: usize,
    damage: bool,
    asked: RefCell<Vec<String>>,
}

impl Source for Flaky {
    const CURE: &'static str = "try again";

    fn place(&self, path: &str) -> String {
        self.folder.place(path)
    }

    async fn get(&self, path: &str, limit: u64, on_bytes: &mut dyn FnMut(u64)) -> Result<Vec<u8>, String> {
        self.asked.borrow_mut().push(path.into());
        let times = self.asked.borrow().iter().filter(|p| *p == path).count();
        let mut bytes = self.folder.get(path, limit, on_bytes).await?;
        match (times <= self.failures, self.damage) {
            (true, false) => Err("the line is down".into()),
            (true, true) => {
                bytes[0] ^= 1;
                Ok(bytes)
            }
            (false, _) => Ok(bytes),
        }
    }
}

fn flaky(folder: &Folder, failures: usize, damage: bool) -> Store<Flaky> {
    Store::new(Flaky { folder: ModelFolder::new(folder.path()), failures, damage, asked: RefCell::default() })
}

#[test]
fn a_part_that_fails_or_is_damaged_once_is_asked_for_again() {
    let folder = Folder::new("store-retry");
    let entry = write_untrained_model(folder.path());
    assert!(entry.chunks.len() > 1, "the test needs several parts");
    for damage in [false, true] {
        let last = Cell::new((0, 0));
        let weights = block_on(flaky(&folder, 1, damage).weights(&entry, |done, total| last.set((done, total))));
        let weights = weights.expect("the second time works");
        assert_eq!(sha256_hex(&weights), entry.sha256);
        assert_eq!(last.get(), (entry.bytes, entry.bytes));
    }
    assert!(block_on(flaky(&folder, 1, false).manifest()).is_ok());
}

#[test]
fn a_part_that_keeps_failing_is_named_with_its_place_and_a_cure() {
    let folder = Folder::new("store-fail");
    let entry = write_untrained_model(folder.path());
    let error = block_on(flaky(&folder, 2, false).weights(&entry, |_, _| {})).expect_err("twice is enough");
    let text = error.to_string();
    for said in ["part 1 of", "model untrained", &entry.chunks[0].file, "the line is down", "try again"] {
        assert!(text.contains(said), "{text}");
    }
    let error = block_on(flaky(&folder, 2, true).weights(&entry, |_, _| {})).expect_err("damaged twice");
    assert!(matches!(error, StoreError::Damaged { .. }));
}

#[test]
fn parts_of_another_size_or_order_are_not_used() {
    let folder = Folder::new("store-parts");
    let mut entry = write_untrained_model(folder.path());
    let store = Store::new(ModelFolder::new(folder.path()));
    entry.chunks.swap(0, 1);
    assert!(matches!(block_on(store.weights(&entry, |_, _| {})), Err(StoreError::Damaged { .. })));
    entry.chunks.swap(0, 1);
    let long = folder.path().join(&entry.chunks[0].file);
    fs::write(&long, vec![0; 30_000]).expect("the part can be written");
    assert!(matches!(block_on(store.weights(&entry, |_, _| {})), Err(StoreError::Get { .. })));
}
