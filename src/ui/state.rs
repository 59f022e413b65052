//! The page's state: signals and the methods that change them. Components bind the signals to elements.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use leptos::prelude::*;

use super::autosave::{self, RestoreOffer, UserAssumptions};
use super::columns::ColumnQuestion;
use super::curves::PendingViews;
use super::diagnostics::Reading;
use super::engine_link::EngineLink;
use super::files::{self, NamedFile};
use super::finetune::state::FinetuneState;
use super::gpu::{GpuStatus, Phase};
use super::imported_rows::ImportedRows;
pub use super::row::{PredictionStatus, Row, RowKey};
use super::samp::Samp;
use super::similarity::state::Likes;
use super::table_view::TableView;
use crate::engine::protocol::{
    Assumptions, Backend, JobId, LabelTableReport, Request, SpecClipReport, SpecClipRequest, SpectraRequest,
    is_network_name,
};
use crate::read::column_mapping::ColumnMapping;
use crate::result::specclip::SpecClipValue;
use crate::result::{Estimate, ModelCard, SpectrumView, Summary};
use crate::share::session::Session;

/// A file, or a part of one, that gave no spectrum.
#[derive(Debug, Clone, PartialEq)]
pub struct SkippedItem {
    /// The file, and the part of it.
    pub source: String,
    /// The reason, and what to do.
    pub reason: String,
}

/// The state of the engine.
#[derive(Debug, Clone, PartialEq)]
pub enum EngineStatus {
    /// The browser fetches the engine's program.
    Starting,
    /// The engine fetches its weights.
    Loading {
        /// The file that it fetches.
        name: String,
        /// Bytes fetched so far.
        done: u64,
        /// Bytes in total.
        total: u64,
    },
    /// It predicts.
    Ready(Backend),
    /// It reads and plots spectra, but cannot predict. Holds the reason.
    Unavailable(String),
    /// It stopped and was not restarted. Holds the reason.
    Stopped(String),
}

/// Progress of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files read.
    pub files_done: u32,
    /// Files in total.
    pub files_total: u32,
    /// Spectra predicted or refused.
    pub spectra_done: u32,
    /// Spectra found so far.
    pub spectra_total: u32,
}

/// The curves of a spectrum, or the reason why there are none.
pub type Curves = Result<Arc<SpectrumView>, String>;

/// The page's state. A handle that is cheap to copy.
#[derive(Clone, Copy)]
pub struct State {
    /// State of the engine.
    pub engine: RwSignal<EngineStatus>,
    /// State of the GPU engine.
    pub gpu: RwSignal<GpuStatus>,
    /// Card of the model that predicts.
    pub model: RwSignal<Option<ModelCard>>,
    /// A message for the user, for example about the engine.
    pub notice: RwSignal<Option<String>>,
    /// One row per spectrum, in the order of reading.
    pub rows: RwSignal<Vec<Row>>,
    /// Filter and sort order of the table.
    pub table_view: TableView,
    /// The rows ticked for export.
    pub ticked: RwSignal<BTreeSet<RowKey>>,
    /// The row that was ticked last: the start of a range.
    pub last_ticked: StoredValue<Option<RowKey>>,
    /// Number of `Clear` requests that the engine has not yet confirmed.
    pub pending_clears: StoredValue<u32>,
    /// True when a key has just moved the selection: the newly selected row then takes the focus.
    pub focuses_selection: StoredValue<bool>,
    /// The row that the detail panel shows.
    pub selected: RwSignal<Option<RowKey>>,
    /// The curves received last, or the reason why there are none, with their row.
    pub selected_curves: RwSignal<Option<(RowKey, Curves)>>,
    /// Values from label tables, by row. Not in the rows: most rows have none, and a signal for each of ten thousand
    /// rows takes time.
    pub catalogue_labels: RwSignal<BTreeMap<RowKey, Vec<Estimate>>>,
    /// Values from the published SpecCLIP models, by row, or the reason why there are none.
    pub specclip_values: RwSignal<BTreeMap<RowKey, Result<Vec<SpecClipValue>, String>>>,
    /// Label tables, with the number of matched spectra.
    pub label_tables: RwSignal<Vec<LabelTableReport>>,
    /// State of the SpecCLIP models, if some were opened.
    pub specclip: RwSignal<Option<SpecClipReport>>,
    /// The file whose columns the user is choosing.
    pub column_question: RwSignal<Option<ColumnQuestion>>,
    /// Files, and parts of files, that gave no spectrum.
    pub skipped: RwSignal<Vec<SkippedItem>>,
    /// Running jobs.
    pub jobs: RwSignal<BTreeMap<JobId, Progress>>,
    /// Notified of a prediction that arrives while no job runs: its model had to be downloaded, or the user changed an
    /// assumption.
    pub late_prediction: RwSignal<()>,
    /// True from a drop until the page has listed its files.
    pub is_listing_files: RwSignal<bool>,
    /// Rows from a link or a session file.
    pub imported: ImportedRows,
    /// Tasks that wait for curves.
    pub pending_curves: PendingViews,
    /// State of the fine-tuning panel.
    pub finetune: FinetuneState,
    /// Similar spectra, predictions of the other survey's spectrum, anomaly scores.
    pub similarity: Likes,
    /// Synthetic spectrum and sensitivity of the selected spectrum.
    pub diagnostics: Reading,
    /// Files that an earlier visit or a cleared page left.
    pub restorable: RestoreOffer,
    /// Connection to other programs on this computer.
    pub samp: Samp,
    /// The user's assumptions, by file and id. They apply again when the same spectrum is read again.
    pub user_assumptions: StoredValue<UserAssumptions>,
    rows_by_key: StoredValue<BTreeMap<RowKey, Row>>,
    next_job: StoredValue<JobId>,
    /// The opened files, to read them again after a crash.
    opened_files: StoredValue<Vec<NamedFile>, LocalStorage>,
    engine_link: StoredValue<Option<Rc<EngineLink>>, LocalStorage>,
}

