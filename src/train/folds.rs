//! Cross-validation by star and cluster: assignment of stars to folds, and accuracy, error calibration and false alarms
//! on stars outside the training set.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::dataset::LibraryEntry;
use super::error_calibration;
use super::errors::{self, Residual};
use super::labelled_library::LabelledLibrary;
use super::pretrain::{NETWORK_LABELS, in_teff_range};
use crate::model::manifest::{Accuracy, Measurement};
use crate::result::Label;
use crate::spectrum::Survey;
use crate::stats::quantile;
use crate::task::metrics::{Metrics, sigma_standard_error};
use crate::whole_file;

/// Fewest stars of one label source for a separate accuracy.
const MIN_STARS_PER_SOURCE: usize = 25;

/// The fold of each chosen star. All stars of a group are in one fold.
pub(super) fn folds(stars: &[LibraryEntry], chosen: &[usize], count: usize, seed: u64) -> BTreeMap<usize, usize> {
    let mut groups: Vec<&str> = chosen.iter().map(|&s| stars[s].group.as_str()).collect();
    groups.sort_unstable();
    groups.dedup();
    groups.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let fold_of_group: BTreeMap<&str, usize> = groups.iter().enumerate().map(|(i, g)| (*g, i % count)).collect();
    chosen.iter().map(|&s| (s, fold_of_group[stars[s].group.as_str()])).collect()
}

/// Accuracy on stars outside the training set: on all stars, then by source catalogue of the labels. The split by
/// source matters because much of the scatter is the catalogues' own error.
pub(super) fn cross_validated(
    library: &LabelledLibrary,
    predicted: &BTreeMap<usize, Vec<f64>>,
    on: &str,
) -> Vec<Accuracy> {
    let mut sources: Vec<&str> = library.sources.iter().map(String::as_str).filter(|s| !s.is_empty()).collect();
    sources.sort_unstable();
    sources.dedup();
    let by_source = sources.into_iter().map(|source| (format!("{on}, labels from {source}"), Some(source)));
    let mut all = Vec::new();
    for (on, source) in [(on.to_string(), None)].into_iter().chain(by_source) {
        for (j, label) in NETWORK_LABELS.into_iter().enumerate() {
            let chosen: Vec<(&LibraryEntry, f64)> = predicted
                .iter()
                .filter(|(s, _)| source.is_none_or(|source| library.sources[**s] == source))
                .map(|(s, values)| (&library.stars[*s], values[j]))
                .filter(|(star, _)| in_teff_range(star.labels[0]) && star.labels[j].is_finite())
                .collect();
            if chosen.len() < MIN_STARS_PER_SOURCE {
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

/// Fraction of stars within their predicted errors, for all labels together and for each label. The errors of each fold
/// are fitted on the other folds. Each star counts once, with one noisy observation.
pub(super) fn error_calibration_of_folds(
    by_fold: &[BTreeMap<Label, Vec<Residual>>],
    library: &LabelledLibrary,
    on: &str,
) -> Vec<Measurement> {
    let mut pulls: BTreeMap<Label, Vec<f64>> = BTreeMap::new();
    for (fold, by_label) in by_fold.iter().enumerate() {
        for (label, residuals) in by_label {
            let others: Vec<Residual> =
                by_fold.iter().enumerate().filter(|(i, _)| *i != fold).flat_map(|(_, f)| f[label].clone()).collect();
            let errors = errors::fit(*label, &others);
            let first_observation: BTreeMap<usize, &Residual> = residuals.iter().rev().map(|r| (r.star, r)).collect();
            let in_range = first_observation.into_values().filter(|r| in_teff_range(library.stars[r.star].labels[0]));
            let pull = |r: &Residual| r.value / errors.sigma(r.feh, Some(r.snr), r.coverage);
            pulls.entry(*label).or_default().extend(in_range.map(pull));
        }
    }
    let on = format!("{on}, S/N 10–300, errors from the other folds");
    let all: Vec<f64> = pulls.values().flatten().copied().collect();
    let each = pulls.iter().flat_map(|(label, pulls)| error_calibration::measurements(label.symbol(), &on, pulls));
    error_calibration::measurements("all labels", &on, &all).into_iter().chain(each).collect()
}

/// False-alarm rate of the flag `out_of_training` for stars similar to the library. `distances_by_fold` has the
/// subspace distances of each fold's observations. The limit is the `pass_fraction`-quantile of the other folds.
pub(super) fn false_alarms(distances_by_fold: &[Vec<f64>], pass_fraction: f64, on: &str) -> Measurement {
    let (mut alarms, mut n) = (0, 0);
    for (fold, distances) in distances_by_fold.iter().enumerate() {
        let others = distances_by_fold.iter().enumerate().filter(|(i, _)| *i != fold).flat_map(|(_, f)| f.clone());
        let limit = quantile(others, pass_fraction).unwrap_or(f64::NAN);
        alarms += distances.iter().filter(|d| **d > limit).count();
        n += distances.len();
    }
    Measurement {
        quantity: "share of simulated observations flagged as unlike the training set".into(),
        subject: "false alarms".into(),
        data_set: on.into(),
        n,
        value: alarms as f64 / n.max(1) as f64,
    }
}

/// Writes the out-of-fold predictions: for each star, the labels from the network that was not trained on it.
pub(super) fn write_out_of_fold(
    path: &Path,
    library: &LabelledLibrary,
    predicted: &BTreeMap<usize, Vec<f64>>,
) -> Result<()> {
    let mut csv = String::from("id,group");
    NETWORK_LABELS.iter().for_each(|l| csv.push_str(&format!(",{0},{0}_predicted", l.name())));
    csv.push('\n');
    for (s, values) in predicted {
        let star = &library.stars[*s];
        csv.push_str(&format!("{},{}", star.id, star.group));
        star.labels.iter().zip(values).for_each(|(t, p)| csv.push_str(&format!(",{t},{p}")));
        csv.push('\n');
    }
    whole_file::write(path, csv.as_bytes()).with_context(|| format!("writing {}", path.display()))
}
