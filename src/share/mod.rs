//! Taking results away, and bringing them back: tables in astronomers' formats, links that carry results in their
//! fragment, and session files.
//!
//! Everything here starts from [`Record`]s, what is known of a spectrum and what was answered, so that page and command
//! line write the same bytes.

pub mod catalogue;
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
mod wire;

pub use record::{Answer, ModelRef, Record, models_of, name_in, numbers, rounded};
pub use table::{Format, write};
