//! Files with many spectra, read in parts, so that the memory does not depend on their number.
//!
//! A part is a file of a zip archive, or a few rows of an `.npz` bundle or of a large FITS table. Parts are read in any
//! order, and a part always gives the same contents. [`Parts::load`] reads bytes from the file; [`LoadedPart::read`]
//! decodes them, which may happen in another thread.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use super::archive::{Archive, Entry, refused};
use super::container::{self, Zip};
use super::error::ReadError;
use super::fits::{Fits, TableFile, TablePart};
use super::npz::{Bundle, BundleRows};
use super::{
    Contents, MAX_FILE_BYTES, SkippedPart, columns, desi, images, lamost, rows_per_part, sdss, stem, table, unsupported,
};

/// Smallest packed file that is unpacked to look for a large table, bytes.
const MIN_PACKED_BYTES: u64 = 1 << 20;

/// A file that is read in parts.
pub struct Parts<R> {
    stem: String,
    kind: Kind<Source<R>>,
    is_checked: bool,
}

enum Kind<R> {
    Archive(Archive<R>),
    Bundle(Box<Bundle<R>>),
    Table(TableFile<R>),
}

/// The file itself, or its unpacked content.
enum Source<R> {
    File(R),
    Unpacked(Cursor<Vec<u8>>),
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Unpacked(bytes) => bytes.read(buffer),
        }
    }
}

impl<R: Seek> Seek for Source<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::File(file) => file.seek(to),
            Self::Unpacked(bytes) => bytes.seek(to),
        }
    }
}

impl<R: Read + Seek> Parts<R> {
    /// Opens a file. `None` for a file that must be read whole ([`super::read`]), which also describes what is wrong with
    /// a file that cannot be read here. `name` gives the id of spectra without their own id.
    ///
    /// # Errors
    ///
    /// If the file is a bundle, an archive or a large table, and is damaged.
    pub fn open(name: &str, file: R) -> Result<Option<Self>, ReadError> {
        let Some((source, start)) = unpacked(file)? else { return Ok(None) };
        let stem = stem(name);
        let kind = if container::is_zip(&start) {
            let zip = Zip::open(source)?;
            if zip.office_document().is_some() {
                return Ok(None);
            }
            match zip.is_bundle() {
                true => Kind::Bundle(Box::new(Bundle::open(zip, &stem)?)),
                false => Kind::Archive(Archive::new(zip, 0)?),
            }
        } else if Fits::identify(&start) {
            let Some(mut table) = TableFile::open(source)? else { return Ok(None) };
            if !is_read_in_parts(&mut table, &stem)? {
                return Ok(None);
            }
            Kind::Table(table)
        } else {
            return Ok(None);
        };
        Ok(Some(Self { stem, kind, is_checked: false }))
    }

    /// Number of parts, at least 1.
    pub fn len(&self) -> usize {
        match &self.kind {
            Kind::Archive(archive) => archive.len(),
            Kind::Bundle(bundle) => bundle.rows().div_ceil(bundle.rows_per_part()),
            Kind::Table(table) => table.rows().div_ceil(rows_of_table_part(table)),
        }
    }

    /// Never true: a file without parts does not open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of rows from the part at `position` to the end; `None` for an archive, whose parts are files.
    pub fn rows_from(&self, position: usize) -> Option<usize> {
        let (rows, per_part) = match &self.kind {
            Kind::Archive(_) => return None,
            Kind::Bundle(bundle) => (bundle.rows(), bundle.rows_per_part()),
            Kind::Table(table) => (table.rows(), rows_of_table_part(table)),
        };
        Some(rows.saturating_sub(position.saturating_mul(per_part)))
    }

    /// Compares a piece of the file with its checksums. Returns true when the file is complete and undamaged as far as its
    /// format can say; spectra are read only then.
    ///
    /// # Errors
    ///
    /// If the file is damaged.
    pub fn check(&mut self) -> Result<bool, ReadError> {
        if let (false, Kind::Bundle(bundle)) = (self.is_checked, &mut self.kind) {
            self.is_checked = bundle.check()?;
            return Ok(self.is_checked);
        }
        Ok(true)
    }

