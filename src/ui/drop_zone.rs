//! Drop zone with the file pickers and the sample button. Files can be dropped anywhere on the page.

use leptos::{ev, prelude::*, task::spawn_local};

use super::actions::Actions;
use super::files::{self, DroppedItems};
use super::samples::Samples;

/// The drop zone: large on an empty page, a bar above the table on a full one.
#[component]
pub(super) fn DropZone(large: Signal<bool>) -> impl IntoView {
    let actions = expect_context::<Actions>();
    let is_dragging = RwSignal::new(false);
    listen_for_drops(actions, is_dragging);
    let on_pick = move |event: ev::Event| {
        let input: web_sys::HtmlInputElement = event_target(&event);
        let files = files::from_list(input.files());
        // Otherwise the browser ignores a second choice of the same file.
        input.set_value("");
        if !files.is_empty() {
            actions.open(files);
        }
    };
    let samples = expect_context::<Samples>();
    let sample = move |_| samples.open(None);
    view! {
        <section class="drop-zone" class:large=large class:dragging=is_dragging data-testid="drop-zone" aria-label="Open spectra">
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
                        "Files or whole folders: LAMOST, SDSS, BOSS, DESI, SPARCL, Gaia XP, 1-D FITS, text, ECSV, VOTable, .npz, also compressed; and a table of labels (known parameters). "
                    } else {
                        "Anywhere on this page, or"
                    }}
                </p>
            </div>
            <div class="drop-buttons">
                <label class="button primary">
                    "Choose files…"
                    <input
                        class="hidden-input" type="file" multiple data-testid="file-input" on:change=on_pick
                    />
                </label>
                <label class="button">
                    "Choose a folder…"
                    <input
                        class="hidden-input" type="file" multiple prop:webkitdirectory=true
                        data-testid="folder-input" on:change=on_pick
                    />
                </label>
                <button data-testid="sample-button" on:click=sample>"Try a sample"</button>
            </div>
        </section>
        <div class="drop-overlay" class:shown=is_dragging aria-hidden="true"><p>"Release to open"</p></div>
    }
}

/// Listens for files dropped anywhere on the page.
fn listen_for_drops(actions: Actions, is_dragging: RwSignal<bool>) {
    let holds_files =
        |event: &web_sys::DragEvent| event.data_transfer().is_some_and(|t| t.types().includes(&"Files".into(), 0));
    let enter = window_event_listener(ev::dragover, move |event| {
        if holds_files(&event) {
            event.prevent_default();
            is_dragging.set(true);
        }
    });
    let leave = window_event_listener(ev::dragleave, move |event| {
        // Without a related target the pointer has left the window, not only an element.
        if event.related_target().is_none() {
            is_dragging.set(false);
        }
    });
    let drop = window_event_listener(ev::drop, move |event| {
        is_dragging.set(false);
        let Some(transfer) = event.data_transfer() else { return };
        if !holds_files(&event) {
            return;
        }
        event.prevent_default();
        let dropped = DroppedItems::from_event(&transfer);
        actions.jobs.is_listing_files.set(true);
        spawn_local(async move {
            match dropped.files().await {
                Ok(files) => actions.open(files),
                Err(why) => actions.jobs.skip("A dropped folder", format!("{why}; drop the files in it instead")),
            }
        });
    });
    on_cleanup(move || [enter, leave, drop].into_iter().for_each(|listener| listener.remove()));
}
