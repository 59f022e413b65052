//! Panels over one wavelength axis, and how they are drawn.

use plotters::backend::DrawingBackend;
use plotters::style::text_anchor::{HPos, VPos};

use super::pen::{Drawing, Drawn, Pen, Scale};
use super::{LINES, Paint, Theme, columns, decimals_for, ticks};

/// One thing drawn in a panel, lowest first.
#[derive(Debug, Clone)]
pub enum Layer<'a> {
    /// Curve through points of increasing wavelength. Values that are not finite break it.
    Line {
        /// Wavelengths, Å.
        wave: &'a [f32],
        /// Values, in the panel's unit.
        value: &'a [f32],
        /// What it is.
        paint: Paint,
        /// Thickness, CSS pixels.
        width: f64,
    },
    /// Area of ±`half` about a curve.
    Band {
        /// Wavelengths, Å.
        wave: &'a [f32],
        /// Middle.
        value: &'a [f32],
        /// Half the height; points where it is not finite are left out.
        half: &'a [f32],
        /// What it is.
        paint: Paint,
    },
    /// Ranges of wavelength, shaded over the whole height.
    Spans {
        /// From and to, Å.
        ranges: Vec<(f64, f64)>,
        /// What they are.
        paint: Paint,
    },
    /// Dashed level over the whole width.
    Level(f64),
}

/// One plot of a [`Figure`].
#[derive(Debug, Clone)]
pub struct Panel<'a> {
    /// What the vertical axis shows, with its unit.
    pub y_label: String,
    /// Lowest and highest value shown.
    pub y_range: (f64, f64),
    /// What is drawn, lowest first.
    pub layers: Vec<Layer<'a>>,
    /// Observed wavelength over rest wavelength, by which the names of lines are shifted.
    pub line_shift: f64,
}

/// Panels above each other that share a wavelength axis.
#[derive(Debug, Clone)]
pub struct Figure<'a> {
    /// From the top down.
    pub panels: Vec<Panel<'a>>,
    /// First and last wavelength shown, Å.
    pub wave_range_aa: (f64, f64),
}

/// The rectangle inside the axes of a panel, CSS pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)]
pub struct Frame {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

/// Range of wavelengths from which on the weaker lines are named, Å.
const NEAR_BY_AA: f64 = 450.0;

/// Height of a row of lines' names, CSS pixels.
const NAME_ROW: f64 = 13.0;

const MARGIN_LEFT: f64 = 58.0;
const MARGIN_RIGHT: f64 = 10.0;
const MARGIN_TOP: f64 = 38.0;
const MARGIN_BOTTOM: f64 = 40.0;

impl Frame {
    /// The frame of panel `index` of `count` in a figure of this size.
    pub fn of(index: usize, count: usize, width_px: f64, height_px: f64) -> Frame {
        let each = height_px / count.max(1) as f64;
        Frame {
            left: MARGIN_LEFT,
            right: (width_px - MARGIN_RIGHT).max(MARGIN_LEFT + 1.0),
            top: each * index as f64 + MARGIN_TOP,
            bottom: (each * (index + 1) as f64 - MARGIN_BOTTOM).max(each * index as f64 + MARGIN_TOP + 1.0),
        }
    }

    /// The wavelength under a horizontal position.
    pub fn wave_at(&self, x_px: f64, range: (f64, f64)) -> f64 {
        range.0 + (x_px - self.left) / (self.right - self.left) * (range.1 - range.0)
    }

    /// The horizontal position of a wavelength.
    pub fn x_of(&self, wave_aa: f64, range: (f64, f64)) -> f64 {
        self.left + (wave_aa - range.0) / (range.1 - range.0) * (self.right - self.left)
    }

    /// The vertical position of a value, held just inside the frame: backends do not clip.
    pub(super) fn y_of(&self, value: f64, range: (f64, f64)) -> f64 {
        let y = self.bottom - (value - range.0) / (range.1 - range.0) * (self.bottom - self.top);
        y.clamp(self.top, self.bottom)
    }
}

impl Drawing for Figure<'_> {
    fn draw<DB: DrawingBackend>(&self, backend: &mut DB, theme: &Theme, scale: Scale) -> Drawn<DB> {
        let (mut pen, (width_px, height_px)) = Pen::over(backend, theme, scale);
        for (i, panel) in self.panels.iter().enumerate() {
            let frame = Frame::of(i, self.panels.len(), width_px, height_px);
            panel.draw(&mut pen, frame, self.wave_range_aa)?;
        }
        Ok(())
    }
}

