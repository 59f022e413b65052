//! Tens of thousands of points as pixels: quicker than shapes, so that zooming and moving stay smooth.

use super::Rgb;

/// Points, column by column.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cloud {
    /// First coordinate.
    pub x: Vec<f32>,
    /// Second coordinate.
    pub y: Vec<f32>,
    /// What the colour shows; NaN where it is not known.
    pub value: Vec<f32>,
    /// Points that are drawn larger and over the others.
    pub is_own: Vec<bool>,
    /// The point that stands out from all, by its position.
    pub chosen: Option<usize>,
}

/// The part of the plane that is seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// The coordinates in the middle.
    pub middle: (f64, f64),
    /// Pixels a unit of a coordinate.
    pub scale: f64,
    /// Width and height, pixels.
    pub size: (usize, usize),
}

impl Window {
    /// Shows all points with some air.
    pub fn around(cloud: &Cloud, size: (usize, usize)) -> Self {
        let range = |values: &[f32]| {
            let finite = values.iter().copied().filter(|v| v.is_finite());
            let (low, high) = finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
            if low > high { (-1.0, 1.0) } else { (f64::from(low), f64::from(high)) }
        };
        let ((left, right), (bottom, top)) = (range(&cloud.x), range(&cloud.y));
        let fit = |extent: f64, pixels: usize| 0.92 * pixels.max(1) as f64 / extent.max(1e-9);
        let scale = fit(right - left, size.0).min(fit(top - bottom, size.1));
        Self { middle: ((left + right) / 2.0, (bottom + top) / 2.0), scale, size }
    }

    /// Where a point lies, pixels from the upper left corner.
    pub fn place(&self, x: f32, y: f32) -> (f64, f64) {
        let (middle_x, middle_y) = (self.size.0 as f64 / 2.0, self.size.1 as f64 / 2.0);
        let across = middle_x + (f64::from(x) - self.middle.0) * self.scale;
        (across, middle_y - (f64::from(y) - self.middle.1) * self.scale)
    }

    /// Moves what is seen by so many pixels.
    pub fn moved(self, (right, down): (f64, f64)) -> Self {
        let middle = (self.middle.0 - right / self.scale, self.middle.1 + down / self.scale);
        Self { middle, ..self }
    }

    /// Enlarges by a factor about a pixel that stays where it is.
    pub fn zoomed(self, factor: f64, at: (f64, f64)) -> Self {
        let from_middle = (at.0 - self.size.0 as f64 / 2.0, at.1 - self.size.1 as f64 / 2.0);
        let kept = (1.0 - 1.0 / factor) / self.scale;
        let middle = (self.middle.0 + from_middle.0 * kept, self.middle.1 - from_middle.1 * kept);
        Self { middle, scale: self.scale * factor, ..self }
    }
}

/// Colours from low to high, even to the eye and without colour vision (viridis, at its quarters).
const RAMP: [Rgb; 5] = [(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)];

