//! The first step of teaching, in closed form: what like stars say the network gets wrong.
//!
//! A network from synthesis is off by amounts that change slowly from star to star, and the labels at hand carry errors of
//! their own. First the network's answer is made a better one without any label: averaged with those from parts of the spectrum
//! ([`Look::averaged`]) and moved to where the synthetic spectrum fits ([`Refiner`]). A Gaussian process over the network's hidden
//! units then averages what is left of the labels over stars that the network itself takes for alike, and says nothing about
//! stars like none of those. It has no learning rate and cannot overfit by going on for too long.

use super::look::{Column, Look, Star};
use super::refine::Refiner;
use crate::model::weights::{Tensors, WeightsError};
use crate::preprocess::stats::median;
use crate::task::cholesky::{Factor, Square};

/// Length scale over the second hidden layer, in units of the median distance between two stars.
const LENGTH: f64 = 1.5;

/// Parts of all length scales that are tried, and the factor within which the usual one is expected: where stars of every kind
/// are taught, what is wrong with the hot ones says nothing of the others.
const SHORTER: [f64; 7] = [1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.12];
const SHORTER_WITHIN: f64 = 1.3;

/// Variance of what is alike in stars whose first hidden layers contribute alike, in units of that over the second. As are those
/// of the next three.
const BY_CONTRIBUTIONS: f64 = 0.5;

/// Variance of what is the same for all stars.
const CONSTANT: f64 = 1.0;

/// Variance of what goes with a star's colour, and the length scale over which half of that may change its sign.
const BY_COLOUR: f64 = 0.1;
const LENGTH_OF_COLOUR: f64 = 1.5;

/// Variances of the labels' noise that are tried.
const NOISES: [f64; 8] = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4];

/// The noise that is expected before any label is seen, and within which factor: few labels cannot tell noise from structure,
/// and the likeliest noise alone is too large. As simulated against real stars of MILES have it.
const USUAL_NOISE: f64 = 0.4;
const WITHIN: f64 = 1.4;

/// By how much the refined answer is preferred to the network's own before any label is seen, where an emulator had its part
/// in it: logarithm of the odds.
const REFINED_FIRST: f64 = 4.0;

/// Times that the noise of outlying labels is raised.
const ROUNDS: usize = 6;

/// Residuals beyond this many standard deviations count less.
const HUBER: f64 = 1.0;

/// Most stars that choose the noise.
const MAX_TRIED: usize = 300;
/// Most stars that are remembered.
pub const MAX_ANCHORS: usize = 1500;

/// A correction of a network's answers, in units of its standardised label.
#[derive(Debug, Clone, PartialEq)]
pub struct ClosedForm {
    column: Option<Column>,
    /// Whether the refined answer is what likeness corrects, or the network's own.
    begins_refined: bool,
    refiner: Option<Refiner>,
    likeness: Likeness,
    /// Stars learned from.
    anchors: Vec<Anchor>,
    /// One a star.
    weights: Vec<f32>,
}

/// What the Gaussian process knows of a star.
#[derive(Debug, Clone, PartialEq)]
struct Anchor {
    embedding: Vec<f32>,
    /// Empty for a label that is not the network's.
    contributions: Vec<f32>,
    /// In standard deviations.
    colour: f32,
}

/// How like each other stars are: square distances over which likeness falls.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Likeness {
    embedding: f64,
    contributions: f64,
}

