//! The predicted parameters of one spectrum, with the meaning of its flags.

use std::sync::Arc;

use leptos::prelude::*;

use super::context::{Engine, Labels};
use super::diagnostics::FitLine;
use super::flag_chip::FlagChip;
use super::format;
use super::model_card::ModelCardDialog;
use super::row::{PredictionStatus, Row, RowKey};
use crate::result::{Estimate, Label, ModelCard, Prediction};
use crate::spectrum::Survey;

/// Parameters with errors, or the reason why there are none.
#[component]
pub(super) fn Parameters(row: Row) -> impl IntoView {
    move || {
        match row.status.get() {
        PredictionStatus::Pending => view! { <Waiting/> }.into_any(),
        PredictionStatus::Predicted(prediction) => {
            let survey = row.summary.with(|summary| summary.meta.survey);
            view! { <PredictedLabels prediction key=row.key survey/> }.into_any()
        }
        PredictionStatus::NotPredicted(why) => view! {
            <div class="notice bad"><p><strong>"No parameters. "</strong>{why}</p></div>
        }
        .into_any(),
        PredictionStatus::Interrupted => view! {
            <div class="notice bad"><p>"The engine stopped before it predicted the parameters of this spectrum. Read the file again."</p></div>
        }
        .into_any(),
    }
    }
}

/// A spectrum without a prediction yet. The first Gaia XP spectrum waits for the download of its model.
#[component]
fn Waiting() -> impl IntoView {
    let loading = expect_context::<Engine>().xp_loading;
    let text = move || match loading.get() {
        Some((done, total)) if total > 0 => {
            format!("Downloading the model for Gaia XP: {} of {}", format::bytes(done), format::bytes(total))
        }
        _ => "Waiting for the prediction…".into(),
    };
    view! { <p class="waiting" role="status">{text}</p> }
}

#[component]
fn PredictedLabels(prediction: Arc<Prediction>, key: RowKey, survey: Survey) -> impl IntoView {
    let engine = expect_context::<Engine>();
    let finetuned_label = prediction.finetuned.as_ref().map(|adapter| adapter.target.clone());
    // A label that was not fine-tuned comes from the shipped model.
    let shipped_model = match (&finetuned_label, engine.model.get_untracked()) {
        (None, _) => Some(prediction.model.clone()),
        (Some(_), card) => card.map(|card| format!("{} {}", card.name, card.version)),
    };
    let shipped_model = shipped_model.filter(|_| prediction.has_measured_accuracy());
    let tile_model = shipped_model.clone();
    let tiles = prediction.estimates.iter().map(|&estimate| {
        let title = tile_model.clone().filter(|_| finetuned_label.as_deref() != Some(estimate.label.name()));
        let (value, error) = format::estimate(&estimate);
        let unit = estimate.label.unit();
        view! {
            <div class="tile" data-testid=format!("parameter-{}", estimate.label.name())>
                <dt><Symbol label=estimate.label/></dt>
                <dd>
                    <span class="value">{value}</span>
                    <span class="with-unit"><span class="error">"± " {error}</span> " " <span class="unit">{unit}</span></span>
                </dd>
                <CatalogueValue estimate key/>
                {title.map(|title| view! { <MeasuredAccuracy label=estimate.label title survey/> })}
            </div>
        }
    });
    let is_flagged = prediction.flags.iter().any(|flag| flag.is_severe());
    let flags = prediction.flags.iter().map(|flag| {
        view! { <li><FlagChip flag=*flag has_meaning=false/> <span>{flag.meaning()}</span></li> }
    });
    let withheld = prediction.withheld().map(format::with_minus_signs);
    view! {
        <dl class="tiles" class:flagged=is_flagged>{tiles.collect_view()}</dl>
        {withheld.map(|reason| view! { <p class="withheld" data-testid="withheld">{reason}</p> })}
        {(!prediction.flags.is_empty()).then(|| view! { <ul class="flag-meanings">{flags.collect_view()}</ul> })}
        <p class="muted">
            "Model " {prediction.model.clone()}
            {prediction.snr.map(|_| format!(", S/N {} per pixel", format::snr(prediction.snr)))} ". "
            {shipped_model.map(|title| view! { <AccuracyBasis title survey/> })}
        </p>
        <OtherCard title=prediction.model.clone()/>
        <FitLine key/>
    }
}