/// The ramp's colour of a part from 0 to 1.
pub fn ramp(part: f64) -> Rgb {
    let at = part.clamp(0.0, 1.0) * (RAMP.len() - 1) as f64;
    let i = (at as usize).min(RAMP.len() - 2);
    let (a, b, t) = (RAMP[i], RAMP[i + 1], at - i as f64);
    let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * t).round() as u8;
    (mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

impl Cloud {
    /// The 2nd and 98th percentile of the values, between which the ramp runs; `None` where fewer than two are known.
    pub fn range(&self) -> Option<(f64, f64)> {
        let mut known: Vec<f32> = self.value.iter().copied().filter(|v| v.is_finite()).collect();
        known.sort_unstable_by(f32::total_cmp);
        let at = |share: f64| known.get(((known.len() as f64 - 1.0) * share).round() as usize).map(|v| f64::from(*v));
        (known.len() > 1).then(|| at(0.02).zip(at(0.98))).flatten()
    }

    /// The picture, `[height][width]` of red, green, blue, opacity. Values that are not known have the colour `unknown`; own
    /// points have a rim of the colour `ink`, the chosen one a broad rim. `dot` is the width of a point.
    pub fn pixels(&self, window: Window, dot: usize, unknown: Rgb, ink: Rgb) -> Vec<u8> {
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
            let part = (value - low) / (high - low).max(1e-12);
            if value.is_finite() { ramp(part) } else { unknown }
        };
        for own in [false, true] {
            for i in (0..self.x.len()).filter(|i| self.is_own[*i] == own) {
                let centre = window.place(self.x[i], self.y[i]);
                if own {
                    fill(centre, 3 * dot + 2, ink);
                    fill(centre, 3 * dot, colour_of(i));
                } else {
                    fill(centre, dot, colour_of(i));
                }
            }
        }
        if let Some(i) = self.chosen.filter(|i| *i < self.x.len()) {
            let centre = window.place(self.x[i], self.y[i]);
            fill(centre, 8 * dot, ink);
            fill(centre, 5 * dot, colour_of(i));
        }
        picture
    }

    /// The point nearest to a pixel, no further than `reach` from it.
    pub fn nearest(&self, window: Window, at: (f64, f64), reach: f64) -> Option<usize> {
        let distance = |i: &usize| {
            let (x, y) = window.place(self.x[*i], self.y[*i]);
            (x - at.0).hypot(y - at.1)
        };
        let near = (0..self.x.len()).map(|i| (distance(&i), i)).filter(|(d, _)| *d <= reach);
        near.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, i)| i)
    }

    /// The points inside a closed line of pixels.
    pub fn inside(&self, window: Window, line: &[(f64, f64)]) -> Vec<usize> {
        let is_inside = |(x, y): (f64, f64)| {
            let edges = line.iter().zip(line.iter().cycle().skip(1));
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

    fn cloud() -> Cloud {
        Cloud {
            x: vec![0.0, 1.0, 1.0, 0.0],
            y: vec![0.0, 0.0, 1.0, 1.0],
            value: vec![0.0, 1.0, 2.0, f32::NAN],
            is_own: vec![false, false, false, true],
            chosen: None,
        }
    }

    const SEEN: Window = Window { middle: (0.5, 0.5), scale: 50.0, size: (100, 100) };

    #[test]
    fn points_are_where_they_belong_and_keep_their_place_under_zoom() {
        assert_eq!(SEEN.place(0.0, 0.0), (25.0, 75.0));
        let zoomed = SEEN.zoomed(4.0, (25.0, 75.0));
        assert_eq!(zoomed.place(0.0, 0.0), (25.0, 75.0));
        assert_eq!(zoomed.place(1.0, 0.0), (225.0, 75.0));
        assert_eq!(SEEN.moved((10.0, -5.0)).place(0.0, 0.0), (35.0, 70.0));
        let whole = Window::around(&cloud(), (200, 100));
        assert!((whole.place(0.0, 1.0).1 - 4.0).abs() < 1e-9, "92 % of the height");
    }

    #[test]
    fn the_picture_has_the_ramps_colours_and_a_rim_around_own_points() {
        let picture = cloud().pixels(SEEN, 2, (1, 2, 3), (9, 9, 9));
        let at = |x: usize, y: usize| picture[4 * (100 * y + x)..4 * (100 * y + x) + 4].to_vec();
        assert_eq!(at(25, 75), [68, 1, 84, 255]);
        assert_eq!(at(75, 25), [253, 231, 37, 255]);
        assert_eq!((at(25, 25), at(21, 21)), (vec![1, 2, 3, 255], vec![9, 9, 9, 255]));
        assert_eq!(at(50, 50), [0, 0, 0, 0]);
        let picture = Cloud { chosen: Some(1), ..cloud() }.pixels(SEEN, 2, (1, 2, 3), (9, 9, 9));
        let at = |x: usize, y: usize| picture[4 * (100 * y + x)..4 * (100 * y + x) + 4].to_vec();
        assert_eq!((at(75, 75), at(68, 75)), (vec![33, 145, 140, 255], vec![9, 9, 9, 255]));
    }

    #[test]
    fn points_are_found_by_pointer_and_lasso() {
        let cloud = cloud();
        assert_eq!(cloud.nearest(SEEN, (74.0, 74.0), 5.0), Some(1));
        assert_eq!(cloud.nearest(SEEN, (50.0, 50.0), 5.0), None);
        assert_eq!(cloud.inside(SEEN, &[(0.0, 0.0), (50.0, 0.0), (50.0, 100.0), (0.0, 100.0)]), [0, 3]);
        assert!(cloud.inside(SEEN, &[]).is_empty() && Cloud::default().range().is_none());
    }
}
