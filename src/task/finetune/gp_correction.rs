//! Gaussian-process correction of the network's predictions, before any gradient step.
//!
//! A network trained on synthetic spectra has errors that vary slowly from star to star; the labels have errors too.
//! The correction has two parts:
//! 1. Without labels: the prediction is averaged with the predictions from both halves of the spectrum
//!    ([`Features::averaged`]). It then moves towards the best fit of the synthetic spectrum ([`LabelUpdate`]).
//! 2. With labels: a Gaussian process over the network's hidden units smooths the residuals over similar stars. For a
//!    star unlike all of them only the constant term and the colour term remain.
//!
//! The correction has no learning rate and no number of epochs to tune.

use super::features::{CorrectionInput, Features};
use super::label_update::LabelUpdate;
use crate::linalg::{CholeskyFactor, SymmetricMatrix};
use crate::nn::weights::{Tensors, WeightsError};
use crate::stats::median;
use crate::task::output_index::OutputIndex;

/// Length scale over the second hidden layer, in units of the median distance between two stars.
const LENGTH_SCALE: f64 = 1.5;

/// Candidate factors of all length scales, and the width of the prior about 1 (a factor). In a sample of many spectral
/// types, the residuals of hot stars say nothing about the others.
const LENGTH_SCALE_FACTORS: [f64; 7] = [1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.12];
const LENGTH_SCALE_PRIOR_FACTOR: f64 = 1.3;

/// Variance of the kernel term over the first hidden layer's contributions. All kernel and noise variances are in units
/// of the variance of the term over the second hidden layer.
const CONTRIBUTION_VARIANCE: f64 = 0.5;

/// Variance of the constant term.
const CONSTANT_VARIANCE: f64 = 1.0;

/// Variance of the term linear in the colour. Half of it is a slope common to all stars. The slope of the other half
/// varies from star to star, with the length scale [`COLOUR_LENGTH_SCALE`].
const COLOUR_VARIANCE: f64 = 0.1;
const COLOUR_LENGTH_SCALE: f64 = 1.5;

/// Candidate variances of the label noise.
const NOISE_VARIANCES: [f64; 8] = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4];

/// Prior of the label-noise variance, and its width (a factor). Few labels cannot separate noise from structure, and
/// the maximum-likelihood noise alone is too large. Values from simulations and MILES stars.
const PRIOR_NOISE: f64 = 0.4;
const NOISE_PRIOR_FACTOR: f64 = 1.4;

/// Prior preference for the updated prediction over the network's own prediction, where a label update exists:
/// natural logarithm of the odds.
const UPDATE_LOG_ODDS: f64 = 4.0;

/// Iterations of reweighting (IRLS) that raise the noise of outlying labels.
const IRLS_ITERATIONS: usize = 6;

/// Residuals beyond this many standard deviations are down-weighted.
const HUBER_THRESHOLD: f64 = 1.0;

/// Largest number of stars in the choice of noise and length scale.
const MAX_EVIDENCE_POINTS: usize = 300;
/// Largest number of stored stars.
pub const MAX_TRAINING_POINTS: usize = 1500;

/// A correction of a network's predictions, in units of its standardised label.
#[derive(Debug, Clone, PartialEq)]
pub struct GpCorrection {
    output_index: Option<OutputIndex>,
    /// True when the correction starts from the updated prediction, false when it starts from the network's own
    /// prediction.
    starts_from_update: bool,
    label_update: Option<LabelUpdate>,
    kernel: GpKernel,
    /// Stars of the fit.
    training_points: Vec<TrainingPoint>,
    /// Weight of each star.
    weights: Vec<f32>,
}

/// Kernel inputs of a star.
#[derive(Debug, Clone, PartialEq)]
struct TrainingPoint {
    embedding: Vec<f32>,
    /// Empty for a label that the network does not predict.
    contributions: Vec<f32>,
    /// Excess colour, in standard deviations.
    colour: f32,
}

/// The kernel: squared length scales over the two hidden layers.
#[derive(Debug, Clone, Copy, PartialEq)]
struct GpKernel {
    embedding_length2: f64,
    contribution_length2: f64,
}

