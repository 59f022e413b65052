//! A star above, the stars like it below: overlaid, with residuals, similarity and labels.

use std::sync::Arc;

use leptos::prelude::*;

use super::state::number;
use crate::plot::{Chart, Mark, Paint, Plot, range_of};
use crate::result::Flag;
use crate::result::catalogue::Modality;
use crate::result::likes::{LabelRule, LikesView, Neighbour, Star, Thumbnail};
use crate::ui::chart_canvas::ChartCanvas;
use crate::ui::download::save_text;
use crate::ui::parameters::FlagChip;
use crate::ui::state::State;

/// The search's settings and its answer.
#[component]
pub fn Neighbours() -> impl IntoView {
    let state = expect_context::<State>();
    let likes = state.likes;
    view! {
        <Settings/>
        {move || likes.found.get().map(|view| view! { <Found view/> })}
    }
}

fn again(state: State) {
    if let Some(queries) = state.likes.trail.with_untracked(|t| t.last().cloned()) {
        state.find_likes(queries, false);
    }
}

#[component]
fn Settings() -> impl IntoView {
    let state = expect_context::<State>();
    let likes = state.likes;
    let labels = Memo::new(move |_| likes.card.with(|c| c.as_ref().map_or(Vec::new(), |c| c.labels.clone())));
    let label = RwSignal::new(String::new());
    let apart = RwSignal::new(String::from("1"));
    let set_rule = move || {
        let (label, by) = (label.get_untracked(), apart.get_untracked().trim().parse::<f64>().ok());
        let by = by.filter(|by| by.is_finite() && *by > 0.0);
        let rule = by.filter(|_| !label.is_empty()).map(|by| LabelRule::Differs { label, by });
        likes.options.update(|options| options.rule = rule);
        again(state);
    };
    view! {
        <div class="teach-form likes-form">
            <label class="choice">
                <input type="checkbox" data-testid="in-other" prop:checked=move || likes.options.with(|o| o.in_other)
                    on:change=move |event| {
                        likes.options.update(|o| o.in_other = event_target_checked(&event));
                        again(state);
                    }/>
                "among the other survey's spectra"
            </label>
            <label>"Show "
                <select data-testid="likes-top" on:change=move |event| {
                    likes.options.update(|o| o.top = event_target_value(&event).parse().unwrap_or(5));
                    again(state);
                }>
                    {[5u32, 10, 20].map(|n| view! {
                        <option value=n.to_string() selected=move || likes.options.with(|o| o.top == n)>{n}</option>
                    }).collect_view()}
                </select>
            </label>
            <label>"with a different "
                <select data-testid="likes-differs" on:change=move |event| { label.set(event_target_value(&event)); set_rule(); }>
                    <option value="">"— any —"</option>
                    {move || labels.get().into_iter().map(|l| view! { <option value=l.name>{l.symbol}</option> }).collect_view()}
                </select>
            </label>
            <Show when=move || !label.with(String::is_empty)>
                <label>"by at least "
                    <input type="number" step="any" min="0" size="6" prop:value=move || apart.get()
                        on:change=move |event| { apart.set(event_target_value(&event)); set_rule(); }/>
                    {move || labels.with(|all| all.iter().find(|l| label.with(|n| *n == l.name)).map(|l| format!(" {}", l.unit)))}
                </label>
            </Show>
        </div>
    }
}

#[component]
fn Found(view: Arc<LikesView>) -> impl IntoView {
    let state = expect_context::<State>();
    let likes = state.likes;
    let names = match view.ids.as_slice() {
        [one] => one.clone(),
        many => format!("{} stars together", many.len()),
    };
    let survey = if view.options.in_other != (view.modality == Modality::Xp) { "Gaia XP" } else { "optical" };
    let head = format!("{names}: the {} most alike of {} {survey} spectra", view.neighbours.len(), view.searched);
    let labels = likes.card.with_untracked(|c| c.as_ref().map_or(Vec::new(), |c| c.labels.clone()));
    let spreads = {
        let view = view.clone();
        labels.clone().into_iter().enumerate().filter_map(move |(i, label)| {
            let spread = view.spreads.get(i)?.clone()?;
            let whole = label.unit == "K";
            let own = view.labels.get(i).copied().flatten().map_or("–".into(), |v| number(v, whole));
            let text = format!("{} ± {}", number(spread.median, whole), number(spread.half_width, whole));
            let name = if label.unit.is_empty() { label.symbol } else { format!("{} ({})", label.symbol, label.unit) };
            Some(view! { <tr><th scope="row">{name}</th><td>{own}</td><td>{text}</td><td>{spread.n}</td></tr> })
        })
    };
    let table = {
        let (view, labels) = (view.clone(), labels);
        move |_| {
            let mut csv = String::from("id,survey,similarity");
            labels.iter().for_each(|l| csv.push_str(&format!(",{}", l.name)));
            csv.push('\n');
            for n in &view.neighbours {
                csv.push_str(&format!("\"{}\",{},{:.6}", n.id.replace('"', "\"\""), n.modality.name(), n.similarity));
                n.labels.iter().for_each(|v| csv.push_str(&v.map_or(",".into(), |v| format!(",{v}"))));
                csv.push('\n');
            }
            if let Err(why) = save_text("specola-look-alikes.csv", "text/csv", &csv) {
                state.notice.set(Some(why));
            }
        }
    };
    let can_go_back = move || likes.trail.with(|t| t.len() > 1);
    let beside = view.beside.clone();
    let none = view.neighbours.is_empty();
    view! {
        <div data-testid="found">
            <h3 tabindex="-1">{head}</h3>
            <p class="actions">
                <button data-testid="likes-back" disabled=move || !can_go_back() on:click=move |_| state.find_before()>"Back"</button>
                <button data-testid="save-neighbours" disabled=none on:click=table>"Save them, CSV"</button>
            </p>
            {view.is_far.then(|| view! {
                <p data-testid="likes-far">
                    <FlagChip flag=Flag::OutOfTraining explained=false/>
                    " Stranger than 99 % of the simulated stars that the encoders were tried on: what they read from this spectrum means little."
                </p>
            })}
            {none.then(|| view! { <p>"Nothing else is in the index for this question. Allow other labels, or add an index."</p> })}
            <div class="table-scroll">
                <table class="scores">
                    <thead><tr><th scope="col">"Label"</th><th scope="col">"This star, by the encoders"</th><th scope="col">"Its like: median ± spread"</th><th scope="col">"Stars"</th></tr></thead>
                    <tbody>{spreads.collect_view()}</tbody>
                </table>
            </div>
            <ol class="neighbours">
                {view.neighbours.iter().cloned().enumerate().map(|(i, neighbour)| view! {
                    <One neighbour beside=beside.clone() is_first=i == 0/>
                }).collect_view()}
            </ol>
        </div>
    }
}