fn distance_square(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

/// The median of all square distances between two of some stars; 1 where they are all the same.
fn median_between(anchors: &[Anchor], of: fn(&Anchor) -> &[f32]) -> f64 {
    let mut between: Vec<f64> = Vec::new();
    for (i, a) in anchors.iter().enumerate() {
        between.extend(anchors[..i].iter().map(|b| distance_square(of(a), of(b))));
    }
    median(&mut between).filter(|unit| *unit > 0.0).unwrap_or(1.0)
}

impl Likeness {
    fn usual(anchors: &[Anchor]) -> Self {
        Self {
            embedding: median_between(anchors, |a| &a.embedding),
            contributions: median_between(anchors, |a| &a.contributions),
        }
    }

    /// To the digits that the adapter's file has room for.
    fn as_stored(self) -> Self {
        let round = |v: f64| f64::from(v as f32);
        Self { embedding: round(self.embedding), contributions: round(self.contributions) }
    }

    /// With this part of all lengths.
    fn shorter(self, part: f64) -> Self {
        let square = part * part;
        Self { embedding: square * self.embedding, contributions: square * self.contributions }.as_stored()
    }

    /// The three parts of the covariance of two stars' residuals: by the second hidden layer, by the first, by colour.
    fn parts(&self, a: &Anchor, b: &Anchor) -> [f64; 3] {
        let apart = distance_square(&a.embedding, &b.embedding) / self.embedding;
        let near = |apart: f64, length: f64| (-apart / (2.0 * length * length)).exp();
        let contributed = match a.contributions.is_empty() {
            true => 0.0,
            false => near(distance_square(&a.contributions, &b.contributions) / self.contributions, 1.0),
        };
        let colours = f64::from(a.colour) * f64::from(b.colour);
        [
            near(apart, LENGTH),
            BY_CONTRIBUTIONS * contributed,
            BY_COLOUR * colours * (0.5 + 0.5 * near(apart, LENGTH_OF_COLOUR)),
        ]
    }

    fn covariance(&self, a: &Anchor, b: &Anchor) -> f64 {
        CONSTANT + self.parts(a, b).iter().sum::<f64>()
    }

    fn among(&self, anchors: &[Anchor]) -> Square {
        Square::of(anchors.len(), |i, j| self.covariance(&anchors[i], &anchors[j]))
    }
}

/// What fits a Gaussian process: how like stars are, and how far each label is trusted.
struct Problem<'a> {
    covariance: &'a Square,
    residuals: &'a [f64],
    trust: &'a [f64],
}

impl Problem<'_> {
    fn factor(&self, n: usize, noise: f64) -> Option<Factor> {
        let covariance = |i: usize, j: usize| {
            self.covariance.values[i * self.covariance.n + j] + if i == j { noise / self.trust[i] } else { 0.0 }
        };
        Square::of(n, covariance).factor()
    }

    /// How probable the residuals are at the most probable noise, and that noise.
    fn choose(&self) -> (f64, f64) {
        let tried = self.residuals.len().min(MAX_TRIED);
        let prior = |noise: f64| -0.5 * ((noise / USUAL_NOISE).ln() / WITHIN.ln()).powi(2);
        let judged = NOISES.map(|noise| (self.evidence(tried, noise) + prior(noise), noise));
        let best = |best: (f64, f64), one: (f64, f64)| if one.0 > best.0 { one } else { best };
        judged.into_iter().fold((f64::NEG_INFINITY, USUAL_NOISE), best)
    }

    /// The logarithm of how likely the residuals are, whatever their scale.
    fn evidence(&self, n: usize, noise: f64) -> f64 {
        let Some(factor) = self.factor(n, noise) else { return f64::NEG_INFINITY };
        let whitened = factor.forward(&self.residuals[..n]);
        let square: f64 = whitened.iter().map(|v| v * v).sum::<f64>() / n as f64;
        -0.5 * (n as f64 * square.max(1e-300).ln() + factor.log_determinant())
    }
}

impl ClosedForm {
    /// Fits the residuals of some stars, label less network in units of `scale`. Also gives, for each star, what it would have said
    /// had it not seen it: that is what is left to learn from. The first [`MAX_ANCHORS`] are remembered.
    ///
    /// `None` without two stars or where numbers are not finite.
    pub fn fit(stars: &[Star], column: Option<Column>, scale: f32, residuals: &[f64]) -> Option<(Self, Vec<f64>)> {
        let is_sound = |star: &Star| {
            let Look { embedding, contributions, .. } = star.look;
            embedding.iter().chain(contributions).all(|v| v.is_finite())
        };
        if residuals.len() < 2 || stars.len() != residuals.len() || !stars.iter().all(is_sound) {
            return None;
        }
        let to_refine: Vec<_> = stars.iter().filter_map(|star| star.to_refine(column)).collect();
        // With a few out of many it would know those few.
        let refiner = if 2 * to_refine.len() < stars.len() { None } else { Refiner::learn(&to_refine) };
        let used = stars.len().min(MAX_ANCHORS);
        let mut fitted = Self {
            column,
            begins_refined: true,
            refiner,
            likeness: Likeness { embedding: 1.0, contributions: 1.0 },
            anchors: Vec::new(),
            weights: Vec::new(),
        };
        fitted.anchors = stars[..used].iter().map(|star| fitted.anchor(star)).collect();
        fitted.likeness = Likeness::usual(&fitted.anchors);
        let mut expected: Vec<f64> = stars.iter().map(|star| fitted.expected(star, scale)).collect();
        let mut left: Vec<f64> = residuals.iter().zip(&expected).map(|(r, e)| r - e).collect();
        if left.iter().chain(residuals).any(|v| !v.is_finite()) {
            return None;
        }
        let tried = &fitted.anchors[..used.min(MAX_TRIED)];
        let preferred = if fitted.refiner.is_some() { REFINED_FIRST } else { 0.0 };
        let mut best = (f64::NEG_INFINITY, fitted.likeness, true);
        for part in SHORTER {
            let likeness = fitted.likeness.shorter(part);
            let covariance = likeness.among(tried);
            for (residuals, is_refined, first) in [(left.as_slice(), true, preferred), (residuals, false, 0.0)] {
                let trust = vec![1.0; tried.len()];
                let problem = Problem { covariance: &covariance, residuals: &residuals[..tried.len()], trust: &trust };
                let probable = problem.choose().0 + first - 0.5 * (part.ln() / SHORTER_WITHIN.ln()).powi(2);
                if probable > best.0 {
                    best = (probable, likeness, is_refined);
                }
            }
        }
        (_, fitted.likeness, fitted.begins_refined) = best;
        if !fitted.begins_refined {
            expected.fill(0.0);
            left = residuals.to_vec();
        }
        let mut alone = fitted.weigh(&left[..used])?;
        alone.extend(stars[used..].iter().map(|star| fitted.by_likeness(star)));
        alone.iter_mut().zip(expected).for_each(|(alone, expected)| *alone += expected);
        Some((fitted, alone))
    }

