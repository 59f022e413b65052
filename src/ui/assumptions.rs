//! What the page takes for granted about a spectrum, and the means to correct it.

use leptos::{ev, prelude::*};

use super::columns::may_have_columns;
use super::format;
use super::state::{Row, State};
use crate::engine::Assumptions;
use crate::spectrum::{Frame, Medium, Source};

/// Lowest and highest resolving power that can be entered.
const RESOLVING_POWER: (f64, f64) = (100.0, 500_000.0);

/// Medium, velocity frame and resolving power of a row, each changeable. A change is sent at once.
#[component]
pub fn AssumptionControls(row: Row) -> impl IntoView {
    let state = expect_context::<State>();
    let meta = move || row.summary.get().meta.clone();
    let change = move |edit: &dyn Fn(&mut Assumptions)| {
        let mut assumptions = row.assumptions.get_untracked();
        edit(&mut assumptions);
        if assumptions != row.assumptions.get_untracked() {
            state.assume(row, assumptions);
        }
    };
    let set_medium = move |event: ev::Event| {
        let medium = match event_target_value(&event).as_str() {
            "air" => Some(Medium::Air),
            "vacuum" => Some(Medium::Vacuum),
            _ => None,
        };
        change(&|a| a.medium = medium);
    };
    let set_frame = move |event: ev::Event| {
        let value = event_target_value(&event);
        let frame = FRAMES.into_iter().find(|f| f.name() == value);
        change(&|a| a.frame = frame);
    };
    let wrong = RwSignal::new(None::<String>);
    let set_resolution = move |event: ev::Event| {
        let text = event_target_value(&event);
        let text = text.trim();
        let (low, high) = RESOLVING_POWER;
        match text.parse::<f64>() {
            _ if text.is_empty() => {
                wrong.set(None);
                change(&|a| a.resolving_power = None);
            }
            Ok(power) if (low..=high).contains(&power) => {
                wrong.set(None);
                change(&|a| a.resolving_power = Some(power));
            }
            _ => wrong.set(Some(format!("R is λ/FWHM, a number from {low} to {high}"))),
        }
    };
    let is_off = move || !state.is_current(row.key);
    let medium = move || (meta().medium.value.name(), meta().medium.source);
    let frame = move || (meta().frame.value.name(), meta().frame.source);
    let power = move || match meta().resolving_power {
        Some(known) => (format!("R {:.0}", known.value), Some(known.source)),
        None => ("measured from the spectrum".to_owned(), None),
    };
    view! {
        <section class="assumptions" aria-labelledby="assumptions-title">
            <h3 id="assumptions-title">"What it is taken for"</h3>
            <label>
                <span>"Wavelengths in" <Known source=Signal::derive(move || Some(medium().1))/></span>
                <select data-testid="assume-medium" disabled=is_off on:change=set_medium>
                    <option value="" selected=move || row.assumptions.get().medium.is_none()>
                        {move || as_read(medium().0, medium().1)}
                    </option>
                    {[Medium::Vacuum, Medium::Air].map(|m| view! {
                        <option value=m.name() selected=move || row.assumptions.get().medium == Some(m)>{m.name()}</option>
                    }).collect_view()}
                </select>
            </label>
            <label>
                <span>"Velocity frame" <Known source=Signal::derive(move || Some(frame().1))/></span>
                <select data-testid="assume-frame" disabled=is_off on:change=set_frame>
                    <option value="" selected=move || row.assumptions.get().frame.is_none()>
                        {move || as_read(frame().0, frame().1)}
                    </option>
                    {FRAMES.map(|f| view! {
                        <option value=f.name() selected=move || row.assumptions.get().frame == Some(f)>{f.name()}</option>
                    }).collect_view()}
                </select>
            </label>
            <label>
                <span>"Resolving power λ/FWHM" <Known source=Signal::derive(move || power().1)/></span>
                <input
                    type="text" inputmode="decimal" autocomplete="off" data-testid="assume-resolution" disabled=is_off
                    placeholder=move || power().0
                    prop:value=move || row.assumptions.get().resolving_power.map_or(String::new(), |r| format!("{r}"))
                    aria-invalid=move || wrong.with(Option::is_some).to_string()
                    on:change=set_resolution
                />
            </label>
            {move || may_have_columns(&row.summary.get().file).then(|| view! {
                <button
                    data-testid="choose-columns" disabled=is_off
                    on:click=move |_| state.ask_columns(row.summary.get_untracked().file.clone(), Some(row))
                >
                    {move || if row.assumptions.get().columns.is_some() { "Columns, set by you…" } else { "Columns…" }}
                </button>
            })}
            <LikeThis row/>
            {move || wrong.get().map(|text| view! { <p class="error" role="alert">{text}</p> })}
        </section>
    }
}

/// Takes all spectra of the same form for what this one was set to be.
#[component]
fn LikeThis(row: Row) -> impl IntoView {
    let state = expect_context::<State>();
    let set = Memo::new(move |_| Assumptions { columns: None, ..row.assumptions.get() });
    let others = move || -> Vec<Row> {
        let kind = |row: &Row| row.summary.with(|s| (s.meta.format.clone(), s.meta.survey));
        let own = kind(&row);
        let is_like = |other: &&Row| other.key != row.key && state.is_current(other.key) && kind(other) == own;
        let differs = |other: &&Row| Assumptions { columns: None, ..other.assumptions.get() } != set.get();
        state.rows.with(|rows| rows.iter().filter(is_like).filter(differs).copied().collect())
    };
    let apply = move |_| {
        for other in untrack(others) {
            let columns = other.assumptions.get_untracked().columns;
            state.assume(other, Assumptions { columns, ..set.get_untracked() });
        }
    };
    // Looked for only once something is set: ten thousand rows would be as many subscriptions.
    let n = Memo::new(move |_| if set.get() == Assumptions::default() { 0 } else { others().len() });
    view! {
        <Show when=move || { n.get() > 0 }>
            <button data-testid="assume-all" on:click=apply>
                {move || format!("Set {} of this form so", format::count(n.get(), "other spectrum", "other spectra"))}
            </button>
        </Show>
    }
}

const FRAMES: [Frame; 3] = [Frame::Barycentric, Frame::Topocentric, Frame::Rest];

/// The choice that leaves a spectrum as it was read. Once the user has said otherwise, what that was is the engine's to
/// find again.
fn as_read(name: &str, source: Source) -> String {
    if source == Source::User { "as the file has it".into() } else { format!("{name} (as read)") }
}

/// How a fact is known, as a chip; plain when the file or its survey says it.
#[component]
fn Known(source: Signal<Option<Source>>) -> impl IntoView {
    let class = move || match source.get() {
        Some(Source::File | Source::Survey) => "chip plain",
        Some(Source::User) => "chip own",
        Some(Source::Estimated | Source::Assumed) | None => "chip mild",
    };
    let text = move || match source.get() {
        Some(Source::File) => "from the file",
        Some(Source::Survey) => "from the survey",
        Some(Source::Estimated) | None => "estimated",
        Some(Source::Assumed) => "assumed",
        Some(Source::User) => "set by you",
    };
    view! { <span class=class>{text}</span> }
}
