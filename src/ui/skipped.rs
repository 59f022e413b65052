//! The list of skipped files, grouped by reason.

use std::collections::BTreeMap;

use leptos::prelude::*;

use super::columns::may_have_columns;
use super::context::{ColumnAssignment, Jobs, SkippedItem};
use super::format;

/// Number of reasons that are shown at first, and further ones on demand.
const REASONS_AT_ONCE: usize = 50;

/// Number of files shown for a reason; further ones are counted.
const FILES_OF_A_REASON: usize = 20;

/// Files, and parts of files, that were skipped for the same reason.
#[derive(Debug, Clone, PartialEq)]
struct Group {
    reason: String,
    /// The first of them.
    sources: Vec<String>,
    n: usize,
}

/// The groups in the order of their first items.
fn groups(items: &[SkippedItem]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut index: BTreeMap<&str, usize> = BTreeMap::new();
    for SkippedItem { source, reason } in items {
        let i = *index.entry(reason).or_insert_with(|| {
            groups.push(Group { reason: reason.clone(), sources: Vec::new(), n: 0 });
            groups.len() - 1
        });
        groups[i].n += 1;
        if groups[i].sources.len() < FILES_OF_A_REASON {
            groups[i].sources.push(source.clone());
        }
    }
    groups
}

/// The files, and parts of files, that gave no spectrum.
#[component]
pub(super) fn SkippedList() -> impl IntoView {
    let jobs = expect_context::<Jobs>();
    let n = Memo::new(move |_| jobs.skipped.with(Vec::len));
    let groups = Memo::new(move |_| jobs.skipped.with(|items| groups(items)));
    let shown = RwSignal::new(REASONS_AT_ONCE);
    let hidden = move || groups.with(Vec::len).saturating_sub(shown.get());
    view! {
        <Show when=move || { n.get() > 0 }>
            <details class="skipped" id="skipped" data-testid="skipped" open>
                <summary>
                    <h2>{move || format::count_with_noun(n.get(), "item skipped", "items skipped")}</h2>
                </summary>
                <ul>
                    <For
                        each=move || groups.with(|groups| groups.iter().take(shown.get()).cloned().collect::<Vec<_>>())
                        key=|group| (group.reason.clone(), group.n)
                        children=|group| view! { <GroupLine group/> }
                    />
                </ul>
                <Show when=move || { hidden() > 0 }>
                    <button class="quiet" on:click=move |_| shown.update(|n| *n += REASONS_AT_ONCE)>
                        {move || format!("Show more of {} further reasons", hidden())}
                    </button>
                </Show>
            </details>
        </Show>
    }
}

#[component]
fn GroupLine(group: Group) -> impl IntoView {
    let columns = expect_context::<ColumnAssignment>();
    let source = move |source: String| {
        let path = source.clone();
        let choose = may_have_columns(&path).then(|| {
            view! {
                <button data-testid="choose-columns" on:click=move |_| columns.ask(path.clone(), None)>
                    "Choose columns…"
                </button>
            }
        });
        view! { <strong>{source}</strong> {choose} }
    };
    let Group { reason, mut sources, n } = group;
    let content = match n {
        1 => source(sources.pop().unwrap_or_default()).into_any(),
        _ => {
            let more = (n > sources.len()).then(|| view! { <li>{format!("and {} more", n - sources.len())}</li> });
            let listed = sources.into_iter().map(|s| view! { <li>{source(s)}</li> }).collect_view();
            view! {
                <details open=n <= FILES_OF_A_REASON>
                    <summary>{format::count_with_noun(n, "item", "items")}</summary>
                    <ul>{listed} {more}</ul>
                </details>
            }
            .into_any()
        }
    };
    view! { <li>{content}<span>{reason}</span></li> }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_reasons_are_one_group() {
        let item = |source: String, reason: &str| SkippedItem { source, reason: reason.into() };
        let mut items: Vec<SkippedItem> = (0..100_000).map(|i| item(format!("a{i}.fits"), "it is empty")).collect();
        items.insert(1, item("b.fits".into(), "it is truncated"));
        let groups = groups(&items);
        let sizes: Vec<(usize, usize)> = groups.iter().map(|g| (g.n, g.sources.len())).collect();
        assert_eq!(sizes, [(100_000, FILES_OF_A_REASON), (1, 1)]);
        assert_eq!((groups[1].sources[0].as_str(), groups[1].reason.as_str()), ("b.fits", "it is truncated"));
    }
}
