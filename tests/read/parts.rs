//! Files with many spectra, read in parts: the same spectra as from the whole file, in any order of the parts.

use std::io::{Cursor, Write};

use specola::read::{Contents, Parts, read};
use specola::spectrum::{Spectrum, Survey};
use zip::CompressionMethod;

use crate::support::bundles::{Shape, in_memory, write_fits, write_npz, write_zip};

/// Two thirds of it are still larger than the smallest table that is read in parts.
const SHAPE: Shape = Shape { rows: 400, pixels: 1500, has_ids: true };

fn parts(name: &str, bytes: Vec<u8>) -> Parts<Cursor<Vec<u8>>> {
    let mut parts = Parts::open(name, Cursor::new(bytes)).expect("it opens").expect("it is read in parts");
    while !parts.check().expect("it is undamaged") {}
    parts
}

fn all(parts: &mut Parts<Cursor<Vec<u8>>>) -> (Vec<Spectrum>, Vec<(String, String)>) {
    let (mut spectra, mut skipped) = (Vec::new(), Vec::new());
    for i in 0..parts.len() {
        let contents = parts.read(i);
        spectra.extend(contents.spectra);
        skipped.extend(contents.skipped.into_iter().map(|s| (s.part, s.reason)));
    }
    (spectra, skipped)
}

/// Files of every container, with and without ids.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let no_ids = Shape { has_ids: false, ..SHAPE };
    let mut files = Vec::new();
    for shape in [SHAPE, no_ids] {
        files.push(("a.npz", in_memory(|out| write_npz(out, shape, CompressionMethod::Stored))));
        files.push(("a.npz", in_memory(|out| write_npz(out, shape, CompressionMethod::Deflated))));
        files.push(("a.fits", in_memory(|out| write_fits(out, shape, false))));
        files.push(("a.fits", in_memory(|out| write_fits(out, shape, true))));
    }
    files.push(("a.zip", in_memory(|out| write_zip(out, SHAPE))));
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&files[2].1).expect("memory can be written");
    files.push(("a.fits.gz", gz.finish().expect("memory can be written")));
    files
}

#[test]
fn parts_together_are_the_file() {
    for (name, bytes) in files() {
        let Contents { spectra, .. } = read(name, &bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut parts = parts(name, bytes);
        let (in_parts, skipped) = all(&mut parts);
        assert_eq!(spectra.len(), SHAPE.rows, "{name}");
        assert!(in_parts == spectra && skipped.is_empty(), "{name}: {skipped:?}");
        // The fluxes are those that were written.
        let (row, pixel) = (201, 700);
        let written = f64::from(Shape::flux(row % 97, pixel));
        assert_eq!(spectra[row].flux()[pixel], written, "{name}");
        // A part does not depend on what was read before.
        let last = parts.len() - 1;
        let end = parts.read(last).spectra;
        assert!(end == spectra[spectra.len() - end.len()..], "{name}");
        let start = parts.read(0).spectra;
        assert!(start == spectra[..start.len()], "{name}");
    }
}

#[test]
fn a_changed_byte_in_a_bundle_is_found_before_a_spectrum_is_read() {
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let mut bytes = in_memory(|out| write_npz(out, SHAPE, method));
        // Two thirds into the fluxes.
        let at = bytes.len() / 3;
        bytes[at] ^= 4;
        let mut parts = Parts::open("a.npz", Cursor::new(bytes.clone())).unwrap().unwrap();
        let failure = std::iter::repeat_with(|| parts.check()).find(|r| *r != Ok(false)).unwrap();
        assert!(failure.as_ref().is_err_and(|e| e.to_string().contains("array flux")), "{method:?}: {failure:?}");
        assert!(read("a.npz", &bytes).is_err());
    }
}

#[test]
fn a_truncated_file_is_refused() {
    for (name, mut bytes) in files() {
        bytes.truncate(bytes.len() * 2 / 3);
        assert!(Parts::open(name, Cursor::new(bytes.clone())).is_err(), "{name}");
        assert!(read(name, &bytes).is_err(), "{name}");
    }
}

