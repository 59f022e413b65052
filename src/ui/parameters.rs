//! The answer for one spectrum, in large type, and what its flags mean.

use std::sync::Arc;

use leptos::prelude::*;

use super::format;
use super::model_card::WholeCard;
use super::reading::FitLine;
use super::state::{Answer, Row, RowKey, State};
use crate::result::{Estimate, Flag, Label, ModelCard, Prediction};
use crate::spectrum::Survey;

/// Parameters with errors, or why there are none.
#[component]
pub fn Parameters(row: Row) -> impl IntoView {
    move || {
        match row.answer.get() {
        Answer::Waiting => view! { <Waiting/> }.into_any(),
        Answer::Predicted(prediction) => {
            let survey = row.summary.with(|summary| summary.meta.survey);
            view! { <Answered prediction key=row.key survey/> }.into_any()
        }
        Answer::Refused(why) => view! {
            <div class="notice bad"><p><strong>"No parameters. "</strong>{why}</p></div>
        }
        .into_any(),
        Answer::Lost => view! {
            <div class="notice bad"><p>"The engine stopped before it answered for this spectrum. Read the file again."</p></div>
        }
        .into_any(),
    }
    }
}

/// What a spectrum waits for: Gaia XP spectra have a model that is fetched when the first of them is dropped.
#[component]
fn Waiting() -> impl IntoView {
    let loading = expect_context::<State>().likes.loading;
    let says = move || match loading.get() {
        Some((what, done, total)) if total > 0 => {
            format!("Fetching {what}: {} of {}", format::bytes(done), format::bytes(total))
        }
        _ => "Waiting for the network…".into(),
    };
    view! { <p class="waiting" role="status">{says}</p> }
}

#[component]
fn Answered(prediction: Arc<Prediction>, key: RowKey, survey: Survey) -> impl IntoView {
    let state = expect_context::<State>();
    let taught = prediction.taught.as_ref().map(|taught| taught.target.clone());
    // What was not taught comes from the shipped model, whatever else answers.
    let by = match (&taught, state.model.get_untracked()) {
        (None, _) => Some(prediction.model.clone()),
        (Some(_), card) => card.map(|card| format!("{} {}", card.name, card.version)),
    };
    let shipped = by.clone();
    let tiles = prediction.estimates.iter().map(|&estimate| {
        let by = shipped.clone().filter(|_| taught.as_deref() != Some(estimate.label.name()));
        let (value, error) = format::estimate(&estimate);
        let unit = estimate.label.unit();
        view! {
            <div class="tile" data-testid=format!("parameter-{}", estimate.label.name())>
                <dt><Symbol label=estimate.label/></dt>
                <dd>
                    <span class="value">{value}</span>
                    <span class="with-unit"><span class="error">"± " {error}</span> " " <span class="unit">{unit}</span></span>
                </dd>
                <Beside estimate key/>
                {by.map(|by| view! { <Measured label=estimate.label by survey/> })}
            </div>
        }
    });
    let is_doubtful = prediction.flags.iter().any(|flag| flag.is_grave());
    let flags = prediction.flags.iter().map(|flag| {
        view! { <li><FlagChip flag=*flag explained=false/> <span>{flag.meaning()}</span></li> }
    });
    view! {
        <dl class="tiles" class:doubtful=is_doubtful>{tiles.collect_view()}</dl>
        {(!prediction.flags.is_empty()).then(|| view! { <ul class="flag-meanings">{flags.collect_view()}</ul> })}
        <p class="muted">
            "By " {prediction.model.clone()}
            {prediction.snr.map(|_| format!(", S/N {} per pixel", format::snr(prediction.snr)))} ". "
            {by.map(|by| view! { <Basis by survey/> })}
        </p>
        <OtherCard by=prediction.model.clone()/>
        <FitLine key/>
    }
}

