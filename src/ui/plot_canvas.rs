//! One plot on a canvas, redrawn when its data change; wheel, pointer and keys zoom and pan it.

use std::sync::Arc;

use leptos::{ev, html, prelude::*};
use plotters_canvas::CanvasBackend;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, ResizeObserver};

use super::context::Diagnostics;
use super::diagnostics::DiagnosticCurves;
use super::magnifier::Magnifier;
use super::theme::PlotTheme;
use crate::plot::{Drawable, Figure, Frame, Scale, SpectrumFigure, Theme};
use crate::result::SpectrumView;

/// Narrowest range of the zoom, Å.
const MIN_RANGE_AA: f64 = 5.0;

/// The panel of a spectrum that a canvas shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PanelKind {
    /// Flux and continuum.
    Raw,
    /// Normalised flux on the model's wavelength grid.
    Normalised,
    /// Normalised flux minus the synthetic spectrum.
    Residual,
    /// Sensitivity: ∂label/∂flux at each wavelength.
    Sensitivity,
}

impl PanelKind {
    fn name(self) -> &'static str {
        match self {
            Self::Raw => "Flux and continuum",
            Self::Normalised => "Normalised spectrum",
            Self::Residual => "Data minus synthetic spectrum",
            Self::Sensitivity => "Sensitivity",
        }
    }

    fn test_id(self) -> &'static str {
        match self {
            Self::Raw => "plot-raw",
            Self::Normalised => "plot-normalised",
            Self::Residual => "plot-residual",
            Self::Sensitivity => "plot-sensitivity",
        }
    }
}

/// The wavelength range that the user chose, Å. It stays when another row is selected, so that the user can compare a
/// line in several stars.
#[derive(Clone, Copy)]
pub(super) struct ChosenRange(pub RwSignal<Option<(f64, f64)>>);

impl ChosenRange {
    /// Provides a [`ChosenRange`] without a choice to the whole page.
    pub(super) fn provide() {
        provide_context(Self(RwSignal::new(None)));
    }
}

/// The wavelength range and the pointer position, shared by the plots of a spectrum.
#[derive(Clone, Copy)]
pub(super) struct Zoom {
    chosen: RwSignal<Option<(f64, f64)>>,
    /// First and last wavelength shown, Å.
    pub range: Memo<(f64, f64)>,
    /// Wavelength under the pointer, Å.
    pub hover: RwSignal<Option<f64>>,
    full: Memo<(f64, f64)>,
}

impl Zoom {
    /// Starts with the model's wavelength range, or with the whole spectrum if the model used none of it.
    pub(super) fn new(view: Memo<Option<Arc<SpectrumView>>>) -> Self {
        let full = Memo::new(move |_| view.with(|v| v.as_ref().map_or((0.0, 1.0), |v| SpectrumFigure::full_range(v))));
        let preferred = Memo::new(move |_| {
            let model = view.with(|v| {
                let wave = &v.as_ref()?.continuum_wave_vac_aa;
                Some((f64::from(*wave.first()?), f64::from(*wave.last()?)))
            });
            let (low, high) = full.get();
            model.map_or((low, high), |(from, to)| (from.max(low), to.min(high))).non_empty_or((low, high))
        });
        let ChosenRange(chosen) = expect_context();
        let range = Memo::new(move |_| {
            let (first, last) = full.get();
            let chosen = chosen.get().map(|(low, high)| (low.max(first), high.min(last)));
            // Ignore a choice outside this spectrum.
            chosen.filter(|(low, high)| high - low >= MIN_RANGE_AA).unwrap_or_else(|| preferred.get())
        });
        Self { chosen, range, hover: RwSignal::new(None), full }
    }

    /// Shows the model's range.
    pub(super) fn reset(&self) {
        self.chosen.set(None);
    }

    /// Shows the whole spectrum.
    pub(super) fn show_all(&self) {
        self.chosen.set(Some(self.full.get_untracked()));
    }

    /// Zooms about the middle of the range. A `factor` below 1 narrows the range.
    pub(super) fn zoom_by(&self, factor: f64) {
        let (low, high) = self.range.get_untracked();
        self.zoom_about((low + high) / 2.0, factor);
    }

