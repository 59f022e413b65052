//! Diagnostics of a spectrum on the page: curves for the plots, the controls, and the quality of the fit.

use std::sync::Arc;

use leptos::prelude::*;

use super::context::{Diagnostics, Engine};
use super::flag_chip::FlagChip;
use super::format;
use super::row::{Row, RowKey};
use crate::plot::{Feature, FitCurves, SaliencyCurves};
use crate::result::diagnostics::{ModelFit, Saliency};
use crate::result::{Flag, Label, SpectrumView};

/// Curves that are plotted in addition to those of the spectrum.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct DiagnosticCurves {
    /// The synthetic spectrum.
    pub fit: Option<Arc<FitCurves>>,
    /// The sensitivity ∂label/∂flux.
    pub saliency: Option<Arc<SaliencyCurves>>,
}

fn fit_curves(diagnostics: Diagnostics, key: RowKey, view: &SpectrumView) -> Option<Arc<FitCurves>> {
    let fit = diagnostics.fit(key)?.ok()?;
    Some(Arc::new(FitCurves::of(view, &fit, f64::from(diagnostics.smoothing.get()))))
}

fn saliency_curves(saliency: &Saliency, view: &SpectrumView) -> Arc<SaliencyCurves> {
    Arc::new(SaliencyCurves::of(&view.model_wave_vac_aa, &view.model_flux, saliency))
}

/// The diagnostic curves of a row, as far as the engine has sent them.
pub(super) fn curves(row: Row, view: Memo<Option<Arc<SpectrumView>>>) -> Memo<DiagnosticCurves> {
    let diagnostics = expect_context::<Diagnostics>();
    let fit = Memo::new(move |_| view.with(|view| fit_curves(diagnostics, row.key, view.as_ref()?)));
    let saliency = Memo::new(move |_| {
        let saliency = diagnostics.saliency(row.key)?.ok()?;
        view.with(|view| Some(saliency_curves(&saliency, view.as_ref()?)))
    });
    Memo::new(move |_| DiagnosticCurves { fit: fit.get(), saliency: saliency.get() })
}

/// The present diagnostic curves of a row, for a figure file.
pub(super) fn curves_now(diagnostics: Diagnostics, row: Row, view: &SpectrumView) -> DiagnosticCurves {
    untrack(|| DiagnosticCurves {
        fit: fit_curves(diagnostics, row.key, view),
        saliency: diagnostics.saliency(row.key).and_then(Result::ok).map(|saliency| saliency_curves(&saliency, view)),
    })
}

/// True while the plots of a row include the synthetic spectrum.
pub(super) fn shows_fit(row: Row) -> Memo<bool> {
    let (engine, diagnostics) = (expect_context::<Engine>(), expect_context::<Diagnostics>());
    Memo::new(move |_| engine.is_current(row.key) && diagnostics.shows_fit.get())
}

/// True while the plots of a row include the sensitivity.
pub(super) fn shows_saliency(row: Row) -> Memo<bool> {
    let (engine, diagnostics) = (expect_context::<Engine>(), expect_context::<Diagnostics>());
    Memo::new(move |_| engine.is_current(row.key) && !diagnostics.target.with(String::is_empty))
}

/// Legend of the sensitivity plot.
#[component]
pub(super) fn SaliencyLegend(row: Row) -> impl IntoView {
    let diagnostics = expect_context::<Diagnostics>();
    move || {
        let saliency = diagnostics.saliency(row.key)?.ok()?;
        let name = symbol_of(&saliency.target);
        let shipped = saliency.shipped_gradient.as_ref().map(
            |(model, _)| view! { <span class="key continuum">"before fine-tuning; model: " {model.clone()}</span> },
        );
        Some(view! {
            <span class="key data">"change of " {name} " when the flux of a resolution element rises by 1 % of the continuum; model: " {saliency.model.clone()}</span>
            {shipped}
        })
    }
}

/// The symbol of a label; a label column of the user keeps its name.
fn symbol_of(target: &str) -> String {
    Label::from_name(target).map_or(target, |label| label.symbol()).to_owned()
}

/// The labels whose sensitivity can be computed.
fn targets(row: Row) -> Vec<String> {
    row.status.with(|status| {
        let Some(prediction) = status.prediction() else { return Vec::new() };
        // Another network predicts the velocity, from the spectrum before its shift to the rest frame.
        let labels = prediction.estimates.iter().map(|e| e.label).filter(|label| *label != Label::Rv);
        let mut targets: Vec<String> = labels.map(|label| label.name().to_owned()).collect();
        targets.extend(
            prediction
                .finetuned
                .as_ref()
                .map(|estimate| estimate.target.clone())
                .filter(|t| Label::from_name(t).is_none()),
        );
        targets
    })
}