    /// Finds the weights of the anchors' residuals; gives what the others say of each.
    fn weigh(&mut self, residuals: &[f64]) -> Option<Vec<f64>> {
        let n = residuals.len();
        let covariance = &self.likeness.among(&self.anchors);
        let mut trust = vec![1.0; n];
        for _ in 0..ROUNDS {
            let problem = Problem { covariance, residuals, trust: &trust };
            let (_, noise) = problem.choose();
            let weights = problem.factor(n, noise)?.solve(residuals);
            let left: Vec<f64> = weights.iter().zip(&trust).map(|(w, t)| (w * noise / t).abs()).collect();
            let most = HUBER * median(&mut left.clone()).unwrap_or(0.0) / 0.6745;
            trust = left.iter().map(|l| if *l <= most { 1.0 } else { most.max(1e-9 * l) / l }).collect();
        }
        let problem = Problem { covariance, residuals, trust: &trust };
        let factor = problem.factor(n, problem.choose().1)?;
        let weights = factor.solve(residuals);
        // Leaving one out (Rasmussen & Williams 2006, eq. 5.12) needs no further fit.
        let inverse = factor.inverse_diagonal();
        self.weights = weights.iter().map(|w| *w as f32).collect();
        Some(weights.iter().zip(&inverse).zip(residuals).map(|((w, i), r)| r - w / i).collect())
    }

    fn anchor(&self, star: &Star) -> Anchor {
        let discrepancy = star.input.discrepancy.as_ref();
        let colour = self.refiner.as_ref().zip(discrepancy).map_or(0.0, |(refiner, d)| refiner.colour(d) as f32);
        let Look { embedding, contributions, .. } = star.look;
        Anchor { embedding: embedding.clone(), contributions: contributions.clone(), colour }
    }

    /// What is added to the network's answer before any label has a say, in units of `scale`.
    fn expected(&self, star: &Star, scale: f32) -> f64 {
        let Some(column) = self.column.filter(|_| self.begins_refined) else { return 0.0 };
        let Look { labels, averaged, .. } = star.look;
        let place = column.all.and_then(|all| all.iter().position(|i| *i == column.taught));
        let refined = || Some(self.refiner.as_ref()?.step(&star.to_refine(self.column)?)[place?]);
        (averaged[column.taught] - labels[column.taught] + refined().unwrap_or(0.0)) / f64::from(scale)
    }

    fn by_likeness(&self, star: &Star) -> f64 {
        let here = self.anchor(star);
        let weighted = |(anchor, weight): (&Anchor, &f32)| f64::from(*weight) * self.likeness.covariance(anchor, &here);
        self.anchors.iter().zip(&self.weights).map(weighted).sum()
    }

    /// What is added to the network's answer for a star, in units of `scale`.
    pub fn at(&self, star: &Star, scale: f32) -> f64 {
        self.expected(star, scale) + self.by_likeness(star)
    }

    /// How the part that comes of like stars changes with each number of the second hidden layer, and with each contribution
    /// of the first.
    pub fn slopes_at(&self, star: &Star) -> [Vec<f32>; 2] {
        let here = self.anchor(star);
        let mut slopes = [vec![0.0; here.embedding.len()], vec![0.0; here.contributions.len()]];
        for (anchor, weight) in self.anchors.iter().zip(&self.weights) {
            let [near, contributed, coloured] = self.likeness.parts(anchor, &here);
            let colours = BY_COLOUR * f64::from(anchor.colour) * f64::from(here.colour);
            let by =
                f64::from(*weight) * (near / LENGTH.powi(2) + (coloured - 0.5 * colours) / LENGTH_OF_COLOUR.powi(2));
            add_towards(&mut slopes[0], &anchor.embedding, &here.embedding, by / self.likeness.embedding);
            let by = f64::from(*weight) * contributed / self.likeness.contributions;
            add_towards(&mut slopes[1], &anchor.contributions, &here.contributions, by);
        }
        slopes.map(|slope| slope.into_iter().map(|s: f64| s as f32).collect())
    }

