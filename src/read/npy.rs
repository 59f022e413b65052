//! NumPy's `.npy` arrays: numbers and fixed-width strings, in C order (NEP 1, versions 1–3 of the format).

use super::error::ReadError;

/// A member of a bundle, still as bytes.
#[derive(Debug)]
pub struct ArrayFile {
    /// Name of the array: the member's name without `.npy`.
    pub name: String,
    /// The whole `.npy` file.
    pub bytes: Vec<u8>,
}

/// How one element is stored.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Element {
    Float(usize),
    Signed(usize),
    Unsigned(usize),
    /// Bytes a string.
    Bytes(usize),
    /// UTF-32 characters a string.
    Chars(usize),
}

impl Element {
    fn width(self) -> usize {
        match self {
            Element::Float(n) | Element::Signed(n) | Element::Unsigned(n) | Element::Bytes(n) => n,
            Element::Chars(n) => n.saturating_mul(4),
        }
    }
}

/// An array whose size agrees with the bytes that are there.
#[derive(Debug)]
pub struct Array<'a> {
    /// Length of each axis, the slowest first; empty for a scalar.
    pub shape: Vec<usize>,
    element: Element,
    big_endian: bool,
    data: &'a [u8],
}

impl ArrayFile {
    /// Checks the header against the bytes.
    pub fn array(&self) -> Result<Array<'_>, ReadError> {
        let bad = |problem: &str| ReadError::Bundle {
            array: self.name.clone(),
            problem: format!("{problem}; save it again with numpy.savez"),
        };
        let b = &self.bytes;
        if !b.starts_with(b"\x93NUMPY") {
            return Err(bad("it does not begin like a NumPy array"));
        }
        let (at, length) = match (b.get(6), b.get(8..12)) {
            (Some(1), Some(n)) => (10, usize::from(u16::from_le_bytes([n[0], n[1]]))),
            (Some(2 | 3), Some(n)) => (12, u32::from_le_bytes([n[0], n[1], n[2], n[3]]) as usize),
            _ => return Err(bad("its version is unknown or its header is cut short")),
        };
        let end = at + length.min(b.len());
        let header = b.get(at..end).ok_or_else(|| bad("its header is cut short"))?;
        let header = String::from_utf8_lossy(header);
        let (big_endian, element) = field(&header, "descr")
            .and_then(|d| parse_descr(d.trim_matches(['\'', '"'])))
            .ok_or_else(|| bad("its elements are neither numbers nor plain strings"))?;
        let shape = parse_shape(&header).ok_or_else(|| bad("its shape cannot be understood"))?;
        if field(&header, "fortran_order") == Some("True") && shape.len() > 1 {
            return Err(bad("it is in Fortran order; wrap it in numpy.ascontiguousarray"));
        }
        let size = shape.iter().try_fold(element.width(), |size, n| size.checked_mul(*n));
        match size {
            Some(size) if element.width() > 0 && b.len() - end >= size => {
                Ok(Array { shape, element, big_endian, data: &b[end..end + size] })
            }
            _ => Err(bad("its header promises more than there is")),
        }
    }
}

impl Array<'_> {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// True for 32-bit floats.
    pub fn is_f32(&self) -> bool {
        self.element == Element::Float(4)
    }

    /// `count` numbers from `start` on; `None` for strings or beyond the end.
    pub fn numbers(&self, start: usize, count: usize) -> Option<Vec<f64>> {
        let width = self.element.width();
        let from = start.checked_mul(width)?;
        let bytes = self.data.get(from..from.checked_add(count.checked_mul(width)?)?)?;
        bytes.chunks_exact(width).map(|b| self.number(b)).collect()
    }

    fn number(&self, bytes: &[u8]) -> Option<f64> {
        let mut raw = [0u8; 8];
        let width = bytes.len();
        raw.get_mut(..width)?.copy_from_slice(bytes);
        if self.big_endian {
            raw[..width].reverse();
        }
        let word = u64::from_le_bytes(raw);
        Some(match self.element {
            Element::Float(4) => f64::from(f32::from_bits(word as u32)),
            Element::Float(_) => f64::from_bits(word),
            Element::Unsigned(_) => word as f64,
            Element::Signed(_) => sign_extend(word, width) as f64,
            Element::Bytes(_) | Element::Chars(_) => return None,
        })
    }

    /// The elements of a one-dimensional (or scalar) array of strings or integers, as text.
    pub fn words(&self) -> Option<Vec<String>> {
        if self.shape.len() > 1 {
            return None;
        }
        self.data.chunks_exact(self.element.width()).map(|b| self.word(b)).collect()
    }

    fn word(&self, bytes: &[u8]) -> Option<String> {
        let text = match self.element {
            Element::Bytes(_) => String::from_utf8_lossy(bytes).into_owned(),
            Element::Chars(_) => bytes
                .chunks_exact(4)
                .map(|c| {
                    let mut c = [c[0], c[1], c[2], c[3]];
                    if self.big_endian {
                        c.reverse();
                    }
                    char::from_u32(u32::from_le_bytes(c)).unwrap_or('\u{fffd}')
                })
                .collect(),
            Element::Signed(width) | Element::Unsigned(width) => {
                let mut raw = [0u8; 8];
                raw.get_mut(..width)?.copy_from_slice(bytes);
                if self.big_endian {
                    raw[..width].reverse();
                }
                let word = u64::from_le_bytes(raw);
                match self.element {
                    Element::Signed(_) => sign_extend(word, width).to_string(),
                    _ => word.to_string(),
                }
            }
            Element::Float(_) => return None,
        };
        Some(text.trim_end_matches('\0').trim().to_string())
    }
}

/// A `width`-byte two's complement number in the low bytes of `word`.
fn sign_extend(word: u64, width: usize) -> i64 {
    let unused = 64 - 8 * width as u32;
    ((word << unused) as i64) >> unused
}

/// The text of one entry of the header's Python dictionary, up to the comma.
fn field<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let after = header.split_once(&format!("'{key}':"))?.1.trim_start();
    after.split([',', '}']).next().map(str::trim)
}

fn parse_shape(header: &str) -> Option<Vec<usize>> {
    let inside = header.split_once("'shape':")?.1.split_once('(')?.1.split_once(')')?.0;
    let axes: Option<Vec<usize>> = inside
        .split(',')
        .map(str::trim)
        .filter(|s| !s.is_empty())
        .map(|s| s.trim_end_matches('L').parse().ok())
        .collect();
    axes.filter(|a| a.len() <= 8)
}

/// `<f4`, `>f8`, `|S10`, `<U6` …
fn parse_descr(descr: &str) -> Option<(bool, Element)> {
    let mut chars = descr.chars();
    let big_endian = match chars.next()? {
        '>' => true,
        '<' | '|' | '=' => false,
        _ => return None,
    };
    let kind = chars.next()?;
    let size: usize = chars.as_str().parse().ok()?;
    let element = match (kind, size) {
        ('f', 4 | 8) => Element::Float(size),
        ('i', 1 | 2 | 4 | 8) => Element::Signed(size),
        ('u' | 'b', 1) | ('u', 2 | 4 | 8) => Element::Unsigned(size),
        ('S', 1..) => Element::Bytes(size),
        ('U', 1..) => Element::Chars(size),
        _ => return None,
    };
    Some((big_endian, element))
}
