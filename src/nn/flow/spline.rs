//! Monotonic rational-quadratic splines on [−3, 3], the identity outside (Durkan et al. 2019).

use burn::tensor::activation::{softmax, softplus};
use burn::tensor::{Int, Tensor};

/// Bins of a spline.
pub(super) const BINS: usize = 10;
/// Numbers that describe one spline: widths, heights, inner slopes.
pub(super) const NUMBERS: usize = 3 * BINS - 1;
const BOUND: f64 = 3.0;
const LEAST: f64 = 1e-3;

/// Splines, one a row.
struct Splines {
    x: Tensor<2>,
    y: Tensor<2>,
    slope: Tensor<2>,
}

/// The bin that each row's value falls into, `[n]` each.
struct Bin {
    x: Tensor<1>,
    y: Tensor<1>,
    width: Tensor<1>,
    height: Tensor<1>,
    slope: [Tensor<1>; 2],
}

impl Splines {
    /// Knots and slopes from raw numbers `[n, 29]`; widths and heights were made by a network `hidden` wide.
    fn new(raw: Tensor<2>, hidden: usize) -> Self {
        let [n, _] = raw.dims();
        let device = raw.device();
        let knots = |from: usize| {
            let logits = raw.clone().narrow(1, from, BINS) / (hidden as f64).sqrt();
            let share = softmax(logits, 1) * (1.0 - LEAST * BINS as f64) + LEAST;
            let inner = share.cumsum(1).narrow(1, 0, BINS - 1) * (2.0 * BOUND) - BOUND;
            let end = |value: f64| Tensor::<2>::full([n, 1], value, &device);
            Tensor::cat(vec![end(-BOUND), inner, end(BOUND)], 1)
        };
        let inner = softplus(raw.clone().narrow(1, 2 * BINS, BINS - 1), 1.0) + LEAST;
        let end = Tensor::<2>::ones([n, 1], &device);
        Self { x: knots(0), y: knots(BINS), slope: Tensor::cat(vec![end.clone(), inner, end], 1) }
    }

    /// The bin of each value among `knots`.
    fn bin(&self, value: &Tensor<1>, knots: &Tensor<2>) -> Bin {
        let passed = value.clone().unsqueeze_dim::<2>(1).greater_equal(knots.clone().narrow(1, 0, BINS));
        let index = (passed.int().sum_dim(1) - 1).clamp(0, BINS as i32 - 1);
        let at = |table: &Tensor<2>, index: Tensor<2, Int>| table.clone().gather(1, index).squeeze_dim::<1>(1);
        let next = index.clone() + 1;
        let (x, y) = (at(&self.x, index.clone()), at(&self.y, index.clone()));
        Bin {
            width: at(&self.x, next.clone()) - x.clone(),
            height: at(&self.y, next.clone()) - y.clone(),
            slope: [at(&self.slope, index), at(&self.slope, next)],
            x,
            y,
        }
    }
}

/// The splines' values and log-derivatives.
///
/// # Shapes
/// `[n]`, `[n, 29]` → `[n]`, `[n]`
pub(super) fn forward(value: Tensor<1>, raw: Tensor<2>, hidden: usize) -> (Tensor<1>, Tensor<1>) {
    let splines = Splines::new(raw, hidden);
    let inside = value.clone().clamp(-BOUND, BOUND);
    let bin = splines.bin(&inside, &splines.x);
    let t = (inside - bin.x.clone()) / bin.width.clone();
    let delta = bin.height.clone() / bin.width.clone();
    let between = t.clone() * (-t.clone() + 1.0);
    let rise = delta.clone() * t.clone().powi_scalar(2) + bin.slope[0].clone() * between.clone();
    let out = bin.y.clone() + bin.height.clone() * rise / denominator(&bin, &delta, &between);
    within(value, out, log_slope(&bin, delta, t))
}

/// The inverse splines' values and log-derivatives.
///
/// # Shapes
/// `[n]`, `[n, 29]` → `[n]`, `[n]`
pub(super) fn inverse(value: Tensor<1>, raw: Tensor<2>, hidden: usize) -> (Tensor<1>, Tensor<1>) {
    let splines = Splines::new(raw, hidden);
    let inside = value.clone().clamp(-BOUND, BOUND);
    let bin = splines.bin(&inside, &splines.y);
    let delta = bin.height.clone() / bin.width.clone();
    let up = inside - bin.y.clone();
    let bend = up.clone() * (bin.slope[0].clone() + bin.slope[1].clone() - delta.clone() * 2.0);
    let a = bend.clone() + bin.height.clone() * (delta.clone() - bin.slope[0].clone());
    let b = bin.height.clone() * bin.slope[0].clone() - bend;
    let c = -delta.clone() * up;
    let root = (b.clone().powi_scalar(2) - a * c.clone() * 4.0).clamp_min(0.0).sqrt();
    let t = c * 2.0 / (-b - root);
    let out = t.clone() * bin.width.clone() + bin.x.clone();
    within(value, out, -log_slope(&bin, delta, t))
}

fn denominator(bin: &Bin, delta: &Tensor<1>, between: &Tensor<1>) -> Tensor<1> {
    let bend = bin.slope[0].clone() + bin.slope[1].clone() - delta.clone() * 2.0;
    delta.clone() + bend * between.clone()
}

/// Log-derivative at the place `t` of the bin, 0 at its left and 1 at its right.
fn log_slope(bin: &Bin, delta: Tensor<1>, t: Tensor<1>) -> Tensor<1> {
    let rest = -t.clone() + 1.0;
    let between = t.clone() * rest.clone();
    let numerator = delta.clone().powi_scalar(2)
        * (bin.slope[1].clone() * t.powi_scalar(2)
            + delta.clone() * between.clone() * 2.0
            + bin.slope[0].clone() * rest.powi_scalar(2));
    numerator.log() - denominator(bin, &delta, &between).log() * 2.0
}

/// The spline where the value is inside, the identity where it is not.
fn within(value: Tensor<1>, out: Tensor<1>, log_slope: Tensor<1>) -> (Tensor<1>, Tensor<1>) {
    let outside = value.clone().abs().greater_elem(BOUND);
    (out.mask_where(outside.clone(), value), log_slope.mask_fill(outside, 0.0))
}
