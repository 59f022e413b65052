//! Damaged files: whatever the bytes, a reader answers with a typed error or with a spectrum that keeps its invariants, soon
//! and in bounded memory. Every committed file is the seed of many damaged ones.

use std::io::{Cursor, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use specola::read::{LabelTable, ReadError, read};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Damaged files in all.
const CASES: u32 = 12_000;

/// A guard against hanging, not a measure of speed.
const TOO_LONG: Duration = Duration::from_secs(20);

/// Most memory of this test's process, KiB. Seeds are below 50 kB; what a header claims must not be allocated.
const TOO_MUCH_KIB: u64 = 600 << 10;

/// One injury.
#[derive(Debug, Clone)]
enum Injury {
    Truncate(f64),
    Flip(Vec<(f64, u8)>),
    FlipHeader(Vec<(f64, u8)>),
    Card { keyword: &'static str, which: u8, value: &'static str },
    SwapBlocks(f64, f64),
    Numbers { at: f64, count: u8, bytes: [u8; 8] },
    Delete(f64, u16),
    Insert(f64, Vec<u8>),
    Reverse(f64, u16),
}

const KEYWORDS: [&str; 27] = [
    "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "PCOUNT", "GCOUNT", "TFIELDS", "TFORM1", "TFORM2", "TFORM3",
    "TTYPE1", "TTYPE2", "XTENSION", "EXTNAME", "COEFF0", "COEFF1", "CRVAL1", "CD1_1", "CDELT1", "CRPIX1", "TSCAL2",
    "BSCALE", "OBSID", "TELESCOP", "CTYPE1", "END",
];

const VALUES: [&str; 24] = [
    "0",
    "-1",
    "1",
    "2",
    "5",
    "999",
    "1000",
    "2147483647",
    "2000000000",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "99999999999999999999999",
    "1E308",
    "-1E308",
    "NaN",
    "1.5",
    "'99999999999E'",
    "'18446744073709551615D'",
    "'0E'",
    "'-3E'",
    "'1PE(3)'",
    "'COADD'",
    "'unclosed",
];

fn injury() -> impl Strategy<Value = Injury> {
    let at = || 0.0..1.0f64;
    let flips = || prop::collection::vec((0.0..1.0f64, 0u8..8), 1..6);
    let card = (prop::sample::select(&KEYWORDS[..]), any::<u8>(), prop::sample::select(&VALUES[..]));
    let special = prop::sample::select(vec![
        f64::NAN.to_be_bytes(),
        [0; 8],
        (-1.0f64).to_be_bytes(),
        f64::INFINITY.to_be_bytes(),
        [0x7f, 0xc0, 0, 0, 0x7f, 0xc0, 0, 0],
        [0xff; 8],
        *b"99999999",
        *b"1e999,-1",
    ]);
    prop_oneof![
        2 => at().prop_map(Injury::Truncate),
        1 => flips().prop_map(Injury::Flip),
        2 => flips().prop_map(Injury::FlipHeader),
        4 => card.prop_map(|(keyword, which, value)| Injury::Card { keyword, which, value }),
        1 => (at(), at()).prop_map(|(a, b)| Injury::SwapBlocks(a, b)),
        2 => (at(), any::<u8>(), special).prop_map(|(at, count, bytes)| Injury::Numbers { at, count, bytes }),
        1 => (at(), 1u16..5000).prop_map(|(at, n)| Injury::Delete(at, n)),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..100)).prop_map(|(at, b)| Injury::Insert(at, b)),
        1 => (at(), 1u16..5000).prop_map(|(at, n)| Injury::Reverse(at, n)),
    ]
}

impl Injury {
    fn apply(&self, b: &mut Vec<u8>) {
        let n = b.len();
        let index = |at: f64| ((at * n as f64) as usize).min(n.saturating_sub(1));
        if n == 0 {
            return;
        }
        match self {
            Injury::Truncate(at) => b.truncate(index(*at)),
            Injury::Flip(flips) => flips.iter().for_each(|(at, bit)| b[index(*at)] ^= 1 << bit),
            Injury::FlipHeader(flips) => {
                flips.iter().for_each(|(at, bit)| b[index(*at) % n.min(6000)] ^= 1 << bit);
            }
            Injury::Card { keyword, which, value } => {
                let hits: Vec<usize> =
                    (0..n / 80).filter(|i| b[i * 80..].starts_with(format!("{keyword:<8}").as_bytes())).collect();
                if let Some(hit) = hits.get(usize::from(*which) % hits.len().max(1)) {
                    let card = format!("{:<80.80}", format!("{keyword:<8}= {value:>20}"));
                    b[hit * 80..hit * 80 + 80].copy_from_slice(card.as_bytes());
                }
            }
            Injury::SwapBlocks(x, y) => {
                let blocks = n / 2880;
                if blocks > 1 {
                    let (x, y) = ((x * blocks as f64) as usize, (y * blocks as f64) as usize);
                    (0..2880).for_each(|i| b.swap(x * 2880 + i, y * 2880 + i));
                }
            }
            Injury::Numbers { at, count, bytes } => {
                let start = index(*at) & !7;
                for (i, byte) in b[start..].iter_mut().take(8 * usize::from(*count)).enumerate() {
                    *byte = bytes[i % 8];
                }
            }
            Injury::Delete(at, count) => drop(b.drain(index(*at)..(index(*at) + usize::from(*count)).min(n))),
            Injury::Insert(at, bytes) => drop(b.splice(index(*at)..index(*at), bytes.iter().copied())),
            Injury::Reverse(at, count) => b[index(*at)..(index(*at) + usize::from(*count)).min(n)].reverse(),
        }
    }
}