impl State {
    /// The state of a newly opened page. Starts the engine.
    pub fn start() -> Self {
        let state = Self {
            engine: RwSignal::new(EngineStatus::Starting),
            gpu: RwSignal::new((Phase::Untried, String::new())),
            model: RwSignal::new(None),
            notice: RwSignal::new(None),
            rows: RwSignal::new(Vec::new()),
            table_view: TableView::new(),
            ticked: RwSignal::new(BTreeSet::new()),
            last_ticked: StoredValue::new(None),
            pending_clears: StoredValue::new(0),
            focuses_selection: StoredValue::new(false),
            selected: RwSignal::new(None),
            selected_curves: RwSignal::new(None),
            catalogue_labels: RwSignal::new(BTreeMap::new()),
            specclip_values: RwSignal::new(BTreeMap::new()),
            label_tables: RwSignal::new(Vec::new()),
            specclip: RwSignal::new(None),
            column_question: RwSignal::new(None),
            skipped: RwSignal::new(Vec::new()),
            jobs: RwSignal::new(BTreeMap::new()),
            late_prediction: RwSignal::new(()),
            is_listing_files: RwSignal::new(false),
            imported: ImportedRows::new(),
            pending_curves: PendingViews::new(),
            finetune: FinetuneState::new(),
            similarity: Likes::new(),
            diagnostics: Reading::new(),
            restorable: RestoreOffer::new(),
            samp: Samp::new(),
            user_assumptions: StoredValue::new(UserAssumptions::new()),
            rows_by_key: StoredValue::new(BTreeMap::new()),
            next_job: StoredValue::new(0),
            opened_files: StoredValue::new_local(Vec::new()),
            engine_link: StoredValue::new_local(None),
        };
        state.engine_link.set_value(Some(EngineLink::start(state)));
        state
    }

    /// Opens files: the engine reads their spectra and predicts.
    pub fn open(&self, files: Vec<NamedFile>) {
        self.is_listing_files.set(false);
        self.restorable.discard_cleared();
        if files.is_empty() {
            self.skip("The drop", "it contains no files; drop spectra, or a folder with spectra".into());
            return;
        }
        let has_networks = files.iter().any(|file| is_network_name(&file.path));
        let is_of_networks =
            |file: &NamedFile| has_networks && (is_network_name(&file.path) || file.may_be_network_config());
        let (networks, files) = files.into_iter().partition::<Vec<_>, _>(is_of_networks);
        if has_networks {
            // Not stored for the next visit: the published folder has gigabytes.
            let (paths, networks) = networks.into_iter().map(|f| (f.path, f.file)).unzip();
            self.specclip.update(|report| *report = Some(report.take().unwrap_or_default()));
            self.send(Request::SpecClip(SpecClipRequest::Add { paths }), networks);
        }
        if files.is_empty() {
            return;
        }
        self.opened_files.update_value(|opened| opened.extend(files.iter().cloned()));
        self.autosave();
        let (sessions, files) = files.into_iter().partition::<Vec<_>, _>(NamedFile::may_be_session);
        self.open_sessions(sessions);
        if files.is_empty() {
            return;
        }
        let columns_of =
            |file: &NamedFile| self.user_assumptions.with_value(|all| all.get(&file_key(&file.path))?.columns);
        let (chosen, files) = files.into_iter().partition::<Vec<_>, _>(|file| columns_of(file).is_some());
        for file in chosen {
            let columns = columns_of(&file);
            self.read(vec![file], columns);
        }
        if !files.is_empty() {
            self.read(files, None);
        }
    }

