//! Weights reach a network whole or not at all.

mod support;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
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
    let error = block_on(flaky(&folder, 3, false).weights(&entry, |_, _| {})).expect_err("three times is enough");
    let text = error.to_string();
    for said in ["part 1 of", "model untrained", &entry.chunks[0].file, "the line is down", "try again"] {
        assert!(text.contains(said), "{text}");
    }
    let error = block_on(flaky(&folder, 3, true).weights(&entry, |_, _| {})).expect_err("damaged three times");
    assert!(matches!(error, StoreError::Damaged { .. }));
}

/// A folder beside a cache, which counts what the folder was asked for.
struct Caching {
    folder: ModelFolder,
    cache: RefCell<BTreeMap<String, Vec<u8>>>,
    asked: RefCell<Vec<String>>,
    lost: Cell<Option<&'static str>>,
}

impl Source for Caching {
    const CURE: &'static str = "try again";

    fn place(&self, path: &str) -> String {
        self.folder.place(path)
    }

    async fn get(&self, path: &str, limit: u64, on_bytes: &mut dyn FnMut(u64)) -> Result<Vec<u8>, String> {
        self.asked.borrow_mut().push(path.into());
        match self.lost.get() {
            Some(lost) if path.contains(lost) => Err("the line is down".into()),
            _ => self.folder.get(path, limit, on_bytes).await,
        }
    }

    async fn kept(&self, path: &str) -> Option<Vec<u8>> {
        self.cache.borrow().get(path).cloned()
    }

    async fn keep(&self, path: &str, bytes: &[u8]) {
        self.cache.borrow_mut().insert(path.into(), bytes.to_vec());
    }
}

#[test]
fn a_download_goes_on_where_it_broke_and_is_not_repeated() {
    let folder = Folder::new("store-cache");
    let entry = write_untrained_model(folder.path());
    let last: &'static str = entry.chunks.last().expect("there are parts").file.clone().leak();
    let store = Store::new(Caching {
        folder: ModelFolder::new(folder.path()),
        cache: RefCell::default(),
        asked: RefCell::default(),
        lost: Cell::new(Some(last)),
    });
    let asked = || store.source().asked.take();
    let files = |chunks: &[specola::model::manifest::Chunk]| chunks.iter().map(|c| c.file.clone()).collect::<Vec<_>>();

    block_on(store.weights(&entry, |_, _| {})).expect_err("the last part does not come");
    assert_eq!(asked().len(), entry.chunks.len() - 1 + 3);
    store.source().lost.set(None);
    assert!(block_on(store.weights(&entry, |_, _| {})).is_ok());
    assert_eq!(asked(), [last], "only what was missing");
    assert!(block_on(store.weights(&entry, |_, _| {})).is_ok());
    assert!(asked().is_empty(), "all of it was kept");

    // A kept part that was damaged since is never used.
    store.source().cache.borrow_mut().get_mut(last).expect("it was kept")[3] ^= 1;
    let weights = block_on(store.weights(&entry, |_, _| {})).expect("it is fetched again");
    assert_eq!(sha256_hex(&weights), entry.sha256);
    assert_eq!(asked(), files(&entry.chunks[entry.chunks.len() - 1..]));

    // Offline, the list of the last visit serves.
    assert!(block_on(store.manifest()).is_ok());
    store.source().lost.set(Some(""));
    assert!(block_on(store.manifest()).is_ok_and(|m| m.models.len() == 1));
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
