//! Text tables of XP continuous spectra in batches of rows, so that a bulk file of the Gaia archive needs little memory.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::super::error::ReadError;
use super::super::{Contents, container, stem, table};

/// Rows of a batch: some 3 MB of text.
const BATCH_ROWS: usize = 64;

/// Longest line of names with the lines above it, and longest row; a longer one is damaged. Rows have some 40 kB.
const MAX_LINE: u64 = 1 << 20;

/// A text table of XP continuous spectra, plain or gzipped, CSV or ECSV.
pub struct XpBatches<'a> {
    source: Box<dyn BufRead + Send + 'a>,
    /// The lines up to the line of names.
    header: String,
    header_lines: usize,
    /// Number of lines and of rows that were read.
    lines: usize,
    rows: usize,
}

/// A batch of rows.
pub struct XpBatch {
    /// The header of the table and the rows.
    text: String,
    /// Number of lines of the file that the text lacks, between its header and its rows.
    skipped_lines: usize,
    /// Number of rows of the table before these.
    skipped_rows: usize,
}

impl<'a> XpBatches<'a> {
    /// Opens a table; `None` for any other content.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or unpacked.
    pub fn open(file: impl Read + Send + 'a) -> io::Result<Option<Self>> {
        let mut file = BufReader::new(file);
        let source: Box<dyn BufRead + Send + 'a> = match container::is_gzip(file.fill_buf()?) {
            true => Box::new(BufReader::with_capacity(1 << 17, MultiGzDecoder::new(file))),
            false => Box::new(file),
        };
        let mut table = Self { source, header: String::new(), header_lines: 0, lines: 0, rows: 0 };
        loop {
            let mut line = Vec::new();
            let n = table.read_line(&mut line)?;
            let Ok(line) = String::from_utf8(line) else { return Ok(None) };
            table.header.push_str(line.trim_start_matches('\u{feff}'));
            let is_comment = line.trim().is_empty() || line.trim_start().starts_with('#');
            if n == 0 || !line.ends_with('\n') || table.header.len() as u64 > MAX_LINE {
                return Ok(None);
            }
            if !is_comment {
                break;
            }
        }
        table.header_lines = table.lines;
        let is_xp = table::preview_header(&table.header).is_some_and(|(names, _)| super::has_columns(names.iter()));
        Ok(is_xp.then_some(table))
    }

    /// The next rows; `None` at the end.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or unpacked; the rest of it is lost.
    pub fn next_batch(&mut self) -> io::Result<Option<XpBatch>> {
        let mut bytes = self.header.clone().into_bytes();
        let (skipped_lines, skipped_rows) = (self.lines - self.header_lines, self.rows);
        while self.rows < skipped_rows + BATCH_ROWS {
            if !self.read_row(&mut bytes)? {
                break;
            }
            self.rows += 1;
        }
        if self.rows == skipped_rows {
            return Ok(None);
        }
        let text = String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
        Ok(Some(XpBatch { text, skipped_lines, skipped_rows }))
    }

    /// Appends a row, whose quoted cells may contain line ends. False at the end of the file.
    fn read_row(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool> {
        let start = bytes.len();
        let mut n_quotes = 0;
        loop {
            let line_start = bytes.len();
            if self.read_line(bytes)? == 0 {
                return Ok(bytes.len() > start);
            }
            n_quotes += bytes[line_start..].iter().filter(|b| **b == b'"').count();
            if n_quotes % 2 == 0 || (bytes.len() - start) as u64 > MAX_LINE {
                return Ok(true);
            }
        }
    }

    /// Appends a line with its end, and returns its length. A line that is too long ends early.
    fn read_line(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        self.lines += 1;
        self.source.by_ref().take(MAX_LINE).read_until(b'\n', bytes)
    }

    /// The line of the file, from 1, that is read next.
    pub fn line(&self) -> usize {
        self.lines + 1
    }
}

