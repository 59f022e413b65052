//! The full model card: what the model predicts, its training set, its limits, error calibration and accuracy.

use leptos::{html, prelude::*};

use super::chart_canvas::ChartCanvas;
use super::format;
use crate::plot::{Chart, Mark, Paint, Plot};
use crate::result::{Calibration, Label, LabelAccuracy, ModelCard};
use crate::spectrum::Survey;

/// The button that opens the card, and the card. `id_prefix`: prefix of the DOM ids, different for each card.
#[component]
pub(super) fn ModelCardDialog(card: ModelCard, id_prefix: &'static str) -> impl IntoView {
    let dialog = NodeRef::<html::Dialog>::new();
    // The contents are drawn only while the dialogue is open.
    let is_open = RwSignal::new(false);
    let open = move |_| {
        if let Some(dialog) = dialog.get_untracked() {
            is_open.set(true);
            // Fails only for a dialogue that is already open.
            let _ = dialog.show_modal();
        }
    };
    let close = move |_| {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    let title = format!("{} {}", card.name, card.version);
    let (title_id, named_by) = (format!("{id_prefix}-title"), format!("{id_prefix}-title"));
    view! {
        <p class="actions"><button data-testid=format!("open-{id_prefix}") on:click=open>"Full model card"</button></p>
        <dialog
            class="model-card" node_ref=dialog aria-labelledby=named_by data-testid=format!("{id_prefix}-dialog")
            on:close=move |_| is_open.set(false)
        >
            <h2 id=title_id>"Model " {title}</h2>
            {move || is_open.get().then(|| view! { <CardContents card=card.clone()/> })}
            <p><button class="primary" on:click=close>"Close"</button></p>
        </dialog>
    }
}

#[component]
fn CardContents(card: ModelCard) -> impl IntoView {
    let limits = limits(&card);
    let labels: Vec<&str> = card.label_range.iter().map(|(label, ..)| label.symbol()).collect();
    let properties = [
        ("Predicts", labels.join(", ")),
        ("Trained on", card.trained_on.clone()),
        ("Preprocessing", card.recipe.clone()),
        ("Size", format::bytes(card.bytes)),
        ("Licence", card.license.clone()),
        ("SHA-256", card.sha256.clone()),
        ("Training command", card.command.clone()),
    ];
    let properties = properties.into_iter().filter(|(_, value)| !value.is_empty());
    view! {
        <dl class="card-facts">
            {properties.map(|(name, value)| view! { <div><dt>{name}</dt><dd>{format::with_minus_signs(&value)}</dd></div> }).collect_view()}
        </dl>
        <h3>"Limits"</h3>
        <ul class="limits" data-testid="card-limits">{limits.into_iter().map(|limit| view! { <li>{limit}</li> }).collect_view()}</ul>
        {(!card.calibration.is_empty()).then(|| view! { <ErrorCalibration all=card.calibration.clone()/> })}
        <h3>"Accuracy"</h3>
        <div class="table-scroll" tabindex="0" role="region" aria-label="Accuracy">
            <table class="scores">
                <thead><tr><th scope="col">"Label"</th><th scope="col">"Test set"</th><th scope="col" class="number">"N"</th><th scope="col" class="number">"Offset"</th><th scope="col" class="number">"σ"</th></tr></thead>
                <tbody>{card.accuracy.iter().map(row).collect_view()}</tbody>
            </table>
        </div>
        <p class="muted">"Offset: mean of predicted − reference label. σ: its scatter. Both after clipping at 3 σ."</p>
    }
}

fn row(m: &LabelAccuracy) -> impl IntoView + use<> {
    let decimals = match m.label {
        Label::Teff => 0,
        Label::Rv => 1,
        _ => 3,
    };
    let unit = m.label.unit();
    let bias = format!("{:+.decimals$}\u{2009}{unit}", m.bias).replace('-', "\u{2212}");
    let sigma = format!("{:.decimals$}\u{2009}{unit}", m.sigma);
    view! {
        <tr>
            <th scope="row">{m.label.symbol()}</th><td>{format::with_minus_signs(&m.on)}</td>
            <td class="number">{m.n}</td><td class="number">{bias}</td><td class="number">{sigma}</td>
        </tr>
    }
}

/// The limits of a model, in the words of the page's flags.
fn limits(card: &ModelCard) -> Vec<String> {
    let mut limits = Vec::new();
    let range = |(label, low, high): &(Label, f64, f64)| {
        let decimals = if *high >= 100.0 { 0 } else { 1 };
        let unit = if label.unit().is_empty() { String::new() } else { format!("\u{2009}{}", label.unit()) };
        format!("{} {low:.decimals$} to {high:.decimals$}{unit}", label.symbol()).replace('-', "\u{2212}")
    };
    if !card.label_range.is_empty() {
        let ranges: Vec<String> = card.label_range.iter().map(range).collect();
        limits.push(format!(
            "Trained for {}. A prediction near the edge of this range or outside it is flagged: the true value may lie outside.",
            ranges.join(", ")
        ));
    }
    limits.push("A spectrum unlike the training spectra is flagged. Do not use its predictions.".into());
    limits.push("Below a signal-to-noise ratio of 10 per pixel the predicted errors are extrapolated.".into());
    let measured = Survey::ALL.into_iter().filter(|survey| survey.accuracy_survey() == *survey);
    for survey in measured {
        let of = || card.accuracy.iter().filter(|m| m.survey == survey);
        let name = survey.name();
        if of().next().is_none() {
            limits.push(format!("Not tested on {name} spectra."));
        } else if of().all(|m| m.is_simulated) {
            limits.push(format!("For {name}, tested on simulated spectra only."));
        }
    }
    limits
}

/// Names of the test sets of the error calibration, sets of real stars first.
fn calibration_sets(all: &[Calibration]) -> Vec<String> {
    let mut sets: Vec<String> = Vec::new();
    for is_simulated in [false, true] {
        for c in all.iter().filter(|c| c.simulated == is_simulated) {
            if !sets.contains(&c.on) {
                sets.push(c.on.clone());
            }
        }
    }
    sets
}

/// Chart of the measured fraction of residuals within k σ against the fraction expected for a Gaussian; one curve per
/// label.
fn chart(all: &[Calibration], set: &str) -> Chart {
    let of_label = |(i, label): (usize, Label)| {
        let points = all.iter().find(|c| c.on == set && c.label == label)?.curve();
        let paint = Paint::Series(i);
        let dots = Mark::Points { at: points[1..].to_vec(), paint, radius_px: 2.5, is_filled: true };
        Some([Mark::Curve { points, paint }, dots])
    };
    let curves = Label::ALL.into_iter().enumerate().filter_map(of_label).flatten();
    let plot = Plot {
        x_label: "Expected fraction of stars within k σ".into(),
        y_label: "Measured fraction".into(),
        x_range: (0.0, 1.0),
        y_range: (0.0, 1.0),
        is_x_log: false,
        share: 1.0,
        marks: [Mark::Diagonal].into_iter().chain(curves).collect(),
    };
    Chart { plots: vec![plot] }
}

/// Fraction of stars within 1 σ for each label, as text.
fn within_one_sigma(all: &[Calibration], set: &str) -> String {
    let of = |c: &Calibration| {
        let percent = 100.0 * c.coverage_within_1_sigma()?;
        Some(format!("{} {percent:.0}\u{2009}% ({} stars)", c.label.symbol(), c.n))
    };
    let coverages: Vec<String> = all.iter().filter(|c| c.on == set).filter_map(of).collect();
    format!("Within 1\u{2009}σ (expected 68\u{2009}%): {}.", coverages.join(", "))
}

#[component]
fn ErrorCalibration(all: Vec<Calibration>) -> impl IntoView {
    let sets = calibration_sets(&all);
    let chosen = RwSignal::new(sets.first().cloned().unwrap_or_default());
    let all = StoredValue::new(all);
    let curves = Memo::new(move |_| chosen.with(|set| all.with_value(|all| chart(all, set))));
    let coverage_text = move || chosen.with(|set| all.with_value(|all| within_one_sigma(all, set)));
    let has_label =
        move |label| all.with_value(|all| chosen.with(|set| all.iter().any(|c| c.on == *set && c.label == label)));
    let legend = move || {
        let shown = Label::ALL.into_iter().enumerate().filter(|(_, label)| has_label(*label));
        shown.map(|(i, label)| view! { <span class=format!("key series-{i}")>{label.symbol()}</span> }).collect_view()
    };
    view! {
        <h3>"Error calibration"</h3>
        <p>
            <label>
                "Test set "
                <select data-testid="card-set" on:change=move |e| chosen.set(event_target_value(&e))>
                    {sets.into_iter().map(|set| view! { <option value=set.clone()>{set.clone()}</option> }).collect_view()}
                </select>
            </label>
        </p>
        <p data-testid="card-within">{coverage_text}</p>
        <figure class="one-to-one calibration">
            <figcaption>{legend}</figcaption>
            <ChartCanvas chart=curves description=coverage_text test_id="calibration"/>
        </figure>
        <p class="muted">"Where a curve is below the dashed line, the predicted errors are too small. These stars are not in the training set. The catalogue errors are included."</p>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_name_untested_surveys_and_real_sets_come_first() {
        let measure = |survey, is_simulated| LabelAccuracy {
            label: Label::Teff,
            on: "stars".into(),
            survey,
            is_simulated,
            n: 7,
            bias: -12.0,
            sigma: 110.0,
        };
        let card = ModelCard {
            name: "m".into(),
            version: 2,
            sha256: String::new(),
            trained_on: String::new(),
            accuracy: vec![measure(Survey::LamostLrs, false), measure(Survey::Desi, true)],
            calibration: Vec::new(),
            label_range: vec![(Label::Teff, 3950.0, 7550.0), (Label::Feh, -2.6, 0.6)],
            recipe: String::new(),
            command: String::new(),
            license: String::new(),
            bytes: 0,
        };
        let text = limits(&card).join(" ");
        assert!(text.contains("Teff 3950 to 7550\u{2009}K, [Fe/H] \u{2212}2.6 to 0.6\u{2009}dex."), "{text}");
        assert!(text.contains("For DESI, tested on simulated spectra only."), "{text}");
        assert!(text.ends_with("Not tested on Gaia XP spectra."), "{text}");

        let of = |on, simulated| {
            let pulls = [0.1, -0.9, 1.2, 4.0];
            Calibration::of(Label::Teff, on, Survey::LamostLrs, simulated, &pulls).expect("some")
        };
        let all = [of("simulated set", true), of("real set", false)];
        assert_eq!(calibration_sets(&all), ["real set", "simulated set"]);
        let text = within_one_sigma(&all, "real set");
        assert!(text.ends_with(": Teff 50\u{2009}% (4 stars)."), "{text}");
        let chart = chart(&all, "simulated set");
        let Some(Mark::Curve { points, .. }) = chart.plots[0].marks.get(1) else { panic!("no curve") };
        assert_eq!((points.len(), points[12].1), (13, 0.75));
    }
}
