//! Grid of the table: sortable column heads and the rows near the visible part (virtual scrolling).

use leptos::{ev, html, prelude::*};

use super::context::{Rows, Selection, TableView};
use super::parameters::Symbol;
use super::table_row::TableRow;
use super::table_sort::{Direction, SortColumn};
use crate::result::Label;

/// Maximum number of rows without virtual scrolling.
const MAX_UNVIRTUALISED_ROWS: usize = 300;

/// Number of rows rendered above and below the visible rows, so that fast scrolling shows no gap.
const OVERSCAN_ROWS: usize = 40;

/// The table in a scrolling box.
#[component]
pub(super) fn Grid() -> impl IntoView {
    let (rows, table_view, selection) =
        (expect_context::<Rows>(), expect_context::<TableView>(), expect_context::<Selection>());
    let shown = table_view.shown;
    let n = Memo::new(move |_| shown.with(|rows| rows.len()));
    let viewport = Viewport { container: NodeRef::new(), top_px: RwSignal::new(0.0), row_px: RwSignal::new(46.0) };
    let window = Memo::new(move |_| viewport.rendered_range(n.get()));
    Effect::new(move |_| {
        let Some(key) = rows.selected.get() else { return };
        if let Some(index) = shown.with_untracked(|rows| rows.iter().position(|row| row.key == key)) {
            viewport.scroll_to_row(index);
        }
    });
    let on_key = move |event: ev::KeyboardEvent| {
        let step = match event.key().as_str() {
            "ArrowDown" => 1,
            "ArrowUp" => -1,
            "PageDown" => 10,
            "PageUp" => -10,
            "Home" => isize::MIN / 2,
            "End" => isize::MAX / 2,
            " " => {
                event.prevent_default();
                if let Some(key) = rows.selected.get_untracked() {
                    table_view.tick([key], table_view.ticked.with_untracked(|ticked| !ticked.contains(&key)));
                }
                return;
            }
            // `super::keys` moves the selection; here the focus moves to the selected row.
            "j" | "k" => return selection.takes_focus.set_value(true),
            _ => return,
        };
        event.prevent_default();
        selection.takes_focus.set_value(true);
        selection.select_by(step);
    };
    let visible = move || {
        let (from, to) = window.get();
        shown
            .with(|rows| rows[from.min(rows.len())..to.min(rows.len())].iter().copied().zip(from..).collect::<Vec<_>>())
    };
    let spacer = move |rows: usize| (rows > 0).then(|| view! { <Spacer rows row_px=viewport.row_px/> });
    view! {
        <div class="table-frame">
        <div class="table-box" node_ref=viewport.container on:scroll=move |_| viewport.measure()>
            <table role="grid" aria-labelledby="results-title" aria-rowcount=move || n.get() + 1>
                <thead>
                    <tr>
                        <th scope="col" class="tick"><TickAll/></th>
                        <th scope="col"><span class="status-word">"Status"</span></th>
                        <Head column=SortColumn::Id class="id">"Spectrum"</Head>
                        <Head column=SortColumn::Survey class="wide-only">"Survey"</Head>
                        <Head column=SortColumn::Snr class="number">"S/N"</Head>
                        {Label::ALL.map(|label| view! {
                            <Head column=SortColumn::Parameter(label) class="number">
                                <Symbol label/> <span class="unit">{label.unit()}</span>
                            </Head>
                        }).collect_view()}
                        <Head column=SortColumn::Flags class="">"Flags"</Head>
                    </tr>
                </thead>
                <tbody on:keydown=on_key>
                    {move || spacer(window.get().0)}
                    <For
                        each=visible key=|(row, index)| (row.key, *index)
                        children=move |(row, index)| view! { <TableRow row index/> }
                    />
                    {move || spacer(n.get().saturating_sub(window.get().1))}
                </tbody>
            </table>
        </div>
        </div>
    }
}

