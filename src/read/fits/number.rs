//! Stored numbers of FITS and of `VOTable` binary streams: big-endian, with optional scaling and missing values.

/// Type of a stored number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    U8,
    I16,
    I32,
    I64,
    F32,
    F64,
}

impl Number {
    /// The type of the pixels of an image by its BITPIX.
    pub(super) fn of_bitpix(bitpix: Option<i64>) -> Option<Self> {
        Some(match bitpix? {
            8 => Self::U8,
            16 => Self::I16,
            32 => Self::I32,
            64 => Self::I64,
            -32 => Self::F32,
            -64 => Self::F64,
            _ => return None,
        })
    }

    /// Size of one number, bytes.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }

    /// The integer in exactly [`Self::width`] bytes; `None` for floating-point types.
    pub(crate) fn integer(self, b: &[u8]) -> Option<i64> {
        Some(match self {
            Self::U8 => i64::from(*b.first()?),
            Self::I16 => i64::from(i16::from_be_bytes(b.try_into().ok()?)),
            Self::I32 => i64::from(i32::from_be_bytes(b.try_into().ok()?)),
            Self::I64 => i64::from_be_bytes(b.try_into().ok()?),
            Self::F32 | Self::F64 => return None,
        })
    }

    /// The number in exactly [`Self::width`] bytes; NaN for any other length.
    pub(crate) fn float(self, b: &[u8]) -> f64 {
        match self {
            Self::F32 => b.try_into().map_or(f64::NAN, |b| f64::from(f32::from_be_bytes(b))),
            Self::F64 => b.try_into().map_or(f64::NAN, f64::from_be_bytes),
            _ => self.integer(b).map_or(f64::NAN, |i| i as f64),
        }
    }
}

/// Scaling `stored × scale + zero`, and the stored integer that means "missing".
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scaling {
    pub(crate) scale: f64,
    pub(crate) zero: f64,
    pub(crate) blank: Option<i64>,
}

impl Scaling {
    /// No scaling.
    pub(crate) fn plain(blank: Option<i64>) -> Self {
        Self { scale: 1.0, zero: 0.0, blank }
    }

    /// True without scaling.
    pub(crate) fn is_plain(&self) -> bool {
        self.scale == 1.0 && self.zero == 0.0
    }

    /// The scaled number in exactly its bytes; NaN if missing.
    pub(crate) fn value(&self, number: Number, bytes: &[u8]) -> f64 {
        match self.blank {
            Some(blank) if number.integer(bytes) == Some(blank) => f64::NAN,
            // TNULL is for integers, but some files have it for floating-point numbers.
            Some(blank) if number.integer(bytes).is_none() && number.float(bytes) == blank as f64 => f64::NAN,
            _ if self.is_plain() => number.float(bytes),
            _ => number.float(bytes) * self.scale + self.zero,
        }
    }

    /// All scaled numbers in the bytes. Missing values become NaN.
    pub(crate) fn decode(&self, number: Number, bytes: &[u8]) -> Vec<f64> {
        bytes.chunks_exact(number.width()).map(|b| self.value(number, b)).collect()
    }

    /// The scaled integer with all digits; `None` if missing or not an integer.
    ///
    /// FITS stores unsigned integers as signed integers with a `zero` of half their range.
    pub(crate) fn exact(&self, number: Number, bytes: &[u8]) -> Option<i128> {
        let stored = number.integer(bytes).filter(|stored| self.blank != Some(*stored))?;
        let is_integer_offset = self.scale == 1.0 && self.zero.fract() == 0.0 && self.zero.abs() <= 9.3e18;
        is_integer_offset.then(|| i128::from(stored) + self.zero as i128)
    }
}