    /// Sends files to the engine as one job.
    pub(super) fn read(&self, files: Vec<NamedFile>, columns: Option<ColumnMapping>) {
        let job = self.next_job.get_value();
        self.next_job.set_value(job + 1);
        let files_total = u32::try_from(files.len()).unwrap_or(u32::MAX);
        self.jobs.update(|jobs| {
            jobs.insert(job, Progress { files_total, ..Progress::default() });
        });
        let (paths, files) = files.into_iter().map(|f| (f.path, f.file)).unzip();
        self.send(Request::Spectra(SpectraRequest::Open { job, paths, columns }), files);
    }

    /// The opened file with this path.
    pub(super) fn file(&self, path: &str) -> Option<NamedFile> {
        self.opened_files.with_value(|opened| opened.iter().rev().find(|file| file.path == path).cloned())
    }

    /// Adds an item to the list of skipped files.
    pub fn skip(&self, source: impl Into<String>, reason: String) {
        self.is_listing_files.set(false);
        self.skipped.update(|list| list.push(SkippedItem { source: source.into(), reason }));
    }

    /// Stops every running job. Spectra that were read stay.
    pub fn cancel(&self) {
        for job in self.jobs.with_untracked(|jobs| jobs.keys().copied().collect::<Vec<_>>()) {
            self.send(Request::Spectra(SpectraRequest::Cancel { job }), Vec::new());
        }
    }

    /// Removes every spectrum, and offers to open the files again.
    pub fn clear(&self) {
        self.cancel();
        if self.engine_link.get_value().is_some() {
            self.pending_clears.update_value(|n| *n += 1);
        }
        self.send(Request::Spectra(SpectraRequest::Clear), Vec::new());
        let mut files = Vec::new();
        self.opened_files.update_value(|opened| files = std::mem::take(opened));
        let mut assumptions = UserAssumptions::new();
        self.user_assumptions.update_value(|stored| assumptions = std::mem::take(stored));
        self.restorable.offer_cleared(files, assumptions);
        self.autosave();
        self.clear_table();
        self.finetune.clear();
        self.similarity.clear();
        self.notice.set(None);
    }

    /// Starts the training workers, unless they run.
    pub(super) fn ensure_trainers(&self) {
        if let Some(link) = self.engine_link.get_value() {
            link.ensure_trainers();
        }
    }

    /// Selects a row and requests its curves.
    pub fn select(&self, key: RowKey) {
        if self.selected.get_untracked() == Some(key) {
            return;
        }
        self.selected.set(Some(key));
        self.load_curves(key);
        self.request_diagnostics(key);
    }

    /// Moves the selection down by `step` rows, or up if `step` is negative.
    pub fn select_by(&self, step: isize) {
        let rows = self.table_view.shown.get_untracked();
        let current = self.selected.get_untracked().and_then(|key| rows.iter().position(|row| row.key == key));
        let last = rows.len().saturating_sub(1);
        let next = current.map_or(0, |i| i.saturating_add_signed(step).min(last));
        // At either end of the table the selection stays, and no row takes the focus.
        self.focuses_selection.update_value(|is_set| *is_set &= current != Some(next));
        if let Some(row) = rows.get(next) {
            self.select(row.key);
        }
    }

    /// The selected row.
    pub fn selected_row(&self) -> Option<Row> {
        let key = self.selected.get()?;
        self.row(key)
    }

    /// Changes the assumptions about a spectrum: the engine preprocesses and predicts it again.
    pub fn set_assumptions(&self, row: Row, assumptions: Assumptions) {
        row.assumptions.set(assumptions);
        row.status.set(PredictionStatus::Pending);
        let summary = row.summary.get_untracked();
        let name = (summary.file.clone(), summary.meta.id.clone());
        self.user_assumptions.update_value(|all| {
            all.insert(name, assumptions);
        });
        self.autosave();
        self.send(Request::Spectra(SpectraRequest::SetAssumptions { spectrum: row.key.id, assumptions }), Vec::new());
    }

    pub(super) fn autosave(&self) {
        let adapter = self
            .finetune
            .active_adapter
            .with_untracked(|used| used.as_ref().map(|used| (used.sha256.clone(), used.file.to_vec())));
        autosave::save(self.opened_files.get_value(), self.user_assumptions.get_value(), adapter);
    }

    /// True when there are files to store for the next visit.
    pub(super) fn has_files(&self) -> bool {
        self.opened_files.with_value(|opened| !opened.is_empty())
    }

    /// True while the engine that read this spectrum runs.
    pub fn is_current(&self, key: RowKey) -> bool {
        key.generation == self.generation()
    }

    /// Starts a new engine after the last one has stopped.
    pub fn restart(&self) {
        self.notice.set(None);
        if let Some(link) = self.engine_link.get_value() {
            link.restart();
        }
    }

