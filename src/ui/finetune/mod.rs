//! Fine-tuning panel: choose a label column, compare strategies by cross-validation, apply one.

mod abundance_plane;
mod active_adapter;
mod charts;
mod comparison;
mod landscape;
mod progress;
mod setup;

use leptos::prelude::*;

use super::context::{Finetune, Rows};
use super::format;
use abundance_plane::AbundancePanel;
use active_adapter::ActiveAdapterPanel;
use comparison::ComparisonPanel;
use progress::ProgressPanel;
use setup::FinetuneForm;

/// The panel; shown when there are spectra, an active adapter or an error.
#[component]
pub(super) fn FinetunePanel() -> impl IntoView {
    let (finetune, rows) = (expect_context::<Finetune>(), expect_context::<Rows>());
    let is_shown = move || {
        let has_status = finetune.active_adapter.with(Option::is_some) || finetune.error.with(Option::is_some);
        rows.all.with(|rows| !rows.is_empty()) || has_status
    };
    let has_labels = Memo::new(move |_| !finetune.targets().is_empty());
    view! {
        <Show when=is_shown>
            <section class="finetune" data-testid="finetune" aria-labelledby="finetune-title">
                <h2 id="finetune-title">"Fine-tune"</h2>
                <ActiveAdapterPanel/>
                <ErrorNotice/>
                <Show when=move || has_labels.get() fallback=|| view! { <LabelTableHint/> }>
                    <FinetuneForm/>
                    <ProgressPanel/>
                    <LabelWarnings/>
                    <ComparisonPanel/>
                </Show>
                <AbundancePanel/>
            </section>
        </Show>
    }
}

/// Instructions shown while there are no labels.
#[component]
fn LabelTableHint() -> impl IntoView {
    view! {
        <p class="muted">
            "To fine-tune the model, drop a table of labels (CSV, ECSV, VOTable, FITS). It needs a column "
            <code>"id"</code> " and a label column, for example " <code>"feh"</code>
            ", with values for at least ten of your spectra. Training runs in this tab. You can also drop a saved adapter "
            "(a fine-tuned model of this page)."
        </p>
    }
}

/// The last error, including errors of an adapter that the user dropped before any label table.
#[component]
fn ErrorNotice() -> impl IntoView {
    let finetune = expect_context::<Finetune>();
    view! {
        {move || finetune.error.get().map(|why| view! {
            <div class="notice bad" data-testid="finetune-error" role="alert"><p>{capital(&format::with_minus_signs(&why))}</p></div>
        })}
    }
}

/// Warnings about the labels.
#[component]
fn LabelWarnings() -> impl IntoView {
    let finetune = expect_context::<Finetune>();
    view! {
        <ul class="label-warnings" data-testid="label-warnings">
            {move || finetune.label_warnings.get().into_iter().map(|warning| view! {
                <li class:fatal=warning.is_fatal()>{capital(&format::with_minus_signs(&warning.to_string()))} "."</li>
            }).collect_view()}
        </ul>
    }
}

/// The text with its first letter in upper case.
fn capital(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or(String::new(), |first| first.to_uppercase().chain(rest).collect())
}
