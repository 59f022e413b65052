//! The map: all embeddings in a plane, coloured by what is known of the stars.

use std::sync::Arc;

use leptos::prelude::*;

use super::map_canvas::MapCanvas;
use super::state::number;
use crate::plot::Cloud;
use crate::preprocess::stats::median;
use crate::result::catalogue::Modality;
use crate::result::likes::{LabelInfo, MapPoints, Star};
use crate::ui::state::State;

/// Stars of an example set: more add nothing.
const EXAMPLES: usize = 50;

/// The plane, its legend, and what was chosen in it.
#[component]
pub fn Map() -> impl IntoView {
    let state = expect_context::<State>();
    move || state.likes.map.get().map(|points| view! { <Drawn points/> })
}

#[component]
fn Drawn(points: Arc<MapPoints>) -> impl IntoView {
    let state = expect_context::<State>();
    let labels = state.likes.card.with_untracked(|c| c.as_ref().map_or(Vec::new(), |c| c.labels.clone()));
    let colour_by = RwSignal::new(0usize);
    let survey = RwSignal::new(Modality::Lrs);
    let here = StoredValue::new(points.clone());
    // One survey at a time: their clouds lie over each other.
    let rows = Memo::new(move |_| {
        here.with_value(|p| (0..p.stars.len()).filter(|&i| p.modalities[i] == survey.get()).collect::<Vec<_>>())
    });
    let selected =
        Memo::new(move |_| state.selected.get().filter(|key| state.is_current(*key)).map(|key| Star::Dropped(key.id)));
    let cloud = Memo::new(move |_| {
        let column = colour_by.get();
        here.with_value(|p| {
            rows.with(|rows| Cloud {
                x: rows.iter().map(|&i| p.x[i]).collect(),
                y: rows.iter().map(|&i| p.y[i]).collect(),
                value: rows.iter().map(|&i| p.labels.get(column).map_or(f32::NAN, |c| c[i])).collect(),
                is_own: rows.iter().map(|&i| matches!(p.stars[i], Star::Dropped(_))).collect(),
                chosen: selected.get().and_then(|star| rows.iter().position(|&i| p.stars[i] == star)),
            })
        })
    });
    let is_lasso = RwSignal::new(false);
    let hover = RwSignal::new(None::<usize>);
    let chosen = RwSignal::new(Vec::<usize>::new());
    let star =
        move |point: usize| rows.with_untracked(|rows| here.with_value(|p| rows.get(point).map(|&i| p.stars[i])));
    let picked = Callback::new(move |point| {
        if let Some(star) = star(point) {
            state.likes.trail.set(Vec::new());
            state.find_likes(vec![star], true);
        }
    });
    let find = move |_| {
        let queries: Vec<Star> = chosen.with_untracked(|c| c.iter().take(EXAMPLES).filter_map(|p| star(*p)).collect());
        if !queries.is_empty() {
            state.likes.trail.set(Vec::new());
            state.find_likes(queries, true);
        }
    };
    let own = points.stars.iter().filter(|s| matches!(s, Star::Dropped(_))).count();
    let percent = points.variance.map(|v| 100.0 * v);
    let says = format!(
        "Map of {} stars, {own} of them yours, in the plane of the first two principal components of their embeddings. Arrows move it, plus and minus zoom, 0 shows all.",
        points.stars.len()
    );
    let (infos, names) = (labels.clone(), labels.clone());
    let under = move || {
        hover.get().and_then(|point| {
            rows.with(|rows| {
                here.with_value(|p| {
                    let i = *rows.get(point)?;
                    let known = labels.iter().zip(&p.labels).filter(|(_, column)| column[i].is_finite());
                    let values: Vec<String> = known
                        .map(|(l, column)| format!("{} {}", l.symbol, number(f64::from(column[i]), l.unit == "K")))
                        .collect();
                    Some(format!("{}: {}", p.ids[i], values.join(", ")))
                })
            })
        })
    };
    let summary = move || {
        let chosen = chosen.get();
        (!chosen.is_empty()).then(|| {
            let medians: Vec<String> =
                names.iter().enumerate().filter_map(|(j, l)| median_of(here, &rows.get(), &chosen, j, l)).collect();
            format!("{} stars chosen; medians: {}", chosen.len(), medians.join(", "))
        })
    };
    view! {
        <div data-testid="map-panel">
            <h3>"Map"</h3>
            <p class="muted">{format!(
                "The first two principal components of the reference stars' embeddings: the first to the right ({:.0} % of their variance), the second upwards ({:.0} %). Squares with a rim are yours, that with a broad rim is the selected one. Click a star to find its like.",
                percent[0], percent[1]
            )}</p>
            <div class="teach-form likes-form">
                <label>"Survey "
                    <select data-testid="map-survey" on:change=move |event| {
                        chosen.set(Vec::new());
                        survey.set(if event_target_value(&event) == "xp" { Modality::Xp } else { Modality::Lrs });
                    }>
                        <option value="lrs">"optical"</option>
                        <option value="xp">"Gaia XP"</option>
                    </select>
                </label>
                <label>"Colour "
                    <select data-testid="map-colour" on:change=move |event| colour_by.set(event_target_value(&event).parse().unwrap_or(0))>
                        {infos.iter().enumerate().map(|(i, l)| view! { <option value=i.to_string()>{l.symbol.clone()}</option> }).collect_view()}
                    </select>
                </label>
                {move || {
                    let label = infos.get(colour_by.get())?.clone();
                    let (low, high) = cloud.with(Cloud::range)?;
                    let text = |v: f64| number(v, label.unit == "K");
                    Some(view! { <span class="ramp">{text(low)} <span class="ramp-bar" aria-hidden="true"></span> {text(high)} " " {label.unit.clone()}</span> })
                }}
            </div>
            <MapCanvas cloud says is_lasso hover picked chosen=Callback::new(move |points| chosen.set(points))/>
            <p class="muted under" aria-hidden="true">{move || under().unwrap_or_else(|| "\u{a0}".into())}</p>
            {move || summary().map(|text| view! {
                <p role="status" data-testid="map-chosen">{text}</p>
                <p class="actions">
                    <button data-testid="find-chosen" on:click=find>"Find the like of these"</button>
                    <button on:click=move |_| chosen.set(Vec::new())>"Forget the choice"</button>
                </p>
            })}
        </div>
    }
}

fn median_of(
    points: StoredValue<Arc<MapPoints>>,
    rows: &[usize],
    chosen: &[usize],
    column: usize,
    label: &LabelInfo,
) -> Option<String> {
    points.with_value(|p| {
        let values = p.labels.get(column)?;
        let known = chosen.iter().filter_map(|point| rows.get(*point)).map(|&i| f64::from(values[i]));
        let middle = median(&mut known.filter(|v| v.is_finite()).collect())?;
        Some(format!("{} {} {}", label.symbol, number(middle, label.unit == "K"), label.unit).trim_end().to_string())
    })
}
