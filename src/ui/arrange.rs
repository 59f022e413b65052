//! The rows as the table shows them: filtered, sorted, ticked.

use std::collections::BTreeSet;
use std::sync::Arc;

use gloo::timers::callback::Timeout;
use leptos::prelude::*;

use super::order::{Column, Direction, Facts, Filter, Order};
use super::state::{Answer, Row, RowKey, State};
use crate::result::Summary;

/// Shortest time between two arrangements while answers come in, ms: ten thousand answers are not ten thousand sorts.
const PAUSE_MS: f64 = 120.0;

/// Up to this many rows there is no pause.
const FEW: usize = 300;

/// How the table is arranged, and what came of it.
#[derive(Debug, Clone, Copy)]
pub struct Arrangement {
    /// What is sorted by.
    pub order: RwSignal<Order>,
    /// What is left out.
    pub filter: RwSignal<Filter>,
    /// The rows to show, from the top. Rewritten by [`State::rearrange`] alone.
    pub shown: RwSignal<Arc<Vec<Row>>>,
    pace: StoredValue<Pace>,
}

/// Whether to arrange at once.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Pace {
    /// Nothing was arranged lately.
    Idle,
    /// It was; what has changed since waits for the pause to end.
    Pausing { has_changed: bool },
}

impl Arrangement {
    /// Everything, as it was found.
    pub fn new() -> Self {
        Self {
            order: RwSignal::new(None),
            filter: RwSignal::new(Filter::default()),
            shown: RwSignal::new(Arc::default()),
            pace: StoredValue::new(Pace::Idle),
        }
    }
}

impl State {
    /// Sorts by a column; by the same column again the other way round, then not at all.
    pub fn sort_by(&self, column: Column) {
        // Numbers are mostly wanted from the top, names from the beginning.
        let first =
            if matches!(column, Column::Id | Column::Survey) { Direction::Ascending } else { Direction::Descending };
        let second = if first == Direction::Ascending { Direction::Descending } else { Direction::Ascending };
        self.arrangement.order.update(|order| {
            *order = match *order {
                Some((now, direction)) if now == column && direction == first => Some((column, second)),
                Some((now, _)) if now == column => None,
                _ => Some((column, first)),
            };
        });
        self.rearrange();
    }

    /// Shows what a filter keeps.
    pub fn filter(&self, filter: Filter) {
        if self.arrangement.filter.with_untracked(|now| *now != filter) {
            self.arrangement.filter.set(filter);
            self.rearrange();
        }
    }

    /// Filters and sorts now.
    pub fn rearrange(&self) {
        let (order, filter) = (self.arrangement.order.get_untracked(), self.arrangement.filter.get_untracked());
        let rows = self.rows.get_untracked();
        let shown = if order.is_none() && filter.keeps_all() { rows } else { arranged(rows, order, &filter) };
        self.arrangement.shown.set(Arc::new(shown));
    }

    /// Filters and sorts now, or soon if that was done just before.
    pub fn rearrange_soon(&self) {
        let pace = self.arrangement.pace;
        if self.rows.with_untracked(Vec::len) <= FEW {
            return self.rearrange();
        }
        match pace.get_value() {
            Pace::Idle => {
                let began = js_sys::Date::now();
                self.rearrange();
                // Most of the time is the page's for other things, however many rows there are.
                let pause_ms = PAUSE_MS.max(4.0 * (js_sys::Date::now() - began));
                pace.set_value(Pace::Pausing { has_changed: false });
                let state = *self;
                Timeout::new(pause_ms as u32, move || {
                    let has_changed = pace.get_value() == Pace::Pausing { has_changed: true };
                    pace.set_value(Pace::Idle);
                    if has_changed {
                        state.rearrange_soon();
                    }
                })
                .forget();
            }
            Pace::Pausing { .. } => pace.set_value(Pace::Pausing { has_changed: true }),
        }
    }

    /// Ticks or unticks rows for export.
    pub fn tick(&self, keys: impl IntoIterator<Item = RowKey>, on: bool) {
        self.ticked.update(|ticked| {
            for key in keys {
                if on {
                    ticked.insert(key);
                } else {
                    ticked.remove(&key);
                }
            }
        });
    }

    /// Ticks or unticks all rows from one to another, as the table shows them.
    pub fn tick_range(&self, from: RowKey, to: RowKey, on: bool) {
        let shown = self.arrangement.shown.get_untracked();
        let at = |key| shown.iter().position(|row| row.key == key);
        let (Some(from), Some(to)) = (at(from), at(to)) else { return self.tick([to], on) };
        self.tick(shown[from.min(to)..=from.max(to)].iter().map(|row| row.key), on);
    }

    /// Ticks or unticks every row that is shown.
    pub fn tick_shown(&self, on: bool) {
        let shown = self.arrangement.shown.get_untracked();
        self.tick(shown.iter().map(|row| row.key), on);
    }

    /// The rows to take away: the ticked ones, else all that are shown; in the table's order.
    pub fn taken(&self) -> Vec<Row> {
        let shown = self.arrangement.shown.get();
        let ticked = self.ticked.get();
        if ticked.is_empty() {
            return shown.to_vec();
        }
        // Ticked rows that the filter hides now were still ticked; they follow.
        let hidden = self.rows.with(|rows| {
            let is_shown: BTreeSet<_> = shown.iter().map(|row| row.key).collect();
            rows.iter().filter(|row| !is_shown.contains(&row.key)).copied().collect::<Vec<_>>()
        });
        shown.iter().copied().chain(hidden).filter(|row| ticked.contains(&row.key)).collect()
    }
}

fn arranged(rows: Vec<Row>, order: Order, filter: &Filter) -> Vec<Row> {
    struct Known(Row, Arc<Summary>, Answer);
    impl Known {
        fn facts(&self) -> Facts<'_> {
            Facts { summary: &self.1, prediction: self.2.prediction() }
        }
    }
    let known = rows.into_iter().map(|row| Known(row, row.summary.get_untracked(), row.answer.get_untracked()));
    let mut kept: Vec<Known> = known.filter(|k| filter.keeps(k.facts())).collect();
    if let Some((column, direction)) = order {
        kept.sort_by(|a, b| column.compare(direction, a.facts(), b.facts()));
    }
    kept.into_iter().map(|Known(row, ..)| row).collect()
}
