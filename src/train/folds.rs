//! Cross-validation by star and cluster: which star is in which fold, and what the networks that have not seen it make of it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::coverage;
use super::dataset::LibraryStar;
use super::errors::{self, Residual};
use super::library::Labelled;
use super::pretrain::{LABELS, in_teff_range};
use crate::model::manifest::{Accuracy, Figure};
use crate::result::Label;
use crate::spectrum::Survey;
use crate::task::metrics::{Metrics, sigma_standard_error};

/// Fewer stars of one label source are not judged by themselves.
const FEWEST_TO_JUDGE_BY: usize = 25;

/// The fold of each chosen star; a group is in one fold.
pub(super) fn folds(stars: &[LibraryStar], chosen: &[usize], count: usize, seed: u64) -> BTreeMap<usize, usize> {
    let mut groups: Vec<&str> = chosen.iter().map(|&s| stars[s].group.as_str()).collect();
    groups.sort_unstable();
    groups.dedup();
    groups.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let place: BTreeMap<&str, usize> = groups.iter().enumerate().map(|(i, g)| (*g, i % count)).collect();
    chosen.iter().map(|&s| (s, place[stars[s].group.as_str()])).collect()
}

/// Accuracy on stars that were not learned from: on all, then by the catalogue that the labels come from, because much of
/// what remains is the catalogues' own error.
pub(super) fn cross_validated(library: &Labelled, predicted: &BTreeMap<usize, Vec<f64>>, on: &str) -> Vec<Accuracy> {
    let mut sources: Vec<&str> = library.sources.iter().map(String::as_str).filter(|s| !s.is_empty()).collect();
    sources.sort_unstable();
    sources.dedup();
    let by_source = sources.into_iter().map(|source| (format!("{on}, labels from {source}"), Some(source)));
    let mut all = Vec::new();
    for (on, source) in [(on.to_string(), None)].into_iter().chain(by_source) {
        for (j, label) in LABELS.into_iter().enumerate() {
            let chosen: Vec<(&LibraryStar, f64)> = predicted
                .iter()
                .filter(|(s, _)| source.is_none_or(|source| library.sources[**s] == source))
                .map(|(s, values)| (&library.stars[*s], values[j]))
                .filter(|(star, _)| in_teff_range(star.labels[0]) && star.labels[j].is_finite())
                .collect();
            if chosen.len() < FEWEST_TO_JUDGE_BY {
                continue;
            }
            let pairs: Vec<(f64, f64)> = chosen.iter().map(|(star, value)| (star.labels[j], *value)).collect();
            let residuals: Vec<f64> = pairs.iter().map(|(t, p)| p - t).collect();
            let groups: Vec<&str> = chosen.iter().map(|(star, _)| star.group.as_str()).collect();
            let sigma_se = Some(sigma_standard_error(&residuals, &groups, 1));
            all.push(Accuracy { sigma_se, ..Accuracy::of(label, &on, Survey::LamostLrs, false, &Metrics::of(&pairs)) });
        }
    }
    all
}

/// The share of stars within their predicted errors, where the errors of each fold are fitted on the other folds: one noisy
/// observation of each star, all labels together and each alone.
pub(super) fn coverage_of_folds(
    by_fold: &[BTreeMap<Label, Vec<Residual>>],
    library: &Labelled,
    on: &str,
) -> Vec<Figure> {
    let mut pulls: BTreeMap<Label, Vec<f64>> = BTreeMap::new();
    for (fold, here) in by_fold.iter().enumerate() {
        for (label, residuals) in here {
            let others: Vec<Residual> =
                by_fold.iter().enumerate().filter(|(i, _)| *i != fold).flat_map(|(_, f)| f[label].clone()).collect();
            let errors = errors::fit(*label, &others);
            let first: BTreeMap<usize, &Residual> = residuals.iter().rev().map(|r| (r.star, r)).collect();
            let sound = first.into_values().filter(|r| in_teff_range(library.stars[r.star].labels[0]));
            let pull = |r: &Residual| r.value / errors.sigma(r.feh, Some(r.snr), r.coverage);
            pulls.entry(*label).or_default().extend(sound.map(pull));
        }
    }
    let on = format!("{on}, S/N 10–300, errors from the other folds");
    let all: Vec<f64> = pulls.values().flatten().copied().collect();
    let each = pulls.iter().flat_map(|(label, pulls)| coverage::figures(label.symbol(), &on, pulls));
    coverage::figures("all labels", &on, &all).into_iter().chain(each).collect()
}

/// How often the flag for unlike spectra is raised for stars like those of the library, with the limit set by the other
/// folds: `far` has the distances of each fold's observations.
pub(super) fn false_alarms(far: &[Vec<f64>], passes: f64, on: &str) -> Figure {
    let (mut raised, mut n) = (0, 0);
    for (fold, here) in far.iter().enumerate() {
        let others = far.iter().enumerate().filter(|(i, _)| *i != fold).flat_map(|(_, f)| f.clone());
        let limit = coverage::quantile(others.collect(), passes);
        raised += here.iter().filter(|d| **d > limit).count();
        n += here.len();
    }
    Figure {
        what: "share of simulated observations flagged as unlike the training set".into(),
        of: "false alarms".into(),
        on: on.into(),
        n,
        value: raised as f64 / n.max(1) as f64,
    }
}

/// Leaves what was predicted for each star by the network that had not seen it.
pub(super) fn write_out_of_fold(path: &Path, library: &Labelled, predicted: &BTreeMap<usize, Vec<f64>>) -> Result<()> {
    let mut csv = String::from("id,group");
    LABELS.iter().for_each(|l| csv.push_str(&format!(",{0},{0}_predicted", l.name())));
    csv.push('\n');
    for (s, values) in predicted {
        let star = &library.stars[*s];
        csv.push_str(&format!("{},{}", star.id, star.group));
        star.labels.iter().zip(values).for_each(|(t, p)| csv.push_str(&format!(",{t},{p}")));
        csv.push('\n');
    }
    std::fs::write(path, csv).with_context(|| format!("writing {}", path.display()))
}