fn distance_square(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

/// Median squared distance between two stars; 1 where all are equal.
fn median_between(training_points: &[TrainingPoint], field: fn(&TrainingPoint) -> &[f32]) -> f64 {
    let mut distances: Vec<f64> = Vec::new();
    for (i, a) in training_points.iter().enumerate() {
        distances.extend(training_points[..i].iter().map(|b| distance_square(field(a), field(b))));
    }
    median(&mut distances).filter(|unit| *unit > 0.0).unwrap_or(1.0)
}

impl GpKernel {
    fn median_scaled(training_points: &[TrainingPoint]) -> Self {
        Self {
            embedding_length2: median_between(training_points, |a| &a.embedding),
            contribution_length2: median_between(training_points, |a| &a.contributions),
        }
    }

    /// The kernel, rounded to the precision of the adapter file.
    fn as_stored(self) -> Self {
        let round = |v: f64| f64::from(v as f32);
        Self {
            embedding_length2: round(self.embedding_length2),
            contribution_length2: round(self.contribution_length2),
        }
    }

    /// The kernel with all length scales multiplied by `factor`.
    fn scaled(self, factor: f64) -> Self {
        let square = factor * factor;
        Self {
            embedding_length2: square * self.embedding_length2,
            contribution_length2: square * self.contribution_length2,
        }
        .as_stored()
    }

    /// Terms of the covariance of two stars' residuals: second hidden layer, first hidden layer, colour.
    fn terms(&self, a: &TrainingPoint, b: &TrainingPoint) -> [f64; 3] {
        let distance = distance_square(&a.embedding, &b.embedding) / self.embedding_length2;
        let squared_exponential = |distance: f64, length: f64| (-distance / (2.0 * length * length)).exp();
        let contribution_term = match a.contributions.is_empty() {
            true => 0.0,
            false => squared_exponential(
                distance_square(&a.contributions, &b.contributions) / self.contribution_length2,
                1.0,
            ),
        };
        let colours = f64::from(a.colour) * f64::from(b.colour);
        [
            squared_exponential(distance, LENGTH_SCALE),
            CONTRIBUTION_VARIANCE * contribution_term,
            COLOUR_VARIANCE * colours * (0.5 + 0.5 * squared_exponential(distance, COLOUR_LENGTH_SCALE)),
        ]
    }

    fn covariance(&self, a: &TrainingPoint, b: &TrainingPoint) -> f64 {
        CONSTANT_VARIANCE + self.terms(a, b).iter().sum::<f64>()
    }

    fn covariance_matrix(&self, training_points: &[TrainingPoint]) -> SymmetricMatrix {
        SymmetricMatrix::of(training_points.len(), |i, j| self.covariance(&training_points[i], &training_points[j]))
    }
}

/// A Gaussian-process regression: covariance, residuals and the relative weight of each label.
struct GpProblem<'a> {
    covariance: &'a SymmetricMatrix,
    residuals: &'a [f64],
    label_weights: &'a [f64],
}

impl GpProblem<'_> {
    fn factor(&self, n: usize, noise: f64) -> Option<CholeskyFactor> {
        let covariance = |i: usize, j: usize| {
            self.covariance.values[i * self.covariance.n + j] + if i == j { noise / self.label_weights[i] } else { 0.0 }
        };
        SymmetricMatrix::of(n, covariance).factor()
    }

    /// The highest log posterior and the noise variance that reaches it.
    fn best_noise(&self) -> (f64, f64) {
        let n_evidence = self.residuals.len().min(MAX_EVIDENCE_POINTS);
        let prior = |noise: f64| -0.5 * ((noise / PRIOR_NOISE).ln() / NOISE_PRIOR_FACTOR.ln()).powi(2);
        let candidates = NOISE_VARIANCES.map(|noise| (self.evidence(n_evidence, noise) + prior(noise), noise));
        let best = |best: (f64, f64), candidate: (f64, f64)| if candidate.0 > best.0 { candidate } else { best };
        candidates.into_iter().fold((f64::NEG_INFINITY, PRIOR_NOISE), best)
    }

    /// Log marginal likelihood, maximised over the overall scale.
    fn evidence(&self, n: usize, noise: f64) -> f64 {
        let Some(factor) = self.factor(n, noise) else { return f64::NEG_INFINITY };
        let whitened = factor.forward(&self.residuals[..n]);
        let square: f64 = whitened.iter().map(|v| v * v).sum::<f64>() / n as f64;
        -0.5 * (n as f64 * square.max(1e-300).ln() + factor.log_determinant())
    }
}

