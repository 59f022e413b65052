//! The page without a connection: says when there is none, keeps the page on this device through `www/offline.js`, and
//! offers a new version when one has arrived.

use gloo::events::EventListener;
use js_sys::{Function, Promise, Reflect};
use leptos::{prelude::*, task::spawn_local};
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;

use super::state::{EngineStatus, State};

/// What the page knows of its connection and its version.
#[derive(Clone, Copy)]
pub struct Offline {
    is_offline: RwSignal<bool>,
    has_update: RwSignal<bool>,
}

/// Provides an [`Offline`] that follows the browser, and keeps the page once it can answer: not before, so that a first
/// answer does not wait for files of later visits.
pub fn provide(state: State) {
    let offline =
        Offline { is_offline: RwSignal::new(!window().navigator().on_line()), has_update: RwSignal::new(false) };
    provide_context(offline);
    let on = |event: &'static str, told: RwSignal<bool>, value: bool| {
        // For the life of the page.
        EventListener::new(&window(), event, move |_| told.set(value)).forget();
    };
    on("offline", offline.is_offline, true);
    on("online", offline.is_offline, false);
    on("specola-update", offline.has_update, true);
    Effect::new(move |was_kept: Option<bool>| {
        let is_kept = was_kept == Some(true);
        if !is_kept && state.engine.with(|engine| matches!(engine, EngineStatus::Ready(_))) {
            spawn_local(call("keep"));
            return true;
        }
        is_kept
    });
}

/// Keeps nothing of the page on this device any more.
pub async fn forget() {
    call("forget").await;
}

/// Runs a function of `www/offline.js` to its end. Where the browser keeps no pages it fails, and the page goes on
/// without.
async fn call(name: &str) {
    let promise = Reflect::get(&window(), &"specolaOffline".into()).ok().and_then(|ours| {
        let function: Function = Reflect::get(&ours, &name.into()).ok()?.dyn_into().ok()?;
        function.call0(&ours).ok()?.dyn_into::<Promise>().ok()
    });
    if let Some(promise) = promise {
        let _ = JsFuture::from(promise).await;
    }
}

/// A quiet line in the head of the page while there is no connection.
#[component]
pub fn OfflineLine() -> impl IntoView {
    let is_offline = expect_context::<Offline>().is_offline;
    view! {
        <div class="offline" role="status">
            <Show when=move || is_offline.get()>
                <div class="fact" data-testid="offline">
                    <span class="dot idle" aria-hidden="true"></span>
                    <strong>"Offline"</strong>
                    <span class="muted">"what was fetched before goes on working"</span>
                </div>
            </Show>
        </div>
    }
}

/// Offers the new version of the page; nothing happens unless the user says so.
#[component]
pub fn UpdateNotice() -> impl IntoView {
    let has_update = expect_context::<Offline>().has_update;
    view! {
        <div role="status">
            <Show when=move || has_update.get()>
                <div class="notice" data-testid="update">
                    <p>
                        "A new version of this page is ready. What is open will be offered again; save first what was taught."
                    </p>
                    <button class="primary" data-testid="update-now" on:click=move |_| spawn_local(call("update"))>"Reload"</button>
                    <button class="quiet" on:click=move |_| has_update.set(false)>"Later"</button>
                </div>
            </Show>
        </div>
    }
}