/// A committed file; of archives also the members, so that damage gets past the checksums.
struct Seed {
    name: String,
    bytes: Vec<u8>,
    members: Vec<(String, Vec<u8>)>,
}

fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for folder in ["fixtures", "golden"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_spectrum =
                [".fits", ".gz", ".csv", ".txt", ".dat", ".npz", ".zip"].iter().any(|e| name.ends_with(e));
            let bytes = std::fs::read(&path).unwrap();
            if !is_spectrum || bytes.len() > 60_000 {
                continue;
            }
            let mut members = Vec::new();
            if let Ok(mut archive) = ZipArchive::new(Cursor::new(bytes.as_slice())) {
                for i in 0..archive.len() {
                    let mut member = archive.by_index(i).unwrap();
                    let mut inner = Vec::new();
                    member.read_to_end(&mut inner).unwrap();
                    members.push((member.name().unwrap().to_string(), inner));
                }
            }
            if name.ends_with(".gz") {
                let mut inner = Vec::new();
                flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut inner).unwrap();
                seeds.push(Seed { name: format!("{name} unpacked"), bytes: inner, members: Vec::new() });
            }
            seeds.push(Seed { name, bytes, members });
        }
    }
    seeds.sort_by(|a, b| a.name.cmp(&b.name));
    seeds
}

fn pack(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        zip.start_file(name.as_str(), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// What must hold of any answer.
fn check(bytes: &[u8]) -> bool {
    let started = Instant::now();
    let answer = read("damaged", bytes);
    assert!(started.elapsed() < TOO_LONG, "{:?}", started.elapsed());
    match answer {
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

/// Highest memory of this process so far, KiB, where the system tells.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?.trim().trim_end_matches("kB").trim().parse().ok()
}

#[test]
fn damaged_files_never_panic() {
    let seeds = seeds();
    assert!(seeds.len() >= 25, "{}", seeds.len());
    let spectra = std::cell::Cell::new(0u32);
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let strategy = (0..seeds.len(), any::<u8>(), prop::collection::vec(injury(), 1..4));
    TestRunner::new(config)
        .run(&strategy, |(seed, member, injuries)| {
            let seed = &seeds[seed];
            let bytes = match seed.members.get(usize::from(member) % (seed.members.len() + 1)) {
                Some(_) => {
                    let mut members = seed.members.clone();
                    let inner = &mut members[usize::from(member) % (seed.members.len() + 1)].1;
                    injuries.iter().for_each(|i| i.apply(inner));
                    pack(&members)
                }
                None => {
                    let mut bytes = seed.bytes.clone();
                    injuries.iter().for_each(|i| i.apply(&mut bytes));
                    bytes
                }
            };
            spectra.set(spectra.get() + u32::from(check(&bytes)));
            Ok(())
        })
        .unwrap_or_else(|e| panic!("{e}"));
    let peak = peak_kib();
    println!("{CASES} damaged files, {} still gave a spectrum, peak memory {peak:?} KiB", spectra.get());
    assert!(peak.is_none_or(|kib| kib < TOO_MUCH_KIB), "{peak:?}");
    // Both ways out must have been walked.
    assert!(spectra.get() > CASES / 20 && spectra.get() < CASES * 19 / 20);
}

#[test]
fn every_truncation_of_a_small_file_is_survived() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for name in ["image_scaled.fits", "header.csv", "air.npz", "lamost_dr5.fits.gz"] {
        let bytes = std::fs::read(fixtures.join(name)).unwrap();
        for length in 0..bytes.len() {
            check(&bytes[..length]);
        }
    }
}

#[test]
fn bombs_and_large_claims_are_refused() {
    let zeros = vec![0u8; 40 << 20];
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&zeros).unwrap();
    let gz = gz.finish().unwrap();
    assert!(matches!(read("bomb.fits.gz", &gz), Err(ReadError::TooLarge { .. })));

    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("bomb.fits", SimpleFileOptions::default()).unwrap();
    zip.write_all(&zeros).unwrap();
    let contents = read("bomb.zip", &zip.finish().unwrap().into_inner()).unwrap();
    assert!(contents.spectra.is_empty() && contents.skipped[0].why.contains("MiB"), "{:?}", contents.skipped);

    let deep = (0..5).fold(b"4000 1\n".to_vec(), |inner, _| pack(&[("inner.zip".to_string(), inner)]));
    assert!(read("deep.zip", &deep).unwrap().spectra.is_empty());

    let claims = |cards: &[&str]| -> Vec<u8> {
        let mut bytes: Vec<u8> = cards.iter().flat_map(|c| format!("{c:<80}").into_bytes()).collect();
        bytes.resize(bytes.len().next_multiple_of(2880), b' ');
        bytes
    };
    let image = claims(&[
        "SIMPLE  = T",
        "BITPIX  = -64",
        "NAXIS   = 1",
        "NAXIS1  = 268435456",
        "CRVAL1  = 4000",
        "CDELT1  = 1",
        "END",
    ]);
    assert!(matches!(read("x", &image), Err(ReadError::FitsTruncated { .. })));
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
    fn any_text_is_survived(text in "[-0-9.,; \t\n#a-zA-Zé\"eE+_]{0,400}") {
        check(text.as_bytes());
        let _ = LabelTable::read(text.as_bytes());
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..500), start in 0usize..5) {
        let magic: [&[u8]; 5] = [b"", b"SIMPLE  =                    T", b"PK\x03\x04", b"\x1f\x8b\x08", b"\x93NUMPY\x01"];
        check(&[magic[start], bytes.as_slice()].concat());
        let _ = LabelTable::read(&bytes);
    }
}
