//! The line above the table that says which rows to show.

use leptos::{ev, prelude::*};

use super::format;
use super::order::{Filter, Only};
use super::state::State;
use crate::result::Flag;

/// A field for words and conditions, a quick choice, and how much they leave.
#[component]
pub fn FilterBar() -> impl IntoView {
    let state = expect_context::<State>();
    let (only, text) = (RwSignal::new(Only::All), RwSignal::new(String::new()));
    Effect::new(move |_| state.filter(Filter::parse(only.get(), &text.read())));
    let choose = move |event: ev::Event| {
        let value = event_target_value(&event);
        only.set(
            CHOICES.into_iter().chain(flags()).find(|(_, name)| *name == value).map_or(Only::All, |(only, _)| only),
        );
    };
    let found = Memo::new(move |_| (state.arrangement.shown.with(|rows| rows.len()), state.rows.with(Vec::len)));
    let is_filtered = Memo::new(move |_| state.arrangement.filter.with(|filter| !filter.keeps_all()));
    let unclear = Memo::new(move |_| {
        let terms = state.arrangement.filter.with(|filter| filter.unclear().join(", "));
        (!terms.is_empty()).then(|| {
            format!(
                "Left aside, for it is no condition: {terms}. Write feh<-1, e_rv<5 or snr>20, without spaces inside."
            )
        })
    });
    let reset = move |_| {
        text.set(String::new());
        only.set(Only::All);
    };
    let option = move |(choice, name): (Only, &'static str)| {
        view! { <option value=name prop:selected=move || only.get() == choice>{name.replace('_', " ")}</option> }
    };
    view! {
        <div class="filter-bar" role="search" aria-label="Rows to show">
            <input
                type="search" data-testid="filter-text" placeholder="Filter: name, feh<-1, snr>20 …" spellcheck="false"
                aria-label="Words in a name, or conditions such as feh<-1, teff>5000, e_rv<5, snr>20"
                prop:value=text on:input=move |event| text.set(event_target_value(&event))
            />
            <select data-testid="filter-only" aria-label="Rows to show, by answer or flag" on:change=choose>
                {CHOICES.map(option).collect_view()}
                <optgroup label="With the flag">{flags().map(option).collect_view()}</optgroup>
            </select>
            {move || unclear.get().map(|text| view! { <span role="status" class="unclear" data-testid="filter-unclear">{text}</span> })}
            <Show when=move || is_filtered.get()>
                <span role="status" data-testid="filter-count">
                    {move || format!("{} of {}", found.get().0, format::count(found.get().1, "spectrum", "spectra"))}
                </span>
                <button class="quiet" data-testid="filter-reset" on:click=reset>"Show all"</button>
            </Show>
        </div>
    }
}

const CHOICES: [(Only, &str); 4] = [
    (Only::All, "all spectra"),
    (Only::Answered, "with parameters"),
    (Only::Sound, "without a grave flag"),
    (Only::Unanswered, "without parameters"),
];

fn flags() -> impl Iterator<Item = (Only, &'static str)> {
    Flag::ALL.into_iter().map(|flag| (Only::Flagged(flag), flag.code()))
}
