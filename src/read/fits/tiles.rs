//! Tile-compressed images: each tile is a part of a row, as fpack writes them by default.
//!
//! FITS standard 4.0, §10: a binary table with `ZIMAGE = T` whose column `COMPRESSED_DATA` points into the heap.
//! Supported are `RICE_1`, `GZIP_1`, `GZIP_2` and `NOCOMPRESS`, of integers and of floating-point numbers, quantised
//! with or without dithering or not at all.

use std::io::Read;

use flate2::read::GzDecoder;

use super::super::error::ReadError;
use super::number::Number;
use super::table::Table;
use super::{Hdu, Header};

/// Maximum number of pixels in a row; a spectrum has thousands.
const MAX_WIDTH: usize = 1 << 20;

/// Stored integers of quantised tiles that mean "missing" and "exactly 0" (FITS standard, §10.2).
const MISSING: i64 = -2_147_483_647;
const EXACT_ZERO: i64 = -2_147_483_646;

/// A compressed image in which every tile is within a row.
#[derive(Debug)]
pub(super) struct Tiles<'a> {
    /// Length of each axis, the fastest first.
    pub(super) axes: Vec<usize>,
    /// Number of pixels of a tile; the last of a row may be shorter.
    tile: usize,
    table: Table<'a>,
    method: Method,
    /// Type of the pixels of the image.
    number: Number,
    dither: Dither,
    blank: Option<i64>,
    scale: f64,
    zero: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Method {
    Rice { block: usize, bytes: usize },
    Gzip,
    ShuffledGzip,
    None,
}

/// Dithering of quantised floating-point numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Dither {
    None,
    /// `SUBTRACTIVE_DITHER_1` or 2, with the seed ZDITHER0.
    Subtractive {
        seed: usize,
        keeps_zeros: bool,
    },
}

/// True for the header of a compressed image.
pub(super) fn identify(header: &Header) -> bool {
    header.logical("ZIMAGE") == Some(true)
}

impl<'a> Tiles<'a> {
    /// The compressed image of an HDU.
    ///
    /// # Errors
    /// If the table is damaged, or if tiles or compression are not supported.
    pub(super) fn new(hdu: &Hdu<'a>) -> Result<Self, ReadError> {
        let header = &hdu.header;
        let problem = |what: &str| ReadError::Layout {
            place: format!("the tile-compressed image in HDU {}", hdu.index),
            problem: format!("{what}; unpack the file with funpack"),
        };
        let size = |key: &str| header.integer(key).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        let table = Table::new(hdu, hdu.data()?)?;
        let axes: Vec<usize> = (1..=header.integer("ZNAXIS").unwrap_or(0).min(9))
            .map(|i| size(&format!("ZNAXIS{i}")))
            .collect::<Option<_>>()
            .ok_or_else(|| problem("ZNAXISn is missing or 0"))?;
        let width =
            axes.first().copied().filter(|w| *w <= MAX_WIDTH).ok_or_else(|| problem("its rows are too long"))?;
        let number = Number::of_bitpix(header.integer("ZBITPIX")).ok_or_else(|| problem("ZBITPIX is missing"))?;
        let tile = size("ZTILE1").unwrap_or(width).min(width);
        if (2..=9).any(|i| size(&format!("ZTILE{i}")).is_some_and(|n| n != 1)) {
            return Err(problem("its tiles have several rows, which are not read"));
        }
        let option = |name: &str| {
            (1..=9).find(|i| header.text(&format!("ZNAME{i}")) == Some(name)).and_then(|i| size(&format!("ZVAL{i}")))
        };
        let method = match header.text("ZCMPTYPE").unwrap_or("") {
            "RICE_1" | "RICE_ONE" => Method::Rice {
                block: option("BLOCKSIZE").unwrap_or(32).clamp(1, 4096),
                bytes: option("BYTEPIX").unwrap_or(4),
            },
            "GZIP_1" => Method::Gzip,
            "GZIP_2" => Method::ShuffledGzip,
            "NOCOMPRESS" => Method::None,
            other => return Err(problem(&format!("its compression “{}” is not read", super::truncate(other)))),
        };
        let dither = match header.text("ZQUANTIZ").unwrap_or("NO_DITHER") {
            name @ ("SUBTRACTIVE_DITHER_1" | "SUBTRACTIVE_DITHER_2") => {
                Dither::Subtractive { seed: size("ZDITHER0").unwrap_or(1), keeps_zeros: name.ends_with('2') }
            }
            _ => Dither::None,
        };
        let (scale, zero) = (header.number("BSCALE").unwrap_or(1.0), header.number("BZERO").unwrap_or(0.0));
        let blank = header.integer("ZBLANK").or(header.integer("BLANK"));
        Ok(Self { axes, tile, table, method, number, dither, blank, scale, zero })
    }

    /// The pixels of a row; `None` beyond the last row, or if they cannot be unpacked.
    pub(super) fn row(&self, row: usize) -> Option<Vec<f64>> {
        let width = *self.axes.first()?;
        let tiles_per_row = width.div_ceil(self.tile);
        let mut pixels = Vec::new();
        for i in 0..tiles_per_row {
            let n = self.tile.min(width - i * self.tile);
            pixels.extend(self.tile_pixels(row.checked_mul(tiles_per_row)?.checked_add(i)?, n)?);
        }
        Some(pixels)
    }