/// The value of the same parameter in a label table.
#[component]
fn CatalogueValue(estimate: Estimate, key: RowKey) -> impl IntoView {
    let labels = expect_context::<Labels>();
    move || {
        let has_label = |e: &&Estimate| e.label == estimate.label;
        let catalogue = labels.values.with(|all| all.get(&key)?.iter().find(has_label).copied())?;
        let (value, difference) = format::catalogue_comparison(&catalogue, &estimate);
        let name = estimate.label.name();
        Some(view! {
            <dd class="catalogue" data-testid=format!("catalogue-{name}")>
                "your table " {value} <span class="difference">{difference}</span>
            </dd>
        })
    }
}

/// The card of the model that predicted, if it is a shipped model.
fn card_of(engine: Engine, title: &str) -> Option<ModelCard> {
    [engine.model.get(), engine.xp_model.get()]
        .into_iter()
        .flatten()
        .find(|card| format!("{} {}", card.name, card.version) == title)
}

/// The card of the model that predicted, if the page's header shows the card of another model.
#[component]
fn OtherCard(title: String) -> impl IntoView {
    let engine = expect_context::<Engine>();
    let card = Memo::new(move |_| {
        let is_other =
            |card: &ModelCard| engine.model.with(|shown| shown.as_ref().is_none_or(|shown| shown.name != card.name));
        card_of(engine, &title).filter(is_other)
    });
    move || card.get().map(|card| view! { <ModelCardDialog card id_prefix="other-card"/> })
}

/// The errors next to the values, and the spectra on which their test σ was measured.
#[component]
fn AccuracyBasis(title: String, survey: Survey) -> impl IntoView {
    let engine = expect_context::<Engine>();
    move || {
        let card = card_of(engine, &title)?;
        Some(match Label::ALL.into_iter().find_map(|label| card.accuracy_of(label, survey)) {
            Some(m) if m.is_simulated => format!(
                "±: 1 σ error of this value, calibrated on LAMOST-like spectra. Test σ: scatter about the labels of simulated spectra ({}). The scatter for real {} stars was not measured.",
                m.on,
                survey.accuracy_survey().name()
            ),
            Some(m) => {
                let may_be_in_training_set = survey == Survey::Miles && card.trained_on.contains("MILES");
                let warning = match may_be_in_training_set {
                    true => " This star may be in the training set of the shipped model.",
                    false => "",
                };
                format!(
                    "±: 1 σ error of this value. Test σ: scatter about the catalogue values of real stars that were not trained on ({}).{warning}",
                    m.on
                )
            }
            None => format!("The accuracy on {} spectra was not measured.", survey.name()),
        })
    }
}

/// The measured accuracy of a shipped model for one parameter and survey.
#[component]
fn MeasuredAccuracy(label: Label, title: String, survey: Survey) -> impl IntoView {
    let engine = expect_context::<Engine>();
    move || {
        let card = card_of(engine, &title)?;
        let accuracy = card.accuracy_of(label, survey)?;
        let full_text = format::with_minus_signs(&accuracy.to_string());
        Some(view! {
            <dd class="accuracy muted" title=full_text data-testid=format!("accuracy-{}", label.name())>
                {format::accuracy_short(accuracy)}
                <span class="visually-hidden">", " {accuracy.on.clone()}</span>
            </dd>
        })
    }
}

/// The symbol of a parameter.
#[component]
pub(super) fn Symbol(label: Label) -> impl IntoView {
    match label {
        Label::Teff => view! { <i>"T"</i><sub>"eff"</sub> }.into_any(),
        Label::Logg => view! { "log " <i>"g"</i> }.into_any(),
        other => other.symbol().into_any(),
    }
}
