//! Offers to open again the files of earlier visits, or the files that the user has just cleared; says when the browser
//! keeps nothing.

use gloo::events::{EventListener, EventListenerOptions};
use js_sys::{Date, Object, Reflect};
use leptos::prelude::*;
use wasm_bindgen::JsValue;

use super::actions::Actions;
use super::autosave::Session;
use super::context::{OpenedFiles, Rows};
use super::format;

/// Lists the sessions that can be restored.
#[component]
pub(super) fn RestoreQuestion() -> impl IntoView {
    let (opened_files, rows) = (expect_context::<OpenedFiles>(), expect_context::<Rows>());
    let OpenedFiles { earlier, cleared, not_saved, .. } = opened_files;
    // On a page with spectra the earlier sessions take one line.
    let shown = Memo::new(move |_| usize::from(rows.all.with(Vec::is_empty)));
    let has_any = move || cleared.with(Option::is_some) || earlier.with(|all| !all.is_empty());
    view! {
        {move || not_saved.get().map(|why| view! { <div class="notice bad" role="status" data-testid="not-saved"><p>{why}</p></div> })}
        <Show when=has_any>
            <div data-testid="restore">
                {move || cleared.get().map(|session| {
                    let text = format!("{} cleared.", format::count_with_noun(session.files.len(), "file", "files"));
                    question(text, session, "Dismiss", Box::new(move || opened_files.discard_cleared()))
                })}
                {move || earlier.with(|all| all.first().filter(|_| shown.get() > 0).cloned()).map(|session| earlier_session(opened_files, session))}
                {move || earlier.with(|all| (all.len() > shown.get()).then(|| {
                    let others = all[shown.get()..].to_vec();
                    view! {
                        <details class="earlier-sessions" data-testid="earlier-sessions">
                            <summary>{format::count_with_noun(others.len(), "earlier session", "earlier sessions")}</summary>
                            {others.into_iter().map(|session| earlier_session(opened_files, session)).collect_view()}
                        </details>
                    }
                }))}
            </div>
        </Show>
    }
}

/// Asks before the tab closes if the browser has not kept what the user did.
pub(super) fn ask_before_leaving(opened_files: OpenedFiles) {
    let options = EventListenerOptions::enable_prevent_default();
    // The listener stays for the life of the page.
    EventListener::new_with_options(&window(), "beforeunload", options, move |event| {
        if opened_files.would_lose_work() {
            event.prevent_default();
        }
    })
    .forget();
}

fn earlier_session(opened_files: OpenedFiles, session: Session) -> AnyView {
    let mut parts = Vec::new();
    if let Some(first) = session.files.first() {
        let bytes = format::bytes(session.bytes() as u64);
        parts.push(match session.files.len() {
            1 => format!("{} ({bytes})", first.path),
            n => format!("{n} files ({bytes}), the first {},", first.path),
        });
    }
    if session.adapter.is_some() {
        parts.push("a fine-tuned model".into());
    }
    let text = format!("{} you had {} open, stored in this browser only.", time(session.saved_ms), parts.join(" and "));
    let key = session.key.clone();
    question(text, session, "Delete", Box::new(move || opened_files.forget(key.clone())))
}

fn question(text: String, session: Session, no: &'static str, on_no: Box<dyn Fn()>) -> AnyView {
    let actions = expect_context::<Actions>();
    // The browser's file handles cannot be sent to another thread.
    let session = StoredValue::new_local(session);
    view! {
        <div class="notice" role="status">
            <p>{text}</p>
            <button class="primary" data-testid="restore-yes" on:click=move |_| actions.restore(session.get_value())>"Restore"</button>
            <button data-testid="restore-no" on:click=move |_| on_no()>{no}</button>
        </div>
    }
    .into_any()
}

/// Beginning of a sentence: "On 29 Nov 2026, 14:03".
fn time(saved_ms: f64) -> String {
    if saved_ms == 0.0 {
        return "On your last visit".into();
    }
    let options = Object::new();
    for (name, value) in [("dateStyle", "medium"), ("timeStyle", "short")] {
        // Setting a property of a plain object cannot fail.
        let _ = Reflect::set(&options, &name.into(), &value.into());
    }
    let text = Date::new(&JsValue::from_f64(saved_ms)).to_locale_string("en-GB", &options);
    format!("On {}", String::from(text))
}