/// What a table of labels says of the same parameter.
#[component]
fn Beside(estimate: Estimate, key: RowKey) -> impl IntoView {
    let state = expect_context::<State>();
    move || {
        let is_it = |known: &&Estimate| known.label == estimate.label;
        let known = state.catalogue.with(|all| all.get(&key)?.iter().find(is_it).copied())?;
        let (value, difference) = format::beside(&known, &estimate);
        let name = estimate.label.name();
        Some(view! {
            <dd class="catalogue" data-testid=format!("catalogue-{name}")>
                "catalogue " {value} <span class="difference">{difference}</span>
            </dd>
        })
    }
}

/// The card of the model that answered, where that is a shipped one.
fn card_of(state: &State, title: &str) -> Option<ModelCard> {
    let of_xp = state.likes.card.get().map(|likes| likes.card);
    [state.model.get(), of_xp].into_iter().flatten().find(|card| format!("{} {}", card.name, card.version) == title)
}

/// The card of the shipped model that answered, where the head of the page shows another's.
#[component]
fn OtherCard(by: String) -> impl IntoView {
    let state = expect_context::<State>();
    let card = Memo::new(move |_| {
        let is_other = |card: &ModelCard| state.model.with(|shown| shown.as_ref().is_none_or(|s| s.name != card.name));
        card_of(&state, &by).filter(is_other)
    });
    move || card.get().map(|card| view! { <WholeCard card place="other-card"/> })
}

/// On what the σ beside the values was measured.
#[component]
fn Basis(by: String, survey: Survey) -> impl IntoView {
    let state = expect_context::<State>();
    move || {
        let card = card_of(&state, &by)?;
        Some(match Label::ALL.into_iter().find_map(|label| card.measure(label, survey)) {
            Some(m) if survey == Survey::GaiaXp => format!(
                "σ: scatter about the labels of simulated spectra ({}); ± is that with its offset, the same for every star. It was not measured on real Gaia XP stars.",
                m.on
            ),
            Some(m) if m.is_simulated => format!(
                "σ: scatter about the labels of simulated spectra ({}); it was not measured on real {} stars, and ± was calibrated on spectra like LAMOST's.",
                m.on,
                survey.measured_as().name()
            ),
            Some(m) => {
                let seen = survey == Survey::Miles && card.trained_on.contains("MILES");
                let but =
                    if seen { " This star may be among those that the shipped network did learn from." } else { "" };
                format!("σ: scatter about catalogue values of real stars it had not seen ({}).{but}", m.on)
            }
            None => format!("Its accuracy on {} spectra was never measured.", survey.name()),
        })
    }
}

/// What the model was measured to be worth for a parameter on such spectra, where the model is the shipped one.
#[component]
fn Measured(label: Label, by: String, survey: Survey) -> impl IntoView {
    let state = expect_context::<State>();
    move || {
        let card = card_of(&state, &by)?;
        let measure = card.measure(label, survey)?;
        Some(view! {
            <dd class="measured muted" title=format::prose(&measure.to_string()) data-testid=format!("measured-{}", label.name())>
                {format::measure_short(measure)}
                <span class="for-readers">", " {measure.on.clone()}</span>
            </dd>
        })
    }
}

/// A parameter's name as astronomers set it.
#[component]
pub fn Symbol(label: Label) -> impl IntoView {
    match label {
        Label::Teff => view! { <i>"T"</i><sub>"eff"</sub> }.into_any(),
        Label::Logg => view! { "log " <i>"g"</i> }.into_any(),
        other => other.symbol().into_any(),
    }
}

/// A flag as a small sign. `explained`: with its meaning for screen readers and on hovering.
#[component]
pub fn FlagChip(flag: Flag, explained: bool) -> impl IntoView {
    let class = if flag.is_grave() { "chip grave" } else { "chip mild" };
    view! {
        <span class=class title=explained.then(|| flag.meaning())>
            {flag.code().replace('_', " ")}
            {explained.then(|| view! { <span class="for-readers">": " {flag.meaning()}</span> })}
        </span>
    }
}
