//! Charts of points and curves: predicted against true, losses, learning curves.

use plotters::backend::DrawingBackend;
use plotters::style::text_anchor::{HPos, VPos};

use super::contour::contour;
use super::pen::{Drawing, Drawn, Pen, Scale, signed};
use super::{Frame, Paint, Theme, decimals_for, ticks};

/// One thing drawn in a plot, lowest first. Points that are not finite are left out.
#[derive(Debug, Clone, PartialEq)]
pub enum Mark {
    /// Discs, or their rims alone.
    Points {
        /// x and y.
        at: Vec<(f64, f64)>,
        /// What they are.
        paint: Paint,
        /// Radius, CSS pixels.
        radius_px: f64,
        /// Whether they are filled.
        is_filled: bool,
    },
    /// A curve through points.
    Curve {
        /// x and y.
        through: Vec<(f64, f64)>,
        /// What it is.
        paint: Paint,
    },
    /// Vertical error bars: x, y, and half the length.
    Bars {
        /// x, y and σ.
        at: Vec<(f64, f64, f64)>,
        /// What they are.
        paint: Paint,
    },
    /// Coloured cells around the points of a grid.
    Map(Relief),
    /// Lines of equal height over it, light where the map is dark.
    Contours(Relief, Vec<f64>),
    /// A dashed line over the whole width.
    Level(f64),
    /// Dashed, y = x.
    Diagonal,
}

/// Heights over a grid of points.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Relief {
    /// Where the points lie, going up.
    pub x: Vec<f64>,
    /// Where the points lie, going up.
    pub y: Vec<f64>,
    /// `[x][y]`; those that are not finite are left out.
    pub heights: Vec<f64>,
    /// Heights of the ramp's ends.
    pub range: (f64, f64),
}

impl Relief {
    fn colour(&self, height: f64) -> u8 {
        let part = (height - self.range.0) / (self.range.1 - self.range.0).max(1e-12);
        (part.clamp(0.0, 1.0) * 255.0).round() as u8
    }
}

/// One plot of a [`Chart`].
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// What the horizontal axis shows, with its unit.
    pub x_label: String,
    /// What the vertical axis shows, with its unit; empty for none.
    pub y_label: String,
    /// Lowest and highest x shown.
    pub x_range: (f64, f64),
    /// Lowest and highest y shown.
    pub y_range: (f64, f64),
    /// Whether x goes up by factors.
    pub is_x_log: bool,
    /// Part of the chart's height.
    pub share: f64,
    /// What is drawn, lowest first.
    pub marks: Vec<Mark>,
}

/// Plots above each other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chart {
    /// From the top down.
    pub plots: Vec<Plot>,
}

impl Drawing for Chart {
    fn draw<DB: DrawingBackend>(&self, backend: &mut DB, theme: &Theme, scale: Scale) -> Drawn<DB> {
        let (mut pen, size_px) = Pen::over(backend, theme, scale);
        for (i, plot) in self.plots.iter().enumerate() {
            plot.draw(&mut pen, self.frame(i, size_px))?;
        }
        Ok(())
    }
}

impl Chart {
    /// Where the axes of a plot stand in a chart of this size, CSS pixels.
    fn frame(&self, index: usize, (width_px, height_px): (f64, f64)) -> Frame {
        let whole: f64 = self.plots.iter().map(|p| p.share).sum();
        let above: f64 = self.plots.iter().take(index).map(|p| p.share).sum();
        let (top, height) = (height_px * above / whole, height_px * self.plots[index].share / whole);
        let frame = Frame::of(0, 1, width_px, height);
        // No names of lines need room above these frames.
        Frame { top: top + 10.0, bottom: (top + frame.bottom).max(top + 11.0), ..frame }
    }

    /// The point nearest to a position within a finger's width: its number in the first [`Mark::Points`] that has so
    /// many.
    pub fn nearest(&self, at_px: (f64, f64), size_px: (f64, f64)) -> Option<usize> {
        let mut best = (14.0f64, None);
        for (i, plot) in self.plots.iter().enumerate() {
            let frame = self.frame(i, size_px);
            for mark in &plot.marks {
                let Mark::Points { at, .. } = mark else { continue };
                for (j, point) in at.iter().enumerate().filter(|(_, (x, y))| x.is_finite() && y.is_finite()) {
                    let (x, y) = plot.place(frame, *point);
                    let distance = (x - at_px.0).hypot(y - at_px.1);
                    if distance < best.0 {
                        best = (distance, Some(j));
                    }
                }
            }
        }
        best.1
    }
}

