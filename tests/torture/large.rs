//! Many spectra in one file: the memory does not grow with their number.

use std::fs::File;
use std::io::{BufWriter, Write};

use zip::CompressionMethod;

use crate::attack::{Outcome, is_full, rows, run, sized};
use crate::support::Folder;
use crate::support::bundles::{Shape, write_fits, write_npz, write_zip};

/// Largest memory for any number of spectra, MiB.
const MAX_MIB: f64 = 300.0;

type Writer = fn(BufWriter<File>, Shape) -> std::io::Result<()>;

const CONTAINERS: [(&str, Writer); 5] = [
    ("npz", |out, shape| write_npz(out, shape, CompressionMethod::Stored)),
    ("compressed.npz", |out, shape| write_npz(out, shape, CompressionMethod::Deflated)),
    ("fits", |out, shape| write_fits(out, shape, false)),
    ("heap.fits", |out, shape| write_fits(out, shape, true)),
    ("zip", write_zip),
];

fn shape(container: &str) -> Shape {
    // Pointers to the heap have 32 bits: 4 GiB.
    let full = if container == "heap.fits" { 50_000 } else { 100_000 };
    Shape { rows: sized(400, full), pixels: 3909, has_ids: true }
}

fn predict(folder: &Folder, name: &str) -> Outcome {
    run(folder, &format!("predict {name} -o out.csv"))
}

fn results(folder: &Folder) -> usize {
    rows(&std::fs::read_to_string(folder.path().join("out.csv")).unwrap_or_default())
}

#[test]
fn memory_is_flat_in_the_number_of_spectra() {
    for (container, write) in CONTAINERS {
        let folder = Folder::new("large");
        let shape = shape(container);
        let name = format!("stars.{container}");
        let file = File::create(folder.path().join(&name)).expect("a file can be made");
        let size = {
            write(BufWriter::with_capacity(1 << 20, file), shape).expect("the disk has room");
            std::fs::metadata(folder.path().join(&name)).expect("it is there").len()
        };
        let outcome = predict(&folder, &name);
        let attack =
            format!("{} spectra of {} pixels in {container}, {} MB", shape.rows, shape.pixels, size / 1_000_000);
        let n = results(&folder);
        outcome.print(&attack, &format!("{n} results, {:.0} a second", n as f64 / outcome.seconds));
        assert_eq!((n, outcome.status.code()), (shape.rows, Some(0)), "{container}: {}", outcome.stderr);
        outcome.assert_calm(&attack, MAX_MIB);
    }
}

#[test]
fn many_bundles_are_not_in_memory_together() {
    let folder = Folder::new("bundles");
    let (files, shape) = (sized(6, 64), Shape { rows: sized(60, 1000), pixels: 3909, has_ids: true });
    for i in 0..files {
        let file = File::create(folder.path().join(format!("{i:02}.npz"))).expect("a file can be made");
        write_npz(BufWriter::new(file), shape, CompressionMethod::Stored).expect("the disk has room");
    }
    let outcome = predict(&folder, ".");
    let attack = format!("{files} bundles of {} spectra in a folder", shape.rows);
    outcome.print(&attack, &format!("{} results", results(&folder)));
    assert_eq!(results(&folder), files * shape.rows, "{}", outcome.stderr);
    outcome.assert_calm(&attack, MAX_MIB);
}

/// An index holds 3 kB a spectrum in memory until it is written; nothing else grows.
#[test]
fn an_index_grows_by_its_own_size_only() {
    let folder = Folder::new("embedded");
    let shape = Shape { rows: sized(100, 10_000), pixels: 3909, has_ids: true };
    let file = File::create(folder.path().join("stars.npz")).expect("a file can be made");
    write_npz(BufWriter::new(file), shape, CompressionMethod::Stored).expect("the disk has room");
    let outcome = run(&folder, "embed stars.npz -o stars.index");
    let size = std::fs::metadata(folder.path().join("stars.index")).map_or(0, |m| m.len());
    let attack = format!("index of {} spectra", shape.rows);
    outcome.print(&attack, &format!("index of {:.1} MB", size as f64 / 1e6));
    assert!(size > 0, "{}", outcome.stderr);
    // Twice: as rows, and as the bytes of the file.
    outcome.assert_calm(&attack, MAX_MIB + 2.5 * size as f64 / 1e6);
}

#[test]
fn one_long_text_costs_a_few_times_its_size() {
    let folder = Folder::new("text");
    let lines = sized(200_000, 4_000_000);
    let file = File::create(folder.path().join("long.csv")).expect("a file can be made");
    let mut out = BufWriter::new(file);
    writeln!(out, "wavelength_vac_aa,flux").expect("the disk has room");
    for i in 0..lines {
        writeln!(out, "{:.6},{}", 3700.0 + 5300.0 * i as f64 / lines as f64, 1.0 + (i % 7) as f64 * 0.01)
            .expect("the disk has room");
    }
    drop(out);
    let outcome = predict(&folder, "long.csv");
    let attack = format!("text of one spectrum with {lines} lines");
    outcome.print(&attack, &format!("{} result", results(&folder)));
    assert_eq!(results(&folder), 1, "{}", outcome.stderr);
    outcome.assert_calm(&attack, if is_full() { 1500.0 } else { MAX_MIB });
}
