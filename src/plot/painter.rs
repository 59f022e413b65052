//! Drawing of strokes, text and axes in CSS pixels, on any `plotters` backend.

use plotters::backend::{DrawingBackend, SVGBackend};
use plotters::drawing::DrawingAreaErrorKind;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontTransform, IntoFont, RGBAColor, ShapeStyle, TextStyle};

use super::{Paint, Theme, decimals_for, ticks};

const TEXT_PX: f64 = 11.0;

/// CSS pixels per millimetre of an exported figure, chosen for text of the size of a journal's captions.
pub(super) const PX_PER_MM: f64 = 5.0;

/// Relation of a backend's units to CSS pixels.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Backend units per CSS pixel: the device pixel ratio on a canvas, the coordinate resolution in SVG.
    pub units_per_px: f64,
    /// Factor of the text size: plotters' SVG backend divides the size by 1.24, its canvas backend does not.
    pub text: f64,
}

/// Result of drawing onto a backend.
pub type DrawResult<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// Draws onto a backend; converts CSS pixels to the backend's units, and paints to colours.
pub(super) struct Painter<'a, DB> {
    backend: &'a mut DB,
    theme: &'a Theme,
    scale: Scale,
}

impl<'a, DB: DrawingBackend> Painter<'a, DB> {
    /// A painter over a whole backend, and the size of the backend in CSS pixels.
    pub(super) fn over(backend: &'a mut DB, theme: &'a Theme, scale: Scale) -> (Self, (f64, f64)) {
        let (width, height) = backend.get_size();
        let size = (f64::from(width) / scale.units_per_px, f64::from(height) / scale.units_per_px);
        (Self { backend, theme, scale }, size)
    }

    fn units(&self, (x, y): (f64, f64)) -> (i32, i32) {
        ((x * self.scale.units_per_px).round() as i32, (y * self.scale.units_per_px).round() as i32)
    }

    fn stroke(&self, paint: Paint, width_px: f64) -> ShapeStyle {
        let stroke_width = (width_px * self.scale.units_per_px).round().max(1.0) as u32;
        ShapeStyle { color: self.colour(paint), filled: false, stroke_width }
    }

    fn colour(&self, paint: Paint) -> RGBAColor {
        let ((r, g, b), alpha) = self.theme.colour(paint);
        RGBAColor(r, g, b, alpha)
    }

    pub(super) fn path(&mut self, points: &[(f64, f64)], paint: Paint, width_px: f64) -> DrawResult<DB> {
        if points.is_empty() {
            return Ok(());
        }
        let points: Vec<_> = points.iter().map(|p| self.units(*p)).collect();
        let stroke = self.stroke(paint, width_px);
        self.backend.draw_path(points, &stroke).map_err(DrawingAreaErrorKind::BackendError)
    }

    pub(super) fn polygon(&mut self, points: Vec<(f64, f64)>, paint: Paint) -> DrawResult<DB> {
        if points.len() < 3 {
            return Ok(());
        }
        let points: Vec<_> = points.into_iter().map(|p| self.units(p)).collect();
        let stroke = self.stroke(paint, 1.0);
        self.backend.fill_polygon(points, &stroke).map_err(DrawingAreaErrorKind::BackendError)
    }

    pub(super) fn rectangle(&mut self, (x0, x1): (f64, f64), (y0, y1): (f64, f64), paint: Paint) -> DrawResult<DB> {
        let (from, to) = (self.units((x0, y0)), self.units((x1, y1)));
        let stroke = self.stroke(paint, 1.0);
        self.backend.draw_rect(from, to, &stroke, true).map_err(DrawingAreaErrorKind::BackendError)
    }

    pub(super) fn text(&mut self, text: &str, at: (f64, f64), (h, v): (HPos, VPos), paint: Paint) -> DrawResult<DB> {
        self.styled_text(text, at, Pos::new(h, v), paint, FontTransform::None)
    }

    pub(super) fn text_upwards(&mut self, text: &str, at: (f64, f64), paint: Paint) -> DrawResult<DB> {
        self.styled_text(text, at, Pos::new(HPos::Center, VPos::Top), paint, FontTransform::Rotate270)
    }

    fn styled_text(
        &mut self,
        text: &str,
        at: (f64, f64),
        pos: Pos,
        paint: Paint,
        rotation: FontTransform,
    ) -> DrawResult<DB> {
        let size = TEXT_PX * self.scale.units_per_px * self.scale.text;
        let font = (self.theme.font.as_str(), size).into_font().transform(rotation);
        let colour = self.colour(paint);
        let style = TextStyle::from(font).color(&colour).pos(pos);
        let at = self.units(at);
        self.backend.draw_text(text, &style, at).map_err(DrawingAreaErrorKind::BackendError)
    }

