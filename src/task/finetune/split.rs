//! Splits into training, validation and test rows; the spectra of one group stay on one side.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::labelled_set::LabelledSet;

/// Separate random streams: selection of the labels, selection of the validation rows.
const SELECTION_STREAM: u64 = 0x7a1e;
const VALIDATION_STREAM: u64 = 0x5a1e;

/// Rows of a labelled set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    /// Training rows.
    pub train: Vec<usize>,
    /// Validation rows: their loss decides when the training stops.
    pub validation: Vec<usize>,
    /// Held-out rows.
    pub test: Vec<usize>,
}

/// The groups of some rows, each with its rows, in an order set by the seed.
fn shuffled(labelled_set: &LabelledSet, rows: &[usize], seed: u64) -> Vec<Vec<usize>> {
    let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
    let mut sorted: Vec<usize> = rows.to_vec();
    sorted.sort_unstable_by_key(|i| (labelled_set.spectra[*i].group.as_str(), *i));
    for row in sorted {
        match groups.last_mut() {
            Some((name, rows)) if *name == labelled_set.spectra[row].group => rows.push(row),
            _ => groups.push((&labelled_set.spectra[row].group, vec![row])),
        }
    }
    groups.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    groups.into_iter().map(|(_, rows)| rows).collect()
}

/// The first groups with `n` rows in all (the last one is truncated), and the remaining groups.
fn take(groups: Vec<Vec<usize>>, n: usize) -> (Vec<usize>, Vec<Vec<usize>>) {
    let (mut selected, mut rest) = (Vec::new(), Vec::new());
    for rows in groups {
        if selected.len() < n {
            selected.extend(rows.into_iter().take(n - selected.len()));
        } else {
            rest.push(rows);
        }
    }
    (selected, rest)
}

/// The fold of each row. There are as many folds as requested, but at most as many as groups.
pub fn folds(labelled_set: &LabelledSet, count: usize, seed: u64) -> Vec<usize> {
    let all: Vec<usize> = (0..labelled_set.len()).collect();
    let mut sizes = vec![0; count.max(2)];
    let mut fold = vec![0; labelled_set.len()];
    for rows in shuffled(labelled_set, &all, seed) {
        let smallest = (0..sizes.len()).min_by_key(|f| sizes[*f]).unwrap_or(0);
        sizes[smallest] += rows.len();
        rows.into_iter().for_each(|row| fold[row] = smallest);
    }
    fold
}

impl Split {
    /// Holds out one fold, or none. Trains on the other rows, or on `n_labels` of them, with a fraction for validation.
    pub fn of_fold(
        labelled_set: &LabelledSet,
        folds: &[usize],
        fold: Option<usize>,
        n_labels: Option<usize>,
        validation: f64,
        seed: u64,
    ) -> Self {
        let (test, rest): (Vec<usize>, Vec<usize>) = (0..labelled_set.len()).partition(|i| Some(folds[*i]) == fold);
        Self::within(labelled_set, test, &rest, n_labels, validation, seed)
    }

    /// Holds out a fraction of the groups and trains on the other groups, or on `n_labels` of their rows. With neither
    /// `test` nor `n_labels`, trains on all rows; with `n_labels` alone, holds out all other groups.
    pub fn hold_out(
        labelled_set: &LabelledSet,
        test: f64,
        n_labels: Option<usize>,
        validation: f64,
        seed: u64,
    ) -> Self {
        let all: Vec<usize> = (0..labelled_set.len()).collect();
        let n_test = (test.clamp(0.0, 0.9) * all.len() as f64).round() as usize;
        let (mut test, rest) = take(shuffled(labelled_set, &all, seed), n_test);
        let rest: Vec<usize> = rest.into_iter().flatten().collect();
        let split = Self::within(labelled_set, Vec::new(), &rest, n_labels, validation, seed);
        if n_test == 0 && n_labels.is_some() {
            // Rows of a group that is partly in training must not be in the test.
            let has_training_group = |i: &usize| {
                split
                    .train
                    .iter()
                    .chain(&split.validation)
                    .any(|l| labelled_set.spectra[*l].group == labelled_set.spectra[*i].group)
            };
            test = all.into_iter().filter(|i| !has_training_group(i)).collect();
        } else {
            // The last group of the test may be truncated: its other rows belong to the test too.
            test = all.into_iter().filter(|i| test.contains(i) || (n_test > 0 && !rest.contains(i))).collect();
        }
        Self { test, ..split }
    }

    fn within(
        labelled_set: &LabelledSet,
        mut test: Vec<usize>,
        rest: &[usize],
        n_labels: Option<usize>,
        validation: f64,
        seed: u64,
    ) -> Self {
        let groups = shuffled(labelled_set, rest, seed ^ SELECTION_STREAM);
        let (train_and_validation, _) = take(groups, n_labels.unwrap_or(usize::MAX));
        // At least three validation rows, where any are wanted, and at most half of the rows.
        let n_validation = match (validation * train_and_validation.len() as f64).round() as usize {
            0 => 0,
            n => n.max(3).min(train_and_validation.len() / 2),
        };
        let (mut validation, train) =
            take(shuffled(labelled_set, &train_and_validation, seed ^ VALIDATION_STREAM), n_validation);
        let mut train: Vec<usize> = train.into_iter().flatten().collect();
        let truncated_rows: Vec<usize> =
            train_and_validation.iter().copied().filter(|i| !validation.contains(i) && !train.contains(i)).collect();
        validation.extend(truncated_rows);
        if train.is_empty() {
            std::mem::swap(&mut train, &mut validation);
        }
        test.sort_unstable();
        train.sort_unstable();
        validation.sort_unstable();
        Self { train, validation, test }
    }

    /// Number of labels in training and validation.
    pub fn n_labels(&self) -> usize {
        self.train.len() + self.validation.len()
    }
}
