//! What page and engine say to each other about teaching.

use serde::{Deserialize, Serialize};

use super::SpectrumId;
use crate::result::teach::{
    AdapterCard, BakeOff, CurvePoint, Cut, Distance, Epoch, Landscape, Remark, Settings, Strategy, Task,
};
use crate::result::{Label, ModelCard};

/// What shall be learned, and how it is found out what it is worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TeachOrder {
    /// Name of the model that is taught; none for that which answers as shipped.
    pub base: Option<String>,
    /// Column of the label tables: a label of ours by its canonical name, or any other.
    pub target: String,
    /// Column whose values keep spectra together on one side of every split.
    pub groups: Option<String>,
    /// Strategies to compare.
    pub strategies: Vec<Strategy>,
    /// How they learn.
    pub settings: Settings,
    /// Folds of the cross-validation.
    pub folds: u32,
    /// Seeds, one cross-validation each.
    pub seeds: Vec<u64>,
    /// Where the user parts the stars that are judged.
    pub cut: Option<Cut>,
    /// True for a learning curve: the same with 10, 25, 50 … labels.
    pub is_curve: bool,
}

impl TeachOrder {
    /// True when spectra are held against the emulator: for the closed form, on labels that the emulator knows.
    pub fn is_refined(&self) -> bool {
        self.settings.closed_form && Label::from_name(&self.target).is_some()
    }
}

/// Page → engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum TeachRequest {
    /// Send trainings to the trainer at the attached port.
    TakeTrainer {
        /// Its number, counted from 0.
        trainer: u32,
    },
    /// A trainer is gone.
    TrainerLost {
        /// Which.
        trainer: u32,
    },
    /// Compare strategies.
    Compare(Box<TeachOrder>),
    /// Learn from all labels of the last comparison, and answer with what was learned from then on.
    Adopt {
        /// How.
        strategy: Strategy,
    },
    /// Learn from all labels as for [`TeachRequest::Adopt`], and look at the loss around what was learned.
    Survey {
        /// How.
        strategy: Strategy,
    },
    /// Rest, or go on.
    Pause(bool),
    /// Stop; what was learned so far stays.
    Stop,
    /// Answer with the adapter in the attached file from now on.
    Load {
        /// The hash that the file must have, where it is known: SHA-256, lower-case hexadecimal.
        sha256: Option<String>,
    },
    /// Answer with the shipped model again.
    Forget,
    /// How far are samples of ([Fe/H], [α/Fe]) from a reference?
    Distances {
        /// The samples.
        samples: Vec<Vec<[f64; 2]>>,
        /// The reference.
        reference: Vec<[f64; 2]>,
    },
}

/// A column of the label tables that could be learned or that could tell groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeachColumn {
    /// Its name.
    pub name: String,
    /// Spectra with a number in it.
    pub numbers: u32,
    /// Spectra with anything in it.
    pub filled: u32,
    /// Different values among those.
    pub distinct: u32,
}

/// Engine → page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum TeachEvent {
    /// The models that can be taught, that which answers as shipped first.
    Bases(Vec<ModelCard>),
    /// A model that is to be taught, or an adapter's, is on its way.
    Fetching {
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The columns of the label tables, as far as they fit the spectra.
    Columns(Vec<TeachColumn>),
    /// The labelled spectra are being prepared.
    Preparing {
        /// So many are.
        done: u32,
        /// Of so many.
        total: u32,
    },
    /// Nothing can be learned from these labels, and why.
    Refused(Vec<Remark>),
    /// The trainings begin.
    Begun {
        /// What to know about the labels.
        remarks: Vec<Remark>,
        /// The spectrum of each row that is learned from.
        spectra: Vec<SpectrumId>,
        /// Number of trainings.
        trainings: u32,
    },
    /// A pass of a training ended.
    Epoch {
        /// Which training.
        task: Task,
        /// Its losses.
        epoch: Epoch,
    },
    /// A training ended.
    Trained {
        /// Which.
        task: Task,
        /// Trainings that ended.
        done: u32,
        /// Trainings in all.
        total: u32,
    },
    /// How the strategies compare so far.
    Compared(Box<BakeOff>),
    /// The learning curve so far.
    Curve(Vec<CurvePoint>),
    /// All trainings ended, or were stopped.
    Ended {
        /// True when the user stopped them.
        cancelled: bool,
    },
    /// So much of a landscape is known.
    Surveying {
        /// Points.
        done: u32,
        /// Points in all.
        total: u32,
    },
    /// The loss around what was learned.
    Landscape(Box<Landscape>),
    /// From now on an adapter answers.
    InUse {
        /// What it says about itself.
        card: Box<AdapterCard>,
        /// Its file.
        file: Vec<u8>,
        /// SHA-256 of that, lower-case hexadecimal.
        sha256: String,
    },
    /// The shipped model answers again.
    NotInUse,
    /// After [`TeachRequest::Distances`]: one a sample, `None` for one of fewer than two stars.
    Distances(Vec<Option<Distance>>),
    /// Something cannot be done, and why.
    Failed(String),
}
