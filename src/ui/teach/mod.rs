//! Teaching on the page: pick a label of the tables that were dropped, compare strategies, use the best.

mod charts;
mod in_use;
mod landscape;
mod plane;
mod running;
mod setup;
pub mod state;
pub mod trainers;
mod verdict;

use leptos::prelude::*;

use super::format;
use super::state::State;
use in_use::InUsePanel;
use plane::PlanePanel;
use running::Running;
use setup::Setup;
use verdict::Verdict;

/// The whole of it, once there are spectra.
#[component]
pub fn TeachPanel() -> impl IntoView {
    let state = expect_context::<State>();
    let teach = state.teach;
    let is_there = move || {
        let has_news = teach.in_use.with(Option::is_some) || teach.trouble.with(Option::is_some);
        state.rows.with(|rows| !rows.is_empty()) || has_news
    };
    let has_labels = Memo::new(move |_| !teach.targets().is_empty());
    view! {
        <Show when=is_there>
            <section class="teach" data-testid="teach" aria-labelledby="teach-title">
                <h2 id="teach-title">"Teach"</h2>
                <InUsePanel/>
                <Trouble/>
                <Show when=move || has_labels.get() fallback=|| view! { <Invitation/> }>
                    <Setup/>
                    <Running/>
                    <Remarks/>
                    <Verdict/>
                </Show>
                <PlanePanel/>
            </section>
        </Show>
    }
}

/// What to do when there are no labels yet.
#[component]
fn Invitation() -> impl IntoView {
    view! {
        <p class="muted">
            "Make the model work on your spectra: drop a table of labels (CSV, ECSV, VOTable, FITS) with an "
            <code>"id"</code> " column and, say, " <code>"feh"</code>
            " for ten or more of them. Learning runs in this tab. An adapter that was saved before can be dropped as well."
        </p>
    }
}

/// What went wrong: also with an adapter that was dropped before any labels.
#[component]
fn Trouble() -> impl IntoView {
    let teach = expect_context::<State>().teach;
    view! {
        {move || teach.trouble.get().map(|why| view! {
            <div class="notice bad" data-testid="teach-trouble" role="alert"><p>{capital(&format::prose(&why))}</p></div>
        })}
    }
}

/// What is to be known about the labels.
#[component]
fn Remarks() -> impl IntoView {
    let teach = expect_context::<State>().teach;
    view! {
        <ul class="remarks" data-testid="remarks">
            {move || teach.remarks.get().into_iter().map(|remark| view! {
                <li class:fatal=remark.is_fatal()>{capital(&format::prose(&remark.to_string()))} "."</li>
            }).collect_view()}
        </ul>
    }
}

/// A sentence begins with a capital.
fn capital(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or(String::new(), |first| first.to_uppercase().chain(rest).collect())
}
