//! The page: Leptos components over the signals of [`state::State`], one file per panel.
//!
//! The page holds no tensors and reads no spectra: it sends files to the engine ([`engine_link`]) and shows the
//! results. It is a small program of its own, so that it renders before the engine is downloaded.

mod table_view;
mod assumptions;
mod autosave;
mod chart_canvas;
mod columns;
mod curves;
mod detail;
mod download;
mod drop_zone;
mod engine_link;
mod figure_file;
mod files;
mod filter_bar;
mod format;
mod gpu;
mod grid;
mod imported_rows;
mod stored_models;
mod keys;
mod label_tables;
mod processing_history;
mod magnifier;
mod similarity;
mod model_card;
mod specclip;
mod offline;
mod table_sort;
mod parameters;
mod plot_canvas;
mod diagnostics;
mod events;
mod row;
mod samp;
mod samples;
mod skipped;
mod spectrum_plot;
mod state;
mod status;
mod table;
mod table_row;
mod export;
mod finetune;
mod theme;
mod welcome;

use leptos::prelude::*;

use autosave::RestoreQuestion;
use columns::ColumnsDialog;
use detail::Detail;
use drop_zone::DropZone;
use finetune::FinetunePanel;
use imported_rows::Origins;
use keys::{KeyHelp, listen};
use label_tables::LabelTables;
use offline::UpdateNotice;
use similarity::SimilarityPanel;
use skipped::SkippedList;
use specclip::SpecClipPanel;
use state::State;
use status::{Header, Notices, ProgressBar};
use table::Table;
use welcome::Welcome;

/// Replaces the placeholder of `index.html` with the page.
pub fn start() {
    console_error_panic_hook::set_once();
    if let Some(placeholder) = document().get_element_by_id("placeholder") {
        placeholder.remove();
    }
    leptos::mount::mount_to_body(App);
}

/// The whole page.
#[component]
fn App() -> impl IntoView {
    let state = State::start();
    provide_context(state);
    theme::provide();
    offline::provide(state);
    samples::provide(state);
    plot_canvas::ChosenRange::provide();
    let help = RwSignal::new(false);
    listen(state, help);
    imported_rows::listen(state);
    autosave::check_saved(state);
    samp::send_selected_positions(state);
    samp::unregister_on_leave(state);
    let is_empty = move || {
        state.rows.with(Vec::is_empty)
            && state.skipped.with(Vec::is_empty)
            && state.label_tables.with(Vec::is_empty)
            && state.specclip.with(Option::is_none)
            && state.finetune.active_adapter.with(Option::is_none)
    };
    view! {
        <Header/>
        <main id="main">
            <Notices/>
            <UpdateNotice/>
            <RestoreQuestion/>
            <Origins/>
            <DropZone large=Signal::derive(is_empty)/>
            <ProgressBar/>
            <Show when=is_empty fallback=|| view! { <Table/> <Detail/> <SimilarityPanel/> <FinetunePanel/> <LabelTables/> <SpecClipPanel/> <SkippedList/> }>
                <Welcome/>
            </Show>
        </main>
        <footer>
            <p>
                "Specola " {env!("CARGO_PKG_VERSION")}
                " · free software, MIT or Apache 2.0 · vacuum wavelengths in ångström · errors are 1\u{2009}σ"
            </p>
            <button class="quiet" data-testid="clear-local-data" on:click=move |_| autosave::clear_local_data(state)>"Clear local data"</button>
            <button class="quiet" on:click=move |_| help.set(true)>"Keyboard shortcuts " <kbd>"?"</kbd></button>
        </footer>
        <ColumnsDialog/>
        <KeyHelp open=help/>
    }
}
