//! From a spectrum's own pixels to a grid's.

use super::grid::STEP_DEX;

/// Linear interpolation of `y(x)` at `x_new`; constant beyond the ends. `x` must increase strictly.
pub fn linear(x: &[f64], y: &[f64], x_new: &[f64]) -> Vec<f64> {
    let last = x.len().saturating_sub(1);
    let mut above = 0;
    x_new
        .iter()
        .map(|&at| {
            // Points that follow one another need no search.
            if above > 0 && at < x[above - 1] {
                above = x.partition_point(|v| *v <= at);
            }
            above += x[above..].iter().take_while(|v| **v <= at).count();
            match above {
                0 => y.first().copied().unwrap_or(f64::NAN),
                i if i > last => y[last],
                i => (y[i] - y[i - 1]) / (x[i] - x[i - 1]) * (at - x[i - 1]) + y[i - 1],
            }
        })
        .collect()
}

/// How the flux between a spectrum's pixels is taken onto the grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kernel {
    /// Straight lines between pixels: for pixels as wide as the grid's.
    Linear,
    /// Mean over a grid pixel: for finer pixels, so that no light is thrown away.
    Box,
    /// Gaussian of this width (σ) in log10 λ: to a lower resolving power.
    Gaussian(f64),
}

impl Kernel {
    /// The Gaussian that takes a resolving power `from` down to `to`, where the pixels of width `step_dex` can carry it.
    pub fn to_resolution(from: f64, to: f64, step_dex: f64) -> Kernel {
        let sigma_dex = (to.powi(-2) - from.powi(-2)).max(0.0).sqrt() / FWHM_OVER_SIGMA / std::f64::consts::LN_10;
        if sigma_dex > 0.6 * step_dex { Kernel::Gaussian(sigma_dex) } else { Kernel::without_change(step_dex) }
    }

    /// The kernel that keeps the resolving power.
    pub fn without_change(step_dex: f64) -> Kernel {
        if step_dex < 0.5 * STEP_DEX { Kernel::Box } else { Kernel::Linear }
    }
}

/// FWHM of a Gaussian over its σ.
pub const FWHM_OVER_SIGMA: f64 = 2.354_820_045;

/// Resamples `y(x)` at `x_new` (all log10 λ). Points of `x_new` beyond `x` get the end's value.
pub fn resample(x: &[f64], y: &[f64], x_new: &[f64], kernel: Kernel) -> Vec<f64> {
    let (half_width, weight): (f64, Box<dyn Fn(f64) -> f64>) = match kernel {
        Kernel::Linear => return linear(x, y, x_new),
        Kernel::Box => (0.5 * STEP_DEX, Box::new(|_| 1.0)),
        Kernel::Gaussian(sigma) => (4.0 * sigma, Box::new(move |d| (-0.5 * (d / sigma).powi(2)).exp())),
    };
    let widths = pixel_widths(x);
    let fallback = linear(x, y, x_new);
    x_new
        .iter()
        .zip(fallback)
        .map(|(&at, fallback)| {
            let (from, to) =
                (x.partition_point(|v| *v < at - half_width), x.partition_point(|v| *v <= at + half_width));
            let (mut sum, mut total) = (0.0, 0.0);
            for i in from..to {
                let w = weight(x[i] - at) * widths[i];
                sum += w * y[i];
                total += w;
            }
            if total > 0.0 { sum / total } else { fallback }
        })
        .collect()
}

/// Variances of what [`resample`] gives, from those of `y`. What neighbours have in common is left out: the sum over many
/// pixels has the right mean, not the right scatter.
pub fn variance(x: &[f64], variance: &[f64], x_new: &[f64], kernel: Kernel) -> Vec<f64> {
    let (half_width, weight): (f64, Box<dyn Fn(f64) -> f64>) = match kernel {
        Kernel::Linear => (0.0, Box::new(|_| 0.0)),
        Kernel::Box => (0.5 * STEP_DEX, Box::new(|_| 1.0)),
        Kernel::Gaussian(sigma) => (4.0 * sigma, Box::new(move |d| (-0.5 * (d / sigma).powi(2)).exp())),
    };
    let widths = pixel_widths(x);
    let between = |at: f64| {
        let i = x.partition_point(|v| *v <= at).clamp(1, x.len().saturating_sub(1).max(1));
        let (Some(left), Some(right)) = (x.get(i - 1), x.get(i)) else {
            return variance.first().copied().unwrap_or(f64::NAN);
        };
        let t = ((at - left) / (right - left)).clamp(0.0, 1.0);
        (1.0 - t).powi(2) * variance[i - 1] + t.powi(2) * variance[i]
    };
    let averaged = |at: f64| {
        let near = x.partition_point(|v| *v < at - half_width)..x.partition_point(|v| *v <= at + half_width);
        let (sum, total) = near.fold((0.0, 0.0), |(sum, total), i| {
            let w = weight(x[i] - at) * widths[i];
            (sum + w * w * variance[i], total + w)
        });
        if total > 0.0 { sum / (total * total) } else { between(at) }
    };
    x_new.iter().map(|&at| if half_width > 0.0 { averaged(at) } else { between(at) }).collect()
}

