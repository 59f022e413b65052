//! FITS images: numbers from big-endian pixels, row by row.

use super::super::error::ReadError;
use super::Hdu;
use super::number::{Number, Scaling};
use super::tiles::Tiles;

/// The pixels of an image HDU.
#[derive(Debug)]
pub struct Image<'a> {
    /// Length of each axis, the fastest first; never 0.
    pub axes: Vec<usize>,
    pixels: Pixels<'a>,
}

#[derive(Debug)]
enum Pixels<'a> {
    Plain { number: Number, scaling: Scaling, bytes: &'a [u8] },
    Compressed(Tiles<'a>),
}

impl<'a> Image<'a> {
    /// `bytes` must be the complete data of the HDU.
    pub(super) fn new(hdu: &Hdu, bytes: &'a [u8]) -> Result<Self, ReadError> {
        let header = &hdu.header;
        let number = Number::of_bitpix(header.integer("BITPIX")).unwrap_or(Number::F64);
        let axes = (1..=header.integer("NAXIS").unwrap_or(0))
            .map(|i| header.integer(&format!("NAXIS{i}")).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| ReadError::FitsKeyword {
                hdu: hdu.index,
                keyword: "NAXISn".into(),
                problem: "is 0 although the HDU has data".into(),
            })?;
        let scaling = Scaling {
            scale: header.number("BSCALE").unwrap_or(1.0),
            zero: header.number("BZERO").unwrap_or(0.0),
            blank: header.integer("BLANK").filter(|_| !matches!(number, Number::F32 | Number::F64)),
        };
        Ok(Self { axes, pixels: Pixels::Plain { number, scaling, bytes } })
    }

    /// A tile-compressed image.
    pub(super) fn compressed(tiles: Tiles<'a>) -> Self {
        Self { axes: tiles.axes.clone(), pixels: Pixels::Compressed(tiles) }
    }

    /// Number of pixels along the fastest axis.
    pub fn width(&self) -> usize {
        self.axes.first().copied().unwrap_or(0)
    }

    /// Number of rows, all slower axes together.
    pub fn rows(&self) -> usize {
        self.axes.iter().skip(1).product()
    }

    /// True when pixels are stored as 32-bit floats and not scaled.
    pub fn is_f32(&self) -> bool {
        matches!(&self.pixels, Pixels::Plain { number: Number::F32, scaling, .. } if scaling.is_plain())
    }

    /// One row along the fastest axis; `None` beyond the last, or if it cannot be unpacked.
    pub fn row(&self, row: usize) -> Option<Vec<f64>> {
        let (number, scaling, bytes) = match &self.pixels {
            Pixels::Plain { number, scaling, bytes } => (*number, scaling, bytes),
            Pixels::Compressed(tiles) => return tiles.row(row).filter(|_| row < self.rows()),
        };
        let length = self.width().checked_mul(number.width())?;
        let start = row.checked_mul(length)?;
        let bytes = bytes.get(start..start.checked_add(length)?)?;
        Some(scaling.decode(number, bytes))
    }
}
