//! The page: Leptos components, one file per panel, over the signals of [`context`].
//!
//! The page holds no tensors and reads no spectra: it sends files to the engine ([`engine_link`]) and shows the
//! results. It is a small separate WebAssembly program, so that it renders before the engine is downloaded.

#![allow(unreachable_pub, reason = "the component macro makes public items of private components")]

mod actions;
mod assumptions;
mod autosave;
mod chart_canvas;
mod columns;
mod context;
mod detail;
mod diagnostics;
mod download;
mod drop_zone;
mod engine_link;
mod events;
mod export;
mod figure_file;
mod files;
mod filter_bar;
mod finetune;
mod flag_chip;
mod format;
mod grid;
mod imported_rows;
mod keys;
mod label_tables;
mod magnifier;
mod model_card;
mod offline;
mod parameters;
mod plot_canvas;
mod posterior;
mod processing_history;
mod restore;
mod row;
mod samp;
mod samples;
mod similarity;
mod skipped;
mod specclip;
mod spectrum_plot;
mod status;
mod stored_models;
mod table;
mod table_row;
mod table_sort;
mod theme;
mod welcome;

use leptos::prelude::*;

use actions::Actions;
use columns::ColumnsDialog;
use detail::Detail;
use drop_zone::DropZone;
use engine_link::Handlers;
use finetune::FinetunePanel;
use imported_rows::ImportNotices;
use keys::{KeyHelp, listen};
use label_tables::LabelTables;
use offline::UpdateNotice;
use restore::RestoreQuestion;
use samp::Samp;
use similarity::SimilarityPanel;
use skipped::SkippedList;
use specclip::SpecClipPanel;
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
    let actions = Actions::new();
    actions.provide();
    actions.engine.start(Handlers {
        on_event: Box::new(move |generation, event| events::apply(actions, generation, event)),
        on_engine_crash: Box::new(move |why| actions.handle_engine_loss(why)),
        on_restart: Box::new(move || actions.jobs.resume()),
        is_busy: Box::new(move || actions.jobs.running.with_untracked(|jobs| !jobs.is_empty())),
    });
    let samp = Samp::new();
    provide_context(samp);
    theme::provide();
    offline::provide(actions.engine);
    samples::provide(actions);
    plot_canvas::ChosenRange::provide();
    let help = RwSignal::new(false);
    listen(actions, help);
    imported_rows::listen(actions);
    actions.check_saved();
    restore::ask_before_leaving(actions.opened_files);
    samp::send_selected_positions(samp, actions.rows);
    samp::unregister_on_leave(samp);
    let Actions { rows, jobs, labels, specclip, finetune, .. } = actions;
    let is_empty = move || {
        rows.all.with(Vec::is_empty)
            && jobs.skipped.with(Vec::is_empty)
            && labels.tables.with(Vec::is_empty)
            && specclip.report.with(Option::is_none)
            && finetune.active_adapter.with(Option::is_none)
    };
    view! {
        <Header/>
        <main id="main">
            <Notices/>
            <UpdateNotice/>
            <RestoreQuestion/>
            <ImportNotices/>
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
            <button class="quiet" data-testid="clear-local-data" on:click=move |_| actions.clear_local_data()>"Clear local data"</button>
            <button class="quiet for-mouse" on:click=move |_| help.set(true)>"Keyboard shortcuts " <kbd>"?"</kbd></button>
        </footer>
        <ColumnsDialog/>
        <KeyHelp open=help/>
    }
}
