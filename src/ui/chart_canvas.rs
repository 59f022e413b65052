//! Canvas that draws a chart, reports which point was clicked, and saves the chart as SVG.

use leptos::{ev, html, prelude::*};

use super::context::Notice;
use super::download::save_text;
use super::plot_canvas::{draw, watch_size};
use super::theme::PlotTheme;
use crate::plot::{Chart, Drawable};

/// Width and height of a saved chart, mm: one journal column.
const SAVED_MM: (f64, f64) = (88.0, 88.0);

/// A chart. `description` is the text for screen readers; `pick` receives the index of the clicked point.
#[component]
pub(super) fn ChartCanvas(
    chart: Memo<Chart>,
    #[prop(into)] description: Signal<String>,
    test_id: &'static str,
    #[prop(optional)] pick: Option<Callback<usize>>,
) -> impl IntoView {
    let theme = expect_context::<PlotTheme>().0;
    let notice = expect_context::<Notice>();
    let canvas = NodeRef::<html::Canvas>::new();
    let size = RwSignal::new((0.0, 0.0));
    watch_size(canvas, size);
    Effect::new(move |_| {
        let Some(canvas) = canvas.get() else { return };
        chart.with(|chart| theme.with(|theme| draw(&canvas, chart, theme, size.get())));
    });
    let point_at = move |event: &ev::MouseEvent| {
        let at = (f64::from(event.offset_x()), f64::from(event.offset_y()));
        chart.with_untracked(|chart| chart.nearest(at, size.get_untracked()))
    };
    let is_over = RwSignal::new(false);
    let save = move |_| {
        let svg = chart.with_untracked(|chart| chart.to_svg(SAVED_MM.0, SAVED_MM.1));
        if let Err(why) = save_text(&format!("specola-{test_id}.svg"), "image/svg+xml", &svg) {
            notice.show(why);
        }
    };
    view! {
        <div class="chart" data-testid=test_id role="img" aria-label=description>
            <canvas
                node_ref=canvas aria-hidden="true" class:pickable=move || is_over.get()
                on:click=move |event| {
                    if let (Some(pick), Some(point)) = (pick, point_at(&event)) {
                        pick.run(point);
                    }
                }
                on:mousemove=move |event| is_over.set(pick.is_some() && point_at(&event).is_some())
            ></canvas>
        </div>
        <p class="chart-save"><button class="quiet" on:click=save>"Save SVG"</button></p>
    }
}
