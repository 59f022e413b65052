//! Search for similar spectra: options, spread of the neighbours' labels, and each neighbour overlaid on the query.

use std::sync::Arc;

use leptos::prelude::*;

use super::overlay::{flux_label, overlay};
use crate::result::Flag;
use crate::result::similarity::{LabelFilter, Neighbour, SimilarityView, StarRef, Thumbnail};
use crate::result::specclip::Modality;
use crate::ui::chart_canvas::ChartCanvas;
use crate::ui::context::{Notice, Similarity, label_text};
use crate::ui::download::save_text;
use crate::ui::flag_chip::FlagChip;

/// Search options and the result.
#[component]
pub(super) fn Neighbours() -> impl IntoView {
    let similarity = expect_context::<Similarity>();
    view! {
        <SearchOptionFields/>
        {move || similarity.search_result.get().map(|view| view! { <SearchResult view/> })}
    }
}

#[component]
fn SearchOptionFields() -> impl IntoView {
    let similarity = expect_context::<Similarity>();
    let labels = Memo::new(move |_| similarity.card.with(|c| c.as_ref().map_or(Vec::new(), |c| c.labels.clone())));
    let label = RwSignal::new(String::new());
    let difference = RwSignal::new(String::from("1"));
    let set_filter = move || {
        let (label, min_difference) = (label.get_untracked(), difference.get_untracked().trim().parse::<f64>().ok());
        let min_difference = min_difference.filter(|difference| difference.is_finite() && *difference > 0.0);
        let filter = min_difference
            .filter(|_| !label.is_empty())
            .map(|min_difference| LabelFilter::Differs { label, min_difference });
        similarity.options.update(|options| options.label_filter = filter);
        similarity.repeat_search();
    };
    view! {
        <div class="finetune-form similarity-form">
            <label class="choice">
                <input type="checkbox" data-testid="in-other" prop:checked=move || similarity.options.with(|options| options.in_other_survey)
                    on:change=move |event| {
                        similarity.options.update(|options| options.in_other_survey = event_target_checked(&event));
                        similarity.repeat_search();
                    }/>
                "Search across surveys (optical spectra for Gaia XP, and the reverse)"
            </label>
            <label>"Number of neighbours "
                <select data-testid="similarity-top" on:change=move |event| {
                    similarity.options.update(|options| options.n_results = event_target_value(&event).parse().unwrap_or(5));
                    similarity.repeat_search();
                }>
                    {[5u32, 10, 20].map(|n| view! {
                        <option value=n.to_string() selected=move || similarity.options.with(|options| options.n_results == n)>{n}</option>
                    }).collect_view()}
                </select>
            </label>
            <label>"Must differ in "
                <select data-testid="similarity-differs" on:change=move |event| { label.set(event_target_value(&event)); set_filter(); }>
                    <option value="">"nothing"</option>
                    {move || labels.get().into_iter().map(|l| view! { <option value=l.name>{l.symbol}</option> }).collect_view()}
                </select>
            </label>
            <Show when=move || !label.with(String::is_empty)>
                <label>"by at least "
                    <input type="number" step="any" min="0" size="6" prop:value=move || difference.get()
                        on:change=move |event| { difference.set(event_target_value(&event)); set_filter(); }/>
                    {move || labels.with(|all| all.iter().find(|l| label.with(|n| *n == l.name)).map(|l| format!(" {}", l.unit)))}
                </label>
            </Show>
        </div>
    }
}