impl GpCorrection {
    /// Fits residuals (label − network), in units of `scale`. Also gives the leave-one-out prediction of each star.
    /// Stores the first [`MAX_TRAINING_POINTS`] stars.
    ///
    /// `None` for fewer than two stars or numbers that are not finite.
    pub fn fit(
        stars: &[CorrectionInput],
        output_index: Option<OutputIndex>,
        scale: f32,
        residuals: &[f64],
    ) -> Option<(Self, Vec<f64>)> {
        let has_finite_features = |star: &CorrectionInput| {
            let Features { embedding, contributions, .. } = star.features;
            embedding.iter().chain(contributions).all(|v| v.is_finite())
        };
        if residuals.len() < 2 || stars.len() != residuals.len() || !stars.iter().all(has_finite_features) {
            return None;
        }
        let update_inputs: Vec<_> = stars.iter().filter_map(|star| star.update_input(output_index)).collect();
        // An update fitted to a minority of the stars would overfit that minority.
        let label_update = if 2 * update_inputs.len() < stars.len() { None } else { LabelUpdate::fit(&update_inputs) };
        let n_used = stars.len().min(MAX_TRAINING_POINTS);
        let mut fitted = Self {
            output_index,
            starts_from_update: true,
            label_update,
            kernel: GpKernel { embedding_length2: 1.0, contribution_length2: 1.0 },
            training_points: Vec::new(),
            weights: Vec::new(),
        };
        fitted.training_points = stars[..n_used].iter().map(|star| fitted.training_point(star)).collect();
        fitted.kernel = GpKernel::median_scaled(&fitted.training_points);
        let mut prior_correction: Vec<f64> = stars.iter().map(|star| fitted.prior_correction(star, scale)).collect();
        let mut remaining: Vec<f64> = residuals.iter().zip(&prior_correction).map(|(r, e)| r - e).collect();
        if remaining.iter().chain(residuals).any(|v| !v.is_finite()) {
            return None;
        }
        let evidence_points = &fitted.training_points[..n_used.min(MAX_EVIDENCE_POINTS)];
        let update_log_odds = if fitted.label_update.is_some() { UPDATE_LOG_ODDS } else { 0.0 };
        let mut best = (f64::NEG_INFINITY, fitted.kernel, true);
        for factor in LENGTH_SCALE_FACTORS {
            let kernel = fitted.kernel.scaled(factor);
            let covariance = kernel.covariance_matrix(evidence_points);
            for (residuals, starts_from_update, log_prior) in
                [(remaining.as_slice(), true, update_log_odds), (residuals, false, 0.0)]
            {
                let label_weights = vec![1.0; evidence_points.len()];
                let problem = GpProblem {
                    covariance: &covariance,
                    residuals: &residuals[..evidence_points.len()],
                    label_weights: &label_weights,
                };
                let log_posterior =
                    problem.best_noise().0 + log_prior - 0.5 * (factor.ln() / LENGTH_SCALE_PRIOR_FACTOR.ln()).powi(2);
                if log_posterior > best.0 {
                    best = (log_posterior, kernel, starts_from_update);
                }
            }
        }
        (_, fitted.kernel, fitted.starts_from_update) = best;
        if !fitted.starts_from_update {
            prior_correction.fill(0.0);
            remaining = residuals.to_vec();
        }
        let mut leave_one_out = fitted.solve_weights(&remaining[..n_used])?;
        leave_one_out.extend(stars[n_used..].iter().map(|star| fitted.kernel_mean(star)));
        leave_one_out.iter_mut().zip(prior_correction).for_each(|(sum, prior)| *sum += prior);
        Some((fitted, leave_one_out))
    }