    /// Zooms about a fixed wavelength. Returns false when nothing changed.
    fn zoom_about(&self, wave_aa: f64, factor: f64) -> bool {
        let (low, high) = self.range.get_untracked();
        self.set(wave_aa - (wave_aa - low) * factor, wave_aa + (high - wave_aa) * factor)
    }

    /// Moves the range by a fraction of its width.
    fn pan(&self, fraction: f64) {
        let (low, high) = self.range.get_untracked();
        let (first, last) = self.full.get_untracked();
        let step = ((high - low) * fraction).clamp((first - low).min(0.0), (last - high).max(0.0));
        self.set(low + step, high + step);
    }

    fn set(&self, low: f64, high: f64) -> bool {
        let (first, last) = self.full.get_untracked();
        let (low, high) = (low.max(first), high.min(last));
        if high - low < MIN_RANGE_AA.min(last - first) || (low, high) == self.range.get_untracked() {
            return false;
        }
        self.chosen.set(Some((low, high)));
        true
    }
}

trait NonEmptyRange {
    fn non_empty_or(self, other: Self) -> Self;
}

impl NonEmptyRange for (f64, f64) {
    /// The range, or `other` if the range is empty.
    fn non_empty_or(self, other: Self) -> Self {
        if self.1 > self.0 { self } else { other }
    }
}

/// Action of a pointer that moves while it is pressed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Drag {
    /// Marks a range from this position, CSS pixels.
    Select(f64),
    /// Moves the spectrum from this position, CSS pixels.
    Pan(f64),
}

/// Midpoint and distance of two fingers, CSS pixels.
struct Pinch {
    midpoint: f64,
    distance: f64,
}

impl Pinch {
    fn of(fingers: &[(i32, f64)]) -> Option<Self> {
        let [(_, a), (_, b)] = fingers else { return None };
        Some(Self { midpoint: 0.5 * (a + b), distance: (a - b).abs().max(10.0) })
    }
}

/// Updates the position of one finger. With two fingers, returns the pinch before and after.
fn update_pinch(fingers: &mut [(i32, f64)], id: i32, x: f64) -> Option<(Pinch, Pinch)> {
    let before = Pinch::of(fingers);
    fingers.iter_mut().find(|(finger, _)| *finger == id)?.1 = x;
    before.zip(Pinch::of(fingers))
}

