//! A chart on a canvas: drawn when it changes, its points to be picked, saved as SVG.

use leptos::{ev, html, prelude::*};

use super::download::save_text;
use super::plot_canvas::{draw, watch_size};
use super::state::State;
use super::theme::PlotTheme;
use crate::plot::{Chart, Drawing};

/// Width and height of a saved chart, mm: a column of a journal.
const SAVED_MM: (f64, f64) = (88.0, 88.0);

/// A chart. `says` is its content in words, for those who do not see it; `pick` hears which point was chosen.
#[component]
pub fn ChartCanvas(
    chart: Memo<Chart>,
    #[prop(into)] says: Signal<String>,
    test_id: &'static str,
    #[prop(optional)] pick: Option<Callback<usize>>,
) -> impl IntoView {
    let theme = expect_context::<PlotTheme>().0;
    let state = expect_context::<State>();
    let canvas = NodeRef::<html::Canvas>::new();
    let size = RwSignal::new((0.0, 0.0));
    watch_size(canvas, size);
    Effect::new(move |_| {
        let Some(canvas) = canvas.get() else { return };
        chart.with(|chart| theme.with(|theme| draw(&canvas, chart, theme, size.get())));
    });
    let under = move |event: &ev::MouseEvent| {
        let at = (f64::from(event.offset_x()), f64::from(event.offset_y()));
        chart.with_untracked(|chart| chart.nearest(at, size.get_untracked()))
    };
    let is_over = RwSignal::new(false);
    let save = move |_| {
        let svg = chart.with_untracked(|chart| chart.to_svg(SAVED_MM.0, SAVED_MM.1));
        if let Err(why) = save_text(&format!("specola-{test_id}.svg"), "image/svg+xml", &svg) {
            state.notice.set(Some(why));
        }
    };
    view! {
        <div class="chart" data-testid=test_id role="img" aria-label=says>
            <canvas
                node_ref=canvas aria-hidden="true" class:pickable=move || is_over.get()
                on:click=move |event| {
                    if let (Some(pick), Some(point)) = (pick, under(&event)) {
                        pick.run(point);
                    }
                }
                on:mousemove=move |event| is_over.set(pick.is_some() && under(&event).is_some())
            ></canvas>
        </div>
        <p class="chart-save"><button class="quiet" on:click=save>"Save SVG"</button></p>
    }
}
