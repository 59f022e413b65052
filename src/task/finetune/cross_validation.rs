//! Cross-validation of the strategies: the list of trainings, and the comparison of their outcomes.
//!
//! Tasks and outcomes are plain data, so several workers can share them. The comparison needs only outcomes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::labelled_set::LabelledSet;
use super::split::{Split, folds};
use crate::result::finetune::{
    CurvePoint, MeanWithError, Metrics, Recommendation, Settings, Strategy, StrategyComparison, StrategyScore, Subset,
    SubsetScore, TrainingOutcome, TrainingRun,
};
use crate::stats::mean_and_std;

/// The trainings of a cross-validation or a learning curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Strategies to compare.
    pub strategies: Vec<Strategy>,
    /// Number of folds; at most the number of groups.
    pub folds: usize,
    /// One cross-validation per seed.
    pub seeds: Vec<u64>,
    /// Training-set sizes; empty for all labels of the other folds.
    #[serde(rename = "labels")]
    pub n_labels: Vec<usize>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { strategies: Strategy::ALL.to_vec(), folds: 5, seeds: vec![1], n_labels: Vec::new() }
    }
}

impl Plan {
    /// A learning curve: 10, 25, 50, 100, 200 … labels, up to the size of the other folds.
    pub fn learning_curve(
        labelled_set: &LabelledSet,
        strategies: Vec<Strategy>,
        folds: usize,
        seeds: Vec<u64>,
    ) -> Self {
        let max_labels = labelled_set.len() - labelled_set.len() / folds.max(2);
        let steps = [10, 25, 50, 100, 200, 400, 800, 1600];
        let n_labels = steps.into_iter().filter(|n| *n < max_labels).chain([max_labels]).collect();
        Self { strategies, folds, seeds, n_labels }
    }

    /// The trainings in order: by seed, strategy (the cheapest first), fold.
    pub fn tasks(&self, labelled_set: &LabelledSet) -> Vec<TrainingRun> {
        let mut tasks = Vec::new();
        for &seed in &self.seeds {
            let count = folds(labelled_set, self.folds, seed).into_iter().max().map_or(0, |f| f + 1);
            for &strategy in &self.strategies {
                for fold in 0..count {
                    let task = |n_labels| TrainingRun { strategy, fold: Some(fold), seed, n_labels };
                    match self.n_labels.as_slice() {
                        [] => tasks.push(task(None)),
                        sizes => tasks.extend(sizes.iter().map(|n| task(Some(*n)))),
                    }
                }
            }
        }
        tasks
    }

    /// The split of a task.
    pub fn split(&self, labelled_set: &LabelledSet, task: &TrainingRun, settings: &Settings) -> Split {
        let folds = folds(labelled_set, self.folds, task.seed);
        Split::of_fold(labelled_set, &folds, task.fold, task.n_labels, settings.validation, task.seed)
    }
}

/// Metrics of one strategy over folds and seeds, for one subset of the stars.
///
/// Each metric covers all held-out predictions of one seed; the value is the mean over seeds. The error adds the
/// jackknife over folds and the scatter over seeds in quadrature.
fn score_folds(labelled_set: &LabelledSet, outcomes: &[&TrainingOutcome], keep: &[bool]) -> Option<[MeanWithError; 4]> {
    let mut by_seed: BTreeMap<u64, Vec<Vec<(f64, f64)>>> = BTreeMap::new();
    for outcome in outcomes {
        let pairs = outcome.rows.iter().zip(&outcome.values).filter(|(row, _)| keep[**row as usize]);
        let pairs = pairs.map(|(row, value)| (labelled_set.spectra[*row as usize].value, *value)).collect();
        by_seed.entry(outcome.task.seed).or_default().push(pairs);
    }
    let metric_values = |pairs: &[(f64, f64)]| {
        let m = Metrics::of(pairs);
        [m.r2, m.sigma, m.biweight, m.bias]
    };
    let (mut values, mut variances) = (Vec::new(), Vec::new());
    for folds in by_seed.values() {
        let all = folds.concat();
        if all.len() < 3 {
            continue;
        }
        values.push(metric_values(&all));
        let jackknife: Vec<[f64; 4]> = (0..folds.len())
            .map(|left_out| {
                let others: Vec<(f64, f64)> = folds
                    .iter()
                    .enumerate()
                    .filter(|(i, _)| *i != left_out)
                    .flat_map(|(_, f)| f.iter().copied())
                    .collect();
                metric_values(&others)
            })
            .collect();
        let k = folds.len() as f64;
        variances.push(std::array::from_fn::<f64, 4, _>(|j| {
            let (_, std) = mean_and_std(&jackknife.iter().map(|w| w[j]).collect::<Vec<_>>());
            (k - 1.0) * std * std
        }));
    }
    let n = values.len() as f64;
    (n > 0.0).then(|| {
        std::array::from_fn(|j| {
            let (value, seed_scatter) = mean_and_std(&values.iter().map(|v| v[j]).collect::<Vec<_>>());
            let fold_variance = variances.iter().map(|v| v[j]).sum::<f64>() / n;
            let seed_variance = if n > 1.0 { seed_scatter * seed_scatter / (n - 1.0) } else { 0.0 };
            MeanWithError { value, error: (fold_variance + seed_variance).sqrt() }
        })
    })
}

