//! One plot on a canvas: drawn when what it shows changes, zoomed and moved by wheel, pointer and keys.

use std::sync::Arc;

use leptos::{ev, html, prelude::*};
use plotters_canvas::CanvasBackend;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, ResizeObserver};

use super::lens::Lens;
use super::reading::Curves;
use super::state::State;
use super::theme::PlotTheme;
use crate::plot::{Drawing, Figure, Frame, Scale, SpectrumFigure, Theme};
use crate::result::SpectrumView;

/// Narrowest range that can be zoomed to, Å.
const NARROWEST_AA: f64 = 5.0;

/// Which of a spectrum's panels a canvas shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Flux and continuum.
    Raw,
    /// Normalised flux on the model's grid.
    Model,
    /// What a model spectrum leaves of that.
    Residual,
    /// What an answer rests on.
    Slopes,
}

impl Which {
    fn name(self) -> &'static str {
        match self {
            Which::Raw => "Flux and continuum",
            Which::Model => "What the model sees",
            Which::Residual => "Data minus model spectrum",
            Which::Slopes => "What the answer rests on",
        }
    }

    fn test_id(self) -> &'static str {
        match self {
            Which::Raw => "plot-raw",
            Which::Model => "plot-model",
            Which::Residual => "plot-residual",
            Which::Slopes => "plot-slopes",
        }
    }
}

/// The range that the visitor chose, Å. It outlives the selection, so that one line can be followed from star to star.
#[derive(Clone, Copy)]
pub struct ChosenRange(pub RwSignal<Option<(f64, f64)>>);

impl ChosenRange {
    /// Provides it to the whole page, nothing chosen.
    pub fn provide() {
        provide_context(Self(RwSignal::new(None)));
    }
}

/// The range of wavelengths and the pointer, shared by the plots of a spectrum.
#[derive(Clone, Copy)]
pub struct Zoom {
    chosen: RwSignal<Option<(f64, f64)>>,
    /// First and last wavelength shown, Å.
    pub range: Memo<(f64, f64)>,
    /// Wavelength under the pointer, Å.
    pub hover: RwSignal<Option<f64>>,
    full: Memo<(f64, f64)>,
}

impl Zoom {
    /// Shows what the model used of a spectrum, or all of it if it used none.
    pub fn new(view: Memo<Option<Arc<SpectrumView>>>) -> Self {
        let full = Memo::new(move |_| view.with(|v| v.as_ref().map_or((0.0, 1.0), |v| SpectrumFigure::full_range(v))));
        let preferred = Memo::new(move |_| {
            let model = view.with(|v| {
                let wave = &v.as_ref()?.continuum_wave_vac_aa;
                Some((f64::from(*wave.first()?), f64::from(*wave.last()?)))
            });
            let (low, high) = full.get();
            model.map_or((low, high), |(from, to)| (from.max(low), to.min(high))).ordered_or((low, high))
        });
        let ChosenRange(chosen) = expect_context();
        let range = Memo::new(move |_| {
            let (first, last) = full.get();
            let chosen = chosen.get().map(|(low, high)| (low.max(first), high.min(last)));
            // A choice that this spectrum does not reach is none.
            chosen.filter(|(low, high)| high - low >= NARROWEST_AA).unwrap_or_else(|| preferred.get())
        });
        Self { chosen, range, hover: RwSignal::new(None), full }
    }

    /// Back to the model's range.
    pub fn reset(&self) {
        self.chosen.set(None);
    }

    /// The whole spectrum.
    pub fn show_all(&self) {
        self.chosen.set(Some(self.full.get_untracked()));
    }

    /// Zooms about the middle: `factor` below 1 shows less.
    pub fn by(&self, factor: f64) {
        let (low, high) = self.range.get_untracked();
        self.about((low + high) / 2.0, factor);
    }

    /// Zooms about a wavelength that stays where it is. False when nothing changed.
    fn about(&self, wave_aa: f64, factor: f64) -> bool {
        let (low, high) = self.range.get_untracked();
        self.set(wave_aa - (wave_aa - low) * factor, wave_aa + (high - wave_aa) * factor)
    }

