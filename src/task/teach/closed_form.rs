//! The first step of teaching, in closed form: what like stars say the network gets wrong.
//!
//! A network from synthesis is off by amounts that change slowly from star to star, and the labels at hand carry errors of
//! their own. A Gaussian process over the network's hidden units averages the residuals of stars that the network itself
//! takes for alike, weighs them against the labels' noise by their evidence, and says nothing about stars like none
//! of those. It has no learning rate and cannot overfit by going on for too long.

use crate::model::weights::{Tensors, WeightsError};
use crate::preprocess::stats::median;
use crate::task::cholesky::{Factor, Square};

/// Length scales that are tried, in units of the median distance between two stars.
const LENGTHS: [f64; 4] = [0.7, 1.0, 1.5, 2.5];

/// Variances of the labels' noise that are tried, in units of the residuals' own.
const NOISES: [f64; 7] = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4];

/// What is expected of length and noise before any label is seen, and within which factor: few labels cannot tell noise from
/// structure, and the likeliest noise alone is too large. As simulated against real stars of MILES have them.
const USUAL: (f64, f64) = (0.7, 0.2);
const WITHIN: (f64, f64) = (1.3, 2.0);

/// Times that the noise of outlying labels is raised.
const ROUNDS: usize = 2;

/// Residuals beyond this many standard deviations count less.
const HUBER: f64 = 1.5;

/// Most stars that choose length and noise.
const MAX_TRIED: usize = 300;
/// Most stars that are remembered.
pub const MAX_ANCHORS: usize = 1500;

/// Residuals as a function of one view of a star.
#[derive(Debug, Clone, PartialEq)]
pub struct ClosedForm {
    /// Which view of stars it is over.
    view: usize,
    width: usize,
    /// That view of the stars learned from, `[n][width]`.
    anchors: Vec<f32>,
    /// One a star.
    weights: Vec<f32>,
    /// What is wrong for all stars alike.
    constant: f32,
    /// Twice the square of the length scale, in the view's unit.
    twice_length_square: f32,
}

fn distance_square(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

/// Square distances between the first `n` rows, in units of their median, and that unit.
fn distances(values: &[f32], width: usize, n: usize) -> (Square, f64) {
    let row = |i: usize| &values[i * width..(i + 1) * width];
    let raw = Square::of(n, |i, j| distance_square(row(i), row(j)));
    let mut between: Vec<f64> = (0..n).flat_map(|i| raw.values[i * n..i * n + i].to_vec()).collect();
    let unit = median(&mut between).filter(|u| *u > 0.0).unwrap_or(1.0);
    (Square { n, values: raw.values.iter().map(|d| d / unit).collect() }, unit)
}

/// What fits a Gaussian process: distances in units of their median, and how far each label is trusted.
struct Problem<'a> {
    distances: &'a Square,
    residuals: &'a [f64],
    trust: &'a [f64],
}

impl Problem<'_> {
    /// The covariance with a constant of the size of the residuals, which a prior knowledge of zero would pull down.
    fn factor(&self, n: usize, length: f64, noise: f64) -> Option<Factor> {
        let kernel = |i: usize, j: usize| {
            let near = (-self.distances.values[i * self.distances.n + j] / (2.0 * length * length)).exp();
            near + 1.0 + if i == j { noise / self.trust[i] } else { 0.0 }
        };
        Square::of(n, kernel).factor()
    }

    /// The most probable length and noise, and how likely the residuals are under them.
    fn choose(&self) -> (f64, (f64, f64)) {
        let tried = self.residuals.len().min(MAX_TRIED);
        let all = LENGTHS.into_iter().flat_map(|length| NOISES.map(|noise| (length, noise)));
        let away = |value: f64, usual: f64, within: f64| ((value / usual).ln() / within.ln()).powi(2);
        let prior = |length, noise| -0.5 * (away(length, USUAL.0, WITHIN.0) + away(noise, USUAL.1, WITHIN.1));
        let judged =
            all.map(|(length, noise)| (self.evidence(tried, length, noise) + prior(length, noise), (length, noise)));
        judged.fold((f64::NEG_INFINITY, (LENGTHS[1], NOISES[3])), |best, one| if one.0 > best.0 { one } else { best })
    }

    /// The logarithm of how likely the residuals are, whatever their scale.
    fn evidence(&self, n: usize, length: f64, noise: f64) -> f64 {
        let Some(factor) = self.factor(n, length, noise) else { return f64::NEG_INFINITY };
        let whitened = factor.forward(&self.residuals[..n]);
        let square: f64 = whitened.iter().map(|v| v * v).sum::<f64>() / n as f64;
        -0.5 * (n as f64 * square.max(1e-300).ln() + factor.log_determinant())
    }
}

