//! Tables of labels that were opened, and the spectra they belong to.

use std::collections::BTreeMap;

use super::{Event, LabelTableReport, SpectrumId};
use crate::read::{Joined, LabelTable, Named, labels};
use crate::result::{Estimate, Label};

/// Most names that a report lists.
const MAX_NAMES: usize = 200;

/// Spectra in one message: the page takes it in without a pause that could be felt.
const SPECTRA_AT_ONCE: usize = 256;

/// All tables of labels, and what the page knows of them.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    tables: Vec<(String, LabelTable)>,
    told: BTreeMap<SpectrumId, Vec<Estimate>>,
    reported: Vec<LabelTableReport>,
}

impl Catalogue {
    /// Takes in tables, each with the name of its file; one of the same name and content is there already.
    pub(super) fn add(&mut self, tables: Vec<(String, LabelTable)>) {
        for table in tables {
            if !self.tables.contains(&table) {
                self.tables.push(table);
            }
        }
    }

    /// Joins every table to the spectra, each with its id and its file, and tells the page what changed. Where two tables
    /// name a spectrum, the one opened last counts.
    pub(super) fn join<'a>(
        &mut self,
        spectra: impl Iterator<Item = (SpectrumId, &'a str, &'a str)>,
        emit: &mut impl FnMut(Event),
    ) {
        if self.tables.is_empty() {
            return;
        }
        let (ids, named): (Vec<SpectrumId>, Vec<Named>) =
            spectra.map(|(id, own, file)| (id, Named { id: own, file })).unzip();
        let mut values: BTreeMap<SpectrumId, Vec<Estimate>> = BTreeMap::new();
        let mut reports = Vec::new();
        for (name, table) in &self.tables {
            let joined = labels::join(table, &named);
            for found in &joined.matched {
                values.insert(ids[found.spectrum], estimates(table, found.row));
            }
            reports.push(report(name, table, &named, &joined));
        }
        let is_new = |id, values: &[Estimate]| self.told.get(id).is_none_or(|told| !are_same(told, values));
        let changed: Vec<_> = values.iter().filter(|(id, values)| is_new(*id, values)).collect();
        for part in changed.chunks(SPECTRA_AT_ONCE) {
            emit(Event::Labelled { values: part.iter().map(|(id, values)| (**id, (*values).clone())).collect() });
        }
        self.told = values;
        if reports != self.reported {
            emit(Event::Tables { tables: reports.clone() });
            self.reported = reports;
        }
    }
}

/// Equality in which an error that is not known equals another.
fn are_same(a: &[Estimate], b: &[Estimate]) -> bool {
    let is_same = |(a, b): (&Estimate, &Estimate)| {
        let errors = a.error == b.error || (a.error.is_nan() && b.error.is_nan());
        a.label == b.label && a.value == b.value && errors
    };
    a.len() == b.len() && a.iter().zip(b).all(is_same)
}

/// The labels of one row. An error that the table does not give is NaN.
fn estimates(table: &LabelTable, row: usize) -> Vec<Estimate> {
    let cell = |column: Option<&Vec<Option<f64>>>| column.and_then(|c| c.get(row).copied().flatten());
    Label::ALL
        .into_iter()
        .filter_map(|label| {
            let value = cell(table.labels.get(label.name()))?;
            let error = cell(table.errors.get(label.name())).unwrap_or(f64::NAN);
            Some(Estimate { label, value, error })
        })
        .collect()
}

fn report(name: &str, table: &LabelTable, spectra: &[Named], joined: &Joined) -> LabelTableReport {
    let rows = &joined.rows_without_spectrum;
    LabelTableReport {
        name: name.to_string(),
        rows: table.len() as u32,
        labels: Label::ALL.into_iter().filter(|label| table.labels.contains_key(label.name())).collect(),
        matched: joined.matched.len() as u32,
        unnamed: joined.spectra_without_row.len() as u32,
        unmatched: rows.len() as u32,
        unmatched_rows: rows.iter().take(MAX_NAMES).filter_map(|row| table.id.get(*row).cloned()).collect(),
        ambiguous: joined.ambiguous.iter().take(MAX_NAMES).map(|a| spectra[a.spectrum].id.to_string()).collect(),
    }
}
