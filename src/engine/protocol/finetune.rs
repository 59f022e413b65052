//! Messages about fine-tuning.

use serde::{Deserialize, Serialize};

use super::SpectrumId;
use crate::result::ModelCard;
use crate::result::finetune::{
    AdapterCard, CurvePoint, Distance, Epoch, LabelWarning, Landscape, Settings, Strategy, StrategyComparison,
    SubsetCut, TrainingRun,
};

/// Training settings of a comparison, and how its results are measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinetuneJob {
    /// Name of the base model; `None` for the default model.
    pub base: Option<String>,
    /// Column of the label tables: the column name of one of Specola's labels, or any other column.
    pub target: String,
    /// Group column: spectra with equal values stay on one side of every split.
    pub groups: Option<String>,
    /// Strategies to compare.
    pub strategies: Vec<Strategy>,
    /// Training settings.
    pub settings: Settings,
    /// Folds of the cross-validation.
    pub folds: u32,
    /// Seeds, one cross-validation each.
    pub seeds: Vec<u64>,
    /// Additional cut by which the results are reported.
    pub subset_cut: Option<SubsetCut>,
    /// True for a learning curve: the comparison is repeated with 10, 25, 50 … labels.
    pub is_learning_curve: bool,
}

/// Page → engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FinetuneRequest {
    /// Send training runs to the trainer at the attached port.
    ConnectTrainer {
        /// Its number, counted from 0.
        trainer: u32,
    },
    /// A trainer has stopped.
    TrainerLost {
        /// Its number.
        trainer: u32,
    },
    /// Compare strategies.
    Compare(Box<FinetuneJob>),
    /// Train on all labels of the last comparison, and predict with the result from then on.
    Apply {
        /// Strategy to train.
        strategy: Strategy,
    },
    /// Train on all labels as for [`FinetuneRequest::Apply`], then compute the loss around the trained weights.
    ScanLandscape {
        /// Strategy to train.
        strategy: Strategy,
    },
    /// Pause (`true`) or resume (`false`) the training.
    Pause(bool),
    /// Stop. The results so far stay.
    Stop,
    /// Predict with the adapter in the attached file from then on.
    Load {
        /// SHA-256 that the file must have, if known; lower-case hexadecimal.
        sha256: Option<String>,
    },
    /// Predict with the shipped model again.
    RemoveAdapter,
    /// Distances of samples of ([Fe/H], [α/Fe]) from a reference.
    Distances {
        /// Samples.
        samples: Vec<Vec<[f64; 2]>>,
        /// Reference.
        reference: Vec<[f64; 2]>,
    },
}

/// A column of the label tables that can be a target or a group column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelColumn {
    /// Its name.
    pub name: String,
    /// Spectra with a number in it.
    pub numbers: u32,
    /// Spectra with any text in it.
    pub filled: u32,
    /// Number of different values.
    pub distinct: u32,
}

/// Engine → page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FinetuneEvent {
    /// Models that can be fine-tuned, the default first.
    BaseModels(Vec<ModelCard>),
    /// A base model, or the model of an adapter, is being downloaded.
    Fetching {
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// Columns of the label tables with values for the spectra.
    Columns(Vec<LabelColumn>),
    /// Labelled spectra are being prepared.
    Preparing {
        /// Spectra so far.
        done: u32,
        /// Spectra in all.
        total: u32,
    },
    /// No model can be trained on these labels; the warnings say why.
    Refused(Vec<LabelWarning>),
    /// The training runs start.
    Started {
        /// Warnings about the labels.
        warnings: Vec<LabelWarning>,
        /// Spectrum of each row of the labelled set.
        spectra: Vec<SpectrumId>,
        /// Number of training runs.
        n_runs: u32,
    },
    /// An epoch of a training run ended.
    Epoch {
        /// Training run.
        task: TrainingRun,
        /// Its losses.
        epoch: Epoch,
    },
    /// A training run ended.
    Trained {
        /// Training run.
        task: TrainingRun,
        /// Training runs that ended.
        done: u32,
        /// Training runs in all.
        total: u32,
    },
    /// Comparison of the strategies so far.
    Comparison(Box<StrategyComparison>),
    /// Learning curve so far.
    LearningCurve(Vec<CurvePoint>),
    /// All training runs ended, or were stopped.
    Finished {
        /// True when the user stopped them.
        cancelled: bool,
    },
    /// Progress of a landscape scan.
    Scanning {
        /// Points so far.
        done: u32,
        /// Points in all.
        total: u32,
    },
    /// Loss around the trained weights.
    Landscape(Box<Landscape>),
    /// An adapter predicts from now on.
    AdapterApplied {
        /// Its card.
        card: Box<AdapterCard>,
        /// Its file.
        file: Vec<u8>,
        /// SHA-256 of the file, lower-case hexadecimal.
        sha256: String,
    },
    /// The shipped model predicts again.
    AdapterRemoved,
    /// After [`FinetuneRequest::Distances`]: one distance a sample, `None` for a sample of fewer than two stars.
    Distances(Vec<Option<Distance>>),
    /// An operation failed; the text gives the reason.
    Failed(String),
}
