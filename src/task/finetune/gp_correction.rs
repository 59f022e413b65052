//! Gaussian-process correction of the network's predictions: the closed form for a few labels.
//!
//! A network's errors vary slowly from star to star; the labels have errors too. So the residuals label − prediction are
//! smoothed over similar stars by a Gaussian process whose inputs are the network's second hidden layer, the embedding.
//! Its covariance is a constant plus a squared exponential, both of one variance. That variance, the length scale and the
//! noise of the labels maximise the marginal likelihood (Rasmussen & Williams 2006, §5.4). There is no learning rate and
//! no number of epochs. For a star unlike all labelled ones only the constant remains.

use crate::linalg::{CholeskyFactor, SymmetricMatrix};
use crate::nn::weights::{Tensors, WeightsError};
use crate::stats::median;

/// Candidate length scales, in units of the median distance between two stars.
const LENGTH_SCALES: [f64; 7] = [0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0];

/// Candidate variances of the label noise, in units of the kernel's variance.
const NOISE_VARIANCES: [f64; 8] = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4];

/// Iterations of reweighting (IRLS) that raise the noise of outlying labels.
const IRLS_ITERATIONS: usize = 6;

/// Residuals beyond this many standard deviations are down-weighted (Huber 1964; 1.345 loses 5 % of the efficiency for
/// Gaussian errors).
const HUBER_THRESHOLD: f64 = 1.345;

/// Ratio of the standard deviation to the median absolute value of a Gaussian variable.
const SIGMA_PER_MEDIAN: f64 = 1.4826;

/// Largest number of stars in the choice of noise and length scale.
const MAX_EVIDENCE_POINTS: usize = 300;

/// Largest number of stored stars.
pub const MAX_TRAINING_POINTS: usize = 1500;

/// A correction of a network's predictions, in units of its standardised label.
#[derive(Debug, Clone, PartialEq)]
pub struct GpCorrection {
    /// Squared length scale of the kernel.
    length2: f64,
    /// Embeddings of the stars of the fit.
    points: Vec<Vec<f32>>,
    /// Weight of each star.
    weights: Vec<f32>,
}

/// Covariance of two stars' residuals at a squared distance of their embeddings.
fn covariance(distance2: f64, length2: f64) -> f64 {
    1.0 + (-distance2 / (2.0 * length2)).exp()
}

fn distance_square(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

/// A Gaussian-process regression: covariance, residuals and the relative weight of each label.
struct GpProblem<'a> {
    covariance: &'a SymmetricMatrix,
    residuals: &'a [f64],
    label_weights: &'a [f64],
}

impl GpProblem<'_> {
    /// Factor of the covariance of the first `n` labels.
    fn factor(&self, n: usize, noise: f64) -> Option<CholeskyFactor> {
        let covariance = |i: usize, j: usize| {
            self.covariance.values[i * self.covariance.n + j] + if i == j { noise / self.label_weights[i] } else { 0.0 }
        };
        SymmetricMatrix::of(n, covariance).factor()
    }

    /// The highest log marginal likelihood and the noise variance that reaches it.
    fn best_noise(&self) -> (f64, f64) {
        let n = self.residuals.len().min(MAX_EVIDENCE_POINTS);
        let candidates = NOISE_VARIANCES.map(|noise| (self.evidence(n, noise), noise));
        let best = |best: (f64, f64), candidate: (f64, f64)| if candidate.0 > best.0 { candidate } else { best };
        candidates.into_iter().fold((f64::NEG_INFINITY, 1.0), best)
    }

    /// Log marginal likelihood of the first `n` labels, maximised over the overall variance.
    fn evidence(&self, n: usize, noise: f64) -> f64 {
        let Some(factor) = self.factor(n, noise) else { return f64::NEG_INFINITY };
        let whitened = factor.forward(&self.residuals[..n]);
        let square: f64 = whitened.iter().map(|v| v * v).sum::<f64>() / n as f64;
        -0.5 * (n as f64 * square.max(1e-300).ln() + factor.log_determinant())
    }
}

