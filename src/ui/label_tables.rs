//! The opened label tables, with the number of matched spectra.

use leptos::prelude::*;

use super::context::Labels;
use super::format;
use crate::engine::protocol::LabelTableReport;

/// One line per label table, with its unmatched rows.
#[component]
pub(super) fn LabelTables() -> impl IntoView {
    let labels = expect_context::<Labels>();
    view! {
        <Show when=move || labels.tables.with(|tables| !tables.is_empty())>
            <section class="label-tables" data-testid="label-tables" aria-labelledby="label-tables-title">
                <h2 id="label-tables-title">"Label tables"</h2>
                <ul>
                    {move || labels.tables.get().into_iter().map(|table| view! { <TableSummary table/> }).collect_view()}
                </ul>
            </section>
        </Show>
    }
}

#[component]
fn TableSummary(table: LabelTableReport) -> impl IntoView {
    let labels: Vec<_> = table.labels.iter().map(|label| label.symbol()).collect();
    let (rows, matched) = (table.rows as usize, table.matched as usize);
    let unmatched = (table.spectra_without_row > 0).then(|| format!(", {} not matched", table.spectra_without_row));
    let has_no_match = matched == 0;
    let advice = has_no_match.then_some(
        "No row matches a spectrum. A row matches when its id is the spectrum’s id or file name. Drop the spectra, or \
         correct the ids.",
    );
    view! {
        <li>
            <p>
                <strong>{table.name.clone()}</strong>
                " " {format::count_with_noun(rows, "row", "rows")} " with " {labels.join(", ")} ": "
                {format::count_with_noun(matched, "spectrum", "spectra")} " matched" {unmatched} "."
            </p>
            {table.note.clone().map(|note| view! { <p class="muted">{note}</p> })}
            {advice.map(|advice| view! { <p class="muted">{advice}</p> })}
            <NameList
                title=format::count_with_noun(table.rows_without_spectrum as usize, "row matches no spectrum", "rows match no spectrum")
                n=table.rows_without_spectrum as usize names=table.unmatched_ids.clone()
            />
            <NameList
                title="Several rows match each of these spectra, and none of these rows is used. Leave one row per spectrum".into()
                n=table.ambiguous.len() names=table.ambiguous.clone()
            />
        </li>
    }
}

/// A list of names that unfolds below its title. Shows nothing if there are no names.
#[component]
fn NameList(title: String, n: usize, names: Vec<String>) -> impl IntoView {
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
