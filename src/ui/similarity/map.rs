//! The map: all embeddings in the plane of their first two principal components, coloured by a label.

use std::sync::Arc;

use leptos::prelude::*;

use super::map_canvas::MapCanvas;
use crate::plot::{ScatterRaster, Theme};
use crate::result::similarity::{LabelInfo, MapPoints, StarRef};
use crate::result::specclip::Modality;
use crate::stats::median;
use crate::ui::context::{Engine, Rows, Similarity, label_text};
use crate::ui::theme::PlotTheme;

/// Maximum number of stars in one search; more query stars do not change the result.
const MAX_QUERIES: usize = 50;

/// The map, its legend, and the selected stars.
#[component]
pub(super) fn Map() -> impl IntoView {
    let similarity = expect_context::<Similarity>();
    move || similarity.map.get().map(|points| view! { <MapOfPoints points/> })
}

#[component]
fn MapOfPoints(points: Arc<MapPoints>) -> impl IntoView {
    let (engine, table_rows) = (expect_context::<Engine>(), expect_context::<Rows>());
    let (similarity, theme) = (expect_context::<Similarity>(), expect_context::<PlotTheme>().0);
    let labels = similarity.card.with_untracked(|c| c.as_ref().map_or(Vec::new(), |c| c.labels.clone()));
    let colour_by = RwSignal::new(0usize);
    let survey = RwSignal::new(Modality::Lrs);
    let stored = StoredValue::new(points.clone());
    // One survey at a time: the points of both surveys overlap.
    let rows = Memo::new(move |_| {
        stored.with_value(|p| (0..p.stars.len()).filter(|&i| p.modalities[i] == survey.get()).collect::<Vec<_>>())
    });
    let selected_star = Memo::new(move |_| {
        table_rows.selected.get().filter(|key| engine.is_current(*key)).map(|key| StarRef::User(key.id))
    });
    let raster = Memo::new(move |_| {
        let column = colour_by.get();
        stored.with_value(|p| {
            rows.with(|rows| ScatterRaster {
                x: rows.iter().map(|&i| p.x[i]).collect(),
                y: rows.iter().map(|&i| p.y[i]).collect(),
                value: rows.iter().map(|&i| p.labels.get(column).map_or(f32::NAN, |c| c[i])).collect(),
                is_user: rows.iter().map(|&i| matches!(p.stars[i], StarRef::User(_))).collect(),
                selected: selected_star.get().and_then(|star| rows.iter().position(|&i| p.stars[i] == star)),
            })
        })
    });
    let is_lasso = RwSignal::new(false);
    let hover = RwSignal::new(None::<usize>);
    let selected_points = RwSignal::new(Vec::<usize>::new());
    let star =
        move |point: usize| rows.with_untracked(|rows| stored.with_value(|p| rows.get(point).map(|&i| p.stars[i])));
    let on_pick = Callback::new(move |point| {
        if let Some(star) = star(point) {
            similarity.search(vec![star]);
        }
    });
    let search_selected = move |_| {
        let queries: Vec<StarRef> =
            selected_points.with_untracked(|points| points.iter().take(MAX_QUERIES).filter_map(|p| star(*p)).collect());
        if !queries.is_empty() {
            similarity.search(queries);
        }
    };
    let n_user = points.stars.iter().filter(|s| matches!(s, StarRef::User(_))).count();
    let percent = points.variance.map(|v| 100.0 * v);
    let description = format!(
        "Map of {} stars, {n_user} of them yours, in the plane of the first two principal components of their embeddings. Arrow keys move it, plus and minus zoom, 0 shows all.",
        points.stars.len()
    );
    let colour_bar = move || {
        let stop = |theme: &Theme, i: u8| {
            let (r, g, b) = theme.point_colour(f64::from(i) / 8.0);
            format!("rgb({r} {g} {b})")
        };
        let stops: Vec<String> = theme.with(|theme| (0..=8).map(|i| stop(theme, i)).collect());
        format!("linear-gradient(90deg, {})", stops.join(", "))
    };
    let (infos, names) = (labels.clone(), labels.clone());
    let readout = move || {
        hover.get().and_then(|point| {
            rows.with(|rows| {
                stored.with_value(|p| {
                    let i = *rows.get(point)?;
                    let finite = labels.iter().zip(&p.labels).filter(|(_, column)| column[i].is_finite());
                    let values: Vec<String> = finite
                        .map(|(l, column)| format!("{} {}", l.symbol, label_text(f64::from(column[i]), l.unit == "K")))
                        .collect();
                    Some(format!("{}: {}", p.ids[i], values.join(", ")))
                })
            })
        })
    };
    let summary = move || {
        let selected = selected_points.get();
        (!selected.is_empty()).then(|| {
            let medians: Vec<String> =
                names.iter().enumerate().filter_map(|(j, l)| median_of(stored, &rows.get(), &selected, j, l)).collect();
            format!("{} stars chosen; medians: {}", selected.len(), medians.join(", "))
        })
    };
    view! {
        <div data-testid="map-panel">
            <h3>"Map"</h3>
            <p class="muted">{format!(
                "Principal components of the reference stars' embeddings. Horizontal axis: the first component ({:.0} % of the variance). Vertical axis: the second ({:.0} %). Outlined squares are your spectra; a thick outline marks the selected spectrum. Click a star to find similar spectra.",
                percent[0], percent[1]
            )}</p>
            <div class="finetune-form similarity-form">
                <label>"Survey "
                    <select data-testid="map-survey" on:change=move |event| {
                        selected_points.set(Vec::new());
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
                    let (low, high) = raster.with(ScatterRaster::range)?;
                    let text = |v: f64| label_text(v, label.unit == "K");
                    Some(view! {
                        <span class="ramp">
                            {label.symbol.clone()} " " {text(low)}
                            <span class="ramp-bar" aria-hidden="true" style:background=colour_bar></span>
                            <span class="visually-hidden">" – "</span>
                            {text(high)} " " {label.unit.clone()}
                        </span>
                    })
                }}
            </div>
            <MapCanvas raster description is_lasso hover on_pick on_lasso=Callback::new(move |points| selected_points.set(points))/>
            <p class="muted under" aria-hidden="true">{move || readout().unwrap_or_else(|| "\u{a0}".into())}</p>
            {move || summary().map(|text| view! {
                <p role="status" data-testid="map-chosen">{text}</p>
                <p class="actions">
                    <button data-testid="find-chosen" on:click=search_selected>"Find spectra similar to the chosen stars"</button>
                    <button on:click=move |_| selected_points.set(Vec::new())>"Clear the selection"</button>
                </p>
            })}
        </div>
    }
}

fn median_of(
    points: StoredValue<Arc<MapPoints>>,
    rows: &[usize],
    selected: &[usize],
    column: usize,
    label: &LabelInfo,
) -> Option<String> {
    points.with_value(|p| {
        let values = p.labels.get(column)?;
        let all = selected.iter().filter_map(|point| rows.get(*point)).map(|&i| f64::from(values[i]));
        let value = median(&mut all.filter(|v| v.is_finite()).collect())?;
        Some(format!("{} {} {}", label.symbol, label_text(value, label.unit == "K"), label.unit).trim_end().to_string())
    })
}
