//! A new output for a network: a straight line through its last hidden layer, fitted in closed form.

use crate::task::cholesky::Square;

/// Penalties that are tried, in units of the mean square of a feature times the number of stars.
const PENALTIES: [f64; 8] = [1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0];

/// Weights and bias of an output.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// One a feature.
    pub weights: Vec<f32>,
    /// Added.
    pub bias: f32,
}

impl Head {
    /// Its output for some features.
    pub fn at(&self, features: &[f32]) -> f64 {
        let sum: f64 = features.iter().zip(&self.weights).map(|(f, w)| f64::from(*f) * f64::from(*w)).sum();
        sum + f64::from(self.bias)
    }

    /// Ridge regression, its penalty chosen by leaving one out. Also gives each star's output had it been left out.
    ///
    /// `features` are `[n][width]`. `None` without two stars or where numbers are not finite.
    pub fn fit(features: &[f32], width: usize, targets: &[f64]) -> Option<(Self, Vec<f64>)> {
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
        let level = targets.iter().sum::<f64>() / n as f64;
        let gram = Square::of(width, |a, b| centred.iter().map(|row| row[a] * row[b]).sum());
        let moments: Vec<f64> =
            (0..width).map(|a| centred.iter().zip(targets).map(|(row, t)| row[a] * (t - level)).sum()).collect();
        let unit = ((0..width).map(|a| gram.values[a * width + a]).sum::<f64>() / width as f64).max(1e-12);
        let mut best: Option<(f64, Vec<f64>, Vec<f64>)> = None;
        for penalty in PENALTIES {
            let ridge =
                Square::of(width, |a, b| gram.values[a * width + b] + if a == b { penalty * unit } else { 0.0 });
            let factor = ridge.factor()?;
            let weights = factor.solve(&moments);
            let alone: Vec<f64> = centred
                .iter()
                .zip(targets)
                .map(|(row, target)| {
                    let output = level + row.iter().zip(&weights).map(|(f, w)| f * w).sum::<f64>();
                    let leverage = factor.forward(row).iter().map(|v| v * v).sum::<f64>() + 1.0 / n as f64;
                    target - (target - output) / (1.0 - leverage).max(1e-3)
                })
                .collect();
            let loss = alone.iter().zip(targets).map(|(a, t)| (a - t).powi(2)).sum::<f64>();
            if best.as_ref().is_none_or(|(lowest, ..)| loss < *lowest) {
                best = Some((loss, weights, alone));
            }
        }
        let (_, weights, alone) = best?;
        let bias = level - weights.iter().zip(&mean).map(|(w, m)| w * m).sum::<f64>();
        Some((Self { weights: weights.iter().map(|w| *w as f32).collect(), bias: bias as f32 }, alone))
    }
}

#[cfg(test)]
mod tests {
    use super::Head;

    #[test]
    fn a_line_comes_back_and_leaving_out_is_a_fit_without() {
        let n = 60;
        let features: Vec<f32> =
            (0..n).flat_map(|i| [(i as f32 * 0.7).sin(), (i as f32 * 1.3).cos(), 0.01 * i as f32]).collect();
        let line = |f: &[f32]| 2.0 * f64::from(f[0]) - f64::from(f[1]) + 0.5 + 0.01 * (f64::from(f[0]) * 37.0).sin();
        let targets: Vec<f64> = features.chunks(3).map(line).collect();
        let (head, alone) = Head::fit(&features, 3, &targets).expect("a fit");
        assert!((head.at(&[0.3, -0.2, 0.1]) - 1.3).abs() < 0.02);
        let (without, _) = Head::fit(&features[3..], 3, &targets[1..]).expect("a fit");
        assert!((without.at(&features[..3]) - alone[0]).abs() < 1e-4, "{} {}", without.at(&features[..3]), alone[0]);
    }
}
