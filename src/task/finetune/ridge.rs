//! A network output, or a change of one: ridge regression on the last hidden layer.

use crate::linalg::SymmetricMatrix;

/// Candidate penalties, in units of the mean square of a feature times the number of stars.
const PENALTIES: [f64; 9] = [1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 10.0, 100.0];

/// Weights and bias of an output.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RidgeHead {
    /// Weight of each feature.
    pub weights: Vec<f32>,
    /// Intercept.
    pub bias: f32,
}

impl RidgeHead {
    /// Output for a feature vector.
    pub(super) fn at(&self, features: &[f32]) -> f64 {
        let sum: f64 = features.iter().zip(&self.weights).map(|(f, w)| f64::from(*f) * f64::from(*w)).sum();
        sum + f64::from(self.bias)
    }

    /// The sum of two outputs.
    pub(super) fn plus(&self, other: &Self) -> Self {
        let weights = self.weights.iter().zip(&other.weights).map(|(a, b)| a + b).collect();
        Self { weights, bias: self.bias + other.bias }
    }

    /// Ridge regression; leave-one-out errors choose the penalty. Also gives the leave-one-out output of each star.
    ///
    /// `features` are `[n][width]`. `None` for fewer than two stars or numbers that are not finite.
    pub(super) fn fit(features: &[f32], width: usize, targets: &[f64]) -> Option<(Self, Vec<f64>)> {
        let n = targets.len();
        let is_finite = targets.iter().all(|t| t.is_finite()) && features.iter().all(|f| f.is_finite());
        if n < 2 || width == 0 || features.len() != n * width || !is_finite {
            return None;
        }
        let row = |i: usize| &features[i * width..(i + 1) * width];
        let mut mean = vec![0.0; width];
        (0..n).for_each(|i| mean.iter_mut().zip(row(i)).for_each(|(m, f)| *m += f64::from(*f) / n as f64));
        let centred: Vec<Vec<f64>> =
            (0..n).map(|i| row(i).iter().zip(&mean).map(|(f, m)| f64::from(*f) - m).collect()).collect();
        let mean_target = targets.iter().sum::<f64>() / n as f64;
        let gram = SymmetricMatrix::of(width, |a, b| centred.iter().map(|row| row[a] * row[b]).sum());
        let moments: Vec<f64> =
            (0..width).map(|a| centred.iter().zip(targets).map(|(row, t)| row[a] * (t - mean_target)).sum()).collect();
        let unit = ((0..width).map(|a| gram.values[a * width + a]).sum::<f64>() / width as f64).max(1e-12);
        let mut best: Option<(f64, Vec<f64>, Vec<f64>)> = None;
        for penalty in PENALTIES {
            let ridge = SymmetricMatrix::of(width, |a, b| {
                gram.values[a * width + b] + if a == b { penalty * unit } else { 0.0 }
            });
            let factor = ridge.factor()?;
            let weights = factor.solve(&moments);
            let leave_one_out: Vec<f64> = centred
                .iter()
                .zip(targets)
                .map(|(row, target)| {
                    let output = mean_target + row.iter().zip(&weights).map(|(f, w)| f * w).sum::<f64>();
                    let leverage = factor.forward(row).iter().map(|v| v * v).sum::<f64>() + 1.0 / n as f64;
                    target - (target - output) / (1.0 - leverage).max(1e-3)
                })
                .collect();
            let loss = leave_one_out.iter().zip(targets).map(|(a, t)| (a - t).powi(2)).sum::<f64>();
            if best.as_ref().is_none_or(|(lowest, ..)| loss < *lowest) {
                best = Some((loss, weights, leave_one_out));
            }
        }
        let (_, weights, leave_one_out) = best?;
        let bias = mean_target - weights.iter().zip(&mean).map(|(w, m)| w * m).sum::<f64>();
        Some((Self { weights: weights.iter().map(|w| *w as f32).collect(), bias: bias as f32 }, leave_one_out))
    }
}

#[cfg(test)]
mod tests {
    use super::RidgeHead;

    #[test]
    fn ridge_recovers_a_linear_map_and_leave_one_out_equals_a_refit() {
        let n = 60;
        let features: Vec<f32> =
            (0..n).flat_map(|i| [(i as f32 * 0.7).sin(), (i as f32 * 1.3).cos(), 0.01 * i as f32]).collect();
        let target = |f: &[f32]| 2.0 * f64::from(f[0]) - f64::from(f[1]) + 0.5 + 0.01 * (f64::from(f[0]) * 37.0).sin();
        let targets: Vec<f64> = features.chunks(3).map(target).collect();
        let (head, leave_one_out) = RidgeHead::fit(&features, 3, &targets).expect("a fit");
        assert!((head.at(&[0.3, -0.2, 0.1]) - 1.3).abs() < 0.02);
        let (without, _) = RidgeHead::fit(&features[3..], 3, &targets[1..]).expect("a fit");
        assert!(
            (without.at(&features[..3]) - leave_one_out[0]).abs() < 1e-4,
            "{} {}",
            without.at(&features[..3]),
            leave_one_out[0]
        );
    }
}
