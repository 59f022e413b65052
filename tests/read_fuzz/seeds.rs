//! Seeds of the damaged files: every committed file, by its format.

use std::io::{Cursor, Read};
use std::path::Path;

use zip::ZipArchive;

/// Formats, with the prefixes of the names of their files. A fixture belongs to the first format with a matching
/// prefix.
const FORMATS: [(&str, &[&str]); 36] = [
    ("LAMOST images", &["lamost_dr1.", "lamost_dr2", "sample_matrix"]),
    ("LAMOST packed images", &["lamost_dr5"]),
    ("LAMOST tables", &["lamost_dr10", "lamost_mrs", "sample_structure"]),
    ("SDSS", &["sdss_"]),
    ("DESI", &["desi"]),
    ("one-dimensional images", &["image_", "iraf_", "harps_", "feros"]),
    ("compressed images", &["compressed_"]),
    ("IRAF multispec", &["multispec", "sky_apertures"]),
    ("images with wavelengths of their own", &["own_", "galah_"]),
    ("SDSS-V tables", &["mwm_"]),
    ("PypeIt tables", &["pypeit_"]),
    ("FITS tables of pixels", &["table_scaled", "table_log", "table_stars", "xsl", "jwst_"]),
    ("FITS tables in text form", &["table_ascii"]),
    ("FITS tables of vectors", &["table_rows.fits", "eso_phase3", "fourmost"]),
    ("text", &["blank", "commented", "decimal", "downwards", "header.csv", "ispec", "loglam", "two_rows", "tiny_"]),
    ("bundles", &["air.npz", "log.npz", "bundle"]),
    ("archives", &["mixed.zip"]),
    ("ECSV columns", &["table_um"]),
    ("IPAC columns", &["table_nm"]),
    ("VOTable columns", &["table_aa"]),
    ("XP in CSV", &["xp_arrays", "xp_no_id", "xp_long.csv"]),
    ("XP in ECSV", &["xp_wide.ecsv", "xp_long.ecsv", "xp_gaiaxpy.ecsv"]),
    ("XP in FITS", &["xp_wide.fits", "xp_long.fits"]),
    ("XP in FITS, variable arrays", &["xp_variable"]),
    ("XP in VOTable", &["xp_tabledata", "xp_gaiaxpy.xml"]),
    ("XP coefficients in CSV", &["xp_continuous.csv"]),
    ("XP coefficients in ECSV", &["xp_continuous.ecsv"]),
    ("XP coefficients in FITS", &["xp_continuous.fits"]),
    ("XP coefficients in VOTable", &["xp_continuous.vot"]),
    ("XP in VOTable, BINARY", &["xp_binary."]),
    ("XP in VOTable, BINARY2", &["xp_binary2"]),
    ("SPARCL in CSV", &["sparcl.csv"]),
    ("SPARCL in FITS", &["sparcl.fits"]),
    ("labels in text", &["labels.csv", "labels.tsv", "labels.ecsv", "labels.tbl"]),
    ("labels in FITS", &["labels.fits"]),
    ("labels in VOTable", &["labels.vot", "labels_binary2"]),
];

/// Size limit of a seed, bytes: larger files take too long.
const MAX_SEED_BYTES: usize = 300_000;

/// A committed file. Archives also have their members, so that damaged members have valid checksums.
pub(crate) struct Seed {
    pub bytes: Vec<u8>,
    pub members: Vec<(String, Vec<u8>)>,
}

/// All seeds by format.
pub(crate) fn seeds() -> Vec<(&'static str, Vec<Seed>)> {
    let mut formats: Vec<(&str, Vec<Seed>)> = FORMATS.iter().map(|(format, _)| (*format, Vec::new())).collect();
    for directory in ["fixtures", "golden"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(directory);
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        for path in files {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let Some(i) = FORMATS.iter().position(|(_, files)| files.iter().any(|f| name.starts_with(f))) else {
                let is_spectrum = [".fits", ".csv", ".ecsv", ".vot", ".tbl"].iter().any(|e| name.ends_with(e));
                assert!(!is_spectrum || directory == "golden", "{name} has no format");
                continue;
            };
            let bytes = std::fs::read(&path).unwrap();
            if name.ends_with(".gz") {
                let mut inner = Vec::new();
                flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut inner).unwrap();
                formats[i].1.push(Seed { bytes: inner, members: Vec::new() });
            }
            let members = members(&bytes);
            formats[i].1.push(Seed { bytes, members });
        }
    }
    for (format, seeds) in &mut formats {
        seeds.retain(|s| s.bytes.len() <= MAX_SEED_BYTES);
        assert!(!seeds.is_empty(), "no seed for {format}");
    }
    formats
}

/// The files in an archive; empty for other files.
fn members(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let Ok(mut archive) = ZipArchive::new(Cursor::new(bytes)) else { return Vec::new() };
    let mut members = Vec::new();
    for i in 0..archive.len() {
        let mut member = archive.by_index(i).unwrap();
        let mut inner = Vec::new();
        member.read_to_end(&mut inner).unwrap();
        members.push((member.name().unwrap().to_string(), inner));
    }
    members
}
