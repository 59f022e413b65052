//! The adapter that answers: what it is, keeping it, and the way back.

use leptos::{html, prelude::*};

use super::format;
use super::setup::symbol;
use super::state::InUse;
use crate::result::Label;
use crate::ui::download::save_bytes;
use crate::ui::state::State;

/// Shown while an adapter answers.
#[component]
pub fn InUsePanel() -> impl IntoView {
    let state = expect_context::<State>();
    move || state.teach.in_use.get().map(|in_use| view! { <Card in_use/> })
}

#[component]
fn Card(in_use: InUse) -> impl IntoView {
    let state = expect_context::<State>();
    let InUse { card, file, .. } = in_use;
    let target = symbol(&card.target);
    let name = format!("specola-{}-{}.safetensors", card.target, card.strategy.name());
    let title = name.clone();
    let save = move |_| {
        if let Err(why) = save_bytes(&name, "application/octet-stream", &file) {
            state.notice.set(Some(why));
        }
    };
    let unit = Label::from_name(&card.target).map_or("", Label::unit);
    let error = if card.error >= 10.0 { format!("{:.0}", card.error) } else { format!("{:.3}", card.error) };
    let place = NodeRef::<html::Div>::new();
    // It stands above what was pressed to have it.
    Effect::new(move |_| {
        if let Some(place) = place.get() {
            place.scroll_into_view();
        }
    });
    view! {
        <div class="in-use" data-testid="adapter" role="status" node_ref=place>
            <p>
                <strong>{target} " comes from what you taught: "</strong>
                {card.strategy.title()} " on " {format::count(card.labels.n, "label", "labels")}
                ", error ± " {error} " " {unit} " (" {card.error_from.clone()} "), on " {card.base.clone()}
                {card.emulator.clone().map(|emulator| format!(" beside {emulator}"))}
                ". All spectra that were read here are answered by it."
            </p>
            <p class="actions">
                <button data-testid="save-adapter" title=title on:click=save>"Save the adapter"</button>
                <button data-testid="undo-adapter" on:click=move |_| state.forget_adapter()>"Back to the shipped model"</button>
            </p>
        </div>
    }
}
