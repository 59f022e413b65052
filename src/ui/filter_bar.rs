//! Filter bar above the table.

use leptos::{ev, prelude::*};

use super::context::{Rows, TableView};
use super::format;
use super::table_sort::{Filter, QuickFilter};
use crate::result::Flag;

/// Field for names and conditions, menu of preset filters, and the number of matching spectra.
#[component]
pub(super) fn FilterBar() -> impl IntoView {
    let (rows, table_view) = (expect_context::<Rows>(), expect_context::<TableView>());
    let (quick, text) = (RwSignal::new(QuickFilter::All), RwSignal::new(String::new()));
    Effect::new(move |_| table_view.set_filter(Filter::parse(quick.get(), &text.read())));
    let on_quick = move |event: ev::Event| {
        let value = event_target_value(&event);
        quick.set(
            CHOICES
                .into_iter()
                .chain(flags())
                .find(|(_, name)| *name == value)
                .map_or(QuickFilter::All, |(quick, _)| quick),
        );
    };
    let n_shown_and_all = Memo::new(move |_| (table_view.shown.with(|shown| shown.len()), rows.all.with(Vec::len)));
    let is_filtered = Memo::new(move |_| table_view.filter.with(|filter| !filter.is_empty()));
    let invalid_terms = Memo::new(move |_| {
        let terms = table_view.filter.with(|filter| filter.invalid_terms().join(", "));
        (!terms.is_empty())
            .then(|| format!("Not a filter condition: {terms}. Write conditions as feh<-1, e_rv<5 or snr>20."))
    });
    let reset = move |_| {
        text.set(String::new());
        quick.set(QuickFilter::All);
    };
    let option = move |(choice, name): (QuickFilter, &'static str)| {
        view! { <option value=name prop:selected=move || quick.get() == choice>{name.replace('_', " ")}</option> }
    };
    view! {
        <div class="filter-bar" role="search" aria-label="Rows to show">
            <input
                type="search" data-testid="filter-text" placeholder="Filter: name, feh<-1, snr>20 …" spellcheck="false"
                aria-label="Words in a name, or conditions such as feh<-1, teff>5000, e_rv<5, snr>20"
                prop:value=text on:input=move |event| text.set(event_target_value(&event))
            />
            <select data-testid="filter-quick" aria-label="Rows to show, by result or flag" on:change=on_quick>
                {CHOICES.map(option).collect_view()}
                <optgroup label="With the flag">{flags().map(option).collect_view()}</optgroup>
            </select>
            {move || invalid_terms.get().map(|text| view! { <span role="status" class="invalid-terms" data-testid="filter-invalid">{text}</span> })}
            <Show when=move || is_filtered.get()>
                <span role="status" data-testid="filter-count">
                    {move || format!("{} of {}", n_shown_and_all.get().0, format::count_with_noun(n_shown_and_all.get().1, "spectrum", "spectra"))}
                </span>
                <button class="quiet" data-testid="filter-reset" on:click=reset>"Show all"</button>
            </Show>
        </div>
    }
}

const CHOICES: [(QuickFilter, &str); 4] = [
    (QuickFilter::All, "all spectra"),
    (QuickFilter::Predicted, "with parameters"),
    (QuickFilter::Unflagged, "without severe flags"),
    (QuickFilter::NotPredicted, "without parameters"),
];

fn flags() -> impl Iterator<Item = (QuickFilter, &'static str)> {
    Flag::ALL.into_iter().map(|flag| (QuickFilter::WithFlag(flag), flag.code()))
}
