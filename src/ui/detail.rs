//! The selected spectrum: what it is, its parameters, its curves, what was done to it and what was assumed.

use leptos::prelude::*;

use super::assumptions::AssumptionControls;
use super::kept::KEPT_EPOCH;
use super::ledger::Ledger;
use super::networks::MeasuredList;
use super::parameters::Parameters;
use super::spectrum_plot::SpectrumPlots;
use super::state::{Row, State};
use crate::result::Summary;
use crate::spectrum::Survey;

/// The panel of the selected row.
#[component]
pub fn Detail() -> impl IntoView {
    let state = expect_context::<State>();
    move || state.selected_row().map(|row| view! { <Selected row/> })
}

#[component]
fn Selected(row: Row) -> impl IntoView {
    let state = expect_context::<State>();
    let received = move || state.view.get().filter(|(key, _)| *key == row.key).map(|(_, view)| view);
    let view = Memo::new(move |_| received().and_then(Result::ok));
    let ledger = Signal::derive(move || view.get().map_or(Vec::new(), |v| v.ledger.clone()));
    // Nothing can be read anew of what came without its file, and Gaia XP spectra are taken as they are sampled.
    let has_assumptions = row.key.epoch != KEPT_EPOCH && row.summary.with(|s| s.meta.survey != Survey::GaiaXp);
    let missing = move || {
        if state.is_current(row.key) || row.key.epoch == KEPT_EPOCH {
            received().and_then(Result::err).unwrap_or("Fetching its curves…".into())
        } else {
            "Its curves went with the engine that read it. Read the files again.".into()
        }
    };
    view! {
        <section class="detail" data-testid="detail" aria-labelledby="detail-title">
            <div class="detail-head">
                <h2 id="detail-title">{move || row.summary.get().meta.id.clone()}</h2>
                <p class="muted">{move || describe(&row.summary.get())}</p>
            </div>
            <Parameters row/>
            <MeasuredList row/>
            {move || notes(&row.summary.get())}
            <div class="detail-body">
                <div class="plots">
                    <Show when=move || view.with(Option::is_some) fallback=move || view! { <p class="waiting plot-wait">{missing}</p> }>
                        <SpectrumPlots row view=view/>
                    </Show>
                </div>
                <aside class="side" aria-label="Preprocessing">
                    {has_assumptions.then(|| view! { <AssumptionControls row/> })}
                    <Show when=move || !ledger.with(Vec::is_empty)><Ledger entries=ledger/></Show>
                </aside>
            </div>
        </section>
    }
}

fn notes(summary: &Summary) -> Option<impl IntoView + use<>> {
    let notes = summary.meta.notes.clone();
    (!notes.is_empty()).then(
        || view! { <ul class="notes">{notes.into_iter().map(|note| view! { <li>{note}</li> }).collect_view()}</ul> },
    )
}

/// One line on what the spectrum is.
fn describe(summary: &Summary) -> String {
    let meta = &summary.meta;
    let mut parts = vec![summary.file.clone(), meta.format.clone()];
    let class = [meta.class.as_deref(), meta.subclass.as_deref()];
    let class: Vec<_> = class.into_iter().flatten().filter(|c| !c.trim().is_empty()).collect();
    if !class.is_empty() {
        parts.push(format!("pipeline class {}", class.join(" ")));
    }
    parts.push(format!("{} pixels, {:.0}–{:.0} Å", summary.n_pixels, summary.wave_min_aa, summary.wave_max_aa));
    if let (Some(ra), Some(dec)) = (meta.ra_deg, meta.dec_deg) {
        parts.push(format!("{ra:.5}° {dec:+.5}°").replace('-', "\u{2212}"));
    }
    parts.join(" · ")
}