    /// True when it begins from [`Look::averaged`] and the refiner's step, not from the network's own answer.
    pub fn begins_refined(&self) -> bool {
        self.begins_refined
    }

    /// True when it needs a star's discrepancy.
    pub fn is_refined(&self) -> bool {
        self.refiner.is_some()
    }

    /// Adds its arrays to `tensors` under `{prefix}`.
    pub fn store(&self, tensors: &mut Tensors, prefix: &str) {
        let n = self.anchors.len();
        let mut insert = |name: &str, of: fn(&Anchor) -> &[f32]| {
            let width = self.anchors.first().map_or(0, |anchor| of(anchor).len());
            let all = self.anchors.iter().flat_map(of).copied().collect();
            tensors.insert(&format!("{prefix}{name}"), &[n, width], all);
        };
        insert("embeddings", |a| &a.embedding);
        if self.column.is_some() {
            insert("contributions", |a| &a.contributions);
        }
        insert("colours", |a| std::slice::from_ref(&a.colour));
        tensors.insert(&format!("{prefix}weights"), &[n], self.weights.clone());
        let Likeness { embedding, contributions } = self.likeness;
        let begins_refined = f32::from(u8::from(self.begins_refined));
        let constants = vec![embedding as f32, contributions as f32, begins_refined];
        tensors.insert(&format!("{prefix}constants"), &[3], constants);
        if let Some(refiner) = &self.refiner {
            refiner.store(tensors, &format!("{prefix}refiner."));
        }
    }

    /// Its arrays under `{prefix}` for a network of these widths; `None` where there are none.
    pub fn load(
        tensors: &Tensors,
        prefix: &str,
        column: Option<Column>,
        [embedding, first]: [usize; 2],
    ) -> Result<Option<Self>, WeightsError> {
        if !tensors.names().any(|name| name.starts_with(prefix)) {
            return Ok(None);
        }
        let name = format!("{prefix}weights");
        let shape = tensors.shape(&name)?;
        let n = shape.first().copied().unwrap_or(0);
        if n > MAX_ANCHORS {
            return Err(WeightsError::Shape { name, found: shape.to_vec(), expected: vec![MAX_ANCHORS] });
        }
        let weights = tensors.get(&name, &[n])?.to_vec();
        let &[by_embedding, by_contributions, begins_refined] = tensors.get(&format!("{prefix}constants"), &[3])?
        else {
            return Err(WeightsError::Missing(format!("{prefix}constants")));
        };
        if by_embedding <= 0.0 || by_contributions <= 0.0 {
            return Err(WeightsError::NotFinite(format!("{prefix}constants")));
        }
        let embeddings = tensors.get(&format!("{prefix}embeddings"), &[n, embedding])?;
        let contributions = match column {
            Some(_) => tensors.get(&format!("{prefix}contributions"), &[n, first])?,
            None => &[],
        };
        let colours = tensors.get(&format!("{prefix}colours"), &[n, 1])?;
        let row =
            |all: &[f32], i: usize, width: usize| all.get(i * width..(i + 1) * width).map_or(vec![], <[f32]>::to_vec);
        let anchor = |i: usize| Anchor {
            embedding: row(embeddings, i, embedding),
            contributions: row(contributions, i, first),
            colour: colours[i],
        };
        Ok(Some(Self {
            column,
            refiner: Refiner::load(tensors, &format!("{prefix}refiner."))?,
            begins_refined: begins_refined > 0.5,
            likeness: Likeness { embedding: f64::from(by_embedding), contributions: f64::from(by_contributions) },
            anchors: (0..n).map(anchor).collect(),
            weights,
        }))
    }
}

