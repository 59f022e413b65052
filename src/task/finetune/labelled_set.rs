//! Labelled spectra for fine-tuning, and checks of their labels.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::result::Label;
use crate::result::finetune::{Cell, LabelStatistics, LabelWarning, MIN_LABELS, Subset, SubsetCut};
use crate::stats::mean_and_std;
use crate::stats::median;
use crate::task::predict::LabelInput;

/// Fewer labels than this give a warning.
const FEW_LABELS: usize = 25;

/// Lowest number of stars in a subset that gets metrics.
const MIN_SUBSET_SIZE: usize = 5;

/// A spectrum and its row of the label table, before the label is checked.
#[derive(Debug, Clone)]
pub struct LabelCandidate {
    /// Id of the spectrum.
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

/// A spectrum with a usable label.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LabelledSpectrum {
    /// Id of the spectrum.
    pub id: String,
    /// Spectra with the same group stay on one side of a split.
    pub group: String,
    /// Input of the label network.
    pub input: LabelInput,
    /// The label, finite.
    pub value: f64,
    /// [Fe/H] for the subsets; `None` where it is not known.
    pub feh: Option<f64>,
    /// Value for the user's subset cut; `None` where it is not known.
    pub cut: Option<f64>,
}

/// Spectra with usable labels.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LabelledSet {
    /// Name of the label: a [`Label`] (`feh`) or any other column.
    pub target: String,
    /// The spectra.
    pub spectra: Vec<LabelledSpectrum>,
    /// The user's subset cut.
    pub subset_cut: Option<SubsetCut>,
}

impl LabelledSet {
    /// Selects the usable spectra. The warnings name the excluded spectra and the labels to check. If a warning is
    /// fatal, all warnings are returned as the error.
    pub fn new(target: &str, candidates: Vec<LabelCandidate>) -> Result<(Self, Vec<LabelWarning>), Vec<LabelWarning>> {
        let mut warnings = Vec::new();
        let label = Label::from_name(target);
        if label == Some(Label::Rv) {
            return Err(vec![LabelWarning::NotTrainable { target: target.into() }]);
        }
        let (mut spectra, mut missing, mut texts) = (Vec::new(), 0, Vec::new());
        for LabelCandidate { id, group, input, value, feh, cut } in candidates {
            match value {
                Cell::Number(value) if value.is_finite() => {
                    let group = if group.is_empty() { id.clone() } else { group };
                    spectra.push(LabelledSpectrum { id, group, input, value, feh, cut });
                }
                Cell::Missing | Cell::Number(_) => missing += 1,
                Cell::Text(text) => texts.push(text),
            }
        }
        let mut labelled_set = Self { target: target.into(), spectra, subset_cut: None };
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
        self.spectra.len()
    }

    /// True when there are no spectra.
    pub fn is_empty(&self) -> bool {
        self.spectra.is_empty()
    }

    /// The labels.
    pub fn values(&self) -> Vec<f64> {
        self.spectra.iter().map(|s| s.value).collect()
    }

    /// The label as a [`Label`]; `None` for any other column.
    pub fn label(&self) -> Option<Label> {
        Label::from_name(&self.target)
    }

    /// Statistics of the labels.
    pub fn statistics(&self) -> LabelStatistics {
        self.statistics_of(&(0..self.len()).collect::<Vec<_>>())
    }

    /// Statistics of the labels of some rows.
    pub fn statistics_of(&self, rows: &[usize]) -> LabelStatistics {
        let values: Vec<f64> = rows.iter().map(|i| self.spectra[*i].value).collect();
        let (mean, std) = mean_and_std(&values);
        let (min, max) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
        LabelStatistics { n: values.len(), mean, std, min, max }
    }

    /// The same set with a subset cut; the cut applies to the values given with the spectra.
    pub fn with_subset_cut(self, subset_cut: Option<SubsetCut>) -> Self {
        Self { subset_cut, ..self }
    }