    /// The `n` pixels of a tile.
    fn tile_pixels(&self, tile: usize, n: usize) -> Option<Vec<f64>> {
        let is_float = matches!(self.number, Number::F32 | Number::F64);
        let packed = self.table.heap_bytes(tile, "COMPRESSED_DATA").filter(|bytes| !bytes.is_empty());
        let Some(packed) = packed else {
            // A tile that could not be quantised is stored as it is.
            let bytes = gunzip(self.table.heap_bytes(tile, "GZIP_COMPRESSED_DATA")?, n * self.number.width())?;
            return Some(decode(&bytes, self.number));
        };
        let quantum = |key: &str| self.table.number(tile, key);
        let quantum = quantum("ZSCALE").zip(quantum("ZZERO")).filter(|_| is_float);
        let stored = match (is_float, quantum) {
            // Neither quantised nor an integer: the bytes of the numbers.
            (true, None) => return Some(decode(&self.bytes(packed, n, self.number.width())?, self.number)),
            (true, Some(_)) => self.integers(packed, n, 4)?,
            (false, _) => self.integers(packed, n, self.number.width())?,
        };
        let Some((scale, zero)) = quantum else {
            let value = |q: &i64| if Some(*q) == self.blank { f64::NAN } else { *q as f64 * self.scale + self.zero };
            return Some(stored.iter().map(value).collect());
        };
        let mut random = match self.dither {
            Dither::Subtractive { seed, .. } => Some(DitherNumbers::new(tile + seed - 1)),
            Dither::None => None,
        };
        let blank = self.blank.unwrap_or(MISSING);
        // As in the image before its compression.
        let rounded = |v: f64| if self.number == Number::F32 { f64::from(v as f32) } else { v };
        let value = |q: i64| {
            let offset = random.as_mut().map_or(0.0, |random| random.next() - 0.5);
            match self.dither {
                _ if q == blank => f64::NAN,
                Dither::Subtractive { keeps_zeros: true, .. } if q == EXACT_ZERO => 0.0,
                _ => rounded((q as f64 - offset) * scale + zero),
            }
        };
        Some(stored.into_iter().map(value).collect())
    }

    /// `n` integers of `width` bytes.
    fn integers(&self, packed: &[u8], n: usize, width: usize) -> Option<Vec<i64>> {
        if let Method::Rice { block, bytes } = self.method {
            return rice(packed, n, bytes, block);
        }
        let number = match width {
            1 => Number::U8,
            2 => Number::I16,
            4 => Number::I32,
            _ => Number::I64,
        };
        self.bytes(packed, n, width)?.chunks_exact(width).map(|b| number.integer(b)).collect()
    }

    /// The bytes of `n` numbers, the most significant byte of each first.
    fn bytes(&self, packed: &[u8], n: usize, width: usize) -> Option<Vec<u8>> {
        match self.method {
            Method::Rice { .. } => None,
            Method::None => packed.get(..n * width).map(<[u8]>::to_vec),
            Method::Gzip => gunzip(packed, n * width),
            Method::ShuffledGzip => {
                // The most significant bytes of all numbers, then the next bytes.
                let bytes = gunzip(packed, n * width)?;
                Some((0..n * width).map(|i| bytes[i % width * n + i / width]).collect())
            }
        }
    }
}

/// Exactly `length` bytes of a gzip stream.
fn gunzip(packed: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    GzDecoder::new(packed).take(length as u64).read_to_end(&mut bytes).ok()?;
    (bytes.len() == length).then_some(bytes)
}

fn decode(bytes: &[u8], number: Number) -> Vec<f64> {
    bytes.chunks_exact(number.width()).map(|b| number.float(b)).collect()
}

/// The random numbers of subtractive dithering in a tile (FITS standard, appendix I).
struct DitherNumbers {
    numbers: &'static [f32],
    start: usize,
    position: usize,
}

impl DitherNumbers {
    /// Number of random numbers.
    const N: usize = 10_000;

    fn new(start: usize) -> Self {
        static NUMBERS: std::sync::OnceLock<Vec<f32>> = std::sync::OnceLock::new();
        // Park and Miller's generator.
        let numbers = NUMBERS.get_or_init(|| {
            let next = |seed: &u64| Some(seed * 16_807 % 2_147_483_647);
            std::iter::successors(Some(16_807), next)
                .take(Self::N)
                .map(|s| (s as f64 / 2_147_483_647.0) as f32)
                .collect()
        });
        let start = start % Self::N;
        Self { numbers, start, position: (numbers[start] * 500.0) as usize }
    }

    fn next(&mut self) -> f64 {
        let number = f64::from(self.numbers[self.position]);
        self.position += 1;
        if self.position == Self::N {
            self.start = (self.start + 1) % Self::N;
            self.position = (self.numbers[self.start] * 500.0) as usize;
        }
        number
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
        4 => (5, 25),
        _ => return None,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// FITS standard, appendix I: after 10 000 steps the seed is 1043618065.
    #[test]
    fn the_random_numbers_are_those_of_the_standard() {
        let numbers = DitherNumbers::new(0).numbers;
        assert_eq!(numbers[DitherNumbers::N - 1], (1_043_618_065.0 / 2_147_483_647.0) as f32);
        assert_eq!(DitherNumbers::new(10_001).start, 1);
    }
}
