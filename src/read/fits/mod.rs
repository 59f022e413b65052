//! A small FITS reader for images and binary tables in memory, decoded on request (FITS standard 4.0).
//!
//! Specola does not use a FITS crate because it must read files from any source safely. Every size in a header is
//! checked against the available bytes *before* any allocation, with arithmetic that cannot overflow. A truncated file
//! is an error, not a shorter spectrum. Scaling (BSCALE, TSCAL, …) and missing values (BLANK, TNULL) are applied. If a
//! file is damaged after its first HDUs, the HDUs before the damage are readable.

mod header;
mod image;
mod number;
mod table;
mod table_file;
mod tiles;

pub use header::Header;
pub(crate) use header::parse_number;
pub use image::Image;
pub(crate) use number::{Number, Scaling};
pub use table::{FitsColumn, Table};
pub(crate) use table_file::{TableFile, TablePart};
use tiles::Tiles;

use super::error::{ReadError, truncate};

/// Size of a block of a header or of data, bytes.
const BLOCK: usize = 2880;

/// Maximum number of axes, more than any spectrum has.
const MAX_AXES: i64 = 9;

/// Maximum number of HDUs, more than any file of spectra has: SDSS has about 30, LAMOST medium resolution up to 60.
const MAX_HDUS: usize = 1000;

/// A FITS file, split into its HDUs.
#[derive(Debug)]
pub struct Fits<'a> {
    /// The HDUs, up to the end of the file or the first damaged HDU.
    pub hdus: Vec<Hdu<'a>>,
    /// The error that stopped the search before the end of the file.
    damage: Option<ReadError>,
}

/// One header with its data.
#[derive(Debug)]
pub struct Hdu<'a> {
    /// Position in the file; 0 is the primary HDU.
    pub index: usize,
    /// Its keywords.
    pub header: Header,
    bytes: &'a [u8],
    data_bytes: u64,
    /// Number of the first row in the table of the file, if the data are a part of it.
    first_row: Option<usize>,
}

impl<'a> Fits<'a> {
    /// True for bytes that start like a FITS file.
    pub fn identify(bytes: &[u8]) -> bool {
        bytes.starts_with(b"SIMPLE  =")
    }

    /// Finds the HDUs. Fails only if the first HDU cannot be parsed, or if there are more than `MAX_HDUS`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ReadError> {
        if bytes.is_empty() {
            return Err(ReadError::Empty);
        }
        let mut hdus = Vec::new();
        let mut damage = None;
        let mut offset = 0;
        // Every HDU after the first starts with XTENSION; other bytes after an HDU are padding.
        while offset < bytes.len() && (hdus.is_empty() || bytes[offset..].starts_with(b"XTENSION")) {
            if hdus.len() == MAX_HDUS {
                return Err(ReadError::TooManyHdus { limit: MAX_HDUS });
            }
            match Hdu::parse(hdus.len(), &bytes[offset..]) {
                Ok((hdu, length)) => {
                    hdus.push(hdu);
                    offset = offset.saturating_add(length);
                }
                Err(error) if hdus.is_empty() => return Err(error),
                Err(error) => {
                    damage = Some(error);
                    break;
                }
            }
        }
        Ok(Self { hdus, damage })
    }

    /// The primary header.
    pub fn primary(&self) -> &Header {
        &self.hdus[0].header
    }

    /// The first HDU with this EXTNAME.
    pub fn find_by_name(&self, name: &str) -> Option<&Hdu<'a>> {
        self.hdus.iter().find(|h| h.name().eq_ignore_ascii_case(name))
    }

    /// The error for a file without a spectrum: the damage, if any, else a description of the HDUs.
    pub fn no_spectrum_error(&self) -> ReadError {
        self.damage.clone().unwrap_or_else(|| {
            let found: Vec<String> = self.hdus.iter().take(12).map(Hdu::describe).collect();
            ReadError::NoSpectrum { found: found.join(", ") }
        })
    }
}

impl<'a> Hdu<'a> {
    fn parse(index: usize, bytes: &'a [u8]) -> Result<(Self, usize), ReadError> {
        let Some((header, header_bytes)) = Header::parse(bytes) else {
            return Err(ReadError::FitsHeader { hdu: index, problem: "there is no END card".into() });
        };
        let data_bytes = data_size(index, &header)?;
        let start = header_bytes.next_multiple_of(BLOCK).min(bytes.len());
        let available = (bytes.len() - start) as u64;
        let size = data_bytes.min(available) as usize;
        let length = start.saturating_add(size.next_multiple_of(BLOCK));
        Ok((Self { index, header, bytes: &bytes[start..start + size], data_bytes, first_row: None }, length))
    }

