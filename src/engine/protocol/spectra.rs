//! Messages about reading and prediction of spectra, and about label tables.

use serde::{Deserialize, Serialize};

use crate::read::column_mapping::{ColumnMapping, Preview};
use crate::result::{Estimate, Label, ModelCard, Prediction, SpectrumView, Summary};
use crate::spectrum::{Frame, Medium, Meta, Source, Sourced, Spectrum};

/// Number of a batch of files, chosen by the page.
pub type JobId = u32;

/// Number of a spectrum, chosen by the engine, unique during its life.
pub type SpectrumId = u32;

/// Properties of a spectrum that the user sets. `None` keeps the value of the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Assumptions {
    /// Medium of the file's wavelengths.
    pub medium: Option<Medium>,
    /// Velocity frame of the file's wavelengths.
    pub frame: Option<Frame>,
    /// Resolving power λ/FWHM near 4800 Å.
    pub resolving_power: Option<f64>,
    /// Columns of a text file to read.
    pub columns: Option<ColumnMapping>,
}

impl Assumptions {
    /// The properties that the user set, according to the metadata. The metadata do not record the columns.
    pub fn from_meta(meta: &Meta) -> Self {
        fn set_by_user<T: Copy>(property: Sourced<T>) -> Option<T> {
            (property.source == Source::User).then_some(property.value)
        }
        let resolving_power = meta.resolving_power.and_then(set_by_user);
        Self { medium: set_by_user(meta.medium), frame: set_by_user(meta.frame), resolving_power, columns: None }
    }

    /// The spectrum with these properties; a property that is `None` keeps the value of the file.
    pub fn applied_to(&self, mut spectrum: Spectrum) -> Spectrum {
        if let Some(medium) = self.medium {
            spectrum = spectrum.with_medium(Sourced::new(medium, Source::User));
        }
        if let Some(frame) = self.frame {
            spectrum.meta.frame = Sourced::new(frame, Source::User);
        }
        if let Some(resolving_power) = self.resolving_power.filter(|r| r.is_finite() && *r > 0.0) {
            spectrum.meta.resolving_power = Some(Sourced::new(resolving_power, Source::User));
        }
        spectrum
    }
}

/// Result of joining a label table to the spectra.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelTableReport {
    /// Its file.
    pub name: String,
    /// Number of rows.
    pub rows: u32,
    /// Labels with a column.
    pub labels: Vec<Label>,
    /// Spectra with a row.
    pub matched: u32,
    /// Spectra without a row.
    pub spectra_without_row: u32,
    /// Rows that match no spectrum.
    pub rows_without_spectrum: u32,
    /// Ids of rows that match no spectrum; only the first if there are many.
    pub unmatched_ids: Vec<String>,
    /// Spectra that match several rows, so that no row counts; only the first if there are many.
    pub ambiguous: Vec<String>,
    /// Remark on the ids: digits that were lost, or the column that was used.
    pub note: Option<String>,
}

/// Page → engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SpectraRequest {
    /// Read files and predict. One `File` is attached for each path, in the same order.
    Open {
        /// Number of the job.
        job: JobId,
        /// Path of each file below the dropped folder.
        paths: Vec<String>,
        /// Columns to read, where the user assigned them.
        columns: Option<ColumnMapping>,
    },
    /// Send the first lines of a text file. The one `File` is attached.
    Preview {
        /// Its path.
        path: String,
    },
    /// Stop a job. Its results so far stay.
    Cancel {
        /// Number of the job.
        job: JobId,
    },
    /// Send the curves of a spectrum.
    View {
        /// Spectrum.
        spectrum: SpectrumId,
    },
    /// Read a spectrum under other assumptions and predict again.
    SetAssumptions {
        /// Spectrum.
        spectrum: SpectrumId,
        /// Properties that the user sets.
        assumptions: Assumptions,
    },
    /// Remove all spectra.
    Clear,
}

/// Engine → page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SpectraEvent {
    /// Progress of the download of the model for Gaia XP spectra.
    XpModelLoading {
        /// Bytes received.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The model for Gaia XP spectra is loaded.
    XpModelReady(Box<ModelCard>),
    /// The engine begins to read a file or a part of it. If it stops before the next [`SpectraEvent::Progress`], this file
    /// is the cause.
    Reading {
        /// Job that it belongs to.
        job: JobId,
        /// Its path.
        path: String,
    },
    /// A spectrum was read.
    Added {
        /// Job that it belongs to.
        job: JobId,
        /// Its number from now on.
        spectrum: SpectrumId,
        /// Properties that the table shows.
        summary: Box<Summary>,
    },
    /// A file, or a part of it, was not used.
    Skipped {
        /// Job that it belongs to.
        job: JobId,
        /// File, and the part of it.
        item: String,
        /// Reason and remedy.
        reason: String,
    },
    /// A prediction was made.
    Predicted {
        /// Spectrum.
        spectrum: SpectrumId,
        /// Predicted labels.
        prediction: Box<Prediction>,
    },
    /// A spectrum was read, but no network can predict its labels.
    NotPredicted {
        /// Spectrum.
        spectrum: SpectrumId,
        /// Reason and remedy.
        reason: String,
    },
    /// The curves of a spectrum.
    View {
        /// Spectrum.
        spectrum: SpectrumId,
        /// Its curves.
        view: Box<SpectrumView>,
    },
    /// The curves of a spectrum are not available any more.
    ViewUnavailable {
        /// Spectrum.
        spectrum: SpectrumId,
        /// Reason and remedy.
        reason: String,
    },
    /// After [`SpectraRequest::SetAssumptions`]: the properties changed. A new prediction follows.
    Updated {
        /// Spectrum.
        spectrum: SpectrumId,
        /// Properties that the table shows now.
        summary: Box<Summary>,
    },
    /// The first lines of a text file, or the reason why there are none.
    Preview {
        /// Its path.
        path: String,
        /// Lines to show.
        preview: Result<Box<Preview>, String>,
    },
    /// Labels of spectra in the label tables; an empty list for a spectrum that has lost its labels.
    Labels {
        /// Spectra whose labels changed.
        values: Vec<(SpectrumId, Vec<Estimate>)>,
    },
    /// All label tables, and the results of joining them to the spectra.
    LabelTables {
        /// In the order in which they were opened.
        tables: Vec<LabelTableReport>,
    },
    /// Progress of a job.
    Progress {
        /// Job.
        job: JobId,
        /// Files read.
        files_done: u32,
        /// Files in all.
        files_total: u32,
        /// Spectra predicted or refused.
        spectra_done: u32,
        /// Spectra found so far.
        spectra_total: u32,
    },
    /// After [`SpectraRequest::Clear`]: all earlier events are about removed spectra.
    Cleared,
    /// A job ended.
    Done {
        /// Job.
        job: JobId,
        /// True when the user stopped it.
        cancelled: bool,
    },
}