/// Metrics of one set of predictions, by subset; subsets with fewer than three stars are left out.
pub fn metrics(labelled_set: &LabelledSet, rows: &[u32], values: &[f64], subsets: &[Subset]) -> Vec<(String, Metrics)> {
    let subset_metrics = |subset: &Subset| {
        let keep = row_mask(labelled_set, subset);
        let pairs = rows.iter().zip(values).filter(|(row, _)| keep[**row as usize]);
        let pairs: Vec<(f64, f64)> =
            pairs.map(|(row, value)| (labelled_set.spectra[*row as usize].value, *value)).collect();
        (pairs.len() >= 3).then(|| (subset.name.clone(), Metrics::of(&pairs)))
    };
    subsets.iter().filter_map(subset_metrics).collect()
}

fn row_mask(labelled_set: &LabelledSet, subset: &Subset) -> Vec<bool> {
    let mut keep = vec![false; labelled_set.len()];
    subset.rows.iter().for_each(|row| keep[*row as usize] = true);
    keep
}

/// Compares the outcomes of a [`Plan`], by strategy and subset ([`LabelledSet::subsets`]). The list of outcomes may be
/// incomplete.
pub fn comparison(labelled_set: &LabelledSet, outcomes: &[TrainingOutcome], subsets: &[Subset]) -> StrategyComparison {
    let mut by_strategy: BTreeMap<Strategy, Vec<&TrainingOutcome>> = BTreeMap::new();
    for outcome in outcomes.iter().filter(|o| o.task.n_labels.is_none() && o.task.fold.is_some()) {
        by_strategy.entry(outcome.task.strategy).or_default().push(outcome);
    }
    let scores: Vec<StrategyScore> = by_strategy
        .into_iter()
        .map(|(strategy, outcomes)| {
            let (mut sums, mut counts) = (vec![0.0; labelled_set.len()], vec![0; labelled_set.len()]);
            for (row, value) in outcomes.iter().flat_map(|o| o.rows.iter().zip(&o.values)) {
                sums[*row as usize] += value;
                counts[*row as usize] += 1;
            }
            let subsets = subsets.iter().filter_map(|subset| {
                let keep = row_mask(labelled_set, subset);
                let n = (0..labelled_set.len()).filter(|i| keep[*i] && counts[*i] > 0).count();
                let [r2, sigma, biweight, bias] = score_folds(labelled_set, &outcomes, &keep)?;
                Some(SubsetScore { subset: subset.name.clone(), n, r2, sigma, biweight, bias })
            });
            StrategyScore {
                strategy,
                subsets: subsets.collect(),
                out_of_fold: sums.iter().zip(&counts).map(|(s, n)| (*n > 0).then(|| s / f64::from(*n))).collect(),
                epochs: outcomes.iter().map(|o| o.history.last().map_or(0, |e| e.epoch)).sum(),
            }
        })
        .collect();
    StrategyComparison {
        target: labelled_set.target.clone(),
        ids: labelled_set.spectra.iter().map(|s| s.id.clone()).collect(),
        truth: labelled_set.values(),
        recommendation: recommend(labelled_set, &scores),
        scores,
    }
}

/// Total error √(σ² + bias²), and its standard error.
fn total_error(sigma: MeanWithError, bias: MeanWithError) -> MeanWithError {
    let value = sigma.value.hypot(bias.value);
    let error_contribution =
        |component: MeanWithError| if value > 0.0 { component.value / value * component.error } else { 0.0 };
    MeanWithError { value, error: error_contribution(sigma).hypot(error_contribution(bias)) }
}

/// Total error of a strategy over all stars.
fn score_error(score: &StrategyScore) -> Option<MeanWithError> {
    let all = score.subsets.first()?;
    Some(total_error(all.sigma, all.bias)).filter(|total| total.value.is_finite())
}

