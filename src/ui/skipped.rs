//! The list of skipped files, with the reasons.

use leptos::prelude::*;

use super::columns::may_have_columns;
use super::context::{ColumnAssignment, Jobs};
use super::format;

/// The files, and parts of files, that gave no spectrum.
#[component]
pub(super) fn SkippedList() -> impl IntoView {
    let (jobs, columns) = (expect_context::<Jobs>(), expect_context::<ColumnAssignment>());
    let n = Memo::new(move |_| jobs.skipped.with(Vec::len));
    view! {
        <Show when=move || { n.get() > 0 }>
            <details class="skipped" id="skipped" data-testid="skipped" open>
                <summary>
                    <h2>{move || format::count_with_noun(n.get(), "item skipped", "items skipped")}</h2>
                </summary>
                <ul>
                    <For
                        each=move || jobs.skipped.get().into_iter().enumerate()
                        key=|(i, item)| (*i, item.source.clone())
                        children=move |(_, item)| {
                            let path = item.source.clone();
                            let choose = may_have_columns(&path).then(|| view! {
                                <button data-testid="choose-columns" on:click=move |_| columns.ask(path.clone(), None)>
                                    "Choose columns…"
                                </button>
                            });
                            view! { <li><strong>{item.source}</strong><span>{item.reason}</span>{choose}</li> }
                        }
                    />
                </ul>
            </details>
        </Show>
    }
}
