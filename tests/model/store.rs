//! Download of weights: retries, the cache, and checks of size and checksum.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;

use crate::support::{Folder, write_untrained_model};
use pollster::block_on;
use specola::model::store::{Folder as ModelFolder, Source, Store, StoreError, sha256_hex};

/// A folder where the first `failures` reads of each file fail, or return damaged bytes.
struct UnreliableSource {
    folder: ModelFolder,
    failures: usize,
    damage: bool,
    requests: RefCell<Vec<String>>,
}

impl Source for UnreliableSource {
    const ADVICE: &'static str = "try again";

    fn address(&self, path: &str) -> String {
        self.folder.address(path)
    }

    async fn get(&self, path: &str, limit: u64, on_bytes: &mut dyn FnMut(u64)) -> Result<Vec<u8>, String> {
        self.requests.borrow_mut().push(path.into());
        let attempt = self.requests.borrow().iter().filter(|p| *p == path).count();
        let mut bytes = self.folder.get(path, limit, on_bytes).await?;
        match (attempt <= self.failures, self.damage) {
            (true, false) => Err("the line is down".into()),
            (true, true) => {
                bytes[0] ^= 1;
                Ok(bytes)
            }
            (false, _) => Ok(bytes),
        }
    }
}

fn unreliable(folder: &Folder, failures: usize, damage: bool) -> Store<UnreliableSource> {
    Store::new(UnreliableSource {
        folder: ModelFolder::new(folder.path()),
        failures,
        damage,
        requests: RefCell::default(),
    })
}

#[test]
fn failed_or_damaged_parts_are_fetched_again() {
    let folder = Folder::new("store-retry");
    let entry = write_untrained_model(folder.path());
    assert!(entry.chunks.len() > 1, "the test needs several parts");
    for damage in [false, true] {
        let progress = Cell::new((0, 0));
        let weights =
            block_on(unreliable(&folder, 1, damage).weights(&entry, |done, total| progress.set((done, total))));
        let weights = weights.expect("the second time works");
        assert_eq!(sha256_hex(&weights), entry.sha256);
        assert_eq!(progress.get(), (entry.bytes, entry.bytes));
    }
    assert!(block_on(unreliable(&folder, 1, false).manifest()).is_ok());
}

#[test]
fn errors_name_the_part_its_place_and_a_remedy() {
    let folder = Folder::new("store-fail");
    let entry = write_untrained_model(folder.path());
    let error = block_on(unreliable(&folder, 3, false).weights(&entry, |_, _| {})).expect_err("three times is enough");
    let text = error.to_string();
    for phrase in ["part 1 of", "model untrained", &entry.chunks[0].file, "the line is down", "try again"] {
        assert!(text.contains(phrase), "{text}");
    }
    let error = block_on(unreliable(&folder, 3, true).weights(&entry, |_, _| {})).expect_err("damaged three times");
    assert!(matches!(error, StoreError::Damaged { .. }));
}

/// A folder with a cache. It records the files that were read from the folder.
struct CachedSource {
    folder: ModelFolder,
    cache: RefCell<BTreeMap<String, Vec<u8>>>,
    requests: RefCell<Vec<String>>,
    unreachable: Cell<Option<&'static str>>,
}

impl Source for CachedSource {
    const ADVICE: &'static str = "try again";

    fn address(&self, path: &str) -> String {
        self.folder.address(path)
    }

    async fn get(&self, path: &str, limit: u64, on_bytes: &mut dyn FnMut(u64)) -> Result<Vec<u8>, String> {
        self.requests.borrow_mut().push(path.into());
        match self.unreachable.get() {
            Some(part) if path.contains(part) => Err("the line is down".into()),
            _ => self.folder.get(path, limit, on_bytes).await,
        }
    }

    async fn cached(&self, path: &str) -> Option<Vec<u8>> {
        self.cache.borrow().get(path).cloned()
    }

    async fn store_in_cache(&self, path: &str, bytes: &[u8]) {
        self.cache.borrow_mut().insert(path.into(), bytes.to_vec());
    }
}

#[test]
fn downloads_resume_and_are_not_repeated() {
    let folder = Folder::new("store-cache");
    let entry = write_untrained_model(folder.path());
    let last: &'static str = entry.chunks.last().expect("there are parts").file.clone().leak();
    let store = Store::new(CachedSource {
        folder: ModelFolder::new(folder.path()),
        cache: RefCell::default(),
        requests: RefCell::default(),
        unreachable: Cell::new(Some(last)),
    });
    let requests = || store.source().requests.take();
    let files = |chunks: &[specola::model::manifest::Chunk]| chunks.iter().map(|c| c.file.clone()).collect::<Vec<_>>();

    block_on(store.weights(&entry, |_, _| {})).expect_err("the last part does not come");
    assert_eq!(requests().len(), entry.chunks.len() - 1 + 3);
    store.source().unreachable.set(None);
    assert!(block_on(store.weights(&entry, |_, _| {})).is_ok());
    assert_eq!(requests(), [last], "only the missing part");
    assert!(block_on(store.weights(&entry, |_, _| {})).is_ok());
    assert!(requests().is_empty(), "all parts are cached");

    // A damaged part in the cache is not used.
    store.source().cache.borrow_mut().get_mut(last).expect("it is cached")[3] ^= 1;
    let weights = block_on(store.weights(&entry, |_, _| {})).expect("it is fetched again");
    assert_eq!(sha256_hex(&weights), entry.sha256);
    assert_eq!(requests(), files(&entry.chunks[entry.chunks.len() - 1..]));

    // Offline, the cached manifest is used.
    assert!(block_on(store.manifest()).is_ok());
    store.source().unreachable.set(Some(""));
    assert!(block_on(store.manifest()).is_ok_and(|m| m.models.len() == 1));
}

#[test]
fn parts_of_wrong_size_or_order_are_refused() {
    let folder = Folder::new("store-parts");
    let mut entry = write_untrained_model(folder.path());
    let store = Store::new(ModelFolder::new(folder.path()));
    entry.chunks.swap(0, 1);
    assert!(matches!(block_on(store.weights(&entry, |_, _| {})), Err(StoreError::Damaged { .. })));
    entry.chunks.swap(0, 1);
    let part = folder.path().join(&entry.chunks[0].file);
    fs::write(&part, vec![0; 30_000]).expect("the part can be written");
    assert!(matches!(block_on(store.weights(&entry, |_, _| {})), Err(StoreError::Get { .. })));
}