#[test]
fn a_bad_row_costs_only_itself() {
    let mut bytes = in_memory(|out| write_fits(out, SHAPE, true));
    // The pointer of the fluxes in row 150 leads beyond the end of the file.
    let rows_start = 2880 * 2;
    let at = rows_start + 150 * (12 + 3 * 8) + 8 + 4;
    bytes[at] = 0x7f;
    let (spectra, skipped) = all(&mut parts("a.fits", bytes));
    assert_eq!((spectra.len(), skipped.len()), (SHAPE.rows - 1, 1));
    assert_eq!(skipped[0].0, "star-150");
    assert!(skipped[0].1.contains("beyond the end"), "{skipped:?}");
}

#[test]
fn small_files_and_other_files_are_read_whole() {
    let small = Shape { rows: 10, ..SHAPE };
    let fits = in_memory(|out| write_fits(out, small, false));
    for bytes in [fits, b"wavelength,flux\n".to_vec(), Vec::new(), vec![0x1f, 0x8b]] {
        assert!(Parts::open("a", Cursor::new(bytes)).unwrap().is_none());
    }
}

#[test]
fn the_survey_of_a_star_does_not_depend_on_the_other_stars_of_its_bundle() {
    let mut out = Cursor::new(Vec::new());
    write_npz(&mut out, Shape { rows: 3, pixels: 100, has_ids: true }, CompressionMethod::Stored).unwrap();
    let mut bytes = out.into_inner();
    // One LAMOST star among two others; the checksum of the ids follows.
    let ids = bytes.windows(6).position(|w| w == b"star-1").unwrap();
    bytes[ids..ids + 12].copy_from_slice(b"spec-1-A_sp5");
    let crc = stated_and_real_crc(&bytes, "id.npy");
    let old = crc.0.to_le_bytes();
    while let Some(at) = bytes.windows(4).position(|w| w == old) {
        bytes[at..at + 4].copy_from_slice(&crc.1.to_le_bytes());
    }
    let surveys: Vec<Survey> = read("a.npz", &bytes).unwrap().spectra.iter().map(|s| s.meta.survey).collect();
    assert_eq!(surveys, [Survey::Other, Survey::LamostLrs, Survey::Other]);
}

/// Checksum of an entry as the archive states it, and of its bytes.
fn stated_and_real_crc(archive: &[u8], name: &str) -> (u32, u32) {
    let mut zip = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut entry = zip.by_name(name).unwrap();
    let stated = entry.crc32();
    let (mut bytes, mut crc) = (Vec::new(), flate2::Crc::new());
    // The reader fails at the end, where it compares the checksum.
    let _ = std::io::Read::read_to_end(&mut entry, &mut bytes);
    crc.update(&bytes);
    (stated, crc.sum())
}

/// An archive whose second entry gets the name of the first.
fn with_one_name(first: &str, second: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes = in_memory(|out| {
        let mut zip = zip::ZipWriter::new(out);
        for name in [first, second] {
            zip.start_file(name, zip::write::SimpleFileOptions::default())?;
            zip.write_all(content)?;
        }
        zip.finish().map(drop).map_err(Into::into)
    });
    while let Some(at) = bytes.windows(second.len()).position(|w| w == second.as_bytes()) {
        bytes[at..at + first.len()].copy_from_slice(first.as_bytes());
    }
    bytes
}

#[test]
fn an_entry_hidden_by_another_of_its_name_is_reported() {
    let star: String = (0..40).map(|i| format!("{} {}\n", 5000 + i, 1 + i % 3)).collect();
    let zip = with_one_name("a.txt", "b.txt", star.as_bytes());
    for contents in [read("a.zip", &zip).unwrap(), parts("a.zip", zip.clone()).read(0)] {
        assert_eq!(contents.spectra.len(), 1);
        assert!(contents.skipped[0].reason.contains("same name"), "{:?}", contents.skipped);
    }
    let bundle = with_one_name("flux.npy", "ivar.npy", b"");
    assert!(read("a.npz", &bundle).unwrap_err().to_string().contains("two arrays have the same name"));
}
