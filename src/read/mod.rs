//! Bytes of a file → spectra. Files are recognised by what is in them, never by their name.
//!
//! `read` opens containers (`.gz`, `.zip`), asks each reader in turn, and gives everything that could be read together
//! with what could not and why. One file a survey or format: `lamost`, `sdss`, `desi`, `gaia_xp`, `sparcl`, `one_d`,
//! `text`, `npz`. Tables of any format come as one (`table`), and `columns` takes spectra from them; below are `fits` and `npy`,
//! and `axis` and `facts` for what the names of columns and keywords say. `labels` reads tables of labels.
//!
//! Nothing here panics on any input, and nothing allocates by a number that a file claims without the bytes to show for it.

mod archive;
mod axis;
pub mod by_hand;
mod columns;
mod container;
mod desi;
mod error;
mod facts;
pub mod fits;
mod foreign;
mod gaia_xp;
mod join;
pub mod labels;
mod lamost;
pub mod npy;
mod npz;
mod one_d;
mod sdss;
mod sparcl;
mod table;
mod text;

pub use archive::Archive;
pub use by_hand::{preview, read_by_hand};
pub use error::ReadError;
pub use gaia_xp::{sampling_name, spectra_name};
pub use join::{Ambiguous, By, Joined, Match, Named};
pub use labels::{LabelError, LabelTable};

use crate::spectrum::Spectrum;
use container::Zip;
pub use npy::ArrayFile;
pub(crate) use table::letter;

/// What a file held.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contents {
    /// The spectra, in the order of the file.
    pub spectra: Vec<Spectrum>,
    /// Tables of labels, each with the name of its file.
    pub labels: Vec<(String, LabelTable)>,
    /// Parts that gave none.
    pub skipped: Vec<Skipped>,
}

impl Contents {
    /// A file that held one spectrum.
    fn of(spectrum: Spectrum) -> Self {
        Self { spectra: vec![spectrum], ..Self::default() }
    }

    fn add(&mut self, more: Contents) {
        self.spectra.extend(more.spectra);
        self.labels.extend(more.labels);
        self.skipped.extend(more.skipped);
    }
}

/// A part of a file that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Which part: an entry of a zip, a row of a bundle.
    pub what: String,
    /// Why, and the cure.
    pub why: String,
}

/// How deep containers are opened: a zip of gzipped files, no further.
const MAX_DEPTH: usize = 2;

/// Most pixels of all spectra of a file together: what a browser tab can hold at once with room to compute.
const MAX_PIXELS: usize = 40_000_000;

/// Reads a file. `name` gives the id of a spectrum that has none of its own; nothing else depends on it.
///
/// # Errors
///
/// When the file as a whole cannot be read. A zip or a bundle that can be opened succeeds, and lists those parts that gave
/// nothing, which may be all of them, in [`Contents::skipped`].
pub fn read(name: &str, bytes: &[u8]) -> Result<Contents, ReadError> {
    read_at(name, bytes, None, 0)
}

/// Reads a file of which the wavelengths may be in another, `sampling`, whose name [`sampling_name`] tells. It counts only
/// if it is what its name says and the file has no wavelengths of its own.
///
/// # Errors
///
/// Those of [`read`].
pub fn read_beside(name: &str, bytes: &[u8], sampling: Option<&[u8]>) -> Result<Contents, ReadError> {
    read_at(name, bytes, sampling, 0)
}

fn read_at(name: &str, bytes: &[u8], beside: Option<&[u8]>, depth: usize) -> Result<Contents, ReadError> {
    match read_one(name, bytes, beside, depth) {
        Err(ReadError::LabelTable) => {
            let table = LabelTable::read(bytes).map_err(|e| ReadError::Labels(Box::new(e)))?;
            Ok(Contents { labels: vec![(name.to_string(), table)], ..Contents::default() })
        }
        other => other,
    }
}