/// Controls of the diagnostics, and the lines on which the chosen label depends most.
#[component]
pub(super) fn DiagnosticsControls(row: Row, curves: Memo<DiagnosticCurves>) -> impl IntoView {
    let (engine, diagnostics) = (expect_context::<Engine>(), expect_context::<Diagnostics>());
    let choose = move |event| {
        diagnostics.target.set(event_target_value(&event));
        diagnostics.request(row.key);
    };
    let options = move || {
        let option = |target: String| {
            let (name, value) = (symbol_of(&target), target.clone());
            view! { <option value=value selected=move || diagnostics.target.with(|t| *t == target)>{name}</option> }
        };
        targets(row).into_iter().map(option).collect_view()
    };
    let status = move || {
        if let Some((done, total)) = diagnostics.loading.get() {
            return format!("Downloading the emulator: {} of {}", format::bytes(done), format::bytes(total));
        }
        let no_fit = diagnostics.fit(row.key).and_then(Result::err);
        let no_saliency = diagnostics.saliency(row.key).and_then(Result::err).filter(|_| shows_saliency(row).get());
        no_fit.or(no_saliency).unwrap_or_default()
    };
    let strongest_lines = move || {
        let saliency = curves.with(|curves| curves.saliency.clone())?;
        let feature = |f: &Feature| {
            // The rest wavelength of the line, not of its pixel with the largest slope.
            let (line, wave_aa) = f.line.map_or(("unidentified", f.wave_vac_aa), |line| (line.name, line.wave_vac_aa));
            view! { <li>{line} " " {format!("{wave_aa:.0} Å")} " " <span class="muted">{format::slope(f.slope, &saliency.unit)}</span></li> }
        };
        Some(view! {
            <div class="features" data-testid="features">
                <span>"Lines with the largest product of sensitivity and line depth. After each line: change of the label when the flux rises by 1 % of the continuum."</span>
                <ol>{saliency.features.iter().map(feature).collect_view()}</ol>
            </div>
        })
    };
    engine.is_current(row.key).then(|| {
        view! {
            <div class="diagnostics" data-testid="diagnostics">
                <label>
                    <input type="checkbox" data-testid="show-fit" prop:checked=move || diagnostics.shows_fit.get() on:change=move |_| diagnostics.toggle_fit()/>
                    " Synthetic spectrum at the predicted labels"
                </label>
                <label>
                    "Sensitivity (∂label/∂flux): "
                    <select data-testid="sensitivity" on:change=choose>
                        <option value="" selected=move || diagnostics.target.with(String::is_empty)>"not shown"</option>
                        {options}
                    </select>
                </label>
                <output class="muted" data-testid="diagnostics-summary">{status}</output>
                {strongest_lines}
            </div>
        }
    })
}

/// Quality of the fit of the synthetic spectrum, as text.
#[component]
pub(super) fn FitLine(key: RowKey) -> impl IntoView {
    let diagnostics = expect_context::<Diagnostics>();
    move || {
        let fit = diagnostics.fit(key)?.ok()?;
        // The row does not store this flag: an export must not depend on the spectra that the user has viewed.
        let poor = fit.is_poor.then(|| view! { <FlagChip flag=Flag::PoorFit has_meaning=true/> " " });
        Some(view! { <p class="muted" role="status" data-testid="fit-line">{poor} {describe_fit(&fit)}</p> })
    }
}

fn describe_fit(fit: &ModelFit) -> String {
    let rms = 100.0 * fit.rms;
    let chi2 = match fit.chi2_red {
        Some(chi2) if chi2 < 10.0 => format!(", reduced χ² {chi2:.1}"),
        Some(chi2) => format!(", reduced χ² {chi2:.0}"),
        None => "; no χ², because the file gives no errors".into(),
    };
    let expectation = format!(
        "After the noise is subtracted, the rms difference is {:.1} times the usual rms difference of real stars with lines of similar depth.",
        fit.excess_residual
    );
    let edge = match fit.is_inside {
        true => "",
        false => {
            " The predicted labels lie outside the emulator's grid; the synthetic spectrum is computed for the nearest labels inside the grid."
        }
    };
    format!(
        "Synthetic spectrum by {}: rms difference {rms:.1} % of the continuum over {} pixels{chi2}. {expectation}{edge}",
        fit.emulator, fit.pixels
    )
}
