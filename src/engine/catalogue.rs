//! Tables of labels that were opened, and the spectra they belong to.

use std::collections::{BTreeMap, BTreeSet};

use super::teach_message::{TeachColumn, TeachEvent};
use super::{Event, LabelTableReport, SpectrumId};
use crate::read::{Joined, LabelTable, Named, labels};
use crate::result::teach::Cell;
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
    /// Table and row of each spectrum, the one that counts last.
    matches: BTreeMap<SpectrumId, Vec<(usize, usize)>>,
    columns: Vec<TeachColumn>,
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
        self.matches.clear();
        for (number, (name, table)) in self.tables.iter().enumerate() {
            let joined = labels::join(table, &named);
            for found in &joined.matched {
                values.insert(ids[found.spectrum], estimates(table, found.row));
                self.matches.entry(ids[found.spectrum]).or_default().push((number, found.row));
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
        let columns = self.teachable();
        if columns != self.columns {
            emit(Event::Teaching(TeachEvent::Columns(columns.clone())));
            self.columns = columns;
        }
    }

    /// A cell of a spectrum's row, by the column's name: of a label of ours its number, of any other its text. Where several
    /// tables have it, that of the one opened last.
    pub(super) fn cell(&self, spectrum: SpectrumId, column: &str) -> Option<Cell> {
        let rows = self.matches.get(&spectrum)?;
        rows.iter().rev().find_map(|&(table, row)| self.cell_of(table, row, column))
    }

    /// The text of a spectrum's row in a column, empty where there is none.
    pub(super) fn text(&self, spectrum: SpectrumId, column: &str) -> String {
        match self.cell(spectrum, column) {
            Some(Cell::Number(value)) => value.to_string(),
            Some(Cell::Text(text)) => text,
            Some(Cell::Missing) | None => String::new(),
        }
    }

    /// The spectra that have a row.
    pub(super) fn labelled(&self) -> impl Iterator<Item = SpectrumId> + '_ {
        self.matches.keys().copied()
    }

    fn cell_of(&self, table: usize, row: usize, column: &str) -> Option<Cell> {
        let (_, table) = self.tables.get(table)?;
        if let Some(values) = table.labels.get(column) {
            return Some(values.get(row).copied().flatten().into());
        }
        table.texts.get(column).and_then(|texts| texts.get(row)).map(|text| Cell::parse(text))
    }

    /// What the columns hold for spectra that are here.
    fn teachable(&self) -> Vec<TeachColumn> {
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
            for spectrum in self.labelled() {
                match self.cell(spectrum, name) {
                    Some(Cell::Number(_)) => (numbers, filled) = (numbers + 1, filled + 1),
                    Some(Cell::Text(_)) => filled += 1,
                    Some(Cell::Missing) | None => continue,
                }
                values.insert(self.text(spectrum, name));
            }
            TeachColumn { name: name.into(), numbers, filled, distinct: values.len() as u32 }
        };
        names.into_iter().map(column).filter(|column| column.filled > 0).collect()
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
