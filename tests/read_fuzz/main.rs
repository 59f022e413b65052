//! Damaged files. A reader returns a typed error, or spectra that keep their invariants, in bounded time and memory.
//! The committed files of every format are the seeds of thousands of damaged files.

mod corruption;
mod seeds;

use std::cell::Cell;
use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use corruption::corruption;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use seeds::{Seed, seeds};
use specola::read::{LabelError, LabelTable, ReadError, preview, read, read_with_columns};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Number of damaged files per format.
const CASES: u32 = 5000;

/// Longest permitted time for one file.
const MAX_TIME: Duration = Duration::from_secs(2);

/// Largest permitted memory of this process, KiB. Seeds are below 300 kB; memory must not be allocated by the size in a
/// header.
const MAX_MEMORY_KIB: u64 = 500 << 10;

fn pack(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        zip.start_file(name.as_str(), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Checks time, length of an error text, and invariants of spectra. True if a spectrum was read.
fn check(bytes: &[u8]) -> bool {
    let started = Instant::now();
    let result = read("damaged", bytes);
    assert!(started.elapsed() < MAX_TIME, "{:?}", started.elapsed());
    match result {
        Err(error) => {
            assert!(error.to_string().len() < 2000);
            false
        }
        Ok(contents) => {
            for s in &contents.spectra {
                let n = s.len();
                assert!(s.flux().len() == n && s.masked().len() == n && s.ivar().is_none_or(|v| v.len() == n));
                assert!(s.wave_vac_aa().windows(2).all(|w| w[0] < w[1]) && s.wave_vac_aa()[0] > 0.0);
                assert!((0..n).all(|i| s.masked()[i] || s.flux()[i].is_finite()));
            }
            !contents.spectra.is_empty()
        }
    }
}

/// Previews the columns, and reads the file with the proposed column mapping. Errors are permitted.
fn check_column_mapping(bytes: &[u8]) {
    if let Ok(preview) = preview(bytes) {
        assert!(preview.lines.iter().all(|line| line.len() == preview.names.len()));
        let _ = read_with_columns("damaged", bytes, &preview.guess);
    }
}

/// Checks that the columns of a label table are as long as its ids. True if a table was read.
fn check_labels(bytes: &[u8]) -> bool {
    match LabelTable::read(bytes) {
        Err(error) => {
            assert!(error.to_string().len() < 2000);
            false
        }
        Ok(table) => {
            let n = table.id.len();
            assert!(table.labels.values().chain(table.errors.values()).all(|c| c.len() == n));
            assert!(table.texts.values().all(|c| c.len() == n));
            true
        }
    }
}

/// Peak memory of this process, KiB, on systems that report it.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?.trim().trim_end_matches("kB").trim().parse().ok()
}

/// Damages the files of one format. Returns the number of files that still gave a spectrum or a label table, and the
/// longest time.
fn read_damaged(format: &str, seeds: &[Seed]) -> (u32, Duration) {
    let (readable, longest) = (Cell::new(0u32), Cell::new(Duration::ZERO));
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let strategy = (0..seeds.len(), any::<u8>(), prop::collection::vec(corruption(), 1..4));
    TestRunner::new(config)
        .run(&strategy, |(seed, member, corruptions)| {
            let seed = &seeds[seed];
            let bytes = match seed.members.get(usize::from(member) % (seed.members.len() + 1)) {
                Some(_) => {
                    let mut members = seed.members.clone();
                    let inner = &mut members[usize::from(member) % (seed.members.len() + 1)].1;
                    corruptions.iter().for_each(|i| i.apply(inner));
                    pack(&members)
                }
                None => {
                    let mut bytes = seed.bytes.clone();
                    corruptions.iter().for_each(|i| i.apply(&mut bytes));
                    bytes
                }
            };
            let started = Instant::now();
            let is_labels = format.starts_with("labels") && check_labels(&bytes);
            if format == "text" {
                check_column_mapping(&bytes);
            }
            readable.set(readable.get() + u32::from(check(&bytes) || is_labels));
            longest.set(longest.get().max(started.elapsed()));
            Ok(())
        })
        .unwrap_or_else(|e| panic!("{format}: {e}"));
    (readable.get(), longest.get())
}

#[test]
fn damaged_files_of_every_format_never_panic() {
    let started = Instant::now();
    let work = Mutex::new(seeds());
    let formats = work.lock().unwrap().len();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((format, seeds)) = { work.lock().unwrap().pop() } {
                    let (readable, longest) = read_damaged(format, &seeds);
                    println!("{format}: {CASES} damaged files, {readable} still read, the longest took {longest:?}");
                    // Some files must be readable, and some not.
                    assert!(readable > CASES / 50 && readable < CASES * 99 / 100, "{format}: {readable}");
                }
            });
        }
    });
    let peak = peak_kib();
    println!("{formats} formats in {:.1?}, peak memory {peak:?} KiB", started.elapsed());
    assert!(peak.is_none_or(|kib| kib < MAX_MEMORY_KIB), "{peak:?}");
}

