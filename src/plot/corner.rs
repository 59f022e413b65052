//! Corner plot of draws from a joint density: the histogram of each label on the diagonal, the draws of each pair below.

use plotters::backend::DrawingBackend;

use super::painter::{DrawResult, Drawable, Painter, Scale};
use super::{Frame, Mark, Paint, Plot, Theme};
use crate::stats::quantiles;

/// Number of bins of a histogram.
const BINS: usize = 24;

/// Largest number of draws in a panel; more only fill it.
const MAX_POINTS: usize = 600;

/// Margins of a panel, CSS pixels: for the values of the vertical axis, and for those of the horizontal one.
const MARGIN_LEFT_PX: f64 = 54.0;
const MARGIN_BOTTOM_PX: f64 = 40.0;
const GAP_PX: f64 = 10.0;

/// A corner plot: the panels of the lower triangle, row by row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Corner {
    panels: Vec<Plot>,
    labels: usize,
}

impl Corner {
    /// The plot of `columns`: for each label its axis title and its draws.
    pub fn of(columns: &[(String, Vec<f64>)]) -> Self {
        let range = |values: &[f64]| {
            let [low, high] = quantiles(values.iter().copied(), [0.002, 0.998]).unwrap_or([0.0, 1.0]);
            let margin = 0.1 * (high - low).max(1e-6);
            (low - margin, high + margin)
        };
        let ranges: Vec<(f64, f64)> = columns.iter().map(|(_, values)| range(values)).collect();
        let mut panels = Vec::new();
        for (i, (y_title, y)) in columns.iter().enumerate() {
            for (j, (x_title, x)) in columns.iter().enumerate().take(i + 1) {
                let plot = |y_label: &str, y_range, marks| Plot {
                    x_label: x_title.clone(),
                    y_label: y_label.into(),
                    x_range: ranges[j],
                    y_range,
                    is_x_log: false,
                    share: 1.0,
                    marks,
                };
                panels.push(if i == j {
                    let (points, highest) = histogram(x, ranges[j]);
                    plot("", (0.0, 1.1 * highest), vec![Mark::Curve { points, paint: Paint::Series(0) }])
                } else {
                    let is_inside = |(x, y): &(f64, f64)| {
                        (ranges[j].0..ranges[j].1).contains(x) && (ranges[i].0..ranges[i].1).contains(y)
                    };
                    let at = x.iter().copied().zip(y.iter().copied()).filter(is_inside).take(MAX_POINTS).collect();
                    let points = Mark::Points { at, paint: Paint::Series(0), radius_px: 1.2, is_filled: true };
                    plot(y_title, ranges[i], vec![points])
                });
            }
        }
        Self { panels, labels: columns.len() }
    }

    /// Frame of the panel in a row and column, in a figure of this size.
    fn frame(&self, (row, column): (usize, usize), (width_px, height_px): (f64, f64)) -> Frame {
        let n = self.labels.max(1) as f64;
        let (cell_width, cell_height) = (width_px / n, height_px / n);
        let (left, top) = (cell_width * column as f64 + MARGIN_LEFT_PX, cell_height * row as f64 + GAP_PX);
        Frame {
            left,
            right: (cell_width * (column + 1) as f64 - GAP_PX).max(left + 1.0),
            top,
            bottom: (cell_height * (row + 1) as f64 - MARGIN_BOTTOM_PX).max(top + 1.0),
        }
    }
}

impl Drawable for Corner {
    fn draw<DB: DrawingBackend>(&self, backend: &mut DB, theme: &Theme, scale: Scale) -> DrawResult<DB> {
        let (mut painter, size_px) = Painter::over(backend, theme, scale);
        let positions = (0..self.labels).flat_map(|row| (0..=row).map(move |column| (row, column)));
        for (panel, position) in self.panels.iter().zip(positions) {
            panel.draw(&mut painter, self.frame(position, size_px))?;
        }
        Ok(())
    }
}

/// The outline of a histogram, and the height of its highest bin.
fn histogram(values: &[f64], (low, high): (f64, f64)) -> (Vec<(f64, f64)>, f64) {
    let width = (high - low) / BINS as f64;
    let mut counts = [0usize; BINS];
    for value in values.iter().filter(|v| (low..high).contains(*v)) {
        counts[(((value - low) / width) as usize).min(BINS - 1)] += 1;
    }
    let edge = |i: usize| low + width * i as f64;
    let outline = counts.iter().enumerate().flat_map(|(i, n)| [(edge(i), *n as f64), (edge(i + 1), *n as f64)]);
    let points = [(low, 0.0)].into_iter().chain(outline).chain([(high, 0.0)]).collect();
    (points, counts.into_iter().max().unwrap_or(0).max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_labels_have_ten_panels_and_a_histogram_counts_all_values() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from(i % 100) / 100.0).collect();
        let columns: Vec<(String, Vec<f64>)> = (0..4).map(|i| (format!("label {i}"), values.clone())).collect();
        let corner = Corner::of(&columns);
        assert_eq!(corner.panels.len(), 10);
        let (points, highest) = histogram(&values, (0.0, 1.0));
        let total: f64 = points.chunks_exact(2).map(|edge| edge[1].1).sum();
        assert!((total - 1000.0).abs() < 1e-9, "{total}");
        assert!(highest >= 1000.0 / BINS as f64);
        let svg = corner.to_svg(120.0, 120.0);
        assert!(svg.contains("label 0") && svg.contains("label 3"));
    }
}
