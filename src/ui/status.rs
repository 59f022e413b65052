//! The header of the page: engine status, model, privacy, notices and progress.

use leptos::{ev, prelude::*};
use wasm_bindgen::JsCast;
use web_sys::Element;

use super::actions::Actions;
use super::context::{Engine, Finetune, Jobs, Notice, Progress, Rows};
use super::engine_link::EngineStatus;
use super::engine_link::gpu::GpuPhase;
use super::format;
use super::model_card::ModelCardDialog;
use super::offline::OfflineLine;
use super::row::IMPORTED_GENERATION;
use super::samp::Samp;
use super::stored_models::StoredModels;
use crate::result::{Label, ModelCard};
use crate::share::samp::HUB_URL;
use crate::spectrum::Survey;

/// Closes the open popovers of the header, except the one that contains `inside`.
fn close_popovers(inside: Option<&Element>) {
    let open = document().query_selector_all("header details[open]").ok();
    let open = open.iter().flat_map(|list| (0..list.length()).filter_map(|i| list.item(i)));
    for details in open.filter_map(|node| node.dyn_into::<Element>().ok()) {
        if !inside.is_some_and(|inside| details.contains(Some(inside))) {
            let _ = details.remove_attribute("open");
        }
    }
}

/// Closes popovers of the header on Escape or a click elsewhere.
fn close_popovers_on_leave() {
    let click = window_event_listener(ev::click, |event| {
        close_popovers(event.target().and_then(|target| target.dyn_into::<Element>().ok()).as_ref());
    });
    let escape = window_event_listener(ev::keydown, |event| {
        // Escape in a dialogue closes only the dialogue.
        let is_modal = document().query_selector("dialog[open]").is_ok_and(|found| found.is_some());
        if event.key() == "Escape" && !is_modal {
            close_popovers(None);
        }
    });
    on_cleanup(move || {
        click.remove();
        escape.remove();
    });
}

/// Name of the page, engine status, privacy and model.
#[component]
pub(super) fn Header() -> impl IntoView {
    let (engine, samp) = (expect_context::<Engine>(), expect_context::<Samp>());
    close_popovers_on_leave();
    view! {
        <a class="skip-link" href="#main">"Skip to the spectra"</a>
        <header>
            <div class="fraunhofer" aria-hidden="true"></div>
            <div class="head">
                <div class="brand">
                    <h1>"Specola"</h1>
                    <p>"Stellar parameters from spectra, computed in this tab"</p>
                </div>
                <div class="status-items">
                    <EngineStatusLine/>
                    <OfflineLine/>
                    <details class="status-item">
                        <summary data-testid="uploaded">
                            <span class="dot ok" aria-hidden="true"></span>"0 bytes uploaded"
                            {move || Some(samp.sent_bytes()).filter(|bytes| *bytes > 0).map(|bytes| {
                                format!("; {} to SAMP", format::bytes(bytes))
                            })}
                        </summary>
                        <div class="popover"><Privacy/></div>
                    </details>
                    <div class="model-slot">{move || engine.model.get().map(|card| view! { <ModelSummary card/> })}</div>
                </div>
            </div>
        </header>
    }
}

#[component]
fn EngineStatusLine() -> impl IntoView {
    let engine = expect_context::<Engine>();
    let tone = move || {
        engine.status.with(|status| match status {
            EngineStatus::Starting => ("starting", "busy"),
            EngineStatus::Loading { .. } => ("loading", "busy"),
            EngineStatus::Ready(_) => ("ready", "ok"),
            EngineStatus::Unavailable(_) => ("unavailable", "bad"),
            EngineStatus::Stopped(_) => ("stopped", "bad"),
        })
    };
    let line = move || match engine.status.get() {
        EngineStatus::Starting => view! { <strong>"Engine starting"</strong> }.into_any(),
        EngineStatus::Loading { name, done, total } => view! {
            <strong>"Loading " {name}</strong>
            <progress max=total.max(1) value=done aria-label="Download"></progress>
            <span class="muted">{format::bytes(done)} " of " {format::bytes(total)}</span>
        }
        .into_any(),
        EngineStatus::Ready(backend) => {
            let (phase, why) = engine.gpu.get();
            let gpu = (phase == GpuPhase::Active).then_some("GPU and ");
            view! {
                <strong>"Computing on " {gpu} {backend.name}</strong>
                <span class="muted">{why}</span>
            }
            .into_any()
        }
        EngineStatus::Unavailable(reason) => view! {
            <strong>"No predictions"</strong>
            <span class="muted">{reason}</span>
        }
        .into_any(),
        EngineStatus::Stopped(reason) => view! {
            <strong>"Engine stopped"</strong>
            <span class="muted">{reason}</span>
        }
        .into_any(),
    };
    view! {
        <div class="status-item engine-line" data-testid="engine-status" data-state=move || tone().0
             data-gpu=move || engine.gpu.get().0.name() role="status">
            <span class=move || format!("dot {}", tone().1) aria-hidden="true"></span>
            {line}
        </div>
    }
}

