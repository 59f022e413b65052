//! Panels over one wavelength axis, and their drawing.

use plotters::backend::DrawingBackend;
use plotters::style::text_anchor::{HPos, VPos};

use super::painter::{DrawResult, Drawable, Painter, Scale};
use super::{LINES, Paint, Theme, columns, decimals_for, ticks};

/// An element of a panel.
#[derive(Debug, Clone)]
pub enum Layer<'a> {
    /// A curve through points of increasing wavelength. Values that are not finite interrupt it.
    Line {
        /// Wavelengths, Å.
        wave: &'a [f32],
        /// Values, in the panel's unit.
        value: &'a [f32],
        /// Role of the curve, which determines its colour.
        paint: Paint,
        /// Line width, CSS pixels.
        width: f64,
    },
    /// A band of ±`half` around a curve.
    Band {
        /// Wavelengths, Å.
        wave: &'a [f32],
        /// Centre of the band.
        value: &'a [f32],
        /// Half height of the band; points with a value that is not finite are omitted.
        half: &'a [f32],
        /// Role of the band, which determines its colour.
        paint: Paint,
    },
    /// Wavelength ranges, shaded over the whole height.
    Spans {
        /// First and last wavelength, Å.
        ranges: Vec<(f64, f64)>,
        /// Role of the ranges, which determines their colour.
        paint: Paint,
    },
    /// A dashed horizontal line over the whole width.
    Level(f64),
}

/// One plot of a [`Figure`].
#[derive(Debug, Clone)]
pub struct Panel<'a> {
    /// Label of the vertical axis, with its unit.
    pub y_label: String,
    /// Lowest and highest value in view.
    pub y_range: (f64, f64),
    /// Elements of the panel; later elements cover earlier ones.
    pub layers: Vec<Layer<'a>>,
    /// Ratio of observed to rest wavelength, which shifts the names of lines.
    pub line_shift: f64,
}

/// Panels one above the other, with a common wavelength axis.
#[derive(Debug, Clone)]
pub struct Figure<'a> {
    /// Panels from top to bottom.
    pub panels: Vec<Panel<'a>>,
    /// First and last wavelength in view, Å.
    pub wave_range_aa: (f64, f64),
}

/// The rectangle inside the axes of a panel, CSS pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs, reason = "the four edges of a rectangle")]
pub struct Frame {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

/// Width of the wavelength range below which weak lines are also named, Å.
const WEAK_LINES_BELOW_AA: f64 = 450.0;

/// Height of a row of line names, CSS pixels.
const NAME_ROW_PX: f64 = 13.0;

const MARGIN_LEFT_PX: f64 = 58.0;
const MARGIN_RIGHT_PX: f64 = 10.0;
const MARGIN_TOP_PX: f64 = 38.0;
const MARGIN_BOTTOM_PX: f64 = 40.0;

impl Frame {
    /// The frame of panel `index` of `count` in a figure of this size.
    pub fn of(index: usize, count: usize, width_px: f64, height_px: f64) -> Self {
        let panel_height = height_px / count.max(1) as f64;
        Self {
            left: MARGIN_LEFT_PX,
            right: (width_px - MARGIN_RIGHT_PX).max(MARGIN_LEFT_PX + 1.0),
            top: panel_height * index as f64 + MARGIN_TOP_PX,
            bottom: (panel_height * (index + 1) as f64 - MARGIN_BOTTOM_PX)
                .max(panel_height * index as f64 + MARGIN_TOP_PX + 1.0),
        }
    }

    /// Wavelength at a horizontal position.
    pub fn wave_at(&self, x_px: f64, range: (f64, f64)) -> f64 {
        range.0 + (x_px - self.left) / (self.right - self.left) * (range.1 - range.0)
    }

    /// Horizontal position of a wavelength.
    pub fn x_of(&self, wave_aa: f64, range: (f64, f64)) -> f64 {
        self.left + (wave_aa - range.0) / (range.1 - range.0) * (self.right - self.left)
    }

    /// Vertical position of a value, clamped to the frame since backends do not clip.
    pub(super) fn y_of(&self, value: f64, range: (f64, f64)) -> f64 {
        let y = self.bottom - (value - range.0) / (range.1 - range.0) * (self.bottom - self.top);
        y.clamp(self.top, self.bottom)
    }
}

impl Drawable for Figure<'_> {
    fn draw<DB: DrawingBackend>(&self, backend: &mut DB, theme: &Theme, scale: Scale) -> DrawResult<DB> {
        let (mut painter, (width_px, height_px)) = Painter::over(backend, theme, scale);
        for (i, panel) in self.panels.iter().enumerate() {
            let frame = Frame::of(i, self.panels.len(), width_px, height_px);
            panel.draw(&mut painter, frame, self.wave_range_aa)?;
        }
        Ok(())
    }
}

