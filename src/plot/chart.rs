//! Charts of points and curves: predicted against true values, losses, learning curves.

use plotters::backend::DrawingBackend;
use plotters::style::text_anchor::{HPos, VPos};

use super::contour::contour;
use super::painter::{DrawResult, Drawable, Painter, Scale, signed};
use super::{Frame, Paint, Theme, decimals_for, ticks};

/// An element of a plot. Points that are not finite are omitted.
#[derive(Debug, Clone, PartialEq)]
pub enum Mark {
    /// Filled or open circles.
    Points {
        /// x and y.
        at: Vec<(f64, f64)>,
        /// Role of the points, which determines their colour.
        paint: Paint,
        /// Radius, CSS pixels.
        radius_px: f64,
        /// Whether the circles are filled.
        is_filled: bool,
    },
    /// A curve through points.
    Curve {
        /// x and y.
        points: Vec<(f64, f64)>,
        /// Role of the curve, which determines its colour.
        paint: Paint,
    },
    /// Vertical error bars.
    Bars {
        /// x, y and σ.
        at: Vec<(f64, f64, f64)>,
        /// Role of the bars, which determines their colour.
        paint: Paint,
    },
    /// Coloured cells around the points of a grid.
    Map(Heatmap),
    /// Contour lines of a map at these levels: light where the map is dark, and dark where it is light.
    Contours(Heatmap, Vec<f64>),
    /// A dashed horizontal line over the whole width.
    Level(f64),
    /// The line y = x, dashed.
    Diagonal,
}

/// Heights over a grid of points.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Heatmap {
    /// Increasing x coordinates of the points.
    pub x: Vec<f64>,
    /// Increasing y coordinates of the points.
    pub y: Vec<f64>,
    /// Heights, `[x][y]`; heights that are not finite are omitted.
    pub heights: Vec<f64>,
    /// Heights at the ends of the colour ramp.
    pub range: (f64, f64),
}

impl Heatmap {
    fn colour(&self, height: f64) -> u8 {
        let fraction = (height - self.range.0) / (self.range.1 - self.range.0).max(1e-12);
        (fraction.clamp(0.0, 1.0) * 255.0).round() as u8
    }
}

/// One plot of a [`Chart`].
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// Label of the horizontal axis, with its unit.
    pub x_label: String,
    /// Label of the vertical axis, with its unit; empty for no axis.
    pub y_label: String,
    /// Lowest and highest x in view.
    pub x_range: (f64, f64),
    /// Lowest and highest y in view.
    pub y_range: (f64, f64),
    /// Whether the x axis is logarithmic.
    pub is_x_log: bool,
    /// Relative height of the plot; the chart's height is divided in proportion.
    pub share: f64,
    /// Elements of the plot; later elements cover earlier ones.
    pub marks: Vec<Mark>,
}

/// Chart of one or more plots, one above the other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chart {
    /// Plots from top to bottom.
    pub plots: Vec<Plot>,
}

impl Drawable for Chart {
    fn draw<DB: DrawingBackend>(&self, backend: &mut DB, theme: &Theme, scale: Scale) -> DrawResult<DB> {
        let (mut painter, size_px) = Painter::over(backend, theme, scale);
        for (i, plot) in self.plots.iter().enumerate() {
            plot.draw(&mut painter, self.frame(i, size_px))?;
        }
        Ok(())
    }
}

impl Chart {
    /// Frame of a plot's axes in a chart of this size, CSS pixels.
    fn frame(&self, index: usize, (width_px, height_px): (f64, f64)) -> Frame {
        let total: f64 = self.plots.iter().map(|p| p.share).sum();
        let share_above: f64 = self.plots.iter().take(index).map(|p| p.share).sum();
        let (top, height) = (height_px * share_above / total, height_px * self.plots[index].share / total);
        let frame = Frame::of(0, 1, width_px, height);
        // These frames need no space above for the names of spectral lines.
        Frame { top: top + 10.0, bottom: (top + frame.bottom).max(top + 11.0), ..frame }
    }

