//! The table's grid: sortable heads, and of the rows only those about the ones in sight.

use leptos::{ev, html, prelude::*};

use super::order::{Column, Direction};
use super::parameters::Symbol;
use super::state::State;
use super::table_row::TableRow;
use crate::result::Label;

/// Up to this many rows all are in the document; of more only those about the ones in sight.
const WHOLE: usize = 300;

/// Rows kept above and below those in sight, so that a quick turn of the wheel meets no gap.
const MARGIN: usize = 40;

/// The table itself, in a box that scrolls.
#[component]
pub fn Grid() -> impl IntoView {
    let state = expect_context::<State>();
    let shown = state.arrangement.shown;
    let n = Memo::new(move |_| shown.with(|rows| rows.len()));
    let sight = Sight { container: NodeRef::new(), top_px: RwSignal::new(0.0), row_px: RwSignal::new(46.0) };
    let window = Memo::new(move |_| sight.window(n.get()));
    Effect::new(move |_| {
        let Some(key) = state.selected.get() else { return };
        if let Some(index) = shown.with_untracked(|rows| rows.iter().position(|row| row.key == key)) {
            sight.reveal(index);
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
            // The page's own keys, which come after; the focus goes with them.
            " " => {
                event.prevent_default();
                if let Some(key) = state.selected.get_untracked() {
                    state.tick([key], state.ticked.with_untracked(|ticked| !ticked.contains(&key)));
                }
                return;
            }
            "j" | "k" => return state.grabs_focus.set_value(true),
            _ => return,
        };
        event.prevent_default();
        state.grabs_focus.set_value(true);
        state.select_by(step);
    };
    let rows = move || {
        let (from, to) = window.get();
        shown
            .with(|rows| rows[from.min(rows.len())..to.min(rows.len())].iter().copied().zip(from..).collect::<Vec<_>>())
    };
    let space = move |rows: usize| (rows > 0).then(|| view! { <Space rows row_px=sight.row_px/> });
    view! {
        <div class="table-frame">
        <div class="table-box" node_ref=sight.container on:scroll=move |_| sight.look()>
            <table role="grid" aria-labelledby="results-title" aria-rowcount=move || n.get() + 1>
                <thead>
                    <tr>
                        <th scope="col" class="tick"><TickAll/></th>
                        <th scope="col"><span class="status-word">"Status"</span></th>
                        <Head column=Column::Id class="id">"Spectrum"</Head>
                        <Head column=Column::Survey class="wide-only">"Survey"</Head>
                        <Head column=Column::Snr class="number">"S/N"</Head>
                        {Label::ALL.map(|label| view! {
                            <Head column=Column::Parameter(label) class="number">
                                <Symbol label/> <span class="unit">{label.unit()}</span>
                            </Head>
                        }).collect_view()}
                        <Head column=Column::Flags class="">"Flags"</Head>
                    </tr>
                </thead>
                <tbody on:keydown=on_key>
                    {move || space(window.get().0)}
                    <For
                        each=rows key=|(row, index)| (row.key, *index)
                        children=move |(row, index)| view! { <TableRow row index/> }
                    />
                    {move || space(n.get().saturating_sub(window.get().1))}
                </tbody>
            </table>
        </div>
        </div>
    }
}

/// A column's head, which sorts by it.
#[component]
fn Head(column: Column, class: &'static str, children: Children) -> impl IntoView {
    let state = expect_context::<State>();
    let direction = Memo::new(move |_| state.arrangement.order.get().filter(|(c, _)| *c == column).map(|(_, d)| d));
    let aria =
        move || direction.get().map_or("none", |d| if d == Direction::Ascending { "ascending" } else { "descending" });
    let mark = move || direction.get().map_or("", |d| if d == Direction::Ascending { "▲" } else { "▼" });
    view! {
        <th scope="col" class=class aria-sort=aria>
            <button class="sort" on:click=move |_| state.sort_by(column)>
                {children()}<span class="sort-mark" aria-hidden="true">{mark}</span>
            </button>
        </th>
    }
}

/// Ticks all rows that are shown.
#[component]
fn TickAll() -> impl IntoView {
    let state = expect_context::<State>();
    let is_any = move || state.ticked.with(|ticked| !ticked.is_empty());
    let is_all = move || {
        let ticked = state.ticked.read();
        // Cheap when few are ticked, which is nearly always.
        state
            .arrangement
            .shown
            .with(|rows| rows.len() <= ticked.len() && rows.iter().all(|row| ticked.contains(&row.key)))
    };
    view! {
        <input
            type="checkbox" data-testid="tick-all" aria-label="Tick every spectrum shown"
            prop:checked=move || is_any() && is_all() prop:indeterminate=move || is_any() && !is_all()
            on:change=move |event| state.tick_shown(event_target_checked(&event))
        />
    }
}

/// The room of rows that are not in the document.
#[component]
fn Space(rows: usize, row_px: RwSignal<f64>) -> impl IntoView {
    view! {
        <tr class="space" aria-hidden="true">
            <td colspan="11"><div style:height=move || format!("{}px", rows as f64 * row_px.get())></div></td>
        </tr>
    }
}

/// Which part of the table is in sight.
#[derive(Clone, Copy)]
struct Sight {
    container: NodeRef<html::Div>,
    top_px: RwSignal<f64>,
    row_px: RwSignal<f64>,
}

impl Sight {
    /// Indices from and to of the rows to have in the document.
    fn window(&self, n: usize) -> (usize, usize) {
        if n <= WHOLE {
            return (0, n);
        }
        let first = (self.top_px.get() / self.row_px.get()).max(0.0) as usize;
        // In steps, so that not every line scrolled changes the document.
        let from = first.saturating_sub(MARGIN) / 20 * 20;
        (from.min(n), (from + 3 * MARGIN).min(n))
    }

    /// Takes in where the box is scrolled to and how high its rows are.
    fn look(&self) {
        let Some(container) = self.container.get_untracked() else { return };
        self.top_px.set(f64::from(container.scroll_top()));
        if let Ok(Some(row)) = container.query_selector("[data-testid=row]") {
            let height = row.get_bounding_client_rect().height();
            if height > 0.0 && height != self.row_px.get_untracked() {
                self.row_px.set(height);
            }
        }
    }

    /// Scrolls a row into sight, by as little as possible.
    fn reveal(&self, index: usize) {
        let Some(container) = self.container.get() else { return };
        self.look();
        let row_px = self.row_px.get_untracked();
        let head = container.query_selector("thead").ok().flatten();
        let head_px = head.map_or(0.0, |head| head.get_bounding_client_rect().height());
        // Measured below the head, which stays.
        let (top, height) = (index as f64 * row_px, f64::from(container.client_height()) - head_px);
        let now = f64::from(container.scroll_top());
        let wanted = if top < now { top } else { now.max(top + row_px - height) };
        if wanted != now {
            container.set_scroll_top(wanted.ceil() as i32);
        }
    }
}