#[component]
fn One(neighbour: Neighbour, beside: Option<Thumbnail>, is_first: bool) -> impl IntoView {
    let state = expect_context::<State>();
    let likes = state.likes;
    let labels = likes.card.with_untracked(|c| c.as_ref().map_or(Vec::new(), |c| c.labels.clone()));
    let known = labels.iter().enumerate().filter(|(i, _)| neighbour.labels.get(*i).is_some_and(Option::is_some));
    let text: Vec<String> = known
        .map(|(i, l)| format!("{} {} {}", l.symbol, likes.value(&neighbour.labels, i), l.unit).trim_end().to_string())
        .collect();
    let says = format!("{}, similarity {:.4}: {}", neighbour.id, neighbour.similarity, text.join(", "));
    let chart = overlay(&neighbour.thumbnail, beside.as_ref(), flux_of(neighbour.modality));
    let has_both = beside.is_some();
    let star = neighbour.star;
    let whose = match star {
        Star::Dropped(_) => "yours",
        Star::Indexed { index: 0, .. } => "simulated",
        Star::Indexed { .. } => "your index",
    };
    view! {
        <li data-testid="neighbour">
            <p class="neighbour-head">
                <strong>{neighbour.id.clone()}</strong>
                <span class="muted">" " {whose} " · similarity " </span>
                <span data-testid="similarity">{format!("{:.4}", neighbour.similarity)}</span>
                <button class="quiet" aria-label=format!("Find its like: {}", neighbour.id)
                    on:click=move |_| state.find_likes(vec![star], true)>"Find its like"</button>
            </p>
            <p class="muted">{text.join(" · ")}</p>
            <p class="keys-line muted">
                <span class="key series-0">"this neighbour"</span>
                {has_both.then(|| view! { <span class="key series-1">"yours"</span><span class="key series-2">"neighbour − yours"</span> })}
            </p>
            <ChartCanvas chart=Memo::new(move |_| chart.clone()) says=says test_id=if is_first { "neighbour-chart" } else { "another-neighbour-chart" }/>
        </li>
    }
}

/// What the flux of a survey's spectra is measured in, once normalised.
pub fn flux_of(modality: Modality) -> &'static str {
    match modality {
        Modality::Lrs => "flux / continuum",
        Modality::Xp => "flux / flux at 550 nm",
    }
}

/// A spectrum over what it is compared with, and their difference. `flux` says what both are measured in.
pub fn overlay(own: &Thumbnail, other: Option<&Thumbnail>, flux: &str) -> Chart {
    let points = |t: &Thumbnail| -> Vec<(f64, f64)> {
        t.wave_vac_aa.iter().zip(&t.flux).map(|(w, f)| (f64::from(*w), f64::from(*f))).collect()
    };
    let (a, b) = (points(own), other.map(points).unwrap_or_default());
    let x_range = own.wave_vac_aa.first().zip(own.wave_vac_aa.last());
    let x_range = x_range.map_or((0.0, 1.0), |(low, high)| (f64::from(*low), f64::from(*high)));
    let difference: Vec<(f64, f64)> = a.iter().zip(&b).map(|(a, b)| (a.0, a.1 - b.1)).collect();
    let largest = difference.iter().map(|p| p.1.abs()).filter(|d| d.is_finite()).fold(0.02, f64::max) * 1.1;
    let plot = |y_label: &str, y_range, share, marks| Plot {
        x_label: "Rest wavelength in vacuum (Å)".into(),
        y_label: y_label.into(),
        x_range,
        y_range,
        is_x_log: false,
        share,
        marks,
    };
    let curve = |through, paint| Mark::Curve { through, paint };
    let both = a.iter().chain(&b).map(|p| p.1);
    let mut plots =
        vec![plot(flux, range_of(both), 0.62, vec![curve(b.clone(), Paint::Series(1)), curve(a, Paint::Series(0))])];
    if !b.is_empty() {
        plots.push(plot(
            "difference",
            (-largest, largest),
            0.38,
            vec![Mark::Level(0.0), curve(difference, Paint::Series(2))],
        ));
    }
    Chart { plots }
}