/// Adds `by` times the way from `here` to `anchor`.
fn add_towards(slope: &mut [f64], anchor: &[f32], here: &[f32], by: f64) {
    slope.iter_mut().zip(anchor.iter().zip(here)).for_each(|(s, (a, h))| *s += by * f64::from(a - h));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::predict::LabelInput;

    /// Stars on a circle; `label` is what they truly are, less what a network without labels says.
    struct Circle {
        looks: Vec<Look>,
        input: LabelInput,
    }

    const COLUMN: Column = Column { taught: 0, all: None };

    impl Circle {
        fn of(n: usize) -> Self {
            let look = |i: usize| {
                let angle = i as f64 / n as f64 * std::f64::consts::TAU;
                let at = vec![angle.cos() as f32, angle.sin() as f32];
                Look { embedding: at.clone(), contributions: at, labels: vec![0.0], averaged: vec![0.0] }
            };
            let input = LabelInput { norm: Vec::new(), snr: None, coverage: 1.0, discrepancy: None };
            Self { looks: (0..n).map(look).collect(), input }
        }

        fn stars(&self) -> Vec<Star<'_>> {
            self.looks.iter().map(|look| Star { look, input: &self.input }).collect()
        }
    }

    /// A wave along the circle, plus noise and one label that is wrong by far.
    fn wave(n: usize) -> Vec<f64> {
        let angle = |i: usize| i as f64 / n as f64 * std::f64::consts::TAU;
        let noise = |i: usize| if (i * 7919).is_multiple_of(3) { 0.1 } else { -0.05 };
        (0..n).map(|i| 0.5 + angle(i).sin() + noise(i) + if i == 17 { 10.0 } else { 0.0 }).collect()
    }

    #[test]
    fn a_slow_residual_comes_back_and_one_wrong_label_does_not_rule() {
        let circle = Circle::of(120);
        let stars = circle.stars();
        for column in [Some(COLUMN), None] {
            let (fitted, _) = ClosedForm::fit(&stars, column, 1.0, &wave(120)).expect("a fit");
            for i in [3, 30, 61, 97] {
                let (got, want) = (fitted.at(&stars[i], 1.0), 0.5 + (i as f64 / 120.0 * std::f64::consts::TAU).sin());
                assert!((got - want).abs() < 0.15, "{got} and {want} at {i}");
            }
        }
    }

    /// What is left out must not show: a fit without the star says the same.
    #[test]
    fn leaving_one_out_is_a_fit_without_it() {
        let circle = Circle::of(40);
        let mut residuals = wave(40);
        residuals[17] -= 10.0;
        let (_, alone) = ClosedForm::fit(&circle.stars(), Some(COLUMN), 1.0, &residuals).expect("a fit");
        for i in [3, 20, 39] {
            let (mut fewer, mut rest) = (circle.stars(), residuals.clone());
            let star = fewer.remove(i);
            rest.remove(i);
            let (without, _) = ClosedForm::fit(&fewer, Some(COLUMN), 1.0, &rest).expect("a fit");
            // Noise and distances are chosen anew without the star, hence not exactly.
            let got = without.at(&star, 1.0);
            assert!((got - alone[i]).abs() < 0.05, "{got} and {}", alone[i]);
        }
    }

    /// What the network says of either half of the pixels is believed where it is nearer to the labels, and only there.
    #[test]
    fn it_begins_from_the_better_answer() {
        let mut circle = Circle::of(60);
        let scatter = |i: usize| ((i as f64 * 12.9898).sin() * 43758.5453).fract();
        let residuals: Vec<f64> = (0..60).map(|i| scatter(i) + 0.01 * scatter(7 * i)).collect();
        for (averages, is_better) in [(1.0, true), (-1.0, false)] {
            for (i, look) in circle.looks.iter_mut().enumerate() {
                look.averaged = vec![averages * scatter(i)];
            }
            let (fitted, alone) = ClosedForm::fit(&circle.stars(), Some(COLUMN), 1.0, &residuals).expect("a fit");
            assert_eq!(fitted.begins_refined, is_better);
            let left: f64 = alone.iter().zip(&residuals).map(|(a, r)| (a - r).powi(2)).sum::<f64>() / 60.0;
            assert!((left.sqrt() < 0.05) == is_better, "{left}");
        }
    }

    #[test]
    fn nonsense_gives_nothing_and_a_constant_gives_itself() {
        let mut circle = Circle::of(10);
        assert!(ClosedForm::fit(&[], None, 1.0, &[]).is_none());
        let (same, _) = ClosedForm::fit(&circle.stars(), Some(COLUMN), 1.0, &[3.0; 10]).expect("a fit");
        assert!((same.at(&circle.stars()[1], 1.0) - 3.0).abs() < 0.2);
        assert!(ClosedForm::fit(&circle.stars(), Some(COLUMN), 1.0, &[f64::NAN; 10]).is_none());
        circle.looks[4].embedding[0] = f32::NAN;
        assert!(ClosedForm::fit(&circle.stars(), Some(COLUMN), 1.0, &[3.0; 10]).is_none());
    }
}
