//! Labelled spectra to learn from, and what is wrong with them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::preprocess::stats::median;
use crate::result::Label;
use crate::result::teach::{Cell, Cut, FEWEST_LABELS, LabelStatistics, Regime, Remark};
use crate::task::metrics::mean_and_std;
use crate::task::predict::LabelInput;

/// Below this many labels a remark says that they are few.
const FEW_LABELS: usize = 25;

/// Fewest stars of a regime that are worth a figure.
const FEWEST_OF_REGIME: usize = 5;

/// A spectrum and what the user's table says of it.
#[derive(Debug, Clone)]
pub struct Example {
    /// Its id.
    pub id: String,
    /// Star, cluster or whatever else must stay on one side of a split; empty for a group of its own.
    pub group: String,
    /// What the label network sees.
    pub input: LabelInput,
    /// The label.
    pub value: Cell,
    /// [Fe/H] by which regimes are told, from the table or predicted.
    pub feh: Option<f64>,
    /// What the user's own cut goes by.
    pub cut: Option<f64>,
}

/// Spectra whose labels can be learned from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lesson {
    /// Name of the label: one of ours (`feh`), or any other.
    pub target: String,
    /// Ids of the spectra.
    pub ids: Vec<String>,
    /// Their groups.
    pub groups: Vec<String>,
    /// What the label network sees of them.
    pub inputs: Vec<LabelInput>,
    /// Their labels, finite.
    pub values: Vec<f64>,
    /// Their [Fe/H]; NaN where it is not known.
    pub feh: Vec<f64>,
    /// The user's own cut.
    pub cut: Option<Cut>,
    /// What it goes by; NaN where that is not known.
    pub cut_values: Vec<f64>,
    /// Name and version of the emulator that the spectra were held against, if any was.
    pub emulator: Option<String>,
}