impl Plot {
    fn draw<DB: DrawingBackend>(&self, pen: &mut Pen<DB>, frame: Frame) -> Drawn<DB> {
        let Frame { left, top, right, bottom } = frame;
        self.draw_x_axis(pen, frame)?;
        if !self.y_label.is_empty() {
            pen.value_axis((left, right), (top, bottom), self.y_range, &self.y_label)?;
        }
        for mark in &self.marks {
            self.draw_mark(pen, frame, mark)?;
        }
        pen.path(&[(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], Paint::Axis, 1.0)
    }

    fn draw_x_axis<DB: DrawingBackend>(&self, pen: &mut Pen<DB>, frame: Frame) -> Drawn<DB> {
        let Frame { left, top, right, bottom } = frame;
        let values = self.x_ticks(((right - left) / 80.0).ceil() as usize);
        let decimals = decimals_for(&values);
        for value in values {
            let decimals = if self.is_x_log { (-value.log10().floor()).max(0.0) as usize } else { decimals };
            let x = self.x_of(frame, value);
            pen.path(&[(x, top), (x, bottom)], Paint::Grid, 1.0)?;
            pen.path(&[(x, bottom), (x, bottom - 5.0)], Paint::Axis, 1.0)?;
            pen.text(&signed(value, decimals), (x, bottom + 5.0), (HPos::Center, VPos::Top), Paint::Axis)?;
        }
        pen.text(&self.x_label, ((left + right) / 2.0, bottom + 21.0), (HPos::Center, VPos::Top), Paint::Axis)
    }

    fn x_ticks(&self, target: usize) -> Vec<f64> {
        let (low, high) = self.x_range;
        if !self.is_x_log {
            return ticks(low, high, target);
        }
        let decades = low.max(1e-300).log10().floor() as i32..=high.max(1e-300).log10().ceil() as i32;
        let steps = decades.flat_map(|d| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(d)));
        steps.filter(|v| (low..=high).contains(v)).collect()
    }

    fn x_of(&self, frame: Frame, x: f64) -> f64 {
        if self.is_x_log {
            frame.x_of(x.ln(), (self.x_range.0.ln(), self.x_range.1.ln()))
        } else {
            frame.x_of(x, self.x_range)
        }
    }

    /// Where a point lies on the screen; one beyond the axes lies on their rim.
    fn place(&self, frame: Frame, (x, y): (f64, f64)) -> (f64, f64) {
        (self.x_of(frame, x).clamp(frame.left, frame.right), frame.y_of(y, self.y_range))
    }

    fn draw_mark<DB: DrawingBackend>(&self, pen: &mut Pen<DB>, frame: Frame, mark: &Mark) -> Drawn<DB> {
        match mark {
            Mark::Points { at, paint, radius_px, is_filled } => {
                for point in at.iter().filter(|(x, y)| x.is_finite() && y.is_finite()) {
                    pen.disc(self.place(frame, *point), *radius_px, *paint, *is_filled)?;
                }
                Ok(())
            }
            Mark::Curve { through, paint } => {
                let shown = through.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
                pen.path(&shown.map(|p| self.place(frame, *p)).collect::<Vec<_>>(), *paint, 1.75)
            }
            Mark::Bars { at, paint } => {
                for (x, y, half) in at.iter().filter(|(x, y, half)| (x + y + half).is_finite()) {
                    let ends = [self.place(frame, (*x, y - half)), self.place(frame, (*x, y + half))];
                    pen.path(&ends, *paint, 1.0)?;
                }
                Ok(())
            }
            Mark::Map(relief) => {
                let x: Vec<f64> = relief.x.iter().map(|x| self.x_of(frame, *x)).collect();
                let y: Vec<f64> = relief.y.iter().map(|y| frame.y_of(*y, self.y_range)).collect();
                let cells = |i| (0..relief.y.len()).map(move |j| (i, j));
                for (i, j) in (0..relief.x.len()).flat_map(cells) {
                    let height = relief.heights.get(i * relief.y.len() + j).copied().unwrap_or(f64::NAN);
                    if height.is_finite() {
                        let paint = Paint::Ramp(relief.colour(height));
                        let across = cell(&x, i, (frame.left, frame.right));
                        pen.rectangle(across, cell(&y, j, (frame.top, frame.bottom)), paint)?;
                    }
                }
                Ok(())
            }
            Mark::Contours(relief, levels) => {
                for level in levels {
                    let paint = Paint::Ramp(if relief.colour(*level) < 128 { 255 } else { 0 });
                    for piece in contour(&relief.x, &relief.y, &relief.heights, *level) {
                        pen.path(&piece.map(|point| self.place(frame, point)), paint, 1.0)?;
                    }
                }
                Ok(())
            }
            Mark::Level(value) => {
                let y = frame.y_of(*value, self.y_range);
                pen.dashes((frame.left, y), (frame.right, y), Paint::Label)
            }
            Mark::Diagonal => {
                let low = self.x_range.0.max(self.y_range.0);
                let high = self.x_range.1.min(self.y_range.1);
                if high <= low {
                    return Ok(());
                }
                pen.dashes(self.place(frame, (low, low)), self.place(frame, (high, high)), Paint::Label)
            }
        }
    }
}

