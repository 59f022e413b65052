//! Prediction of a spectrum in the other survey, compared with the observed one.

use std::sync::Arc;

use leptos::prelude::*;

use super::overlay::{flux_label, overlay};
use crate::plot::smooth_values;
use crate::result::similarity::{MatchedBy, ObservedPartner, PairedLabels, Thumbnail, Translation};
use crate::result::specclip::Modality;
use crate::spectrum::Survey;
use crate::ui::chart_canvas::ChartCanvas;
use crate::ui::context::{Engine, Rows, Similarity, label_text};
use crate::ui::row::Row;

/// FWHM of the smoothing of a predicted Gaia XP spectrum in the plot, in samples of 2 nm. The prisms broaden a line by
/// more. The smoothing therefore removes only features that no Gaia XP spectrum can show.
const SMOOTHING_SAMPLES: f64 = 3.0;

/// The prediction, the observed spectrum of the same star, and labels from both.
#[component]
pub(super) fn TranslationPanel() -> impl IntoView {
    let similarity = expect_context::<Similarity>();
    move || similarity.translation.get().map(|translation| view! { <Prediction translation/> })
}

fn survey_name(modality: Modality) -> &'static str {
    match modality {
        Modality::Lrs => "an optical spectrum",
        Modality::Xp => "a Gaia XP spectrum",
    }
}

#[component]
fn Prediction(translation: Arc<Translation>) -> impl IntoView {
    let (engine, rows, similarity) =
        (expect_context::<Engine>(), expect_context::<Rows>(), expect_context::<Similarity>());
    let drawn = if translation.to == Modality::Xp {
        smooth_values(&translation.flux, SMOOTHING_SAMPLES)
    } else {
        translation.flux.clone()
    };
    let predicted = Thumbnail { wave_vac_aa: translation.wave_vac_aa.clone(), flux: drawn };
    let observed = translation
        .observed
        .as_ref()
        .map(|partner| Thumbnail { wave_vac_aa: translation.wave_vac_aa.clone(), flux: partner.flux.clone() });
    let flux = flux_label(translation.to);
    let chart = match &observed {
        Some(observed) => overlay(observed, Some(&predicted), flux),
        None => overlay(&predicted, None, flux),
    };
    let comparison = match &translation.observed {
        Some(partner) => describe(partner),
        None => {
            let spectra = match translation.to {
                Modality::Lrs => "optical",
                Modality::Xp => "Gaia XP",
            };
            format!("None of your {spectra} spectra matches this star. Drop one, or select one:")
        }
    };
    let labels = translation.labels.iter().map(|PairedLabels { label, from_spectrum, from_observed }| {
        let text = |value: &Option<f64>| value.map_or("–".to_string(), |v| label_text(v, label.unit == "K"));
        view! {
            <tr><th scope="row">{label.symbol.clone()}</th><td>{text(from_spectrum)}</td><td>{text(from_observed)}</td><td>{label.unit.clone()}</td></tr>
        }
    });
    let mean_error = translation.measured_error.map(|error| {
        format!(
            "For {} simulated stars outside the training set, the mean absolute error of the predicted normalised flux is {:.3}. With the mean of all spectra as the prediction, the error is {:.3}. Features smaller than the error of the prediction may be artefacts of the network.{}",
            error.n,
            error.predicted,
            error.mean_spectrum,
            if translation.to == Modality::Xp { " The plot is smoothed over 6 nm, which is narrower than a line in Gaia XP spectra." } else { "" }
        )
    });
    let (id, to, spectrum, model) =
        (translation.id.clone(), translation.to, translation.spectrum, translation.model.clone());
    let has_partner = translation.observed.is_some();
    let partners = move || {
        // Opened spectra of the survey in which the spectrum is predicted.
        let is_xp = |row: &Row| row.summary.with(|s| s.meta.survey == Survey::GaiaXp);
        let is_candidate =
            |row: &Row| engine.is_current(row.key) && row.key.id != spectrum && is_xp(row) == (to == Modality::Xp);
        rows.all.with(|rows| {
            rows.iter()
                .filter(|r| is_candidate(r))
                .map(|r| (r.key.id, r.summary.with(|s| s.meta.id.clone())))
                .take(500)
                .collect::<Vec<_>>()
        })
    };
    let choose = move |event| {
        let key = rows.all.with_untracked(|rows| rows.iter().map(|r| r.key).find(|k| k.id == spectrum));
        if let (Some(key), Ok(partner)) = (key, event_target_value(&event).parse()) {
            similarity.translate(key, Some(partner));
        }
    };
    view! {
        <div data-testid="translation">
            <h3>{id} " predicted as " {survey_name(to)}</h3>
            <p class="muted">
                "Predicted by " {model} ". " {mean_error}
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
            <ChartCanvas chart=Memo::new(move |_| chart.clone()) description=format!("The predicted spectrum. {comparison}") test_id="translation-chart"/>
            <p>{comparison.clone()}</p>
            <label>"Observed spectrum of the same star: "
                <select data-testid="translation-partner" on:change=choose>
                    <option value="">{if has_partner { "matched by name or position" } else { "none by name or position" }}</option>
                    {move || partners().into_iter().map(|(id, name)| view! { <option value=id.to_string()>{name}</option> }).collect_view()}
                </select>
            </label>
            <div class="table-scroll" tabindex="0" role="region" aria-label="Labels">
                <table class="scores">
                    <thead><tr><th scope="col">"Label"</th><th scope="col">"From this spectrum"</th><th scope="col">"From the observed spectrum"</th><th scope="col">"Unit"</th></tr></thead>
                    <tbody>{labels.collect_view()}</tbody>
                </table>
            </div>
        </div>
    }
}

/// Agreement of the prediction with the observed spectrum, as text.
fn describe(partner: &ObservedPartner) -> String {
    let match_text = match partner.matched_by {
        MatchedBy::Id => "same name".to_string(),
        MatchedBy::Position { arcsec } => format!("{arcsec:.1}″ apart"),
        MatchedBy::User => "selected by you".to_string(),
    };
    let errors =
        partner.weighted_rms.map_or(String::new(), |rms| format!(", rms difference {rms:.1} times the flux error"));
    format!(
        "Observed: {} ({match_text}); mean absolute difference {:.4}{errors}, over {} pixels.",
        partner.id, partner.mean_absolute, partner.pixels
    )
}
