//! The figure of a spectrum as a file: SVG, or PNG at 600 dots an inch.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use leptos::prelude::*;
use plotters_canvas::CanvasBackend;
use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};

use super::download::{save_bytes, save_text};
use super::files::text_of;
use super::reading::Curves;
use super::spectrum_plot::{file_stem, rv_in_wavelengths};
use super::state::Row;
use crate::plot::{Drawing, Scale, SpectrumFigure, Theme};
use crate::result::SpectrumView;

const DOTS_AN_INCH: f64 = 600.0;

/// Widths that journals print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// One column.
    Single,
    /// Two columns.
    Double,
}

impl Width {
    /// Both.
    pub const ALL: [Width; 2] = [Width::Single, Width::Double];

    /// In millimetres.
    pub fn mm(self) -> f64 {
        match self {
            Width::Single => 88.0,
            Width::Double => 180.0,
        }
    }

    /// For people and for the form.
    pub fn name(self) -> &'static str {
        match self {
            Width::Single => "88 mm",
            Width::Double => "180 mm",
        }
    }

    /// The width of a name; two columns for any other.
    pub fn from_name(name: &str) -> Width {
        Width::ALL.into_iter().find(|w| w.name() == name).unwrap_or(Width::Double)
    }
}

/// Saves the figure of a row, with what helps to read it, over a range of wavelengths, or the range that the model used, and
/// says so.
///
/// # Errors
/// What the browser says.
pub fn save(
    row: Row,
    view: &SpectrumView,
    curves: &Curves,
    range_aa: Option<(f64, f64)>,
    width: Width,
    is_png: bool,
) -> Result<String, String> {
    let wave_range_aa = range_aa.unwrap_or_else(|| SpectrumFigure::model_range(view));
    let figure = SpectrumFigure {
        view,
        rv_kms: untrack(|| rv_in_wavelengths(row)),
        wave_range_aa,
        fit: curves.fit.as_deref(),
        slopes: curves.slopes.as_deref(),
    };
    let stem = file_stem(&row.summary.get_untracked().meta.id);
    let name = if is_png {
        let name = format!("{stem}.png");
        save_bytes(&name, "image/png", &png(&figure, width)?)?;
        name
    } else {
        let name = format!("{stem}.svg");
        save_text(&name, "image/svg+xml", &figure.to_svg(width.mm()))?;
        name
    };
    let (low, high) = wave_range_aa;
    Ok(format!("{name}: {low:.0} to {high:.0} Å, {}.", width.name()))
}

fn png(figure: &SpectrumFigure, width: Width) -> Result<Vec<u8>, String> {
    let failed = |e| format!("The figure could not be drawn: {}", text_of(&e));
    let canvas = document().create_element("canvas").map_err(failed)?;
    let canvas: HtmlCanvasElement = canvas.dyn_into().map_err(|_| "The browser makes no canvas.")?;
    let (width_px, height_px) = figure.size_px(width.mm());
    let scale = width.mm() / 25.4 * DOTS_AN_INCH / width_px;
    canvas.set_width((width_px * scale) as u32);
    canvas.set_height((height_px * scale) as u32);
    let context = canvas.get_context("2d").map_err(failed)?.and_then(|c| c.dyn_into::<CanvasRenderingContext2d>().ok());
    let context = context.ok_or("The browser draws on no canvas.")?;
    context.set_fill_style_str("#ffffff");
    context.fill_rect(0.0, 0.0, f64::from(canvas.width()), f64::from(canvas.height()));
    context.set_line_join("bevel");
    let mut backend = CanvasBackend::with_canvas_object(canvas.clone()).ok_or("The browser draws on no canvas.")?;
    let scale = Scale { units_per_px: scale, text: 1.0 };
    figure
        .figure()
        .draw(&mut backend, &Theme::paper(), scale)
        .map_err(|e| format!("The figure could not be drawn: {e}"))?;
    let url = canvas.to_data_url().map_err(failed)?;
    let bytes = url.split_once(',').and_then(|(_, data)| BASE64_STANDARD.decode(data).ok());
    Ok(with_resolution(bytes.ok_or("The browser makes no PNG of this size.")?))
}

/// The PNG with a `pHYs` chunk after its header: without it a journal's system takes it for a figure a yard wide.
fn with_resolution(mut png: Vec<u8>) -> Vec<u8> {
    /// Signature and `IHDR`, which is always first.
    const HEADER: usize = 8 + 25;
    if png.len() < HEADER {
        return png;
    }
    let dots_a_metre = (DOTS_AN_INCH / 0.0254).round() as u32;
    let mut chunk = b"pHYs".to_vec();
    chunk.extend(dots_a_metre.to_be_bytes());
    chunk.extend(dots_a_metre.to_be_bytes());
    chunk.push(1);
    let mut crc = flate2::Crc::new();
    crc.update(&chunk);
    let framed = 9u32.to_be_bytes().into_iter().chain(chunk).chain(crc.sum().to_be_bytes());
    png.splice(HEADER..HEADER, framed.collect::<Vec<_>>());
    png
}
