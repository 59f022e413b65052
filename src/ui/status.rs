//! The head of the page: what it is, where it computes, what answers, and what leaves the tab (nothing).

use leptos::{ev, prelude::*};
use wasm_bindgen::JsCast;
use web_sys::Element;

use super::format;
use super::gpu::Phase;
use super::kept::KEPT_EPOCH;
use super::kept_models::KeptModels;
use super::model_card::WholeCard;
use super::offline::OfflineLine;
use super::state::{EngineStatus, Progress, State};
use crate::result::{Label, ModelCard};
use crate::share::samp::HUB_URL;
use crate::spectrum::Survey;

/// Closes what is unfolded in the head, but for that which `inside` lies in.
fn fold(inside: Option<&Element>) {
    let open = document().query_selector_all("header details[open]").ok();
    let open = open.iter().flat_map(|list| (0..list.length()).filter_map(|i| list.item(i)));
    for details in open.filter_map(|node| node.dyn_into::<Element>().ok()) {
        if !inside.is_some_and(|inside| details.contains(Some(inside))) {
            let _ = details.remove_attribute("open");
        }
    }
}

/// A click elsewhere or Escape folds what is unfolded in the head.
fn fold_on_leaving() {
    let click = window_event_listener(ev::click, |event| {
        fold(event.target().and_then(|target| target.dyn_into::<Element>().ok()).as_ref());
    });
    let escape = window_event_listener(ev::keydown, |event| {
        // Of a dialogue Escape closes that alone.
        let is_modal = document().query_selector("dialog[open]").is_ok_and(|found| found.is_some());
        if event.key() == "Escape" && !is_modal {
            fold(None);
        }
    });
    on_cleanup(move || {
        click.remove();
        escape.remove();
    });
}

/// Name, purpose and the state of the engine.
#[component]
pub fn Header() -> impl IntoView {
    let state = expect_context::<State>();
    fold_on_leaving();
    view! {
        <a class="skip-link" href="#main">"Skip to the spectra"</a>
        <header>
            <div class="fraunhofer" aria-hidden="true"></div>
            <div class="head">
                <div class="brand">
                    <h1>"Specola"</h1>
                    <p>"Stellar parameters from spectra, computed in this tab"</p>
                </div>
                <div class="facts">
                    <EngineLine/>
                    <OfflineLine/>
                    <details class="fact">
                        <summary data-testid="uploaded">
                            <span class="dot ok" aria-hidden="true"></span>"0 bytes uploaded"
                            {move || Some(state.samp.sent_bytes()).filter(|bytes| *bytes > 0).map(|bytes| {
                                format!("; {} to SAMP", format::bytes(bytes))
                            })}
                        </summary>
                        <div class="popover"><Privacy/></div>
                    </details>
                    <div class="model-place">{move || state.model.get().map(|card| view! { <Model card/> })}</div>
                </div>
            </div>
        </header>
    }
}

#[component]
fn EngineLine() -> impl IntoView {
    let state = expect_context::<State>();
    let tone = move || {
        state.engine.with(|engine| match engine {
            EngineStatus::Starting => ("starting", "busy"),
            EngineStatus::Loading { .. } => ("loading", "busy"),
            EngineStatus::Ready(_) => ("ready", "ok"),
            EngineStatus::Unavailable(_) => ("unavailable", "bad"),
            EngineStatus::Stopped(_) => ("stopped", "bad"),
        })
    };
    let line = move || match state.engine.get() {
        EngineStatus::Starting => view! { <strong>"Engine starting"</strong> }.into_any(),
        EngineStatus::Loading { what, done, total } => view! {
            <strong>"Loading " {what}</strong>
            <progress max=total.max(1) value=done aria-label="Download"></progress>
            <span class="muted">{format::bytes(done)} " of " {format::bytes(total)}</span>
        }
        .into_any(),
        EngineStatus::Ready(backend) => {
            let (phase, why) = state.gpu.get();
            let helper = (phase == Phase::Answering).then_some("GPU and ");
            view! {
                <strong>"Computing on " {helper} {backend.name}</strong>
                <span class="muted">{why}</span>
            }
            .into_any()
        }
        EngineStatus::Unavailable(reason) => view! {
            <strong>"No predictions"</strong>
            <span class="muted">{reason}</span>
        }
        .into_any(),
        EngineStatus::Stopped(why) => view! {
            <strong>"Engine stopped"</strong>
            <span class="muted">{why}</span>
        }
        .into_any(),
    };
    view! {
        <div class="fact engine-line" data-testid="engine-status" data-state=move || tone().0
             data-gpu=move || state.gpu.get().0.name() role="status">
            <span class=move || format!("dot {}", tone().1) aria-hidden="true"></span>
            {line}
        </div>
    }
}

#[component]
fn Model(card: ModelCard) -> impl IntoView {
    let measured = Survey::ALL.into_iter().filter(|survey| survey.measured_as() == *survey);
    let measured =
        measured.flat_map(|survey| Label::ALL.map(|label| card.measure(label, survey).map(ToString::to_string)));
    let measured = measured.flatten().map(|text| view! { <li>{format::prose(&text)}</li> }).collect_view();
    let whole = card.clone();
    let state = expect_context::<State>();
    let taught = move || {
        let target = state.teach.in_use.with(|used| used.as_ref().map(|used| used.card.target.clone()))?;
        let symbol = Label::from_name(&target).map_or(target.clone(), |label| label.symbol().to_owned());
        Some(format!(", {symbol} taught here"))
    };
    view! {
        <details class="fact" data-testid="model-card">
            <summary>"Model " <strong>{card.name}</strong> " " {card.version} {taught}</summary>
            <div class="popover">
                <p>{card.trained_on}</p>
                <h2>"Measured accuracy"</h2>
                <ul>{measured}</ul>
                <p class="muted">"Download: " {format::bytes(card.bytes)} " · MIT or Apache 2.0"</p>
                <WholeCard card=whole place="card"/>
                <KeptModels/>
            </div>
        </details>
    }
}

