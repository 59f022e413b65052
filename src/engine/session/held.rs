//! A spectrum as the engine holds it: under what the user says of it, and where it can be read again.

use std::borrow::Cow;
use std::rc::Rc;

use crate::engine::Assumptions;
use crate::engine::dropped::File;
use crate::spectrum::Spectrum;

/// Where a spectrum can be read again.
pub(super) struct Origin<F> {
    pub(super) file: Rc<File<F>>,
    /// Which file of a zip.
    pub(super) entry: Option<usize>,
    /// Which spectrum of that.
    pub(super) index: usize,
}

/// A spectrum, and what the user said about it.
pub(super) struct Held<F> {
    /// Its own name, from its file.
    pub(super) name: String,
    pub(super) origin: Origin<F>,
    pub(super) assumptions: Assumptions,
    /// As it was read; `None` when its samples were let go.
    pub(super) spectrum: Option<Spectrum>,
}

impl<F> Held<F> {
    /// The spectrum under what the user says, if its samples are there.
    pub(super) fn assumed(&self) -> Option<Cow<'_, Spectrum>> {
        let spectrum = self.spectrum.as_ref()?;
        let is_as_read = self.assumptions == Assumptions::default();
        Some(if is_as_read {
            Cow::Borrowed(spectrum)
        } else {
            Cow::Owned(self.assumptions.applied_to(spectrum.clone()))
        })
    }

    pub(super) fn bytes(&self) -> usize {
        self.spectrum.as_ref().map_or(0, Spectrum::bytes)
    }
}
