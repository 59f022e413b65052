//! The page: Leptos components, one panel a file, over the signals of [`state::State`].
//!
//! The page holds no tensor and reads no spectrum: it hands files to the engine ([`engine_link`]) and shows what comes
//! back. It is its own small program, so that it paints before the engine has arrived.

mod arrange;
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
mod kept;
mod kept_models;
mod keys;
mod label_tables;
mod ledger;
mod lens;
mod likes;
mod model_card;
mod networks;
mod offline;
mod order;
mod parameters;
mod plot_canvas;
mod reading;
mod receive;
mod row;
mod samp;
mod samples;
mod skipped;
mod spectrum_plot;
mod state;
mod status;
mod table;
mod table_row;
mod take_away;
mod teach;
mod theme;
mod welcome;

use leptos::prelude::*;

use autosave::RestoreQuestion;
use columns::ColumnsDialog;
use detail::Detail;
use drop_zone::DropZone;
use kept::Origins;
use keys::{KeyHelp, listen};
use label_tables::LabelTables;
use likes::LikesPanel;
use networks::NetworksPanel;
use offline::UpdateNotice;
use skipped::SkippedList;
use state::State;
use status::{Header, Notices, ProgressBar};
use table::Table;
use teach::TeachPanel;
use welcome::Welcome;

/// Puts the page in the place of what `index.html` shows while it loads.
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
    kept::listen(state);
    autosave::look(state);
    samp::follow(state);
    samp::sign_off(state);
    let is_empty = move || {
        state.rows.with(Vec::is_empty)
            && state.skipped.with(Vec::is_empty)
            && state.tables.with(Vec::is_empty)
            && state.networks.with(Option::is_none)
            && state.teach.in_use.with(Option::is_none)
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
            <Show when=is_empty fallback=|| view! { <Table/> <Detail/> <LikesPanel/> <TeachPanel/> <LabelTables/> <NetworksPanel/> <SkippedList/> }>
                <Welcome/>
            </Show>
        </main>
        <footer>
            <p>
                "Specola " {env!("CARGO_PKG_VERSION")}
                " · free software, MIT or Apache 2.0 · wavelengths in vacuum ångström, errors are 1 σ"
            </p>
            <button class="quiet" data-testid="forget" on:click=move |_| autosave::forget(state)>"Forget everything"</button>
            <button class="quiet" on:click=move |_| help.set(true)>"Keys " <kbd>"?"</kbd></button>
        </footer>
        <ColumnsDialog/>
        <KeyHelp open=help/>
    }
}
