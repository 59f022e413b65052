//! What was not used, and why.

use leptos::prelude::*;

use super::columns::may_have_columns;
use super::format;
use super::state::State;

/// The list of files, and parts of files, that gave no spectrum.
#[component]
pub fn SkippedList() -> impl IntoView {
    let state = expect_context::<State>();
    let n = Memo::new(move |_| state.skipped.with(Vec::len));
    view! {
        <Show when=move || { n.get() > 0 }>
            <details class="skipped" id="not-used" data-testid="skipped" open>
                <summary>
                    <h2>{move || format::count(n.get(), "item was not used", "items were not used")}</h2>
                </summary>
                <ul>
                    <For
                        each=move || state.skipped.get().into_iter().enumerate()
                        key=|(i, item)| (*i, item.what.clone())
                        children=move |(_, item)| {
                            let path = item.what.clone();
                            let choose = may_have_columns(&path).then(|| view! {
                                <button data-testid="choose-columns" on:click=move |_| state.ask_columns(path.clone(), None)>
                                    "Choose columns…"
                                </button>
                            });
                            view! { <li><strong>{item.what}</strong><span>{item.why}</span>{choose}</li> }
                        }
                    />
                </ul>
            </details>
        </Show>
    }
}
