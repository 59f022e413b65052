//! Why a file could not be read.

use thiserror::Error;

use crate::spectrum::SpectrumError;

/// Why a file, or a part of it, gave no spectrum. The text says what was being done, where in the file, and what to do
/// about it; the file's name is added by whoever knows it.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs)]
pub enum ReadError {
    #[error("the file is empty; download or export it again")]
    Empty,

    #[error(
        "not a format that Specola reads; it takes LAMOST, SDSS, DESI and one-dimensional FITS, Gaia XP and SPARCL tables, \
         columns of wavelength and flux in text, FITS, ECSV, VOTable or IPAC, and .npz bundles, each also in .gz or .zip"
    )]
    Unrecognised,

    #[error("this is {what}, which Specola does not read; {instead}")]
    Foreign { what: &'static str, instead: &'static str },

    #[error("this is a table of labels, not a spectrum; the page joins it to spectra that are dropped there")]
    LabelTable,

    #[error("reading the table of labels: {0}")]
    Labels(Box<super::LabelError>),

    #[error("unpacking {part}: {problem}; download the file again, or unpack it yourself and give the contents")]
    Unpack { part: String, problem: String },

    #[error(
        "unpacking {part}: more than {limit_mib} MiB, or packed too densely to be spectra; unpack it yourself and give the contents"
    )]
    TooLarge { part: String, limit_mib: usize },

    #[error("unpacking {part}: archives within archives are not opened twice; unpack the inner one yourself")]
    Nested { part: String },

    #[error("reading the FITS header of HDU {hdu}: {problem}; the file is damaged or cut short, download it again")]
    FitsHeader { hdu: usize, problem: String },

    #[error(
        "reading the FITS header of HDU {hdu}: keyword {keyword} {problem}; mend the keyword or download the file again"
    )]
    FitsKeyword { hdu: usize, keyword: String, problem: String },

    #[error(
        "reading the FITS file: it has more than {limit} HDUs, as no file of spectra has; take out the ones with spectra"
    )]
    TooManyHdus { limit: usize },

    #[error(
        "reading the data of HDU {hdu}: its header promises {promised} bytes but {present} follow; the file is cut short, download it again"
    )]
    FitsTruncated { hdu: usize, promised: u64, present: u64 },

    #[error(
        "reading column {column} of HDU {hdu}: {problem}; export the table with wavelength and flux as plain numbers"
    )]
    FitsColumn { hdu: usize, column: String, problem: String },

    #[error(
        "no spectrum in this FITS file (it has {found}); give a one-dimensional image with CRVAL1 and CDELT1, or a table \
         with wavelength and flux columns"
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

/// What a file says, short enough for a message.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

impl ReadError {
    /// [`ReadError::Samples`] for a place in the file.
    pub(crate) fn samples(place: impl Into<String>) -> impl FnOnce(SpectrumError) -> ReadError {
        let place = place.into();
        move |source| ReadError::Samples { place, source }
    }
}
