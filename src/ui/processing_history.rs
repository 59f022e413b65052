//! The preprocessing steps of a spectrum.

use leptos::prelude::*;

use super::format;
use crate::result::ProcessingStep;

/// The preprocessing steps in order. Steps that depend on an assumption have the chip "assumed".
#[component]
pub(super) fn ProcessingHistory(#[prop(into)] entries: Signal<Vec<ProcessingStep>>) -> impl IntoView {
    view! {
        <section class="processing-history" data-testid="processing-history" aria-labelledby="processing-history-title">
            <h3 id="processing-history-title">"Preprocessing"</h3>
            <ol>
                {move || entries.get().into_iter().map(|entry| view! {
                    <li class:assumed=entry.is_assumed>
                        <strong>{entry.step}</strong>
                        " "
                        {entry.is_assumed.then(|| view! { <span class="chip mild">"assumed"</span> })}
                        <span>{format::with_minus_signs(&entry.description)}</span>
                    </li>
                }).collect_view()}
            </ol>
        </section>
    }
}
