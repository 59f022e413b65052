//! What was done to a spectrum before the network saw it.

use leptos::prelude::*;

use super::format;
use crate::result::LedgerEntry;

/// The steps in their order; those that assumed something are marked.
#[component]
pub fn Ledger(#[prop(into)] entries: Signal<Vec<LedgerEntry>>) -> impl IntoView {
    view! {
        <section class="ledger" data-testid="ledger" aria-labelledby="ledger-title">
            <h3 id="ledger-title">"What was done to it"</h3>
            <ol>
                {move || entries.get().into_iter().map(|entry| view! {
                    <li class:assumed=entry.assumed>
                        <strong>{entry.step}</strong>
                        " "
                        {entry.assumed.then(|| view! { <span class="chip mild">"assumed"</span> })}
                        <span>{format::prose(&entry.did)}</span>
                    </li>
                }).collect_view()}
            </ol>
        </section>
    }
}
