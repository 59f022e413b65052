//! The binary serialisations of VOTable: rows of big-endian cells, some of variable length (VOTable 1.4, §5.3 and §5.4).

use super::super::fits::{Number, Scaling};
use super::Numbers;

/// What a field stores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Primitive {
    Numbers(Number),
    Boolean,
    Bits,
    /// Characters of one byte.
    Chars,
    /// Characters of two bytes (UCS-2).
    WideChars,
    /// Complex numbers of 8 or 16 bytes.
    Complex(usize),
}

impl Primitive {
    /// The primitive that a FIELD's datatype names.
    pub(crate) fn of(datatype: &str) -> Option<Self> {
        Some(match datatype {
            "boolean" => Self::Boolean,
            "bit" => Self::Bits,
            "unsignedByte" => Self::Numbers(Number::U8),
            "short" => Self::Numbers(Number::I16),
            "int" => Self::Numbers(Number::I32),
            "long" => Self::Numbers(Number::I64),
            "float" => Self::Numbers(Number::F32),
            "double" => Self::Numbers(Number::F64),
            "char" => Self::Chars,
            "unicodeChar" => Self::WideChars,
            "floatComplex" => Self::Complex(8),
            "doubleComplex" => Self::Complex(16),
            _ => return None,
        })
    }

    /// True when cells hold text, so that an array of them is one value.
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Chars | Self::WideChars)
    }

    fn bytes(self, count: usize) -> Option<usize> {
        match self {
            Self::Numbers(number) => count.checked_mul(number.width()),
            Self::Boolean | Self::Chars => Some(count),
            Self::Bits => Some(count.div_ceil(8)),
            Self::WideChars => count.checked_mul(2),
            Self::Complex(width) => count.checked_mul(width),
        }
    }
}

/// How many values a cell has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Count {
    Fixed(usize),
    /// As many as four bytes before it say.
    Variable,
}

impl Count {
    /// The count that an `arraysize` gives: `343`, `2x3`, `*`, `10*`; an empty one is 1. `None` if it is none of these.
    pub(crate) fn of(arraysize: &str) -> Option<Self> {
        let size = arraysize.trim();
        if size.is_empty() {
            return Some(Self::Fixed(1));
        }
        if size.ends_with('*') {
            // Of `2x*` it is disputed what is counted.
            return (!size.contains('x')).then_some(Self::Variable);
        }
        let product = size.split('x').try_fold(1usize, |all, n| all.checked_mul(n.trim().parse().ok()?));
        product.map(Self::Fixed)
    }
}

/// Where the bytes of a cell are; `null` when BINARY2 says it has none.
#[derive(Debug, Clone, Copy)]
struct Place {
    from: u32,
    to: u32,
    null: bool,
}

/// Decoded rows.
#[derive(Debug)]
pub(crate) struct Stream {
    bytes: Vec<u8>,
    places: Vec<Place>,
    primitives: Vec<Primitive>,
    blanks: Vec<Option<i64>>,
}

