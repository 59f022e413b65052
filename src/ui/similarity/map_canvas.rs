//! Canvas of the map: wheel, pointer and keys move and zoom it; a click picks a star, a lasso chooses many.

use leptos::{ev, html, prelude::*};
use wasm_bindgen::{Clamped, JsCast};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, ImageData};

use crate::plot::{ScatterRaster, Window};
use crate::ui::plot_canvas::watch_size;
use crate::ui::theme::PlotTheme;

/// Zoom factor of one press of a key or button.
const ZOOM_STEP: f64 = 1.5;

/// The points on a canvas. `on_pick` receives a clicked point, `on_lasso` the points in the lasso. `hover` is the point
/// under the pointer. While `is_lasso` is true, dragging draws the lasso instead of moving the map.
#[component]
pub(super) fn MapCanvas(
    raster: Memo<ScatterRaster>,
    #[prop(into)] description: Signal<String>,
    is_lasso: RwSignal<bool>,
    hover: RwSignal<Option<usize>>,
    on_pick: Callback<usize>,
    on_lasso: Callback<Vec<usize>>,
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
    // The window that the user chose; `None` for all points.
    let user_window = RwSignal::new(None::<Window>);
    let window = Memo::new(move |_| {
        let size = device_size.get();
        user_window
            .get()
            .map_or_else(|| raster.with(|raster| Window::around(raster, size)), |window| Window { size, ..window })
    });
    let lasso = RwSignal::new(Vec::<(f64, f64)>::new());
    Effect::new(move |_| {
        let Some(canvas) = canvas.get() else { return };
        let (width, height) = device_size.get();
        if width == 0 || height == 0 {
            return;
        }
        let dot_px = (1.6 * pixel_ratio()).round() as usize;
        let pixels = raster.with(|raster| theme.with(|theme| raster.pixels(window.get(), dot_px, theme)));
        lasso.with(|line| paint(&canvas, (width, height), &pixels, line));
    });
    let position = move |event: &ev::MouseEvent| {
        (f64::from(event.offset_x()) * pixel_ratio(), f64::from(event.offset_y()) * pixel_ratio())
    };
    let drag_start = RwSignal::new(None::<(f64, f64)>);
    let has_dragged = RwSignal::new(false);
    let down = move |event: ev::PointerEvent| {
        drag_start.set(Some(position(&event)));
        has_dragged.set(false);
        lasso.set(Vec::new());
        if let Some(canvas) = canvas.get_untracked() {
            let _ = canvas.set_pointer_capture(event.pointer_id());
        }
    };
    let drag = move |event: ev::PointerEvent| {
        let pointer = position(&event);
        let Some(start) = drag_start.get_untracked() else {
            let max_distance = 8.0 * pixel_ratio();
            hover.set(raster.with_untracked(|raster| raster.nearest(window.get_untracked(), pointer, max_distance)));
            return;
        };
        if !has_dragged.get_untracked() && (pointer.0 - start.0).hypot(pointer.1 - start.1) < 4.0 * pixel_ratio() {
            return;
        }
        has_dragged.set(true);
        if is_lasso.get_untracked() {
            lasso.update(|line| line.push(pointer));
        } else {
            user_window.set(Some(window.get_untracked().translate((pointer.0 - start.0, pointer.1 - start.1))));
            drag_start.set(Some(pointer));
        }
    };
    let up = move |event: ev::PointerEvent| {
        drag_start.set(None);
        let window = window.get_untracked();
        if lasso.with_untracked(|line| line.len() > 2) {
            on_lasso.run(raster.with_untracked(|raster| lasso.with_untracked(|line| raster.inside(window, line))));
        } else if !has_dragged.get_untracked() {
            let max_distance = 8.0 * pixel_ratio();
            if let Some(point) = raster.with_untracked(|raster| raster.nearest(window, position(&event), max_distance))
            {
                on_pick.run(point);
            }
        }
    };
    let zoom = move |factor: f64, fixed_point: Option<(f64, f64)>| {
        let window = window.get_untracked();
        let fixed_point = fixed_point.unwrap_or((window.size.0 as f64 / 2.0, window.size.1 as f64 / 2.0));
        user_window.set(Some(window.zoom(factor, fixed_point)));
    };
    let shift = move |right: f64, down: f64| user_window.set(Some(window.get_untracked().translate((right, down))));
    let wheel = move |event: ev::WheelEvent| {
        event.prevent_default();
        zoom((-event.delta_y() / 400.0).exp().clamp(0.3, 3.0), Some(position(&event)));
    };
    let key = move |event: ev::KeyboardEvent| {
        let step = 40.0 * pixel_ratio();
        match event.key().as_str() {
            "ArrowLeft" => shift(step, 0.0),
            "ArrowRight" => shift(-step, 0.0),
            "ArrowUp" => shift(0.0, step),
            "ArrowDown" => shift(0.0, -step),
            "+" | "=" => zoom(ZOOM_STEP, None),
            "-" => zoom(1.0 / ZOOM_STEP, None),
            "0" => user_window.set(None),
            _ => return,
        }
        event.prevent_default();
        event.stop_propagation();
    };
    view! {
        <div class="chart map" data-testid="map" role="img" tabindex="0" aria-label=description on:keydown=key>
            <canvas node_ref=canvas aria-hidden="true" class:lasso=move || is_lasso.get()
                on:pointerdown=down on:pointermove=drag on:pointerup=up on:wheel=wheel></canvas>
        </div>
        <p class="actions">
            <button aria-label="Zoom in on the map" on:click=move |_| zoom(ZOOM_STEP, None)>"+"</button>
            <button aria-label="Zoom out of the map" on:click=move |_| zoom(1.0 / ZOOM_STEP, None)>"−"</button>
            <button on:click=move |_| user_window.set(None)>"Show all"</button>
            <button aria-pressed=move || is_lasso.get().to_string() data-testid="lasso"
                on:click=move |_| is_lasso.update(|l| *l = !*l)>"Lasso"</button>
        </p>
    }
}

fn paint(canvas: &HtmlCanvasElement, (width, height): (usize, usize), pixels: &[u8], lasso: &[(f64, f64)]) {
    if canvas.width() as usize != width || canvas.height() as usize != height {
        canvas.set_width(width as u32);
        canvas.set_height(height as u32);
    }
    let context = canvas.get_context("2d").ok().flatten().and_then(|c| c.dyn_into::<CanvasRenderingContext2d>().ok());
    let image = ImageData::new_with_u8_clamped_array_and_sh(Clamped(pixels), width as u32, height as u32);
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
