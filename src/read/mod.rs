//! Readers: from the bytes of a file to spectra. Files are recognised by their content, never by their name.
//!
//! [`read`] opens containers (`.gz`, `.zip`: `container`, `archive`), finds the reader of the format, and returns the
//! spectra and the skipped parts with their reasons. [`Parts`] reads files with many spectra in parts: zip archives,
//! `.npz` bundles and large FITS tables; `member` reads a file in a zip archive at any position.
//!
//! Each survey or format has one module: `lamost`, `sdss`, `sdss5`, `desi`, `gaia_xp`, `xp_continuous`, `sparcl`, `one_d`,
//! `text`, `npz`. `table` represents tables of all formats in one type; `columns` takes spectra from them, `images` from
//! FITS images, `own_tables` from FITS tables of one column each. `fits` and `npy` decode these file formats.
//! `unsupported` recognises formats that Specola does not read.
//!
//! What formats have in common has one place: `axis` and `unit` interpret names and units of columns, `wcs` wavelength
//! axes in headers, `medium` what states air or vacuum and the velocity frame, `samples` missing values, errors, masks
//! and overlapping orders, `metadata` other keywords. `labels` reads label tables, `ids` interprets ids, and `join`
//! matches labels with spectra. `column_mapping` reads text files with columns chosen by the user.
//!
//! No input causes a panic. No allocation relies on a size stated in a file unless the file contains the bytes.

mod archive;
mod axis;
pub mod column_mapping;
mod columns;
mod container;
mod desi;
mod error;
mod metadata;
pub mod fits;
mod unsupported;
mod gaia_xp;
mod ids;
mod images;
mod join;
pub mod labels;
mod lamost;
mod medium;
mod member;
pub mod npy;
mod npz;
mod one_d;
mod own_tables;
mod parts;
mod samples;
mod sdss;
mod sdss5;
mod sparcl;
mod table;
mod text;
mod unit;
mod wcs;
mod xp_continuous;

use std::io::Cursor;

use crate::spectrum::Spectrum;
pub use column_mapping::{preview, read_with_columns};
use container::Zip;
pub use error::{LabelError, ReadError};
pub use gaia_xp::{sampling_name, spectra_name};
pub use join::{AmbiguousMatch, JoinKey, JoinResult, MatchedRow, SpectrumName};
pub use labels::LabelTable;
pub use npy::ArrayFile;
pub use parts::{LoadedPart, Parts};
pub(crate) use table::entity_char;
pub use xp_continuous::{XpBatch, XpBatches};

/// Contents of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contents {
    /// The spectra, in the order of the file.
    pub spectra: Vec<Spectrum>,
    /// Tables of labels, each with the name of its file.
    pub labels: Vec<(String, LabelTable)>,
    /// Parts that could not be read.
    pub skipped: Vec<SkippedPart>,
    /// Number of further parts that could not be read and are not in `skipped`.
    unlisted: usize,
}

impl Contents {
    /// The contents of a file with one spectrum.
    fn from_spectrum(spectrum: Spectrum) -> Self {
        Self { spectra: vec![spectrum], ..Self::default() }
    }

    fn add(&mut self, more: Self) {
        self.spectra.extend(more.spectra);
        self.labels.extend(more.labels);
        self.skipped.extend(more.skipped);
        self.unlisted += more.unlisted;
    }

    /// Lists an unreadable part of a table, or counts it after the first [`MAX_LISTED`].
    fn skip(&mut self, part: impl FnOnce() -> String, reason: impl std::fmt::Display) {
        if self.skipped.len() < MAX_LISTED {
            self.skipped.push(SkippedPart { part: part(), reason: reason.to_string() });
        } else {
            self.unlisted += 1;
        }
    }

    /// With one line for all parts that were only counted.
    fn with_unlisted(mut self) -> Self {
        self.skipped.extend(unlisted(std::mem::take(&mut self.unlisted)));
        self
    }
}

/// The line for parts that were only counted.
fn unlisted(n: usize) -> Option<SkippedPart> {
    let reason = "they cannot be read either; the first are listed one by one".into();
    (n > 0).then(|| SkippedPart { part: format!("{n} more"), reason })
}

/// Limits the unreadable parts that are listed of a file that is read in parts.
#[derive(Debug, Default)]
pub struct ListedParts {
    listed: usize,
    unlisted: usize,
}

impl ListedParts {
    /// Removes parts beyond the [`MAX_LISTED`] first of the file, and counts them.
    pub fn limit(&mut self, contents: &mut Contents) {
        let n = contents.skipped.len();
        contents.skipped.truncate(MAX_LISTED - self.listed);
        self.listed += contents.skipped.len();
        self.unlisted += n - contents.skipped.len();
    }

    /// The line for the counted parts, at the end of the file.
    pub fn rest(&self) -> Option<SkippedPart> {
        unlisted(self.unlisted)
    }
}