    /// Loads the part at `position`.
    pub fn load(&mut self, position: usize) -> LoadedPart {
        let rows = |first: usize, per_part: usize| format!("rows {} to {}", first + 1, first + per_part);
        let data = match &mut self.kind {
            Kind::Archive(archive) => archive.unpack(position).map(|entry| entry.map_or(Data::None, Data::Entry)),
            Kind::Bundle(bundle) => {
                let per_part = bundle.rows_per_part();
                let first = position.saturating_mul(per_part);
                bundle.load(first, per_part).map(Data::Bundle).map_err(|error| (rows(first, per_part), error))
            }
            Kind::Table(table) => {
                let per_part = rows_of_table_part(table);
                let first = position.saturating_mul(per_part);
                table.load(first, per_part).map(Data::Table).map_err(|error| (rows(first, per_part), error))
            }
        };
        let hidden = match &self.kind {
            Kind::Archive(archive) if position == 0 => archive.hidden(),
            _ => None,
        };
        LoadedPart { stem: self.stem.clone(), data, hidden }
    }

    /// The contents of the part at `position`. If it cannot be read, [`Contents::skipped`] gives the reason.
    pub fn read(&mut self, position: usize) -> Contents {
        self.load(position).read()
    }
}

/// A part in memory, not decoded.
pub struct LoadedPart {
    stem: String,
    data: Result<Data, (String, ReadError)>,
    /// What the file lacks as a whole; told with the first part.
    hidden: Option<SkippedPart>,
}

enum Data {
    /// A file that is read with another.
    None,
    Entry(Entry),
    Bundle(BundleRows),
    Table(TablePart),
}

impl LoadedPart {
    /// The contents. If the part cannot be read, [`Contents::skipped`] gives the reason.
    pub fn read(&self) -> Contents {
        let mut contents = self.contents();
        contents.skipped.extend(self.hidden.clone());
        contents
    }

    fn contents(&self) -> Contents {
        let contents = match &self.data {
            Ok(Data::None) => return Contents::default(),
            Ok(Data::Entry(entry)) => return entry.read(),
            Ok(Data::Bundle(rows)) => rows.read(),
            Ok(Data::Table(part)) => super::one_d::read(&part.fits(), &self.stem),
            Err((part, error)) => return refused(part.clone(), error),
        };
        contents.unwrap_or_else(|error| refused(self.stem.clone(), &error))
    }

    /// Size in memory, bytes.
    pub fn size(&self) -> usize {
        match &self.data {
            Ok(Data::Entry(entry)) => entry.size(),
            Ok(Data::Bundle(rows)) => rows.size(),
            Ok(Data::Table(part)) => part.size(),
            Ok(Data::None) | Err(_) => 0,
        }
    }
}

/// A file and its first bytes.
type Opened<R> = (Source<R>, Vec<u8>);

/// Opens a file; `None` for a packed file that is read whole.
fn unpacked<R: Read + Seek>(mut file: R) -> Result<Option<Opened<R>>, ReadError> {
    let failed = |e: io::Error| container::unpack_error("the file", &e);
    let size = file.seek(SeekFrom::End(0)).map_err(failed)?;
    let mut start = Vec::new();
    file.rewind().and_then(|()| file.by_ref().take(16).read_to_end(&mut start)).map_err(failed)?;
    if !container::is_gzip(&start) {
        return Ok(Some((Source::File(file), start)));
    }
    if !(MIN_PACKED_BYTES..=MAX_FILE_BYTES).contains(&size) {
        return Ok(None);
    }
    file.rewind().map_err(failed)?;
    let mut start = Vec::new();
    let peeked = flate2::read::MultiGzDecoder::new(&mut file).take(16).read_to_end(&mut start);
    if peeked.is_err() || !(Fits::identify(&start) || container::is_zip(&start)) {
        return Ok(None);
    }
    file.rewind().map_err(failed)?;
    let bytes = container::gunzip(&mut file, size as usize)?;
    Ok(Some((Source::Unpacked(Cursor::new(bytes)), start)))
}

fn rows_of_table_part<R: Read + Seek>(table: &TableFile<R>) -> usize {
    rows_per_part(table.bytes_per_row() / size_of::<f32>())
}

