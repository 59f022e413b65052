//! Labelled spectra for fine-tuning, and checks of their labels.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::preprocess::stats::median;
use crate::result::Label;
use crate::result::finetune::{Cell, LabelStatistics, LabelWarning, MIN_LABELS, Subset, SubsetCut};
use crate::task::metrics::mean_and_std;
use crate::task::predict::LabelInput;

/// With fewer labels than this there is a warning.
const FEW_LABELS: usize = 25;

/// Fewest stars of a subset that gets metrics.
const MIN_SUBSET_SIZE: usize = 5;

/// A spectrum and its row of the label table.
#[derive(Debug, Clone)]
pub struct LabelledSpectrum {
    /// Its id.
    pub id: String,
    /// Star, cluster or other group that stays on one side of a split; empty for a group of its own.
    pub group: String,
    /// Input of the label network.
    pub input: LabelInput,
    /// The label.
    pub value: Cell,
    /// [Fe/H] for the subsets, from the table or predicted.
    pub feh: Option<f64>,
    /// Value for the user's subset cut.
    pub cut: Option<f64>,
}

/// Spectra with usable labels.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LabelledSet {
    /// Name of the label: one of ours (`feh`), or any other.
    pub target: String,
    /// Ids of the spectra.
    pub ids: Vec<String>,
    /// Their groups.
    pub groups: Vec<String>,
    /// Inputs of the label network.
    pub inputs: Vec<LabelInput>,
    /// Their labels, finite.
    pub values: Vec<f64>,
    /// Their [Fe/H]; NaN where it is not known.
    pub feh: Vec<f64>,
    /// The user's subset cut.
    pub cut: Option<SubsetCut>,
    /// Values for the cut; NaN where unknown.
    pub cut_values: Vec<f64>,
    /// Name and version of the emulator that the spectra were compared with, if any.
    pub emulator: Option<String>,
}

impl LabelledSet {
    /// Selects the usable spectra. Warnings say which were left out and what to check. If one of them is fatal, all of
    /// them are the error.
    pub fn new(target: &str, examples: Vec<LabelledSpectrum>) -> Result<(Self, Vec<LabelWarning>), Vec<LabelWarning>> {
        let mut warnings = Vec::new();
        let label = Label::from_name(target);
        if label == Some(Label::Rv) {
            return Err(vec![LabelWarning::NotTrainable { target: target.into() }]);
        }
        let mut labelled_set = Self {
            target: target.into(),
            ids: Vec::new(),
            groups: Vec::new(),
            inputs: Vec::new(),
            values: Vec::new(),
            feh: Vec::new(),
            cut: None,
            cut_values: Vec::new(),
            emulator: None,
        };
        let (mut missing, mut texts) = (0, Vec::new());
        for example in examples {
            match example.value {
                Cell::Missing => missing += 1,
                Cell::Text(text) => texts.push(text),
                Cell::Number(value) if !value.is_finite() => missing += 1,
                Cell::Number(value) => {
                    labelled_set.groups.push(if example.group.is_empty() { example.id.clone() } else { example.group });
                    labelled_set.ids.push(example.id);
                    labelled_set.inputs.push(example.input);
                    labelled_set.values.push(value);
                    labelled_set.feh.push(example.feh.unwrap_or(f64::NAN));
                    labelled_set.cut_values.push(example.cut.unwrap_or(f64::NAN));
                }
            }
        }
        if missing > 0 {
            warnings.push(LabelWarning::Missing { n: missing });
        }
        if let Some(example) = texts.first() {
            warnings.push(LabelWarning::Text { n: texts.len(), example: example.clone() });
        }
        if let Some(label) = label {
            warnings.extend(labelled_set.drop_unphysical(label));
        }
        warnings.extend(labelled_set.group_duplicates());
        warnings.extend(labelled_set.check());
        if warnings.iter().any(LabelWarning::is_fatal) {
            return Err(warnings);
        }
        Ok((labelled_set, warnings))
    }

    /// Number of spectra.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// True without spectra.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The label, if it is one of ours.
    pub fn label(&self) -> Option<Label> {
        Label::from_name(&self.target)
    }

    /// Statistics of the labels.
    pub fn statistics(&self) -> LabelStatistics {
        self.statistics_of(&(0..self.len()).collect::<Vec<_>>())
    }

    /// Statistics of the labels of some rows.
    pub fn statistics_of(&self, rows: &[usize]) -> LabelStatistics {
        let values: Vec<f64> = rows.iter().map(|i| self.values[*i]).collect();
        let (mean, std) = mean_and_std(&values);
        let (min, max) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
        LabelStatistics { n: values.len(), mean, std, min, max }
    }

    /// The same with a subset cut; it applies to the values given with the spectra.
    pub fn with_cut(self, cut: Option<SubsetCut>) -> Self {
        Self { cut, ..self }
    }

    /// The same with the name and version of the emulator that the spectra were compared with.
    pub fn with_emulator(self, emulator: Option<String>) -> Self {
        Self { emulator, ..self }
    }

