//! How numbers are stored, in FITS and in the binary streams of VOTables: big-endian, perhaps scaled, perhaps missing.

/// A stored number.
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
    /// Bytes of one number.
    pub(crate) fn width(self) -> usize {
        match self {
            Number::U8 => 1,
            Number::I16 => 2,
            Number::I32 | Number::F32 => 4,
            Number::I64 | Number::F64 => 8,
        }
    }

    /// The whole number in exactly `width` bytes; `None` for floating point.
    pub(crate) fn integer(self, b: &[u8]) -> Option<i64> {
        Some(match self {
            Number::U8 => i64::from(*b.first()?),
            Number::I16 => i64::from(i16::from_be_bytes(b.try_into().ok()?)),
            Number::I32 => i64::from(i32::from_be_bytes(b.try_into().ok()?)),
            Number::I64 => i64::from_be_bytes(b.try_into().ok()?),
            Number::F32 | Number::F64 => return None,
        })
    }

    /// The number in exactly `width` bytes; NaN for any other length.
    pub(crate) fn float(self, b: &[u8]) -> f64 {
        match self {
            Number::F32 => b.try_into().map_or(f64::NAN, |b| f64::from(f32::from_be_bytes(b))),
            Number::F64 => b.try_into().map_or(f64::NAN, f64::from_be_bytes),
            _ => self.integer(b).map_or(f64::NAN, |i| i as f64),
        }
    }
}

/// `stored × scale + zero`, and which stored integer means "missing".
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scaling {
    pub(crate) scale: f64,
    pub(crate) zero: f64,
    pub(crate) blank: Option<i64>,
}

impl Scaling {
    /// Numbers that mean what is stored.
    pub(crate) fn plain(blank: Option<i64>) -> Self {
        Self { scale: 1.0, zero: 0.0, blank }
    }

    /// True when numbers mean what is stored.
    pub(crate) fn is_plain(&self) -> bool {
        self.scale == 1.0 && self.zero == 0.0
    }

    /// One number in exactly its bytes; NaN if missing.
    pub(crate) fn value(&self, number: Number, bytes: &[u8]) -> f64 {
        match self.blank {
            Some(blank) if number.integer(bytes) == Some(blank) => f64::NAN,
            _ if self.is_plain() => number.float(bytes),
            _ => number.float(bytes) * self.scale + self.zero,
        }
    }

    /// All numbers in the bytes. Missing values become NaN.
    pub(crate) fn decode(&self, number: Number, bytes: &[u8]) -> Vec<f64> {
        bytes.chunks_exact(number.width()).map(|b| self.value(number, b)).collect()
    }

    /// One whole number, to its last digit; `None` if missing or not whole. Unsigned integers are stored as signed ones
    /// with a `zero` of half their range.
    pub(crate) fn exact(&self, number: Number, bytes: &[u8]) -> Option<i128> {
        let stored = number.integer(bytes).filter(|stored| self.blank != Some(*stored))?;
        let whole = self.scale == 1.0 && self.zero.fract() == 0.0 && self.zero.abs() <= 9.3e18;
        whole.then(|| i128::from(stored) + self.zero as i128)
    }
}
