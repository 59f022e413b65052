//! `NumPy`'s `.npy` arrays of numbers or fixed-width strings, in C order (NEP 1, format versions 1–3).

use super::error::ReadError;

/// An array of a bundle, as undecoded bytes.
#[derive(Debug)]
pub struct ArrayFile {
    /// Name of the array: its file name in the bundle, without `.npy`.
    pub name: String,
    /// The whole `.npy` file.
    pub bytes: Vec<u8>,
}

/// Type of one element; the number is its size in bytes unless stated otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Element {
    Float(usize),
    Signed(usize),
    Unsigned(usize),
    /// String with this number of bytes.
    Bytes(usize),
    /// String with this number of UTF-32 characters.
    Chars(usize),
}

impl Element {
    fn width(self) -> usize {
        match self {
            Self::Float(n) | Self::Signed(n) | Self::Unsigned(n) | Self::Bytes(n) => n,
            Self::Chars(n) => n.saturating_mul(4),
        }
    }
}

/// The header of an array.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ArrayHeader {
    /// Length of each axis, the slowest first; empty for a scalar.
    pub shape: Vec<usize>,
    element: Element,
    big_endian: bool,
    /// Length of the header, bytes; the data follow.
    pub header_bytes: usize,
}

/// Longest header that is read, bytes. `NumPy` writes some hundred.
pub(crate) const MAX_HEADER_BYTES: usize = 1 << 16;

impl ArrayHeader {
    /// Parses the header from the first bytes of a `.npy` file, at least [`MAX_HEADER_BYTES`] of a longer one. `name` is
    /// the name of the array in messages.
    pub(crate) fn parse(name: &str, bytes: &[u8]) -> Result<Self, ReadError> {
        let bundle_error = |problem: &str| ReadError::Bundle {
            array: name.to_string(),
            problem: format!("{problem}; save it again with numpy.savez"),
        };
        if !bytes.starts_with(b"\x93NUMPY") {
            return Err(bundle_error("it does not begin like a NumPy array"));
        }
        let (header_start, length) = match (bytes.get(6), bytes.get(8..12)) {
            (Some(1), Some(n)) => (10, usize::from(u16::from_le_bytes([n[0], n[1]]))),
            (Some(2 | 3), Some(n)) => (12, u32::from_le_bytes([n[0], n[1], n[2], n[3]]) as usize),
            _ => return Err(bundle_error("its version is unknown or its header is truncated")),
        };
        let end = header_start + length.min(bytes.len());
        let header = bytes.get(header_start..end).ok_or_else(|| bundle_error("its header is truncated"))?;
        let header = String::from_utf8_lossy(header);
        let (big_endian, element) = field(&header, "descr")
            .and_then(|d| parse_descr(d.trim_matches(['\'', '"'])))
            .ok_or_else(|| bundle_error("its elements are neither numbers nor plain strings"))?;
        let shape = parse_shape(&header).ok_or_else(|| bundle_error("its shape cannot be understood"))?;
        if field(&header, "fortran_order") == Some("True") && shape.len() > 1 {
            return Err(bundle_error("it is in Fortran order; wrap it in numpy.ascontiguousarray"));
        }
        Ok(Self { shape, element, big_endian, header_bytes: end })
    }

    /// Checks that the stated shape has data of at least one byte an element within the `.npy` file of `file_bytes`
    /// bytes. Nothing is allocated from a shape that was not checked.
    pub(crate) fn check_size(&self, name: &str, file_bytes: u64) -> Result<(), ReadError> {
        let available = file_bytes.saturating_sub(self.header_bytes as u64);
        let size = self.shape.iter().try_fold(self.element.width(), |size, n| size.checked_mul(*n));
        match size {
            Some(size) if self.element.width() > 0 && available >= size as u64 => Ok(()),
            _ => Err(ReadError::Bundle {
                array: name.to_string(),
                problem: "its data are shorter than its header states; save it again with numpy.savez".into(),
            }),
        }
    }

    /// Number of elements.
    pub(crate) fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Size of an element, bytes.
    pub(crate) fn width(&self) -> usize {
        self.element.width()
    }

    /// True for 32-bit floats.
    pub(crate) fn is_f32(&self) -> bool {
        self.element == Element::Float(4)
    }

    /// The elements in `data`, as a one-dimensional array.
    pub(crate) fn list<'a>(&self, data: &'a [u8]) -> Array<'a> {
        let shape = vec![data.len() / self.element.width().max(1)];
        Array { shape, element: self.element, big_endian: self.big_endian, data }
    }
}

/// An array whose stated size was checked against the available bytes.
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
        let header = ArrayHeader::parse(&self.name, &self.bytes)?;
        header.check_size(&self.name, self.bytes.len() as u64)?;
        let size = header.elements() * header.width();
        Ok(Array {
            shape: header.shape,
            element: header.element,
            big_endian: header.big_endian,
            data: &self.bytes[header.header_bytes..header.header_bytes + size],
        })
    }
}

impl Array<'_> {
    /// `count` numbers from index `start`; `None` for strings or beyond the end.
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

    /// The elements of a one-dimensional or scalar array of strings or integers, as text; `None` for other arrays.
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

/// The value of `key` in the Python dictionary of the header, up to the next comma.
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

/// Byte order (true: big-endian) and element type of a `descr`: `<f4`, `>f8`, `|S10`, `<U6` …
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
