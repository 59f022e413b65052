//! What teaching is asked and what it answers.

use serde::{Deserialize, Serialize};

use super::Label;

mod landscape;
mod remark;

pub use landscape::Landscape;
pub use remark::{Cell, Remark, is_filler};

/// Fewest labelled spectra to learn from.
pub const FEWEST_LABELS: usize = 10;

/// What of a network is taught.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Nothing: the shipped network as it is.
    ZeroShot,
    /// A small network beside the frozen one, whose output is added.
    Residual,
    /// Low-rank corrections of the hidden layers.
    Lora,
    /// All weights, from the shipped ones.
    Full,
    /// All weights, from random ones.
    Scratch,
}

impl Strategy {
    /// All strategies, the least change first.
    pub const ALL: [Strategy; 5] =
        [Strategy::ZeroShot, Strategy::Residual, Strategy::Lora, Strategy::Full, Strategy::Scratch];

    /// As the command line has it: `zero-shot`, `residual`, `lora`, `full`, `scratch`.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::ZeroShot => "zero-shot",
            Strategy::Residual => "residual",
            Strategy::Lora => "lora",
            Strategy::Full => "full",
            Strategy::Scratch => "scratch",
        }
    }

    /// The strategy of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }

    /// As people write it.
    pub fn title(self) -> &'static str {
        match self {
            Strategy::ZeroShot => "Zero-shot",
            Strategy::Residual => "Residual head",
            Strategy::Lora => "LoRA",
            Strategy::Full => "Full fine-tuning",
            Strategy::Scratch => "From scratch",
        }
    }

    /// True when it starts from a trained network.
    pub fn is_transfer(self) -> bool {
        self != Strategy::Scratch
    }
}

/// What the residual head sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sight {
    /// The normalised flux, as the network does.
    Flux,
    /// The network's second hidden layer, computed once.
    Embedding,
}

/// How to teach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Learning rate; each strategy's own without one.
    pub rate: Option<f64>,
    /// Most passes over the labels.
    pub epochs: usize,
    /// Passes without a better validation loss until it stops.
    pub patience: usize,
    /// Spectra a step.
    pub batch: usize,
    /// Decoupled weight decay of AdamW.
    pub weight_decay: f32,
    /// Part of the labels that only decides when to stop.
    pub validation: f64,
    /// LoRA's rank r.
    pub rank: usize,
    /// LoRA's α; its corrections are scaled by α/r.
    pub alpha: f64,
    /// Width of the residual head.
    pub hidden: usize,
    /// What the residual head sees.
    pub sight: Sight,
    /// Whether a closed-form correction, learned from like stars, comes before the gradient steps. Then a pass is kept only
    /// when it is better than that by more than chance.
    pub closed_form: bool,
    /// Noise added to the normalised flux in training (σ), in units of the continuum.
    pub noise: f32,
    /// Lines are made deeper or shallower in training by this part (σ), alike over 4–80 pixels.
    pub line_depth: f32,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for Settings {
    /// For a few dozen to a few hundred labels.
    fn default() -> Self {
        Self {
            rate: None,
            epochs: 200,
            patience: 20,
            batch: 32,
            weight_decay: 1e-4,
            validation: 0.2,
            rank: 128,
            alpha: 256.0,
            hidden: 384,
            sight: Sight::Flux,
            closed_form: true,
            noise: 0.01,
            line_depth: 0.05,
            seed: 1,
        }
    }
}

impl Settings {
    /// As the transfer study did it: learning rate 1e-5, 200 epochs, weight decay 1e-4, batches of 32, nothing else.
    pub fn paper() -> Self {
        Self { rate: Some(1e-5), patience: 200, closed_form: false, noise: 0.0, line_depth: 0.0, ..Self::default() }
    }

    /// The learning rate of a strategy.
    pub fn rate(&self, strategy: Strategy) -> f64 {
        self.rate.unwrap_or(match strategy {
            Strategy::ZeroShot => 0.0,
            Strategy::Residual => 3e-4,
            Strategy::Lora | Strategy::Full => 1e-4,
            Strategy::Scratch => 1e-3,
        })
    }

