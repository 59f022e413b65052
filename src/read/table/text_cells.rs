//! Cells of text tables: their byte ranges, and the syntax of numbers, missing values and arrays.

use std::borrow::Cow;

use super::super::error::truncate;
use super::super::fits::parse_number;

/// Words that mean a missing value, in lower case.
const MISSING: [&str; 11] = ["", "nan", "null", "none", "--", "-", "n/a", "na", "masked", "indef", "<na>"];

/// Cells as byte ranges of a text, row by row. Each range takes 8 bytes of memory, whatever the cell contains.
#[derive(Debug)]
pub(crate) struct TextCells<'a> {
    text: Cow<'a, str>,
    ranges: Vec<(u32, u32)>,
    width: usize,
    /// The line of each row.
    lines: Vec<u32>,
}

impl<'a> TextCells<'a> {
    /// `ranges` are `rows × width` byte ranges of the text, on character boundaries. `lines` has the line of each row,
    /// from 1.
    pub(crate) fn new(text: Cow<'a, str>, ranges: Vec<(u32, u32)>, width: usize, lines: Vec<u32>) -> Self {
        Self { text, ranges, width, lines }
    }

    /// A cell without quotes and surrounding blanks; empty if it does not exist.
    pub(crate) fn cell(&self, row: usize, column: usize) -> Cow<'_, str> {
        let range = self.ranges.get(row * self.width + column);
        unquote(range.and_then(|&(from, to)| self.text.get(from as usize..to as usize)).unwrap_or(""))
    }

    /// Size of the text, bytes.
    pub(crate) fn size(&self) -> usize {
        self.text.len()
    }

    /// Moves all lines down by `n`.
    pub(crate) fn shift_lines(&mut self, n: usize) {
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        self.lines.iter_mut().for_each(|line| *line = line.saturating_add(n));
    }

    /// The line, from 1, on which a row starts.
    pub(crate) fn line(&self, row: usize) -> usize {
        self.lines.get(row).map_or(0, |line| *line as usize)
    }
}

/// A cell without surrounding blanks and double quotes; inside quotes, `""` becomes `"`.
pub(crate) fn unquote(cell: &str) -> Cow<'_, str> {
    let cell = cell.trim();
    match cell.strip_prefix('"').and_then(|c| c.strip_suffix('"')) {
        Some(inner) if inner.contains("\"\"") => Cow::Owned(inner.replace("\"\"", "\"").trim().to_string()),
        Some(inner) => Cow::Borrowed(inner.trim()),
        None => Cow::Borrowed(cell),
    }
}

/// True for a word that means a missing value.
pub(crate) fn is_missing(word: &str) -> bool {
    let word = word.trim();
    word.len() < 8 && MISSING.contains(&word.to_lowercase().as_str())
}

/// Parses a number with decimal point or comma; NaN for a missing value, `None` for any other word.
pub(crate) fn number(word: &str) -> Option<f64> {
    let with_comma = || parse_number(&word.replacen(',', ".", 1)).filter(|_| !word.contains('.'));
    parse_number(word).or_else(with_comma).or_else(|| is_missing(word).then_some(f64::NAN))
}

/// True for a cell that is an array in brackets.
pub(crate) fn is_array(cell: &str) -> bool {
    let cell = cell.trim_start_matches(['"', ' ']);
    let inner = cell.strip_prefix(['[', '(', '{']).map(|c| c.trim_start_matches(['[', '(', '{', ' ']));
    inner.is_some_and(|c| c.starts_with(|c: char| c.is_ascii_digit() || "-+.])}nN".contains(c)))
}

/// Parses an array: with square, round, curly or no brackets, separated by commas or blanks, `null` and `nan` as NaN.
///
/// # Errors
///
/// A description of the problem, with advice for the user.
pub(crate) fn array(cell: &str) -> Result<Vec<f64>, String> {
    let is_separator = |c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']' | '(' | ')' | '{' | '}');
    let mut values = Vec::new();
    for word in cell.split(is_separator) {
        match number(word) {
            _ if word.is_empty() => {}
            Some(value) => values.push(value),
            // NumPy 2 prints the numbers of a list as `np.float64(1.5)`.
            None if word.starts_with("np.") => {}
            None if word == "..." || word == "…" => {
                return Err(
                    "the array was abbreviated with “...” when it was printed; export the table as FITS or ECSV".into(),
                );
            }
            None => {
                return Err(format!("“{}” is not a number; correct it, or export the table as FITS", truncate(word)));
            }
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_in_every_notation() {
        for cell in [
            "[1.5, 2, -3e-4]",
            "(1.5,2.0,-0.0003)",
            "[1.5  2.\n -3.0D-4]",
            "1.5 2 -3E-4",
            "{1.5,2,-3E-4}",
            "(np.float64(1.5), np.float64(2.0), np.float64(-0.0003))",
        ] {
            assert_eq!(array(cell), Ok(vec![1.5, 2.0, -3e-4]), "{cell}");
        }
        let gaps = array("[1, null, NaN, None, --]").unwrap_or_default();
        assert!(gaps.len() == 5 && gaps[0] == 1.0 && gaps[1..].iter().all(|v| v.is_nan()), "{gaps:?}");
        assert!(array("[1 2 ... 9]").is_err_and(|e| e.contains("abbreviated")));
        assert!(array("[1, two]").is_err_and(|e| e.contains("two")));
        assert_eq!(array("[]"), Ok(vec![]));
    }

    #[test]
    fn cells_with_an_array() {
        assert!(
            is_array("\"[1,2]\"") && is_array("(1.0, 2)") && is_array("[nan]") && is_array("[-1]") && is_array("{1,2}")
        );
        assert!(!is_array("[Fe/H]") && !is_array("1.5") && !is_array("") && !is_array("star (a)"));
    }
}