/// Width of each pixel: half the distance between its neighbours.
fn pixel_widths(x: &[f64]) -> Vec<f64> {
    let last = x.len().saturating_sub(1);
    (0..x.len())
        .map(|i| {
            let (left, right) = (x[i.saturating_sub(1)], x[(i + 1).min(last)]);
            (right - left) / if i == 0 || i == last { 1.0 } else { 2.0 }
        })
        .collect()
}

/// `y` divided by its own running mean, as [`running_mean`] gives it. In any unit of `y` the result is the same.
pub fn divide_by_running_mean(y: &[f64], sigma_pixels: f64) -> Vec<f64> {
    y.iter().zip(running_mean(y, sigma_pixels)).map(|(y, mean)| y / mean).collect()
}

/// The running mean of `y`, a Gaussian of `sigma_pixels` cut at 3 σ and renormalised at the ends; 1 where it is next to
/// nothing, so that it can be divided by.
pub fn running_mean(y: &[f64], sigma_pixels: f64) -> Vec<f64> {
    let (n, half) = (y.len(), (3.0 * sigma_pixels).ceil() as usize);
    let taps: Vec<f64> = (0..=half).map(|k| (-0.5 * (k as f64 / sigma_pixels).powi(2)).exp()).collect();
    let mut padded = vec![0.0; n + 2 * half];
    padded[half..half + n].copy_from_slice(y);
    // Tap by tap and not pixel by pixel: so no sum waits for itself, and several go at once.
    let mut sums: Vec<f64> = y.iter().map(|v| taps[0] * v).collect();
    for (k, tap) in taps.iter().enumerate().skip(1) {
        let (left, right) = (&padded[half - k..], &padded[half + k..]);
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += tap * (left + right);
        }
    }
    // All taps from the middle to each distance.
    let reached: Vec<f64> = taps.iter().scan(0.0, |sum, tap| Some((*sum += tap, *sum).1)).collect();
    let total = |i: usize| reached[i.min(half)] + reached[(n - 1 - i).min(half)] - taps[0];
    let nothing = 1e-6 * y.iter().fold(0.0_f64, |largest, v| largest.max(v.abs()));
    let mean = |(i, sum): (usize, f64)| Some(sum / total(i)).filter(|mean| mean.abs() > nothing).unwrap_or(1.0);
    sums.into_iter().enumerate().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_smoothed_from_5000_to_1800_has_the_width_of_1800() {
        let sigma = |r: f64| 1.0 / r / FWHM_OVER_SIGMA / std::f64::consts::LN_10;
        let x: Vec<f64> = (0..4000).map(|i| 3.69 + 5e-6 * f64::from(i)).collect();
        let sharp: Vec<f64> =
            x.iter().map(|x| 1.0 - 0.5 * (-0.5 * ((x - 3.70) / sigma(5000.0)).powi(2)).exp()).collect();
        // Same area, larger width: depth falls with the ratio of the widths.
        let ratio = sigma(5000.0) / sigma(1800.0);
        let expected: Vec<f64> =
            x.iter().map(|x| 1.0 - 0.5 * ratio * (-0.5 * ((x - 3.70) / sigma(1800.0)).powi(2)).exp()).collect();
        let grid: Vec<f64> = (0..150).map(|i| 3.6925 + 1e-4 * f64::from(i)).collect();
        let got = resample(&x, &sharp, &grid, Kernel::to_resolution(5000.0, 1800.0, 5e-6));
        let want = linear(&x, &expected, &grid);
        for (g, w) in got.iter().zip(&want) {
            assert!((g - w).abs() < 2e-4, "{g} {w}");
        }
    }

    #[test]
    fn the_running_mean_takes_away_a_slope_and_keeps_a_line() {
        let y: Vec<f64> = (0..1000).map(|i| (1.0 + 3e-4 * f64::from(i)) * if i == 500 { 0.4 } else { 1.0 }).collect();
        let flat = divide_by_running_mean(&y, 60.0);
        assert!((flat[300] - 1.0).abs() < 0.01 && (flat[500] - 0.4).abs() < 0.01);
        let faint: Vec<f64> = y.iter().map(|v| v * 1e-17).collect();
        let same = divide_by_running_mean(&faint, 60.0);
        assert!(flat.iter().zip(&same).all(|(a, b)| (a - b).abs() < 1e-12), "the same in erg/s/cm²/Å");
    }

    /// Against NumPy: the matrix of all weights, its rows made to sum to one. Longer and shorter than the kernel.
    #[test]
    fn the_running_mean_is_the_weighted_mean_of_what_is_there() {
        let cases = [
            (400, [0.9683839830048788, 0.9850119478457656, 0.9897144867539426, 1.0128147496720943]),
            (50, [0.9681872871357489, 0.9842966134324687, 0.9945198810039119, 0.9991104439543683]),
        ];
        for (n, expected) in cases {
            let y: Vec<f64> = (0..n).map(|i| (i * 7919 % 101) as f64 / 101.0 + 0.5).collect();
            let got = running_mean(&y, 20.0);
            for (i, want) in [0, 13, n / 2, n - 1].into_iter().zip(expected) {
                assert!((got[i] - want).abs() < 1e-13, "{} at {i} of {n}, not {want}", got[i]);
            }
        }
    }
}
