//! Monotonic rational-quadratic splines on [−3, 3], with the identity outside (Durkan et al. 2019).

use burn::tensor::activation::{softmax, softplus};
use burn::tensor::{Int, Tensor};

/// Number of bins of a spline.
pub(super) const BINS: usize = 10;
/// Count of parameters of one spline: widths, heights, inner slopes.
pub(super) const PARAMETERS: usize = 3 * BINS - 1;
const BOUND: f64 = 3.0;
const MIN_SIZE: f64 = 1e-3;

/// A batch of splines, one per row.
struct Splines {
    x: Tensor<2>,
    y: Tensor<2>,
    slope: Tensor<2>,
}

/// The bin that contains the value of each row, `[n]` each.
struct Bin {
    x: Tensor<1>,
    y: Tensor<1>,
    width: Tensor<1>,
    height: Tensor<1>,
    slope: [Tensor<1>; 2],
}

impl Splines {
    /// Knots and slopes from raw parameters `[n, 29]`.
    ///
    /// `hidden` is the width of the network that gave the raw widths and heights; √`hidden` divides them.
    fn new(raw: Tensor<2>, hidden: usize) -> Self {
        let [n, _] = raw.dims();
        let device = raw.device();
        let knots = |from: usize| {
            let logits = raw.clone().narrow(1, from, BINS) / (hidden as f64).sqrt();
            let fraction = softmax(logits, 1) * (1.0 - MIN_SIZE * BINS as f64) + MIN_SIZE;
            let inner = fraction.cumsum(1).narrow(1, 0, BINS - 1) * (2.0 * BOUND) - BOUND;
            let edge = |value: f64| Tensor::<2>::full([n, 1], value, &device);
            Tensor::cat(vec![edge(-BOUND), inner, edge(BOUND)], 1)
        };
        let inner = softplus(raw.clone().narrow(1, 2 * BINS, BINS - 1), 1.0) + MIN_SIZE;
        let edge = Tensor::<2>::ones([n, 1], &device);
        Self { x: knots(0), y: knots(BINS), slope: Tensor::cat(vec![edge.clone(), inner, edge], 1) }
    }

    /// The bin of each value between `knots`.
    fn bin(&self, value: &Tensor<1>, knots: &Tensor<2>) -> Bin {
        let is_reached = value.clone().unsqueeze_dim::<2>(1).greater_equal(knots.clone().narrow(1, 0, BINS));
        let index = (is_reached.int().sum_dim(1) - 1).clamp(0, BINS as i32 - 1);
        let lookup = |table: &Tensor<2>, index: Tensor<2, Int>| table.clone().gather(1, index).squeeze_dim::<1>(1);
        let next = index.clone() + 1;
        let (x, y) = (lookup(&self.x, index.clone()), lookup(&self.y, index.clone()));
        Bin {
            width: lookup(&self.x, next.clone()) - x.clone(),
            height: lookup(&self.y, next.clone()) - y.clone(),
            slope: [lookup(&self.slope, index), lookup(&self.slope, next)],
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
    let clamped = value.clone().clamp(-BOUND, BOUND);
    let bin = splines.bin(&clamped, &splines.x);
    let t = (clamped - bin.x.clone()) / bin.width.clone();
    let delta = bin.height.clone() / bin.width.clone();
    let t_one_minus_t = t.clone() * (-t.clone() + 1.0);
    let numerator = delta.clone() * t.clone().powi_scalar(2) + bin.slope[0].clone() * t_one_minus_t.clone();
    let out = bin.y.clone() + bin.height.clone() * numerator / denominator(&bin, &delta, &t_one_minus_t);
    identity_outside(value, out, log_slope(&bin, delta, t))
}

/// The inverse splines' values and log-derivatives.
///
/// # Shapes
/// `[n]`, `[n, 29]` → `[n]`, `[n]`
pub(super) fn inverse(value: Tensor<1>, raw: Tensor<2>, hidden: usize) -> (Tensor<1>, Tensor<1>) {
    let splines = Splines::new(raw, hidden);
    let clamped = value.clone().clamp(-BOUND, BOUND);
    let bin = splines.bin(&clamped, &splines.y);
    let delta = bin.height.clone() / bin.width.clone();
    let offset = clamped - bin.y.clone();
    let offset_excess = offset.clone() * (bin.slope[0].clone() + bin.slope[1].clone() - delta.clone() * 2.0);
    let a = offset_excess.clone() + bin.height.clone() * (delta.clone() - bin.slope[0].clone());
    let b = bin.height.clone() * bin.slope[0].clone() - offset_excess;
    let c = -delta.clone() * offset;
    let root = (b.clone().powi_scalar(2) - a * c.clone() * 4.0).clamp_min(0.0).sqrt();
    let t = c * 2.0 / (-b - root);
    let out = t.clone() * bin.width.clone() + bin.x.clone();
    identity_outside(value, out, -log_slope(&bin, delta, t))
}

fn denominator(bin: &Bin, delta: &Tensor<1>, t_one_minus_t: &Tensor<1>) -> Tensor<1> {
    let slope_excess = bin.slope[0].clone() + bin.slope[1].clone() - delta.clone() * 2.0;
    delta.clone() + slope_excess * t_one_minus_t.clone()
}

/// Log-derivative at position `t` in the bin: 0 at its left edge, 1 at its right edge.
fn log_slope(bin: &Bin, delta: Tensor<1>, t: Tensor<1>) -> Tensor<1> {
    let one_minus_t = -t.clone() + 1.0;
    let t_one_minus_t = t.clone() * one_minus_t.clone();
    let numerator = delta.clone().powi_scalar(2)
        * (bin.slope[1].clone() * t.powi_scalar(2)
            + delta.clone() * t_one_minus_t.clone() * 2.0
            + bin.slope[0].clone() * one_minus_t.powi_scalar(2));
    numerator.log() - denominator(bin, &delta, &t_one_minus_t).log() * 2.0
}

/// The spline inside [−3, 3], the identity outside.
fn identity_outside(value: Tensor<1>, out: Tensor<1>, log_slope: Tensor<1>) -> (Tensor<1>, Tensor<1>) {
    let outside = value.clone().abs().greater_elem(BOUND);
    (out.mask_where(outside.clone(), value), log_slope.mask_fill(outside, 0.0))
}
