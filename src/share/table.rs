//! Tables of results as bytes, in every format.

use super::{Record, csv, ecsv, fits, votable};
use crate::result::Label;

/// File format of a table of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Only the columns of the command line's CSV table.
    Csv,
    /// All columns with units, models and processing history, as astropy's enhanced CSV.
    Ecsv,
    /// `VOTable` 1.4.
    VoTable,
    /// A FITS binary table.
    Fits,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::Csv, Self::Ecsv, Self::VoTable, Self::Fits];

    /// Name of the format on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ecsv => "ecsv",
            Self::VoTable => "votable",
            Self::Fits => "fits",
        }
    }

    /// Extension of the file name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::VoTable => "vot",
            other => other.name(),
        }
    }

    /// Media type.
    pub fn mime(self) -> &'static str {
        match self {
            Self::Csv => "text/csv",
            Self::Ecsv => "text/plain",
            Self::VoTable => "application/x-votable+xml",
            Self::Fits => "application/fits",
        }
    }
}

/// Writes the table as the bytes of a file.
pub fn write(format: Format, records: &[Record], labels: &[Label]) -> Vec<u8> {
    match format {
        Format::Csv => csv::table(records, labels).into_bytes(),
        Format::Ecsv => ecsv::table(records, labels).into_bytes(),
        Format::VoTable => votable::table(records, labels),
        Format::Fits => fits::table(records, labels),
    }
}
