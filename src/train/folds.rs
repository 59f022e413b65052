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
use super::pretrain::{NETWORK_LABELS, TEFF_RANGE_K, in_teff_range};
use crate::model::calibration::ErrorModel;
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

/// Predictions of stars by networks that were not trained on them: for each star its labels in the order of
/// [`Label::ALL`]; NaN where there is none.
pub(super) type OutOfFold = BTreeMap<usize, [f64; Label::ALL.len()]>;

/// Accuracy of one label on chosen stars; `None` with fewer than [`MIN_STARS_PER_SOURCE`] of them. `truth` is NaN where
/// it is unknown.
fn accuracy(
    label: usize,
    on: &str,
    library: &LabelledLibrary,
    predicted: &OutOfFold,
    is_chosen: impl Fn(usize) -> bool,
) -> Option<Accuracy> {
    let star = |(s, values): (&usize, &[f64; Label::ALL.len()])| {
        let (truth, value) = (library.truth(*s)[label], values[label]);
        (is_chosen(*s) && truth.is_finite() && value.is_finite())
            .then_some(((truth, value), library.stars[*s].group.as_str()))
    };
    let (pairs, groups): (Vec<(f64, f64)>, Vec<&str>) = predicted.iter().filter_map(star).unzip();
    if pairs.len() < MIN_STARS_PER_SOURCE {
        return None;
    }
    let residuals: Vec<f64> = pairs.iter().map(|(truth, value)| value - truth).collect();
    let sigma_se = Some(sigma_standard_error(&residuals, &groups, 1));
    Some(Accuracy { sigma_se, ..Accuracy::of(Label::ALL[label], on, Survey::LamostLrs, false, &Metrics::of(&pairs)) })
}

/// Accuracy on stars of a library outside the training set: on all stars, then by source catalogue of the labels. The
/// split by source matters because much of the scatter is the catalogues' own error.
pub(super) fn cross_validated(library: &LabelledLibrary, predicted: &OutOfFold, folds: usize) -> Vec<Accuracy> {
    let (low, high) = TEFF_RANGE_K;
    let on = |stars: &str| format!("MILES {stars}, {folds}-fold cross-validation by star and cluster");
    let all_stars = on(&format!("{low:.0}–{high:.0} K"));
    let is_inside = |s: usize| in_teff_range(library.stars[s].labels[0]);
    let of_source = |s: usize, sources: &[&str]| is_inside(s) && sources.contains(&library.sources[s].as_str());
    let mut all: Vec<Accuracy> =
        (0..NETWORK_LABELS.len()).filter_map(|j| accuracy(j, &all_stars, library, predicted, is_inside)).collect();
    let groups: [(&str, &[&str]); 4] = [
        ("GBSv3 and SPOCSII", &["GBSv3", "SPOCSII"]),
        ("GBSv3", &["GBSv3"]),
        ("SPOCSII", &["SPOCSII"]),
        ("MILES", &["MILES"]),
    ];
    for (name, sources) in groups {
        let on = format!("{all_stars}, labels from {name}");
        all.extend((0..3).filter_map(|j| accuracy(j, &on, library, predicted, |s| of_source(s, sources))));
    }
    let on = on("giants of 4200–4600 K");
    let is_cool_giant = |s: usize| {
        let [teff_k, logg, ..] = library.stars[s].labels;
        (4200.0..=4600.0).contains(&teff_k) && logg < 3.5
    };
    all.extend((0..NETWORK_LABELS.len()).filter_map(|j| accuracy(j, &on, library, predicted, is_cool_giant)));
    all
}

/// Accuracy on spectra of LAMOST outside the training set, against the labels of its pipeline and the velocities of the
/// headers: by S/N, for giants, and for hot stars.
pub(super) fn cross_validated_survey(survey: &LabelledLibrary, predicted: &OutOfFold, folds: usize) -> Vec<Accuracy> {
    let within = |s: usize, min_snr: f64, from_k: f64, to_k: f64| {
        survey.stars[s].snr > min_snr && (from_k..=to_k).contains(&survey.stars[s].labels[0])
    };
    let (low, high) = TEFF_RANGE_K;
    type Group<'a> = (String, Box<dyn Fn(usize) -> bool + 'a>);
    let groups: [Group; 5] = [
        (format!("S/N > 30, {low:.0}–{high:.0} K"), Box::new(|s| within(s, 30.0, low, high))),
        (format!("S/N > 100, {low:.0}–{high:.0} K"), Box::new(|s| within(s, 100.0, low, high))),
        ("S/N > 30, giants".into(), Box::new(|s| within(s, 30.0, low, high) && survey.stars[s].labels[1] < 3.5)),
        ("S/N > 30, [Fe/H] < −1".into(), Box::new(|s| within(s, 30.0, low, high) && survey.stars[s].labels[2] < -1.0)),
        ("S/N > 30, 7200–10000 K".into(), Box::new(|s| within(s, 30.0, high, 10_000.0))),
    ];
    let mut all = Vec::new();
    for (name, is_chosen) in groups {
        let on = format!("LAMOST DR10 against its pipeline, {folds}-fold cross-validation by position, {name}");
        all.extend((0..Label::ALL.len()).filter_map(|j| accuracy(j, &on, survey, predicted, &is_chosen)));
    }
    all
}

