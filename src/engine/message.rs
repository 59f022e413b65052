//! The one pair of enums that crosses the worker boundary.
//!
//! A message is posted as `[bytes, attachment …]`: `bytes` is the postcard form of the enum
//! in a transferred buffer, attachments are JavaScript values that cannot be serialised (`File`s). The page never sees a
//! tensor and the engine never sees an element.

use serde::{Deserialize, Serialize};

use super::likes_message::{LikesEvent, LikesRequest};
use super::reading_message::{ReadingEvent, ReadingRequest};
use super::teach_message::{TeachEvent, TeachRequest};
use crate::read::by_hand::{Columns, Preview};
use crate::result::catalogue::{Measured, Modality};
use crate::result::{Estimate, Label, ModelCard, Prediction, SpectrumView, Summary};
use crate::spectrum::{Frame, Known, Medium, Meta, Source, Spectrum};

/// Name of the browser's cache in which the engine keeps weights, and which the page lists and empties.
pub const MODELS_CACHE: &str = "specola-models";

/// True for the name of a file that holds a network. Such files are large, so that they are not looked into before they go
/// to where networks are read.
pub fn is_network_name(path: &str) -> bool {
    let path = path.to_lowercase();
    [".ckpt", ".pt", ".pkl", ".safetensors"].iter().any(|ending| path.ends_with(ending))
}

/// Number of a batch of files, chosen by the page.
pub type JobId = u32;

/// Number of a spectrum, chosen by the engine, unique in its life.
pub type SpectrumId = u32;

/// What the user says about a spectrum, against or beyond what its file says. `None` leaves what the file says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Assumptions {
    /// Medium of the file's wavelengths.
    pub medium: Option<Medium>,
    /// Velocity frame of the file's wavelengths.
    pub frame: Option<Frame>,
    /// Resolving power λ/FWHM near 4800 Å.
    pub resolving_power: Option<f64>,
    /// Which columns of a text to read.
    pub columns: Option<Columns>,
}

impl Assumptions {
    /// What the user said of a spectrum, as its facts tell; its columns are not among them.
    pub fn told_in(meta: &Meta) -> Self {
        fn told<T: Copy>(known: Known<T>) -> Option<T> {
            (known.source == Source::User).then_some(known.value)
        }
        let resolving_power = meta.resolving_power.and_then(told);
        Self { medium: told(meta.medium), frame: told(meta.frame), resolving_power, columns: None }
    }

    /// A spectrum under what the user says; what is `None` here stays as the file has it.
    pub fn applied_to(&self, mut spectrum: Spectrum) -> Spectrum {
        if let Some(medium) = self.medium {
            spectrum = spectrum.with_medium(Known::new(medium, Source::User));
        }
        if let Some(frame) = self.frame {
            spectrum.meta.frame = Known::new(frame, Source::User);
        }
        if let Some(resolving_power) = self.resolving_power.filter(|r| r.is_finite() && *r > 0.0) {
            spectrum.meta.resolving_power = Some(Known::new(resolving_power, Source::User));
        }
        spectrum
    }
}

/// How a table of labels fits the spectra that are there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelTableReport {
    /// Its file.
    pub name: String,
    /// Its rows.
    pub rows: u32,
    /// The labels that it has columns for.
    pub labels: Vec<Label>,
    /// Spectra with a row.
    pub matched: u32,
    /// Spectra without one.
    pub unnamed: u32,
    /// Rows that name no spectrum.
    pub unmatched: u32,
    /// The names of such rows; of many only the first.
    pub unmatched_rows: Vec<String>,
    /// Spectra that several rows name, so that none counts; of many only the first.
    pub ambiguous: Vec<String>,
}

/// A checkpoint that was dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedNetwork {
    /// Its file.
    pub path: String,
    /// What it is, the number of its parameters and that of the published one; or why it cannot be read.
    pub what: Result<(String, u64, u64), String>,
}

/// Published networks that were dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworksReport {
    /// Checkpoints that were dropped without their folder.
    pub networks: Vec<ImportedNetwork>,
    /// True when the published system is there and answers.
    pub is_system: bool,
    /// Else, what it lacks.
    pub not_system: String,
    /// The kinds of spectra whose networks were read.
    pub read: Vec<Modality>,
    /// What is missing or done otherwise.
    pub warnings: Vec<String>,
    /// What is being done that takes long.
    pub busy: Option<String>,
    /// Spectra answered or refused.
    pub done: u32,
    /// Spectra in all.
    pub total: u32,
}

