//! The two plots of a spectrum over one range of wavelengths, with the read-out under the pointer and the export.

use std::sync::Arc;

use leptos::prelude::*;

use super::figure_file::{self, Width};
use super::format;
use super::plot_canvas::{PlotCanvas, Which, Zoom};
use super::state::{Row, State};
use crate::plot::nearest_index;
use crate::result::{Label, SpectrumView};
use crate::spectrum::Frame;

/// Raw flux with continuum above, what the model sees below.
#[component]
pub fn SpectrumPlots(row: Row, view: Memo<Option<Arc<SpectrumView>>>) -> impl IntoView {
    let state = expect_context::<State>();
    let zoom = Zoom::new(view);
    let has_model = Memo::new(move |_| view.with(|v| v.as_ref().is_some_and(|v| !v.model_flux.is_empty())));
    let has_raw = Memo::new(move |_| view.with(|v| v.as_ref().is_some_and(|v| !v.wave_vac_aa.is_empty())));
    let rv_kms = Memo::new(move |_| rv_in_wavelengths(row));
    let readout = move || {
        view.with(|view| match (view, zoom.hover.get()) {
            (Some(view), Some(wave)) => read_at(view, wave),
            _ => "Point at a plot to read it · drag to zoom · wheel or + − · ← → to move".into(),
        })
    };
    let export = move |_| {
        let Some(view) = view.get_untracked() else { return };
        let range = Some(zoom.range.get_untracked());
        if let Err(why) = figure_file::save(row, &view, range, Width::Double, false) {
            state.notice.set(Some(why));
        }
    };
    view! {
        <div class="plot-bar">
            <output class="readout" data-testid="readout">{readout}</output>
            <div class="plot-buttons" role="group" aria-label="Range of wavelengths">
                <button on:click=move |_| zoom.by(0.5) aria-label="Zoom in">"+"</button>
                <button on:click=move |_| zoom.by(2.0) aria-label="Zoom out">"−"</button>
                <Show when=move || has_model.get()>
                    <button on:click=move |_| zoom.reset()>"Model's range"</button>
                </Show>
                <button data-testid="zoom-all" on:click=move |_| zoom.show_all()>"Whole spectrum"</button>
                <button data-testid="export-svg" on:click=export>"Save SVG"</button>
            </div>
        </div>
        <Show when=move || has_raw.get()>
        <figure>
            <figcaption>
                <span class="key data">"flux"</span>
                <Show when=move || view.with(|v| v.as_ref().is_some_and(|v| !v.sigma.is_empty()))>
                    <span class="key sigma">"±1 σ"</span>
                </Show>
                <Show when=move || has_model.get()><span class="key continuum">"continuum"</span></Show>
                <Show when=move || view.with(|v| v.as_ref().is_some_and(|v| !v.masked.is_empty()))>
                    <span class="key masked">"masked"</span>
                </Show>
            </figcaption>
            <PlotCanvas which=Which::Raw view zoom rv_kms/>
        </figure>
        </Show>
        <Show when=move || has_model.get()>
            <figure>
                <figcaption><span class="key model">"what the model sees: flux / continuum on its grid, at rest"</span></figcaption>
                <PlotCanvas which=Which::Model view zoom rv_kms/>
            </figure>
        </Show>
    }
}

/// The star's velocity that is still in the wavelengths of the file, km/s.
pub(super) fn rv_in_wavelengths(row: Row) -> f64 {
    if row.summary.get().meta.frame.value == Frame::Rest {
        return 0.0;
    }
    row.answer.with(|answer| answer.prediction().and_then(|p| p.get(Label::Rv)).map_or(0.0, |rv| rv.value))
}

/// What lies under the pointer, in words.
fn read_at(view: &SpectrumView, wave_aa: f64) -> String {
    let mut parts = Vec::new();
    if let Some(i) = nearest_index(&view.wave_vac_aa, wave_aa) {
        parts.push(format!("{:.2} Å", view.wave_vac_aa[i]));
        let is_masked = view.masked.iter().any(|&(from, to)| (from as usize..to as usize).contains(&i));
        if let Some(flux) = view.flux.get(i) {
            parts.push(match view.sigma.get(i) {
                Some(sigma) if sigma.is_finite() && *sigma > 0.0 && !is_masked => {
                    format!("flux {} ± {} · S/N {:.0}", format::flux(*flux), format::flux(*sigma), flux / sigma)
                }
                _ => format!("flux {}", format::flux(*flux)),
            });
        }
        if is_masked {
            parts.push("masked".into());
        }
    } else {
        parts.push(format!("{wave_aa:.2} Å"));
    }
    if let Some(flux) = nearest_index(&view.model_wave_vac_aa, wave_aa).and_then(|i| view.model_flux.get(i)) {
        parts.push(format!("model input {flux:.3}"));
    }
    parts.join(" · ")
}

/// An id as the name of a file.
pub(super) fn file_stem(id: &str) -> String {
    let stem: String = id.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    if stem.is_empty() { "spectrum".into() } else { stem }
}
