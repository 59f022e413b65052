//! Look-alikes of spectra, spectra in the other survey, and how odd they are.

pub mod encode;
pub mod library;
pub mod translate;
