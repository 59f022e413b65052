//! Tables of labels that were dropped: how they fit the spectra.

use leptos::prelude::*;

use super::format;
use super::state::State;
use crate::engine::LabelTableReport;

/// One line a table, with what did not fit.
#[component]
pub fn LabelTables() -> impl IntoView {
    let state = expect_context::<State>();
    view! {
        <Show when=move || state.tables.with(|tables| !tables.is_empty())>
            <section class="label-tables" data-testid="label-tables" aria-labelledby="label-tables-title">
                <h2 id="label-tables-title">"Labels"</h2>
                <ul>
                    {move || state.tables.get().into_iter().map(|table| view! { <Fit table/> }).collect_view()}
                </ul>
            </section>
        </Show>
    }
}

#[component]
fn Fit(table: LabelTableReport) -> impl IntoView {
    let labels: Vec<_> = table.labels.iter().map(|label| label.symbol()).collect();
    let (rows, matched) = (table.rows as usize, table.matched as usize);
    let unnamed = (table.unnamed > 0).then(|| format!(", {} without", table.unnamed));
    let is_far = matched == 0;
    let advice = is_far.then_some(
        "Nothing fits yet. A row belongs to a spectrum when its id is the spectrum’s, or names its file; drop the spectra, \
         or mend the ids.",
    );
    view! {
        <li>
            <p>
                <strong>{table.name.clone()}</strong>
                " " {format::count(rows, "row", "rows")} " with " {labels.join(", ")} ": "
                {format::count(matched, "spectrum has", "spectra have")} " a row" {unnamed} "."
            </p>
            {advice.map(|advice| view! { <p class="muted">{advice}</p> })}
            <Names
                title=format::count(table.unmatched as usize, "row names no spectrum here", "rows name no spectrum here")
                n=table.unmatched as usize names=table.unmatched_rows.clone()
            />
            <Names
                title="Several rows name the same spectrum, so none counts; leave one of each".into()
                n=table.ambiguous.len() names=table.ambiguous.clone()
            />
        </li>
    }
}

/// A list of names behind its title, or nothing.
#[component]
fn Names(title: String, n: usize, names: Vec<String>) -> impl IntoView {
    let rest = n.saturating_sub(names.len());
    (n > 0).then(|| {
        view! {
            <details>
                <summary>{title}</summary>
                <p class="names">
                    {names.join(", ")}
                    {(rest > 0).then(|| format!(" and {rest} more"))}
                </p>
            </details>
        }
    })
}
