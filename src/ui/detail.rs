//! Panel of the selected spectrum: metadata, parameters, curves, preprocessing and assumptions.

use leptos::prelude::*;

use super::assumptions::AssumptionControls;
use super::context::{Curves, Engine, Rows};
use super::parameters::Parameters;
use super::posterior::PosteriorPanel;
use super::processing_history::ProcessingHistory;
use super::row::{IMPORTED_GENERATION, Row};
use super::specclip::SpecClipValues;
use super::spectrum_plot::SpectrumPlots;
use crate::result::Summary;
use crate::spectrum::Survey;

/// Panel of the selected row.
#[component]
pub(super) fn Detail() -> impl IntoView {
    let rows = expect_context::<Rows>();
    move || rows.selected().map(|row| view! { <Selected row/> })
}

#[component]
fn Selected(row: Row) -> impl IntoView {
    let (engine, curves) = (expect_context::<Engine>(), expect_context::<Curves>());
    let received = move || curves.selected.get().filter(|(key, _)| *key == row.key).map(|(_, view)| view);
    let view = Memo::new(move |_| received().and_then(Result::ok));
    // Imported rows have no file to read again, and Gaia XP spectra need no assumptions.
    let is_gaia_xp = row.summary.with(|s| s.meta.survey == Survey::GaiaXp);
    // The model for Gaia XP spectra has its own preprocessing, which comes with the prediction.
    let of_prediction = move || row.status.with(|s| s.prediction().map(|p| p.processing_history.clone()));
    let of_view = move || view.get().map_or(Vec::new(), |v| v.processing_history.clone());
    let processing_history = Signal::derive(move || is_gaia_xp.then(of_prediction).flatten().unwrap_or_else(of_view));
    let has_assumptions = row.key.generation != IMPORTED_GENERATION && !is_gaia_xp;
    let placeholder = move || {
        if engine.is_current(row.key) || row.key.generation == IMPORTED_GENERATION {
            received().and_then(Result::err).unwrap_or("Loading the curves…".into())
        } else {
            "The engine stopped, and these curves are lost. Read the file again.".into()
        }
    };
    view! {
        <section class="detail" data-testid="detail" aria-labelledby="detail-title">
            <div class="detail-head">
                <h2 id="detail-title">{move || row.summary.get().meta.id.clone()}</h2>
                <p class="muted">{move || describe(&row.summary.get())}</p>
            </div>
            <Parameters row/>
            <SpecClipValues row/>
            {is_gaia_xp.then(|| view! { <PosteriorPanel row/> })}
            {move || notes(&row.summary.get())}
            <div class="detail-body">
                <div class="plots">
                    <Show when=move || view.with(Option::is_some) fallback=move || view! { <p class="waiting plot-wait">{placeholder}</p> }>
                        <SpectrumPlots row view=view/>
                    </Show>
                </div>
                <aside class="side" aria-label="Preprocessing">
                    {has_assumptions.then(|| view! { <AssumptionControls row/> })}
                    <Show when=move || !processing_history.with(Vec::is_empty)><ProcessingHistory entries=processing_history/></Show>
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

/// One line of metadata: file, format, class, pixels, wavelength range, coordinates.
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
