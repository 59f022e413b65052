//! Who learns and who is asked: splits in which the spectra of one group are never on two sides.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::lesson::Lesson;

/// Rows of a lesson.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    /// Learned from.
    pub train: Vec<usize>,
    /// Decide when to stop.
    pub validation: Vec<usize>,
    /// Kept apart.
    pub test: Vec<usize>,
}

/// The groups of some rows, each with its rows, in an order that the seed decides.
fn shuffled(lesson: &Lesson, rows: &[usize], seed: u64) -> Vec<Vec<usize>> {
    let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
    let mut sorted: Vec<usize> = rows.to_vec();
    sorted.sort_unstable_by_key(|i| (lesson.groups[*i].as_str(), *i));
    for row in sorted {
        match groups.last_mut() {
            Some((name, rows)) if *name == lesson.groups[row] => rows.push(row),
            _ => groups.push((&lesson.groups[row], vec![row])),
        }
    }
    groups.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    groups.into_iter().map(|(_, rows)| rows).collect()
}

/// The first groups with `n` rows in all, the last of them cut short, and the groups after them.
fn take(groups: Vec<Vec<usize>>, n: usize) -> (Vec<usize>, Vec<Vec<usize>>) {
    let (mut taken, mut rest) = (Vec::new(), Vec::new());
    for rows in groups {
        if taken.len() < n {
            taken.extend(rows.into_iter().take(n - taken.len()));
        } else {
            rest.push(rows);
        }
    }
    (taken, rest)
}

/// The fold of each row. There are as many folds as asked for, or as there are groups.
pub fn folds(lesson: &Lesson, count: usize, seed: u64) -> Vec<usize> {
    let all: Vec<usize> = (0..lesson.len()).collect();
    let mut sizes = vec![0; count.max(2)];
    let mut fold = vec![0; lesson.len()];
    for rows in shuffled(lesson, &all, seed) {
        let smallest = (0..sizes.len()).min_by_key(|f| sizes[*f]).unwrap_or(0);
        sizes[smallest] += rows.len();
        rows.into_iter().for_each(|row| fold[row] = smallest);
    }
    fold
}

impl Split {
    /// Everything but one fold (nothing is kept apart without one), or so many labels of it; part of them for validation.
    pub fn of_fold(
        lesson: &Lesson,
        folds: &[usize],
        fold: Option<usize>,
        labels: Option<usize>,
        validation: f64,
        seed: u64,
    ) -> Self {
        let (test, rest): (Vec<usize>, Vec<usize>) = (0..lesson.len()).partition(|i| Some(folds[*i]) == fold);
        Self::within(lesson, test, &rest, labels, validation, seed)
    }

    /// A part of the groups kept apart, and the rest, or so many labels of it, learned from. With neither a part nor a number
    /// everything is learned from; with a number alone all that is left is kept apart.
    pub fn hold_out(lesson: &Lesson, test: f64, labels: Option<usize>, validation: f64, seed: u64) -> Self {
        let all: Vec<usize> = (0..lesson.len()).collect();
        let wanted = (test.clamp(0.0, 0.9) * all.len() as f64).round() as usize;
        let (mut test, rest) = take(shuffled(lesson, &all, seed), wanted);
        let rest: Vec<usize> = rest.into_iter().flatten().collect();
        let split = Self::within(lesson, Vec::new(), &rest, labels, validation, seed);
        if wanted == 0 && labels.is_some() {
            // Not the others of a cluster from which some were learned.
            let learned =
                |i: &usize| split.train.iter().chain(&split.validation).any(|l| lesson.groups[*l] == lesson.groups[*i]);
            test = all.into_iter().filter(|i| !learned(i)).collect();
        } else {
            // The last group of the test may have been cut short: its others go there too.
            test = all.into_iter().filter(|i| test.contains(i) || (wanted > 0 && !rest.contains(i))).collect();
        }
        Self { test, ..split }
    }

    fn within(
        lesson: &Lesson,
        mut test: Vec<usize>,
        rest: &[usize],
        labels: Option<usize>,
        validation: f64,
        seed: u64,
    ) -> Self {
        let groups = shuffled(lesson, rest, seed ^ 0x7a1e);
        let (learned, _) = take(groups, labels.unwrap_or(usize::MAX));
        // Three to decide by at least, where any are wanted, and never half of what there is.
        let wanted = match (validation * learned.len() as f64).round() as usize {
            0 => 0,
            n => n.max(3).min(learned.len() / 2),
        };
        let (mut validation, train) = take(shuffled(lesson, &learned, seed ^ 0x5a1e), wanted);
        let mut train: Vec<usize> = train.into_iter().flatten().collect();
        let left: Vec<usize> =
            learned.iter().copied().filter(|i| !validation.contains(i) && !train.contains(i)).collect();
        validation.extend(left);
        if train.is_empty() {
            std::mem::swap(&mut train, &mut validation);
        }
        test.sort_unstable();
        train.sort_unstable();
        validation.sort_unstable();
        Self { train, validation, test }
    }

    /// Number of labels that are used.
    pub fn n_labels(&self) -> usize {
        self.train.len() + self.validation.len()
    }
}
