//! What is measured, as `../cases.js` describes it.

use burn::tensor::Device;
use serde::Deserialize;
use specola::model::encoders::Size;
use specola::nn::half::Half;
use specola::result::teach::Strategy;

use crate::forward::{Encoding, Regression};
use crate::lesson::{Course, Training};
use crate::other::{Preprocessing, Search};

/// A case, without its name: engines do not know what they are measured for.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Case {
    /// The forward pass of an MLP.
    Mlp {
        /// Width of every layer, input first.
        widths: Vec<usize>,
        /// Spectra at once.
        batch: usize,
        /// Where among all spectra these begin: of a pool, every worker has its own.
        #[serde(default)]
        first: usize,
    },
    /// The embedding of LRS spectra.
    Encoder {
        /// Which encoder.
        size: Size,
        /// Spectra at once.
        batch: usize,
        /// As above.
        #[serde(default)]
        first: usize,
        /// Whether a partner computes the other half of every spectrum's tokens.
        #[serde(default)]
        is_halved: bool,
    },
    /// Steps of a training.
    Train {
        /// What is trained.
        strategy: Strategy,
        /// As above.
        widths: Vec<usize>,
        /// Spectra a step.
        batch: usize,
        /// Steps a timing.
        steps: usize,
    },
    /// A whole training.
    Finetune {
        /// What is trained.
        strategy: Strategy,
        /// As above.
        widths: Vec<usize>,
        /// Spectra with labels.
        count: usize,
    },
    /// Spectra brought to the model's input.
    Preprocess {
        /// How many.
        count: usize,
    },
    /// Searches of an index.
    Search {
        /// Its size.
        entries: u32,
        /// Numbers an entry.
        width: u32,
        /// Searches a timing.
        steps: u32,
    },
}

/// A case that is ready to run, as often as wanted.
pub enum Job {
    /// See [`Case::Mlp`].
    Regression(Box<Regression>),
    /// See [`Case::Encoder`].
    Encoding(Box<Encoding>),
    /// See [`Case::Train`].
    Training(Box<Training>),
    /// See [`Case::Finetune`].
    Course(Box<Course>),
    /// See [`Case::Preprocess`].
    Preprocessing(Preprocessing),
    /// See [`Case::Search`].
    Search(Box<Search>),
}

impl Job {
    /// Makes everything ready, and gives the outputs by which engines are compared. `half`: which of a case that two share
    /// is computed here.
    pub async fn open(case: Case, device: &Device, half: Option<&Half>) -> Result<(Self, Vec<f32>), String> {
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
                let course = Course::new(strategy, &widths, count, device).await?;
                // Minutes of work: not only to be compared with nobody's.
                return Ok((Self::Course(Box::new(course)), vec![1.0]));
            }
        };
        let outputs = job.run().await?;
        Ok((job, outputs))
    }

    /// Runs it once.
    pub async fn run(&mut self) -> Result<Vec<f32>, String> {
        match self {
            Self::Regression(job) => job.run().await,
            Self::Encoding(job) => job.run().await,
            Self::Training(job) => job.run().await.map(|()| Vec::new()),
            Self::Course(job) => job.run().await.map(|()| Vec::new()),
            Self::Preprocessing(job) => job.run(),
            Self::Search(job) => Ok(job.run()),
        }
    }
}
