//! The results table: one row per spectrum, filled as predictions arrive.

use leptos::prelude::*;

use super::actions::Actions;
use super::context::{Jobs, Notice, Rows, TableView};
use super::export::{ExportDialog, save_table};
use super::filter_bar::FilterBar;
use super::format;
use super::grid::Grid;
use super::row::Row;
use crate::share::Format;

/// The table of all spectra, with its buttons.
#[component]
pub(super) fn Table() -> impl IntoView {
    let actions = expect_context::<Actions>();
    let (jobs, rows) = (expect_context::<Jobs>(), expect_context::<Rows>());
    let (table_view, notice) = (expect_context::<TableView>(), expect_context::<Notice>());
    let n = Memo::new(move |_| rows.all.with(Vec::len));
    let n_skipped = Memo::new(move |_| jobs.skipped.with(Vec::len));
    // Empty while a job runs: a screen reader would read every change.
    let outcome = Memo::new(move |_| {
        rows.late_prediction.track();
        let is_done = jobs.running.with(|jobs| jobs.is_empty());
        // Untracked: ten thousand rows would need as many subscriptions, and the text changes only when a job ends.
        let is_flagged = |row: &Row| {
            row.status.with_untracked(|status| status.prediction().map(|p| p.flags.iter().any(|flag| flag.is_severe())))
        };
        is_done.then(|| {
            let predicted: Vec<bool> = rows.all.with(|rows| rows.iter().filter_map(is_flagged).collect());
            (predicted.len(), predicted.iter().filter(|is_flagged| **is_flagged).count())
        })
    });
    let save = move |_| {
        if let Err(error) = save_table(&untrack(|| table_view.export_rows()), Format::Csv) {
            notice.show(error);
        }
    };
    view! {
        <section class="results" aria-labelledby="results-title">
            <div class="results-head">
                <h2 id="results-title">{move || format::count_with_noun(n.get(), "spectrum", "spectra")}</h2>
                <p class="muted" role="status" data-testid="outcome">
                    {move || outcome.get().map(|(predicted, flagged)| match flagged {
                        0 => format!("{predicted} with parameters"),
                        _ => format!("{predicted} with parameters, {flagged} with severe flags"),
                    })}
                    {move || (n.get() > 0 && n_skipped.get() > 0).then(|| view! {
                        <span class="visually-hidden">"; "</span>
                        <a href="#skipped">{move || format::count_with_noun(n_skipped.get(), "item skipped", "items skipped")}</a>
                    })}
                </p>
                <button data-testid="save-csv" disabled=move || n.get() == 0 on:click=save>
                    {move || match table_view.ticked.with(|ticked| ticked.len()) {
                        0 => "Save CSV".into(),
                        ticked => format!("Save CSV of {}", format::count_with_noun(ticked, "row", "rows")),
                    }}
                </button>
                <ExportDialog/>
                <button data-testid="clear" on:click=move |_| actions.clear()>"Clear all"</button>
            </div>
            <Show when=move || { n.get() > 1 }><FilterBar/></Show>
            <Show when=move || { n.get() > 0 }><Grid/></Show>
        </section>
    }
}
