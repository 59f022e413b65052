//! Binary serialisations of `VOTable`: rows of big-endian cells of fixed or variable length (`VOTable` 1.4, §5.3 and §5.4).

use super::super::fits::{Number, Scaling};
use super::Numbers;

/// Data type of a field.
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
    /// The primitive with this name in the datatype of a FIELD.
    pub(crate) fn from_datatype(datatype: &str) -> Option<Self> {
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

    /// True for characters; an array of characters is one text value.
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

/// Number of values in a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Count {
    Fixed(usize),
    /// The number is stored in four bytes before the cell.
    Variable,
}

impl Count {
    /// Parses an `arraysize`: `343`, `2x3`, `*`, `10*`; empty means 1. `None` for any other text.
    pub(crate) fn from_arraysize(arraysize: &str) -> Option<Self> {
        let size = arraysize.trim();
        if size.is_empty() {
            return Some(Self::Fixed(1));
        }
        if size.ends_with('*') {
            // For `2x*`, implementations disagree on the meaning of the stored count.
            return (!size.contains('x')).then_some(Self::Variable);
        }
        let product = size.split('x').try_fold(1usize, |all, n| all.checked_mul(n.trim().parse().ok()?));
        product.map(Self::Fixed)
    }
}

/// Byte range of a cell; `is_null` if BINARY2 marks the cell as null.
#[derive(Debug, Clone, Copy)]
struct CellRange {
    from: u32,
    to: u32,
    is_null: bool,
}

/// Decoded rows.
#[derive(Debug)]
pub(crate) struct Stream {
    bytes: Vec<u8>,
    ranges: Vec<CellRange>,
    primitives: Vec<Primitive>,
    blanks: Vec<Option<i64>>,
}

impl Stream {
    /// Splits a stream into cells; also returns the number of rows.
    ///
    /// With `has_null_flags`, every row starts with one bit per field that marks null cells (BINARY2). `blanks` are the
    /// integers that mean a missing value, one per field.
    ///
    /// # Errors
    ///
    /// A description of the problem.
    pub(crate) fn split(
        bytes: Vec<u8>,
        fields: &[(Primitive, Count)],
        blanks: Vec<Option<i64>>,
        has_null_flags: bool,
    ) -> Result<(Self, usize), String> {
        let truncated_error = || "it ends in the middle of a row; download the file again".to_string();
        u32::try_from(bytes.len()).map_err(|_| "it is larger than 4 GiB; split the table".to_string())?;
        let mut ranges = Vec::new();
        let (mut position, mut rows) = (0, 0);
        while position < bytes.len() && !fields.is_empty() {
            let row_start = position;
            let mask = if has_null_flags { fields.len().div_ceil(8) } else { 0 };
            let flags =
                position..position.checked_add(mask).filter(|end| *end <= bytes.len()).ok_or_else(truncated_error)?;
            position = flags.end;
            for (i, (primitive, count)) in fields.iter().enumerate() {
                let count = match count {
                    Count::Fixed(n) => *n,
                    Count::Variable => {
                        let n = bytes
                            .get(position..position + 4)
                            .and_then(|b| Number::I32.integer(b))
                            .ok_or_else(truncated_error)?;
                        position += 4;
                        usize::try_from(n).map_err(|_| "an array has a negative length".to_string())?
                    }
                };
                let length = primitive.bytes(count).ok_or_else(truncated_error)?;
                let end = position.checked_add(length).filter(|end| *end <= bytes.len()).ok_or_else(truncated_error)?;
                let is_null = has_null_flags && bytes[flags.start + i / 8] >> (7 - i % 8) & 1 == 1;
                ranges.push(CellRange { from: position as u32, to: end as u32, is_null });
                position = end;
            }
            if position == row_start {
                return Err("its rows have no bytes; export the table again".into());
            }
            rows += 1;
            if ranges.len() > bytes.len() {
                return Err("most of its fields have no bytes; export the table again".into());
            }
        }
        let primitives = fields.iter().map(|f| f.0).collect();
        Ok((Self { bytes, ranges, primitives, blanks }, rows))
    }

    fn cell(&self, row: usize, column: usize) -> Option<(Primitive, Scaling, &[u8])> {
        let primitive = *self.primitives.get(column)?;
        let range = self.ranges.get(row * self.primitives.len() + column).filter(|p| !p.is_null)?;
        let blank = self.blanks.get(column).copied().flatten();
        Some((primitive, Scaling::plain(blank), self.bytes.get(range.from as usize..range.to as usize)?))
    }

    /// Size of all rows, bytes.
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

    /// The numbers of a cell; empty if it is null.
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
        let result = Stream::split(vec![b'T'; 100], &fields, vec![None; 4], false);
        assert!(result.is_err_and(|problem| problem.contains("have no bytes")));
        let (_, rows) =
            Stream::split(vec![b'T'; 100], &[byte; 2], vec![None; 2], false).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(rows, 50);
    }
}