/// A part of a file that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedPart {
    /// The part: for example an entry of a zip archive or a row of a bundle.
    pub part: String,
    /// The reason, and advice for the user.
    pub reason: String,
}

/// Largest file that is read into memory, bytes. A worker of the page has at most 4 GiB, and reading takes about twice the
/// file's size.
pub const MAX_FILE_BYTES: u64 = 1 << 30;

/// Maximum nesting of containers: files that were gzipped twice, in a zip archive, not deeper.
const MAX_DEPTH: usize = 3;

/// Maximum total number of pixels of all spectra of a file. A browser tab can hold them and still has memory to
/// compute.
const MAX_PIXELS: usize = 40_000_000;

/// Maximum number of spectra in a part of a file ([`Parts`]).
const MAX_PART_ROWS: usize = 64;

/// Maximum number of pixels in a part of a file, if it has more than one spectrum.
const MAX_PART_PIXELS: usize = 1 << 19;

/// Number of spectra in a part of a file, for spectra of this many pixels.
fn rows_per_part(pixels: usize) -> usize {
    (MAX_PART_PIXELS / pixels.max(1)).clamp(1, MAX_PART_ROWS)
}

/// Maximum number of unreadable parts of a file that are listed individually; the rest is counted.
pub const MAX_LISTED: usize = 1000;

/// Reads a file. `name` gives the id of a spectrum without its own id; nothing else depends on it.
///
/// # Errors
///
/// If the file as a whole cannot be read. For a zip archive or bundle that opens, the result is `Ok`;
/// [`Contents::skipped`] lists all parts that could not be read, which may be every part.
pub fn read(name: &str, bytes: &[u8]) -> Result<Contents, ReadError> {
    read_at(name, bytes, None, 0)
}

/// Reads a file whose wavelengths may be in a second file, `sampling`; [`sampling_name`] gives the name of the second
/// file.
///
/// `sampling` is used only if it is a table of wavelengths and the file has no wavelengths of its own.
///
/// # Errors
///
/// The errors of [`read`].
pub fn read_with_sampling(name: &str, bytes: &[u8], sampling: Option<&[u8]>) -> Result<Contents, ReadError> {
    read_at(name, bytes, sampling, 0)
}

fn read_at(name: &str, bytes: &[u8], sampling: Option<&[u8]>, depth: usize) -> Result<Contents, ReadError> {
    match read_one(name, bytes, sampling, depth) {
        Err(ReadError::LabelTable) => {
            let table = LabelTable::read(bytes).map_err(|e| ReadError::Labels(Box::new(e)))?;
            Ok(Contents { labels: vec![(name.to_string(), table)], ..Contents::default() })
        }
        other => other.map(Contents::with_unlisted),
    }
}

fn read_one(name: &str, bytes: &[u8], sampling: Option<&[u8]>, depth: usize) -> Result<Contents, ReadError> {
    if bytes.is_empty() {
        return Err(ReadError::Empty);
    }
    let packed = container::is_gzip(bytes) || container::is_zip(bytes);
    if packed && depth >= MAX_DEPTH {
        return Err(ReadError::Nested { part: name.to_string() });
    }
    if container::is_gzip(bytes) {
        let unpacked = container::gunzip(bytes, bytes.len()).map_err(|error| match error {
            ReadError::TooLarge { limit_mib, .. } if xp_continuous::is_table(bytes) => {
                ReadError::LargeXpTable { limit_mib }
            }
            error => error,
        })?;
        return read_at(name, &unpacked, sampling, depth + 1);
    }
    if container::is_zip(bytes) {
        return read_zip(name, bytes, depth);
    }
    if fits::Fits::identify(bytes) {
        return read_fits(bytes, &stem(name));
    }
    if let Some(text) = text::decode_text(bytes) {
        return read_at(name, text.as_bytes(), sampling, depth);
    }
    unsupported::check_bytes(bytes)?;
    if !text::identify(bytes) {
        return Err(ReadError::Unrecognised);
    }
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{feff}');
    if table::is_votable(text) {
        return read_tables(table::of_votable(text)?, None, &stem(name));
    }
    let stem = stem(name);
    if table::is_declared(text) || columns::has_columns(text) {
        let sampling = sampling.map(String::from_utf8_lossy);
        let sampling = sampling.as_deref().and_then(|text| table::of_text(text).ok()).filter(gaia_xp::is_sampling);
        return read_tables(vec![table::of_text(text)?], sampling, &stem);
    }
    text::read(text, &stem).map(Contents::from_spectrum).or_else(|error| match table::of_text(text) {
        // The table reader ignores text columns, which the text reader rejects.
        Ok(table) if columns::has_named_axes(&table) => read_tables(vec![table], None, &stem).map_err(|_| error),
        _ => Err(error),
    })
}