impl Panel<'_> {
    fn draw<DB: DrawingBackend>(&self, painter: &mut Painter<DB>, frame: Frame, range: (f64, f64)) -> DrawResult<DB> {
        self.draw_axes(painter, frame, range)?;
        for layer in &self.layers {
            self.draw_layer(painter, frame, range, layer)?;
        }
        self.draw_line_names(painter, frame, range)?;
        let Frame { left, top, right, bottom } = frame;
        painter.path(&[(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], Paint::Axis, 1.0)
    }

    fn draw_axes<DB: DrawingBackend>(
        &self,
        painter: &mut Painter<DB>,
        frame: Frame,
        range: (f64, f64),
    ) -> DrawResult<DB> {
        let Frame { left, top, right, bottom } = frame;
        let wave_ticks = ticks(range.0, range.1, ((right - left) / 95.0).ceil() as usize);
        let decimals = decimals_for(&wave_ticks);
        for tick in wave_ticks {
            let x = frame.x_of(tick, range);
            painter.path(&[(x, top), (x, bottom)], Paint::Grid, 1.0)?;
            painter.path(&[(x, bottom), (x, bottom - 5.0)], Paint::Axis, 1.0)?;
            painter.text(&format!("{tick:.decimals$}"), (x, bottom + 5.0), (HPos::Center, VPos::Top), Paint::Axis)?;
        }
        painter.value_axis((left, right), (top, bottom), self.y_range, &self.y_label)?;
        let centre = (left + right) / 2.0;
        painter.text("Wavelength (Å, vacuum)", (centre, bottom + 21.0), (HPos::Center, VPos::Top), Paint::Axis)
    }

    fn draw_layer<DB: DrawingBackend>(
        &self,
        painter: &mut Painter<DB>,
        frame: Frame,
        range: (f64, f64),
        layer: &Layer,
    ) -> DrawResult<DB> {
        let n_columns = (frame.right - frame.left).max(1.0) as usize;
        let point = |wave: f32, value: f64| {
            let x = frame.x_of(f64::from(wave), range).clamp(frame.left, frame.right);
            (x, frame.y_of(value, self.y_range))
        };
        match layer {
            Layer::Line { wave, value, paint, width } => {
                let mut run = Vec::new();
                for i in columns(wave, value, range.0, range.1, n_columns) {
                    if value[i].is_finite() {
                        run.push(point(wave[i], f64::from(value[i])));
                    } else {
                        painter.path(&run, *paint, *width)?;
                        run.clear();
                    }
                }
                painter.path(&run, *paint, *width)
            }
            Layer::Band { wave, value, half, paint } => {
                let is_finite = |i: &usize| value[*i].is_finite() && half.get(*i).is_some_and(|h| h.is_finite());
                let indices: Vec<usize> = columns(wave, value, range.0, range.1, n_columns);
                // One polygon per run without gaps: masked pixels have no σ.
                for run in indices.split(|i| !is_finite(i)) {
                    let edge =
                        |i: &usize, sign: f64| point(wave[*i], f64::from(value[*i]) + sign * f64::from(half[*i]));
                    let upper = run.iter().map(|i| edge(i, 1.0));
                    let lower = run.iter().rev().map(|i| edge(i, -1.0));
                    painter.polygon(upper.chain(lower).collect(), *paint)?;
                }
                Ok(())
            }
            Layer::Spans { ranges, paint } => {
                // Merge spans that touch on the screen; otherwise their shades would add up.
                let mut current: Option<(f64, f64)> = None;
                for &(from, to) in ranges.iter().filter(|r| r.1 >= range.0 && r.0 <= range.1) {
                    let x0 = frame.x_of(from, range).clamp(frame.left, frame.right);
                    let x1 = frame.x_of(to, range).clamp(frame.left, frame.right).max(x0 + 1.0);
                    current = match current {
                        Some((a, b)) if x0 <= b + 0.5 => Some((a, x1.max(b))),
                        Some(span) => {
                            painter.rectangle(span, (frame.top, frame.bottom), *paint)?;
                            Some((x0, x1))
                        }
                        None => Some((x0, x1)),
                    };
                }
                current.map_or(Ok(()), |last| painter.rectangle(last, (frame.top, frame.bottom), *paint))
            }
            Layer::Level(value) => {
                let y = frame.y_of(*value, self.y_range);
                painter.dashes((frame.left, y), (frame.right, y), Paint::Label)
            }
        }
    }

    /// Names of the strongest lines for which there is space above the frame, each with a short leader into the frame.
    ///
    /// The names have two rows. A name goes to the upper row if its leader fits between the names of the lower row.
    fn draw_line_names<DB: DrawingBackend>(
        &self,
        painter: &mut Painter<DB>,
        frame: Frame,
        range: (f64, f64),
    ) -> DrawResult<DB> {
        let shows_weak_lines = range.1 - range.0 < WEAK_LINES_BELOW_AA;
        let mut lines: Vec<_> = LINES.iter().filter(|line| line.weight > 0 || shows_weak_lines).collect();
        lines.sort_by_key(|l| std::cmp::Reverse(l.weight));
        let mut occupied: [Vec<(f64, f64)>; 2] = Default::default();
        for line in lines {
            let wave = line.wave_vac_aa * self.line_shift;
            if !(range.0..=range.1).contains(&wave) {
                continue;
            }
            let x = frame.x_of(wave, range);
            let half = 3.2 * line.name.chars().count() as f64 + 3.0;
            let is_free = |row: &[(f64, f64)], half: f64| row.iter().all(|(a, b)| x + half <= *a || x - half >= *b);
            let [first, second] = &mut occupied;
            let (row, height_px) = if is_free(first, half) {
                (first, 7.0)
            } else if is_free(first, 1.0) && is_free(second, half) {
                (second, 7.0 + NAME_ROW_PX)
            } else {
                continue;
            };
            row.push((x - half, x + half));
            painter.path(&[(x, frame.top - height_px), (x, frame.top + 7.0)], Paint::Label, 1.0)?;
            painter.text(line.name, (x, frame.top - height_px - 2.0), (HPos::Center, VPos::Bottom), Paint::Label)?;
        }
        Ok(())
    }
}
