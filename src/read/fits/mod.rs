//! A small FITS reader: images and binary tables in memory, decoded only where asked (FITS standard 4.0).
//!
//! Our own and not a crate's because spectra come from anywhere: every size in a header is checked, with arithmetic that
//! cannot wrap, against the bytes that are present *before* anything is allocated, a cut-short file is an error and not a
//! shorter spectrum, and scaling (BSCALE, TSCAL, …) and missing values (BLANK, TNULL) are applied. A file that is damaged
//! behind its first HDUs keeps those.

mod header;
mod image;
mod number;
mod table;
mod tiles;

pub use header::Header;
pub(crate) use header::parse_number;
pub use image::Image;
pub(crate) use number::{Number, Scaling};
pub use table::{Column, Table};
pub use tiles::Tiles;

use super::error::{ReadError, shown};

/// Headers and data come in blocks of this many bytes.
const BLOCK: usize = 2880;

/// More axes than any spectrum has.
const MAX_AXES: i64 = 9;

/// More HDUs than any file of spectra has: SDSS keeps some 30, LAMOST's medium resolution up to 60.
const MAX_HDUS: usize = 1000;

/// A FITS file, cut into its HDUs.
#[derive(Debug)]
pub struct Fits<'a> {
    /// The HDUs that could be found.
    pub hdus: Vec<Hdu<'a>>,
    /// What stopped the walk before the end of the file.
    stopped: Option<ReadError>,
}

/// One header with its data.
#[derive(Debug)]
pub struct Hdu<'a> {
    /// Position in the file; 0 is the primary HDU.
    pub index: usize,
    /// Its keywords.
    pub header: Header,
    bytes: &'a [u8],
    promised: u64,
}

impl<'a> Fits<'a> {
    /// True for bytes that begin like a FITS file.
    pub fn identify(bytes: &[u8]) -> bool {
        bytes.starts_with(b"SIMPLE  =")
    }

    /// Finds the HDUs. Fails only when not even the first one can be understood.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ReadError> {
        if bytes.is_empty() {
            return Err(ReadError::Empty);
        }
        let mut hdus = Vec::new();
        let mut stopped = None;
        let mut at = 0;
        // Between HDUs there may be nothing but headers; what follows the last one and is none of these is padding.
        while at < bytes.len() && (hdus.is_empty() || bytes[at..].starts_with(b"XTENSION")) {
            if hdus.len() == MAX_HDUS {
                return Err(ReadError::TooManyHdus { limit: MAX_HDUS });
            }
            match Hdu::parse(hdus.len(), &bytes[at..]) {
                Ok((hdu, length)) => {
                    hdus.push(hdu);
                    at = at.saturating_add(length);
                }
                Err(error) if hdus.is_empty() => return Err(error),
                Err(error) => {
                    stopped = Some(error);
                    break;
                }
            }
        }
        Ok(Self { hdus, stopped })
    }

    /// The primary header.
    pub fn primary(&self) -> &Header {
        &self.hdus[0].header
    }

    /// The first HDU with this EXTNAME.
    pub fn named(&self, name: &str) -> Option<&Hdu<'a>> {
        self.hdus.iter().find(|h| h.name().eq_ignore_ascii_case(name))
    }

    /// The error for a file in which nothing was found: what broke it off, or what it has.
    pub fn nothing_found(&self) -> ReadError {
        self.stopped.clone().unwrap_or_else(|| {
            let found: Vec<String> = self.hdus.iter().take(12).map(Hdu::describe).collect();
            ReadError::NoSpectrum { found: found.join(", ") }
        })
    }
}

impl<'a> Hdu<'a> {
    fn parse(index: usize, bytes: &'a [u8]) -> Result<(Self, usize), ReadError> {
        let Some((header, used)) = Header::parse(bytes) else {
            return Err(ReadError::FitsHeader { hdu: index, problem: "there is no END card".into() });
        };
        let promised = data_size(index, &header)?;
        let start = used.next_multiple_of(BLOCK).min(bytes.len());
        let present = (bytes.len() - start) as u64;
        let size = promised.min(present) as usize;
        let length = start.saturating_add(size.next_multiple_of(BLOCK));
        Ok((Self { index, header, bytes: &bytes[start..start + size], promised }, length))
    }

    /// EXTNAME, empty without one.
    pub fn name(&self) -> &str {
        self.header.text("EXTNAME").unwrap_or("")
    }

    /// The data as an image, `None` when this HDU is none or has no pixels.
    pub fn image(&self) -> Option<Result<Image<'a>, ReadError>> {
        let is_image = self.header.text("XTENSION").is_none_or(|x| x == "IMAGE");
        (is_image && self.promised > 0).then(|| Image::new(self, self.data()?))
    }

    /// The data as a binary table, `None` when this HDU is none.
    pub fn table(&self) -> Option<Result<Table<'a>, ReadError>> {
        let is_table = matches!(self.header.text("XTENSION"), Some("BINTABLE" | "A3DTABLE"));
        is_table.then(|| Table::new(self, self.data()?))
    }

    /// All promised bytes, or the error that some are missing.
    pub(crate) fn data(&self) -> Result<&'a [u8], ReadError> {
        if self.bytes.len() as u64 == self.promised {
            return Ok(self.bytes);
        }
        Err(ReadError::FitsTruncated { hdu: self.index, promised: self.promised, present: self.bytes.len() as u64 })
    }

    fn describe(&self) -> String {
        let kind = match self.header.text("XTENSION") {
            None if self.promised == 0 => "an empty primary HDU",
            None | Some("IMAGE") => "an image",
            Some("BINTABLE") => "a binary table",
            Some("TABLE") => "an ASCII table",
            Some(_) => "an unknown extension",
        };
        match self.name() {
            "" => kind.to_string(),
            name => format!("{kind} “{}”", shown(name)),
        }
    }
}

/// Bytes of data that a header promises.
fn data_size(hdu: usize, header: &Header) -> Result<u64, ReadError> {
    let bad =
        |keyword: &str, problem: &str| ReadError::FitsKeyword { hdu, keyword: keyword.into(), problem: problem.into() };
    let count = |keyword: &str| match header.integer(keyword) {
        Some(n) if n >= 0 => Ok(n as u64),
        Some(_) => Err(bad(keyword, "is negative")),
        None => Err(bad(keyword, "is missing or no whole number")),
    };
    let bits = match header.integer("BITPIX") {
        Some(bits @ (8 | 16 | 32 | 64 | -32 | -64)) => bits.unsigned_abs(),
        _ => return Err(bad("BITPIX", "is none of 8, 16, 32, 64, -32, -64")),
    };
    let axes = match header.integer("NAXIS") {
        Some(n @ 0..=MAX_AXES) => n,
        _ => return Err(bad("NAXIS", "is missing, negative or larger than 9")),
    };
    if axes == 0 {
        return Ok(0);
    }
    let mut pixels = 1u64;
    for axis in 1..=axes {
        let keyword = format!("NAXIS{axis}");
        pixels = pixels.checked_mul(count(&keyword)?).ok_or_else(|| bad(&keyword, "is too large"))?;
    }
    let optional = |keyword: &str, default| if header.has(keyword) { count(keyword) } else { Ok(default) };
    let too_large = || bad("NAXIS1", "times the other axes is too large");
    pixels
        .checked_add(optional("PCOUNT", 0)?)
        .and_then(|n| n.checked_mul(bits / 8))
        .ok_or_else(too_large)?
        .checked_mul(optional("GCOUNT", 1)?)
        .ok_or_else(too_large)
}
