//! Active adapter: its card, and the buttons that save it or return to the shipped model.

use leptos::{html, prelude::*};

use super::setup::symbol;
use crate::result::Label;
use crate::ui::context::{ActiveAdapter, Finetune, Notice};
use crate::ui::download::save_bytes;
use crate::ui::format;

/// Shown while an adapter is active.
#[component]
pub(super) fn ActiveAdapterPanel() -> impl IntoView {
    let finetune = expect_context::<Finetune>();
    move || finetune.active_adapter.get().map(|adapter| view! { <Card adapter/> })
}

#[component]
fn Card(adapter: ActiveAdapter) -> impl IntoView {
    let (finetune, notice) = (expect_context::<Finetune>(), expect_context::<Notice>());
    let ActiveAdapter { card, file, .. } = adapter;
    let target = symbol(&card.target);
    let name = format!("specola-{}-{}.safetensors", card.target, card.strategy.name());
    let title = name.clone();
    let save = move |_| {
        if let Err(why) = save_bytes(&name, "application/octet-stream", &file) {
            notice.show(why);
        }
    };
    let unit = Label::from_name(&card.target).map_or("", Label::unit);
    let error = if card.error >= 10.0 { format!("{:.0}", card.error) } else { format!("{:.3}", card.error) };
    let is_from_gp = card.settings.start_from_gp && card.strategy.has_gradient_steps();
    let panel = NodeRef::<html::Div>::new();
    // The panel is above the button that the user pressed, perhaps out of sight.
    Effect::new(move |_| {
        if let Some(panel) = panel.get() {
            panel.scroll_into_view();
        }
    });
    view! {
        <div class="active-adapter" data-testid="adapter" role="status" node_ref=panel>
            <p>
                <strong>{target} " is predicted by a fine-tuned model. "</strong>
                "Strategy: " {card.strategy.title()} {is_from_gp.then_some(", from the GP correction")} ", trained on " {format::count_with_noun(card.labels.n, "label", "labels")}
                ". Base model: " {card.base.clone()}
                ". Error: ± " {error} " " {unit} " (" {card.error_basis.clone()}
                "). The fine-tuned model applies to all spectra on this page."
            </p>
            <p class="actions">
                <button data-testid="save-adapter" title=title on:click=save>"Save adapter"</button>
                <button data-testid="undo-adapter" on:click=move |_| finetune.remove_adapter()>"Return to the shipped model"</button>
            </p>
        </div>
    }
}
