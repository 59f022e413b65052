//! Saves the figure of a spectrum as SVG, or as PNG at 600 dpi.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use leptos::prelude::*;
use plotters_canvas::CanvasBackend;
use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};

use super::diagnostics::DiagnosticCurves;
use super::download::{file_stem, save_bytes, save_text};
use super::files::text_of;
use super::row::Row;
use crate::plot::{Drawable, Scale, SpectrumFigure, Theme};
use crate::result::SpectrumView;

/// Resolution of the PNG, dots per inch.
const DPI: f64 = 600.0;

/// Width of a figure in a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// One column, 88 mm.
    Single,
    /// Two columns, 180 mm.
    Double,
}

impl Width {
    /// All widths.
    pub(super) const ALL: [Self; 2] = [Self::Single, Self::Double];

    /// Width in mm.
    pub(super) fn mm(self) -> f64 {
        match self {
            Self::Single => 88.0,
            Self::Double => 180.0,
        }
    }

    /// Text of the menu option, and its value.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Single => "88 mm",
            Self::Double => "180 mm",
        }
    }

    /// The width with this name; two columns if no width has it.
    pub(super) fn from_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|w| w.name() == name).unwrap_or(Self::Double)
    }
}

/// Saves the figure of a row and returns a status text. `range_aa`: wavelength range, Å; `None` for the range of the
/// model.
///
/// # Errors
/// The error text of the browser.
pub(super) fn save(
    row: Row,
    view: &SpectrumView,
    curves: &DiagnosticCurves,
    range_aa: Option<(f64, f64)>,
    width: Width,
    is_png: bool,
) -> Result<String, String> {
    let wave_range_aa = range_aa.unwrap_or_else(|| SpectrumFigure::model_range(view));
    let figure = SpectrumFigure {
        view,
        rv_kms: untrack(|| row.rv_in_wavelengths_kms()),
        wave_range_aa,
        fit: curves.fit.as_deref(),
        saliency: curves.saliency.as_deref(),
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
    let canvas: HtmlCanvasElement = canvas.dyn_into().map_err(|_| "The browser could not create a canvas.")?;
    let (width_px, height_px) = figure.size_px(width.mm());
    let scale = width.mm() / 25.4 * DPI / width_px;
    canvas.set_width((width_px * scale) as u32);
    canvas.set_height((height_px * scale) as u32);
    let context = canvas.get_context("2d").map_err(failed)?.and_then(|c| c.dyn_into::<CanvasRenderingContext2d>().ok());
    let context = context.ok_or("The browser could not draw on a canvas.")?;
    context.set_fill_style_str("#ffffff");
    context.fill_rect(0.0, 0.0, f64::from(canvas.width()), f64::from(canvas.height()));
    context.set_line_join("bevel");
    let mut backend =
        CanvasBackend::with_canvas_object(canvas.clone()).ok_or("The browser could not draw on a canvas.")?;
    let scale = Scale { units_per_px: scale, text: 1.0 };
    figure
        .figure()
        .draw(&mut backend, &Theme::paper(), scale)
        .map_err(|e| format!("The figure could not be drawn: {e}"))?;
    let url = canvas.to_data_url().map_err(failed)?;
    let bytes = url.split_once(',').and_then(|(_, data)| BASE64_STANDARD.decode(data).ok());
    let too_large =
        "The browser could not create a PNG of this size. Save the figure as SVG, or choose a smaller width.";
    Ok(with_resolution(bytes.ok_or(too_large)?))
}

/// Adds a `pHYs` chunk, which states the resolution, after the header of a PNG. Without it journals assume 72 dpi.
fn with_resolution(mut png: Vec<u8>) -> Vec<u8> {
    /// Length of the signature and `IHDR`, the first chunk, bytes.
    const HEADER: usize = 8 + 25;
    if png.len() < HEADER {
        return png;
    }
    let dots_per_metre = (DPI / 0.0254).round() as u32;
    let mut chunk = b"pHYs".to_vec();
    chunk.extend(dots_per_metre.to_be_bytes());
    chunk.extend(dots_per_metre.to_be_bytes());
    chunk.push(1);
    let mut crc = flate2::Crc::new();
    crc.update(&chunk);
    let framed = 9u32.to_be_bytes().into_iter().chain(chunk).chain(crc.sum().to_be_bytes());
    png.splice(HEADER..HEADER, framed.collect::<Vec<_>>());
    png
}