impl GpCorrection {
    /// Fits standardised residuals, label − network. Also gives the leave-one-out prediction of each star. Stores the
    /// first [`MAX_TRAINING_POINTS`] stars.
    ///
    /// `None` for fewer than two stars or numbers that are not finite.
    pub fn fit(embeddings: &[&[f32]], residuals: &[f64]) -> Option<(Self, Vec<f64>)> {
        let is_finite = embeddings.iter().copied().flatten().all(|v| v.is_finite());
        if residuals.len() < 2
            || embeddings.len() != residuals.len()
            || !is_finite
            || residuals.iter().any(|v| !v.is_finite())
        {
            return None;
        }
        let n = residuals.len().min(MAX_TRAINING_POINTS);
        let points: Vec<Vec<f32>> = embeddings[..n].iter().map(|e| e.to_vec()).collect();
        let distances = SymmetricMatrix::of(n, |i, j| distance_square(&points[i], &points[j]));
        let length2 = chosen_length2(&distances, residuals);
        let mut fitted = Self { length2, points, weights: Vec::new() };
        let mut leave_one_out = fitted.solve_weights(&distances, &residuals[..n])?;
        leave_one_out.extend(embeddings[n..].iter().map(|embedding| fitted.at(embedding)));
        Some((fitted, leave_one_out))
    }

    /// Solves for the weights; gives the leave-one-out prediction of each training point.
    fn solve_weights(&mut self, distances: &SymmetricMatrix, residuals: &[f64]) -> Option<Vec<f64>> {
        let n = residuals.len();
        let covariance = &SymmetricMatrix::of(n, |i, j| covariance(distances.values[i * n + j], self.length2));
        let mut label_weights = vec![1.0; n];
        for _ in 0..IRLS_ITERATIONS {
            let problem = GpProblem { covariance, residuals, label_weights: &label_weights };
            let (_, noise) = problem.best_noise();
            let weights = problem.factor(n, noise)?.solve(residuals);
            let remaining: Vec<f64> = weights
                .iter()
                .zip(&label_weights)
                .map(|(solution, label_weight)| (solution * noise / label_weight).abs())
                .collect();
            let limit = HUBER_THRESHOLD * SIGMA_PER_MEDIAN * median(&mut remaining.clone()).unwrap_or(0.0);
            label_weights = remaining.iter().map(|r| if *r <= limit { 1.0 } else { limit.max(1e-9 * r) / r }).collect();
        }
        let problem = GpProblem { covariance, residuals, label_weights: &label_weights };
        let factor = problem.factor(n, problem.best_noise().1)?;
        let weights = factor.solve(residuals);
        // Leave-one-out residuals need no further fit (Rasmussen & Williams 2006, eq. 5.12).
        let inverse = factor.inverse_diagonal();
        self.weights = weights.iter().map(|w| *w as f32).collect();
        Some(weights.iter().zip(&inverse).zip(residuals).map(|((w, i), r)| r - w / i).collect())
    }

    /// The correction of a star, in standardised units.
    pub fn at(&self, embedding: &[f32]) -> f64 {
        let weighted = |(point, weight): (&Vec<f32>, &f32)| {
            f64::from(*weight) * covariance(distance_square(point, embedding), self.length2)
        };
        self.points.iter().zip(&self.weights).map(weighted).sum()
    }

    /// Gradient of the correction with respect to the embedding.
    pub fn gradient_at(&self, embedding: &[f32]) -> Vec<f32> {
        let mut gradient = vec![0.0; embedding.len()];
        for (point, weight) in self.points.iter().zip(&self.weights) {
            let kernel = covariance(distance_square(point, embedding), self.length2) - 1.0;
            let factor = f64::from(*weight) * kernel / self.length2;
            gradient
                .iter_mut()
                .zip(point.iter().zip(embedding))
                .for_each(|(g, (a, h))| *g += factor * f64::from(a - h));
        }
        gradient.into_iter().map(|g| g as f32).collect()
    }

    /// Adds its arrays to `tensors` under `{prefix}`.
    pub fn store(&self, tensors: &mut Tensors, prefix: &str) {
        let (n, width) = (self.points.len(), self.points.first().map_or(0, Vec::len));
        tensors.insert(&format!("{prefix}embeddings"), &[n, width], self.points.concat());
        tensors.insert(&format!("{prefix}weights"), &[n], self.weights.clone());
        tensors.insert(&format!("{prefix}length2"), &[1], vec![self.length2 as f32]);
    }

    /// Loads the arrays under `{prefix}` for a network whose embedding has `width` units; `None` where there are none.
    pub fn load(tensors: &Tensors, prefix: &str, width: usize) -> Result<Option<Self>, WeightsError> {
        if !tensors.names().any(|name| name.starts_with(prefix)) {
            return Ok(None);
        }
        let name = format!("{prefix}weights");
        let shape = tensors.shape(&name)?;
        let n = shape.first().copied().unwrap_or(0);
        if n > MAX_TRAINING_POINTS {
            return Err(WeightsError::Shape { name, found: shape.to_vec(), expected: vec![MAX_TRAINING_POINTS] });
        }
        let weights = tensors.get(&name, &[n])?.to_vec();
        let name = format!("{prefix}length2");
        let length2 = f64::from(tensors.get(&name, &[1])?[0]);
        if length2 <= 0.0 {
            return Err(WeightsError::NotFinite(name));
        }
        let embeddings = tensors.get(&format!("{prefix}embeddings"), &[n, width])?;
        let points = embeddings.chunks_exact(width.max(1)).map(<[f32]>::to_vec).collect();
        Ok(Some(Self { length2, points, weights }))
    }
}

