//! Tile-compressed integer images with one tile per row, the usual format of survey masks.
//!
//! FITS standard 4.0, §10: a binary table with `ZIMAGE = T` whose column `COMPRESSED_DATA` points into the heap.
//! Supported are `RICE_1`, `GZIP_1` and `GZIP_2`.

use std::io::Read;

use flate2::read::GzDecoder;

use super::Hdu;
use super::table::Table;

/// Maximum number of pixels in a row; a spectrum has thousands.
const MAX_WIDTH: usize = 1 << 20;

/// A compressed image in which every row is a tile.
#[derive(Debug)]
pub struct Tiles<'a> {
    /// Number of pixels in a row.
    pub width: usize,
    table: Table<'a>,
    method: Method,
    pixel_bytes: usize,
    zero: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Method {
    Rice { block: usize },
    Gzip,
    ShuffledGzip,
}

impl<'a> Tiles<'a> {
    /// The compressed image of an HDU; `None` if the HDU is not a compressed image, or if tiles or compression are not
    /// supported.
    pub fn from_hdu(hdu: &Hdu<'a>) -> Option<Self> {
        let header = &hdu.header;
        let size = |key: &str| header.integer(key).and_then(|n| usize::try_from(n).ok());
        let table = hdu.table()?.ok()?;
        let width = size("ZNAXIS1").filter(|w| (1..=MAX_WIDTH).contains(w))?;
        let pixel_bytes = size("ZBITPIX").map(|bits| bits / 8).filter(|bytes| [1, 2, 4].contains(bytes))?;
        let is_by_rows = size("ZTILE1").is_none_or(|w| w == width)
            && (2..=9).all(|i| size(&format!("ZTILE{i}")).is_none_or(|n| n == 1));
        let option = |name: &str| {
            (1..=9).find(|i| header.text(&format!("ZNAME{i}")) == Some(name)).and_then(|i| size(&format!("ZVAL{i}")))
        };
        let method = match header.text("ZCMPTYPE")? {
            // No known software writes tiles with a pixel size other than that of the image.
            "RICE_1" | "RICE_ONE" if option("BYTEPIX").unwrap_or(4) == pixel_bytes => {
                Method::Rice { block: option("BLOCKSIZE").unwrap_or(32).clamp(1, 4096) }
            }
            "GZIP_1" => Method::Gzip,
            "GZIP_2" => Method::ShuffledGzip,
            _ => return None,
        };
        let zero = header.number("BZERO").unwrap_or(0.0) as i64;
        is_by_rows.then_some(Self { width, table, method, pixel_bytes, zero })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.table.rows
    }

    /// The pixels of a row; `None` beyond the last row, or if they cannot be unpacked.
    pub fn row(&self, row: usize) -> Option<Vec<i64>> {
        let packed = self.table.heap_bytes(row, "COMPRESSED_DATA")?;
        let mut pixels = match self.method {
            Method::Rice { block } => rice(packed, self.width, self.pixel_bytes, block)?,
            Method::Gzip | Method::ShuffledGzip => self.gunzip(packed)?,
        };
        pixels.iter_mut().for_each(|p| *p = p.wrapping_add(self.zero));
        Some(pixels)
    }

    fn gunzip(&self, packed: &[u8]) -> Option<Vec<i64>> {
        let (n, width) = (self.width, self.pixel_bytes);
        let mut bytes = Vec::new();
        GzDecoder::new(packed).take((n * width) as u64).read_to_end(&mut bytes).ok()?;
        if bytes.len() != n * width {
            return None;
        }
        // Shuffled order: the most significant bytes of all pixels, then the next bytes.
        let byte = |i: usize, k: usize| {
            if self.method == Method::ShuffledGzip { bytes[k * n + i] } else { bytes[i * width + k] }
        };
        Some((0..n).map(|i| signed((0..width).fold(0, |v, k| v << 8 | u32::from(byte(i, k))), width)).collect())
    }
}

/// The `width` low bytes of `bits` as an integer; one byte is unsigned, as in FITS.
fn signed(bits: u32, width: usize) -> i64 {
    match width {
        1 => i64::from(bits as u8),
        2 => i64::from(bits as u16 as i16),
        _ => i64::from(bits as i32),
    }
}

/// Bits of a stream, the most significant bit of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Bits<'_> {
    fn next(&mut self) -> Option<u32> {
        let bit = self.bytes.get(self.position / 8)? >> (7 - self.position % 8) & 1;
        self.position += 1;
        Some(u32::from(bit))
    }

    fn take(&mut self, n: usize) -> Option<u32> {
        (0..n).try_fold(0u32, |value, _| Some(value << 1 | self.next()?))
    }
}

/// Decodes Rice compression (FITS standard 4.0, §10.4.1) of `n` pixels of `width` bytes.
///
/// The stream holds differences between neighbouring pixels, mapped to non-negative numbers, in blocks of `block`
/// pixels. Each block states the number of low bits that are stored directly. The high part is stored as a count of
/// zero bits.
fn rice(packed: &[u8], n: usize, width: usize, block: usize) -> Option<Vec<i64>> {
    let (code_bits, raw_code) = match width {
        1 => (3, 6),
        2 => (4, 14),
        _ => (5, 25),
    };
    let mut bits = Bits { bytes: packed, position: 0 };
    let mut last = bits.take(8 * width)?;
    let mut pixels = Vec::new();
    while pixels.len() < n {
        let code = bits.take(code_bits)?;
        for _ in 0..block.min(n - pixels.len()) {
            let mapped = match code.checked_sub(1) {
                None => 0,
                Some(low) if low == raw_code => bits.take(8 * width)?,
                Some(low) => {
                    let mut high = 0u32;
                    while bits.next()? == 0 {
                        high += 1;
                    }
                    high.checked_shl(low)? | bits.take(low as usize)?
                }
            };
            let difference = if mapped & 1 == 0 { mapped >> 1 } else { !(mapped >> 1) };
            last = last.wrapping_add(difference);
            pixels.push(signed(last, width));
        }
    }
    Some(pixels)
}
