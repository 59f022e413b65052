//! Similar spectra: nearest neighbours, prediction of the other survey's spectrum, map, anomaly scores.

mod anomalies;
mod map;
mod map_canvas;
mod neighbours;
mod overlay;
mod translation;

use leptos::prelude::*;
use web_sys::HtmlInputElement;

use super::context::{Engine, Panel, Rows, Similarity};
use super::format;
use super::model_card::ModelCardDialog;
use crate::result::similarity::StarRef;
use crate::spectrum::Survey;
use anomalies::Anomalies;
use map::Map;
use neighbours::Neighbours;
use translation::TranslationPanel;

/// The panel; shown when there are spectra of the running engine.
#[component]
pub(super) fn SimilarityPanel() -> impl IntoView {
    let (engine, rows) = (expect_context::<Engine>(), expect_context::<Rows>());
    let similarity = expect_context::<Similarity>();
    let is_shown = Memo::new(move |_| rows.all.with(|rows| rows.iter().any(|row| engine.is_current(row.key))));
    // A memo, so that a repeated request does not reset the controls below.
    let panel = Memo::new(move |_| similarity.panel.get());
    view! {
        <Show when=move || is_shown.get()>
            <section class="finetune similarity" data-testid="similarity" aria-labelledby="similarity-title">
                <h2 id="similarity-title">"Similar spectra"</h2>
                <Requests/>
                <Busy/>
                {move || similarity.error.get().map(|why| view! {
                    <div class="notice bad" role="alert" data-testid="similarity-error"><p>{why}</p></div>
                })}
                {move || match panel.get() {
                    Panel::None => ().into_any(),
                    Panel::Neighbours => view! { <Neighbours/> }.into_any(),
                    Panel::Translation => view! { <TranslationPanel/> }.into_any(),
                    Panel::Map => view! { <Map/> }.into_any(),
                    Panel::Anomalies => view! { <Anomalies/> }.into_any(),
                }}
                <Indices/>
            </section>
        </Show>
    }
}

/// The request buttons, and the name of the spectrum to which they apply.
#[component]
fn Requests() -> impl IntoView {
    let (engine, rows) = (expect_context::<Engine>(), expect_context::<Rows>());
    let similarity = expect_context::<Similarity>();
    let selected = Memo::new(move |_| rows.selected().map(|row| row.key).filter(|key| engine.is_current(*key)));
    let name = move || {
        let row = rows.selected().filter(|row| engine.is_current(row.key));
        row.map(|row| row.summary.with(|s| s.meta.id.clone()))
    };
    let is_xp = Memo::new(move |_| {
        let row = rows.selected().filter(|row| engine.is_current(row.key));
        row.is_some_and(|row| row.summary.with(|s| s.meta.survey == Survey::GaiaXp))
    });
    // `text` depends on whether the selected spectrum is from Gaia XP.
    let button = move |text: fn(bool) -> &'static str,
                       test_id: &'static str,
                       panel: Panel,
                       request: Callback<()>,
                       needs_one: bool| {
        view! {
            <button
                data-testid=test_id
                aria-pressed=move || (similarity.panel.get() == panel).to_string()
                disabled=move || needs_one && selected.get().is_none()
                on:click=move |_| request.run(())
            >{move || text(is_xp.get())}</button>
        }
    };
    let find = Callback::new(move |()| {
        if let Some(key) = selected.get_untracked() {
            similarity.search(vec![StarRef::User(key.id)]);
        }
    });
    let translate = Callback::new(move |()| {
        if let Some(key) = selected.get_untracked() {
            similarity.translate(key, None);
        }
    });
    view! {
        <p class="muted">
            {move || match name() {
                Some(name) => view! { "Selected spectrum: " <strong>{name}</strong> ". The first two buttons use it; the other two use all spectra on this page." }.into_any(),
                None => view! { "Select a spectrum in the table to find similar spectra." }.into_any(),
            }}
            {move || similarity.card.with(Option::is_none).then_some(
                " The first request downloads the encoders and their index of simulated stars. The browser stores both for later visits."
            )}
        </p>
        <p class="actions" role="group" aria-label="Similar spectra">
            {button(|_| "Similar spectra", "find-similar", Panel::Neighbours, find, true)}
            {button(|is_xp| if is_xp { "Predict as LAMOST" } else { "Predict as Gaia XP" }, "translate", Panel::Translation, translate, true)}
            {button(|_| "Map of all spectra", "draw-map", Panel::Map, Callback::new(move |()| similarity.draw_map()), false)}
            {button(|_| "Rank by anomaly score", "rank-anomalies", Panel::Anomalies, Callback::new(move |()| similarity.rank_anomalies()), false)}
        </p>
    }
}