/// The squared length scale with the highest marginal likelihood, as an adapter file stores it.
fn chosen_length2(distances: &SymmetricMatrix, residuals: &[f64]) -> f64 {
    let n = distances.n.min(MAX_EVIDENCE_POINTS);
    let between = |i: usize, j: usize| distances.values[i * distances.n + j];
    let mut pairs: Vec<f64> = (0..n).flat_map(|i| (0..i).map(move |j| between(i, j))).collect();
    let unit = median(&mut pairs).filter(|unit| *unit > 0.0).unwrap_or(1.0);
    let label_weights = vec![1.0; n];
    let mut best = (f64::NEG_INFINITY, unit);
    for scale in LENGTH_SCALES {
        let length2 = f64::from((scale * scale * unit) as f32);
        let covariance = SymmetricMatrix::of(n, |i, j| covariance(between(i, j), length2));
        let problem = GpProblem { covariance: &covariance, residuals: &residuals[..n], label_weights: &label_weights };
        let (evidence, _) = problem.best_noise();
        if evidence > best.0 {
            best = (evidence, length2);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points on a circle.
    fn circle(n: usize) -> Vec<Vec<f32>> {
        let angle = |i: usize| i as f64 / n as f64 * std::f64::consts::TAU;
        (0..n).map(|i| vec![angle(i).cos() as f32, angle(i).sin() as f32]).collect()
    }

    fn rows(points: &[Vec<f32>]) -> Vec<&[f32]> {
        points.iter().map(Vec::as_slice).collect()
    }

    /// A sine along the circle, plus noise and one gross outlier.
    fn wave(n: usize) -> Vec<f64> {
        let angle = |i: usize| i as f64 / n as f64 * std::f64::consts::TAU;
        let noise = |i: usize| if (i * 7919).is_multiple_of(3) { 0.1 } else { -0.05 };
        (0..n).map(|i| 0.5 + angle(i).sin() + noise(i) + if i == 17 { 10.0 } else { 0.0 }).collect()
    }

    #[test]
    fn recovers_a_smooth_residual_despite_an_outlier() {
        let points = circle(120);
        let (fitted, _) = GpCorrection::fit(&rows(&points), &wave(120)).expect("a fit");
        for i in [3, 30, 61, 97] {
            let (got, expected) = (fitted.at(&points[i]), 0.5 + (i as f64 / 120.0 * std::f64::consts::TAU).sin());
            assert!((got - expected).abs() < 0.15, "{got} and {expected} at {i}");
        }
    }

    /// The leave-one-out prediction equals the prediction of a fit without the star.
    #[test]
    fn leave_one_out_equals_a_fit_without_the_star() {
        let points = circle(40);
        let mut residuals = wave(40);
        residuals[17] -= 10.0;
        let (_, leave_one_out) = GpCorrection::fit(&rows(&points), &residuals).expect("a fit");
        for i in [3, 20, 39] {
            let (mut others, mut other_residuals) = (rows(&points), residuals.clone());
            others.remove(i);
            other_residuals.remove(i);
            let (without, _) = GpCorrection::fit(&others, &other_residuals).expect("a fit");
            // A fit without the star chooses noise and length scale anew, so the values differ slightly.
            let got = without.at(&points[i]);
            assert!((got - leave_one_out[i]).abs() < 0.05, "{got} and {}", leave_one_out[i]);
        }
    }

    #[test]
    fn rejects_invalid_input_and_reproduces_a_constant() {
        let mut points = circle(10);
        assert!(GpCorrection::fit(&[], &[]).is_none());
        let (fitted, _) = GpCorrection::fit(&rows(&points), &[3.0; 10]).expect("a fit");
        assert!((fitted.at(&points[1]) - 3.0).abs() < 0.2);
        assert!(GpCorrection::fit(&rows(&points), &[f64::NAN; 10]).is_none());
        points[4][0] = f32::NAN;
        assert!(GpCorrection::fit(&rows(&points), &[3.0; 10]).is_none());
    }
}
