//! The strategies side by side: which trainings to run, and what their outcomes say.
//!
//! The list of tasks is plain and so are their outcomes, so that several workers may share them; the verdict needs only
//! outcomes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::lesson::Lesson;
use super::split::{Split, folds};
use crate::result::teach::{
    BakeOff, CurvePoint, Measured, Metrics, Outcome, Recommendation, Regime, RegimeScore, Settings, Strategy,
    StrategyScore, Task,
};
use crate::task::metrics::mean_and_std;

/// Which trainings to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Strategies to compare.
    pub strategies: Vec<Strategy>,
    /// Folds; as many as there are groups at most.
    pub folds: usize,
    /// One cross-validation each.
    pub seeds: Vec<u64>,
    /// Numbers of labels to learn from; empty for all of the other folds'.
    pub labels: Vec<usize>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { strategies: Strategy::ALL.to_vec(), folds: 5, seeds: vec![1], labels: Vec::new() }
    }
}

impl Plan {
    /// A learning curve: 10, 25, 50, 100, 200 … labels, as far as a fold leaves so many.
    pub fn learning_curve(lesson: &Lesson, strategies: Vec<Strategy>, folds: usize, seeds: Vec<u64>) -> Self {
        let most = lesson.len() - lesson.len() / folds.max(2);
        let steps = [10, 25, 50, 100, 200, 400, 800, 1600];
        let labels = steps.into_iter().filter(|n| *n < most).chain([most]).collect();
        Self { strategies, folds, seeds, labels }
    }

    /// The trainings, those of one fold together and the cheap ones first.
    pub fn tasks(&self, lesson: &Lesson) -> Vec<Task> {
        let mut tasks = Vec::new();
        for &seed in &self.seeds {
            let count = folds(lesson, self.folds, seed).into_iter().max().map_or(0, |f| f + 1);
            for &strategy in &self.strategies {
                for fold in 0..count {
                    let task = |labels| Task { strategy, fold: Some(fold), seed, labels };
                    match self.labels.as_slice() {
                        [] => tasks.push(task(None)),
                        some => tasks.extend(some.iter().map(|n| task(Some(*n)))),
                    }
                }
            }
        }
        tasks
    }

    /// The split of a task.
    pub fn split(&self, lesson: &Lesson, task: &Task, settings: &Settings) -> Split {
        let folds = folds(lesson, self.folds, task.seed);
        Split::of_fold(lesson, &folds, task.fold, task.labels, settings.validation, task.seed)
    }
}

/// Figures of one strategy over folds and seeds, for one part of the stars.
///
/// Every figure is of all stars of a seed together, each predicted while it was kept apart, and the mean over seeds. Its error
/// joins what leaving out one fold after the other changes (jackknife) and what seeds do.
fn measure(lesson: &Lesson, outcomes: &[&Outcome], keep: &[bool]) -> Option<[Measured; 4]> {
    let mut by_seed: BTreeMap<u64, Vec<Vec<(f64, f64)>>> = BTreeMap::new();
    for outcome in outcomes {
        let pairs = outcome.rows.iter().zip(&outcome.values).filter(|(row, _)| keep[**row as usize]);
        let pairs = pairs.map(|(row, value)| (lesson.values[*row as usize], *value)).collect();
        by_seed.entry(outcome.task.seed).or_default().push(pairs);
    }
    let figures = |pairs: &[(f64, f64)]| {
        let m = Metrics::of(pairs);
        [m.r2, m.sigma, m.biweight, m.bias]
    };
    let (mut values, mut variances) = (Vec::new(), Vec::new());
    for folds in by_seed.values() {
        let all = folds.concat();
        if all.len() < 3 {
            continue;
        }
        values.push(figures(&all));
        let without: Vec<[f64; 4]> = (0..folds.len())
            .map(|left| {
                let others: Vec<(f64, f64)> =
                    folds.iter().enumerate().filter(|(i, _)| *i != left).flat_map(|(_, f)| f.iter().copied()).collect();
                figures(&others)
            })
            .collect();
        let k = folds.len() as f64;
        variances.push(std::array::from_fn::<f64, 4, _>(|j| {
            let (_, std) = mean_and_std(&without.iter().map(|w| w[j]).collect::<Vec<_>>());
            (k - 1.0) * std * std
        }));
    }
    let n = values.len() as f64;
    (n > 0.0).then(|| {
        std::array::from_fn(|j| {
            let (value, between) = mean_and_std(&values.iter().map(|v| v[j]).collect::<Vec<_>>());
            let within = variances.iter().map(|v| v[j]).sum::<f64>() / n;
            let seeds = if n > 1.0 { between * between / (n - 1.0) } else { 0.0 };
            Measured { value, error: (within + seeds).sqrt() }
        })
    })
}

