//! Where files come in. The whole page takes drops; this is the place that says so, with the pickers and the samples.

use leptos::{ev, prelude::*, task::spawn_local};

use super::files::{self, Dropped};
use super::samples::Samples;
use super::state::State;

/// The drop zone: large on an empty page, a bar above the table on a full one.
#[component]
pub fn DropZone(large: Signal<bool>) -> impl IntoView {
    let state = expect_context::<State>();
    let over = RwSignal::new(false);
    take_drops(state, over);
    let picked = move |event: ev::Event| {
        let input: web_sys::HtmlInputElement = event_target(&event);
        let files = files::from_list(input.files());
        // So that the same file can be picked again.
        input.set_value("");
        if !files.is_empty() {
            state.open(files);
        }
    };
    let samples = expect_context::<Samples>();
    let sample = move |_| samples.open(None);
    view! {
        <section class="drop-zone" class:large=large class:over=over data-testid="drop-zone" aria-label="Open spectra">
            <svg class="drop-mark" viewBox="0 0 64 64" aria-hidden="true">
                <path class="dome" d="M8 44a24 24 0 0 1 48 0"/>
                <path class="slit" d="M30 44V20.1M38 44V20.8"/>
                <path class="dome" d="M4 44h56M10 44v10h44V44"/>
                <path class="ray" d="M46 3 34.5 33"/>
            </svg>
            <div class="drop-text">
                <h2>{move || if large.get() { "Drop spectra anywhere on this page" } else { "Drop more spectra" }}</h2>
                <p>
                    {move || if large.get() {
                        "Files or whole folders: LAMOST, SDSS, BOSS, DESI, SPARCL, Gaia XP, 1-D FITS, text, ECSV, VOTable, .npz, also compressed; and a table of labels. "
                    } else {
                        "Anywhere on this page, or"
                    }}
                </p>
            </div>
            <div class="drop-buttons">
                <label class="button primary">
                    "Choose files…"
                    <input
                        class="hidden-input" type="file" multiple data-testid="file-input" on:change=picked
                    />
                </label>
                <label class="button">
                    "Choose a folder…"
                    <input
                        class="hidden-input" type="file" multiple prop:webkitdirectory=true
                        data-testid="folder-input" on:change=picked
                    />
                </label>
                <button data-testid="sample-button" on:click=sample>"Try a sample"</button>
            </div>
        </section>
        <div class="drop-veil" class:shown=over aria-hidden="true"><p>"Let go to read them"</p></div>
    }
}

/// Takes drops anywhere on the page.
fn take_drops(state: State, over: RwSignal<bool>) {
    let holds_files =
        |event: &web_sys::DragEvent| event.data_transfer().is_some_and(|t| t.types().includes(&"Files".into(), 0));
    let enter = window_event_listener(ev::dragover, move |event| {
        if holds_files(&event) {
            event.prevent_default();
            over.set(true);
        }
    });
    let leave = window_event_listener(ev::dragleave, move |event| {
        // Left the window, and not only one element for another.
        if event.related_target().is_none() {
            over.set(false);
        }
    });
    let drop = window_event_listener(ev::drop, move |event| {
        over.set(false);
        let Some(transfer) = event.data_transfer() else { return };
        if !holds_files(&event) {
            return;
        }
        event.prevent_default();
        let dropped = Dropped::take(&transfer);
        state.gathering.set(true);
        spawn_local(async move {
            match dropped.files().await {
                Ok(files) => state.open(files),
                Err(why) => state.skip("A dropped folder", format!("{why}; drop its files instead")),
            }
        });
    });
    on_cleanup(move || [enter, leave, drop].into_iter().for_each(|listener| listener.remove()));
}