    /// Moves by a fraction of what is shown.
    fn pan(&self, fraction: f64) {
        let (low, high) = self.range.get_untracked();
        let (first, last) = self.full.get_untracked();
        let by = ((high - low) * fraction).clamp((first - low).min(0.0), (last - high).max(0.0));
        self.set(low + by, high + by);
    }

    fn set(&self, low: f64, high: f64) -> bool {
        let (first, last) = self.full.get_untracked();
        let (low, high) = (low.max(first), high.min(last));
        if high - low < NARROWEST_AA.min(last - first) || (low, high) == self.range.get_untracked() {
            return false;
        }
        self.chosen.set(Some((low, high)));
        true
    }
}

trait Ordered {
    fn ordered_or(self, other: Self) -> Self;
}

impl Ordered for (f64, f64) {
    /// The range, if it has an extent.
    fn ordered_or(self, other: Self) -> Self {
        if self.1 > self.0 { self } else { other }
    }
}

/// What a pressed pointer does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Drag {
    /// Marks a range, from this position on.
    Select(f64),
    /// Moves the spectrum, from this position on.
    Pan(f64),
}

/// Two fingers, in pixels.
struct Pinch {
    middle: f64,
    apart: f64,
}

impl Pinch {
    fn of(fingers: &[(i32, f64)]) -> Option<Self> {
        let [(_, a), (_, b)] = fingers else { return None };
        Some(Self { middle: 0.5 * (a + b), apart: (a - b).abs().max(10.0) })
    }
}

/// Takes in where a finger has moved to. With two of them, how they were and how they are.
fn pinched(fingers: &mut [(i32, f64)], id: i32, x: f64) -> Option<(Pinch, Pinch)> {
    let before = Pinch::of(fingers);
    fingers.iter_mut().find(|(finger, _)| *finger == id)?.1 = x;
    before.zip(Pinch::of(fingers))
}

/// A canvas with one panel.
#[component]
pub fn PlotCanvas(
    which: Which,
    view: Memo<Option<Arc<SpectrumView>>>,
    curves: Memo<Curves>,
    zoom: Zoom,
    rv_kms: Memo<f64>,
) -> impl IntoView {
    let (canvas, size) = panel_canvas(which, view, curves, rv_kms, Signal::derive(move || Some(zoom.range.get())));

    let frame = move || Frame::of(0, 1, size.get().0, size.get().1);
    let frame_now = move || Frame::of(0, 1, size.get_untracked().0, size.get_untracked().1);
    let wave_under = move |x_px: f64| frame_now().wave_at(x_px, zoom.range.get_untracked());
    let magnifies = expect_context::<State>().reading.magnifies();
    let is_over = RwSignal::new(false);
    // Only beside the pointer, not in every plot of the spectrum.
    let magnified = Memo::new(move |_| zoom.hover.get().filter(|_| magnifies.get() && is_over.get()));
    let drag = RwSignal::new(None::<Drag>);
    let pointer_x = RwSignal::new(0.0);
    // Where fingers are, by their pointers' numbers.
    let fingers = StoredValue::new(Vec::<(i32, f64)>::new());
    // True while another finger stays, which moves the spectrum from where it is.
    let lift = move |event: &ev::PointerEvent| {
        fingers.update_value(|all| all.retain(|(id, _)| *id != event.pointer_id()));
        let left = fingers.with_value(|all| all.first().map(|(_, x)| *x));
        drag.update(|drag| *drag = left.map(Drag::Pan).or(*drag));
        left.is_some()
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
            // A tap reads.
            is_over.set(true);
            zoom.hover.set(Some(wave_under(x)));
        }
        drag.set(Some(if event.shift_key() || is_finger { Drag::Pan(x) } else { Drag::Select(x) }));
        if let Some(canvas) = canvas.get_untracked() {
            // Without capture a drag just ends at the canvas's edge.
            let _ = canvas.set_pointer_capture(event.pointer_id());
        }
    };
    let on_move = move |event: ev::PointerEvent| {
        let frame = frame_now();
        let x = f64::from(event.offset_x()).clamp(frame.left, frame.right);
        if let Some((before, now)) = fingers.try_update_value(|all| pinched(all, event.pointer_id(), x)).flatten() {
            // What lies between two fingers stays between them.
            zoom.about(wave_under(before.middle), before.apart / now.apart);
            zoom.pan((before.middle - now.middle) / (frame.right - frame.left));
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
            // A click that trembles is no range.
            if (from - pointer_x.get_untracked()).abs() > 4.0 {
                zoom.set(a.min(b), a.max(b));
            }
        }
        drag.set(None);
    };
    let on_wheel = move |event: ev::WheelEvent| {
        let factor = (event.delta_y().clamp(-200.0, 200.0) * 0.0022).exp();
        // Where it cannot zoom further out the page scrolls.
        if event.delta_y() != 0.0 && zoom.about(wave_under(f64::from(event.offset_x())), factor) {
            event.prevent_default();
        }
    };
    let on_key = move |event: ev::KeyboardEvent| {
        match event.key().as_str() {
            "ArrowLeft" => zoom.pan(-0.15),
            "ArrowRight" => zoom.pan(0.15),
            "+" | "=" => zoom.by(0.6),
            "-" | "_" => zoom.by(1.0 / 0.6),
            "0" | "Escape" => zoom.reset(),
            "9" => zoom.show_all(),
            _ => return,
        }
        event.prevent_default();
    };
    let name = which.name();
    let label = move || {
        let (low, high) = zoom.range.get();
        format!(
            "{name}, {low:.0} to {high:.0} ångström. Arrow keys move, plus and minus zoom, 0 shows the model's range."
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
            class="plot" class:strip=matches!(which, Which::Residual | Which::Slopes) data-testid=which.test_id()
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
                    // What a finger has read stays when it is lifted.
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
                <Lens which view curves zoom rv_kms at_aa=magnified/>
            </Show>
        </div>
    }
}