/// A canvas with one panel of a spectrum.
#[component]
pub(super) fn PlotCanvas(
    panel: PanelKind,
    view: Memo<Option<Arc<SpectrumView>>>,
    curves: Memo<DiagnosticCurves>,
    zoom: Zoom,
    rv_kms: Memo<f64>,
) -> impl IntoView {
    let (canvas, size) = panel_canvas(panel, view, curves, rv_kms, Signal::derive(move || Some(zoom.range.get())));

    let frame = move || Frame::of(0, 1, size.get().0, size.get().1);
    let frame_now = move || Frame::of(0, 1, size.get_untracked().0, size.get_untracked().1);
    let wave_under = move |x_px: f64| frame_now().wave_at(x_px, zoom.range.get_untracked());
    let magnifies = expect_context::<Diagnostics>().magnifies;
    let is_over = RwSignal::new(false);
    // The magnifier appears only in the plot under the pointer.
    let magnified = Memo::new(move |_| zoom.hover.get().filter(|_| magnifies.get() && is_over.get()));
    let drag = RwSignal::new(None::<Drag>);
    let pointer_x = RwSignal::new(0.0);
    // Positions of the fingers, by pointer id.
    let fingers = StoredValue::new(Vec::<(i32, f64)>::new());
    // Removes the lifted finger. Returns true while another finger stays down; this finger then pans from its position.
    let lift = move |event: &ev::PointerEvent| {
        fingers.update_value(|all| all.retain(|(id, _)| *id != event.pointer_id()));
        let next = fingers.with_value(|all| all.first().map(|(_, x)| *x));
        drag.update(|drag| *drag = next.map(Drag::Pan).or(*drag));
        next.is_some()
    };
    let on_down = move |event: ev::PointerEvent| {
        if event.button() != 0 {
            return;
        }
        let x = f64::from(event.offset_x());
        pointer_x.set(x);
        let is_finger = event.pointer_type() == "touch";
        if is_finger {
            fingers.update_value(|all| {
                all.retain(|(id, _)| *id != event.pointer_id());
                all.push((event.pointer_id(), x));
            });
            // A tap shows the values at this wavelength.
            is_over.set(true);
            zoom.hover.set(Some(wave_under(x)));
        }
        drag.set(Some(if event.shift_key() || is_finger { Drag::Pan(x) } else { Drag::Select(x) }));
        if let Some(canvas) = canvas.get_untracked() {
            // Without capture a drag ends at the edge of the canvas.
            let _ = canvas.set_pointer_capture(event.pointer_id());
        }
    };
    let on_move = move |event: ev::PointerEvent| {
        let frame = frame_now();
        let x = f64::from(event.offset_x()).clamp(frame.left, frame.right);
        if let Some((before, now)) = fingers.try_update_value(|all| update_pinch(all, event.pointer_id(), x)).flatten()
        {
            // The wavelength between the fingers stays between them.
            zoom.zoom_about(wave_under(before.midpoint), before.distance / now.distance);
            zoom.pan((before.midpoint - now.midpoint) / (frame.right - frame.left));
            return;
        }
        pointer_x.set(x);
        is_over.set(true);
        zoom.hover.set(Some(wave_under(x)));
        if let Some(Drag::Pan(from)) = drag.get_untracked() {
            zoom.pan((from - x) / (frame.right - frame.left));
            drag.set(Some(Drag::Pan(x)));
        }
    };
    let on_up = move |event: ev::PointerEvent| {
        if lift(&event) {
            return;
        }
        if let Some(Drag::Select(from)) = drag.get_untracked() {
            let (a, b) = (wave_under(from), wave_under(pointer_x.get_untracked()));
            // Ignore a click with a small movement.
            if (from - pointer_x.get_untracked()).abs() > 4.0 {
                zoom.set(a.min(b), a.max(b));
            }
        }
        drag.set(None);
    };
    let on_wheel = move |event: ev::WheelEvent| {
        let factor = (event.delta_y().clamp(-200.0, 200.0) * 0.0022).exp();
        // The page scrolls when the plot cannot zoom further out.
        if event.delta_y() != 0.0 && zoom.zoom_about(wave_under(f64::from(event.offset_x())), factor) {
            event.prevent_default();
        }
    };
    let on_key = move |event: ev::KeyboardEvent| {
        match event.key().as_str() {
            "ArrowLeft" => zoom.pan(-0.15),
            "ArrowRight" => zoom.pan(0.15),
            "+" | "=" => zoom.zoom_by(0.6),
            "-" | "_" => zoom.zoom_by(1.0 / 0.6),
            "0" | "Escape" => zoom.reset(),
            "9" => zoom.show_all(),
            _ => return,
        }
        event.prevent_default();
    };
    let name = panel.name();
    let label = move || {
        let (low, high) = zoom.range.get();
        format!(
            "{name}, {low:.0} to {high:.0} ångström. Arrow keys pan, plus and minus zoom, 0 shows the model's range."
        )
    };
    let cursor = move || {
        let (low, high) = zoom.range.get();
        zoom.hover.get().filter(|w| (low..=high).contains(w)).map(|w| format!("{}px", frame().x_of(w, (low, high))))
    };
    let selection = move || match drag.get() {
        Some(Drag::Select(from)) => {
            let to = pointer_x.get();
            Some((format!("{}px", from.min(to)), format!("{}px", (from - to).abs())))
        }
        _ => None,
    };
    view! {
        <div
            class="plot" class:strip=matches!(panel, PanelKind::Residual | PanelKind::Sensitivity) data-testid=panel.test_id()
            tabindex="0" role="group" aria-roledescription="plot" aria-label=label on:keydown=on_key
        >
            <canvas
                node_ref=canvas aria-hidden="true"
                on:pointerdown=on_down on:pointermove=on_move on:pointerup=on_up
                on:pointercancel=move |event| {
                    if !lift(&event) {
                        drag.set(None);
                    }
                }
                on:pointerleave=move |event| {
                    // The values stay after a finger is lifted.
                    if event.pointer_type() == "touch" {
                        return;
                    }
                    is_over.set(false);
                    zoom.hover.set(None);
                }
                on:wheel=on_wheel on:dblclick=move |_| zoom.reset()
            ></canvas>
            <div class="plot-cursor" class:shown=move || cursor().is_some() style:left=move || cursor().unwrap_or_default()></div>
            <div
                class="plot-selection" class:shown=move || selection().is_some()
                style:left=move || selection().map_or(String::new(), |s| s.0)
                style:width=move || selection().map_or(String::new(), |s| s.1)
            ></div>
            <Show when=move || magnified.with(Option::is_some)>
                <Magnifier panel view curves zoom rv_kms at_aa=magnified/>
            </Show>
        </div>
    }
}