/// Residuals of one fold: of noisy observations of a library's stars, and of a survey's own spectra.
#[derive(Debug, Default)]
pub(super) struct FoldResiduals {
    pub library: BTreeMap<Label, Vec<Residual>>,
    pub survey: BTreeMap<Label, Vec<Residual>>,
}

/// The error models of the residuals of some folds. `visits` are the residuals of repeat visits in the survey.
pub(super) fn error_models<'a>(
    folds: impl Iterator<Item = &'a FoldResiduals> + Clone,
    visits: &BTreeMap<Label, Vec<Residual>>,
) -> Vec<ErrorModel> {
    let all = |label: Label, of: fn(&FoldResiduals) -> &BTreeMap<Label, Vec<Residual>>| {
        folds.clone().filter_map(|fold| of(fold).get(&label)).flatten().copied().collect::<Vec<Residual>>()
    };
    let model = |label: Label| {
        let mut model = errors::fit(label, &all(label, |f| &f.library));
        let no_visits = Vec::new();
        let visits = visits.get(&label).unwrap_or(&no_visits);
        errors::add_survey(&mut model, Survey::LamostLrs, &all(label, |f| &f.survey), visits);
        model
    };
    Label::ALL.into_iter().filter(|label| !all(*label, |f| &f.library).is_empty()).map(model).collect()
}

/// Fraction of stars within their predicted errors, for all labels together and for each label. The errors of each fold
/// are fitted on the other folds. Each star of the library counts once, with one noisy observation, each of the survey
/// with its own spectrum.
pub(super) fn error_calibration_of_folds(
    by_fold: &[FoldResiduals],
    library_on: &str,
    survey_on: &str,
) -> Vec<Measurement> {
    let (mut of_library, mut of_survey): (BTreeMap<Label, Vec<f64>>, BTreeMap<Label, Vec<f64>>) = Default::default();
    for (i, fold) in by_fold.iter().enumerate() {
        let others = by_fold.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, f)| f);
        for errors in error_models(others, &BTreeMap::new()) {
            let pulls = |residuals: Option<&Vec<Residual>>| -> Vec<f64> {
                let residuals = residuals.map_or(&[][..], Vec::as_slice);
                let one_each: BTreeMap<usize, &Residual> = residuals.iter().rev().map(|r| (r.star, r)).collect();
                let is_inside = |r: &&Residual| in_teff_range(r.kind.teff_k) && r.snr >= 10.0;
                let pull = |r: &Residual| r.value / errors.sigma(&r.kind, Some(r.snr), r.coverage);
                one_each.into_values().filter(is_inside).map(pull).filter(|p| p.is_finite()).collect()
            };
            of_library.entry(errors.label).or_default().extend(pulls(fold.library.get(&errors.label)));
            of_survey.entry(errors.label).or_default().extend(pulls(fold.survey.get(&errors.label)));
        }
    }
    let table = |on: &str, pulls: BTreeMap<Label, Vec<f64>>| -> Vec<Measurement> {
        let on = format!("{on}, errors from the other folds");
        let all: Vec<f64> = pulls.values().flatten().copied().collect();
        let each = pulls.iter().filter(|(_, p)| !p.is_empty());
        let each = each.flat_map(|(label, pulls)| error_calibration::measurements(label.symbol(), &on, pulls));
        error_calibration::measurements("all labels", &on, &all).into_iter().chain(each).collect()
    };
    [table(library_on, of_library), table(survey_on, of_survey)].concat()
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

/// Writes the out-of-fold predictions of both sets: for each star the labels from the network that was not trained on
/// it, beside those of the catalogue.
pub(super) fn write_out_of_fold(path: &Path, sets: [(&str, &LabelledLibrary, &OutOfFold); 2]) -> Result<()> {
    let mut csv = String::from("set,id,group,snr");
    Label::ALL.iter().for_each(|l| csv.push_str(&format!(",{0},{0}_predicted", l.name())));
    csv.push('\n');
    for (set, library, predicted) in sets {
        for (s, values) in predicted {
            let star = &library.stars[*s];
            csv.push_str(&format!("{set},{},{},{:.1}", star.id, star.group, star.snr));
            library.truth(*s).iter().zip(values).for_each(|(t, p)| csv.push_str(&format!(",{t},{p}")));
            csv.push('\n');
        }
    }
    whole_file::write(path, csv.as_bytes()).with_context(|| format!("writing {}", path.display()))
}