/// Reads the spectra of all tables. Archives put several sources into one `VOTable`, with one table per source.
///
/// `sampling` has the wavelengths for tables without wavelengths.
fn read_tables<'a>(
    mut tables: Vec<table::Table<'a>>,
    sampling: Option<table::Table<'a>>,
    stem: &str,
) -> Result<Contents, ReadError> {
    let mut all = Contents::default();
    let mut found = false;
    let n = tables.len();
    tables.extend(sampling);
    for (i, table) in tables.iter().take(n).enumerate() {
        match columns::read(table, &tables, stem, None) {
            Ok(contents) => {
                found |= contents.is_some();
                all.add(contents.unwrap_or_default());
            }
            Err(error) if n == 1 => return Err(error),
            Err(error) => {
                all.skipped.push(SkippedPart { part: format!("table {}", i + 1), reason: error.to_string() });
                found = true;
            }
        }
    }
    if found { Ok(all) } else { Err(columns::no_spectrum_error(&tables[..n])) }
}

fn read_fits(bytes: &[u8], stem: &str) -> Result<Contents, ReadError> {
    let fits = fits::Fits::parse(bytes)?;
    unsupported::check_fits(&fits)?;
    if desi::identify(&fits) {
        return desi::read(&fits);
    }
    if lamost::identify(&fits) {
        lamost::read(&fits, stem).map(Contents::from_spectrum)
    } else if sdss::identify(&fits) {
        sdss::read(&fits, stem).map(Contents::from_spectrum)
    } else {
        one_d::read(&fits, stem)
    }
}

/// The arrays of an `.npz` file, without interpretation.
pub fn arrays(bytes: &[u8]) -> Result<Vec<ArrayFile>, ReadError> {
    let mut zip = Zip::open(Cursor::new(bytes))?;
    let mut arrays = Vec::new();
    for (index, file) in zip.files() {
        arrays.push(ArrayFile { name: file.trim_end_matches(".npy").to_string(), bytes: zip.unpack(index, &file)? });
    }
    Ok(arrays)
}

/// Reads a zip archive: a bundle of arrays if all entries are `.npy` files, else an archive of files.
fn read_zip(name: &str, bytes: &[u8], depth: usize) -> Result<Contents, ReadError> {
    let zip = Zip::open(Cursor::new(bytes))?;
    if let Some(format) = zip.office_document() {
        return Err(ReadError::Unsupported { format, advice: "save its table as CSV and give that" });
    }
    if zip.is_bundle() {
        return npz::Bundle::open(zip, &stem(name))?.read();
    }
    let mut archive = archive::Archive::new(zip, depth)?;
    let mut contents = Contents::default();
    contents.skipped.extend(archive.hidden());
    for position in 0..archive.len() {
        contents.add(match archive.unpack(position) {
            Ok(entry) => entry.map_or_else(Contents::default, |entry| entry.read()),
            Err((file, error)) => archive::refused(file, &error),
        });
    }
    Ok(contents)
}

/// The file name of a path, without the extensions of spectrum files.
fn stem(name: &str) -> String {
    let mut stem = name.rsplit(['/', '\\']).next().unwrap_or(name);
    for ending in [
        ".gz", ".fz", ".fits", ".fit", ".fts", ".csv", ".txt", ".dat", ".ascii", ".asc", ".tsv", ".ecsv", ".npz",
        ".zip", ".tbl", ".vot", ".votable", ".xml", ".s",
    ] {
        let cut = stem.len().saturating_sub(ending.len());
        if cut > 0 && stem.is_char_boundary(cut) && stem[cut..].eq_ignore_ascii_case(ending) {
            stem = &stem[..cut];
        }
    }
    stem.to_string()
}

#[cfg(test)]
mod tests {
    use super::{MAX_LISTED, read, stem};

    #[test]
    fn parts_that_cannot_be_read_are_listed_or_counted() {
        let mut text = String::from("id,wavelength,flux\n");
        for star in 0..MAX_LISTED + 500 {
            // The wavelengths do not increase.
            (0..12).for_each(|k| text += &format!("s{star},{},1\n", 5000 + k % 7));
        }
        let contents = read("stars.csv", text.as_bytes()).unwrap();
        assert_eq!((contents.spectra.len(), contents.skipped.len()), (0, MAX_LISTED + 1));
        assert_eq!((contents.skipped[0].part.as_str(), contents.skipped[MAX_LISTED].part.as_str()), ("s0", "500 more"));
    }

    #[test]
    fn stems() {
        assert_eq!(stem("a/b/spec-1123-52882-0065.fits.gz"), "spec-1123-52882-0065");
        assert_eq!(stem("C:\\data\\star.CSV"), "star");
        assert_eq!((stem("star.fits.fz").as_str(), stem(".fits").as_str()), ("star", ".fits"));
        assert_eq!((stem("m0505V").as_str(), stem("1234567i.s").as_str()), ("m0505V", "1234567i"));
        assert_eq!(stem("é.é"), "é.é");
    }
}