#[component]
fn SearchResult(view: Arc<SimilarityView>) -> impl IntoView {
    let (similarity, notice) = (expect_context::<Similarity>(), expect_context::<Notice>());
    let query = match view.ids.as_slice() {
        [one] => one.clone(),
        many => format!("{} stars together", many.len()),
    };
    let survey = if view.options.in_other_survey != (view.modality == Modality::Xp) { "Gaia XP" } else { "optical" };
    let title = format!("{query}: the {} most similar of {} {survey} spectra", view.neighbours.len(), view.searched);
    let labels = similarity.card.with_untracked(|c| c.as_ref().map_or(Vec::new(), |c| c.labels.clone()));
    let spreads = {
        let view = view.clone();
        labels.clone().into_iter().enumerate().filter_map(move |(i, label)| {
            let spread = view.spreads.get(i)?.clone()?;
            let is_whole = label.unit == "K";
            let query_value = view.labels.get(i).copied().flatten().map_or("–".into(), |v| label_text(v, is_whole));
            let text = format!("{} ± {}", label_text(spread.median, is_whole), label_text(spread.half_width, is_whole));
            let name = if label.unit.is_empty() { label.symbol } else { format!("{} ({})", label.symbol, label.unit) };
            Some(view! { <tr><th scope="row">{name}</th><td>{query_value}</td><td>{text}</td><td>{spread.n}</td></tr> })
        })
    };
    let save = {
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
            if let Err(error) = save_text("specola-similar-spectra.csv", "text/csv", &csv) {
                notice.show(error);
            }
        }
    };
    let can_go_back = move || similarity.history.with(|history| history.len() > 1);
    // Labels of an indexed star come from its index.
    let query_head = match view.queries.first() {
        Some(StarRef::User(_)) => "This star, from its embedding",
        _ => "Query",
    };
    let query_thumbnail = view.query_thumbnail.clone();
    let is_empty = view.neighbours.is_empty();
    view! {
        <div data-testid="found">
            <h3 tabindex="-1">{title}</h3>
            <p class="actions">
                <button data-testid="similarity-back" disabled=move || !can_go_back() on:click=move |_| similarity.pop_search()>"Back"</button>
                <button data-testid="save-neighbours" disabled=is_empty on:click=save>"Save neighbours, CSV"</button>
            </p>
            {view.is_out_of_distribution.then(|| view! {
                <p data-testid="out-of-distribution">
                    <FlagChip flag=Flag::OutOfTraining has_meaning=false/>
                    " This spectrum is more anomalous than 99 % of the simulated test stars. Its similarities and labels are unreliable."
                </p>
            })}
            {is_empty.then(|| view! { <p>"No spectrum in the indices matches. Change the options, or add an index."</p> })}
            <div class="table-scroll" tabindex="0" role="region" aria-label="Labels">
                <table class="scores">
                    <thead><tr><th scope="col">"Label"</th><th scope="col">{query_head}</th><th scope="col">"Neighbours: median ± half of the 16–84 % range"</th><th scope="col">"Stars"</th></tr></thead>
                    <tbody>{spreads.collect_view()}</tbody>
                </table>
            </div>
            <ol class="neighbours">
                {view.neighbours.iter().cloned().enumerate().map(|(i, neighbour)| view! {
                    <NeighbourItem neighbour query=query_thumbnail.clone() is_first=i == 0/>
                }).collect_view()}
            </ol>
        </div>
    }
}

#[component]
fn NeighbourItem(neighbour: Neighbour, query: Option<Thumbnail>, is_first: bool) -> impl IntoView {
    let similarity = expect_context::<Similarity>();
    let labels = similarity.card.with_untracked(|c| c.as_ref().map_or(Vec::new(), |c| c.labels.clone()));
    let available = labels.iter().enumerate().filter(|(i, _)| neighbour.labels.get(*i).is_some_and(Option::is_some));
    let text: Vec<String> = available
        .map(|(i, l)| {
            format!("{} {} {}", l.symbol, similarity.value_text(&neighbour.labels, i), l.unit).trim_end().to_string()
        })
        .collect();
    let description = format!("{}, similarity {:.4}: {}", neighbour.id, neighbour.similarity, text.join(", "));
    let chart = overlay(&neighbour.thumbnail, query.as_ref(), flux_label(neighbour.modality));
    let has_both = query.is_some();
    let star = neighbour.star;
    let source = match star {
        StarRef::User(_) => "your spectrum",
        StarRef::Indexed { index: 0, .. } => "simulated",
        StarRef::Indexed { .. } => "your index",
    };
    view! {
        <li data-testid="neighbour">
            <p class="neighbour-head">
                <strong>{neighbour.id.clone()}</strong>
                <span class="muted">" " {source} " · similarity " </span>
                <span data-testid="neighbour-similarity">{format!("{:.4}", neighbour.similarity)}</span>
                <button class="quiet" aria-label=format!("Similar spectra: {}", neighbour.id)
                    on:click=move |_| similarity.push_search(vec![star])>"Similar spectra"</button>
            </p>
            <p class="muted">{text.join(" · ")}</p>
            <p class="keys-line muted">
                <span class="key series-0">"this neighbour"</span>
                {has_both.then(|| view! { <span class="key series-1">"query"</span><span class="key series-2">"neighbour − query"</span> })}
            </p>
            <ChartCanvas chart=Memo::new(move |_| chart.clone()) description test_id=if is_first { "neighbour-chart" } else { "another-neighbour-chart" }/>
        </li>
    }
}
