//! What a file says beside its columns: header keywords, VOTable PARAMs, ECSV metadata.

use std::collections::BTreeMap;

use super::super::fits::{Header, parse_number};

/// Named values as text, found by their name in any case. Of a name that comes twice, the first value counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(BTreeMap<String, String>);

impl Params {
    /// Adds a value unless its name is there already.
    pub(crate) fn add(&mut self, name: &str, value: impl Into<String>) {
        self.0.entry(name.trim().to_lowercase()).or_insert_with(|| value.into());
    }

    /// Takes over what is not there yet.
    pub(crate) fn fill(&mut self, others: &Params) {
        for (name, value) in &others.0 {
            self.add(name, value.as_str());
        }
    }

    /// The keywords of headers; where two have the same, that of the first counts.
    pub(crate) fn of_headers(headers: &[&Header]) -> Self {
        let mut params = Self::default();
        for (name, value) in headers.iter().flat_map(|h| h.pairs()) {
            params.add(name, value);
        }
        params
    }

    /// A value, trimmed; `None` if absent or empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(&name.to_lowercase()).map(|v| v.trim()).filter(|v| !v.is_empty())
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
