//! Keyboard shortcuts of the page, and the dialogue that lists them.

use leptos::{ev, html, prelude::*};
use wasm_bindgen::JsCast;
use web_sys::Element;

use super::actions::Actions;

/// Listens for the keyboard shortcuts.
pub(super) fn listen(actions: Actions, help: RwSignal<bool>) {
    let listener = window_event_listener(ev::keydown, move |event| {
        let target = event.target().and_then(|t| t.dyn_into::<Element>().ok());
        // Checkboxes, radio buttons and file inputs take no text.
        let takes_text = |t: &Element| match t.tag_name().as_str() {
            "INPUT" => !matches!(t.get_attribute("type").as_deref(), Some("checkbox" | "radio" | "file")),
            name => matches!(name, "SELECT" | "TEXTAREA"),
        };
        let is_typing = target.as_ref().is_some_and(takes_text);
        if !is_typing && (event.ctrl_key() || event.meta_key()) && !event.shift_key() && event.key() == "z" {
            event.prevent_default();
            actions.undo();
            return;
        }
        if is_typing || event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        // Without a focused element the row gets the focus, so that Space and the arrow keys apply to it.
        if matches!(event.key().as_str(), "j" | "k") && target.is_some_and(|t| t.tag_name() == "BODY") {
            actions.selection.takes_focus.set_value(true);
        }
        match event.key().as_str() {
            "j" => actions.selection.select_by(1),
            "k" => actions.selection.select_by(-1),
            "m" => actions.diagnostics.toggle_fit(),
            "l" => actions.diagnostics.magnifies.update(|on| *on = !*on),
            "?" => help.set(true),
            _ => {}
        }
    });
    on_cleanup(move || listener.remove());
}

/// Keys or key combinations and their actions.
const KEYS: [(&[&str], &str); 11] = [
    (&["j", "k"], "next, previous spectrum"),
    (&["↑", "↓", "Home", "End"], "previous, next, first, last spectrum, in the table"),
    (&["Space"], "tick a spectrum for export, in the table"),
    (&["m"], "show or hide the synthetic spectrum at the predicted labels"),
    (&["l"], "show or hide the magnifier at the pointer"),
    (&["←", "→"], "move along the spectrum, in a plot"),
    (&["+", "−"], "zoom in, out, in a plot"),
    (&["0"], "wavelength range of the model, in a plot"),
    (&["9"], "full wavelength range, in a plot"),
    (&["Ctrl + z", "⌘ + z"], "undo: restore cleared spectra; if none were cleared, return to the shipped model"),
    (&["?"], "show this list"),
];

/// Dialogue with the list of keys.
#[component]
pub(super) fn KeyHelp(open: RwSignal<bool>) -> impl IntoView {
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
            <h2 id="keys-title">"Keyboard shortcuts"</h2>
            <dl class="keys">
                {KEYS.map(|(keys, action)| {
                    let keys = keys.iter().map(|key| view! { <kbd>{*key}</kbd> " " }).collect_view();
                    view! { <div><dt>{keys}</dt><dd>{action}</dd></div> }
                }).collect_view()}
            </dl>
            <p>"In a plot: drag to zoom, Shift and drag to pan, double-click for the wavelength range of the model."</p>
            <p><button class="primary" on:click=close>"Close"</button></p>
        </dialog>
    }
}