impl Lesson {
    /// Keeps what can be learned from. Remarks say what was left out and what to check; with a fatal one among them there is
    /// no lesson, and all of them are the error.
    pub fn new(target: &str, examples: Vec<Example>) -> Result<(Self, Vec<Remark>), Vec<Remark>> {
        let mut remarks = Vec::new();
        let label = Label::from_name(target);
        if label == Some(Label::Rv) {
            return Err(vec![Remark::NotTaught { target: target.into() }]);
        }
        let mut lesson = Self {
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
                    lesson.groups.push(if example.group.is_empty() { example.id.clone() } else { example.group });
                    lesson.ids.push(example.id);
                    lesson.inputs.push(example.input);
                    lesson.values.push(value);
                    lesson.feh.push(example.feh.unwrap_or(f64::NAN));
                    lesson.cut_values.push(example.cut.unwrap_or(f64::NAN));
                }
            }
        }
        if missing > 0 {
            remarks.push(Remark::Missing { n: missing });
        }
        if let Some(example) = texts.first() {
            remarks.push(Remark::Text { n: texts.len(), example: example.clone() });
        }
        if let Some(label) = label {
            remarks.extend(lesson.leave_out_impossible(label));
        }
        remarks.extend(lesson.gather_duplicates());
        remarks.extend(lesson.judge());
        if remarks.iter().any(Remark::is_fatal) {
            return Err(remarks);
        }
        Ok((lesson, remarks))
    }

    /// Number of spectra.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// True without a spectrum.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The label, if it is one of ours.
    pub fn label(&self) -> Option<Label> {
        Label::from_name(&self.target)
    }

    /// How its labels are spread.
    pub fn statistics(&self) -> LabelStatistics {
        self.statistics_of(&(0..self.len()).collect::<Vec<_>>())
    }

    /// How the labels of some rows are spread.
    pub fn statistics_of(&self, rows: &[usize]) -> LabelStatistics {
        let values: Vec<f64> = rows.iter().map(|i| self.values[*i]).collect();
        let (mean, std) = mean_and_std(&values);
        let (min, max) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
        LabelStatistics { n: values.len(), mean, std, min, max }
    }

    /// The same with a cut of the user's, by the values that its examples came with.
    pub fn with_cut(self, cut: Option<Cut>) -> Self {
        Self { cut, ..self }
    }

    /// The same with the name and version of the emulator that the spectra were held against.
    pub fn held_against(self, emulator: Option<String>) -> Self {
        Self { emulator, ..self }
    }

    /// All stars, the metal-poor and the metal-rich, and those on either side of the user's own cut, each where it holds
    /// enough stars and is not all of them.
    pub fn regimes(&self) -> Vec<Regime> {
        let of = |name: String, keep: &dyn Fn(usize) -> bool| Regime {
            name,
            rows: (0..self.len()).filter(|i| keep(*i)).map(|i| i as u32).collect(),
        };
        let mut regimes = vec![of("all".into(), &|_| true)];
        let mut parts =
            vec![of("[Fe/H] < −1".into(), &|i| self.feh[i] < -1.0), of("[Fe/H] ≥ −1".into(), &|i| self.feh[i] >= -1.0)];
        if let Some(cut) = &self.cut {
            let [below, above] = cut.names();
            let own = [of(below, &|i| self.cut_values[i] < cut.at), of(above, &|i| self.cut_values[i] >= cut.at)];
            // A cut at [Fe/H] = −1 is there already.
            let own = own.into_iter().filter(|part| parts.iter().all(|p| p.name != part.name)).collect::<Vec<_>>();
            parts.extend(own);
        }
        parts.retain(|part| part.rows.len() >= FEWEST_OF_REGIME && part.rows.len() < self.len());
        regimes.extend(parts);
        regimes
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

    /// A few impossible values are slips; when most are, the column is the wrong one.
    fn leave_out_impossible(&mut self, label: Label) -> Option<Remark> {
        let (low, high) = label.possible();
        let keep: Vec<bool> = self.values.iter().map(|v| (low..=high).contains(v)).collect();
        let wrong: Vec<usize> = (0..keep.len()).filter(|i| !keep[*i]).collect();
        let example = self.values[*wrong.first()?];
        if 2 * wrong.len() > keep.len() {
            let fits = |other: &Label| {
                let (low, high) = other.possible();
                wrong.iter().all(|i| (low..=high).contains(&self.values[*i]))
            };
            // Almost anything could be a velocity, so that is no guess.
            let looks_like = [Label::Teff, Label::Logg].into_iter().find(|l| *l != label && fits(l));
            return Some(Remark::WrongUnit { label, low, high, example, n: wrong.len(), looks_like });
        }
        let ids = wrong.iter().map(|i| self.ids[*i].clone()).collect();
        self.retain(&keep);
        Some(Remark::OutOfRange { label, low, high, ids })
    }

    /// Spectra of one id belong to one group, whatever the group column says.
    fn gather_duplicates(&mut self) -> Option<Remark> {
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
        Some(Remark::Duplicates { ids, disagree })
    }

    /// What concerns all labels together.
    fn judge(&self) -> Vec<Remark> {
        let target = || self.label().map_or(self.target.clone(), |l| l.symbol().into());
        let n = self.len();
        if n < FEWEST_LABELS {
            return vec![Remark::TooFew { target: target(), usable: n }];
        }
        let LabelStatistics { mean, min, max, .. } = self.statistics();
        if max - min <= 1e-6 * mean.abs().max(1e-3) {
            return vec![Remark::Constant { target: target(), value: min, n }];
        }
        if let Some(group) = self.groups.first().filter(|first| self.groups.iter().all(|g| g == *first)) {
            return vec![Remark::OneGroup { group: group.clone() }];
        }
        let mut remarks = Vec::new();
        let centre = median(&mut self.values.clone()).unwrap_or(mean);
        let mut deviations: Vec<f64> = self.values.iter().map(|v| (v - centre).abs()).collect();
        let spread = median(&mut deviations).unwrap_or(0.0) / 0.6745;
        let is_far = |v: f64| spread > 0.0 && (v - centre).abs() > 8.0 * spread;
        let far: Vec<String> = (0..n).filter(|i| is_far(self.values[*i])).map(|i| self.ids[i].clone()).collect();
        if !far.is_empty() {
            remarks.push(Remark::Outliers { ids: far, median: centre, spread });
        }
        if n < FEW_LABELS {
            remarks.push(Remark::FewLabels { usable: n });
        }
        remarks
    }
}