#[component]
fn ModelSummary(card: ModelCard) -> impl IntoView {
    let measured = Survey::ALL.into_iter().filter(|survey| survey.accuracy_survey() == *survey);
    let measured =
        measured.flat_map(|survey| Label::ALL.map(|label| card.accuracy_of(label, survey).map(ToString::to_string)));
    let measured = measured.flatten().map(|text| view! { <li>{format::with_minus_signs(&text)}</li> }).collect_view();
    let full_card = card.clone();
    let finetune = expect_context::<Finetune>();
    let finetuned_label = move || {
        let target =
            finetune.active_adapter.with(|adapter| adapter.as_ref().map(|adapter| adapter.card.target.clone()))?;
        let symbol = Label::from_name(&target).map_or(target.clone(), |label| label.symbol().to_owned());
        Some(format!(", {symbol} fine-tuned here"))
    };
    view! {
        <details class="status-item" data-testid="model-card">
            <summary>"Model " <strong>{card.name}</strong> " " {card.version} {finetuned_label}</summary>
            <div class="popover">
                <p>{card.trained_on}</p>
                <h2>"Accuracy"</h2>
                <ul>{measured}</ul>
                <p class="muted">"Download: " {format::bytes(card.bytes)} " · MIT or Apache 2.0"</p>
                <ModelCardDialog card=full_card id_prefix="card"/>
                <StoredModels/>
            </div>
        </details>
    }
}

/// Evidence that no data leave the tab: the content-security policy and the requests of the browser.
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
            "Programs in this tab read the spectra and predict their labels. There is no server. You can check this: go "
            "offline and drop a file, or watch the network panel of your browser’s developer tools."
        </p>
        <p>{format!(
            "So far this page has loaded {} and {} other addresses. It has sent {} to the SAMP hub on this computer. It contacts the hub only after you press Connect.",
            format::count_with_noun(fetched, "file from its own address", "files from its own address"),
            if elsewhere == 0 { "none from".to_owned() } else { format!("{elsewhere} from") },
            if to_hub == 0 { "no request".to_owned() } else { format::count_with_noun(to_hub, "request", "requests") },
        )}</p>
        {match policy {
            Some(policy) => view! {
                <p>"The browser enforces its content-security policy. The policy allows connections to its own address and to the SAMP hub only:"</p>
                <code class="policy">{policy}</code>
            }.into_any(),
            None => view! { <p>"This copy of the page has no content-security policy."</p> }.into_any(),
        }}
    }
}

/// Numbers of requests to the page's own origin, to the SAMP hub and to other addresses.
fn requests() -> (usize, usize, usize) {
    let origin = window().location().origin().unwrap_or_default();
    let Some(performance) = window().performance() else { return (0, 0, 0) };
    let entries = performance.get_entries_by_type("resource");
    let names: Vec<String> = entries
        .iter()
        .filter_map(|entry| js_sys::Reflect::get(entry.unchecked_ref(), &"name".into()).ok()?.as_string())
        .collect();
    let of = |address: &str| names.iter().filter(|name| name.starts_with(address)).count();
    let (same_origin, hub) = (of(&origin), of(HUB_URL));
    (same_origin, hub, entries.length() as usize - same_origin - hub)
}

/// Errors of the engine and other notices, with buttons to recover.
#[component]
pub(super) fn Notices() -> impl IntoView {
    let actions = expect_context::<Actions>();
    let (engine, rows, notice) = (expect_context::<Engine>(), expect_context::<Rows>(), expect_context::<Notice>());
    let reread_button = move || {
        let has_lost_rows = rows.all.with(|rows| {
            rows.iter().any(|row| row.key.generation != IMPORTED_GENERATION && !engine.is_current(row.key))
        });
        has_lost_rows.then(|| view! { <button on:click=move |_| actions.reopen()>"Read the files again"</button> })
    };
    view! {
        <div role="alert">
            {move || engine.status.with(|status| match status {
                EngineStatus::Stopped(reason) => Some(view! {
                    <div class="notice bad" data-testid="engine-stopped">
                        <p><strong>"The engine stopped. "</strong>{reason.clone()}</p>
                        <button class="primary" on:click=move |_| engine.restart()>"Restart"</button>
                    </div>
                }),
                _ => None,
            })}
            {move || notice.text().get().map(|text| view! {
                <div class="notice" data-testid="notice">
                    <p>{text}</p>
                    {reread_button}
                    <button class="quiet" on:click=move |_| notice.clear()>"Dismiss"</button>
                </div>
            })}
        </div>
    }
}

/// Progress of the running jobs, with the button Cancel.
#[component]
pub(super) fn ProgressBar() -> impl IntoView {
    let (jobs, engine) = (expect_context::<Jobs>(), expect_context::<Engine>());
    let total = Memo::new(move |_| {
        jobs.running.with(|jobs| {
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
        <Show when=move || jobs.is_listing_files.get()>
            <p class="progress-line" role="status">"Listing files…"</p>
        </Show>
        <Show when=move || is_running.get()>
            <div class="progress-line" data-testid="progress">
                <span>
                    {move || of(|p| p.files_done)} " of "
                    {move || format::count_with_noun(of(|p| p.files_total) as usize, "file", "files")} " read, "
                    {move || of(|p| p.spectra_done)} " of "
                    {move || format::count_with_noun(of(|p| p.spectra_total) as usize, "spectrum", "spectra")} " predicted"
                </span>
                <progress
                    max=move || (of(|p| p.files_total) + of(|p| p.spectra_total)).max(1)
                    value=move || of(|p| p.files_done) + of(|p| p.spectra_done)
                    aria-label="Progress"
                ></progress>
                <button data-testid="cancel" on:click=move |_| jobs.cancel()>"Cancel"</button>
            </div>
            {move || engine.silent_s.get().map(|seconds| view! {
                <div class="notice" role="alert" data-testid="silent">
                    <p>{format!(
                        "The engine has sent nothing for {seconds} s{}. It may need more time, or it may hang.",
                        jobs.reading().map_or_else(String::new, |path| format!(" while it reads {path}"))
                    )}</p>
                    <button on:click=move |_| engine.stop_silent()>
                        {if jobs.reading().is_some() { "Set this file aside" } else { "Restart the engine" }}
                    </button>
                </div>
            })}
        </Show>
    }
}
