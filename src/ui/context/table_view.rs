//! View of the table: filtering, sorting and ticking rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use gloo::timers::callback::Timeout;
use leptos::prelude::*;

use super::rows::Rows;
use crate::result::Summary;
use crate::ui::row::{PredictionStatus, Row, RowKey};
use crate::ui::table_sort::{Direction, Filter, RowValues, SortColumn, SortOrder};

/// Minimum time between two updates while predictions arrive, ms: ten thousand predictions must not cause ten thousand
/// sorts.
const MIN_UPDATE_INTERVAL_MS: f64 = 120.0;

/// Maximum number of rows that are updated without throttling.
const UNTHROTTLED_ROWS: usize = 300;

/// Sort order, filter, the resulting rows and the ticked rows.
#[derive(Clone, Copy)]
pub(crate) struct TableView {
    /// Sort column and direction.
    pub order: RwSignal<SortOrder>,
    /// The filter.
    pub filter: RwSignal<Filter>,
    /// Rows to show, from the top. Written only by [`TableView::update`].
    pub shown: RwSignal<Arc<Vec<Row>>>,
    /// The rows ticked for export.
    pub ticked: RwSignal<BTreeSet<RowKey>>,
    /// The row that was ticked last: the start of a range.
    pub last_ticked: StoredValue<Option<RowKey>>,
    throttle: StoredValue<ViewUpdate>,
    rows: Rows,
}

/// State of the throttle.
#[derive(Debug, Clone, Copy, PartialEq)]
enum ViewUpdate {
    /// No recent update.
    Idle,
    /// Recently updated; changes since then wait until the pause ends.
    Pausing { has_changed: bool },
}

impl TableView {
    /// All rows in their original order.
    pub(crate) fn new(rows: Rows) -> Self {
        Self {
            order: RwSignal::new(None),
            filter: RwSignal::new(Filter::default()),
            shown: RwSignal::new(Arc::default()),
            ticked: RwSignal::new(BTreeSet::new()),
            last_ticked: StoredValue::new(None),
            throttle: StoredValue::new(ViewUpdate::Idle),
            rows,
        }
    }

    /// Sorts by a column. A second call reverses the order, a third removes the sorting.
    pub(crate) fn sort_by(&self, column: SortColumn) {
        // Numbers start with the largest, names with the first letter.
        let first = if matches!(column, SortColumn::Id | SortColumn::Survey) {
            Direction::Ascending
        } else {
            Direction::Descending
        };
        let second = if first == Direction::Ascending { Direction::Descending } else { Direction::Ascending };
        self.order.update(|order| {
            *order = match *order {
                Some((current, direction)) if current == column && direction == first => Some((column, second)),
                Some((current, _)) if current == column => None,
                _ => Some((column, first)),
            };
        });
        self.update();
    }

    /// Shows only rows that match the filter.
    pub(crate) fn set_filter(&self, filter: Filter) {
        if self.filter.with_untracked(|current| *current != filter) {
            self.filter.set(filter);
            self.update();
        }
    }

    /// Filters and sorts now.
    pub(crate) fn update(&self) {
        let (order, filter) = (self.order.get_untracked(), self.filter.get_untracked());
        let rows = self.rows.all.get_untracked();
        let shown = if order.is_none() && filter.is_empty() { rows } else { filtered_and_sorted(rows, order, &filter) };
        self.shown.set(Arc::new(shown));
    }

    /// Filters and sorts now, or after a pause if the last update was recent.
    pub(crate) fn schedule_update(&self) {
        let throttle = self.throttle;
        if self.rows.all.with_untracked(Vec::len) <= UNTHROTTLED_ROWS {
            return self.update();
        }
        match throttle.get_value() {
            ViewUpdate::Idle => {
                let started = js_sys::Date::now();
                self.update();
                // Sorting takes at most a fifth of the time, whatever the number of rows.
                let pause_ms = MIN_UPDATE_INTERVAL_MS.max(4.0 * (js_sys::Date::now() - started));
                throttle.set_value(ViewUpdate::Pausing { has_changed: false });
                let view = *self;
                Timeout::new(pause_ms as u32, move || {
                    let has_changed = throttle.get_value() == ViewUpdate::Pausing { has_changed: true };
                    throttle.set_value(ViewUpdate::Idle);
                    if has_changed {
                        view.schedule_update();
                    }
                })
                .forget();
            }
            ViewUpdate::Pausing { .. } => throttle.set_value(ViewUpdate::Pausing { has_changed: true }),
        }
    }

    /// Ticks or unticks rows for export.
    pub(crate) fn tick(&self, keys: impl IntoIterator<Item = RowKey>, is_ticked: bool) {
        self.ticked.update(|ticked| {
            for key in keys {
                if is_ticked {
                    ticked.insert(key);
                } else {
                    ticked.remove(&key);
                }
            }
        });
    }

    /// Ticks or unticks all rows between two rows, in the order of the table.
    pub(crate) fn tick_range(&self, from: RowKey, to: RowKey, is_ticked: bool) {
        let shown = self.shown.get_untracked();
        let position = |key| shown.iter().position(|row| row.key == key);
        let (Some(from), Some(to)) = (position(from), position(to)) else { return self.tick([to], is_ticked) };
        self.tick(shown[from.min(to)..=from.max(to)].iter().map(|row| row.key), is_ticked);
    }

    /// Ticks or unticks all rows shown.
    pub(crate) fn tick_shown(&self, is_ticked: bool) {
        let shown = self.shown.get_untracked();
        self.tick(shown.iter().map(|row| row.key), is_ticked);
    }

    /// Unticks all rows.
    pub(crate) fn clear_ticked(&self) {
        self.ticked.update(BTreeSet::clear);
    }

    /// The rows to export, in the order of the table: the ticked rows, or all rows shown if none is ticked.
    pub(crate) fn export_rows(&self) -> Vec<Row> {
        let shown = self.shown.get();
        let ticked = self.ticked.get();
        if ticked.is_empty() {
            return shown.to_vec();
        }
        // Ticked rows that the filter hides are appended.
        let hidden = self.rows.all.with(|rows| {
            let is_shown: BTreeSet<_> = shown.iter().map(|row| row.key).collect();
            rows.iter().filter(|row| !is_shown.contains(&row.key)).copied().collect::<Vec<_>>()
        });
        shown.iter().copied().chain(hidden).filter(|row| ticked.contains(&row.key)).collect()
    }
}

fn filtered_and_sorted(rows: Vec<Row>, order: SortOrder, filter: &Filter) -> Vec<Row> {
    struct RowSnapshot(Row, Arc<Summary>, PredictionStatus);
    impl RowSnapshot {
        fn values(&self) -> RowValues<'_> {
            RowValues { summary: &self.1, prediction: self.2.prediction() }
        }
    }
    let snapshots =
        rows.into_iter().map(|row| RowSnapshot(row, row.summary.get_untracked(), row.status.get_untracked()));
    let mut selected: Vec<RowSnapshot> = snapshots.filter(|row| filter.matches(row.values())).collect();
    if let Some((column, direction)) = order {
        selected.sort_by(|a, b| column.compare(direction, a.values(), b.values()));
    }
    selected.into_iter().map(|RowSnapshot(row, ..)| row).collect()
}