/// True if the spectra of a file are the rows of its large table, and of no other HDU.
fn is_read_in_parts<R: Read + Seek>(file: &mut TableFile<R>, stem: &str) -> Result<bool, ReadError> {
    if file.rows() <= super::samples::MAX_ORDERS {
        // The rows may be the orders of one spectrum.
        return Ok(false);
    }
    let file_rows = file.rows();
    let first = file.load(0, 1)?;
    let fits = first.fits();
    if unsupported::check_fits(&fits).is_err()
        || desi::identify(&fits)
        || lamost::identify(&fits)
        || sdss::identify(&fits)
    {
        return Ok(false);
    }
    let (tables, damage) = table::of_fits(&fits);
    // Here, because the rows are not in memory yet.
    tables.iter().filter(|t| !t.is_whole()).try_for_each(|t| columns::check_pixels(t, file_rows))?;
    let mut with_spectra =
        tables.iter().filter(|t| columns::main_columns(t).is_some() || columns::has_spectrum_in_each_row(t));
    let is_large = |t: &table::Table| !t.is_whole() && columns::has_spectrum_in_each_row(t);
    let has_only_large = with_spectra.next().is_some_and(is_large) && with_spectra.next().is_none();
    Ok(damage.is_none() && has_only_large && matches!(images::read(&fits, &tables, stem), Ok(None)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// A table with a spectrum in each row, the flux in the heap.
    fn fits() -> Vec<u8> {
        const ROWS: usize = 250;
        const PIXELS: usize = 12;
        let cards = |cards: &[String]| {
            let mut bytes: Vec<u8> = cards.iter().flat_map(|card| format!("{card:<80}").into_bytes()).collect();
            bytes.resize(bytes.len().next_multiple_of(2880), b' ');
            bytes
        };
        let card = |text: &str| text.to_string();
        let mut file = cards(&[
            card("SIMPLE  =                    T"),
            card("BITPIX  =                    8"),
            card("NAXIS   =                    0"),
            card("END"),
        ]);
        file.extend(cards(&[
            card("XTENSION= 'BINTABLE'"),
            card("BITPIX  =                    8"),
            card("NAXIS   =                    2"),
            format!("NAXIS1  = {:>20}", 4 * PIXELS + 8),
            format!("NAXIS2  = {ROWS:>20}"),
            format!("PCOUNT  = {:>20}", 4 * PIXELS * ROWS),
            card("GCOUNT  =                    1"),
            card("TFIELDS =                    2"),
            card("TTYPE1  = 'wavelength'"),
            format!("TFORM1  = '{PIXELS}E'"),
            card("TTYPE2  = 'flux'"),
            card("TFORM2  = '1PE'"),
            card("END"),
        ]));
        for row in 0..ROWS {
            (0..PIXELS).for_each(|i| file.extend((4000.0 + 10.0 * i as f32).to_be_bytes()));
            file.extend((PIXELS as u32).to_be_bytes());
            file.extend(((ROWS - 1 - row) as u32 * 4 * PIXELS as u32).to_be_bytes());
        }
        (0..ROWS * PIXELS).for_each(|i| file.extend((1.0 + (i % 7) as f32).to_be_bytes()));
        file.resize(file.len().next_multiple_of(2880), 0);
        file
    }

    fn npz(method: zip::CompressionMethod) -> Vec<u8> {
        let npy = |shape: &str, data: &[u8]| {
            let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((header.len() as u16).to_le_bytes());
            bytes.extend(header.as_bytes());
            bytes.extend(data);
            bytes
        };
        let floats =
            |n: usize, value: fn(usize) -> f32| (0..n).flat_map(|i| value(i).to_le_bytes()).collect::<Vec<u8>>();
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        zip.start_file("wave_vac_aa.npy", options).unwrap();
        zip.write_all(&npy("(12,)", &floats(12, |i| 4000.0 + 10.0 * i as f32))).unwrap();
        zip.start_file("flux.npy", options).unwrap();
        zip.write_all(&npy("(200, 12)", &floats(2400, |i| 1.0 + (i % 7) as f32))).unwrap();
        zip.finish().unwrap().into_inner()
    }

    /// Number of spectra in all parts.
    fn read_all(bytes: Vec<u8>) -> Result<usize, ReadError> {
        let Some(mut parts) = Parts::open("a", Cursor::new(bytes))? else { return Ok(0) };
        while !parts.check()? {}
        Ok((0..parts.len().min(500)).map(|i| parts.read(i).spectra.len()).sum())
    }

    #[test]
    fn damaged_files_never_panic() {
        let (stored, deflated) = (npz(zip::CompressionMethod::Stored), npz(zip::CompressionMethod::Deflated));
        let mut rng = ChaCha8Rng::seed_from_u64(23);
        for (intact, rows) in [(fits(), 250), (stored, 200), (deflated, 200)] {
            assert_eq!(read_all(intact.clone()), Ok(rows));
            let mut refused = 0;
            for _ in 0..600 {
                let mut damaged = intact.clone();
                for _ in 0..rng.random_range(1..4) {
                    let at = rng.random_range(0..damaged.len());
                    damaged[at] = rng.random();
                }
                if rng.random_bool(0.2) {
                    damaged.truncate(rng.random_range(0..damaged.len()));
                }
                match read_all(damaged) {
                    Ok(n) => assert!(n <= rows),
                    Err(_) => refused += 1,
                }
            }
            assert!(refused > 20, "{refused}");
        }
    }
}
