//! Use without a network connection: shows a missing connection, caches the page with `www/offline.js`, and offers a
//! new version of the page.

use gloo::events::EventListener;
use js_sys::{Function, Promise, Reflect};
use leptos::{prelude::*, task::spawn_local};
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;

use super::context::Engine;
use super::engine_link::EngineStatus;

/// State of the connection and of the page's version.
#[derive(Clone, Copy)]
pub(super) struct Offline {
    is_offline: RwSignal<bool>,
    has_update: RwSignal<bool>,
}

/// Provides an [`Offline`] that follows the browser's connection state. Caches the page only after the engine is ready:
/// the first prediction must not wait for files of later visits.
pub(super) fn provide(engine: Engine) {
    let offline =
        Offline { is_offline: RwSignal::new(!window().navigator().on_line()), has_update: RwSignal::new(false) };
    provide_context(offline);
    let set_on_event = |event: &'static str, signal: RwSignal<bool>, value: bool| {
        // The listener stays for the life of the page.
        EventListener::new(&window(), event, move |_| signal.set(value)).forget();
    };
    set_on_event("offline", offline.is_offline, true);
    set_on_event("online", offline.is_offline, false);
    set_on_event("specola-update", offline.has_update, true);
    Effect::new(move |was_cached: Option<bool>| {
        let is_cached = was_cached == Some(true);
        if !is_cached && engine.status.with(|status| matches!(status, EngineStatus::Ready(_))) {
            spawn_local(call("register"));
            return true;
        }
        is_cached
    });
}

/// Deletes the cached page from this device.
pub(super) async fn delete_cache() {
    call("remove").await;
}

/// Runs a function of `www/offline.js` to its end. Does nothing where the browser caches no pages.
async fn call(name: &str) {
    let promise = Reflect::get(&window(), &"specolaOffline".into()).ok().and_then(|api| {
        let function: Function = Reflect::get(&api, &name.into()).ok()?.dyn_into().ok()?;
        function.call0(&api).ok()?.dyn_into::<Promise>().ok()
    });
    if let Some(promise) = promise {
        let _ = JsFuture::from(promise).await;
    }
}

/// A line in the header while there is no connection.
#[component]
pub(super) fn OfflineLine() -> impl IntoView {
    let is_offline = expect_context::<Offline>().is_offline;
    view! {
        <div class="offline" role="status">
            <Show when=move || is_offline.get()>
                <div class="status-item" data-testid="offline">
                    <span class="dot idle" aria-hidden="true"></span>
                    <strong>"Offline"</strong>
                    <span class="muted">"everything already downloaded still works"</span>
                </div>
            </Show>
        </div>
    }
}

/// Offers the new version of the page. The page reloads only when the user presses the button.
#[component]
pub(super) fn UpdateNotice() -> impl IntoView {
    let has_update = expect_context::<Offline>().has_update;
    view! {
        <div role="status">
            <Show when=move || has_update.get()>
                <div class="notice" data-testid="update">
                    <p>
                        "A new version of this page is ready. After the reload the page offers to reopen your files. Save a fine-tuned adapter before you reload."
                    </p>
                    <button class="primary" data-testid="update-now" on:click=move |_| spawn_local(call("update"))>"Reload"</button>
                    <button class="quiet" on:click=move |_| has_update.set(false)>"Later"</button>
                </div>
            </Show>
        </div>
    }
}