/// What lets a visitor check that nothing leaves the tab: the page's own policy and what the browser has fetched.
#[component]
fn Privacy() -> impl IntoView {
    let policy = document()
        .query_selector("meta[http-equiv='Content-Security-Policy']")
        .ok()
        .flatten()
        .and_then(|meta| meta.get_attribute("content"));
    let (fetched, to_hub, elsewhere) = requests();
    view! {
        <p>
            "Spectra are read and predicted by programs inside this tab; there is no server to send them to. You can check it: "
            "go offline and drop a file, or watch the network panel of your browser's developer tools."
        </p>
        <p>{format!(
            "So far this page fetched {} and {} elsewhere; of the SAMP hub on this computer, which is asked only after you press Connect, it asked {}.",
            format::count(fetched, "file from its own address", "files from its own address"),
            if elsewhere == 0 { "nothing from".to_owned() } else { format!("{elsewhere} from") },
            if to_hub == 0 { "nothing".to_owned() } else { format::count(to_hub, "question", "questions") },
        )}</p>
        {match policy {
            Some(policy) => view! {
                <p>"Its content-security policy, which the browser enforces, allows connections to that address and to that hub only:"</p>
                <code class="policy">{policy}</code>
            }.into_any(),
            None => view! { <p>"This copy of the page carries no content-security policy."</p> }.into_any(),
        }}
    }
}

/// What the browser has asked for this page: of its own origin, of the SAMP hub, and of others.
fn requests() -> (usize, usize, usize) {
    let origin = window().location().origin().unwrap_or_default();
    let Some(performance) = window().performance() else { return (0, 0, 0) };
    let entries = performance.get_entries_by_type("resource");
    let names: Vec<String> = entries
        .iter()
        .filter_map(|entry| js_sys::Reflect::get(entry.unchecked_ref(), &"name".into()).ok()?.as_string())
        .collect();
    let of = |address: &str| names.iter().filter(|name| name.starts_with(address)).count();
    let (own, hub) = (of(&origin), of(HUB_URL));
    (own, hub, entries.length() as usize - own - hub)
}

/// What went wrong with the engine, and the way out.
#[component]
pub fn Notices() -> impl IntoView {
    let state = expect_context::<State>();
    let reread = move || {
        let has_lost =
            state.rows.with(|rows| rows.iter().any(|row| row.key.epoch != KEPT_EPOCH && !state.is_current(row.key)));
        has_lost.then(|| view! { <button on:click=move |_| state.reopen()>"Read the files again"</button> })
    };
    view! {
        <div role="alert">
            {move || state.engine.with(|engine| match engine {
                EngineStatus::Stopped(why) => Some(view! {
                    <div class="notice bad" data-testid="engine-stopped">
                        <p><strong>"The engine stopped. "</strong>{why.clone()}</p>
                        <button class="primary" on:click=move |_| state.restart()>"Start it again"</button>
                    </div>
                }),
                _ => None,
            })}
            {move || state.notice.get().map(|text| view! {
                <div class="notice" data-testid="notice">
                    <p>{text}</p>
                    {reread}
                    <button class="quiet" on:click=move |_| state.notice.set(None)>"Dismiss"</button>
                </div>
            })}
        </div>
    }
}

/// How far the running jobs are, with Cancel.
#[component]
pub fn ProgressBar() -> impl IntoView {
    let state = expect_context::<State>();
    let total = Memo::new(move |_| {
        state.jobs.with(|jobs| {
            let sum = |field: fn(&Progress) -> u32| jobs.values().map(field).fold(0, u32::saturating_add);
            (!jobs.is_empty()).then(|| Progress {
                files_done: sum(|p| p.files_done),
                files_total: sum(|p| p.files_total),
                spectra_done: sum(|p| p.spectra_done),
                spectra_total: sum(|p| p.spectra_total),
            })
        })
    });
    let is_running = Memo::new(move |_| total.with(Option::is_some));
    let of = move |field: fn(&Progress) -> u32| total.with(|t| t.as_ref().map_or(0, field));
    view! {
        <Show when=move || state.gathering.get()>
            <p class="progress-line" role="status">"Looking for files…"</p>
        </Show>
        <Show when=move || is_running.get()>
            <div class="progress-line" data-testid="progress">
                <span>
                    {move || of(|p| p.files_done)} " of "
                    {move || format::count(of(|p| p.files_total) as usize, "file", "files")} " read, "
                    {move || of(|p| p.spectra_done)} " of "
                    {move || format::count(of(|p| p.spectra_total) as usize, "spectrum", "spectra")} " answered"
                </span>
                <progress
                    max=move || (of(|p| p.files_total) + of(|p| p.spectra_total)).max(1)
                    value=move || of(|p| p.files_done) + of(|p| p.spectra_done)
                    aria-label="Progress"
                ></progress>
                <button data-testid="cancel" on:click=move |_| state.cancel()>"Cancel"</button>
            </div>
        </Show>
    }
}
