//! Benchmark cases, as in `../cases.js`.

use burn::tensor::Device;
use serde::Deserialize;
use specola::model::encoders::Size;
use specola::nn::token_parallel::TokenHalf;
use specola::result::finetune::Strategy;

use crate::forward::{Encoding, Regression};
use crate::train::{FullTraining, Training};
use crate::workloads::{Preprocessing, Search};

/// A case without its name, so that an engine cannot treat a named case differently.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Case {
    /// The forward pass of an MLP.
    Mlp {
        /// Width of every layer, input first.
        widths: Vec<usize>,
        /// Spectra per batch.
        batch: usize,
        /// Index of the first spectrum. Each worker of a pool has other spectra.
        #[serde(default)]
        first: usize,
    },
    /// The embedding of LRS spectra.
    Encoder {
        /// Size of the encoder.
        size: Size,
        /// Spectra per batch.
        batch: usize,
        /// Index of the first spectrum.
        #[serde(default)]
        first: usize,
        /// Whether a second worker computes half of the tokens of each spectrum.
        #[serde(default)]
        is_halved: bool,
    },
    /// Training steps.
    Train {
        /// Strategy of the fine-tuning.
        strategy: Strategy,
        /// Width of every layer, input first.
        widths: Vec<usize>,
        /// Spectra per step.
        batch: usize,
        /// Steps per timing.
        steps: usize,
    },
    /// A complete training.
    Finetune {
        /// Strategy of the fine-tuning.
        strategy: Strategy,
        /// Width of every layer, input first.
        widths: Vec<usize>,
        /// Spectra with labels.
        count: usize,
    },
    /// Preprocessing of spectra to the model's input.
    Preprocess {
        /// Number of spectra.
        count: usize,
    },
    /// Searches of an index.
    Search {
        /// Number of entries.
        entries: u32,
        /// Numbers per entry.
        width: u32,
        /// Searches per timing.
        steps: u32,
    },
}

/// A prepared case, which can run repeatedly.
pub(crate) enum Job {
    /// See [`Case::Mlp`].
    Regression(Box<Regression>),
    /// See [`Case::Encoder`].
    Encoding(Box<Encoding>),
    /// See [`Case::Train`].
    Training(Box<Training>),
    /// See [`Case::Finetune`].
    FullTraining(Box<FullTraining>),
    /// See [`Case::Preprocess`].
    Preprocessing(Preprocessing),
    /// See [`Case::Search`].
    Search(Box<Search>),
}

impl Job {
    /// Prepares a case. Also returns its outputs, for the comparison of engines. `half` is the half of a token-parallel
    /// case that this worker computes.
    pub(crate) async fn open(
        case: Case,
        device: &Device,
        half: Option<&TokenHalf>,
    ) -> Result<(Self, Vec<f32>), String> {
        let mut job = match case {
            Case::Mlp { widths, batch, first } => {
                Self::Regression(Box::new(Regression::new(&widths, batch, first, device)?))
            }
            Case::Encoder { size, batch, first, is_halved } => {
                let half = half.filter(|_| is_halved).cloned();
                Self::Encoding(Box::new(Encoding::new(size, batch, first, half, device)?))
            }
            Case::Preprocess { count } => Self::Preprocessing(Preprocessing::new(count)?),
            Case::Search { entries, width, steps } => Self::Search(Box::new(Search::new(entries, width, steps))),
            Case::Train { strategy, widths, batch, steps } => {
                let losses = Training::losses(strategy, &widths, batch, device).await?;
                let training = Training::new(strategy, &widths, batch, steps, device).await?;
                return Ok((Self::Training(Box::new(training)), losses));
            }
            Case::Finetune { strategy, widths, count } => {
                let training = FullTraining::new(strategy, &widths, count, device).await?;
                // A run takes minutes, and no other engine gives an output to compare with.
                return Ok((Self::FullTraining(Box::new(training)), vec![1.0]));
            }
        };
        let outputs = job.run().await?;
        Ok((job, outputs))
    }

    /// Runs the case once.
    pub(crate) async fn run(&mut self) -> Result<Vec<f32>, String> {
        match self {
            Self::Regression(job) => job.run().await,
            Self::Encoding(job) => job.run().await,
            Self::Training(job) => job.run().await.map(|()| Vec::new()),
            Self::FullTraining(job) => job.run().await.map(|()| Vec::new()),
            Self::Preprocessing(job) => job.run(),
            Self::Search(job) => Ok(job.run()),
        }
    }
}