    /// Solves for the weights; gives the leave-one-out prediction of each training point.
    fn solve_weights(&mut self, residuals: &[f64]) -> Option<Vec<f64>> {
        let n = residuals.len();
        let covariance = &self.kernel.covariance_matrix(&self.training_points);
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
            let huber_limit = HUBER_THRESHOLD * median(&mut remaining.clone()).unwrap_or(0.0) / 0.6745;
            label_weights =
                remaining.iter().map(|r| if *r <= huber_limit { 1.0 } else { huber_limit.max(1e-9 * r) / r }).collect();
        }
        let problem = GpProblem { covariance, residuals, label_weights: &label_weights };
        let factor = problem.factor(n, problem.best_noise().1)?;
        let weights = factor.solve(residuals);
        // Leave-one-out residuals need no further fit (Rasmussen & Williams 2006, eq. 5.12).
        let inverse = factor.inverse_diagonal();
        self.weights = weights.iter().map(|w| *w as f32).collect();
        Some(weights.iter().zip(&inverse).zip(residuals).map(|((w, i), r)| r - w / i).collect())
    }

    fn training_point(&self, star: &CorrectionInput) -> TrainingPoint {
        let emulator_residual = star.input.emulator_residual.as_ref();
        let colour = self
            .label_update
            .as_ref()
            .zip(emulator_residual)
            .map_or(0.0, |(label_update, d)| label_update.colour(d) as f32);
        let Features { embedding, contributions, .. } = star.features;
        TrainingPoint { embedding: embedding.clone(), contributions: contributions.clone(), colour }
    }

    /// The part of the correction that uses no labels, in units of `scale`.
    fn prior_correction(&self, star: &CorrectionInput, scale: f32) -> f64 {
        let Some(output_index) = self.output_index.filter(|_| self.starts_from_update) else { return 0.0 };
        let Features { labels, averaged, .. } = star.features;
        let component =
            output_index.stellar_parameters.and_then(|indices| indices.iter().position(|i| *i == output_index.target));
        let updated_step =
            || Some(self.label_update.as_ref()?.step(&star.update_input(self.output_index)?)[component?]);
        (averaged[output_index.target] - labels[output_index.target] + updated_step().unwrap_or(0.0)) / f64::from(scale)
    }

    fn kernel_mean(&self, star: &CorrectionInput) -> f64 {
        let star_point = self.training_point(star);
        let weighted = |(training_point, weight): (&TrainingPoint, &f32)| {
            f64::from(*weight) * self.kernel.covariance(training_point, &star_point)
        };
        self.training_points.iter().zip(&self.weights).map(weighted).sum()
    }

    /// The correction of a star, in units of `scale`.
    pub fn at(&self, star: &CorrectionInput, scale: f32) -> f64 {
        self.prior_correction(star, scale) + self.kernel_mean(star)
    }

    /// Gradient of the kernel mean with respect to the second hidden layer and to the contributions of the first.
    pub fn slopes_at(&self, star: &CorrectionInput) -> [Vec<f32>; 2] {
        let star_point = self.training_point(star);
        let mut slopes = [vec![0.0; star_point.embedding.len()], vec![0.0; star_point.contributions.len()]];
        for (training_point, weight) in self.training_points.iter().zip(&self.weights) {
            let [embedding_term, contribution_term, colour_term] = self.kernel.terms(training_point, &star_point);
            let colours = COLOUR_VARIANCE * f64::from(training_point.colour) * f64::from(star_point.colour);
            let factor = f64::from(*weight)
                * (embedding_term / LENGTH_SCALE.powi(2) + (colour_term - 0.5 * colours) / COLOUR_LENGTH_SCALE.powi(2));
            add_towards(
                &mut slopes[0],
                &training_point.embedding,
                &star_point.embedding,
                factor / self.kernel.embedding_length2,
            );
            let factor = f64::from(*weight) * contribution_term / self.kernel.contribution_length2;
            add_towards(&mut slopes[1], &training_point.contributions, &star_point.contributions, factor);
        }
        slopes.map(|slope| slope.into_iter().map(|s: f64| s as f32).collect())
    }

    /// True when it starts from [`Features::averaged`] and the label update, not from the network's own prediction.
    pub fn starts_from_update(&self) -> bool {
        self.starts_from_update
    }

    /// True when the correction needs the residual of the star from the emulator's spectrum.
    pub fn needs_emulator(&self) -> bool {
        self.label_update.is_some()
    }

    /// Adds its arrays to `tensors` under `{prefix}`.
    pub fn store(&self, tensors: &mut Tensors, prefix: &str) {
        let n = self.training_points.len();
        let mut insert = |name: &str, field: fn(&TrainingPoint) -> &[f32]| {
            let width = self.training_points.first().map_or(0, |training_point| field(training_point).len());
            let values = self.training_points.iter().flat_map(field).copied().collect();
            tensors.insert(&format!("{prefix}{name}"), &[n, width], values);
        };
        insert("embeddings", |a| &a.embedding);
        if self.output_index.is_some() {
            insert("contributions", |a| &a.contributions);
        }
        insert("colours", |a| std::slice::from_ref(&a.colour));
        tensors.insert(&format!("{prefix}weights"), &[n], self.weights.clone());
        let GpKernel { embedding_length2, contribution_length2 } = self.kernel;
        let starts_from_update = f32::from(u8::from(self.starts_from_update));
        let constants = vec![embedding_length2 as f32, contribution_length2 as f32, starts_from_update];
        tensors.insert(&format!("{prefix}constants"), &[3], constants);
        if let Some(label_update) = &self.label_update {
            // Array name of format 2.
            label_update.store(tensors, &format!("{prefix}refiner."));
        }
    }

    /// Loads the arrays under `{prefix}` for a network with these widths; `None` where there are none.
    pub fn load(
        tensors: &Tensors,
        prefix: &str,
        output_index: Option<OutputIndex>,
        [embedding, first_hidden]: [usize; 2],
    ) -> Result<Option<Self>, WeightsError> {
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
        let &[embedding_length2, contribution_length2, starts_from_update] =
            tensors.get(&format!("{prefix}constants"), &[3])?
        else {
            return Err(WeightsError::Missing(format!("{prefix}constants")));
        };
        if embedding_length2 <= 0.0 || contribution_length2 <= 0.0 {
            return Err(WeightsError::NotFinite(format!("{prefix}constants")));
        }
        let embeddings = tensors.get(&format!("{prefix}embeddings"), &[n, embedding])?;
        let contributions = match output_index {
            Some(_) => tensors.get(&format!("{prefix}contributions"), &[n, first_hidden])?,
            None => &[],
        };
        let colours = tensors.get(&format!("{prefix}colours"), &[n, 1])?;
        let row = |values: &[f32], i: usize, width: usize| {
            values.get(i * width..(i + 1) * width).map_or(vec![], <[f32]>::to_vec)
        };
        let training_point = |i: usize| TrainingPoint {
            embedding: row(embeddings, i, embedding),
            contributions: row(contributions, i, first_hidden),
            colour: colours[i],
        };
        Ok(Some(Self {
            output_index,
            label_update: LabelUpdate::load(tensors, &format!("{prefix}refiner."))?,
            starts_from_update: starts_from_update > 0.5,
            kernel: GpKernel {
                embedding_length2: f64::from(embedding_length2),
                contribution_length2: f64::from(contribution_length2),
            },
            training_points: (0..n).map(training_point).collect(),
            weights,
        }))
    }
}