    /// An HDU with all its data. `first_row` is the number of the first row if the data are a part of a table.
    fn of_part(index: usize, header: Header, bytes: &'a [u8], first_row: Option<usize>) -> Self {
        Self { index, header, bytes, data_bytes: bytes.len() as u64, first_row }
    }

    /// Number of the first row in the table of the file, if the data are a part of it.
    pub(crate) fn first_row(&self) -> Option<usize> {
        self.first_row
    }

    /// EXTNAME; empty if absent.
    pub fn name(&self) -> &str {
        self.header.text("EXTNAME").unwrap_or("")
    }

    /// The data as an image, plain or tile-compressed; `None` if this HDU is not an image or has no pixels.
    pub fn image(&self) -> Option<Result<Image<'a>, ReadError>> {
        if self.is_compressed_image() {
            return Some(Tiles::new(self).map(Image::compressed));
        }
        let is_image = self.header.text("XTENSION").is_none_or(|x| x == "IMAGE");
        (is_image && self.data_bytes > 0).then(|| Image::new(self, self.data()?))
    }

    /// The data as a binary table; `None` if this HDU is not a binary table.
    pub fn table(&self) -> Option<Result<Table<'a>, ReadError>> {
        let is_table = matches!(self.header.text("XTENSION"), Some("BINTABLE" | "A3DTABLE"));
        (is_table && !self.is_compressed_image()).then(|| Table::new(self, self.data()?))
    }

    fn is_compressed_image(&self) -> bool {
        tiles::identify(&self.header)
    }

    /// The data of the size that the header states; an error if the file is truncated.
    pub(crate) fn data(&self) -> Result<&'a [u8], ReadError> {
        if self.bytes.len() as u64 == self.data_bytes {
            return Ok(self.bytes);
        }
        Err(ReadError::FitsTruncated { hdu: self.index, expected: self.data_bytes, available: self.bytes.len() as u64 })
    }

    fn describe(&self) -> String {
        let kind = match self.header.text("XTENSION") {
            None if self.data_bytes == 0 => "an empty primary HDU",
            _ if self.is_compressed_image() => "a compressed image",
            None | Some("IMAGE") => "an image",
            Some("BINTABLE") => "a binary table",
            Some("TABLE") => "an ASCII table",
            Some(_) => "an unknown extension",
        };
        let name = match self.name() {
            "" => String::new(),
            name => format!(" “{}”", truncate(name)),
        };
        format!("{kind}{name}{}", self.describe_contents())
    }

    /// The size of an image, or the first columns of a binary table.
    fn describe_contents(&self) -> String {
        if let Some(Ok(image)) = self.image() {
            let axes: Vec<String> = image.axes.iter().map(usize::to_string).collect();
            return format!(" of {} pixels", axes.join(" × "));
        }
        let Some(Ok(table)) = self.table() else { return String::new() };
        let names: Vec<String> = table.columns.iter().take(6).map(|column| truncate(&column.name)).collect();
        let more = if table.columns.len() > names.len() { " …" } else { "" };
        if names.is_empty() { String::new() } else { format!(" with the columns {}{more}", names.join(" ")) }
    }
}

/// Size of the data according to the header, bytes.
fn data_size(hdu: usize, header: &Header) -> Result<u64, ReadError> {
    let keyword_error =
        |keyword: &str, problem: &str| ReadError::FitsKeyword { hdu, keyword: keyword.into(), problem: problem.into() };
    let count = |keyword: &str| match header.integer(keyword) {
        Some(n) if n >= 0 => Ok(n as u64),
        Some(_) => Err(keyword_error(keyword, "is negative")),
        None => Err(keyword_error(keyword, "is missing or not an integer")),
    };
    let bits = match header.integer("BITPIX") {
        Some(bits @ (8 | 16 | 32 | 64 | -32 | -64)) => bits.unsigned_abs(),
        _ => return Err(keyword_error("BITPIX", "is none of 8, 16, 32, 64, -32, -64")),
    };
    let axes = match header.integer("NAXIS") {
        Some(n @ 0..=MAX_AXES) => n,
        _ => return Err(keyword_error("NAXIS", "is missing, negative or larger than 9")),
    };
    if axes == 0 {
        return Ok(0);
    }
    let mut pixels = 1u64;
    for axis in 1..=axes {
        let keyword = format!("NAXIS{axis}");
        pixels = pixels.checked_mul(count(&keyword)?).ok_or_else(|| keyword_error(&keyword, "is too large"))?;
    }
    let optional = |keyword: &str, default| if header.has(keyword) { count(keyword) } else { Ok(default) };
    let too_large = || keyword_error("NAXIS1", "makes the data too large");
    pixels
        .checked_add(optional("PCOUNT", 0)?)
        .and_then(|n| n.checked_mul(bits / 8))
        .ok_or_else(too_large)?
        .checked_mul(optional("GCOUNT", 1)?)
        .ok_or_else(too_large)
}