#[test]
fn truncated_files_never_panic() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for name in [
        "image_scaled.fits",
        "header.csv",
        "air.npz",
        "lamost_dr5.fits.gz",
        "xp_gaiaxpy.ecsv",
        "xp_gaiaxpy.xml",
        "table_nm.tbl",
        "labels.vot",
    ] {
        let bytes = std::fs::read(fixtures.join(name)).unwrap();
        for length in 0..bytes.len() {
            check(&bytes[..length]);
            check_labels(&bytes[..length]);
        }
    }
}

#[test]
fn decompression_bombs_and_large_headers_are_refused() {
    let zeros = vec![0u8; 40 << 20];
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&zeros).unwrap();
    let gz = gz.finish().unwrap();
    assert!(matches!(read("bomb.fits.gz", &gz), Err(ReadError::TooLarge { .. })));

    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("bomb.fits", SimpleFileOptions::default()).unwrap();
    zip.write_all(&zeros).unwrap();
    let contents = read("bomb.zip", &zip.finish().unwrap().into_inner()).unwrap();
    assert!(contents.spectra.is_empty() && contents.skipped[0].reason.contains("MiB"), "{:?}", contents.skipped);

    // A label table is unpacked only once.
    assert!(matches!(LabelTable::read(&gz), Err(LabelError::Unreadable(ReadError::TooLarge { .. }))));
    let gzip = |bytes: &[u8]| {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(bytes).unwrap();
        gz.finish().unwrap()
    };
    assert_eq!(LabelTable::read(&gzip(b"id,teff\na,5000\n")).unwrap().get("a", "teff"), Some(5000.0));
    assert!(LabelTable::read(&gzip(&gzip(b"id,teff\na,5000\n"))).is_err());

    let deep = (0..5).fold(b"4000 1\n".to_vec(), |inner, _| pack(&[("inner.zip".to_string(), inner)]));
    assert!(read("deep.zip", &deep).unwrap().spectra.is_empty());

    let header_block = |cards: &[&str]| -> Vec<u8> {
        let mut bytes: Vec<u8> = cards.iter().flat_map(|c| format!("{c:<80}").into_bytes()).collect();
        bytes.resize(bytes.len().next_multiple_of(2880), b' ');
        bytes
    };
    let image = header_block(&[
        "SIMPLE  = T",
        "BITPIX  = -64",
        "NAXIS   = 1",
        "NAXIS1  = 268435456",
        "CRVAL1  = 4000",
        "CDELT1  = 1",
        "END",
    ]);
    assert!(matches!(read("x", &image), Err(ReadError::FitsTruncated { .. })));
    // A sequence of HDUs without data: the first thousand are enough to refuse it.
    let mut many = header_block(&["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0", "END"]);
    let one = header_block(&["XTENSION= 'IMAGE   '", "BITPIX  = 8", "NAXIS   = 0", "END"]);
    (0..20_000).for_each(|_| many.extend(&one));
    let started = Instant::now();
    assert!(matches!(read("x", &many), Err(ReadError::TooManyHdus { limit: 1000 })));
    assert!(started.elapsed() < MAX_TIME, "{:?}", started.elapsed());
    // The compressed sequence is small. It is refused during unpacking.
    assert!(matches!(read("x", &gzip(&many)), Err(ReadError::TooLarge { .. })));

    let mut npy =
        b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', 'fortran_order': False, 'shape': (500000, 4000), }".to_vec();
    npy.resize(128, b' ');
    let axis = npy.clone();
    let bundle = pack(&[("wavelength_vac_aa.npy".into(), axis), ("flux.npy".into(), npy)]);
    assert!(matches!(read("x", &bundle), Err(ReadError::Bundle { .. })));
}

proptest! {
    #![proptest_config(Config { cases: 2000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn random_text_never_panics(text in "[-0-9.,; \t\n#a-zA-Zé\"eE+_]{0,400}") {
        check(text.as_bytes());
        check_column_mapping(text.as_bytes());
        check_labels(text.as_bytes());
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..500), start in 0usize..8) {
        let magic: [&[u8]; 8] = [
            b"", b"SIMPLE  =                    T", b"PK\x03\x04", b"\x1f\x8b\x08", b"\x93NUMPY\x01",
            b"<VOTABLE><TABLE>", b"# %ECSV 1.0\n# ---\n# ", b"|a|b|\n",
        ];
        check(&[magic[start], bytes.as_slice()].concat());
        check_labels(&bytes);
    }
}
