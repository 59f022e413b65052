//! Export and import of results: tables in astronomical formats, links that carry results in their fragment, and
//! session files.
//!
//! Every format is written from [`Record`]s (metadata and prediction of a spectrum), so the page and the command line
//! write the same bytes.

pub mod specclip;
pub mod citation;
pub mod csv;
pub mod curve;
pub mod ecsv;
pub mod fits;
pub mod link;
mod record;
pub mod samp;
pub mod session;
pub mod spectra;
pub mod table;
pub mod votable;
mod codec;
mod columns;

pub use record::{ModelRef, Outcome, Record, models_of, name_in, numbers, rounded};
pub use table::{Format, write};
