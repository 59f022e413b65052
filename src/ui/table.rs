//! The table: one row a spectrum, filled as answers come.

use leptos::{ev, html, prelude::*};

use super::download::save_text;
use super::format;
use super::parameters::Symbol;
use super::state::State;
use super::table_row::TableRow;
use crate::result::Label;

/// Up to this many rows all are in the document; of more only those about the ones in sight.
const WHOLE: usize = 300;

/// Rows kept above and below those in sight, so that a quick turn of the wheel meets no gap.
const MARGIN: usize = 40;

/// The table of all spectra, with what can be done to all of them.
#[component]
pub fn Table() -> impl IntoView {
    let state = expect_context::<State>();
    let n = Memo::new(move |_| state.rows.with(Vec::len));
    let n_skipped = Memo::new(move |_| state.skipped.with(Vec::len));
    // Not while a job runs: a screen reader would speak without end.
    let outcome = Memo::new(move |_| {
        let is_done = state.jobs.with(|jobs| jobs.is_empty());
        let has_answer = |row: &super::state::Row| row.answer.with(|a| a.prediction().is_some());
        is_done.then(|| state.rows.with(|rows| rows.iter().filter(|r| has_answer(r)).count()))
    });
    let save = move |_| {
        let text = format::csv(&state.rows.read_untracked());
        if let Err(why) = save_text("specola.csv", "text/csv", &text) {
            state.notice.set(Some(why));
        }
    };
    view! {
        <section class="results" aria-labelledby="results-title">
            <div class="results-head">
                <h2 id="results-title">{move || format::count(n.get(), "spectrum", "spectra")}</h2>
                <p class="muted" role="status">
                    {move || outcome.get().map(|answered| format!("{answered} with parameters"))}
                    {move || (n.get() > 0 && n_skipped.get() > 0).then(|| view! {
                        <a href="#not-used">{move || format::count(n_skipped.get(), "item not used", "items not used")}</a>
                    })}
                </p>
                <button data-testid="save-csv" disabled=move || n.get() == 0 on:click=save>"Save CSV"</button>
                <button data-testid="clear" on:click=move |_| state.clear()>"Clear all"</button>
            </div>
            <Show when=move || { n.get() > 0 }><Grid n/></Show>
        </section>
    }
}

/// The table itself, in a box that scrolls.
#[component]
fn Grid(n: Memo<usize>) -> impl IntoView {
    let state = expect_context::<State>();
    let sight = Sight { container: NodeRef::new(), top_px: RwSignal::new(0.0), row_px: RwSignal::new(46.0) };
    let window = Memo::new(move |_| sight.window(n.get()));
    Effect::new(move |_| {
        let Some(key) = state.selected.get() else { return };
        if let Some(index) = state.rows.with_untracked(|rows| rows.iter().position(|row| row.key == key)) {
            sight.reveal(index);
        }
    });
    let grab_focus = StoredValue::new(false);
    let on_key = move |event: ev::KeyboardEvent| {
        let step = match event.key().as_str() {
            "ArrowDown" => 1,
            "ArrowUp" => -1,
            "PageDown" => 10,
            "PageUp" => -10,
            "Home" => isize::MIN / 2,
            "End" => isize::MAX / 2,
            // The page's own keys, which come after; the focus goes with them.
            "j" | "k" => return grab_focus.set_value(true),
            _ => return,
        };
        event.prevent_default();
        grab_focus.set_value(true);
        state.select_by(step);
    };
    let rows = move || {
        let (from, to) = window.get();
        state
            .rows
            .with(|rows| rows[from.min(rows.len())..to.min(rows.len())].iter().copied().zip(from..).collect::<Vec<_>>())
    };
    let space = move |rows: usize| (rows > 0).then(|| view! { <Space rows row_px=sight.row_px/> });
    view! {
        <div class="table-box" node_ref=sight.container on:scroll=move |_| sight.look()>
            <table role="grid" aria-labelledby="results-title" aria-rowcount=move || n.get() + 1>
                <thead>
                    <tr>
                        <th scope="col"><span class="status-word">"Status"</span></th>
                        <th scope="col" class="id">"Spectrum"</th>
                        <th scope="col" class="wide-only">"Survey"</th>
                        <th scope="col" class="number">"S/N"</th>
                        {Label::ALL.map(|label| view! {
                            <th scope="col" class="number"><Symbol label/> <span class="unit">{label.unit()}</span></th>
                        }).collect_view()}
                        <th scope="col">"Flags"</th>
                    </tr>
                </thead>
                <tbody on:keydown=on_key>
                    {move || space(window.get().0)}
                    <For
                        each=rows key=|(row, index)| (row.key, *index)
                        children=move |(row, index)| view! { <TableRow row index grab_focus/> }
                    />
                    {move || space(n.get().saturating_sub(window.get().1))}
                </tbody>
            </table>
        </div>
    }
}

/// The room of rows that are not in the document.
#[component]
fn Space(rows: usize, row_px: RwSignal<f64>) -> impl IntoView {
    view! {
        <tr class="space" aria-hidden="true">
            <td colspan="10"><div style:height=move || format!("{}px", rows as f64 * row_px.get())></div></td>
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
