//! Look-alikes on the page: stars like a spectrum, the spectrum in the other survey, the map, the oddities.

mod map;
mod map_canvas;
mod neighbours;
mod oddities;
pub mod state;
mod translation;

use leptos::prelude::*;
use web_sys::HtmlInputElement;

use super::format;
use super::model_card::WholeCard;
use super::state::State;
use crate::result::likes::Star;
use map::Map;
use neighbours::Neighbours;
use oddities::Oddities;
use state::Sight;
use translation::Translated;

/// The whole of it, once there are spectra.
#[component]
pub fn LikesPanel() -> impl IntoView {
    let state = expect_context::<State>();
    let likes = state.likes;
    let is_there = Memo::new(move |_| state.rows.with(|rows| rows.iter().any(|row| state.is_current(row.key))));
    // What is chosen below shall stay when the same question is asked again.
    let sight = Memo::new(move |_| likes.sight.get());
    view! {
        <Show when=move || is_there.get()>
            <section class="teach likes" data-testid="likes" aria-labelledby="likes-title">
                <h2 id="likes-title">"Look-alikes"</h2>
                <Questions/>
                <Busy/>
                {move || likes.trouble.get().map(|why| view! {
                    <div class="notice bad" role="alert" data-testid="likes-trouble"><p>{why}</p></div>
                })}
                {move || match sight.get() {
                    Sight::None => ().into_any(),
                    Sight::Neighbours => view! { <Neighbours/> }.into_any(),
                    Sight::Translation => view! { <Translated/> }.into_any(),
                    Sight::Map => view! { <Map/> }.into_any(),
                    Sight::Oddities => view! { <Oddities/> }.into_any(),
                }}
                <Indices/>
            </section>
        </Show>
    }
}

/// What can be asked, and for which spectrum.
#[component]
fn Questions() -> impl IntoView {
    let state = expect_context::<State>();
    let likes = state.likes;
    let selected = Memo::new(move |_| state.selected_row().map(|row| row.key).filter(|key| state.is_current(*key)));
    let name = move || {
        let row = state.selected_row().filter(|row| state.is_current(row.key));
        row.map(|row| row.summary.with(|s| s.meta.id.clone()))
    };
    let button = move |text: &'static str, test_id: &'static str, sight: Sight, ask: Callback<()>, needs_one: bool| {
        view! {
            <button
                data-testid=test_id
                aria-pressed=move || (likes.sight.get() == sight).to_string()
                disabled=move || needs_one && selected.get().is_none()
                on:click=move |_| ask.run(())
            >{text}</button>
        }
    };
    let find = Callback::new(move |()| {
        if let Some(key) = selected.get_untracked() {
            likes.trail.set(Vec::new());
            state.find_likes(vec![Star::Dropped(key.id)], true);
        }
    });
    let translate = Callback::new(move |()| {
        if let Some(key) = selected.get_untracked() {
            state.translate(key, None);
        }
    });
    view! {
        <p class="muted">
            {move || match name() {
                Some(name) => view! { "Of " <strong>{name}</strong> ", the selected spectrum, or of all that are here." }.into_any(),
                None => view! { "Select a spectrum in the table to find its like." }.into_any(),
            }}
            {move || likes.card.with(Option::is_none).then_some(
                " The encoders and their index of simulated stars are fetched when first asked for, and kept."
            )}
        </p>
        <p class="actions" role="group" aria-label="Look-alikes">
            {button("Find its like", "find-likes", Sight::Neighbours, find, true)}
            {button("See it in the other survey", "translate", Sight::Translation, translate, true)}
            {button("Map of all", "draw-map", Sight::Map, Callback::new(move |()| state.draw_map()), false)}
            {button("Rank by oddity", "rank-oddities", Sight::Oddities, Callback::new(move |()| state.rank_oddities()), false)}
        </p>
    }
}

/// What is being waited for, and a way to stop it.
#[component]
fn Busy() -> impl IntoView {
    let state = expect_context::<State>();
    let likes = state.likes;
    let is_busy = move || likes.is_waiting.get() || likes.loading.with(Option::is_some);
    let says = move || match (likes.loading.get(), likes.embedding.get()) {
        (Some((what, done, total)), _) if total > 0 => {
            format!("Fetching {what}: {} of {}", format::bytes(done), format::bytes(total))
        }
        (Some((what, ..)), _) => format!("Fetching {what}"),
        (None, Some((done, total))) => format!("Embedding spectra: {done} of {total}"),
        (None, None) => "Looking".into(),
    };
    let part = move || match (likes.loading.get(), likes.embedding.get()) {
        (Some((_, done, total)), _) if total > 0 => Some(done as f64 / total as f64),
        (None, Some((done, total))) => Some(f64::from(done) / f64::from(total.max(1))),
        _ => None,
    };
    view! {
        <Show when=is_busy>
            <div class="teach-progress" data-testid="likes-progress">
                <p role="status">{says}</p>
                <progress aria-label="Look-alikes" max="1" prop:value=move || part().unwrap_or(0.0)></progress>
                <button data-testid="stop-likes" on:click=move |_| state.stop_likes()>"Stop"</button>
            </div>
        </Show>
    }
}

/// What is searched, the user's own files, and taking one's spectra along.
#[component]
fn Indices() -> impl IntoView {
    let state = expect_context::<State>();
    let likes = state.likes;
    let add = move |event: leptos::ev::Event| {
        let input = event_target::<HtmlInputElement>(&event);
        if let Some(file) = input.files().and_then(|files| files.get(0)) {
            state.add_index(file);
        }
        input.set_value("");
    };
    move || {
        let card = likes.card.get()?;
        let rows = card.indices.iter().map(|index| {
            let counts = format!("{} optical, {} Gaia XP", index.lrs, index.xp);
            view! { <li><strong>{index.name.clone()}</strong> ": " {counts} ". " <span class="muted">{index.made_from.clone()}</span></li> }
        });
        let refused = likes.refused.get();
        Some(view! {
            <details class="indices">
                <summary>"What is searched: " {format::count(card.indices.len(), "index", "indices")} " and your spectra, by " {card.model.clone()}</summary>
                <ul>{rows.collect_view()}</ul>
                <WholeCard card=card.card.clone() place="likes-card"/>
                {(!refused.is_empty()).then(|| view! {
                    <p>{format::count(refused.len(), "spectrum", "spectra")} " cannot be compared: " {refused[0].1.clone()}</p>
                })}
                <p class="actions">
                    <label class="file-button">"Search another index too "
                        <input type="file" accept=".safetensors" data-testid="add-index" on:change=add/>
                    </label>
                    <button data-testid="save-index" on:click=move |_| state.save_index()>"Save my spectra as an index"</button>
                </p>
            </details>
        })
    }
}