impl XpBatch {
    /// Reads the spectra; rows that cannot be read are in [`Contents::skipped`]. `name` is the name of the file.
    ///
    /// # Errors
    ///
    /// If no row has as many cells as the line of names.
    pub fn read(&self, name: &str) -> Result<Contents, ReadError> {
        let mut table = table::of_text(&self.text)?;
        table.shift_lines(self.skipped_lines);
        Ok(super::read_rows(&table, &stem(name), self.skipped_rows))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn number(i: usize, row: usize) -> String {
        format!("{}", 100.0 / (i + 1) as f64 + row as f64)
    }

    /// 150 rows; row 70 has no RP, row 100 is cut, row 120 has line ends in its arrays.
    fn table() -> String {
        let mut text = "# %ECSV 1.0\n# ---\n# delimiter: ','\n# datatype:\n# - {name: source_id, datatype: int64}\n\
                        # - {name: bp_coefficients, datatype: string, subtype: 'float64[null]'}\n\
                        # - {name: rp_coefficients, datatype: string, subtype: 'float64[null]'}\n\
                        source_id,bp_coefficients,rp_coefficients\n"
            .to_string();
        for row in 0..150 {
            let separator = if row == 120 { ",\n" } else { "," };
            let array = (0..55).map(|i| number(i, row)).collect::<Vec<_>>().join(separator);
            text += &match row {
                70 => format!("{row},\"[{array}]\",null\n"),
                100 => format!("{row},\"[{array}]\"\n"),
                _ => format!("{row},\"[{array}]\",\"[{array}]\"\n"),
            };
        }
        text
    }

    fn read_all(bytes: Vec<u8>) -> Contents {
        let mut batches = XpBatches::open(io::Cursor::new(bytes)).unwrap().unwrap();
        let mut contents = Contents::default();
        while let Some(batch) = batches.next_batch().unwrap() {
            contents.add(batch.read("x.csv").unwrap());
        }
        contents
    }

    #[test]
    fn batches_are_the_table() {
        let text = table();
        let whole = crate::read::read("x.csv", text.as_bytes()).unwrap();
        assert_eq!((whole.spectra.len(), whole.skipped.len()), (148, 2));
        let in_batches = read_all(text.clone().into_bytes());
        assert_eq!(in_batches.spectra, whole.spectra);
        let skipped: Vec<&str> = in_batches.skipped.iter().map(|s| s.part.as_str()).collect();
        assert_eq!(skipped, ["70", "line 109"]);
        assert!(in_batches.skipped[0].reason.contains("line 79"), "{:?}", in_batches.skipped);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(text.as_bytes()).unwrap();
        let mut gz = gz.finish().unwrap();
        assert_eq!(read_all(gz.clone()), in_batches);
        // Names of spectra without ids count the rows of the file.
        let no_ids = text.replace("source_id", "number");
        let ids: Vec<String> = read_all(no_ids.into_bytes()).spectra.into_iter().map(|s| s.meta.id).collect();
        assert_eq!((ids[0].as_str(), ids[147].as_str()), ("x-1", "x-150"));
        // A truncated file gives its first rows, then an error.
        gz.truncate(gz.len() - 100);
        let mut batches = XpBatches::open(io::Cursor::new(gz)).unwrap().unwrap();
        assert!(batches.next_batch().unwrap().is_some());
        assert!((0..3).any(|_| batches.next_batch().is_err()));
    }

    #[test]
    fn a_table_too_large_to_unpack_has_its_own_advice() {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(table().as_bytes()).unwrap();
        gz.write_all(&vec![b'\n'; 40 << 20]).unwrap();
        let error = crate::read::read("x.csv.gz", &gz.finish().unwrap()).unwrap_err();
        assert!(matches!(error, ReadError::LargeXpTable { .. }), "{error}");
    }

    #[test]
    fn other_files_are_left_to_the_other_readers() {
        for text in
            ["", "wavelength,flux\n4000,1\n", "SIMPLE  = T", "<VOTABLE>\n", "source_id,bp_coefficients", "\u{0}\u{1}\n"]
        {
            assert!(XpBatches::open(io::Cursor::new(text.as_bytes().to_vec())).unwrap().is_none(), "{text}");
        }
        // A quote without an end takes the rest of the file, up to a limit.
        let damaged = table().replacen("\"[", "[", 1);
        assert!(read_all(damaged.into_bytes()).spectra.len() < 148);
    }
}
