//! Scatter plot of tens of thousands of points as a raster image. It is faster than vector shapes, so zooming and
//! panning are smooth.

use super::{Paint, Rgb, Theme};
use crate::stats::quantiles;

/// Points of a scatter plot, as columns.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScatterRaster {
    /// First coordinate.
    pub x: Vec<f32>,
    /// Second coordinate.
    pub y: Vec<f32>,
    /// Value that determines the colour; NaN if unknown.
    pub value: Vec<f32>,
    /// Whether the point is the user's own: drawn larger and above the others.
    pub is_user: Vec<bool>,
    /// Index of the selected point, drawn above all others.
    pub selected: Option<usize>,
}

/// The visible part of the plane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Coordinates at the centre.
    pub middle: (f64, f64),
    /// Pixels per unit of a coordinate.
    pub scale: f64,
    /// Width and height, pixels.
    pub size: (usize, usize),
}

impl Window {
    /// A window that shows all points, with a margin.
    pub fn around(points: &ScatterRaster, size: (usize, usize)) -> Self {
        let range = |values: &[f32]| {
            let finite = values.iter().copied().filter(|v| v.is_finite());
            let (low, high) = finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
            if low > high { (-1.0, 1.0) } else { (f64::from(low), f64::from(high)) }
        };
        let ((left, right), (bottom, top)) = (range(&points.x), range(&points.y));
        let scale_to_fit = |extent: f64, pixels: usize| 0.92 * pixels.max(1) as f64 / extent.max(1e-9);
        let scale = scale_to_fit(right - left, size.0).min(scale_to_fit(top - bottom, size.1));
        Self { middle: ((left + right) / 2.0, (bottom + top) / 2.0), scale, size }
    }

    /// Position of a point, pixels from the upper left corner.
    pub fn place(&self, x: f32, y: f32) -> (f64, f64) {
        let (middle_x, middle_y) = (self.size.0 as f64 / 2.0, self.size.1 as f64 / 2.0);
        let x_px = middle_x + (f64::from(x) - self.middle.0) * self.scale;
        (x_px, middle_y - (f64::from(y) - self.middle.1) * self.scale)
    }

    /// Moves the picture by this number of pixels to the right and down.
    pub fn translate(self, (right, down): (f64, f64)) -> Self {
        let middle = (self.middle.0 - right / self.scale, self.middle.1 + down / self.scale);
        Self { middle, ..self }
    }

    /// Enlarges by a factor about a fixed pixel.
    pub fn zoom(self, factor: f64, at: (f64, f64)) -> Self {
        let from_middle = (at.0 - self.size.0 as f64 / 2.0, at.1 - self.size.1 as f64 / 2.0);
        let shift = (1.0 - 1.0 / factor) / self.scale;
        let middle = (self.middle.0 + from_middle.0 * shift, self.middle.1 - from_middle.1 * shift);
        Self { middle, scale: self.scale * factor, ..self }
    }
}

/// Colours from low to high: viridis at 0, 25, 50, 75 and 100 %. It is perceptually uniform, also for colour-blind
/// readers.
const RAMP: [Rgb; 5] = [(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)];

