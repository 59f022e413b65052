//! The plots of a spectrum over one wavelength range, with the readout at the pointer and the figure export.
//!
//! The page says "sensitivity" for ∂label/∂flux (saliency in the code). `fit` is the comparison with the synthetic
//! spectrum.

use std::sync::Arc;

use leptos::prelude::*;

use super::context::{Diagnostics, Notice};
use super::diagnostics::{self, DiagnosticCurves, DiagnosticsControls, SaliencyLegend};
use super::figure_file::{self, Width};
use super::format;
use super::plot_canvas::{PanelKind, PlotCanvas, Zoom};
use super::row::Row;
use crate::plot::{nearest_index, smooth};
use crate::result::SpectrumView;

/// Smoothing widths for the drawn data, FWHM in pixels. Smoothing does not affect the predictions.
const SMOOTHINGS: [u32; 5] = [0, 3, 5, 9, 15];

/// The plots from top to bottom: flux and continuum, normalised spectrum, sensitivity, residuals.
#[component]
pub(super) fn SpectrumPlots(row: Row, view: Memo<Option<Arc<SpectrumView>>>) -> impl IntoView {
    let (diagnostics, notice) = (expect_context::<Diagnostics>(), expect_context::<Notice>());
    let zoom = Zoom::new(view);
    let fwhm_pixels = diagnostics.smoothing;
    let drawn = Memo::new(move |_| {
        let (view, fwhm) = (view.get()?, fwhm_pixels.get());
        Some(if fwhm > 0 { Arc::new(smooth(&view, f64::from(fwhm))) } else { view })
    });
    let smoothing_text =
        move || Some(fwhm_pixels.get()).filter(|fwhm| *fwhm > 0).map(|fwhm| format!(", smoothed over {fwhm} pixels"));
    let curves = diagnostics::curves(row, view);
    let (shows_fit, shows_saliency) = (diagnostics::shows_fit(row), diagnostics::shows_saliency(row));
    let has_model = Memo::new(move |_| view.with(|v| v.as_ref().is_some_and(|v| !v.model_flux.is_empty())));
    let has_raw = Memo::new(move |_| view.with(|v| v.as_ref().is_some_and(|v| !v.wave_vac_aa.is_empty())));
    let rv_kms = Memo::new(move |_| row.rv_in_wavelengths_kms());
    let readout = move || {
        let text = view.with(|view| {
            let (view, wave) = view.as_ref().zip(zoom.hover.get())?;
            Some(curves.with(|curves| readout_text(view, curves, wave)))
        });
        match text {
            Some(text) => text.into_any(),
            None => view! { <PlotHint/> }.into_any(),
        }
    };
    let export = move |_| {
        let Some(view) = drawn.get_untracked() else { return };
        let range = Some(zoom.range.get_untracked());
        if let Err(why) = figure_file::save(row, &view, &curves.get_untracked(), range, Width::Double, false) {
            notice.show(why);
        }
    };
    view! {
        <div class="plot-bar">
            <output class="readout" data-testid="readout">{readout}</output>
            <div class="plot-buttons" role="group" aria-label="Wavelength range">
                <button on:click=move |_| zoom.zoom_by(0.5) aria-label="Zoom in">"+"</button>
                <button on:click=move |_| zoom.zoom_by(2.0) aria-label="Zoom out">"−"</button>
                <Show when=move || has_model.get()>
                    <button title="Wavelength range that the model uses" on:click=move |_| zoom.reset()>"Model range"</button>
                </Show>
                <button data-testid="zoom-all" on:click=move |_| zoom.show_all()>"Whole spectrum"</button>
                <button
                    data-testid="magnifier" aria-pressed=move || diagnostics.magnifies.get().to_string()
                    on:click=move |_| diagnostics.magnifies.update(|on| *on = !*on)
                >"Magnifier"</button>
                <button data-testid="export-svg" on:click=export>"Save SVG"</button>
            </div>
        </div>
        <Show when=move || has_raw.get()>
        <figure>
            <figcaption>
                <span class="key data">"flux" {smoothing_text}</span>
                <Show when=move || drawn.with(|v| v.as_ref().is_some_and(|v| !v.sigma.is_empty()))>
                    <span class="key sigma">"±1\u{2009}σ"</span>
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
                            let name = if fwhm == 0 { "none".to_string() } else { format!("{fwhm} pixels") };
                            view! { <option value=fwhm.to_string() selected=move || fwhm_pixels.get() == fwhm>{name}</option> }
                        })}
                    </select>
                </label>
            </figcaption>
            <PlotCanvas panel=PanelKind::Raw view=drawn curves zoom rv_kms/>
        </figure>
        </Show>
        <Show when=move || has_model.get()>
            <figure>
                <figcaption>
                    <span class="key model">"normalised spectrum: flux / continuum on the model’s grid, rest frame" {smoothing_text}</span>
                    <Show when=move || shows_fit.get()><span class="key continuum">"synthetic spectrum at the predicted labels"</span></Show>
                </figcaption>
                <PlotCanvas panel=PanelKind::Normalised view=drawn curves zoom rv_kms/>
            </figure>
            <DiagnosticsControls row curves/>
            <Show when=move || shows_saliency.get()>
                <figure>
                    <figcaption><SaliencyLegend row/></figcaption>
                    <PlotCanvas panel=PanelKind::Sensitivity view curves zoom rv_kms/>
                </figure>
            </Show>
            <Show when=move || shows_fit.get()>
                <figure>
                    <figcaption>
                        <span class="key data">"data − synthetic spectrum"</span>
                        <Show when=move || curves.with(|c| c.fit.as_ref().is_some_and(|f| !f.sigma.is_empty()))>
                            <span class="key sigma">"±1\u{2009}σ of the data"</span>
                        </Show>
                    </figcaption>
                    <PlotCanvas panel=PanelKind::Residual view curves zoom rv_kms/>
                </figure>
            </Show>
        </Show>
    }
}

/// How to read values and zoom. The style sheet shows one of the two texts.
#[component]
fn PlotHint() -> impl IntoView {
    view! {
        <span class="for-mouse">"Point at a plot to read values · drag, wheel or + − to zoom · ← → to pan"</span>
        <span class="for-touch">"Tap a plot to read values · pinch or + − to zoom"</span>
    }
}

/// The values at the pointer, as text.
fn readout_text(view: &SpectrumView, curves: &DiagnosticCurves, wave_aa: f64) -> String {
    let mut parts = Vec::new();
    if let Some(i) = nearest_index(&view.wave_vac_aa, wave_aa) {
        parts.push(format!("{:.2}\u{2009}Å", view.wave_vac_aa[i]));
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
        parts.push(format!("{wave_aa:.2}\u{2009}Å"));
    }
    if let Some(i) = nearest_index(&view.model_wave_vac_aa, wave_aa) {
        let at = |values: &[f32]| values.get(i).copied().filter(|v| v.is_finite());
        parts.extend(at(&view.model_flux).map(|flux| format!("normalised {flux:.3}")));
        parts.extend(curves.fit.as_ref().and_then(|fit| at(&fit.model)).map(|flux| format!("synthetic {flux:.3}")));
        parts.extend(curves.saliency.as_ref().and_then(|saliency| {
            let slope = at(&saliency.slope)?;
            let name = saliency.y_label.strip_suffix(&format!(" ({})", saliency.unit)).unwrap_or(&saliency.y_label);
            Some(format!("{name} for +1\u{2009}% flux: {}", format::slope(f64::from(slope), &saliency.unit)))
        }));
    }
    parts.join(" · ")
}