    /// Index of the point nearest to a position, within 14 CSS pixels (a fingertip).
    ///
    /// The index counts the points of the [`Mark::Points`] that contains the point.
    pub fn nearest(&self, at_px: (f64, f64), size_px: (f64, f64)) -> Option<usize> {
        let mut best = (14.0f64, None);
        for (i, plot) in self.plots.iter().enumerate() {
            let frame = self.frame(i, size_px);
            for mark in &plot.marks {
                let Mark::Points { at, .. } = mark else { continue };
                for (j, point) in at.iter().enumerate().filter(|(_, (x, y))| x.is_finite() && y.is_finite()) {
                    let (x, y) = plot.position_px(frame, *point);
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
    pub(super) fn draw<DB: DrawingBackend>(&self, painter: &mut Painter<DB>, frame: Frame) -> DrawResult<DB> {
        let Frame { left, top, right, bottom } = frame;
        self.draw_x_axis(painter, frame)?;
        if !self.y_label.is_empty() {
            painter.value_axis((left, right), (top, bottom), self.y_range, &self.y_label)?;
        }
        for mark in &self.marks {
            self.draw_mark(painter, frame, mark)?;
        }
        painter.path(&[(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], Paint::Axis, 1.0)
    }

    fn draw_x_axis<DB: DrawingBackend>(&self, painter: &mut Painter<DB>, frame: Frame) -> DrawResult<DB> {
        let Frame { left, top, right, bottom } = frame;
        let values = self.x_ticks(((right - left) / 80.0).ceil() as usize);
        let decimals = decimals_for(&values);
        for value in values {
            let decimals = if self.is_x_log { (-value.log10().floor()).max(0.0) as usize } else { decimals };
            let x = self.x_of(frame, value);
            painter.path(&[(x, top), (x, bottom)], Paint::Grid, 1.0)?;
            painter.path(&[(x, bottom), (x, bottom - 5.0)], Paint::Axis, 1.0)?;
            painter.text(&signed(value, decimals), (x, bottom + 5.0), (HPos::Center, VPos::Top), Paint::Axis)?;
        }
        painter.text(&self.x_label, ((left + right) / 2.0, bottom + 21.0), (HPos::Center, VPos::Top), Paint::Axis)
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

    /// Position of a point on the screen; a point outside the axes is moved to the edge of the frame.
    fn position_px(&self, frame: Frame, (x, y): (f64, f64)) -> (f64, f64) {
        (self.x_of(frame, x).clamp(frame.left, frame.right), frame.y_of(y, self.y_range))
    }

    fn draw_mark<DB: DrawingBackend>(&self, painter: &mut Painter<DB>, frame: Frame, mark: &Mark) -> DrawResult<DB> {
        match mark {
            Mark::Points { at, paint, radius_px, is_filled } => {
                for point in at.iter().filter(|(x, y)| x.is_finite() && y.is_finite()) {
                    painter.disc(self.position_px(frame, *point), *radius_px, *paint, *is_filled)?;
                }
                Ok(())
            }
            Mark::Curve { points, paint } => {
                let finite = points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
                painter.path(&finite.map(|p| self.position_px(frame, *p)).collect::<Vec<_>>(), *paint, 1.75)
            }
            Mark::Bars { at, paint } => {
                for (x, y, half) in at.iter().filter(|(x, y, half)| (x + y + half).is_finite()) {
                    let ends = [self.position_px(frame, (*x, y - half)), self.position_px(frame, (*x, y + half))];
                    painter.path(&ends, *paint, 1.0)?;
                }
                Ok(())
            }
            Mark::Map(heatmap) => {
                let x: Vec<f64> = heatmap.x.iter().map(|x| self.x_of(frame, *x)).collect();
                let y: Vec<f64> = heatmap.y.iter().map(|y| frame.y_of(*y, self.y_range)).collect();
                let cells = |i| (0..heatmap.y.len()).map(move |j| (i, j));
                for (i, j) in (0..heatmap.x.len()).flat_map(cells) {
                    let height = heatmap.heights.get(i * heatmap.y.len() + j).copied().unwrap_or(f64::NAN);
                    if height.is_finite() {
                        let paint = Paint::Ramp(heatmap.colour(height));
                        let x_extent = cell(&x, i, (frame.left, frame.right));
                        painter.rectangle(x_extent, cell(&y, j, (frame.top, frame.bottom)), paint)?;
                    }
                }
                Ok(())
            }
            Mark::Contours(heatmap, levels) => {
                for level in levels {
                    let paint = Paint::Ramp(if heatmap.colour(*level) < 128 { 255 } else { 0 });
                    for segment in contour(&heatmap.x, &heatmap.y, &heatmap.heights, *level) {
                        painter.path(&segment.map(|point| self.position_px(frame, point)), paint, 1.0)?;
                    }
                }
                Ok(())
            }
            Mark::Level(value) => {
                let y = frame.y_of(*value, self.y_range);
                painter.dashes((frame.left, y), (frame.right, y), Paint::Label)
            }
            Mark::Diagonal => {
                let low = self.x_range.0.max(self.y_range.0);
                let high = self.x_range.1.min(self.y_range.1);
                if high <= low {
                    return Ok(());
                }
                painter.dashes(self.position_px(frame, (low, low)), self.position_px(frame, (high, high)), Paint::Label)
            }
        }
    }
}

/// Extent of the grid cell around position `i`: halfway to its neighbours, inside the frame; the whole frame for a
/// single position.
fn cell(at: &[f64], i: usize, (low, high): (f64, f64)) -> (f64, f64) {
    let half = |other: Option<&f64>| other.map(|other| (at[i] - other).abs() / 2.0);
    let before = half(i.checked_sub(1).and_then(|k| at.get(k)));
    let after = half(at.get(i + 1));
    let Some((before, after)) = before.or(after).zip(after.or(before)) else { return (low, high) };
    // Screen positions decrease with increasing values on the y axis.
    let is_down = at.len() > 1 && at[1] < at[0];
    let (left, right) = if is_down { (after, before) } else { (before, after) };
    ((at[i] - left).max(low), (at[i] + right).min(high))
}

/// A range that contains all finite values, with a margin; (0, 1) without finite values.
pub fn range_of(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let finite = values.filter(|v| v.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        return (0.0, 1.0);
    }
    let margin = 0.06 * (high - low).max(1e-6 * high.abs()).max(1e-9);
    (low - margin, high + margin)
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
    fn nearest_finds_the_point_at_the_pointer() {
        // Frame::of(400 × 300): x from 58 to 390, y from 10 to 260.
        let size = (400.0, 300.0);
        assert_eq!(chart().nearest((60.0, 135.0), size), Some(0));
        assert_eq!(chart().nearest((388.0, 70.0), size), Some(2));
        assert_eq!(chart().nearest((200.0, 200.0), size), None);
    }

    #[test]
    fn svg_contains_labels_and_points() {
        let svg = chart().to_svg(80.0, 60.0);
        assert!(svg.contains("catalogue") && svg.contains("predicted") && svg.contains("80mm"));
        assert_eq!(svg.matches("<circle").count(), 2, "one of the three is no number");
    }

    #[test]
    fn heatmap_is_drawn_as_cells_and_contours() {
        let steps = vec![0.0, 0.25, 0.5, 0.75, 1.0];
        let mut heights: Vec<f64> = steps.iter().flat_map(|x| steps.iter().map(move |y| x + y)).collect();
        heights[0] = f64::NAN;
        let heatmap = Heatmap { x: steps.clone(), y: steps, heights, range: (0.0, 2.0) };
        let marks = vec![Mark::Map(heatmap.clone()), Mark::Contours(heatmap, vec![0.3, 1.9])];
        let plot = Plot { marks, y_label: String::new(), ..chart().plots.remove(0) };
        let svg = Chart { plots: vec![plot] }.to_svg(80.0, 60.0);
        assert_eq!(svg.matches("<rect").count(), 24, "one of 25 heights is no number");
        // Ends of viridis: the light end on low heights, the dark end on high heights.
        assert!(svg.contains("stroke=\"#FDE725\"") && svg.contains("stroke=\"#440154\""));
        assert!(!svg.contains("predicted"), "no vertical axis");
        assert_eq!(cell(&[10.0, 20.0, 40.0], 1, (0.0, 45.0)), (15.0, 30.0));
        assert_eq!(cell(&[40.0, 20.0, 10.0], 0, (0.0, 45.0)), (30.0, 45.0));
        assert_eq!(cell(&[7.0], 0, (0.0, 45.0)), (0.0, 45.0));
    }

    #[test]
    fn logarithmic_axis_has_ticks_at_round_numbers() {
        let plot = Plot { is_x_log: true, x_range: (9.0, 250.0), ..chart().plots.remove(0) };
        assert_eq!(plot.x_ticks(5), [10.0, 20.0, 50.0, 100.0, 200.0]);
    }

    #[test]
    fn range_contains_all_values() {
        assert_eq!(range_of([f64::NAN].into_iter()), (0.0, 1.0));
        let (low, high) = range_of([2.0, 4.0].into_iter());
        assert!(low < 2.0 && high > 4.0 && high < 4.5);
    }
}
