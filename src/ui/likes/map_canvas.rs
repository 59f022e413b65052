//! The map's canvas: wheel, pointer and keys move what is seen; a click finds a star, a lasso many.

use leptos::{ev, html, prelude::*};
use wasm_bindgen::{Clamped, JsCast};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, ImageData};

use crate::plot::{Cloud, Paint, Window};
use crate::ui::plot_canvas::watch_size;
use crate::ui::theme::PlotTheme;

/// What one press of a key or button enlarges by.
const STEP: f64 = 1.5;

/// A cloud on a canvas. `picked` hears of a point that was clicked, `chosen` of points in the lasso; `hover` has the point
/// under the pointer. `is_lasso`: dragging draws a line instead of moving the plane.
#[component]
pub fn MapCanvas(
    cloud: Memo<Cloud>,
    #[prop(into)] says: Signal<String>,
    is_lasso: RwSignal<bool>,
    hover: RwSignal<Option<usize>>,
    picked: Callback<usize>,
    chosen: Callback<Vec<usize>>,
) -> impl IntoView {
    let theme = expect_context::<PlotTheme>().0;
    let canvas = NodeRef::<html::Canvas>::new();
    let size = RwSignal::new((0.0, 0.0));
    watch_size(canvas, size);
    let pixel_ratio = move || leptos::prelude::window().device_pixel_ratio().clamp(1.0, 3.0);
    let device_size = Memo::new(move |_| {
        let (width, height) = size.get();
        ((width * pixel_ratio()) as usize, (height * pixel_ratio()) as usize)
    });
    // What the visitor moved to; the whole cloud before.
    let moved = RwSignal::new(None::<Window>);
    let seen = Memo::new(move |_| {
        let size = device_size.get();
        moved.get().map_or_else(|| cloud.with(|cloud| Window::around(cloud, size)), |window| Window { size, ..window })
    });
    let lasso = RwSignal::new(Vec::<(f64, f64)>::new());
    Effect::new(move |_| {
        let Some(canvas) = canvas.get() else { return };
        let (width, height) = device_size.get();
        if width == 0 || height == 0 {
            return;
        }
        let dot = (1.6 * pixel_ratio()).round() as usize;
        let (unknown, ink) = theme.with(|t| (t.colour(Paint::Label).0, t.colour(Paint::Axis).0));
        let picture = cloud.with(|cloud| cloud.pixels(seen.get(), dot, unknown, ink));
        lasso.with(|line| paint(&canvas, (width, height), &picture, line));
    });
    let at = move |event: &ev::MouseEvent| {
        (f64::from(event.offset_x()) * pixel_ratio(), f64::from(event.offset_y()) * pixel_ratio())
    };
    let from = RwSignal::new(None::<(f64, f64)>);
    let has_dragged = RwSignal::new(false);
    let down = move |event: ev::PointerEvent| {
        from.set(Some(at(&event)));
        has_dragged.set(false);
        lasso.set(Vec::new());
        if let Some(canvas) = canvas.get_untracked() {
            let _ = canvas.set_pointer_capture(event.pointer_id());
        }
    };
    let drag = move |event: ev::PointerEvent| {
        let now = at(&event);
        let Some(start) = from.get_untracked() else {
            let reach = 8.0 * pixel_ratio();
            hover.set(cloud.with_untracked(|cloud| cloud.nearest(seen.get_untracked(), now, reach)));
            return;
        };
        if !has_dragged.get_untracked() && (now.0 - start.0).hypot(now.1 - start.1) < 4.0 * pixel_ratio() {
            return;
        }
        has_dragged.set(true);
        if is_lasso.get_untracked() {
            lasso.update(|line| line.push(now));
        } else {
            moved.set(Some(seen.get_untracked().moved((now.0 - start.0, now.1 - start.1))));
            from.set(Some(now));
        }
    };
    let up = move |event: ev::PointerEvent| {
        from.set(None);
        let window = seen.get_untracked();
        if lasso.with_untracked(|line| line.len() > 2) {
            chosen.run(cloud.with_untracked(|cloud| lasso.with_untracked(|line| cloud.inside(window, line))));
        } else if !has_dragged.get_untracked() {
            let reach = 8.0 * pixel_ratio();
            if let Some(point) = cloud.with_untracked(|cloud| cloud.nearest(window, at(&event), reach)) {
                picked.run(point);
            }
        }
    };
    let zoom = move |factor: f64, about: Option<(f64, f64)>| {
        let window = seen.get_untracked();
        let about = about.unwrap_or((window.size.0 as f64 / 2.0, window.size.1 as f64 / 2.0));
        moved.set(Some(window.zoomed(factor, about)));
    };
    let shift = move |right: f64, down: f64| moved.set(Some(seen.get_untracked().moved((right, down))));
    let wheel = move |event: ev::WheelEvent| {
        event.prevent_default();
        zoom((-event.delta_y() / 400.0).exp().clamp(0.3, 3.0), Some(at(&event)));
    };
    let key = move |event: ev::KeyboardEvent| {
        let by = 40.0 * pixel_ratio();
        match event.key().as_str() {
            "ArrowLeft" => shift(by, 0.0),
            "ArrowRight" => shift(-by, 0.0),
            "ArrowUp" => shift(0.0, by),
            "ArrowDown" => shift(0.0, -by),
            "+" | "=" => zoom(STEP, None),
            "-" => zoom(1.0 / STEP, None),
            "0" => moved.set(None),
            _ => return,
        }
        event.prevent_default();
        event.stop_propagation();
    };
    view! {
        <div class="chart map" data-testid="map" role="img" tabindex="0" aria-label=says on:keydown=key>
            <canvas node_ref=canvas aria-hidden="true" class:lasso=move || is_lasso.get()
                on:pointerdown=down on:pointermove=drag on:pointerup=up on:wheel=wheel></canvas>
        </div>
        <p class="actions">
            <button aria-label="Enlarge the map" on:click=move |_| zoom(STEP, None)>"+"</button>
            <button aria-label="Shrink the map" on:click=move |_| zoom(1.0 / STEP, None)>"−"</button>
            <button on:click=move |_| moved.set(None)>"Show all"</button>
            <button aria-pressed=move || is_lasso.get().to_string() data-testid="lasso"
                on:click=move |_| is_lasso.update(|l| *l = !*l)>"Lasso"</button>
        </p>
    }
}

fn paint(canvas: &HtmlCanvasElement, (width, height): (usize, usize), picture: &[u8], lasso: &[(f64, f64)]) {
    if canvas.width() as usize != width || canvas.height() as usize != height {
        canvas.set_width(width as u32);
        canvas.set_height(height as u32);
    }
    let context = canvas.get_context("2d").ok().flatten().and_then(|c| c.dyn_into::<CanvasRenderingContext2d>().ok());
    let image = ImageData::new_with_u8_clamped_array_and_sh(Clamped(picture), width as u32, height as u32);
    let (Some(context), Ok(image)) = (context, image) else { return };
    let _ = context.put_image_data(&image, 0.0, 0.0);
    if let Some((first, rest)) = lasso.split_first() {
        context.begin_path();
        context.move_to(first.0, first.1);
        rest.iter().for_each(|p| context.line_to(p.0, p.1));
        context.set_stroke_style_str("#c4580a");
        context.set_line_width(2.0);
        context.stroke();
    }
}