fn read_one(name: &str, bytes: &[u8], beside: Option<&[u8]>, depth: usize) -> Result<Contents, ReadError> {
    if bytes.is_empty() {
        return Err(ReadError::Empty);
    }
    let packed = container::is_gzip(bytes) || container::is_zip(bytes);
    if packed && depth >= MAX_DEPTH {
        return Err(ReadError::Nested { part: name.to_string() });
    }
    if container::is_gzip(bytes) {
        return read_at(name, &container::gunzip(bytes)?, beside, depth + 1);
    }
    if container::is_zip(bytes) {
        return read_zip(name, bytes, depth);
    }
    if fits::Fits::identify(bytes) {
        return read_fits(bytes, &stem(name));
    }
    if let Some(plain) = text::plain(bytes) {
        return read_at(name, plain.as_bytes(), beside, depth);
    }
    foreign::check_bytes(bytes)?;
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
        let beside = beside.map(String::from_utf8_lossy);
        let sampling = beside.as_deref().and_then(|text| table::of_text(text).ok()).filter(gaia_xp::is_sampling);
        return read_tables(vec![table::of_text(text)?], sampling, &stem);
    }
    text::read(text, &stem).map(Contents::of).or_else(|error| match table::of_text(text) {
        // Beside columns of numbers there may be others, which only the reader of tables leaves alone.
        Ok(table) if columns::is_named(&table) => read_tables(vec![table], None, &stem).map_err(|_| error),
        _ => Err(error),
    })
}

/// The spectra of all tables that have any: archives put several sources into one VOTable, a table for each. `sampling` has
/// wavelengths for those without.
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
        match columns::read(table, &tables, stem) {
            Ok(contents) => {
                found |= contents.is_some();
                all.add(contents.unwrap_or_default());
            }
            Err(error) if n == 1 => return Err(error),
            Err(error) => {
                all.skipped.push(Skipped { what: format!("table {}", i + 1), why: error.to_string() });
                found = true;
            }
        }
    }
    if found { Ok(all) } else { Err(columns::none_found(&tables[..n])) }
}

fn read_fits(bytes: &[u8], stem: &str) -> Result<Contents, ReadError> {
    let fits = fits::Fits::parse(bytes)?;
    foreign::check_fits(&fits)?;
    if desi::identify(&fits) {
        return desi::read(&fits);
    }
    if lamost::identify(&fits) {
        lamost::read(&fits, stem).map(Contents::of)
    } else if sdss::identify(&fits) {
        sdss::read(&fits, stem).map(Contents::of)
    } else {
        one_d::read(&fits, stem)
    }
}

/// The arrays of an `.npz` file, whatever they mean.
pub fn arrays(bytes: &[u8]) -> Result<Vec<ArrayFile>, ReadError> {
    let mut zip = Zip::open(bytes)?;
    let files = zip.files();
    unpack_arrays(&mut zip, &files)
}

fn unpack_arrays<T: AsRef<[u8]>>(zip: &mut Zip<T>, files: &[(usize, String)]) -> Result<Vec<ArrayFile>, ReadError> {
    let mut arrays = Vec::new();
    for (index, file) in files {
        arrays.push(ArrayFile { name: file.trim_end_matches(".npy").to_string(), bytes: zip.unpack(*index, file)? });
    }
    Ok(arrays)
}

/// A bundle of arrays when the entries are `.npy` files, else an archive of files.
fn read_zip(name: &str, bytes: &[u8], depth: usize) -> Result<Contents, ReadError> {
    let mut zip = Zip::open(bytes)?;
    if zip.is_bundle() {
        let files = zip.files();
        return npz::read(&unpack_arrays(&mut zip, &files)?, &stem(name));
    }
    let mut archive = Archive::at(zip, depth)?;
    let mut contents = Contents::default();
    for position in 0..archive.len() {
        let inner = archive.read(position);
        contents.add(inner);
    }
    Ok(contents)
}

/// The last part of a path without the endings that files of spectra have.
fn stem(name: &str) -> String {
    let mut stem = name.rsplit(['/', '\\']).next().unwrap_or(name);
    for ending in [
        ".gz", ".fits", ".fit", ".fts", ".csv", ".txt", ".dat", ".ascii", ".asc", ".tsv", ".ecsv", ".npz", ".zip",
        ".tbl", ".vot", ".votable", ".xml",
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
    use super::stem;

    #[test]
    fn stems() {
        assert_eq!(stem("a/b/spec-1123-52882-0065.fits.gz"), "spec-1123-52882-0065");
        assert_eq!(stem("C:\\data\\star.CSV"), "star");
        assert_eq!(stem(".fits"), ".fits");
        assert_eq!(stem("m0505V"), "m0505V");
        assert_eq!(stem("é.é"), "é.é");
    }
}
