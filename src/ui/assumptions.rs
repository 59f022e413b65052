//! Assumptions about a spectrum (medium, velocity frame, resolving power) and the controls that change them.

use leptos::{ev, prelude::*};

use super::columns::may_have_columns;
use super::context::{ColumnAssignment, Engine, OpenedFiles, Rows};
use super::format;
use super::row::Row;
use crate::engine::protocol::Assumptions;
use crate::spectrum::{Frame, Medium, Source};

/// Lowest and highest resolving power λ/FWHM that the page accepts.
const RESOLVING_POWER: (f64, f64) = (100.0, 500_000.0);

/// Controls for medium, velocity frame and resolving power of a row. Each change is sent to the engine at once.
#[component]
pub(super) fn AssumptionControls(row: Row) -> impl IntoView {
    let (engine, opened_files, columns) =
        (expect_context::<Engine>(), expect_context::<OpenedFiles>(), expect_context::<ColumnAssignment>());
    let meta = move || row.summary.get().meta.clone();
    let change = move |edit: &dyn Fn(&mut Assumptions)| {
        let mut assumptions = row.assumptions.get_untracked();
        edit(&mut assumptions);
        if assumptions != row.assumptions.get_untracked() {
            opened_files.set_assumptions(row, assumptions);
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
    let error = RwSignal::new(None::<String>);
    let set_resolution = move |event: ev::Event| {
        let text = event_target_value(&event);
        let text = text.trim();
        let (low, high) = RESOLVING_POWER;
        match text.parse::<f64>() {
            _ if text.is_empty() => {
                error.set(None);
                change(&|a| a.resolving_power = None);
            }
            Ok(power) if (low..=high).contains(&power) => {
                error.set(None);
                change(&|a| a.resolving_power = Some(power));
            }
            _ => error.set(Some(format!("Enter the resolving power λ/FWHM as a number from {low} to {high}."))),
        }
    };
    let is_disabled = move || !engine.is_current(row.key);
    let medium = move || (meta().medium.value.name(), meta().medium.source);
    let frame = move || (meta().frame.value.name(), meta().frame.source);
    let power = move || match meta().resolving_power {
        Some(power) => (format!("R {:.0}", power.value), Some(power.source)),
        None => ("estimated from the spectrum".to_owned(), None),
    };
    view! {
        <section class="assumptions" aria-labelledby="assumptions-title">
            <h3 id="assumptions-title">"Assumptions"</h3>
            <label>
                <span>"Wavelengths in" <SourceChip source=Signal::derive(move || Some(medium().1))/></span>
                <select data-testid="assume-medium" disabled=is_disabled on:change=set_medium>
                    <option value="" selected=move || row.assumptions.get().medium.is_none()>
                        {move || automatic_text(medium().0, medium().1)}
                    </option>
                    {[Medium::Vacuum, Medium::Air].map(|m| view! {
                        <option value=m.name() selected=move || row.assumptions.get().medium == Some(m)>{m.name()}</option>
                    }).collect_view()}
                </select>
            </label>
            <label>
                <span>"Velocity frame" <SourceChip source=Signal::derive(move || Some(frame().1))/></span>
                <select data-testid="assume-frame" disabled=is_disabled on:change=set_frame>
                    <option value="" selected=move || row.assumptions.get().frame.is_none()>
                        {move || automatic_text(frame().0, frame().1)}
                    </option>
                    {FRAMES.map(|f| view! {
                        <option value=f.name() selected=move || row.assumptions.get().frame == Some(f)>{f.name()}</option>
                    }).collect_view()}
                </select>
            </label>
            <label>
                <span>"Resolving power λ/FWHM" <SourceChip source=Signal::derive(move || power().1)/></span>
                <input
                    type="text" inputmode="decimal" autocomplete="off" data-testid="assume-resolution" disabled=is_disabled
                    placeholder=move || power().0
                    prop:value=move || row.assumptions.get().resolving_power.map_or(String::new(), |r| format!("{r}"))
                    aria-invalid=move || error.with(Option::is_some).to_string()
                    on:change=set_resolution
                />
            </label>
            {move || may_have_columns(&row.summary.get().file).then(|| view! {
                <button
                    data-testid="choose-columns" disabled=is_disabled
                    on:click=move |_| columns.ask(row.summary.get_untracked().file.clone(), Some(row))
                >
                    {move || if row.assumptions.get().columns.is_some() { "Columns (set by you)…" } else { "Columns…" }}
                </button>
            })}
            <ApplyToSimilar row/>
            {move || error.get().map(|text| view! { <p class="error" role="alert">{text}</p> })}
        </section>
    }
}

/// Button that applies the assumptions of this spectrum to all other spectra of the same format and survey. The
/// column assignments of these spectra stay.
#[component]
fn ApplyToSimilar(row: Row) -> impl IntoView {
    let (engine, rows, opened_files) =
        (expect_context::<Engine>(), expect_context::<Rows>(), expect_context::<OpenedFiles>());
    let set = Memo::new(move |_| Assumptions { columns: None, ..row.assumptions.get() });
    let others = move || -> Vec<Row> {
        let kind = |row: &Row| row.summary.with(|s| (s.meta.format.clone(), s.meta.survey));
        let this_kind = kind(&row);
        let is_same_kind =
            |other: &&Row| other.key != row.key && engine.is_current(other.key) && kind(other) == this_kind;
        let differs = |other: &&Row| Assumptions { columns: None, ..other.assumptions.get() } != set.get();
        rows.all.with(|rows| rows.iter().filter(is_same_kind).filter(differs).copied().collect())
    };
    let apply = move |_| {
        for other in untrack(others) {
            let columns = other.assumptions.get_untracked().columns;
            opened_files.set_assumptions(other, Assumptions { columns, ..set.get_untracked() });
        }
    };
    // Counted only when an assumption is set: ten thousand rows would mean ten thousand subscriptions.
    let n = Memo::new(move |_| if set.get() == Assumptions::default() { 0 } else { others().len() });
    view! {
        <Show when=move || { n.get() > 0 }>
            <button data-testid="assume-all" on:click=apply>
                {move || format!("Apply to {} of the same format and survey", format::count_with_noun(n.get(), "other spectrum", "other spectra"))}
            </button>
        </Show>
    }
}

const FRAMES: [Frame; 3] = [Frame::Barycentric, Frame::Topocentric, Frame::Rest];

/// Text of the option that keeps the value read from the file. After a change by the user the page no longer knows the
/// original value, and the text does not name it.
fn automatic_text(name: &str, source: Source) -> String {
    if source == Source::User { "automatic".into() } else { format!("{name} (automatic)") }
}

/// Chip with the source of a value; without colour when it comes from the file or the survey.
#[component]
fn SourceChip(source: Signal<Option<Source>>) -> impl IntoView {
    let class = move || match source.get() {
        Some(Source::File | Source::Survey) => "chip plain",
        Some(Source::User) => "chip user",
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