    /// All stars, the metal-poor, the metal-rich, and both sides of the user's cut. Subsets with too few stars or with
    /// all stars are left out.
    pub fn subsets(&self) -> Vec<Subset> {
        let subset = |name: String, keep: &dyn Fn(&LabelledSpectrum) -> bool| Subset {
            name,
            rows: (0..self.len()).filter(|i| keep(&self.spectra[*i])).map(|i| i as u32).collect(),
        };
        let mut subsets = vec![subset("all".into(), &|_| true)];
        let mut parts = vec![
            subset("[Fe/H] < −1".into(), &|s| s.feh.is_some_and(|feh| feh < -1.0)),
            subset("[Fe/H] ≥ −1".into(), &|s| s.feh.is_some_and(|feh| feh >= -1.0)),
        ];
        if let Some(cut) = &self.subset_cut {
            let [below, above] = cut.names();
            let cut_subsets = [
                subset(below, &|s| s.cut.is_some_and(|value| value < cut.at)),
                subset(above, &|s| s.cut.is_some_and(|value| value >= cut.at)),
            ];
            // A cut at [Fe/H] = −1 is already present.
            let cut_subsets =
                cut_subsets.into_iter().filter(|part| parts.iter().all(|p| p.name != part.name)).collect::<Vec<_>>();
            parts.extend(cut_subsets);
        }
        parts.retain(|part| part.rows.len() >= MIN_SUBSET_SIZE && part.rows.len() < self.len());
        subsets.extend(parts);
        subsets
    }

    /// Removes unphysical values. A few are mistakes; if most are unphysical, the column is wrong and all stay.
    fn drop_unphysical(&mut self, label: Label) -> Option<LabelWarning> {
        let (low, high) = label.physical_range();
        let is_physical = |s: &LabelledSpectrum| (low..=high).contains(&s.value);
        let wrong: Vec<&LabelledSpectrum> = self.spectra.iter().filter(|s| !is_physical(s)).collect();
        let example = wrong.first()?.value;
        if 2 * wrong.len() > self.len() {
            let fits = |other: &Label| {
                let (low, high) = other.physical_range();
                wrong.iter().all(|s| (low..=high).contains(&s.value))
            };
            // Almost any number could be a velocity, so the velocity is not suggested.
            let looks_like = [Label::Teff, Label::Logg].into_iter().find(|l| *l != label && fits(l));
            return Some(LabelWarning::WrongUnit { label, low, high, example, n: wrong.len(), looks_like });
        }
        let ids = wrong.iter().map(|s| s.id.clone()).collect();
        self.spectra.retain(is_physical);
        Some(LabelWarning::OutOfRange { label, low, high, ids })
    }

    /// Puts spectra of one id into one group, even where the group column differs.
    fn group_duplicates(&mut self) -> Option<LabelWarning> {
        let mut rows: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        self.spectra.iter().enumerate().for_each(|(i, s)| rows.entry(&s.id).or_default().push(i));
        rows.retain(|_, rows| rows.len() > 1);
        if rows.is_empty() {
            return None;
        }
        let disagree =
            rows.values().any(|rows| rows.iter().any(|i| self.spectra[*i].value != self.spectra[rows[0]].value));
        let ids = rows.keys().map(|id| id.to_string()).collect();
        let new_groups: Vec<(usize, String)> =
            rows.values().flat_map(|rows| rows.iter().map(|i| (*i, self.spectra[rows[0]].group.clone()))).collect();
        new_groups.into_iter().for_each(|(i, group)| self.spectra[i].group = group);
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
        if let Some(first) = self.spectra.first()
            && self.spectra.iter().all(|s| s.group == first.group)
        {
            return vec![LabelWarning::OneGroup { group: first.group.clone() }];
        }
        let mut warnings = Vec::new();
        let centre = median(&mut self.values()).unwrap_or(mean);
        let mut deviations: Vec<f64> = self.spectra.iter().map(|s| (s.value - centre).abs()).collect();
        let spread = median(&mut deviations).unwrap_or(0.0) / 0.6745;
        let is_outlier = |v: f64| spread > 0.0 && (v - centre).abs() > 8.0 * spread;
        let outliers: Vec<String> = self.spectra.iter().filter(|s| is_outlier(s.value)).map(|s| s.id.clone()).collect();
        if !outliers.is_empty() {
            warnings.push(LabelWarning::Outliers { ids: outliers, median: centre, spread });
        }
        if n < FEW_LABELS {
            warnings.push(LabelWarning::FewLabels { usable: n });
        }
        warnings
    }
}
