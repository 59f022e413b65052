//! The magnifier: what lies about the pointer, ten times as wide, beside it.

use std::sync::Arc;

use leptos::prelude::*;

use super::plot_canvas::{Which, Zoom, panel_canvas};
use super::reading::Curves;
use crate::result::SpectrumView;

/// How much wider than in the plot.
const TIMES: f64 = 10.0;

/// Least that is seen, Å: a line of a low-resolution spectrum with its surroundings.
const LEAST_AA: f64 = 16.0;

/// Part of a range about a wavelength that the magnifier shows, inside of the range.
fn about(wave_aa: f64, (low, high): (f64, f64)) -> (f64, f64) {
    let width = ((high - low) / TIMES).max(LEAST_AA).min(high - low);
    let from = (wave_aa - width / 2.0).clamp(low, high - width);
    (from, from + width)
}

/// A small plot in the corner away from the pointer. `at_aa`: the wavelength under the pointer.
#[component]
pub fn Lens(
    which: Which,
    view: Memo<Option<Arc<SpectrumView>>>,
    curves: Memo<Curves>,
    zoom: Zoom,
    rv_kms: Memo<f64>,
    at_aa: Memo<Option<f64>>,
) -> impl IntoView {
    let range = Signal::derive(move || Some(about(at_aa.get()?, zoom.range.get())));
    let (canvas, _) = panel_canvas(which, view, curves, rv_kms, range);
    let is_left = move || at_aa.get().is_some_and(|at| at > (zoom.range.get().0 + zoom.range.get().1) / 2.0);
    view! {
        <div class="plot-lens" class:left=is_left data-testid="lens" aria-hidden="true">
            <canvas node_ref=canvas></canvas>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::about;

    #[test]
    fn the_magnifier_stays_inside_the_plot() {
        assert_eq!(about(5000.0, (4000.0, 6000.0)), (4900.0, 5100.0));
        assert_eq!(about(4010.0, (4000.0, 6000.0)), (4000.0, 4200.0));
        assert_eq!(about(5990.0, (4000.0, 6000.0)), (5800.0, 6000.0));
        assert_eq!(about(5000.0, (4990.0, 5030.0)), (4992.0, 5008.0), "no less than a line's surroundings");
        assert_eq!(about(5000.0, (4997.0, 5003.0)), (4997.0, 5003.0));
    }
}
