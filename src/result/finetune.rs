//! Settings and results of fine-tuning.

use serde::{Deserialize, Serialize};

use super::Label;

mod landscape;
mod label_warning;

pub use label_warning::{Cell, LabelWarning, is_filler};
pub use landscape::Landscape;

/// Fewest labelled spectra for fine-tuning.
pub const MIN_LABELS: usize = 10;

/// The trained part of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// No part: the shipped network.
    ZeroShot,
    /// The output layer, by ridge regression: a linear function of the last hidden layer is added to its output.
    Linear,
    /// No part: a Gaussian process over the embedding corrects the output.
    Gp,
    /// A small network, the residual head, whose output is added to the output of the frozen base.
    Residual,
    /// Low-rank corrections of the hidden layers.
    Lora,
    /// All weights, starting from the shipped weights.
    Full,
    /// All weights, starting from random weights.
    Scratch,
}

impl Strategy {
    /// All strategies, the smallest change first.
    pub const ALL: [Self; 7] =
        [Self::ZeroShot, Self::Linear, Self::Gp, Self::Residual, Self::Lora, Self::Full, Self::Scratch];

    /// Name on the command line: `zero-shot`, `linear`, `gp`, `residual`, `lora`, `full`, `scratch`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ZeroShot => "zero-shot",
            Self::Linear => "linear",
            Self::Gp => "gp",
            Self::Residual => "residual",
            Self::Lora => "lora",
            Self::Full => "full",
            Self::Scratch => "scratch",
        }
    }

    /// The strategy with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }

    /// Title for display.
    pub fn title(self) -> &'static str {
        match self {
            Self::ZeroShot => "Zero-shot",
            Self::Linear => "Linear correction",
            Self::Gp => "GP correction",
            Self::Residual => "Residual head",
            Self::Lora => "LoRA",
            Self::Full => "Full fine-tuning",
            Self::Scratch => "From scratch",
        }
    }

    /// True if it starts from a trained network.
    pub fn is_transfer(self) -> bool {
        self != Self::Scratch
    }

    /// True if an optimiser trains weights; false for a strategy in closed form.
    pub fn has_gradient_steps(self) -> bool {
        !matches!(self, Self::ZeroShot | Self::Linear | Self::Gp)
    }
}

/// Input of the residual head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadInput {
    /// The normalised flux.
    Flux,
    /// The network's second hidden layer, computed once.
    Embedding,
}

/// Hyperparameters of fine-tuning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Learning rate; `None` for the strategy's default.
    #[serde(alias = "rate")]
    pub learning_rate: Option<f64>,
    /// Largest number of epochs.
    pub epochs: usize,
    /// Epochs without a lower validation loss before the training stops.
    pub patience: usize,
    /// Spectra per step.
    pub batch: usize,
    /// Decoupled weight decay of `AdamW`.
    pub weight_decay: f32,
    /// Fraction of the labels for validation (early stopping).
    pub validation: f64,
    /// Rank r of `LoRA`.
    #[serde(alias = "rank")]
    pub lora_rank: usize,
    /// α of `LoRA`; its corrections are scaled by α/r.
    #[serde(alias = "alpha")]
    pub lora_alpha: f64,
    /// Width of the residual head.
    #[serde(alias = "hidden")]
    pub head_width: usize,
    /// Input of the residual head.
    #[serde(alias = "sight")]
    pub head_input: HeadInput,
    /// Whether the gradient steps start from the GP correction, and must improve on it significantly. Otherwise a
    /// strategy is what its name says.
    #[serde(alias = "gp_correction", alias = "closed_form")]
    pub start_from_gp: bool,
    /// Noise added to the normalised flux in training (σ), in units of the continuum.
    pub noise: f32,
    /// Relative change of line depths in training (σ), correlated over 4–80 pixels.
    pub line_depth: f32,
    /// Seed of all random numbers.
    pub seed: u64,
}

impl Default for Settings {
    /// Defaults for a few dozen to a few hundred labels.
    fn default() -> Self {
        Self {
            learning_rate: None,
            epochs: 200,
            patience: 20,
            batch: 32,
            weight_decay: 1e-4,
            validation: 0.2,
            lora_rank: 128,
            lora_alpha: 256.0,
            head_width: 384,
            head_input: HeadInput::Flux,
            start_from_gp: false,
            noise: 0.01,
            line_depth: 0.05,
            seed: 1,
        }
    }
}

impl Settings {
    /// Settings of the transfer study: learning rate 1e-5, 200 epochs, weight decay 1e-4, batches of 32, no
    /// extensions.
    pub fn zhao2026() -> Self {
        Self { learning_rate: Some(1e-5), patience: 200, noise: 0.0, line_depth: 0.0, ..Self::default() }
    }

