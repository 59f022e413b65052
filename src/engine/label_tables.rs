//! Label tables, and their rows joined to the spectra.

use std::collections::{BTreeMap, BTreeSet};

use super::protocol::{Event, FinetuneEvent, LabelColumn, LabelTableReport, SpectraEvent, SpectrumId};
use crate::read::{JoinResult, LabelTable, SpectrumName, labels};
use crate::result::finetune::Cell;
use crate::result::{Estimate, Label};

/// Largest number of names in a report.
const MAX_NAMES: usize = 200;

/// Spectra per message: few enough that the page does not pause.
const SPECTRA_AT_ONCE: usize = 256;

/// All label tables, and the values that were sent to the page.
#[derive(Debug, Default)]
pub(super) struct LabelTables {
    tables: Vec<(String, LabelTable)>,
    sent: BTreeMap<SpectrumId, Vec<Estimate>>,
    reported: Vec<LabelTableReport>,
    /// Table and row of every match of a spectrum. The last match counts.
    matches: BTreeMap<SpectrumId, Vec<(usize, usize)>>,
    columns: Vec<LabelColumn>,
}

impl LabelTables {
    /// Adds tables, each with the name of its file. A table with the name and content of an earlier one is not added
    /// again.
    pub(super) fn add(&mut self, tables: Vec<(String, LabelTable)>) {
        for table in tables {
            if !self.tables.contains(&table) {
                self.tables.push(table);
            }
        }
    }

    /// Joins every table to the spectra, each with its id and its file, and sends the changes to the page. If several
    /// tables match a spectrum, the table opened last counts.
    pub(super) fn join<'a>(
        &mut self,
        spectra: impl Iterator<Item = (SpectrumId, &'a str, &'a str)>,
        emit: &mut impl FnMut(Event),
    ) {
        if self.tables.is_empty() {
            return;
        }
        let (ids, spectrum_names): (Vec<SpectrumId>, Vec<SpectrumName>) =
            spectra.map(|(id, name, file)| (id, SpectrumName { id: name, file })).unzip();
        let mut values: BTreeMap<SpectrumId, Vec<Estimate>> = BTreeMap::new();
        let mut reports = Vec::new();
        self.matches.clear();
        for (number, (name, table)) in self.tables.iter().enumerate() {
            let joined = labels::join(table, &spectrum_names);
            for pair in &joined.matched {
                values.insert(ids[pair.spectrum], estimates(table, pair.row));
                self.matches.entry(ids[pair.spectrum]).or_default().push((number, pair.row));
            }
            reports.push(report(name, table, &spectrum_names, &joined));
        }
        let is_new = |id, values: &[Estimate]| self.sent.get(id).is_none_or(|sent| !are_same(sent, values));
        let changed: Vec<_> = values.iter().filter(|(id, values)| is_new(*id, values)).collect();
        for part in changed.chunks(SPECTRA_AT_ONCE) {
            emit(Event::Spectra(SpectraEvent::Labels {
                values: part.iter().map(|(id, values)| (**id, (*values).clone())).collect(),
            }));
        }
        self.sent = values;
        if reports != self.reported {
            emit(Event::Spectra(SpectraEvent::LabelTables { tables: reports.clone() }));
            self.reported = reports;
        }
        let columns = self.columns_of_spectra();
        if columns != self.columns {
            emit(Event::Finetune(FinetuneEvent::Columns(columns.clone())));
            self.columns = columns;
        }
    }

    /// Cell of a spectrum in a column: a number for Specola's labels; in any other column a number if the text parses
    /// as one, else the text. If several tables have the column, the table opened last counts.
    pub(super) fn cell(&self, spectrum: SpectrumId, column: &str) -> Option<Cell> {
        let rows = self.matches.get(&spectrum)?;
        rows.iter().rev().find_map(|&(table, row)| self.cell_of(table, row, column))
    }

    /// Text of a spectrum in a column; empty if there is none.
    pub(super) fn text(&self, spectrum: SpectrumId, column: &str) -> String {
        match self.cell(spectrum, column) {
            Some(Cell::Number(value)) => value.to_string(),
            Some(Cell::Text(text)) => text,
            Some(Cell::Missing) | None => String::new(),
        }
    }

    /// Spectra that match a row.
    pub(super) fn labelled_ids(&self) -> impl Iterator<Item = SpectrumId> + '_ {
        self.matches.keys().copied()
    }

    fn cell_of(&self, table: usize, row: usize, column: &str) -> Option<Cell> {
        let (_, table) = self.tables.get(table)?;
        if let Some(values) = table.labels.get(column) {
            return Some(values.get(row).copied().flatten().into());
        }
        table.texts.get(column).and_then(|texts| texts.get(row)).map(|text| Cell::parse(text))
    }

    /// Columns with values for the spectra, and the numbers of values.
    fn columns_of_spectra(&self) -> Vec<LabelColumn> {
        let mut names: Vec<&str> = Vec::new();
        for (_, table) in &self.tables {
            names.extend(Label::ALL.map(Label::name).into_iter().filter(|name| table.labels.contains_key(name)));
            names.extend(table.texts.keys().map(String::as_str));
        }
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(*name));
        let column = |name: &str| {
            let mut values = BTreeSet::new();
            let (mut numbers, mut filled) = (0, 0);
            for spectrum in self.labelled_ids() {
                match self.cell(spectrum, name) {
                    Some(Cell::Number(_)) => (numbers, filled) = (numbers + 1, filled + 1),
                    Some(Cell::Text(_)) => filled += 1,
                    Some(Cell::Missing) | None => continue,
                }
                values.insert(self.text(spectrum, name));
            }
            LabelColumn { name: name.into(), numbers, filled, distinct: values.len() as u32 }
        };
        names.into_iter().map(column).filter(|column| column.filled > 0).collect()
    }
}

/// Compares estimates. Two unknown errors (NaN) count as equal.
fn are_same(a: &[Estimate], b: &[Estimate]) -> bool {
    let is_same = |(a, b): (&Estimate, &Estimate)| {
        let errors = a.error == b.error || (a.error.is_nan() && b.error.is_nan());
        a.label == b.label && a.value == b.value && errors
    };
    a.len() == b.len() && a.iter().zip(b).all(is_same)
}

/// Labels of a row. An error that the table lacks is NaN.
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

fn report(name: &str, table: &LabelTable, spectra: &[SpectrumName], joined: &JoinResult) -> LabelTableReport {
    let rows = &joined.rows_without_spectrum;
    LabelTableReport {
        name: name.to_string(),
        rows: table.len() as u32,
        labels: Label::ALL.into_iter().filter(|label| table.labels.contains_key(label.name())).collect(),
        matched: joined.matched.len() as u32,
        spectra_without_row: joined.spectra_without_row.len() as u32,
        rows_without_spectrum: rows.len() as u32,
        unmatched_ids: rows.iter().take(MAX_NAMES).filter_map(|row| table.id.get(*row).cloned()).collect(),
        ambiguous: joined.ambiguous.iter().take(MAX_NAMES).map(|a| spectra[a.spectrum].id.to_string()).collect(),
        note: joined.note.clone(),
    }
}