/// Adds `factor` × (`training_point` − `star_point`).
fn add_towards(slope: &mut [f64], training_point: &[f32], star_point: &[f32], factor: f64) {
    slope.iter_mut().zip(training_point.iter().zip(star_point)).for_each(|(s, (a, h))| *s += factor * f64::from(a - h));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::predict::LabelInput;

    /// Stars on a circle.
    struct SyntheticCircle {
        features: Vec<Features>,
        input: LabelInput,
    }

    const OUTPUT_INDEX: OutputIndex = OutputIndex { target: 0, stellar_parameters: None };

    impl SyntheticCircle {
        fn of(n: usize) -> Self {
            let features = |i: usize| {
                let angle = i as f64 / n as f64 * std::f64::consts::TAU;
                let point = vec![angle.cos() as f32, angle.sin() as f32];
                Features { embedding: point.clone(), contributions: point, labels: vec![0.0], averaged: vec![0.0] }
            };
            let input = LabelInput { norm: Vec::new(), snr: None, coverage: 1.0, emulator_residual: None };
            Self { features: (0..n).map(features).collect(), input }
        }

        fn stars(&self) -> Vec<CorrectionInput<'_>> {
            self.features.iter().map(|features| CorrectionInput { features, input: &self.input }).collect()
        }
    }

    /// A sine along the circle, plus noise and one gross outlier.
    fn wave(n: usize) -> Vec<f64> {
        let angle = |i: usize| i as f64 / n as f64 * std::f64::consts::TAU;
        let noise = |i: usize| if (i * 7919).is_multiple_of(3) { 0.1 } else { -0.05 };
        (0..n).map(|i| 0.5 + angle(i).sin() + noise(i) + if i == 17 { 10.0 } else { 0.0 }).collect()
    }

    #[test]
    fn recovers_a_smooth_residual_despite_an_outlier() {
        let circle = SyntheticCircle::of(120);
        let stars = circle.stars();
        for output_index in [Some(OUTPUT_INDEX), None] {
            let (fitted, _) = GpCorrection::fit(&stars, output_index, 1.0, &wave(120)).expect("a fit");
            for i in [3, 30, 61, 97] {
                let (got, expected) =
                    (fitted.at(&stars[i], 1.0), 0.5 + (i as f64 / 120.0 * std::f64::consts::TAU).sin());
                assert!((got - expected).abs() < 0.15, "{got} and {expected} at {i}");
            }
        }
    }

    /// The leave-one-out prediction equals the prediction of a fit without the star.
    #[test]
    fn leave_one_out_equals_a_fit_without_the_star() {
        let circle = SyntheticCircle::of(40);
        let mut residuals = wave(40);
        residuals[17] -= 10.0;
        let (_, leave_one_out) =
            GpCorrection::fit(&circle.stars(), Some(OUTPUT_INDEX), 1.0, &residuals).expect("a fit");
        for i in [3, 20, 39] {
            let (mut other_stars, mut other_residuals) = (circle.stars(), residuals.clone());
            let star = other_stars.remove(i);
            other_residuals.remove(i);
            let (without, _) =
                GpCorrection::fit(&other_stars, Some(OUTPUT_INDEX), 1.0, &other_residuals).expect("a fit");
            // A fit without the star chooses noise and length scales anew, so the values differ slightly.
            let got = without.at(&star, 1.0);
            assert!((got - leave_one_out[i]).abs() < 0.05, "{got} and {}", leave_one_out[i]);
        }
    }

    /// The averaged prediction is used only where it is closer to the labels.
    #[test]
    fn starts_from_the_better_prediction() {
        let mut circle = SyntheticCircle::of(60);
        let scatter = |i: usize| ((i as f64 * 12.9898).sin() * 43758.5453).fract();
        let residuals: Vec<f64> = (0..60).map(|i| scatter(i) + 0.01 * scatter(7 * i)).collect();
        for (averages, is_better) in [(1.0, true), (-1.0, false)] {
            for (i, features) in circle.features.iter_mut().enumerate() {
                features.averaged = vec![averages * scatter(i)];
            }
            let (fitted, leave_one_out) =
                GpCorrection::fit(&circle.stars(), Some(OUTPUT_INDEX), 1.0, &residuals).expect("a fit");
            assert_eq!(fitted.starts_from_update, is_better);
            let remaining: f64 = leave_one_out.iter().zip(&residuals).map(|(a, r)| (a - r).powi(2)).sum::<f64>() / 60.0;
            assert!((remaining.sqrt() < 0.05) == is_better, "{remaining}");
        }
    }

    #[test]
    fn rejects_invalid_input_and_reproduces_a_constant() {
        let mut circle = SyntheticCircle::of(10);
        assert!(GpCorrection::fit(&[], None, 1.0, &[]).is_none());
        let (fitted, _) = GpCorrection::fit(&circle.stars(), Some(OUTPUT_INDEX), 1.0, &[3.0; 10]).expect("a fit");
        assert!((fitted.at(&circle.stars()[1], 1.0) - 3.0).abs() < 0.2);
        assert!(GpCorrection::fit(&circle.stars(), Some(OUTPUT_INDEX), 1.0, &[f64::NAN; 10]).is_none());
        circle.features[4].embedding[0] = f32::NAN;
        assert!(GpCorrection::fit(&circle.stars(), Some(OUTPUT_INDEX), 1.0, &[3.0; 10]).is_none());
    }
}
