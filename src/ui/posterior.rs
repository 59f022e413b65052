//! Joint density of the labels of a Gaia XP spectrum: corner plot and draws.

use std::fmt::Write;
use std::sync::Arc;

use leptos::{html, prelude::*};

use super::context::{Diagnostics, Engine, Notice};
use super::download::save_text;
use super::format;
use super::plot_canvas::{draw, watch_size};
use super::row::Row;
use super::theme::PlotTheme;
use crate::plot::{Corner, Drawable};
use crate::result::Label;
use crate::result::diagnostics::PosteriorDraws;

/// Width and height of a saved plot, mm: two journal columns.
const SAVED_MM: (f64, f64) = (180.0, 180.0);

/// The button, and the corner plot once the draws have arrived.
#[component]
pub(super) fn PosteriorPanel(row: Row) -> impl IntoView {
    let (engine, diagnostics) = (expect_context::<Engine>(), expect_context::<Diagnostics>());
    let shows = diagnostics.shows_posterior;
    // Another spectrum was selected while the panel is open.
    Effect::new(move |_| {
        let is_predicted = row.status.with(|status| status.prediction().is_some());
        if shows.get() && is_predicted {
            diagnostics.request_posterior(row.key);
        }
    });
    let contents = move || {
        shows.get().then(|| match diagnostics.posterior(row.key) {
            Some(Ok(draws)) => view! { <CornerPlot draws id=row.summary.with(|s| s.meta.id.clone())/> }.into_any(),
            Some(Err(why)) => view! { <div class="notice bad" role="alert"><p>{why}</p></div> }.into_any(),
            None => view! { <p class="waiting" role="status">{waiting(diagnostics.loading.get())}</p> }.into_any(),
        })
    };
    view! {
        <Show when=move || engine.is_current(row.key)>
            <div class="posterior" data-testid="posterior">
                <button
                    aria-expanded=move || shows.get().to_string() data-testid="show-posterior"
                    on:click=move |_| shows.update(|shows| *shows = !*shows)
                >"Joint density of the labels"</button>
                {contents}
            </div>
        </Show>
    }
}

fn waiting(loading: Option<(u64, u64)>) -> String {
    match loading {
        Some((done, total)) => {
            format!("Downloading the density: {} of {}", format::bytes(done), format::bytes(total))
        }
        None => "Drawing…".into(),
    }
}

#[component]
fn CornerPlot(draws: Arc<PosteriorDraws>, id: String) -> impl IntoView {
    let (theme, notice) = (expect_context::<PlotTheme>().0, expect_context::<Notice>());
    let corner = StoredValue::new(Corner::of(&columns(&draws)));
    let canvas = NodeRef::<html::Canvas>::new();
    let size = RwSignal::new((0.0, 0.0));
    watch_size(canvas, size);
    Effect::new(move |_| {
        let Some(canvas) = canvas.get() else { return };
        corner.with_value(|corner| theme.with(|theme| draw(&canvas, corner, theme, size.get())));
    });
    let save = move |name: String, mime: &str, text: &str| {
        if let Err(why) = save_text(&name, mime, text) {
            notice.show(why);
        }
    };
    let stem = format!("specola-posterior-{id}");
    let (svg_name, csv_name) = (format!("{stem}.svg"), format!("{stem}.csv"));
    let save_svg = move |_| {
        let svg = corner.with_value(|corner| corner.to_svg(SAVED_MM.0, SAVED_MM.1));
        save(svg_name.clone(), "image/svg+xml", &svg);
    };
    let (n, model) = (draws.draws.len(), draws.model.clone());
    let description = format!("Corner plot of {n} draws of the labels of {id}");
    let save_csv = move |_| save(csv_name.clone(), "text/csv", &csv(&draws));
    view! {
        <p class="muted">
            {format!("{n} draws from the joint density of the labels, given this spectrum; model {model}. The prior is its training set: APOGEE stars, mostly giants of the disc.")}
        </p>
        <div class="table-scroll" tabindex="0" role="region" aria-label="Corner plot">
            <div class="corner" role="img" aria-label=description data-testid="corner"><canvas node_ref=canvas aria-hidden="true"></canvas></div>
        </div>
        <p class="actions">
            <button on:click=save_csv data-testid="save-draws">"Save draws (CSV)"</button>
            <button on:click=save_svg>"Save SVG"</button>
        </p>
    }
}

/// Axis title and draws of each label.
fn columns(draws: &PosteriorDraws) -> Vec<(String, Vec<f64>)> {
    let title = |label: &Label| match label.unit() {
        "" => label.symbol().to_owned(),
        unit => format!("{} ({unit})", label.symbol()),
    };
    let column = |(j, label): (usize, &Label)| {
        (title(label), draws.draws.iter().filter_map(|draw| draw.get(j)).map(|v| f64::from(*v)).collect())
    };
    draws.labels.iter().enumerate().map(column).collect()
}

/// The draws as a table.
fn csv(draws: &PosteriorDraws) -> String {
    let names: Vec<&str> = draws.labels.iter().map(|label| label.name()).collect();
    let mut text = names.join(",") + "\n";
    for [teff, logg, feh, alpha] in &draws.draws {
        let _ = writeln!(text, "{teff:.1},{logg:.4},{feh:.4},{alpha:.4}");
    }
    text
}