/// Figures of one set of predictions, by regime; regimes with fewer than three are left out.
pub fn metrics(lesson: &Lesson, rows: &[u32], values: &[f64], regimes: &[Regime]) -> Vec<(String, Metrics)> {
    let of = |regime: &Regime| {
        let keep = of_rows(lesson, regime);
        let pairs = rows.iter().zip(values).filter(|(row, _)| keep[**row as usize]);
        let pairs: Vec<(f64, f64)> = pairs.map(|(row, value)| (lesson.values[*row as usize], *value)).collect();
        (pairs.len() >= 3).then(|| (regime.name.clone(), Metrics::of(&pairs)))
    };
    regimes.iter().filter_map(of).collect()
}

fn of_rows(lesson: &Lesson, regime: &Regime) -> Vec<bool> {
    let mut keep = vec![false; lesson.len()];
    regime.rows.iter().for_each(|row| keep[*row as usize] = true);
    keep
}

/// What the outcomes of a [`Plan`] say, by strategy and regime ([`Lesson::regimes`]). It may be asked while some are still
/// to come.
pub fn verdict(lesson: &Lesson, outcomes: &[Outcome], regimes: &[Regime]) -> BakeOff {
    let mut by_strategy: BTreeMap<Strategy, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes.iter().filter(|o| o.task.labels.is_none() && o.task.fold.is_some()) {
        by_strategy.entry(outcome.task.strategy).or_default().push(outcome);
    }
    let scores: Vec<StrategyScore> = by_strategy
        .into_iter()
        .map(|(strategy, outcomes)| {
            let (mut sums, mut counts) = (vec![0.0; lesson.len()], vec![0; lesson.len()]);
            for (row, value) in outcomes.iter().flat_map(|o| o.rows.iter().zip(&o.values)) {
                sums[*row as usize] += value;
                counts[*row as usize] += 1;
            }
            let regimes = regimes.iter().filter_map(|regime| {
                let keep = of_rows(lesson, regime);
                let n = (0..lesson.len()).filter(|i| keep[*i] && counts[*i] > 0).count();
                let [r2, sigma, biweight, bias] = measure(lesson, &outcomes, &keep)?;
                Some(RegimeScore { regime: regime.name.clone(), n, r2, sigma, biweight, bias })
            });
            StrategyScore {
                strategy,
                regimes: regimes.collect(),
                out_of_fold: sums.iter().zip(&counts).map(|(s, n)| (*n > 0).then(|| s / f64::from(*n))).collect(),
                epochs: outcomes.iter().map(|o| o.history.last().map_or(0, |e| e.epoch)).sum(),
            }
        })
        .collect();
    BakeOff {
        target: lesson.target.clone(),
        ids: lesson.ids.clone(),
        truth: lesson.values.clone(),
        recommendation: recommend(lesson, &scores),
        scores,
    }
}

/// How far off answers are, offset included, and the standard error of that.
fn together(sigma: Measured, bias: Measured) -> Measured {
    let value = sigma.value.hypot(bias.value);
    let weighed = |part: Measured| if value > 0.0 { part.value / value * part.error } else { 0.0 };
    Measured { value, error: weighed(sigma).hypot(weighed(bias)) }
}

/// How far off a strategy is.
fn total_error(score: &StrategyScore) -> Option<Measured> {
    let all = score.regimes.first()?;
    Some(together(all.sigma, all.bias)).filter(|total| total.value.is_finite())
}

/// Most that all deviations together, none clipped, may be of the least of any strategy's for one to be recommended.
const MOST_SPREAD: f64 = 1.25;