    /// What is wrong with these settings, if anything.
    pub fn problem(&self) -> Option<String> {
        let within = |name: &str, value: f64, low: f64, high: f64| {
            let is_there = value.is_finite() && (low..=high).contains(&value);
            (!is_there).then(|| format!("{name} is {value}; give a number from {low} to {high}"))
        };
        within("the learning rate", self.rate.unwrap_or(1e-4), 1e-8, 1.0)
            .or_else(|| within("the number of epochs", self.epochs as f64, 0.0, 1e5))
            .or_else(|| within("the batch", self.batch as f64, 1.0, 4096.0))
            .or_else(|| within("the weight decay", f64::from(self.weight_decay), 0.0, 1.0))
            .or_else(|| within("the validation part", self.validation, 0.0, 0.5))
            .or_else(|| within("LoRA's rank", self.rank as f64, 1.0, 512.0))
            .or_else(|| within("LoRA's α", self.alpha, 0.0, 1e4))
            .or_else(|| within("the residual head's width", self.hidden as f64, 1.0, 2048.0))
            .or_else(|| within("the noise", f64::from(self.noise), 0.0, 1.0))
            .or_else(|| within("the line-depth change", f64::from(self.line_depth), 0.0, 1.0))
    }
}

/// How predictions differ from the truth (MODEL_SPEC §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Number of pairs.
    pub n: usize,
    /// Mean of predicted − true after clipping.
    pub bias: f64,
    /// Standard deviation after 3 σ clipping.
    pub sigma: f64,
    /// Coefficient of determination, nothing clipped.
    pub r2: f64,
    /// Tukey's biweight scale, nothing clipped.
    pub biweight: f64,
}

/// One training among many: which strategy, on which side of which split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Task {
    /// What is taught.
    pub strategy: Strategy,
    /// Fold that is kept apart; none when all labels are learned from.
    pub fold: Option<usize>,
    /// Seed of split and training.
    pub seed: u64,
    /// Labels to learn from, where not all of the other folds' are (learning curve).
    pub labels: Option<usize>,
}

/// One pass over the labels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Counted from 1; 0 is before the first step.
    pub epoch: usize,
    /// Mean square error of the training part, in units of the label's spread; before the steps of this pass.
    pub train_loss: f64,
    /// The same of the validation part, after them; `None` without one.
    pub validation_loss: Option<f64>,
}

/// How a training ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which.
    pub task: Task,
    /// Labels whose gradients were followed.
    pub n_train: usize,
    /// Labels that decided when to stop.
    pub n_validation: usize,
    /// Row of each prediction in the lesson: those kept apart.
    pub rows: Vec<u32>,
    /// Predictions for them, in the label's unit.
    pub values: Vec<f64>,
    /// Losses pass by pass.
    pub history: Vec<Epoch>,
    /// The pass whose weights were kept; 0 means before the first.
    pub best_epoch: usize,
    /// True when someone stopped it before its end.
    pub cancelled: bool,
}

/// A mean and its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Mean.
    pub value: f64,
    /// Standard error over folds and seeds.
    pub error: f64,
}

/// Where the user parts the stars, beside [Fe/H] = −1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cut {
    /// A label of ours by its canonical name, or any other column with numbers.
    pub column: String,
    /// The value, in the column's unit.
    pub at: f64,
}

impl Cut {
    /// The names of the part below it and of the other.
    pub fn names(&self) -> [String; 2] {
        let symbol = Label::from_name(&self.column).map_or(self.column.as_str(), |label| label.symbol());
        let at = self.at.to_string().replace('-', "\u{2212}");
        [format!("{symbol} < {at}"), format!("{symbol} ≥ {at}")]
    }
}

/// A part of the stars.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Regime {
    /// For people: "all", "[Fe/H] < −1".
    pub name: String,
    /// Rows of the lesson in it.
    pub rows: Vec<u32>,
}

/// What a strategy is worth in one regime.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegimeScore {
    /// Name of the regime.
    pub regime: String,
    /// Stars.
    pub n: usize,
    /// R², nothing clipped.
    pub r2: Measured,
    /// σ after clipping.
    pub sigma: Measured,
    /// Biweight scale.
    pub biweight: Measured,
    /// Mean offset after clipping.
    pub bias: Measured,
}

/// What a strategy is worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StrategyScore {
    /// Which.
    pub strategy: Strategy,
    /// All stars first, then each regime that holds enough of them.
    pub regimes: Vec<RegimeScore>,
    /// Prediction of each row of the lesson while it was kept apart, mean over seeds; `None` where it never was.
    pub out_of_fold: Vec<Option<f64>>,
    /// Passes run in all trainings.
    pub epochs: usize,
}

