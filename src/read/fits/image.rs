//! FITS images: numbers from big-endian pixels, row by row.

use super::super::error::ReadError;
use super::Hdu;
use super::number::{Number, Scaling};

/// The pixels of an image HDU.
#[derive(Debug)]
pub struct Image<'a> {
    /// Length of each axis, the fastest first; never 0.
    pub axes: Vec<usize>,
    number: Number,
    scaling: Scaling,
    bytes: &'a [u8],
}

impl<'a> Image<'a> {
    /// `bytes` must be the complete data of the HDU.
    pub(super) fn new(hdu: &Hdu, bytes: &'a [u8]) -> Result<Self, ReadError> {
        let header = &hdu.header;
        let number = match header.integer("BITPIX") {
            Some(8) => Number::U8,
            Some(16) => Number::I16,
            Some(32) => Number::I32,
            Some(64) => Number::I64,
            Some(-32) => Number::F32,
            _ => Number::F64,
        };
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
            blank: header.integer("BLANK"),
        };
        Ok(Self { axes, number, scaling, bytes })
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
        self.number == Number::F32 && self.scaling.is_plain()
    }

    /// One row along the fastest axis; `None` beyond the last.
    pub fn row(&self, row: usize) -> Option<Vec<f64>> {
        let length = self.width().checked_mul(self.number.width())?;
        let start = row.checked_mul(length)?;
        let bytes = self.bytes.get(start..start.checked_add(length)?)?;
        Some(self.scaling.decode(self.number, bytes))
    }
}