/// The simplest strategy that is within one standard error of the best.
fn recommend(lesson: &Lesson, scores: &[StrategyScore]) -> Option<Recommendation> {
    let all: Vec<(&StrategyScore, Measured)> = scores.iter().filter_map(|s| Some((s, total_error(s)?))).collect();
    // Clipping leaves out the stars that a strategy gets wholly wrong; R² does not.
    let spread = |score: &StrategyScore| {
        let left = 1.0 - score.regimes[0].r2.value;
        if left.is_finite() { left.max(0.0).sqrt() } else { f64::INFINITY }
    };
    let least = all.iter().map(|(score, _)| spread(score)).fold(f64::INFINITY, f64::min);
    let is_sound = |score: &StrategyScore| spread(score) <= MOST_SPREAD * least;
    let judged: Vec<(Strategy, Measured)> =
        all.iter().filter(|(s, _)| is_sound(s)).map(|(s, m)| (s.strategy, *m)).collect();
    let (best, lowest) = *judged.iter().min_by(|a, b| a.1.value.total_cmp(&b.1.value))?;
    // A network that is merely undecided in its favour has no claim on two million new weights.
    let (chosen, its) = *judged.iter().find(|(_, m)| m.value <= lowest.value + lowest.error)?;
    let digits = |v: f64| if v >= 10.0 { format!("{v:.0}") } else { format!("{v:.3}") };
    let figure = |m: Measured| format!("{} ± {}", digits(m.value), digits(m.error));
    let n = lesson.len();
    // Gradient steps that never beat what comes before them leave every strategy at the same answers.
    let answers = |strategy| scores.iter().find(|s| s.strategy == strategy).map(|s| s.out_of_fold.as_slice());
    let is_alike = |strategy: &Strategy| {
        let both = answers(*strategy).unwrap_or_default().iter().zip(answers(chosen).unwrap_or_default());
        let off = both.map(|(a, b)| a.zip(*b).map_or(0.0, |(a, b)| (a - b).abs()));
        off.fold(0.0, f64::max) < 1e-3 * its.value
    };
    let alike: Vec<&str> = scores.iter().map(|s| s.strategy).filter(is_alike).map(Strategy::title).collect();
    let mut reason = if let [first @ .., last] = alike.as_slice()
        && !first.is_empty()
    {
        format!(
            "{} and {last} give the same answers with {n} labels: {} (scatter and offset together). No pass of training improved on the correction that comes before the first; {} changes least of the network.",
            first.join(", "),
            figure(its),
            chosen.title()
        )
    } else if chosen == best || its.value == lowest.value {
        format!(
            "{} has the smallest error with {n} labels: {} (scatter and offset together).",
            chosen.title(),
            figure(its)
        )
    } else {
        format!(
            "{} has the smallest error ({}), but {} is within one standard error of it ({}) and changes less of the network, so it is the safer choice with {n} labels.",
            best.title(),
            figure(lowest),
            chosen.title(),
            figure(its)
        )
    };
    let clipped = all.iter().filter(|(s, m)| !is_sound(s) && m.value < its.value + its.error);
    for (score, m) in clipped {
        reason.push_str(&format!(
            " {}'s {} leaves out stars that it gets wholly wrong: its R² is {:.2} against {:.2}.",
            score.strategy.title(),
            figure(*m),
            score.regimes[0].r2.value,
            1.0 - least * least
        ));
    }
    let others =
        |s: &&StrategyScore| s.strategy != chosen && s.strategy != Strategy::ZeroShot && !is_alike(&s.strategy);
    let others: Vec<&StrategyScore> = scores.iter().filter(others).collect();
    let is_pair =
        |a: &&StrategyScore| others.iter().any(|b| a.strategy != b.strategy && a.out_of_fold == b.out_of_fold);
    let pair: Vec<&str> = others.iter().copied().filter(|a| is_pair(a)).map(|s| s.strategy.title()).collect();
    if !pair.is_empty() {
        reason.push_str(&format!(
            " {} give the same answers: no pass of training improved on the correction that comes before the first.",
            pair.join(" and ")
        ));
    }
    if let Some((_, before)) = all.iter().find(|(s, _)| s.strategy == Strategy::ZeroShot) {
        if chosen == Strategy::ZeroShot {
            reason.push_str(" Teaching gains nothing that could be told from chance: keep the shipped network.");
        } else {
            let gain = 100.0 * (1.0 - its.value / before.value);
            reason.push_str(&format!(" That is {gain:.0} % below the shipped network's {}.", digits(before.value)));
        }
    }
    Some(Recommendation { strategy: chosen, reason })
}

/// A learning curve from the outcomes of [`Plan::learning_curve`].
pub fn curve(lesson: &Lesson, outcomes: &[Outcome]) -> Vec<CurvePoint> {
    let mut points: BTreeMap<(Strategy, usize), Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        if let Some(labels) = outcome.task.labels {
            points.entry((outcome.task.strategy, labels)).or_default().push(outcome);
        }
    }
    let all = vec![true; lesson.len()];
    points
        .into_iter()
        .filter_map(|((strategy, labels), outcomes)| {
            let [r2, sigma, _, bias] = measure(lesson, &outcomes, &all)?;
            Some(CurvePoint { strategy, labels, r2, sigma, total: together(sigma, bias) })
        })
        .collect()
}
