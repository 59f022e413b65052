//! Errors of the readers.

use thiserror::Error;

use crate::spectrum::SpectrumError;

/// The reason why a file, or a part of a file, could not be read.
///
/// The text names the failed step, the place in the file and the remedy. The caller adds the name of the file.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum ReadError {
    #[error("the file is empty; download or export it again")]
    Empty,

    #[error(
        "not a format that Specola reads; it takes LAMOST, SDSS, DESI and one-dimensional FITS, Gaia XP and SPARCL tables, \
         columns of wavelength and flux in text, FITS, ECSV, VOTable or IPAC, and .npz bundles, each also in .gz or .zip"
    )]
    Unrecognised,

    #[error("this is {format}, which Specola does not read; {advice}")]
    Unsupported { format: &'static str, advice: &'static str },

    #[error(
        "this is a label table, not a spectrum; open it together with its spectra on the page, or give it to specola finetune as --labels"
    )]
    LabelTable,

    #[error("{0}")]
    Labels(Box<LabelError>),

    #[error("unpacking {part}: {problem}; download the file again, or unpack it yourself and give the contents")]
    Unpack { part: String, problem: String },

    #[error(
        "unpacking {part}: more than {limit_mib} MiB, or a compression ratio too high for spectra; unpack it and give the contents"
    )]
    TooLarge { part: String, limit_mib: usize },

    #[error(
        "unpacking this table of Gaia XP coefficients: more than {limit_mib} MiB; give it to the command-line program, which reads it \
         in batches, or split it"
    )]
    LargeXpTable { limit_mib: usize },

    #[error("unpacking {part}: nested archives are not supported; unpack the inner archive first")]
    Nested { part: String },

    #[error("reading the FITS header of HDU {hdu}: {problem}; the file is damaged or truncated, download it again")]
    FitsHeader { hdu: usize, problem: String },

    #[error(
        "reading the FITS header of HDU {hdu}: keyword {keyword} {problem}; correct the keyword or download the file again"
    )]
    FitsKeyword { hdu: usize, keyword: String, problem: String },

    #[error("reading the FITS file: it has more than {limit} HDUs; copy the HDUs with spectra to a new file")]
    TooManyHdus { limit: usize },

    #[error(
        "reading the data of HDU {hdu}: the header states {expected} bytes, but only {available} exist; the file is truncated, download it again"
    )]
    FitsTruncated { hdu: usize, expected: u64, available: u64 },

    #[error(
        "reading column {column} of HDU {hdu}: {problem}; export the table with wavelength and flux as plain numbers"
    )]
    FitsColumn { hdu: usize, column: String, problem: String },

    #[error(
        "no spectrum in this FITS file (it has {found}); give a one-dimensional image whose header states the wavelengths \
         (CRVAL1, CDELT1 or CD1_1), or a table with columns named wavelength and flux"
    )]
    NoSpectrum { found: String },

    #[error("reading {place}: {problem}")]
    Layout { place: String, problem: String },

    #[error("reading column {column} of {place}, {row}: {problem}")]
    Cell { place: String, column: String, row: String, problem: String },

    #[error("reading line {line}: {problem}")]
    Text { line: usize, problem: String },

    #[error("reading array {array} of the bundle: {problem}")]
    Bundle { array: String, problem: String },

    #[error("the samples in {place} are not a spectrum: {source}")]
    Samples { place: String, source: SpectrumError },
}

/// The reason why a label table could not be read.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum LabelError {
    #[error("the label table is empty; give a table with a line of names and a row for each star")]
    Empty,
    #[error(
        "the label table has no id column among {found}; name it id, obsid, source_id, targetid, name or file, or give plate, mjd and fiberid"
    )]
    NoId { found: String },
    #[error(
        "line {line} of the label table has {found} cells, but the header has {expected}; correct the line, or quote cells that contain commas"
    )]
    Ragged { line: usize, found: usize, expected: usize },
    #[error("{row} of the label table: {column} is “{cell}”, not a number; correct it or leave it empty")]
    NotANumber { row: String, column: String, cell: String },
    #[error("the label table is too large ({rows} rows × {columns} columns); remove unused columns")]
    TooLarge { rows: usize, columns: usize },
    #[error("the label table cannot be read: {0}")]
    Unreadable(#[from] ReadError),
}

/// Text from a file, truncated for a message.
pub(crate) fn truncate(text: &str) -> String {
    const MAX_CHARS: usize = 60;
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

impl ReadError {
    /// [`ReadError::Samples`] for a place in the file.
    pub(crate) fn samples(place: impl Into<String>) -> impl FnOnce(SpectrumError) -> Self {
        let place = place.into();
        move |source| Self::Samples { place, source }
    }
}