/// A recommended strategy has an unclipped RMS of at most this factor times the lowest RMS of all strategies.
const MAX_RMS_RATIO: f64 = 1.25;

/// Titles as a list: "A, B and C".
fn list(strategies: &[Strategy]) -> String {
    let titles: Vec<&str> = strategies.iter().map(|strategy| strategy.title()).collect();
    match titles.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        all => all.concat(),
    }
}

/// The simplest strategy within one standard error of the best strategy. Strategies within it tie.
fn recommend(labelled_set: &LabelledSet, scores: &[StrategyScore]) -> Option<Recommendation> {
    let all: Vec<(&StrategyScore, MeanWithError)> = scores.iter().filter_map(|s| Some((s, score_error(s)?))).collect();
    // Clipping hides the gross outliers of a strategy; R² does not.
    let unclipped_rms = |score: &StrategyScore| {
        let unexplained_variance = 1.0 - score.subsets[0].r2.value;
        if unexplained_variance.is_finite() { unexplained_variance.max(0.0).sqrt() } else { f64::INFINITY }
    };
    let lowest_rms = all.iter().map(|(score, _)| unclipped_rms(score)).fold(f64::INFINITY, f64::min);
    let has_outliers = |score: &StrategyScore| unclipped_rms(score) > MAX_RMS_RATIO * lowest_rms;
    let eligible: Vec<(&StrategyScore, MeanWithError)> =
        all.iter().filter(|(score, _)| !has_outliers(score)).copied().collect();
    let (best, best_error) = *eligible.iter().min_by(|a, b| a.1.value.total_cmp(&b.1.value))?;
    let limit = best_error.value + best_error.error;
    // Strategies are in order of the number of weights that they change.
    let tied: Vec<Strategy> = eligible.iter().filter(|(_, m)| m.value <= limit).map(|(s, _)| s.strategy).collect();
    let recommended = *tied.first()?;
    let error_of = |strategy| all.iter().find(|(s, _)| s.strategy == strategy).map(|(_, m)| *m);
    let format_value = |v: f64| if v >= 10.0 { format!("{v:.0}") } else { format!("{v:.3}") };
    let value_with_error = |m: MeanWithError| format!("{} ± {}", format_value(m.value), format_value(m.error));
    let mut reason = format!(
        "{} has the smallest total error, √(σ² + offset²): {}.",
        best.strategy.title(),
        value_with_error(best_error)
    );
    if tied.len() > 1 {
        reason.push_str(&format!(
            " With {} labels {} tie: they are within one standard error of it. {} changes the network least{}.",
            labelled_set.len(),
            list(&tied),
            recommended.title(),
            error_of(recommended).map_or(String::new(), |m| format!(" ({})", value_with_error(m)))
        ));
    }
    if recommended == Strategy::ZeroShot {
        reason.push_str(" Fine-tuning gives no significant gain: keep Zero-shot.");
    } else if let Some(m) = error_of(Strategy::ZeroShot) {
        reason.push_str(&format!(" {}: {}.", Strategy::ZeroShot.title(), format_value(m.value)));
    }
    for (score, m) in all.iter().filter(|(score, m)| has_outliers(score) && m.value < limit) {
        reason.push_str(&format!(
            " {} has an error of {} only after clipping of gross outliers: its R² is {:.2}; the best R² is {:.2}.",
            score.strategy.title(),
            value_with_error(*m),
            score.subsets[0].r2.value,
            1.0 - lowest_rms * lowest_rms
        ));
    }
    Some(Recommendation { strategy: recommended, reason })
}

/// A learning curve from the outcomes of [`Plan::learning_curve`].
pub fn learning_curve(labelled_set: &LabelledSet, outcomes: &[TrainingOutcome]) -> Vec<CurvePoint> {
    let mut points: BTreeMap<(Strategy, usize), Vec<&TrainingOutcome>> = BTreeMap::new();
    for outcome in outcomes {
        if let Some(n_labels) = outcome.task.n_labels {
            points.entry((outcome.task.strategy, n_labels)).or_default().push(outcome);
        }
    }
    let all = vec![true; labelled_set.len()];
    points
        .into_iter()
        .filter_map(|((strategy, n_labels), outcomes)| {
            let [r2, sigma, _, bias] = score_folds(labelled_set, &outcomes, &all)?;
            Some(CurvePoint { strategy, n_labels, r2, sigma, total: total_error(sigma, bias) })
        })
        .collect()
}
