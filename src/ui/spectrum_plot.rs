//! The two plots of a spectrum over one range of wavelengths, with the read-out under the pointer and the export.

use std::sync::Arc;

use leptos::prelude::*;

use super::figure_file::{self, Width};
use super::format;
use super::plot_canvas::{PlotCanvas, Which, Zoom};
use super::reading::{self, ReadingControls};
use super::state::{Row, State};
use crate::plot::{nearest_index, smoothed};
use crate::result::{Label, SpectrumView};
use crate::spectrum::Frame;

/// Widths by which the drawn data can be smoothed, FWHM in pixels: for the eye alone.
const SMOOTHINGS: [u32; 5] = [0, 3, 5, 9, 15];

/// Raw flux with continuum above, what the model sees below.
#[component]
pub fn SpectrumPlots(row: Row, view: Memo<Option<Arc<SpectrumView>>>) -> impl IntoView {
    let state = expect_context::<State>();
    let zoom = Zoom::new(view);
    let fwhm_pixels = state.reading.smoothing();
    let drawn = Memo::new(move |_| {
        let (view, fwhm) = (view.get()?, fwhm_pixels.get());
        Some(if fwhm > 0 { Arc::new(smoothed(&view, f64::from(fwhm))) } else { view })
    });
    let says_smoothed =
        move || Some(fwhm_pixels.get()).filter(|fwhm| *fwhm > 0).map(|fwhm| format!(", smoothed over {fwhm} pixels"));
    let curves = reading::curves(row, view);
    let (shows_fit, shows_slopes) = (reading::shows_fit(row), reading::shows_slopes(row));
    let has_model = Memo::new(move |_| view.with(|v| v.as_ref().is_some_and(|v| !v.model_flux.is_empty())));
    let has_raw = Memo::new(move |_| view.with(|v| v.as_ref().is_some_and(|v| !v.wave_vac_aa.is_empty())));
    let rv_kms = Memo::new(move |_| rv_in_wavelengths(row));
    let readout = move || {
        view.with(|view| match (view, zoom.hover.get()) {
            (Some(view), Some(wave)) => curves.with(|curves| read_at(view, curves, wave)),
            _ if is_touched() => "Tap a plot to read it · pinch to zoom · drag to move".into(),
            _ => "Point at a plot to read it · drag to zoom · wheel or + − · ← → to move".into(),
        })
    };
    let export = move |_| {
        let Some(view) = drawn.get_untracked() else { return };
        let range = Some(zoom.range.get_untracked());
        if let Err(why) = figure_file::save(row, &view, &curves.get_untracked(), range, Width::Double, false) {
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
                <button
                    data-testid="magnifier" aria-pressed=move || state.reading.magnifies().get().to_string()
                    on:click=move |_| state.reading.magnifies().update(|on| *on = !*on)
                >"Magnifier"</button>
                <button data-testid="export-svg" on:click=export>"Save SVG"</button>
            </div>
        </div>
        <Show when=move || has_raw.get()>
        <figure>
            <figcaption>
                <span class="key data">"flux" {says_smoothed}</span>
                <Show when=move || drawn.with(|v| v.as_ref().is_some_and(|v| !v.sigma.is_empty()))>
                    <span class="key sigma">"±1 σ"</span>
                </Show>
                <Show when=move || has_model.get()><span class="key continuum">"continuum"</span></Show>
                <Show when=move || view.with(|v| v.as_ref().is_some_and(|v| !v.masked.is_empty()))>
                    <span class="key masked">"masked"</span>
                </Show>
                <label class="smoothing">
                    "Smooth "
                    <select data-testid="smoothing" on:change=move |event| {
                        fwhm_pixels.set(event_target_value(&event).parse().unwrap_or(0));
                    }>
                        {SMOOTHINGS.map(|fwhm| {
                            let name = if fwhm == 0 { "no".to_string() } else { format!("{fwhm} pixels") };
                            view! { <option value=fwhm.to_string() selected=move || fwhm_pixels.get() == fwhm>{name}</option> }
                        })}
                    </select>
                </label>
            </figcaption>
            <PlotCanvas which=Which::Raw view=drawn curves zoom rv_kms/>
        </figure>
        </Show>
        <Show when=move || has_model.get()>
            <figure>
                <figcaption>
                    <span class="key model">"what the model sees: flux / continuum on its grid, at rest" {says_smoothed}</span>
                    <Show when=move || shows_fit.get()><span class="key continuum">"model spectrum at the answer"</span></Show>
                </figcaption>
                <PlotCanvas which=Which::Model view=drawn curves zoom rv_kms/>
            </figure>
            <ReadingControls row curves/>
            <Show when=move || shows_slopes.get()>
                <figure>
                    <figcaption>{move || reading::slopes_key(row)}</figcaption>
                    <PlotCanvas which=Which::Slopes view curves zoom rv_kms/>
                </figure>
            </Show>
            <Show when=move || shows_fit.get()>
                <figure>
                    <figcaption>
                        <span class="key data">"data − model spectrum"</span>
                        <Show when=move || curves.with(|c| c.fit.as_ref().is_some_and(|f| !f.sigma.is_empty()))>
                            <span class="key sigma">"±1 σ of the data"</span>
                        </Show>
                    </figcaption>
                    <PlotCanvas which=Which::Residual view curves zoom rv_kms/>
                </figure>
            </Show>
        </Show>
    }
}

/// True where a finger is what points.
fn is_touched() -> bool {
    window().match_media("(pointer: coarse)").ok().flatten().is_some_and(|query| query.matches())
}

/// The star's velocity that is still in the wavelengths of the file, km/s.
pub(super) fn rv_in_wavelengths(row: Row) -> f64 {
    if row.summary.get().meta.frame.value == Frame::Rest {
        return 0.0;
    }
    row.answer.with(|answer| answer.prediction().and_then(|p| p.get(Label::Rv)).map_or(0.0, |rv| rv.value))
}

/// What lies under the pointer, in words.
fn read_at(view: &SpectrumView, curves: &reading::Curves, wave_aa: f64) -> String {
    let mut parts = Vec::new();
    if let Some(i) = nearest_index(&view.wave_vac_aa, wave_aa) {
        parts.push(format!("{:.2} Å", view.wave_vac_aa[i]));
        let is_masked = view.masked.iter().any(|&(from, to)| (from as usize..to as usize).contains(&i));
        if let Some(flux) = view.flux.get(i) {
            parts.push(match view.sigma.get(i) {
                Some(sigma) if sigma.is_finite() && *sigma > 0.0 && !is_masked => {
                    let (flux_text, sigma_text) = format::flux_with_error(*flux, *sigma);
                    format!("flux {flux_text} ± {sigma_text} · S/N {:.0}", flux / sigma)
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
    if let Some(i) = nearest_index(&view.model_wave_vac_aa, wave_aa) {
        let at = |values: &[f32]| values.get(i).copied().filter(|v| v.is_finite());
        parts.extend(at(&view.model_flux).map(|flux| format!("model input {flux:.3}")));
        parts
            .extend(curves.fit.as_ref().and_then(|fit| at(&fit.model)).map(|flux| format!("model spectrum {flux:.3}")));
        let slope = curves.slopes.as_ref().and_then(|slopes| at(&slopes.slope));
        let unit = curves.slopes.as_ref().map_or("", |slopes| slopes.unit.as_str());
        parts.extend(slope.map(|slope| format!("1 % more flux: {}", format::slope(f64::from(slope), unit))));
    }
    parts.join(" · ")
}

/// An id as the name of a file.
pub(super) fn file_stem(id: &str) -> String {
    let stem: String = id.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    if stem.is_empty() { "spectrum".into() } else { stem }
}