impl ClosedForm {
    /// Fits the residuals of some stars, by that of several views of them under which the residuals are most likely. Also gives,
    /// for each star, what it would have said had it not seen it: that is what is left to learn from.
    ///
    /// Each view is `[n][width]` and its width, in any order of stars (the first [`MAX_ANCHORS`] are remembered). `None` without
    /// two stars or where numbers are not finite.
    pub fn fit(views: &[(&[f32], usize)], residuals: &[f64]) -> Option<(Self, Vec<f64>)> {
        let n = residuals.len();
        let is_sound = |(values, width): &(&[f32], usize)| {
            *width > 0 && values.len() == n * width && values.iter().all(|v| v.is_finite())
        };
        if n < 2 || residuals.iter().any(|r| !r.is_finite()) || !views.iter().all(is_sound) {
            return None;
        }
        let used = n.min(MAX_ANCHORS);
        let mut squares: Vec<f64> = residuals[..used].iter().map(|r| r * r).collect();
        let mean_square = residuals.iter().map(|r| r * r).sum::<f64>() / n as f64;
        let scale = (median(&mut squares).unwrap_or(0.0) + mean_square).sqrt();
        let scale = if scale > 0.0 { scale } else { 1.0 };
        let scaled: Vec<f64> = residuals[..used].iter().map(|r| r / scale).collect();
        let trust = vec![1.0; used];
        let mut best: Option<(f64, usize, (Square, f64))> = None;
        for (view, (values, width)) in views.iter().enumerate() {
            let (distances, unit) = distances(values, *width, used);
            let problem = Problem { distances: &distances, residuals: &scaled, trust: &trust };
            let (evidence, _) = problem.choose();
            if best.as_ref().is_none_or(|(highest, ..)| evidence > *highest) {
                best = Some((evidence, view, (distances, unit)));
            }
        }
        let (_, view, (distances, unit)) = best?;
        let (values, width) = views[view];
        let (mut fitted, mut alone) = Self::fit_view(values, width, &distances, unit, &scaled, scale)?;
        fitted.view = view;
        alone.extend((used..n).map(|i| fitted.at(&values[i * width..(i + 1) * width])));
        Some((fitted, alone))
    }

    fn fit_view(
        values: &[f32],
        width: usize,
        distances: &Square,
        unit: f64,
        scaled: &[f64],
        scale: f64,
    ) -> Option<(Self, Vec<f64>)> {
        let used = scaled.len();
        let mut trust = vec![1.0; used];
        let mut best = None;
        for round in 0..=ROUNDS {
            let problem = Problem { distances, residuals: scaled, trust: &trust };
            let (_, (length, noise)) = problem.choose();
            let factor = problem.factor(used, length, noise)?;
            let weights = factor.solve(scaled);
            let left: Vec<f64> = weights.iter().zip(&trust).map(|(w, t)| w * noise / t).collect();
            if round == ROUNDS {
                // Leaving one out (Rasmussen & Williams 2006, eq. 5.12) needs no further fit.
                let inverse = factor.inverse_diagonal();
                let alone = weights.iter().zip(&inverse).zip(scaled).map(|((w, i), r)| scale * (r - w / i)).collect();
                best = Some((weights, length, alone));
                break;
            }
            let mut sizes: Vec<f64> = left.iter().map(|l| l.abs()).collect();
            let typical = median(&mut sizes).unwrap_or(0.0) / 0.6745;
            trust =
                left.iter().map(|l| if l.abs() <= HUBER * typical { 1.0 } else { HUBER * typical / l.abs() }).collect();
        }
        let (weights, length, alone): (Vec<f64>, f64, Vec<f64>) = best?;
        let fitted = Self {
            view: 0,
            width,
            anchors: values[..used * width].to_vec(),
            constant: (scale * weights.iter().sum::<f64>()) as f32,
            weights: weights.iter().map(|w| (scale * w) as f32).collect(),
            twice_length_square: (2.0 * length * length * unit) as f32,
        };
        Some((fitted, alone))
    }

    /// The residual expected of a star that looks so under its view.
    pub fn at(&self, embedding: &[f32]) -> f64 {
        let near = |anchor: &[f32]| (-distance_square(anchor, embedding) / f64::from(self.twice_length_square)).exp();
        let sum: f64 =
            self.anchors.chunks_exact(self.width).zip(&self.weights).map(|(a, w)| f64::from(*w) * near(a)).sum();
        f64::from(self.constant) + sum
    }

    /// How that changes with each number of the view.
    pub fn slope_at(&self, embedding: &[f32]) -> Vec<f32> {
        let mut slope = vec![0.0; self.width];
        for (anchor, weight) in self.anchors.chunks_exact(self.width).zip(&self.weights) {
            let unit = f64::from(self.twice_length_square);
            let near = f64::from(*weight) * (-distance_square(anchor, embedding) / unit).exp();
            let towards = anchor.iter().zip(embedding).map(|(a, e)| 2.0 * near * f64::from(a - e) / unit);
            slope.iter_mut().zip(towards).for_each(|(s, t)| *s += t);
        }
        slope.into_iter().map(|s| s as f32).collect()
    }