    /// Reads every opened file again.
    pub fn reopen(&self) {
        let files = self.opened_files.get_value();
        self.opened_files.update_value(Vec::clear);
        self.clear_table();
        if self.engine.with_untracked(|e| matches!(e, EngineStatus::Stopped(_))) {
            self.restart();
        }
        self.notice.set(None);
        self.open(files);
    }

    /// Updates the state after a crash of the engine: running jobs are lost, predictions stay.
    pub fn handle_engine_loss(&self) {
        self.jobs.update(BTreeMap::clear);
        self.pending_curves.clear_pending();
        // The crashed engine held the SpecCLIP models.
        self.specclip.set(None);
        self.similarity.forget();
        self.reset_diagnostics();
        for row in self.rows.read_untracked().iter() {
            if row.status.with_untracked(|a| *a == PredictionStatus::Pending) {
                row.status.set(PredictionStatus::Lost);
            }
        }
    }

    /// Opens session files. A file that is none is listed as skipped.
    fn open_sessions(&self, files: Vec<NamedFile>) {
        let state = *self;
        for named in files {
            leptos::task::spawn_local(async move {
                let opened = match files::bytes_of(&named.file).await {
                    Ok(bytes) => Session::open(bytes).map_err(|e| e.to_string()),
                    Err(error) => Err(error),
                };
                match opened {
                    Ok(session) => state.show_session(session),
                    Err(error) => state.skip(named.path, error),
                }
            });
        }
    }

    /// Adds a row.
    pub fn add_row(&self, key: RowKey, summary: Summary, status: PredictionStatus) {
        let row = Row {
            key,
            summary: RwSignal::new(Arc::new(summary)),
            status: RwSignal::new(status),
            assumptions: RwSignal::new(Assumptions::default()),
        };
        self.rows_by_key.update_value(|index| {
            index.insert(key, row);
        });
        self.rows.update(|rows| rows.push(row));
        self.schedule_view_update();
        if self.selected.get_untracked().is_none() {
            self.select(key);
        }
        if self.is_current(key) {
            self.reapply_assumptions(row);
        }
    }

    /// Applies the assumptions that the user had made about this spectrum before it was read again.
    fn reapply_assumptions(&self, row: Row) {
        let (of_file, of_spectrum) = self.user_assumptions.with_value(|all| {
            if all.is_empty() {
                return (None, None);
            }
            let summary = row.summary.get_untracked();
            let of_file = all.get(&file_key(&summary.file)).copied();
            (of_file, all.get(&(summary.file.clone(), summary.meta.id.clone())).copied())
        });
        if let Some(assumptions) = of_file {
            // The engine received them with the file.
            row.assumptions.set(assumptions);
        }
        if let Some(assumptions) = of_spectrum {
            self.set_assumptions(row, assumptions);
        }
    }

    /// The row with this key.
    pub(super) fn row(&self, key: RowKey) -> Option<Row> {
        self.rows_by_key.with_value(|index| index.get(&key).copied())
    }

    /// Shows the curves of an imported row, or requests them from the engine.
    pub(super) fn load_curves(&self, key: RowKey) {
        if let Some(curves) = self.imported.curves(key) {
            self.selected_curves.set(Some((key, curves.get())));
        } else if self.is_current(key) {
            self.request_curves(key);
        }
    }

    /// Requests curves from the engine.
    pub(super) fn request_curves(&self, key: RowKey) {
        self.send(Request::Spectra(SpectraRequest::View { spectrum: key.id }), Vec::new());
    }

    fn clear_table(&self) {
        self.jobs.update(BTreeMap::clear);
        self.selected.set(None);
        self.selected_curves.set(None);
        self.imported.clear();
        self.pending_curves.clear_pending();
        self.label_tables.update(Vec::clear);
        self.catalogue_labels.update(BTreeMap::clear);
        self.specclip_values.update(BTreeMap::clear);
        self.skipped.update(Vec::clear);
        let rows = self.rows.get_untracked();
        self.rows.update(Vec::clear);
        self.ticked.update(BTreeSet::clear);
        self.update_view();
        self.rows_by_key.update_value(BTreeMap::clear);
        for row in rows {
            row.summary.dispose();
            row.status.dispose();
            row.assumptions.dispose();
        }
    }

    fn generation(&self) -> u32 {
        self.engine_link.with_value(|link| link.as_ref().map_or(0, |l| l.generation()))
    }

    pub(super) fn send(&self, request: Request, files: Vec<web_sys::File>) {
        if let Some(link) = self.engine_link.get_value() {
            link.send(&request, &files.into_iter().map(Into::into).collect::<Vec<_>>());
        }
    }
}

/// The key of assumptions about a whole file.
pub(super) fn file_key(path: &str) -> (String, String) {
    (path.to_owned(), String::new())
}