impl Panel<'_> {
    fn draw<DB: DrawingBackend>(&self, pen: &mut Pen<DB>, frame: Frame, range: (f64, f64)) -> Drawn<DB> {
        self.draw_axes(pen, frame, range)?;
        for layer in &self.layers {
            self.draw_layer(pen, frame, range, layer)?;
        }
        self.draw_line_names(pen, frame, range)?;
        let Frame { left, top, right, bottom } = frame;
        pen.path(&[(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], Paint::Axis, 1.0)
    }

    fn draw_axes<DB: DrawingBackend>(&self, pen: &mut Pen<DB>, frame: Frame, range: (f64, f64)) -> Drawn<DB> {
        let Frame { left, top, right, bottom } = frame;
        let wave_ticks = ticks(range.0, range.1, ((right - left) / 95.0).ceil() as usize);
        let decimals = decimals_for(&wave_ticks);
        for tick in wave_ticks {
            let x = frame.x_of(tick, range);
            pen.path(&[(x, top), (x, bottom)], Paint::Grid, 1.0)?;
            pen.path(&[(x, bottom), (x, bottom - 5.0)], Paint::Axis, 1.0)?;
            pen.text(&format!("{tick:.decimals$}"), (x, bottom + 5.0), (HPos::Center, VPos::Top), Paint::Axis)?;
        }
        pen.value_axis((left, right), (top, bottom), self.y_range, &self.y_label)?;
        let centre = (left + right) / 2.0;
        pen.text("Wavelength (Å, vacuum)", (centre, bottom + 21.0), (HPos::Center, VPos::Top), Paint::Axis)
    }

    fn draw_layer<DB: DrawingBackend>(
        &self,
        pen: &mut Pen<DB>,
        frame: Frame,
        range: (f64, f64),
        layer: &Layer,
    ) -> Drawn<DB> {
        let columns_across = (frame.right - frame.left).max(1.0) as usize;
        let point = |wave: f32, value: f64| {
            let x = frame.x_of(f64::from(wave), range).clamp(frame.left, frame.right);
            (x, frame.y_of(value, self.y_range))
        };
        match layer {
            Layer::Line { wave, value, paint, width } => {
                let mut run = Vec::new();
                for i in columns(wave, value, range.0, range.1, columns_across) {
                    if value[i].is_finite() {
                        run.push(point(wave[i], f64::from(value[i])));
                    } else {
                        pen.path(&run, *paint, *width)?;
                        run.clear();
                    }
                }
                pen.path(&run, *paint, *width)
            }
            Layer::Band { wave, value, half, paint } => {
                let shown = |i: &usize| value[*i].is_finite() && half.get(*i).is_some_and(|h| h.is_finite());
                let kept: Vec<usize> = columns(wave, value, range.0, range.1, columns_across);
                // One polygon a run without gaps: masked pixels have no σ.
                for run in kept.split(|i| !shown(i)) {
                    let edge =
                        |i: &usize, sign: f64| point(wave[*i], f64::from(value[*i]) + sign * f64::from(half[*i]));
                    let upper = run.iter().map(|i| edge(i, 1.0));
                    let lower = run.iter().rev().map(|i| edge(i, -1.0));
                    pen.polygon(upper.chain(lower).collect(), *paint)?;
                }
                Ok(())
            }
            Layer::Spans { ranges, paint } => {
                // Spans that touch on the screen are one, or their shades would add up.
                let mut open: Option<(f64, f64)> = None;
                for &(from, to) in ranges.iter().filter(|r| r.1 >= range.0 && r.0 <= range.1) {
                    let x0 = frame.x_of(from, range).clamp(frame.left, frame.right);
                    let x1 = frame.x_of(to, range).clamp(frame.left, frame.right).max(x0 + 1.0);
                    open = match open {
                        Some((a, b)) if x0 <= b + 0.5 => Some((a, x1.max(b))),
                        Some(done) => {
                            pen.rectangle(done, (frame.top, frame.bottom), *paint)?;
                            Some((x0, x1))
                        }
                        None => Some((x0, x1)),
                    };
                }
                open.map_or(Ok(()), |last| pen.rectangle(last, (frame.top, frame.bottom), *paint))
            }
            Layer::Level(value) => {
                let y = frame.y_of(*value, self.y_range);
                pen.dashes((frame.left, y), (frame.right, y), Paint::Label)
            }
        }
    }

    /// Names of the strongest lines that find room above the frame, each with a short leader into it: in one row, or in a
    /// second above it where its leader passes between the names of the first.
    fn draw_line_names<DB: DrawingBackend>(&self, pen: &mut Pen<DB>, frame: Frame, range: (f64, f64)) -> Drawn<DB> {
        let is_near_by = range.1 - range.0 < NEAR_BY_AA;
        let mut lines: Vec<_> = LINES.iter().filter(|line| line.weight > 0 || is_near_by).collect();
        lines.sort_by_key(|l| std::cmp::Reverse(l.weight));
        let mut taken: [Vec<(f64, f64)>; 2] = Default::default();
        for line in lines {
            let wave = line.wave_vac_aa * self.line_shift;
            if !(range.0..=range.1).contains(&wave) {
                continue;
            }
            let x = frame.x_of(wave, range);
            let half = 3.2 * line.name.chars().count() as f64 + 3.0;
            let is_free = |row: &[(f64, f64)], half: f64| row.iter().all(|(a, b)| x + half <= *a || x - half >= *b);
            let [first, second] = &mut taken;
            let (row, above) = if is_free(first, half) {
                (first, 7.0)
            } else if is_free(first, 1.0) && is_free(second, half) {
                (second, 7.0 + NAME_ROW)
            } else {
                continue;
            };
            row.push((x - half, x + half));
            pen.path(&[(x, frame.top - above), (x, frame.top + 7.0)], Paint::Label, 1.0)?;
            pen.text(line.name, (x, frame.top - above - 2.0), (HPos::Center, VPos::Bottom), Paint::Label)?;
        }
        Ok(())
    }
}