    /// A filled or open circle.
    pub(super) fn disc(&mut self, at: (f64, f64), radius_px: f64, paint: Paint, is_filled: bool) -> DrawResult<DB> {
        let (at, radius) = (self.units(at), (radius_px * self.scale.units_per_px).round().max(1.0) as u32);
        let stroke = self.stroke(paint, 1.0);
        self.backend.draw_circle(at, radius, &stroke, is_filled).map_err(DrawingAreaErrorKind::BackendError)
    }

    /// A dashed line from `from` to `to`.
    pub(super) fn dashes(&mut self, from: (f64, f64), to: (f64, f64), paint: Paint) -> DrawResult<DB> {
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let at = |along: f64| {
            let t = (along / length).min(1.0);
            (from.0 + (to.0 - from.0) * t, from.1 + (to.1 - from.1) * t)
        };
        let mut along = 0.0;
        while along < length {
            self.path(&[at(along), at(along + 5.0)], paint, 1.0)?;
            along += 9.0;
        }
        Ok(())
    }

    /// The vertical axis of a frame with its grid lines. A common power of ten moves to the axis label if the numbers
    /// would be long.
    pub(super) fn value_axis(
        &mut self,
        (left, right): (f64, f64),
        (top, bottom): (f64, f64),
        (low, high): (f64, f64),
        label: &str,
    ) -> DrawResult<DB> {
        let exponent = exponent_of((low, high));
        let factor = 10f64.powi(-exponent);
        let values = ticks(low * factor, high * factor, ((bottom - top) / 42.0).ceil().max(3.0) as usize);
        let decimals = decimals_for(&values);
        for value in values {
            let y = bottom - (value / factor - low) / (high - low) * (bottom - top);
            self.path(&[(left, y), (right, y)], Paint::Grid, 1.0)?;
            self.path(&[(left, y), (left + 5.0, y)], Paint::Axis, 1.0)?;
            self.text(&signed(value, decimals), (left - 6.0, y), (HPos::Right, VPos::Center), Paint::Axis)?;
        }
        let label = if exponent == 0 { label.into() } else { format!("{label} / 10{}", superscript(exponent)) };
        self.text_upwards(&label, (4.0, (top + bottom) / 2.0), Paint::Axis)
    }
}

/// A number with a typographic minus sign (U+2212).
pub(super) fn signed(value: f64, decimals: usize) -> String {
    format!("{value:.decimals$}").replace('-', "\u{2212}")
}

/// A picture for any backend.
pub trait Drawable {
    /// Draws the picture over a whole backend.
    fn draw<DB: DrawingBackend>(&self, backend: &mut DB, theme: &Theme, scale: Scale) -> DrawResult<DB>;

    /// The picture as an SVG document on white, with its width and height in millimetres.
    fn to_svg(&self, width_mm: f64, height_mm: f64) -> String {
        // Backend coordinates are integers; eight units per pixel keep curves smooth in print.
        const UNITS_PER_PX: f64 = 8.0;
        let [width, height] = [width_mm, height_mm].map(|mm| (mm * PX_PER_MM * UNITS_PER_PX) as u32);
        let mut svg = String::new();
        {
            let mut backend = SVGBackend::with_string(&mut svg, (width, height));
            let scale = Scale { units_per_px: UNITS_PER_PX, text: 1.24 };
            // Writing to a string cannot fail.
            let _ = self.draw(&mut backend, &Theme::paper(), scale);
            let _ = backend.present();
        }
        svg.replacen(
            &format!("width=\"{width}\" height=\"{height}\""),
            &format!("width=\"{width_mm}mm\" height=\"{height_mm:.1}mm\""),
            1,
        )
    }
}

/// Power of ten that moves from the tick labels to the axis label; 0 if the labels are short.
fn exponent_of((low, high): (f64, f64)) -> i32 {
    let largest = low.abs().max(high.abs());
    if largest > 0.0 && largest.is_finite() && !(1e-2..1e4).contains(&largest) {
        largest.log10().floor() as i32
    } else {
        0
    }
}

fn superscript(number: i32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let digit = |c: char| c.to_digit(10).and_then(|d| DIGITS.get(d as usize)).copied().unwrap_or('⁻');
    number.to_string().chars().map(digit).collect()
}