/// Page → engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Read files and predict. One `File` is attached for each path, in the same order.
    Open {
        /// Number of the job.
        job: JobId,
        /// Path of each file below what was dropped.
        paths: Vec<String>,
        /// Which columns to read, where the user says it of these files.
        columns: Option<Columns>,
    },
    /// Send the first lines of a text. The one `File` is attached.
    Preview {
        /// Its path.
        path: String,
    },
    /// Stop a job; what it has found stays.
    Cancel {
        /// Number of the job.
        job: JobId,
    },
    /// Take in published networks: checkpoints, or their whole folder. One `File` is attached for each path.
    Networks {
        /// Path of each file below what was dropped.
        paths: Vec<String>,
    },
    /// Forget the published networks.
    ForgetNetworks,
    /// Send the curves of a spectrum.
    View {
        /// Which.
        spectrum: SpectrumId,
    },
    /// Read a spectrum under other assumptions and predict again.
    Assume {
        /// Which.
        spectrum: SpectrumId,
        /// What the user says.
        assumptions: Assumptions,
    },
    /// Forget every spectrum.
    Clear,
    /// Something about teaching.
    Teaching(TeachRequest),
    /// Something about look-alikes, translation or oddities. Of [`LikesRequest::AddIndex`] the one `File` is attached.
    Likes(LikesRequest),
    /// Something about the reading of one spectrum.
    Reading(ReadingRequest),
    /// To a worker that has nothing else to do: train for the session at the attached port.
    Train,
    /// To the GPU engine: test the device, and tell.
    TestGpu {
        /// What shall go wrong.
        fault: Option<Fault>,
    },
    /// To the GPU engine: run the batches that come through the attached port.
    Assist,
    /// To the CPU engine: send full batches through the attached port.
    TakeHelp,
    /// To the CPU engine: compute everything yourself again, also what was sent away and not answered.
    DropHelp,
}

/// Something that is made to go wrong on a GPU, so that it can be seen how the page takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The numbers that the self-test compares with are wrong.
    SelfTest,
    /// The device is destroyed in the middle of a batch.
    Loss,
}

/// How long a full batch takes through both networks of the default model, ms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BatchTimes {
    /// On the GPU, data there and back.
    pub gpu_ms: f64,
    /// On the CPU.
    pub cpu_ms: f64,
}

/// Where the engine computes by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backend {
    /// For people: "CPU, 1 worker".
    pub name: String,
}

/// Engine → page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The engine's weights are arriving.
    Loading {
        /// What is being fetched.
        what: String,
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The engine can answer.
    Ready {
        /// Where it computes.
        backend: Backend,
        /// What answers.
        model: ModelCard,
    },
    /// The engine cannot start. Files can still be read and plotted.
    Unavailable {
        /// What failed and what to do.
        reason: String,
    },
    /// A spectrum was read.
    Found {
        /// Job it belongs to.
        job: JobId,
        /// Its number from now on.
        spectrum: SpectrumId,
        /// What the table shows.
        summary: Box<Summary>,
    },
    /// A file, or a part of it, was not used.
    Skipped {
        /// Job it belongs to.
        job: JobId,
        /// File, and the part of it.
        what: String,
        /// Why, and the cure.
        why: String,
    },
    /// A network answered.
    Predicted {
        /// Which spectrum.
        spectrum: SpectrumId,
        /// The answer.
        prediction: Box<Prediction>,
    },
    /// A spectrum was read but no network can answer for it.
    Refused {
        /// Which spectrum.
        spectrum: SpectrumId,
        /// Why, and the cure.
        why: String,
    },
    /// The curves of a spectrum.
    View {
        /// Which spectrum.
        spectrum: SpectrumId,
        /// Its curves.
        view: Box<SpectrumView>,
    },
    /// The curves of a spectrum cannot be had any more.
    NoView {
        /// Which spectrum.
        spectrum: SpectrumId,
        /// Why, and the cure.
        why: String,
    },
    /// After [`Request::Assume`]: the facts changed; a new answer follows.
    Changed {
        /// Which spectrum.
        spectrum: SpectrumId,
        /// What the table shows now.
        summary: Box<Summary>,
    },
    /// The first lines of a text, or why there are none.
    Preview {
        /// Its path.
        path: String,
        /// What to show.
        preview: Result<Box<Preview>, String>,
    },
    /// Values of tables of labels for spectra; an empty list where there are none any more.
    Labelled {
        /// Spectra whose values changed.
        values: Vec<(SpectrumId, Vec<Estimate>)>,
    },
    /// Every table of labels, and how it fits the spectra.
    Tables {
        /// In the order in which they were opened.
        tables: Vec<LabelTableReport>,
    },
    /// What became of published networks that were dropped.
    Networks {
        /// All of it.
        report: Box<NetworksReport>,
    },
    /// The published system's answer for a spectrum, or why there is none.
    Measured {
        /// Which spectrum.
        spectrum: SpectrumId,
        /// The values, in the order of the catalogue.
        values: Result<Vec<Measured>, String>,
    },
    /// Something about teaching.
    Teaching(TeachEvent),
    /// Something about look-alikes, translation or oddities.
    Likes(LikesEvent),
    /// Something about the reading of one spectrum.
    Reading(ReadingEvent),
    /// How far a job is.
    Progress {
        /// Which job.
        job: JobId,
        /// Files read.
        files_done: u32,
        /// Files in all.
        files_total: u32,
        /// Spectra answered or refused.
        spectra_done: u32,
        /// Spectra found so far.
        spectra_total: u32,
    },
    /// After [`Request::TestGpu`]: how fast the GPU is, or why it cannot be trusted.
    GpuTested {
        /// The verdict.
        times: Result<BatchTimes, String>,
    },
    /// The helper does not answer any more, and why; the engine computes everything itself again.
    HelpLost {
        /// Why.
        why: String,
    },
    /// After [`Request::Clear`]: what was said of spectra before is of forgotten ones.
    Cleared,
    /// A job ended.
    Done {
        /// Which job.
        job: JobId,
        /// True when the user stopped it.
        cancelled: bool,
    },
}