    /// Learning rate of a strategy.
    pub fn learning_rate(&self, strategy: Strategy) -> f64 {
        self.learning_rate.unwrap_or(match strategy {
            Strategy::ZeroShot | Strategy::Linear | Strategy::Gp => 0.0,
            Strategy::Residual => 3e-4,
            Strategy::Lora | Strategy::Full => 1e-4,
            Strategy::Scratch => 1e-3,
        })
    }

    /// The first invalid setting, if any.
    pub fn problem(&self) -> Option<String> {
        let check_range = |name: &str, value: f64, low: f64, high: f64| {
            let is_valid = value.is_finite() && (low..=high).contains(&value);
            (!is_valid).then(|| format!("{name} is {value}; give a number from {low} to {high}"))
        };
        check_range("the learning rate", self.learning_rate.unwrap_or(1e-4), 1e-8, 1.0)
            .or_else(|| check_range("the number of epochs", self.epochs as f64, 0.0, 1e5))
            .or_else(|| check_range("the batch", self.batch as f64, 1.0, 4096.0))
            .or_else(|| check_range("the weight decay", f64::from(self.weight_decay), 0.0, 1.0))
            .or_else(|| check_range("the validation fraction", self.validation, 0.0, 0.5))
            .or_else(|| check_range("LoRA's rank", self.lora_rank as f64, 1.0, 512.0))
            .or_else(|| check_range("LoRA's α", self.lora_alpha, 0.0, 1e4))
            .or_else(|| check_range("the residual head's width", self.head_width as f64, 1.0, 2048.0))
            .or_else(|| check_range("the noise", f64::from(self.noise), 0.0, 1.0))
            .or_else(|| check_range("the line-depth change", f64::from(self.line_depth), 0.0, 1.0))
    }
}

/// Accuracy of predictions (docs/model-spec.md §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Number of pairs.
    pub n: usize,
    /// Mean of predicted − true after 3 σ clipping, in the label's unit.
    pub bias: f64,
    /// Standard deviation after 3 σ clipping, in the label's unit.
    pub sigma: f64,
    /// Coefficient of determination, without clipping.
    pub r2: f64,
    /// Tukey's biweight scale without clipping, in the label's unit.
    pub biweight: f64,
}

/// A training run: strategy, fold, seed and number of labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TrainingRun {
    /// The strategy.
    pub strategy: Strategy,
    /// Held-out fold; `None` if all labels are used.
    pub fold: Option<usize>,
    /// Seed of split and training.
    pub seed: u64,
    /// Training-set size for a learning curve; `None` for all labels of the other folds.
    #[serde(rename = "labels")]
    pub n_labels: Option<usize>,
}

/// Losses of one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Number of the epoch, counted from 1; 0 is before the first step.
    pub epoch: usize,
    /// Mean square error of the training rows, before the steps of this epoch; labels in units of their standard
    /// deviation.
    pub train_loss: f64,
    /// Mean square error of the validation rows, after the steps of this epoch; `None` without validation.
    pub validation_loss: Option<f64>,
}

/// Result of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingOutcome {
    /// The training.
    pub task: TrainingRun,
    /// Number of training labels.
    pub n_train: usize,
    /// Number of validation labels.
    pub n_validation: usize,
    /// Row of each held-out prediction in the labelled set.
    pub rows: Vec<u32>,
    /// Held-out predictions, in the label's unit.
    pub values: Vec<f64>,
    /// Losses of each epoch.
    pub history: Vec<Epoch>,
    /// Epoch of the final weights; 0 is before the first step.
    pub best_epoch: usize,
    /// True if the user stopped the training early.
    #[serde(rename = "cancelled")]
    pub is_cancelled: bool,
}

/// A mean and its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanWithError {
    /// Mean.
    pub value: f64,
    /// Standard error over folds and seeds.
    pub error: f64,
}

/// A cut into two subsets, in addition to [Fe/H] = −1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubsetCut {
    /// Canonical name of a label, or another numeric column.
    pub column: String,
    /// Value of the cut, in the column's unit.
    pub at: f64,
}

impl SubsetCut {
    /// Names of the subsets below and above.
    pub fn names(&self) -> [String; 2] {
        let symbol = Label::from_name(&self.column).map_or(self.column.as_str(), |label| label.symbol());
        let at = self.at.to_string().replace('-', "\u{2212}");
        [format!("{symbol} < {at}"), format!("{symbol} ≥ {at}")]
    }
}

/// A subset of the stars.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subset {
    /// Name for display: "all", "[Fe/H] < −1".
    pub name: String,
    /// Rows of the labelled set in this subset.
    pub rows: Vec<u32>,
}

/// Metrics of a strategy in one subset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubsetScore {
    /// Name of the subset.
    #[serde(alias = "regime")]
    pub subset: String,
    /// Number of stars.
    pub n: usize,
    /// R² without clipping.
    pub r2: MeanWithError,
    /// σ after clipping.
    pub sigma: MeanWithError,
    /// Biweight scale.
    pub biweight: MeanWithError,
    /// Mean offset after clipping.
    pub bias: MeanWithError,
}

