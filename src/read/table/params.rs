//! Metadata of a table: FITS header keywords, `VOTable` PARAMs, IPAC keywords, ECSV metadata.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::fits::{Header, parse_number};

/// Names that the readers use, in lower case. Other names are dropped to save memory: headers may have tens of
/// thousands, and every table of a file stores the keywords of the whole file.
const USED_NAMES: [&str; 38] = [
    "airorvac",
    "cunit",
    "cunit1",
    "dbtable",
    "dec",
    "dmodcls",
    "eso drs berv",
    "fwhm",
    "helio",
    "instrmnt",
    "medium",
    "pos",
    "publishe",
    "publisher",
    "pyp_spec",
    "r",
    "ra",
    "refframe",
    "resoluti",
    "resolution",
    "resolve",
    "respower",
    "rest_cor",
    "sampling",
    "sdss_id",
    "source_id",
    "sourceid",
    "spatiallocation",
    "spec_res",
    "specres",
    "specsys",
    "telescop",
    "tng drs berv",
    "v_astra",
    "vacuum",
    "vel_type",
    "wavemed",
    "xsl_id",
];

/// Named values as text; upper and lower case of names are equal. If a name occurs twice, the first value counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(BTreeMap<&'static str, Arc<str>>);

impl Params {
    /// Adds a value, unless its name exists already or is not in [`USED_NAMES`].
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        if let Some(name) = used_name(name) {
            self.0.entry(name).or_insert_with(|| value.into());
        }
    }

    /// Adds all values of `others` whose names do not exist yet.
    pub(crate) fn fill(&mut self, others: &Self) {
        for (name, value) in &others.0 {
            self.0.entry(name).or_insert_with(|| value.clone());
        }
    }

    /// The keywords of a header.
    pub(crate) fn of_header(header: &Header) -> Self {
        let mut params = Self::default();
        for name in USED_NAMES {
            if let Some(value) = header.value_text(&name.to_uppercase()) {
                params.add(name, &value);
            }
        }
        params
    }

    /// The keywords of an HDU, then the keywords of the primary header for all names that the HDU lacks.
    pub(crate) fn of_headers(header: &Header, primary: &Self) -> Self {
        let mut params = Self::of_header(header);
        params.fill(primary);
        params
    }

    /// A value without surrounding blanks; `None` if absent or empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        debug_assert!(used_name(name).is_some(), "{name} is not in USED_NAMES");
        self.0.get(used_name(name)?).map(|v| v.trim()).filter(|v| !v.is_empty())
    }

    /// The number of the first of several names with a finite number.
    pub(crate) fn number(&self, names: &[&str]) -> Option<f64> {
        names.iter().find_map(|name| parse_number(self.text(name)?).filter(|v| v.is_finite()))
    }

    /// True or false, in the spelling of FITS, XML or YAML, or as 1 and 0.
    pub(crate) fn logical(&self, name: &str) -> Option<bool> {
        match self.text(name)?.to_lowercase().as_str() {
            "t" | "true" | "1" | "y" | "yes" => Some(true),
            "f" | "false" | "0" | "n" | "no" => Some(false),
            _ => None,
        }
    }
}

fn used_name(name: &str) -> Option<&'static str> {
    USED_NAMES.into_iter().find(|used| used.eq_ignore_ascii_case(name.trim()))
}
