//! The whole card of the model that answers: what it is, what it was made from, how good it is, and where it ends.

use leptos::{html, prelude::*};

use super::chart_canvas::ChartCanvas;
use super::format;
use crate::plot::{Chart, Mark, Paint, Plot};
use crate::result::{Calibration, Label, Measure, ModelCard};
use crate::spectrum::Survey;

/// The button that opens the card, and the card. `place` tells several on one page apart.
#[component]
pub fn WholeCard(card: ModelCard, place: &'static str) -> impl IntoView {
    let dialog = NodeRef::<html::Dialog>::new();
    // What is not looked at is not drawn.
    let is_open = RwSignal::new(false);
    let open = move |_| {
        if let Some(dialog) = dialog.get_untracked() {
            is_open.set(true);
            // Fails only for a dialogue that is open already.
            let _ = dialog.show_modal();
        }
    };
    let close = move |_| {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    let title = format!("{} {}", card.name, card.version);
    let (title_id, named_by) = (format!("{place}-title"), format!("{place}-title"));
    view! {
        <p class="actions"><button data-testid=format!("open-{place}") on:click=open>"The whole model card"</button></p>
        <dialog
            class="model-card" node_ref=dialog aria-labelledby=named_by data-testid=format!("whole-{place}")
            on:close=move |_| is_open.set(false)
        >
            <h2 id=title_id>"Model " {title}</h2>
            {move || is_open.get().then(|| view! { <Contents card=card.clone()/> })}
            <p><button class="primary" on:click=close>"Close"</button></p>
        </dialog>
    }
}

#[component]
fn Contents(card: ModelCard) -> impl IntoView {
    let limits = limits(&card);
    let labels: Vec<&str> = card.label_range.iter().map(|(label, ..)| label.symbol()).collect();
    let facts = [
        ("Gives", labels.join(", ")),
        ("Trained on", card.trained_on.clone()),
        ("Behind the preprocessing", card.recipe.clone()),
        ("Size", format::bytes(card.bytes)),
        ("Licence", card.license.clone()),
        ("SHA-256", card.sha256.clone()),
        ("Made by", card.command.clone()),
    ];
    let facts = facts.into_iter().filter(|(_, what)| !what.is_empty());
    view! {
        <dl class="card-facts">
            {facts.map(|(name, what)| view! { <div><dt>{name}</dt><dd>{format::prose(&what)}</dd></div> }).collect_view()}
        </dl>
        <h3>"Where it ends"</h3>
        <ul class="limits" data-testid="card-limits">{limits.into_iter().map(|limit| view! { <li>{limit}</li> }).collect_view()}</ul>
        {(!card.calibration.is_empty()).then(|| view! { <Errors all=card.calibration.clone()/> })}
        <h3>"How good it was measured to be"</h3>
        <div class="table-scroll" tabindex="0" role="region" aria-label="Measured accuracy">
            <table class="scores">
                <thead><tr><th scope="col">"Label"</th><th scope="col">"On"</th><th scope="col" class="number">"N"</th><th scope="col" class="number">"Offset"</th><th scope="col" class="number">"σ"</th></tr></thead>
                <tbody>{card.accuracy.iter().map(row).collect_view()}</tbody>
            </table>
        </div>
        <p class="muted">"Offset is the mean of predicted − known, σ its scatter, both after 3 σ clipping."</p>
    }
}

fn row(m: &Measure) -> impl IntoView + use<> {
    let decimals = match m.label {
        Label::Teff => 0,
        Label::Rv => 1,
        _ => 3,
    };
    let unit = m.label.unit();
    let bias = format!("{:+.decimals$} {unit}", m.bias).replace('-', "\u{2212}");
    let sigma = format!("{:.decimals$} {unit}", m.sigma);
    view! {
        <tr>
            <th scope="row">{m.label.symbol()}</th><td>{format::prose(&m.on)}</td>
            <td class="number">{m.n}</td><td class="number">{bias}</td><td class="number">{sigma}</td>
        </tr>
    }
}

/// What it was not made for, as the page's flags tell it.
fn limits(card: &ModelCard) -> Vec<String> {
    let mut limits = Vec::new();
    let range = |(label, low, high): &(Label, f64, f64)| {
        let decimals = if *high >= 100.0 { 0 } else { 1 };
        let unit = if label.unit().is_empty() { String::new() } else { format!(" {}", label.unit()) };
        format!("{} {low:.decimals$} to {high:.decimals$}{unit}", label.symbol()).replace('-', "\u{2212}")
    };
    if !card.label_range.is_empty() {
        let ranges: Vec<String> = card.label_range.iter().map(range).collect();
        limits.push(format!(
            "Trained for {}. An answer at the edge of that or beyond it is flagged: the truth may lie outside.",
            ranges.join(", ")
        ));
    }
    limits.push("A spectrum unlike all that it was trained on is flagged; its numbers are not to be used.".into());
    limits.push("Below a signal-to-noise ratio of 10 a pixel its errors are extrapolated.".into());
    let measured = Survey::ALL.into_iter().filter(|survey| survey.measured_as() == *survey);
    for survey in measured {
        let of = || card.accuracy.iter().filter(|m| m.survey == survey);
        let name = survey.name();
        if of().next().is_none() {
            limits.push(format!("Never measured on {name} spectra."));
        } else if of().all(|m| m.is_simulated) {
            limits.push(format!("On {name} spectra it was measured on simulated stars only."));
        }
    }
    limits
}

/// The sets of stars on which errors were looked at, real ones first.
fn sets(all: &[Calibration]) -> Vec<String> {
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

/// Shares of residuals within k errors against those of a Gaussian, a curve a label.
fn chart(all: &[Calibration], set: &str) -> Chart {
    let of_label = |(i, label): (usize, Label)| {
        let through = all.iter().find(|c| c.on == set && c.label == label)?.curve();
        let paint = Paint::Series(i);
        let dots = Mark::Points { at: through[1..].to_vec(), paint, radius_px: 2.5, is_filled: true };
        Some([Mark::Curve { through, paint }, dots])
    };
    let curves = Label::ALL.into_iter().enumerate().filter_map(of_label).flatten();
    let plot = Plot {
        x_label: "Share of stars that k errors should hold".into(),
        y_label: "Share that they hold".into(),
        x_range: (0.0, 1.0),
        y_range: (0.0, 1.0),
        is_x_log: false,
        share: 1.0,
        marks: [Mark::Diagonal].into_iter().chain(curves).collect(),
    };
    Chart { plots: vec![plot] }
}

/// Each label's share within one error, in words.
fn within(all: &[Calibration], set: &str) -> String {
    let of = |c: &Calibration| Some(format!("{} {:.0} % ({} stars)", c.label.symbol(), 100.0 * c.within_one()?, c.n));
    let shares: Vec<String> = all.iter().filter(|c| c.on == set).filter_map(of).collect();
    format!("Within one error, where 68 % is right: {}.", shares.join(", "))
}

#[component]
fn Errors(all: Vec<Calibration>) -> impl IntoView {
    let sets = sets(&all);
    let chosen = RwSignal::new(sets.first().cloned().unwrap_or_default());
    let all = StoredValue::new(all);
    let curves = Memo::new(move |_| chosen.with(|set| all.with_value(|all| chart(all, set))));
    let words = move || chosen.with(|set| all.with_value(|all| within(all, set)));
    let known =
        move |label| all.with_value(|all| chosen.with(|set| all.iter().any(|c| c.on == *set && c.label == label)));
    let key = move || {
        let shown = Label::ALL.into_iter().enumerate().filter(|(_, label)| known(*label));
        shown.map(|(i, label)| view! { <span class=format!("key series-{i}")>{label.symbol()}</span> }).collect_view()
    };
    view! {
        <h3>"Are its errors right?"</h3>
        <p>
            <label>
                "On "
                <select data-testid="card-set" on:change=move |e| chosen.set(event_target_value(&e))>
                    {sets.into_iter().map(|set| view! { <option value=set.clone()>{set.clone()}</option> }).collect_view()}
                </select>
            </label>
        </p>
        <p data-testid="card-within">{words}</p>
        <figure class="one-to-one calibration">
            <figcaption>{key}</figcaption>
            <ChartCanvas chart=curves says=words test_id="calibration"/>
        </figure>
        <p class="muted">"Below the dashed line errors are too small. These stars taught the network nothing; their catalogues’ own errors count in."</p>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_say_what_was_never_measured_and_real_sets_come_first() {
        let measure = |survey, is_simulated| Measure {
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
        let said = limits(&card).join(" ");
        assert!(said.contains("Teff 3950 to 7550 K, [Fe/H] \u{2212}2.6 to 0.6 dex."), "{said}");
        assert!(said.contains("On DESI spectra it was measured on simulated stars only."), "{said}");
        assert!(said.ends_with("Never measured on Gaia XP spectra."), "{said}");

        let of = |on, simulated| {
            let pulls = [0.1, -0.9, 1.2, 4.0];
            Calibration::of(Label::Teff, on, Survey::LamostLrs, simulated, &pulls).expect("some")
        };
        let all = [of("made up", true), of("seen", false)];
        assert_eq!(sets(&all), ["seen", "made up"]);
        assert!(within(&all, "seen").ends_with("right: Teff 50 % (4 stars)."), "{}", within(&all, "seen"));
        let drawn = chart(&all, "made up");
        let Some(Mark::Curve { through, .. }) = drawn.plots[0].marks.get(1) else { panic!("no curve") };
        assert_eq!((through.len(), through[12].1), (13, 0.75));
    }
}
