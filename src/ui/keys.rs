//! Keys that work anywhere on the page, and the list of them.

use leptos::{ev, html, prelude::*};
use wasm_bindgen::JsCast;
use web_sys::Element;

use super::autosave::undo;
use super::state::State;

/// Listens for the page's keys.
pub fn listen(state: State, help: RwSignal<bool>) {
    let listener = window_event_listener(ev::keydown, move |event| {
        let target = event.target().and_then(|t| t.dyn_into::<Element>().ok());
        // A tick or a choice takes no letters.
        let takes_letters = |t: &Element| match t.tag_name().as_str() {
            "INPUT" => !matches!(t.get_attribute("type").as_deref(), Some("checkbox" | "radio" | "file")),
            name => matches!(name, "SELECT" | "TEXTAREA"),
        };
        let typing = target.as_ref().is_some_and(takes_letters);
        if !typing && (event.ctrl_key() || event.meta_key()) && !event.shift_key() && event.key() == "z" {
            event.prevent_default();
            undo(state);
            return;
        }
        if typing || event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        // With the focus nowhere the row takes it, so that Space and the arrows go on from there.
        if matches!(event.key().as_str(), "j" | "k") && target.is_some_and(|t| t.tag_name() == "BODY") {
            state.grabs_focus.set_value(true);
        }
        match event.key().as_str() {
            "j" => state.select_by(1),
            "k" => state.select_by(-1),
            "m" => state.toggle_fit(),
            "l" => state.reading.magnifies().update(|on| *on = !*on),
            "?" => help.set(true),
            _ => {}
        }
    });
    on_cleanup(move || listener.remove());
}

/// Keys, each alone or held together, and what they do.
const KEYS: [(&[&str], &str); 11] = [
    (&["j", "k"], "next, previous spectrum"),
    (&["↓", "↑", "Home", "End"], "the same, in the table"),
    (&["Space"], "tick a spectrum for export, in the table"),
    (&["m"], "model spectrum at the answer, on and off"),
    (&["l"], "magnifier beside the pointer, on and off"),
    (&["←", "→"], "move along the spectrum, in a plot"),
    (&["+", "−"], "zoom in, out, in a plot"),
    (&["0"], "the model's range, in a plot"),
    (&["9"], "the whole spectrum, in a plot"),
    (&["Ctrl + z", "⌘ + z"], "back: what was cleared, else the shipped model"),
    (&["?"], "this list"),
];

/// The list of keys, in a dialogue.
#[component]
pub fn KeyHelp(open: RwSignal<bool>) -> impl IntoView {
    let dialog = NodeRef::<html::Dialog>::new();
    Effect::new(move |_| {
        let Some(dialog) = dialog.get() else { return };
        if open.get() && !dialog.open() {
            // Fails only for a dialogue that is open already.
            let _ = dialog.show_modal();
        }
    });
    let close = move |_| {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    view! {
        <dialog node_ref=dialog aria-labelledby="keys-title" on:close=move |_| open.set(false)>
            <h2 id="keys-title">"Keys"</h2>
            <dl class="keys">
                {KEYS.map(|(keys, what)| {
                    let keys = keys.iter().map(|key| view! { <kbd>{*key}</kbd> " " }).collect_view();
                    view! { <div><dt>{keys}</dt><dd>{what}</dd></div> }
                }).collect_view()}
            </dl>
            <p>"In a plot: drag to zoom into a range, Shift and drag to move, double click for the model's range."</p>
            <p><button class="primary" on:click=close>"Close"</button></p>
        </dialog>
    }
}