/// Which strategy to use, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recommendation {
    /// Which.
    pub strategy: Strategy,
    /// The reason, in a sentence or two.
    pub reason: String,
}

/// The strategies side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BakeOff {
    /// Name of the label.
    pub target: String,
    /// Ids of the lesson's spectra.
    pub ids: Vec<String>,
    /// Their labels.
    pub truth: Vec<f64>,
    /// One entry a strategy.
    pub scores: Vec<StrategyScore>,
    /// Which of them to use; none without a score.
    pub recommendation: Option<Recommendation>,
}

/// How far a sample of stars is from another in the plane of [Fe/H] and [α/Fe].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// Unbiased MMD²; it may be negative.
    pub mmd_squared: f64,
    /// How often chance puts two samples of one distribution so far apart, by permutation.
    pub p_value: f64,
    /// Stars of the sample that were compared.
    pub n: usize,
}

/// One point of a learning curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Which strategy.
    pub strategy: Strategy,
    /// Labels learned from.
    pub labels: usize,
    /// R², nothing clipped.
    pub r2: Measured,
    /// σ after clipping.
    pub sigma: Measured,
    /// σ and offset together.
    pub total: Measured,
}

/// How labels are spread.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LabelStatistics {
    /// Number.
    pub n: usize,
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub std: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
}

/// What an adapter says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterCard {
    /// Version of the file's layout.
    pub format: u32,
    /// Name of the network it belongs to.
    pub base: String,
    /// SHA-256 of that network's weights, lower-case hexadecimal.
    pub base_sha256: String,
    /// Preprocessing it was taught behind.
    pub recipe: String,
    /// Name and version of the emulator that spectra are held against, if they are.
    pub emulator: Option<String>,
    /// What was taught.
    pub strategy: Strategy,
    /// Name of the label: one of ours (`feh`), or any other.
    pub target: String,
    /// The labels it was taught on.
    pub labels: LabelStatistics,
    /// How it was taught.
    pub settings: Settings,
    /// One standard deviation of its predictions, in the label's unit.
    pub error: f64,
    /// What that rests on: "5-fold cross-validation, 2 seeds".
    pub error_from: String,
    /// Median S/N of the spectra it was taught on, if known.
    pub snr: Option<f64>,
    /// Measured accuracy, by regime.
    pub metrics: Vec<(String, Metrics)>,
}

impl AdapterCard {
    /// `lrs-mlp 1 + feh (residual, 100 labels)`, as it stands beside results.
    pub fn title(&self) -> String {
        format!("{} + {} ({}, {} labels)", self.base, self.target, self.strategy.name(), self.labels.n)
    }

    /// The label, if it is one of ours.
    pub fn label(&self) -> Option<Label> {
        Label::from_name(&self.target)
    }
}

/// The value that a taught network gives a spectrum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaughtValue {
    /// Name of the label.
    pub target: String,
    /// The value, in the unit of the labels it was taught on.
    pub value: f64,
    /// One standard deviation.
    pub error: f64,
    /// What the network said before it was taught; `None` for a label that is not ours.
    pub before: Option<f64>,
}

impl TaughtValue {
    /// The label, if it is one of ours.
    pub fn label(&self) -> Option<Label> {
        Label::from_name(&self.target)
    }

    /// Value and error to six significant digits, which is more than they are worth; `None` for what is not finite.
    pub fn numbers(&self) -> (Option<f64>, Option<f64>) {
        let digits = |v: f64| v.is_finite().then(|| format!("{v:.5e}").parse().ok()).flatten();
        (digits(self.value), digits(self.error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_named() {
        assert_eq!(Settings::default().problem(), None);
        assert_eq!(Settings::paper().problem(), None);
        let wrong = [
            (Settings { rate: Some(f64::NAN), ..Settings::default() }, "learning rate"),
            (Settings { batch: 0, ..Settings::default() }, "batch"),
            (Settings { validation: 0.9, ..Settings::default() }, "validation"),
            (Settings { rank: 0, ..Settings::default() }, "rank"),
            (Settings { hidden: 1 << 40, ..Settings::default() }, "width"),
        ];
        for (settings, said) in wrong {
            assert!(settings.problem().is_some_and(|p| p.contains(said)), "{said}");
        }
    }
}