/// Column head with a sort button.
#[component]
fn Head(column: SortColumn, class: &'static str, children: Children) -> impl IntoView {
    let table_view = expect_context::<TableView>();
    let direction = Memo::new(move |_| table_view.order.get().filter(|(c, _)| *c == column).map(|(_, d)| d));
    let aria =
        move || direction.get().map_or("none", |d| if d == Direction::Ascending { "ascending" } else { "descending" });
    let mark = move || direction.get().map_or("", |d| if d == Direction::Ascending { "▲" } else { "▼" });
    view! {
        <th scope="col" class=class aria-sort=aria>
            <button class="sort" on:click=move |_| table_view.sort_by(column)>
                {children()}<span class="sort-mark" aria-hidden="true">{mark}</span>
            </button>
        </th>
    }
}

/// Checkbox that ticks all rows shown.
#[component]
fn TickAll() -> impl IntoView {
    let table_view = expect_context::<TableView>();
    let is_any = move || table_view.ticked.with(|ticked| !ticked.is_empty());
    let is_all = move || {
        let ticked = table_view.ticked.read();
        // Comparing the lengths first is fast when few rows are ticked, the usual case.
        table_view.shown.with(|rows| rows.len() <= ticked.len() && rows.iter().all(|row| ticked.contains(&row.key)))
    };
    view! {
        <input
            type="checkbox" data-testid="tick-all" aria-label="Tick every spectrum shown"
            prop:checked=move || is_any() && is_all() prop:indeterminate=move || is_any() && !is_all()
            on:change=move |event| table_view.tick_shown(event_target_checked(&event))
        />
    }
}

/// Placeholder with the height of rows that are not rendered.
#[component]
fn Spacer(rows: usize, row_px: RwSignal<f64>) -> impl IntoView {
    view! {
        <tr class="spacer" aria-hidden="true">
            <td colspan="11"><div style:height=move || format!("{}px", rows as f64 * row_px.get())></div></td>
        </tr>
    }
}

/// Visible part of the table: the scrolling box, its scroll position and the row height, px.
#[derive(Clone, Copy)]
struct Viewport {
    container: NodeRef<html::Div>,
    top_px: RwSignal<f64>,
    row_px: RwSignal<f64>,
}

impl Viewport {
    /// Range of row indices to render.
    fn rendered_range(&self, n: usize) -> (usize, usize) {
        if n <= MAX_UNVIRTUALISED_ROWS {
            return (0, n);
        }
        let first = (self.top_px.get() / self.row_px.get()).max(0.0) as usize;
        // The range moves in steps of 20 rows, so that scrolling by one row rarely redraws the table.
        let from = first.saturating_sub(OVERSCAN_ROWS) / 20 * 20;
        (from.min(n), (from + 3 * OVERSCAN_ROWS).min(n))
    }

    /// Measures the scroll position and the row height.
    fn measure(&self) {
        let Some(container) = self.container.get_untracked() else { return };
        self.top_px.set(f64::from(container.scroll_top()));
        if let Ok(Some(row)) = container.query_selector("[data-testid=row]") {
            let height = row.get_bounding_client_rect().height();
            if height > 0.0 && height != self.row_px.get_untracked() {
                self.row_px.set(height);
            }
        }
    }

    /// Scrolls by the smallest distance that makes a row visible.
    fn scroll_to_row(&self, index: usize) {
        let Some(container) = self.container.get() else { return };
        self.measure();
        let row_px = self.row_px.get_untracked();
        let head = container.query_selector("thead").ok().flatten();
        let head_px = head.map_or(0.0, |head| head.get_bounding_client_rect().height());
        // Below the table head, which is sticky.
        let (top, height) = (index as f64 * row_px, f64::from(container.client_height()) - head_px);
        let current_px = f64::from(container.scroll_top());
        let target_px = if top < current_px { top } else { current_px.max(top + row_px - height) };
        if target_px != current_px {
            container.set_scroll_top(target_px.ceil() as i32);
        }
    }
}
