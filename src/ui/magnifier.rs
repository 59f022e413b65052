//! The magnifier: the wavelengths around the pointer, ten times wider, in a corner of the plot.

use std::sync::Arc;

use leptos::prelude::*;

use super::diagnostics::DiagnosticCurves;
use super::plot_canvas::{PanelKind, Zoom, panel_canvas};
use crate::result::SpectrumView;

/// Magnification along the wavelength axis.
const MAGNIFICATION: f64 = 10.0;

/// Smallest range shown, Å: a line of a low-resolution spectrum with its continuum.
const MIN_RANGE_AA: f64 = 16.0;

/// The range that the magnifier shows around a wavelength, Å. It stays inside the plotted range.
fn magnified_range(wave_aa: f64, (low, high): (f64, f64)) -> (f64, f64) {
    let width = ((high - low) / MAGNIFICATION).max(MIN_RANGE_AA).min(high - low);
    let from = (wave_aa - width / 2.0).clamp(low, high - width);
    (from, from + width)
}

/// A small plot in the corner opposite the pointer. `at_aa`: the wavelength under the pointer, Å.
#[component]
pub(super) fn Magnifier(
    panel: PanelKind,
    view: Memo<Option<Arc<SpectrumView>>>,
    curves: Memo<DiagnosticCurves>,
    zoom: Zoom,
    rv_kms: Memo<f64>,
    at_aa: Memo<Option<f64>>,
) -> impl IntoView {
    let range = Signal::derive(move || Some(magnified_range(at_aa.get()?, zoom.range.get())));
    let (canvas, _) = panel_canvas(panel, view, curves, rv_kms, range);
    let is_left = move || at_aa.get().is_some_and(|at| at > (zoom.range.get().0 + zoom.range.get().1) / 2.0);
    view! {
        <div class="plot-magnifier" class:left=is_left data-testid="magnifier-plot" aria-hidden="true">
            <canvas node_ref=canvas></canvas>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::magnified_range;

    #[test]
    fn the_magnifier_stays_inside_the_plot() {
        assert_eq!(magnified_range(5000.0, (4000.0, 6000.0)), (4900.0, 5100.0));
        assert_eq!(magnified_range(4010.0, (4000.0, 6000.0)), (4000.0, 4200.0));
        assert_eq!(magnified_range(5990.0, (4000.0, 6000.0)), (5800.0, 6000.0));
        assert_eq!(magnified_range(5000.0, (4990.0, 5030.0)), (4992.0, 5008.0), "at least the smallest range");
        assert_eq!(magnified_range(5000.0, (4997.0, 5003.0)), (4997.0, 5003.0));
    }
}