/// Progress of the running request, with the button Stop.
#[component]
fn Busy() -> impl IntoView {
    let similarity = expect_context::<Similarity>();
    let is_busy = move || similarity.is_waiting.get() || similarity.loading.with(Option::is_some);
    let status = move || match (similarity.loading.get(), similarity.embedding.get()) {
        (Some((item, done, total)), _) if total > 0 => {
            format!("Downloading {item}: {} of {}", format::bytes(done), format::bytes(total))
        }
        (Some((item, ..)), _) => format!("Downloading {item}"),
        (None, Some((done, total))) => format!("Embedding spectra: {done} of {total}"),
        (None, None) => "Searching…".into(),
    };
    let fraction = move || match (similarity.loading.get(), similarity.embedding.get()) {
        (Some((_, done, total)), _) if total > 0 => Some(done as f64 / total as f64),
        (None, Some((done, total))) => Some(f64::from(done) / f64::from(total.max(1))),
        _ => None,
    };
    view! {
        <Show when=is_busy>
            <div class="finetune-progress" data-testid="similarity-progress">
                <p role="status">{status}</p>
                <progress aria-label="Similar spectra" max="1" prop:value=move || fraction().unwrap_or(0.0)></progress>
                <button data-testid="stop-similarity" on:click=move |_| similarity.stop()>"Stop"</button>
            </div>
        </Show>
    }
}

/// List of the searched indices, with the controls that add and save an index.
#[component]
fn Indices() -> impl IntoView {
    let similarity = expect_context::<Similarity>();
    let add = move |event: leptos::ev::Event| {
        let input = event_target::<HtmlInputElement>(&event);
        if let Some(file) = input.files().and_then(|files| files.get(0)) {
            similarity.add_index(file);
        }
        input.set_value("");
    };
    move || {
        let card = similarity.card.get()?;
        let rows = card.indices.iter().map(|index| {
            let counts = format!("{} optical, {} Gaia XP", index.lrs, index.xp);
            view! { <li><strong>{index.name.clone()}</strong> ": " {counts} ". " <span class="muted">{index.provenance.clone()}</span></li> }
        });
        let refused = similarity.refused.get();
        Some(view! {
            <details class="indices">
                <summary>"Searched: " {format::count_with_noun(card.indices.len(), "index", "indices")} " and your spectra. Encoders: " {card.model.clone()}</summary>
                <ul>{rows.collect_view()}</ul>
                <ModelCardDialog card=card.card.clone() id_prefix="similarity-card"/>
                {(!refused.is_empty()).then(|| view! {
                    <p>{format::count_with_noun(refused.len(), "spectrum", "spectra")} " cannot be embedded: " {refused[0].1.clone()}</p>
                })}
                <p class="actions">
                    <label class="file-button">"Add an index "
                        <input type="file" accept=".safetensors" data-testid="add-index" on:change=add/>
                    </label>
                    <button data-testid="save-index" on:click=move |_| similarity.save_index()>"Save my spectra as an index"</button>
                </p>
            </details>
        })
    }
}
