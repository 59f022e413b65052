//! The table: one row a spectrum, filled as answers come.

use leptos::prelude::*;

use super::filter_bar::FilterBar;
use super::format;
use super::grid::Grid;
use super::state::State;
use super::take_away::{TakeAway, save_table};
use crate::share::Format;

/// The table of all spectra, with what can be done to all of them.
#[component]
pub fn Table() -> impl IntoView {
    let state = expect_context::<State>();
    let n = Memo::new(move |_| state.rows.with(Vec::len));
    let n_skipped = Memo::new(move |_| state.skipped.with(Vec::len));
    // Not while a job runs: a screen reader would speak without end.
    let outcome = Memo::new(move |_| {
        state.late_answer.track();
        let is_done = state.jobs.with(|jobs| jobs.is_empty());
        // Untracked: ten thousand rows would be as many subscriptions, and only the end of a job is told.
        let is_doubtful = |row: &super::state::Row| {
            row.answer.with_untracked(|a| a.prediction().map(|p| p.flags.iter().any(|flag| flag.is_grave())))
        };
        is_done.then(|| {
            let answered: Vec<bool> = state.rows.with(|rows| rows.iter().filter_map(is_doubtful).collect());
            (answered.len(), answered.iter().filter(|is_doubtful| **is_doubtful).count())
        })
    });
    let save = move |_| {
        if let Err(why) = save_table(&untrack(|| state.taken()), Format::Csv) {
            state.notice.set(Some(why));
        }
    };
    view! {
        <section class="results" aria-labelledby="results-title">
            <div class="results-head">
                <h2 id="results-title">{move || format::count(n.get(), "spectrum", "spectra")}</h2>
                <p class="muted" role="status" data-testid="outcome">
                    {move || outcome.get().map(|(answered, doubtful)| match doubtful {
                        0 => format!("{answered} with parameters"),
                        _ => format!("{answered} with parameters, {doubtful} of them doubtful"),
                    })}
                    {move || (n.get() > 0 && n_skipped.get() > 0).then(|| view! {
                        <span class="for-readers">"; "</span>
                        <a href="#not-used">{move || format::count(n_skipped.get(), "item not used", "items not used")}</a>
                    })}
                </p>
                <button data-testid="save-csv" disabled=move || n.get() == 0 on:click=save>
                    {move || match state.ticked.with(|ticked| ticked.len()) {
                        0 => "Save CSV".into(),
                        ticked => format!("Save CSV of {ticked}"),
                    }}
                </button>
                <TakeAway/>
                <button data-testid="clear" on:click=move |_| state.clear()>"Clear all"</button>
            </div>
            <Show when=move || { n.get() > 1 }><FilterBar/></Show>
            <Show when=move || { n.get() > 0 }><Grid/></Show>
        </section>
    }
}
