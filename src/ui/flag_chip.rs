//! A flag of a prediction as a chip.

use leptos::prelude::*;

use crate::result::Flag;

/// A flag as a chip. `has_meaning`: with its meaning for screen readers and as a tooltip.
#[component]
pub(super) fn FlagChip(flag: Flag, has_meaning: bool) -> impl IntoView {
    let class = if flag.is_severe() { "chip severe" } else { "chip mild" };
    view! {
        <span class=class title=has_meaning.then(|| flag.meaning())>
            {flag.code().replace('_', " ")}
            {has_meaning.then(|| view! { <span class="visually-hidden">": " {flag.meaning()}</span> })}
        </span>
    }
}
