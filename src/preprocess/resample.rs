//! Resampling: from the pixels of a spectrum to the pixels of a grid.

use super::grid::STEP_DEX;
use crate::spectrum::FWHM_OVER_SIGMA;

/// Linear interpolation of `y(x)` at `x_new`; constant beyond the ends. `x` must increase strictly.
pub fn linear(x: &[f64], y: &[f64], x_new: &[f64]) -> Vec<f64> {
    let last = x.len().saturating_sub(1);
    let mut above = 0;
    x_new
        .iter()
        .map(|&at| {
            // Increasing points need no search.
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

/// Method of resampling to the grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ResamplingKernel {
    /// Linear interpolation between pixels: for pixels about as wide as grid pixels.
    Linear,
    /// Mean over a grid pixel: for narrower pixels, so that no photons are discarded.
    Box,
    /// Gaussian with this σ, in log10 λ: to reduce the resolving power.
    Gaussian(f64),
}

impl ResamplingKernel {
    /// The Gaussian that reduces the resolving power from `from` to `to`.
    ///
    /// If the Gaussian is too narrow for pixels of width `step_dex` (log10 λ), the kernel keeps the resolving power.
    pub fn to_resolution(from: f64, to: f64, step_dex: f64) -> Self {
        let sigma_dex = (to.powi(-2) - from.powi(-2)).max(0.0).sqrt() / FWHM_OVER_SIGMA / std::f64::consts::LN_10;
        if sigma_dex > 0.6 * step_dex { Self::Gaussian(sigma_dex) } else { Self::at_same_resolution(step_dex) }
    }

    /// The kernel that keeps the resolving power, for pixels of width `step_dex` (log10 λ).
    pub fn at_same_resolution(step_dex: f64) -> Self {
        if step_dex < 0.5 * STEP_DEX { Self::Box } else { Self::Linear }
    }
}

/// Resamples `y(x)` at `x_new` (both in log10 λ). Points beyond the ends of `x` get the value at the end.
pub fn resample(x: &[f64], y: &[f64], x_new: &[f64], kernel: ResamplingKernel) -> Vec<f64> {
    let (half_width, weight): (f64, Box<dyn Fn(f64) -> f64>) = match kernel {
        ResamplingKernel::Linear => return linear(x, y, x_new),
        ResamplingKernel::Box => (0.5 * STEP_DEX, Box::new(|_| 1.0)),
        ResamplingKernel::Gaussian(sigma) => (4.0 * sigma, Box::new(move |d| (-0.5 * (d / sigma).powi(2)).exp())),
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

/// Variances of the resampled values of [`resample`], from the variances of `y`.
///
/// Covariances between neighbouring pixels are ignored. So a sum over many pixels has the correct mean, but not the
/// correct scatter.
pub fn variance(x: &[f64], variance: &[f64], x_new: &[f64], kernel: ResamplingKernel) -> Vec<f64> {
    let (half_width, weight): (f64, Box<dyn Fn(f64) -> f64>) = match kernel {
        ResamplingKernel::Linear => (0.0, Box::new(|_| 0.0)),
        ResamplingKernel::Box => (0.5 * STEP_DEX, Box::new(|_| 1.0)),
        ResamplingKernel::Gaussian(sigma) => (4.0 * sigma, Box::new(move |d| (-0.5 * (d / sigma).powi(2)).exp())),
    };
    let widths = pixel_widths(x);
    let interpolated = |at: f64| {
        let i = x.partition_point(|v| *v <= at).clamp(1, x.len().saturating_sub(1).max(1));
        let (Some(left), Some(right)) = (x.get(i - 1), x.get(i)) else {
            return variance.first().copied().unwrap_or(f64::NAN);
        };
        let fraction = ((at - left) / (right - left)).clamp(0.0, 1.0);
        (1.0 - fraction).powi(2) * variance[i - 1] + fraction.powi(2) * variance[i]
    };
    let averaged = |at: f64| {
        let near = x.partition_point(|v| *v < at - half_width)..x.partition_point(|v| *v <= at + half_width);
        let (sum, total) = near.fold((0.0, 0.0), |(sum, total), i| {
            let w = weight(x[i] - at) * widths[i];
            (sum + w * w * variance[i], total + w)
        });
        if total > 0.0 { sum / (total * total) } else { interpolated(at) }
    };
    x_new.iter().map(|&at| if half_width > 0.0 { averaged(at) } else { interpolated(at) }).collect()
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

/// `y` divided by its [`running_mean`]. The result does not depend on the unit of `y`.
pub fn divide_by_running_mean(y: &[f64], sigma_pixels: f64) -> Vec<f64> {
    y.iter().zip(running_mean(y, sigma_pixels)).map(|(y, mean)| y / mean).collect()
}

/// Running mean of `y` with a Gaussian of σ `sigma_pixels`, truncated at 3 σ and renormalised at the ends.
///
/// Values close to zero are replaced by 1, so that a division by the mean is safe.
pub fn running_mean(y: &[f64], sigma_pixels: f64) -> Vec<f64> {
    let (n, half) = (y.len(), (3.0 * sigma_pixels).ceil() as usize);
    let taps: Vec<f64> = (0..=half).map(|k| (-0.5 * (k as f64 / sigma_pixels).powi(2)).exp()).collect();
    let mut padded = vec![0.0; n + 2 * half];
    padded[half..half + n].copy_from_slice(y);
    // The outer loop runs over the kernel and the inner loop over pixels: the sums are independent, so the processor
    // adds several at once.
    let mut sums: Vec<f64> = y.iter().map(|v| taps[0] * v).collect();
    for (k, tap) in taps.iter().enumerate().skip(1) {
        let (left, right) = (&padded[half - k..], &padded[half + k..]);
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += tap * (left + right);
        }
    }
    // Cumulative sum of the kernel, from the centre to each distance.
    let cumulative_weights: Vec<f64> = taps.iter().scan(0.0, |sum, tap| Some((*sum += tap, *sum).1)).collect();
    let total = |i: usize| cumulative_weights[i.min(half)] + cumulative_weights[(n - 1 - i).min(half)] - taps[0];
    let zero_threshold = 1e-6 * y.iter().fold(0.0_f64, |largest, v| largest.max(v.abs()));
    let mean = |(i, sum): (usize, f64)| Some(sum / total(i)).filter(|mean| mean.abs() > zero_threshold).unwrap_or(1.0);
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
        let got = resample(&x, &sharp, &grid, ResamplingKernel::to_resolution(5000.0, 1800.0, 5e-6));
        let want = linear(&x, &expected, &grid);
        for (g, w) in got.iter().zip(&want) {
            assert!((g - w).abs() < 2e-4, "{g} {w}");
        }
    }

    #[test]
    fn the_running_mean_removes_a_slope_and_keeps_a_line() {
        let y: Vec<f64> = (0..1000).map(|i| (1.0 + 3e-4 * f64::from(i)) * if i == 500 { 0.4 } else { 1.0 }).collect();
        let flat = divide_by_running_mean(&y, 60.0);
        assert!((flat[300] - 1.0).abs() < 0.01 && (flat[500] - 0.4).abs() < 0.01);
        let faint: Vec<f64> = y.iter().map(|v| v * 1e-17).collect();
        let flat_faint = divide_by_running_mean(&faint, 60.0);
        assert!(flat.iter().zip(&flat_faint).all(|(a, b)| (a - b).abs() < 1e-12), "the same in erg/s/cm²/Å");
    }

    /// Comparison with `NumPy`: the matrix of all weights, with rows normalised to sum 1. One case is longer than the
    /// kernel, the other shorter.
    #[test]
    fn the_running_mean_agrees_with_numpy() {
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
