//! Inputs that are small and ask for much: they are refused at a bounded cost, and the others in the batch are answered.

use std::fs::File;
use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::attack::{Outcome, rows, run, sized};
use crate::support::bundles::{Shape, in_memory, npy_header, write_npz};
use crate::support::{Folder, star_csv};

/// Largest memory for a small hostile file, MiB.
const MAX_MIB: f64 = 700.0;

/// Predicts a hostile file between two good ones. All good ones must be answered.
fn among_good(attack: &str, name: &str, write: impl FnOnce(&Folder), max_mib: f64) -> Outcome {
    let folder = Folder::new("cost");
    folder.write("a.csv", star_csv(3900.0, 5700.0));
    folder.write("z.csv", star_csv(3900.0, 5700.0));
    write(&folder);
    let outcome = run(&folder, "predict .");
    let answered = rows(&outcome.stdout);
    let why = outcome.stderr.lines().find(|line| line.contains(name)).unwrap_or("no message").replace('|', "¦");
    let why: String = why.chars().take(110).collect();
    outcome.print(attack, &format!("{answered} results; {why}"));
    assert!(outcome.stdout.contains("a.csv") && outcome.stdout.contains("z.csv"), "{attack}: {}", outcome.stderr);
    assert!(outcome.stderr.contains(name), "{attack} is named: {}", outcome.stderr);
    outcome.assert_calm(attack, max_mib);
    outcome
}

fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    [npy_header(descr, shape).as_slice(), data].concat()
}

/// A deflated bundle of rows that are all zero.
fn zeros(rows: usize, pixels: usize) -> Vec<u8> {
    in_memory(|out| {
        let mut zip = ZipWriter::new(out);
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        let wave: Vec<u8> = (0..pixels).flat_map(|i| (4000.0 + i as f64).to_le_bytes()).collect();
        zip.start_file("wave_vac_aa.npy", options)?;
        zip.write_all(&npy("<f8", &format!("({pixels},)"), &wave))?;
        zip.start_file("flux.npy", options)?;
        zip.write_all(&npy("|u1", &format!("({rows}, {pixels})"), &vec![0; rows * pixels]))?;
        zip.finish().map(drop).map_err(Into::into)
    })
}

#[test]
fn bundles_with_a_million_rows_of_nothing() {
    let rows = sized(100_000, 1_000_000);
    let one_pixel = |folder: &Folder| drop(folder.write("hostile.npz", zeros(rows, 1)));
    among_good(&format!("npz of {rows} rows of one pixel"), "hostile.npz", one_pixel, MAX_MIB);
    let ten_pixels = |folder: &Folder| drop(folder.write("hostile.npz", zeros(rows, 10)));
    let attack = format!("npz of {rows} rows of ten zeros");
    let outcome = among_good(&attack, "hostile.npz", ten_pixels, MAX_MIB);
    assert!(outcome.stderr.lines().count() < 1100, "{} lines", outcome.stderr.lines().count());
}

/// An archive whose entries are all the same packed bytes (the idea is Fifield's, 2019).
fn overlapping_zip(entries: usize, bytes: usize) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    zip.start_file("00000000.csv", options).expect("memory can be written");
    zip.write_all(&vec![b' '; bytes]).expect("memory can be written");
    let file = zip.finish().expect("memory can be written").into_inner();
    let at = |signature: &[u8]| file.windows(4).rposition(|w| w == signature).expect("a record");
    let (directory, end) = (at(b"PK\x01\x02"), at(b"PK\x05\x06"));
    let mut all = file[..directory].to_vec();
    let record = &file[directory..end];
    for i in 0..entries {
        let mut record = record.to_vec();
        record[46..54].copy_from_slice(format!("{i:08}").as_bytes());
        all.extend(record);
    }
    let mut tail = file[end..].to_vec();
    let n = (entries as u16).to_le_bytes();
    tail[8..10].copy_from_slice(&n);
    tail[10..12].copy_from_slice(&n);
    tail[12..16].copy_from_slice(&((all.len() - directory) as u32).to_le_bytes());
    all.extend(tail);
    all
}

#[test]
fn packed_bombs() {
    let (entries, bytes) = (sized(400, 20_000), sized(4 << 20, 15 << 20));
    let bomb = overlapping_zip(entries, bytes);
    let attack = format!("zip of {} kB with {entries} entries of the same {} MB", bomb.len() / 1000, bytes / 1_000_000);
    among_good(&attack, "hostile.zip", |folder| drop(folder.write("hostile.zip", bomb)), MAX_MIB);

    let size = sized(64 << 20, 2 << 30);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let block = vec![b'1'; 1 << 20];
    (0..size >> 20).for_each(|_| gz.write_all(&block).expect("memory can be written"));
    let bomb = gz.finish().expect("memory can be written");
    let attack = format!("gzip of {} kB that unpacks to {} MB", bomb.len() / 1000, size / 1_000_000);
    among_good(&attack, "hostile.csv.gz", |folder| drop(folder.write("hostile.csv.gz", bomb)), MAX_MIB);
}