    /// All stars, the metal-poor, the metal-rich, and both sides of the user's cut. Subsets with too few stars or with
    /// all stars are left out.
    pub fn subsets(&self) -> Vec<Subset> {
        let of = |name: String, keep: &dyn Fn(usize) -> bool| Subset {
            name,
            rows: (0..self.len()).filter(|i| keep(*i)).map(|i| i as u32).collect(),
        };
        let mut subsets = vec![of("all".into(), &|_| true)];
        let mut parts =
            vec![of("[Fe/H] < −1".into(), &|i| self.feh[i] < -1.0), of("[Fe/H] ≥ −1".into(), &|i| self.feh[i] >= -1.0)];
        if let Some(cut) = &self.cut {
            let [below, above] = cut.names();
            let own = [of(below, &|i| self.cut_values[i] < cut.at), of(above, &|i| self.cut_values[i] >= cut.at)];
            // A cut at [Fe/H] = −1 is already present.
            let own = own.into_iter().filter(|part| parts.iter().all(|p| p.name != part.name)).collect::<Vec<_>>();
            parts.extend(own);
        }
        parts.retain(|part| part.rows.len() >= MIN_SUBSET_SIZE && part.rows.len() < self.len());
        subsets.extend(parts);
        subsets
    }

    fn retain(&mut self, keep: &[bool]) {
        fn kept<T>(all: &mut Vec<T>, keep: &[bool]) {
            let mut keep = keep.iter();
            all.retain(|_| *keep.next().unwrap_or(&true));
        }
        kept(&mut self.ids, keep);
        kept(&mut self.groups, keep);
        kept(&mut self.inputs, keep);
        kept(&mut self.values, keep);
        kept(&mut self.feh, keep);
        kept(&mut self.cut_values, keep);
    }

    /// A few unphysical values are mistakes; if most are, it is the wrong column.
    fn drop_unphysical(&mut self, label: Label) -> Option<LabelWarning> {
        let (low, high) = label.physical_range();
        let keep: Vec<bool> = self.values.iter().map(|v| (low..=high).contains(v)).collect();
        let wrong: Vec<usize> = (0..keep.len()).filter(|i| !keep[*i]).collect();
        let example = self.values[*wrong.first()?];
        if 2 * wrong.len() > keep.len() {
            let fits = |other: &Label| {
                let (low, high) = other.physical_range();
                wrong.iter().all(|i| (low..=high).contains(&self.values[*i]))
            };
            // Almost any number could be a velocity, so it is not suggested.
            let looks_like = [Label::Teff, Label::Logg].into_iter().find(|l| *l != label && fits(l));
            return Some(LabelWarning::WrongUnit { label, low, high, example, n: wrong.len(), looks_like });
        }
        let ids = wrong.iter().map(|i| self.ids[*i].clone()).collect();
        self.retain(&keep);
        Some(LabelWarning::OutOfRange { label, low, high, ids })
    }

    /// Spectra of one id go to one group, even where the group column differs.
    fn group_duplicates(&mut self) -> Option<LabelWarning> {
        let mut rows: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        self.ids.iter().enumerate().for_each(|(i, id)| rows.entry(id).or_default().push(i));
        rows.retain(|_, rows| rows.len() > 1);
        if rows.is_empty() {
            return None;
        }
        let disagree = rows.values().any(|rows| rows.iter().any(|i| self.values[*i] != self.values[rows[0]]));
        let ids = rows.keys().map(|id| id.to_string()).collect();
        let renamed: Vec<(usize, String)> =
            rows.values().flat_map(|rows| rows.iter().map(|i| (*i, self.groups[rows[0]].clone()))).collect();
        renamed.into_iter().for_each(|(i, group)| self.groups[i] = group);
        Some(LabelWarning::Duplicates { ids, disagree })
    }

    /// Checks that concern all labels together.
    fn check(&self) -> Vec<LabelWarning> {
        let target = || self.label().map_or(self.target.clone(), |l| l.symbol().into());
        let n = self.len();
        if n < MIN_LABELS {
            return vec![LabelWarning::TooFew { target: target(), usable: n }];
        }
        let LabelStatistics { mean, min, max, .. } = self.statistics();
        if max - min <= 1e-6 * mean.abs().max(1e-3) {
            return vec![LabelWarning::Constant { target: target(), value: min, n }];
        }
        if let Some(group) = self.groups.first().filter(|first| self.groups.iter().all(|g| g == *first)) {
            return vec![LabelWarning::OneGroup { group: group.clone() }];
        }
        let mut warnings = Vec::new();
        let centre = median(&mut self.values.clone()).unwrap_or(mean);
        let mut deviations: Vec<f64> = self.values.iter().map(|v| (v - centre).abs()).collect();
        let spread = median(&mut deviations).unwrap_or(0.0) / 0.6745;
        let is_outlier = |v: f64| spread > 0.0 && (v - centre).abs() > 8.0 * spread;
        let outliers: Vec<String> =
            (0..n).filter(|i| is_outlier(self.values[*i])).map(|i| self.ids[i].clone()).collect();
        if !outliers.is_empty() {
            warnings.push(LabelWarning::Outliers { ids: outliers, median: centre, spread });
        }
        if n < FEW_LABELS {
            warnings.push(LabelWarning::FewLabels { usable: n });
        }
        warnings
    }
}