/// A canvas for one panel of a spectrum, redrawn when its data change, and its size in CSS pixels. It is not redrawn
/// while the range (Å) is `None`.
pub(super) fn panel_canvas(
    panel: PanelKind,
    view: Memo<Option<Arc<SpectrumView>>>,
    curves: Memo<DiagnosticCurves>,
    rv_kms: Memo<f64>,
    range: Signal<Option<(f64, f64)>>,
) -> (NodeRef<html::Canvas>, RwSignal<(f64, f64)>) {
    let theme = expect_context::<PlotTheme>().0;
    let canvas = NodeRef::<html::Canvas>::new();
    let size = RwSignal::new((0.0, 0.0));
    watch_size(canvas, size);
    Effect::new(move |_| {
        let (Some(canvas), Some(view), Some(wave_range_aa)) = (canvas.get(), view.get(), range.get()) else { return };
        let curves = curves.get();
        let (fit, saliency) = (curves.fit.as_deref(), curves.saliency.as_deref());
        let figure = SpectrumFigure { view: &view, rv_kms: rv_kms.get(), wave_range_aa, fit, saliency };
        let panel = match panel {
            PanelKind::Raw => figure.raw(),
            PanelKind::Normalised => figure.model(),
            PanelKind::Residual => figure.residual(),
            PanelKind::Sensitivity => figure.saliency(),
        };
        let figure = Figure { panels: vec![panel], wave_range_aa };
        theme.with(|theme| draw(&canvas, &figure, theme, size.get()));
    });
    (canvas, size)
}

/// Draws a figure over a whole canvas, at the resolution of the screen.
pub(super) fn draw(canvas: &HtmlCanvasElement, figure: &impl Drawable, theme: &Theme, (width, height): (f64, f64)) {
    if width < 1.0 || height < 1.0 {
        return;
    }
    // plotters draws at whole pixels. At least two pixels per CSS pixel keep a slanting line smooth.
    let scale = window().device_pixel_ratio().ceil().clamp(2.0, 4.0);
    let (width, height) = ((width * scale) as u32, (height * scale) as u32);
    if (canvas.width(), canvas.height()) != (width, height) {
        canvas.set_width(width);
        canvas.set_height(height);
    }
    let context = canvas.get_context("2d").ok().flatten().and_then(|c| c.dyn_into::<CanvasRenderingContext2d>().ok());
    let (Some(context), Some(mut backend)) = (context, CanvasBackend::with_canvas_object(canvas.clone())) else {
        return;
    };
    context.clear_rect(0.0, 0.0, f64::from(width), f64::from(height));
    // Bevel joins are fast and have no spikes at sharp turns.
    context.set_line_join("bevel");
    // A canvas fails only on text and circles of impossible size; the next frame draws again.
    let _ = figure.draw(&mut backend, theme, Scale { units_per_px: scale, text: 1.0 });
}

/// Keeps `size` at the canvas's size in CSS pixels.
pub(super) fn watch_size(canvas: NodeRef<html::Canvas>, size: RwSignal<(f64, f64)>) {
    let measure = move || {
        if let Some(canvas) = canvas.get_untracked() {
            let current = (f64::from(canvas.client_width()), f64::from(canvas.client_height()));
            if current != size.get_untracked() {
                size.set(current);
            }
        }
    };
    let observer = StoredValue::new_local(None::<(ResizeObserver, Closure<dyn FnMut()>)>);
    Effect::new(move |_| {
        let Some(canvas) = canvas.get() else { return };
        let callback = Closure::<dyn FnMut()>::new(measure);
        if let Ok(resize) = ResizeObserver::new(callback.as_ref().unchecked_ref()) {
            resize.observe(&canvas);
            observer.set_value(Some((resize, callback)));
        }
    });
    on_cleanup(move || {
        observer.try_update_value(|observer| {
            if let Some((resize, _)) = observer.take() {
                resize.disconnect();
            }
        });
    });
}