/// Metrics of a strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StrategyScore {
    /// The strategy.
    pub strategy: Strategy,
    /// All stars first, then the subsets.
    #[serde(alias = "regimes")]
    pub subsets: Vec<SubsetScore>,
    /// Held-out prediction of each row of the labelled set, mean over seeds; `None` without one.
    pub out_of_fold: Vec<Option<f64>>,
    /// Epochs in all trainings.
    pub epochs: usize,
}

/// The recommended strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recommendation {
    /// The strategy.
    pub strategy: Strategy,
    /// The reason, in one or two sentences.
    pub reason: String,
}

/// Comparison of the strategies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StrategyComparison {
    /// Name of the label.
    pub target: String,
    /// Ids of the labelled set's spectra.
    pub ids: Vec<String>,
    /// Labels of these spectra.
    pub truth: Vec<f64>,
    /// One entry per strategy.
    pub scores: Vec<StrategyScore>,
    /// The recommendation; `None` without a score.
    pub recommendation: Option<Recommendation>,
}

/// Distance between two samples of stars in the plane of [Fe/H] and [α/Fe].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// Unbiased MMD²; it may be negative.
    pub mmd_squared: f64,
    /// p-value of a permutation test: probability of such a distance between samples of one distribution.
    pub p_value: f64,
    /// Number of stars of the sample in the comparison.
    pub n: usize,
}

/// One point of a learning curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// The strategy.
    pub strategy: Strategy,
    /// Training-set size.
    #[serde(rename = "labels")]
    pub n_labels: usize,
    /// R² without clipping.
    pub r2: MeanWithError,
    /// σ after clipping.
    pub sigma: MeanWithError,
    /// Total error √(σ² + bias²).
    pub total: MeanWithError,
}

/// Statistics of labels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LabelStatistics {
    /// Number of labels.
    pub n: usize,
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub std: f64,
    /// Smallest label.
    pub min: f64,
    /// Largest label.
    pub max: f64,
}

/// Description of an adapter, stored in its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterCard {
    /// Version of the file's layout.
    pub format: u32,
    /// Name of the base network.
    pub base: String,
    /// SHA-256 of the base network's weights, lower-case hexadecimal.
    pub base_sha256: String,
    /// Preprocessing of the training spectra.
    pub recipe: String,
    /// The strategy.
    pub strategy: Strategy,
    /// Name of the label: a label of Specola (`feh`) or any other.
    pub target: String,
    /// Statistics of the training labels.
    pub labels: LabelStatistics,
    /// Settings of the training.
    pub settings: Settings,
    /// Standard deviation of its predictions, in the label's unit.
    pub error: f64,
    /// Source of the error: "5-fold cross-validation, 2 seeds".
    #[serde(rename = "error_from")]
    pub error_basis: String,
    /// Median S/N of the training spectra, if known.
    pub snr: Option<f64>,
    /// Measured accuracy, by subset.
    pub metrics: Vec<(String, Metrics)>,
}

impl AdapterCard {
    /// Title for display: `lrs-mlp 1 + feh (residual, 100 labels)`.
    pub fn title(&self) -> String {
        format!("{} + {} ({}, {} labels)", self.base, self.target, self.strategy.name(), self.labels.n)
    }

    /// The label, if it is a label of Specola.
    pub fn label(&self) -> Option<Label> {
        Label::from_name(&self.target)
    }
}

/// The prediction of a fine-tuned model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinetunedEstimate {
    /// Name of the label.
    pub target: String,
    /// The value, in the unit of the training labels.
    pub value: f64,
    /// Standard deviation, in the same unit.
    pub error: f64,
    /// Prediction of the base network; `None` for a label that it does not predict.
    #[serde(rename = "before")]
    pub shipped_value: Option<f64>,
}

impl FinetunedEstimate {
    /// The label, if it is a label of Specola.
    pub fn label(&self) -> Option<Label> {
        Label::from_name(&self.target)
    }

    /// Value and error to six significant digits; `None` for a number that is not finite.
    pub fn numbers(&self) -> (Option<f64>, Option<f64>) {
        let rounded = |v: f64| v.is_finite().then(|| format!("{v:.5e}").parse().ok()).flatten();
        (rounded(self.value), rounded(self.error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_settings_are_named() {
        assert_eq!(Settings::default().problem(), None);
        assert_eq!(Settings::zhao2026().problem(), None);
        let wrong = [
            (Settings { learning_rate: Some(f64::NAN), ..Settings::default() }, "learning rate"),
            (Settings { batch: 0, ..Settings::default() }, "batch"),
            (Settings { validation: 0.9, ..Settings::default() }, "validation"),
            (Settings { lora_rank: 0, ..Settings::default() }, "rank"),
            (Settings { head_width: 1 << 40, ..Settings::default() }, "width"),
        ];
        for (settings, setting) in wrong {
            assert!(settings.problem().is_some_and(|p| p.contains(setting)), "{setting}");
        }
    }
}