#[test]
fn packed_texts_are_not_in_memory_together() {
    let (files, lines) = (sized(12, 64), sized(100_000, 1_000_000));
    let folder = Folder::new("packed");
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gz.write_all(b"wavelength_vac_aa,flux\n").expect("memory can be written");
    for i in 0..lines {
        writeln!(gz, "{:.4},{}", 3700.0 + 5300.0 * i as f64 / lines as f64, 1 + i % 2).expect("memory can be written");
    }
    let packed = gz.finish().expect("memory can be written");
    (0..files).for_each(|i| drop(folder.write(&format!("{i:02}.csv.gz"), &packed)));
    let outcome = run(&folder, "predict .");
    let attack = format!("{files} packed texts of {} kB with {lines} lines each", packed.len() / 1000);
    outcome.print(&attack, &format!("{} results", rows(&outcome.stdout)));
    assert_eq!(rows(&outcome.stdout), files, "{}", outcome.stderr);
    outcome.assert_calm(&attack, 1000.0);
}

/// A FITS image or table header, and a file of this size with nothing in it.
fn sparse_fits(folder: &Folder, cards: &[String], size: u64) {
    let mut header: Vec<u8> = cards.iter().flat_map(|card| format!("{card:<80}").into_bytes()).collect();
    header.extend(format!("{:<80}", "END").bytes());
    header.resize(header.len().next_multiple_of(2880), b' ');
    let mut file = File::create(folder.path().join("hostile.fits")).expect("a file can be made");
    file.write_all(&header).expect("the disk has room");
    file.set_len((header.len() as u64 + size).next_multiple_of(2880)).expect("a sparse file can be made");
}

#[test]
fn spectra_that_are_too_long() {
    for bytes in [sized(120 << 20, 920 << 20), sized(1100 << 20, 3200 << 20)] {
        let pixels = bytes / 4;
        let write = |folder: &Folder| {
            let cards = [
                "SIMPLE  =                    T".to_string(),
                "BITPIX  =                  -32".into(),
                "NAXIS   =                    1".into(),
                format!("NAXIS1  = {pixels:>20}"),
                "CRVAL1  =               4000.0".into(),
                "CDELT1  =                 0.01".into(),
            ];
            sparse_fits(folder, &cards, bytes as u64);
        };
        among_good(&format!("one-dimensional FITS of {} MB", bytes / 1_000_000), "hostile.fits", write, MAX_MIB);
    }
    // A table with a pixel in each row.
    let bytes = sized(80 << 20, 900 << 20);
    let write = |folder: &Folder| {
        let primary = [
            "SIMPLE  =                    T",
            "BITPIX  =                    8",
            "NAXIS   =                    0",
            "EXTEND  =                    T",
            "END",
        ];
        let table = [
            "XTENSION= 'BINTABLE'".to_string(),
            "BITPIX  =                    8".into(),
            "NAXIS   =                    2".into(),
            "NAXIS1  =                    8".into(),
            format!("NAXIS2  = {:>20}", bytes / 8),
            "PCOUNT  =                    0".into(),
            "GCOUNT  =                    1".into(),
            "TFIELDS =                    2".into(),
            "TTYPE1  = 'wavelength'".into(),
            "TFORM1  = 'E'".into(),
            "TTYPE2  = 'flux'".into(),
            "TFORM2  = 'E'".into(),
        ];
        // The primary header fills a block.
        let mut cards: Vec<String> = primary.iter().map(|card| format!("{card:<80}")).collect();
        cards.resize(36, " ".repeat(80));
        cards.extend(table);
        sparse_fits(folder, &cards, bytes as u64);
    };
    among_good(
        &format!("FITS table of {} MB with a pixel in each row", bytes / 1_000_000),
        "hostile.fits",
        write,
        MAX_MIB,
    );
}

/// A pickle that names one text a million times.
#[test]
fn pickles_that_unfold() {
    let folder = Folder::new("pickle");
    let n = sized(200_000, 3_000_000);
    let mut pickle = vec![0x80, 2, b'}', b'('];
    for _ in 0..n {
        // A new empty tuple for a key, and None for its value.
        pickle.extend([b')', b'N']);
    }
    pickle.extend([b'u', b'.']);
    folder.write("hostile.pt", &pickle);
    // One shape of many numbers, for many tensors.
    let outcome = run(&folder, "import --check hostile.pt");
    let attack = format!("pickle of {} kB with {} values", pickle.len() / 1000, 2 * n);
    let why: String = outcome.stderr.lines().next().unwrap_or_default().chars().take(110).collect();
    outcome.print(&attack, &why);
    assert_ne!(outcome.status.code(), Some(0), "{}", outcome.stdout);
    outcome.assert_calm(&attack, MAX_MIB);
}

/// A bundle that is damaged in the middle costs nothing else.
#[test]
fn damaged_bundles_are_refused_whole_and_by_name() {
    let shape = Shape { rows: 200, pixels: 1000, has_ids: true };
    let mut bytes = in_memory(|out| write_npz(out, shape, CompressionMethod::Deflated));
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    let write = |folder: &Folder| drop(folder.write("hostile.npz", bytes));
    among_good("a changed byte in a bundle", "hostile.npz", write, MAX_MIB);
}