/// A canvas for one panel of a spectrum, drawn when what it shows changes, and its size in CSS pixels. Without a range, Å, it stays
/// as it is.
pub(super) fn panel_canvas(
    which: Which,
    view: Memo<Option<Arc<SpectrumView>>>,
    curves: Memo<Curves>,
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
        let (fit, slopes) = (curves.fit.as_deref(), curves.slopes.as_deref());
        let figure = SpectrumFigure { view: &view, rv_kms: rv_kms.get(), wave_range_aa, fit, slopes };
        let panel = match which {
            Which::Raw => figure.raw(),
            Which::Model => figure.model(),
            Which::Residual => figure.residual(),
            Which::Slopes => figure.slopes(),
        };
        let figure = Figure { panels: vec![panel], wave_range_aa };
        theme.with(|theme| draw(&canvas, &figure, theme, size.get()));
    });
    (canvas, size)
}

/// Draws a figure over a whole canvas, sharp on any screen.
pub(super) fn draw(canvas: &HtmlCanvasElement, figure: &impl Drawing, theme: &Theme, (width, height): (f64, f64)) {
    if width < 1.0 || height < 1.0 {
        return;
    }
    // plotters draws at whole pixels: at least two of them to a CSS pixel keep a slanting line smooth.
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
    // No spikes at sharp turns, and quick.
    context.set_line_join("bevel");
    // A canvas refuses only text and circles of impossible size; the next frame draws again.
    let _ = figure.draw(&mut backend, theme, Scale { units_per_px: scale, text: 1.0 });
}

/// Keeps `size` at the canvas's size in CSS pixels.
pub(super) fn watch_size(canvas: NodeRef<html::Canvas>, size: RwSignal<(f64, f64)>) {
    let measure = move || {
        if let Some(canvas) = canvas.get_untracked() {
            let now = (f64::from(canvas.client_width()), f64::from(canvas.client_height()));
            if now != size.get_untracked() {
                size.set(now);
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
        observer.try_update_value(|held| {
            if let Some((resize, _)) = held.take() {
                resize.disconnect();
            }
        });
    });
}