/// Colour of the ramp at a fraction from 0 to 1.
pub fn ramp(fraction: f64) -> Rgb {
    let position = fraction.clamp(0.0, 1.0) * (RAMP.len() - 1) as f64;
    let i = (position as usize).min(RAMP.len() - 2);
    let (a, b, t) = (RAMP[i], RAMP[i + 1], position - i as f64);
    let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * t).round() as u8;
    (mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

impl ScatterRaster {
    /// The 2nd and 98th percentile of the known values, the limits of the ramp; `None` for fewer than two values.
    pub fn range(&self) -> Option<(f64, f64)> {
        let finite: Vec<f64> = self.value.iter().map(|v| f64::from(*v)).filter(|v| v.is_finite()).collect();
        let [low, high] = quantiles(finite.iter().copied(), [0.02, 0.98])?;
        (finite.len() > 1).then_some((low, high))
    }

    /// The picture, `[height][width]` of red, green, blue, opacity.
    ///
    /// Points with an unknown value have the colour of labels. The user's own points have a border in the colour of
    /// axes, the selected point a broad border. `dot` is the width of a point, pixels.
    pub fn pixels(&self, window: Window, dot: usize, theme: &Theme) -> Vec<u8> {
        let (unknown, ink) = (theme.colour(Paint::Label).0, theme.colour(Paint::Axis).0);
        let (width, height) = window.size;
        let mut picture = vec![0; 4 * width * height];
        let (low, high) = self.range().unwrap_or((0.0, 1.0));
        let mut fill = |centre: (f64, f64), side: usize, (r, g, b): Rgb| {
            let (left, top) = ((centre.0 - side as f64 / 2.0).round(), (centre.1 - side as f64 / 2.0).round());
            for row in 0..side {
                for column in 0..side {
                    let (x, y) = (left + column as f64, top + row as f64);
                    if x >= 0.0 && y >= 0.0 && x < width as f64 && y < height as f64 {
                        let at = 4 * (y as usize * width + x as usize);
                        picture[at..at + 4].copy_from_slice(&[r, g, b, 255]);
                    }
                }
            }
        };
        let colour_of = |i: usize| {
            let value = f64::from(self.value[i]);
            let fraction = (value - low) / (high - low).max(1e-12);
            if value.is_finite() { theme.point_colour(fraction) } else { unknown }
        };
        for is_user in [false, true] {
            for i in (0..self.x.len()).filter(|i| self.is_user[*i] == is_user) {
                let centre = window.place(self.x[i], self.y[i]);
                if is_user {
                    fill(centre, 3 * dot + 2, ink);
                    fill(centre, 3 * dot, colour_of(i));
                } else {
                    fill(centre, dot, colour_of(i));
                }
            }
        }
        if let Some(i) = self.selected.filter(|i| *i < self.x.len()) {
            let centre = window.place(self.x[i], self.y[i]);
            fill(centre, 8 * dot, ink);
            fill(centre, 5 * dot, colour_of(i));
        }
        picture
    }

    /// The point nearest to a pixel, at a distance of at most `reach` pixels.
    pub fn nearest(&self, window: Window, at: (f64, f64), reach: f64) -> Option<usize> {
        let distance = |i: &usize| {
            let (x, y) = window.place(self.x[*i], self.y[*i]);
            (x - at.0).hypot(y - at.1)
        };
        let within_reach = (0..self.x.len()).map(|i| (distance(&i), i)).filter(|(d, _)| *d <= reach);
        within_reach.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, i)| i)
    }

    /// The points inside a polygon of pixels.
    pub fn inside(&self, window: Window, polygon: &[(f64, f64)]) -> Vec<usize> {
        let is_inside = |(x, y): (f64, f64)| {
            let edges = polygon.iter().zip(polygon.iter().cycle().skip(1));
            let crossed = |(a, b): (&(f64, f64), &(f64, f64))| {
                (a.1 > y) != (b.1 > y) && x < a.0 + (y - a.1) / (b.1 - a.1) * (b.0 - a.0)
            };
            edges.filter(|edge| crossed(*edge)).count() % 2 == 1
        };
        (0..self.x.len()).filter(|&i| is_inside(window.place(self.x[i], self.y[i]))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> ScatterRaster {
        ScatterRaster {
            x: vec![0.0, 1.0, 1.0, 0.0],
            y: vec![0.0, 0.0, 1.0, 1.0],
            value: vec![0.0, 1.0, 2.0, f32::NAN],
            is_user: vec![false, false, false, true],
            selected: None,
        }
    }

    const WINDOW: Window = Window { middle: (0.5, 0.5), scale: 50.0, size: (100, 100) };

    #[test]
    fn zoom_keeps_the_fixed_pixel_in_position() {
        assert_eq!(WINDOW.place(0.0, 0.0), (25.0, 75.0));
        let zoomed = WINDOW.zoom(4.0, (25.0, 75.0));
        assert_eq!(zoomed.place(0.0, 0.0), (25.0, 75.0));
        assert_eq!(zoomed.place(1.0, 0.0), (225.0, 75.0));
        assert_eq!(WINDOW.translate((10.0, -5.0)).place(0.0, 0.0), (35.0, 70.0));
        let whole = Window::around(&points(), (200, 100));
        assert!((whole.place(0.0, 1.0).1 - 4.0).abs() < 1e-9, "92 % of the height");
    }

    #[test]
    fn picture_has_ramp_colours_and_a_border_around_user_points() {
        let theme = Theme { label: (1, 2, 3), axis: (9, 9, 9), ..Theme::paper() };
        let picture = points().pixels(WINDOW, 2, &theme);
        let at = |x: usize, y: usize| picture[4 * (100 * y + x)..4 * (100 * y + x) + 4].to_vec();
        assert_eq!(at(25, 75), [68, 1, 84, 255]);
        assert_eq!(at(75, 25), [82, 190, 106, 255]);
        assert_eq!((at(25, 25), at(21, 21)), (vec![1, 2, 3, 255], vec![9, 9, 9, 255]));
        assert_eq!(at(50, 50), [0, 0, 0, 0]);
        let picture = ScatterRaster { selected: Some(1), ..points() }.pixels(WINDOW, 2, &theme);
        let at = |x: usize, y: usize| picture[4 * (100 * y + x)..4 * (100 * y + x) + 4].to_vec();
        assert_eq!((at(75, 75), at(68, 75)), (vec![49, 107, 139, 255], vec![9, 9, 9, 255]));
    }

    #[test]
    fn points_are_found_by_pointer_and_lasso() {
        let points = points();
        assert_eq!(points.nearest(WINDOW, (74.0, 74.0), 5.0), Some(1));
        assert_eq!(points.nearest(WINDOW, (50.0, 50.0), 5.0), None);
        assert_eq!(points.inside(WINDOW, &[(0.0, 0.0), (50.0, 0.0), (50.0, 100.0), (0.0, 100.0)]), [0, 3]);
        assert!(points.inside(WINDOW, &[]).is_empty() && ScatterRaster::default().range().is_none());
    }
}