impl Stream {
    /// Cuts a stream into cells. `nulls`: every row begins with one bit a field that says whether it has a value (BINARY2).
    ///
    /// # Errors
    ///
    /// What is wrong with the stream.
    pub(crate) fn cut(
        bytes: Vec<u8>,
        fields: &[(Primitive, Count)],
        blanks: Vec<Option<i64>>,
        nulls: bool,
    ) -> Result<(Self, usize), String> {
        let short = || "it ends in the middle of a row; download the file again".to_string();
        u32::try_from(bytes.len()).map_err(|_| "it is larger than 4 GiB; cut the table into several".to_string())?;
        let mut places = Vec::new();
        let (mut at, mut rows) = (0, 0);
        while at < bytes.len() && !fields.is_empty() {
            let row_at = at;
            let mask = if nulls { fields.len().div_ceil(8) } else { 0 };
            let flags = at..at.checked_add(mask).filter(|end| *end <= bytes.len()).ok_or_else(short)?;
            at = flags.end;
            for (i, (primitive, count)) in fields.iter().enumerate() {
                let count = match count {
                    Count::Fixed(n) => *n,
                    Count::Variable => {
                        let n = bytes.get(at..at + 4).and_then(|b| Number::I32.integer(b)).ok_or_else(short)?;
                        at += 4;
                        usize::try_from(n).map_err(|_| "an array has a negative length".to_string())?
                    }
                };
                let length = primitive.bytes(count).ok_or_else(short)?;
                let end = at.checked_add(length).filter(|end| *end <= bytes.len()).ok_or_else(short)?;
                let null = nulls && bytes[flags.start + i / 8] >> (7 - i % 8) & 1 == 1;
                places.push(Place { from: at as u32, to: end as u32, null });
                at = end;
            }
            if at == row_at {
                return Err("its rows have no bytes; export the table again".into());
            }
            rows += 1;
            if places.len() > bytes.len() {
                return Err("most of its fields have no bytes; export the table again".into());
            }
        }
        let primitives = fields.iter().map(|f| f.0).collect();
        Ok((Self { bytes, places, primitives, blanks }, rows))
    }

    fn cell(&self, row: usize, column: usize) -> Option<(Primitive, Scaling, &[u8])> {
        let primitive = *self.primitives.get(column)?;
        let place = self.places.get(row * self.primitives.len() + column).filter(|p| !p.null)?;
        let blank = self.blanks.get(column).copied().flatten();
        Some((primitive, Scaling::plain(blank), self.bytes.get(place.from as usize..place.to as usize)?))
    }

    /// Bytes of all rows.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// A cell as text, see [`super::Table::text`].
    pub(crate) fn text(&self, row: usize, column: usize) -> Option<String> {
        let (primitive, scaling, bytes) = self.cell(row, column)?;
        let text = match primitive {
            Primitive::Chars => String::from_utf8_lossy(bytes).into_owned(),
            Primitive::WideChars => {
                let units = bytes.chunks_exact(2).map(|b| u16::from_be_bytes([b[0], b[1]]));
                char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect()
            }
            Primitive::Numbers(number) => {
                let first = bytes.get(..number.width())?;
                match scaling.exact(number, first) {
                    Some(exact) => exact.to_string(),
                    None => Some(scaling.value(number, first)).filter(|v| v.is_finite())?.to_string(),
                }
            }
            Primitive::Boolean => match bytes.first()? {
                b'T' | b't' | b'1' => "true".into(),
                b'F' | b'f' | b'0' => "false".into(),
                _ => return None,
            },
            Primitive::Bits | Primitive::Complex(_) => return None,
        };
        let text = text.trim_matches(['\0', ' ', '\n', '\r', '\t']);
        (!text.is_empty()).then(|| text.to_string())
    }

    /// The numbers of a cell; empty when it is null.
    pub(crate) fn numbers(&self, row: usize, column: usize) -> Numbers {
        match self.cell(row, column) {
            None => Ok(Vec::new()),
            Some((Primitive::Numbers(number), scaling, bytes)) => Ok(scaling.decode(number, bytes)),
            Some((Primitive::Bits, _, bytes)) => Ok(bytes.iter().map(|b| f64::from(*b)).collect()),
            Some((primitive, ..)) if primitive.is_text() => {
                super::text_cells::array(&self.text(row, column).unwrap_or_default())
            }
            Some(_) => Err("its cells are not plain numbers".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_without_bytes_make_no_table_larger_than_its_file() {
        let byte = (Primitive::Boolean, Count::Fixed(1));
        let mut fields = vec![(Primitive::Chars, Count::Fixed(0)); 3];
        fields.push(byte);
        let refused = Stream::cut(vec![b'T'; 100], &fields, vec![None; 4], false);
        assert!(refused.is_err_and(|why| why.contains("have no bytes")));
        let (_, rows) =
            Stream::cut(vec![b'T'; 100], &[byte; 2], vec![None; 2], false).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(rows, 50);
    }
}