    /// Which view of stars it takes.
    pub fn view(&self) -> usize {
        self.view
    }

    /// Width of that view.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Adds its arrays to `tensors` under `{prefix}`.
    pub fn store(&self, tensors: &mut Tensors, prefix: &str) {
        tensors.insert(&format!("{prefix}anchors"), &[self.weights.len(), self.width], self.anchors.clone());
        tensors.insert(&format!("{prefix}weights"), &[self.weights.len()], self.weights.clone());
        tensors.insert(
            &format!("{prefix}constant"),
            &[3],
            vec![self.constant, self.twice_length_square, self.view as f32],
        );
    }

    /// Its arrays under `{prefix}`; `None` where there are none.
    pub fn load(tensors: &Tensors, prefix: &str) -> Result<Option<Self>, WeightsError> {
        let name = format!("{prefix}anchors");
        let Ok(shape) = tensors.shape(&name) else { return Ok(None) };
        let &[n, width] = shape else {
            return Err(WeightsError::Shape { name, found: shape.to_vec(), expected: vec![MAX_ANCHORS, 512] });
        };
        let constants = tensors.get(&format!("{prefix}constant"), &[3])?;
        let (constant, twice_length_square, view) = (constants[0], constants[1], constants[2] as usize);
        if twice_length_square <= 0.0 || n > MAX_ANCHORS || width == 0 {
            return Err(WeightsError::NotFinite(name));
        }
        let weights = tensors.get(&format!("{prefix}weights"), &[n])?.to_vec();
        Ok(Some(Self {
            view,
            width,
            anchors: tensors.get(&name, &[n, width])?.to_vec(),
            weights,
            constant,
            twice_length_square,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stars on a circle whose residual is a wave along it, plus noise and one label that is wrong by far.
    fn wave(n: usize) -> (Vec<f32>, Vec<f64>) {
        let angle = |i: usize| i as f64 / n as f64 * std::f64::consts::TAU;
        let embeddings = (0..n).flat_map(|i| [angle(i).cos() as f32, angle(i).sin() as f32]).collect();
        let noise = |i: usize| if (i * 7919).is_multiple_of(3) { 0.1 } else { -0.05 };
        let residuals = (0..n).map(|i| 0.5 + angle(i).sin() + noise(i) + if i == 17 { 10.0 } else { 0.0 }).collect();
        (embeddings, residuals)
    }

    #[test]
    fn a_slow_residual_comes_back_and_one_wrong_label_does_not_rule() {
        let (embeddings, residuals) = wave(120);
        let (fitted, _) = ClosedForm::fit(&[(&embeddings, 2)], &residuals).expect("a fit");
        for angle in [0.1f64, 1.0, 2.0, 4.0] {
            let got = fitted.at(&[angle.cos() as f32, angle.sin() as f32]);
            assert!((got - 0.5 - angle.sin()).abs() < 0.1, "{got} at {angle}");
        }
    }

    /// What is left out must not show: a fit without the star says the same.
    #[test]
    fn leaving_one_out_is_a_fit_without_it() {
        let (embeddings, mut residuals) = wave(40);
        residuals[17] -= 10.0;
        let (_, alone) = ClosedForm::fit(&[(&embeddings, 2)], &residuals).expect("a fit");
        for i in [3, 20, 39] {
            let (mut fewer, mut rest) = (embeddings.clone(), residuals.clone());
            fewer.drain(2 * i..2 * i + 2);
            rest.remove(i);
            let (without, _) = ClosedForm::fit(&[(&fewer, 2)], &rest).expect("a fit");
            let got = without.at(&embeddings[2 * i..2 * i + 2]);
            // Length and noise are chosen anew without the star, hence not exactly.
            assert!((got - alone[i]).abs() < 0.03, "{got} and {}", alone[i]);
        }
    }

    /// Of a view that orders the stars by the residual and one that shuffles them, the first is taken.
    #[test]
    fn the_view_that_explains_the_residuals_is_chosen() {
        let (embeddings, residuals) = wave(120);
        let order = |i: usize| (i * 53) % 120;
        let shuffled: Vec<f32> = (0..120).flat_map(|i| embeddings[2 * order(i)..2 * order(i) + 2].to_vec()).collect();
        let (fitted, _) = ClosedForm::fit(&[(&shuffled, 2), (&embeddings, 2)], &residuals).expect("a fit");
        assert_eq!(fitted.view(), 1);
    }

    #[test]
    fn nonsense_gives_nothing_and_a_constant_gives_itself() {
        assert!(ClosedForm::fit(&[(&[], 2)], &[]).is_none());
        assert!(ClosedForm::fit(&[(&[1.0, f32::NAN, 0.0, 1.0], 2)], &[1.0, 2.0]).is_none());
        let (same, _) = ClosedForm::fit(&[(&[1.0; 20], 2)], &[3.0; 10]).expect("a fit");
        assert!((same.at(&[1.0, 1.0]) - 3.0).abs() < 0.2);
    }
}