/// The extent of the cell around one of several positions: halfway to the next, inside the frame; all of it for a single one.
fn cell(at: &[f64], i: usize, (low, high): (f64, f64)) -> (f64, f64) {
    let half = |other: Option<&f64>| other.map(|other| (at[i] - other).abs() / 2.0);
    let before = half(i.checked_sub(1).and_then(|k| at.get(k)));
    let after = half(at.get(i + 1));
    let Some((before, after)) = before.or(after).zip(after.or(before)) else { return (low, high) };
    // Positions go down where values go up.
    let is_down = at.len() > 1 && at[1] < at[0];
    let (left, right) = if is_down { (after, before) } else { (before, after) };
    ((at[i] - left).max(low), (at[i] + right).min(high))
}

/// A range that holds all finite values, with some air; (0, 1) without any.
pub fn range_of(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let finite = values.filter(|v| v.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        return (0.0, 1.0);
    }
    let air = 0.06 * (high - low).max(1e-6 * high.abs()).max(1e-9);
    (low - air, high + air)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let at = vec![(0.0, 0.5), (1.0, f64::NAN), (1.0, 0.75)];
        let plot = Plot {
            x_label: "catalogue".into(),
            y_label: "predicted".into(),
            x_range: (0.0, 1.0),
            y_range: (0.0, 1.0),
            is_x_log: false,
            share: 1.0,
            marks: vec![Mark::Diagonal, Mark::Points { at, paint: Paint::Data, radius_px: 3.0, is_filled: true }],
        };
        Chart { plots: vec![plot] }
    }

    #[test]
    fn the_point_under_the_pointer_is_found() {
        // Frame::of(400 × 300): 58 to 390 across, 10 to 260 down.
        let size = (400.0, 300.0);
        assert_eq!(chart().nearest((60.0, 135.0), size), Some(0));
        assert_eq!(chart().nearest((388.0, 70.0), size), Some(2));
        assert_eq!(chart().nearest((200.0, 200.0), size), None);
    }

    #[test]
    fn a_chart_is_drawn_with_its_words_and_points() {
        let svg = chart().to_svg(80.0, 60.0);
        assert!(svg.contains("catalogue") && svg.contains("predicted") && svg.contains("80mm"));
        assert_eq!(svg.matches("<circle").count(), 2, "one of the three is no number");
    }

    #[test]
    fn heights_are_cells_and_lines() {
        let steps = vec![0.0, 0.25, 0.5, 0.75, 1.0];
        let mut heights: Vec<f64> = steps.iter().flat_map(|x| steps.iter().map(move |y| x + y)).collect();
        heights[0] = f64::NAN;
        let relief = Relief { x: steps.clone(), y: steps, heights, range: (0.0, 2.0) };
        let marks = vec![Mark::Map(relief.clone()), Mark::Contours(relief, vec![0.3, 1.9])];
        let plot = Plot { marks, y_label: String::new(), ..chart().plots.remove(0) };
        let svg = Chart { plots: vec![plot] }.to_svg(80.0, 60.0);
        assert_eq!(svg.matches("<rect").count(), 24, "one of 25 heights is no number");
        // Viridis' ends: the light one on what is low, the dark one on what is high.
        assert!(svg.contains("stroke=\"#FDE725\"") && svg.contains("stroke=\"#440154\""));
        assert!(!svg.contains("predicted"), "no vertical axis");
        assert_eq!(cell(&[10.0, 20.0, 40.0], 1, (0.0, 45.0)), (15.0, 30.0));
        assert_eq!(cell(&[40.0, 20.0, 10.0], 0, (0.0, 45.0)), (30.0, 45.0));
        assert_eq!(cell(&[7.0], 0, (0.0, 45.0)), (0.0, 45.0));
    }

    #[test]
    fn factors_have_ticks_at_round_numbers() {
        let plot = Plot { is_x_log: true, x_range: (9.0, 250.0), ..chart().plots.remove(0) };
        assert_eq!(plot.x_ticks(5), [10.0, 20.0, 50.0, 100.0, 200.0]);
    }

    #[test]
    fn ranges_hold_all_values() {
        assert_eq!(range_of([f64::NAN].into_iter()), (0.0, 1.0));
        let (low, high) = range_of([2.0, 4.0].into_iter());
        assert!(low < 2.0 && high > 4.0 && high < 4.5);
    }
}
