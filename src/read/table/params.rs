//! What a file says beside its columns: header keywords, VOTable PARAMs, ECSV metadata.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::fits::{Header, parse_number};

/// Names that some reader asks for, in lower case. Others are not kept: headers may have tens of thousands, and every table
/// of a file has those of the whole file.
const KNOWN: [&str; 22] = [
    "airorvac",
    "dec",
    "fwhm",
    "medium",
    "pos",
    "publishe",
    "publisher",
    "r",
    "ra",
    "resoluti",
    "resolution",
    "resolve",
    "respower",
    "sampling",
    "source_id",
    "sourceid",
    "spatiallocation",
    "spec_res",
    "specres",
    "specsys",
    "vacuum",
    "wavemed",
];

/// Named values as text, found by their name in any case. Of a name that comes twice, the first value counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(BTreeMap<&'static str, Arc<str>>);

impl Params {
    /// Adds a value unless its name is there already, or nobody asks for it.
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        if let Some(name) = known(name) {
            self.0.entry(name).or_insert_with(|| value.into());
        }
    }

    /// Takes over what is not there yet.
    pub(crate) fn fill(&mut self, others: &Params) {
        for (name, value) in &others.0 {
            self.0.entry(name).or_insert_with(|| value.clone());
        }
    }

    /// The keywords of a header.
    pub(crate) fn of_header(header: &Header) -> Self {
        let mut params = Self::default();
        for name in KNOWN {
            if let Some(value) = header.shown(&name.to_uppercase()) {
                params.add(name, &value);
            }
        }
        params
    }

    /// The keywords of an HDU, then those of the file.
    pub(crate) fn of_headers(own: &Header, primary: &Params) -> Self {
        let mut params = Self::of_header(own);
        params.fill(primary);
        params
    }

    /// A value, trimmed; `None` if absent or empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        debug_assert!(known(name).is_some(), "{name} is not kept");
        self.0.get(known(name)?).map(|v| v.trim()).filter(|v| !v.is_empty())
    }

    /// The first of several names that has a finite number.
    pub(crate) fn number(&self, names: &[&str]) -> Option<f64> {
        names.iter().find_map(|name| parse_number(self.text(name)?).filter(|v| v.is_finite()))
    }

    /// True or false, as FITS, XML or YAML write it.
    pub(crate) fn logical(&self, name: &str) -> Option<bool> {
        match self.text(name)?.to_lowercase().as_str() {
            "t" | "true" => Some(true),
            "f" | "false" => Some(false),
            _ => None,
        }
    }
}

fn known(name: &str) -> Option<&'static str> {
    KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(name.trim()))
}
