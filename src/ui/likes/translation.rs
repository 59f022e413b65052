//! A spectrum as the other survey would see it, and as it did.

use std::sync::Arc;

use leptos::prelude::*;

use super::neighbours::{flux_of, overlay};
use super::state::number;
use crate::plot::smoothed_values;
use crate::result::catalogue::Modality;
use crate::result::likes::{BothLabels, MatchedBy, Observed, Thumbnail, Translation};
use crate::spectrum::Survey;
use crate::ui::chart_canvas::ChartCanvas;
use crate::ui::state::{RowKey, State};

/// FWHM by which a predicted Gaia XP spectrum is smoothed where it is drawn, samples of 2 nm: less than the prisms spread a line,
/// so that only what cannot be in such a spectrum goes.
const DRAWN_SAMPLES: f64 = 3.0;

/// The prediction, the observed spectrum of the same star, and labels from both.
#[component]
pub fn Translated() -> impl IntoView {
    let state = expect_context::<State>();
    move || state.likes.translation.get().map(|it| view! { <One it/> })
}

fn survey(modality: Modality) -> &'static str {
    match modality {
        Modality::Lrs => "an optical survey",
        Modality::Xp => "Gaia XP",
    }
}

#[component]
fn One(it: Arc<Translation>) -> impl IntoView {
    let state = expect_context::<State>();
    let drawn = if it.to == Modality::Xp { smoothed_values(&it.flux, DRAWN_SAMPLES) } else { it.flux.clone() };
    let predicted = Thumbnail { wave_vac_aa: it.wave_vac_aa.clone(), flux: drawn };
    let observed =
        it.observed.as_ref().map(|o| Thumbnail { wave_vac_aa: it.wave_vac_aa.clone(), flux: o.flux.clone() });
    let flux = flux_of(it.to);
    let chart = match &observed {
        Some(observed) => overlay(observed, Some(&predicted), flux),
        None => overlay(&predicted, None, flux),
    };
    let says = match &it.observed {
        Some(o) => said(o),
        None => "No spectrum of the same star from that survey is here. Drop it as well, or name it:".into(),
    };
    let rows = it.labels.iter().map(|BothLabels { label, from_spectrum, from_observed }| {
        let text = |value: &Option<f64>| value.map_or("–".to_string(), |v| number(v, label.unit == "K"));
        view! {
            <tr><th scope="row">{label.symbol.clone()}</th><td>{text(from_spectrum)}</td><td>{text(from_observed)}</td><td>{label.unit.clone()}</td></tr>
        }
    });
    let usual = it.usual_error.map(|error| {
        format!(
            "Of {} simulated stars that it had not seen such predictions were off by {:.3} on average, in the plot's unit; the mean of all spectra would be off by {:.3}. Ripples smaller than that are the network's own{}.",
            error.n,
            error.predicted,
            error.of_the_mean,
            if it.to == Modality::Xp { "; the curve is drawn smoothed over 6 nm, less than the prisms spread a line" } else { "" }
        )
    });
    let (id, to, spectrum, model) = (it.id.clone(), it.to, it.spectrum, it.model.clone());
    let has_partner = it.observed.is_some();
    let partners = move || {
        // One of the survey that it is predicted in.
        let is_xp = |row: &crate::ui::state::Row| row.summary.with(|s| s.meta.survey == Survey::GaiaXp);
        let mine = |row: &crate::ui::state::Row| {
            state.is_current(row.key) && row.key.id != spectrum && is_xp(row) == (to == Modality::Xp)
        };
        state.rows.with(|rows| {
            rows.iter()
                .filter(|r| mine(r))
                .map(|r| (r.key.id, r.summary.with(|s| s.meta.id.clone())))
                .take(500)
                .collect::<Vec<_>>()
        })
    };
    let choose = move |event| {
        let key = state.rows.with_untracked(|rows| rows.iter().map(|r| r.key).find(|k| k.id == spectrum));
        if let (Some(key), Ok(partner)) = (key, event_target_value(&event).parse()) {
            state.translate(RowKey { ..key }, Some(partner));
        }
    };
    view! {
        <div data-testid="translation">
            <h3>{id} " as " {survey(to)} " would see it"</h3>
            <p class="muted">
                "Predicted by " {model} ". " {usual}
            </p>
            <p class="keys-line muted">
                {if has_partner {
                    view! {
                        <span class="key series-1">"predicted"</span>
                        <span class="key series-0">"observed"</span>
                        <span class="key series-2">"observed − predicted"</span>
                    }.into_any()
                } else {
                    view! { <span class="key series-0">"predicted"</span> }.into_any()
                }}
            </p>
            <ChartCanvas chart=Memo::new(move |_| chart.clone()) says=format!("The predicted spectrum. {says}") test_id="translation-chart"/>
            <p>{says.clone()}</p>
            <label>"The same star: "
                <select data-testid="translation-partner" on:change=choose>
                    <option value="">"by name or position"</option>
                    {move || partners().into_iter().map(|(id, name)| view! { <option value=id.to_string()>{name}</option> }).collect_view()}
                </select>
            </label>
            <div class="table-scroll">
                <table class="scores">
                    <thead><tr><th scope="col">"Label"</th><th scope="col">"From this spectrum"</th><th scope="col">"From the other"</th><th scope="col">"Unit"</th></tr></thead>
                    <tbody>{rows.collect_view()}</tbody>
                </table>
            </div>
        </div>
    }
}

/// How well the prediction fits.
fn said(o: &Observed) -> String {
    let how = match o.matched_by {
        MatchedBy::Id => "the same name".to_string(),
        MatchedBy::Position { arcsec } => format!("{arcsec:.1}″ apart"),
        MatchedBy::Hand => "named by you".to_string(),
    };
    let errors = o.weighted_rms.map_or(String::new(), |rms| format!(", {rms:.1} σ in its errors"));
    format!(
        "Observed: {} ({how}); mean absolute difference {:.4}{errors}, over {} pixels.",
        o.id, o.mean_absolute, o.pixels
    )
}
