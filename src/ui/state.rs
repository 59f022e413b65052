//! What the page knows: signals, and the methods that change them. Components only wire these to elements.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use leptos::prelude::*;

use super::arrange::Arrangement;
use super::autosave::{self, Remembered, Saved};
use super::columns::Question;
use super::curves::Awaited;
use super::engine_link::EngineLink;
use super::files::{self, NamedFile};
use super::gpu::{GpuStatus, Phase};
use super::kept::Kept;
use super::likes::state::Likes;
use super::reading::Reading;
pub use super::row::{Answer, Row, RowKey};
use super::samp::Samp;
use super::teach::state::Teach;
use crate::engine::{Assumptions, Backend, JobId, LabelTableReport, NetworksReport, Request, is_network_name};
use crate::read::by_hand::Columns;
use crate::result::catalogue::Measured;
use crate::result::{Estimate, ModelCard, SpectrumView, Summary};
use crate::share::session::Session;

/// What was not used, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Skipped {
    /// File, and the part of it.
    pub what: String,
    /// Reason and cure.
    pub why: String,
}

/// Whether and where the page computes.
#[derive(Debug, Clone, PartialEq)]
pub enum EngineStatus {
    /// The engine's program is on its way.
    Starting,
    /// Its weights are.
    Loading {
        /// What is being fetched.
        what: String,
        /// Bytes so far and in all.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// It answers.
    Ready(Backend),
    /// It reads and plots but cannot predict.
    Unavailable(String),
    /// It stopped and was not started again.
    Stopped(String),
}

/// How far a job is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files read.
    pub files_done: u32,
    /// Files in all.
    pub files_total: u32,
    /// Spectra answered or refused.
    pub spectra_done: u32,
    /// Spectra found so far.
    pub spectra_total: u32,
}

/// The curves of a spectrum, or why there are none.
pub type Curves = Result<Arc<SpectrumView>, String>;

/// The page's state; a handle, copied freely.
#[derive(Clone, Copy)]
pub struct State {
    /// Where the page computes.
    pub engine: RwSignal<EngineStatus>,
    /// How far the page is with the GPU.
    pub gpu: RwSignal<GpuStatus>,
    /// The model that answers.
    pub model: RwSignal<Option<ModelCard>>,
    /// What happened to the engine, if the user should know.
    pub notice: RwSignal<Option<String>>,
    /// One entry a spectrum, in the order they were found.
    pub rows: RwSignal<Vec<Row>>,
    /// Which of them the table shows, and in which order.
    pub arrangement: Arrangement,
    /// The rows ticked for export.
    pub ticked: RwSignal<BTreeSet<RowKey>>,
    /// The row ticked last, from which a range goes.
    pub last_ticked: StoredValue<Option<RowKey>>,
    /// How often the engine was told to forget all spectra, and has not said yet that it did.
    pub clearing: StoredValue<u32>,
    /// True when a key has just moved the selection: the row that is then selected takes the focus.
    pub grabs_focus: StoredValue<bool>,
    /// The row whose detail is shown.
    pub selected: RwSignal<Option<RowKey>>,
    /// The curves last received, or why there are none, and whose they are.
    pub view: RwSignal<Option<(RowKey, Curves)>>,
    /// What tables of labels say, for rows that they name. Not in the rows: most have none, and a signal for each of ten
    /// thousand takes time.
    pub catalogue: RwSignal<BTreeMap<RowKey, Vec<Estimate>>>,
    /// What the published system says of a row, if it was dropped, or why it says nothing.
    pub measured: RwSignal<BTreeMap<RowKey, Result<Vec<Measured>, String>>>,
    /// Tables of labels, and how they fit.
    pub tables: RwSignal<Vec<LabelTableReport>>,
    /// Published networks that were dropped.
    pub networks: RwSignal<Option<NetworksReport>>,
    /// The file whose columns are asked about.
    pub columns: RwSignal<Option<Question>>,
    /// What was not used.
    pub skipped: RwSignal<Vec<Skipped>>,
    /// Jobs that run.
    pub jobs: RwSignal<BTreeMap<JobId, Progress>>,
    /// Tells that an answer came while no job runs: it waited for a model of its own, or the user said something.
    pub late_answer: RwSignal<()>,
    /// True between a drop and the moment when its files are known.
    pub gathering: RwSignal<bool>,
    /// Rows that came with a link or a session file.
    pub kept: Kept,
    /// Who waits for curves.
    pub awaited: Awaited,
    /// What is taught.
    pub teach: Teach,
    /// Look-alikes, translation, oddities.
    pub likes: Likes,
    /// What helps to read the selected spectrum.
    pub reading: Reading,
    /// What an earlier visit left.
    pub saved: Saved,
    /// Other programs on this computer.
    pub samp: Samp,
    /// What the user said, by file and id: it holds when the same spectrum is read again.
    pub remembered: StoredValue<Remembered>,
    index: StoredValue<BTreeMap<RowKey, Row>>,
    next_job: StoredValue<JobId>,
    /// What was opened, to read it again after a crash.
    opened: StoredValue<Vec<NamedFile>, LocalStorage>,
    link: StoredValue<Option<Rc<EngineLink>>, LocalStorage>,
}

impl State {
    /// The state of a page just opened, with the engine starting.
    pub fn start() -> Self {
        let state = Self {
            engine: RwSignal::new(EngineStatus::Starting),
            gpu: RwSignal::new((Phase::Untried, String::new())),
            model: RwSignal::new(None),
            notice: RwSignal::new(None),
            rows: RwSignal::new(Vec::new()),
            arrangement: Arrangement::new(),
            ticked: RwSignal::new(BTreeSet::new()),
            last_ticked: StoredValue::new(None),
            clearing: StoredValue::new(0),
            grabs_focus: StoredValue::new(false),
            selected: RwSignal::new(None),
            view: RwSignal::new(None),
            catalogue: RwSignal::new(BTreeMap::new()),
            measured: RwSignal::new(BTreeMap::new()),
            tables: RwSignal::new(Vec::new()),
            networks: RwSignal::new(None),
            columns: RwSignal::new(None),
            skipped: RwSignal::new(Vec::new()),
            jobs: RwSignal::new(BTreeMap::new()),
            late_answer: RwSignal::new(()),
            gathering: RwSignal::new(false),
            kept: Kept::new(),
            awaited: Awaited::new(),
            teach: Teach::new(),
            likes: Likes::new(),
            reading: Reading::new(),
            saved: Saved::new(),
            samp: Samp::new(),
            remembered: StoredValue::new(Remembered::new()),
            index: StoredValue::new(BTreeMap::new()),
            next_job: StoredValue::new(0),
            opened: StoredValue::new_local(Vec::new()),
            link: StoredValue::new_local(None),
        };
        state.link.set_value(Some(EngineLink::start(state)));
        state
    }

    /// Opens files: reads and predicts them.
    pub fn open(&self, files: Vec<NamedFile>) {
        self.gathering.set(false);
        self.saved.let_cleared_go();
        if files.is_empty() {
            self.skip("What was dropped", "it holds no files; drop spectra, or a folder that holds some".into());
            return;
        }
        let has_networks = files.iter().any(|file| is_network_name(&file.path));
        let is_of_networks =
            |file: &NamedFile| has_networks && (is_network_name(&file.path) || file.may_go_with_networks());
        let (networks, files) = files.into_iter().partition::<Vec<_>, _>(is_of_networks);
        if has_networks {
            // Not kept for the next visit: the published folder has gigabytes.
            let (paths, networks) = networks.into_iter().map(|f| (f.path, f.file)).unzip();
            self.networks.update(|known| *known = Some(known.take().unwrap_or_default()));
            self.send(Request::Networks { paths }, networks);
        }
        if files.is_empty() {
            return;
        }
        self.opened.update_value(|opened| opened.extend(files.iter().cloned()));
        self.autosave();
        let (sessions, files) = files.into_iter().partition::<Vec<_>, _>(NamedFile::may_be_session);
        self.open_sessions(sessions);
        if files.is_empty() {
            return;
        }
        let said = |file: &NamedFile| self.remembered.with_value(|known| known.get(&of_file(&file.path))?.columns);
        let (chosen, files) = files.into_iter().partition::<Vec<_>, _>(|file| said(file).is_some());
        for file in chosen {
            let columns = said(&file);
            self.read(vec![file], columns);
        }
        if !files.is_empty() {
            self.read(files, None);
        }
    }

    /// Sends files to the engine.
    pub(super) fn read(&self, files: Vec<NamedFile>, columns: Option<Columns>) {
        let job = self.next_job.get_value();
        self.next_job.set_value(job + 1);
        let files_total = u32::try_from(files.len()).unwrap_or(u32::MAX);
        self.jobs.update(|jobs| {
            jobs.insert(job, Progress { files_total, ..Progress::default() });
        });
        let (paths, files) = files.into_iter().map(|f| (f.path, f.file)).unzip();
        self.send(Request::Open { job, paths, columns }, files);
    }

    /// A file that was opened.
    pub(super) fn file(&self, path: &str) -> Option<NamedFile> {
        self.opened.with_value(|opened| opened.iter().rev().find(|file| file.path == path).cloned())
    }

    /// Adds a line to what was not used.
    pub fn skip(&self, what: impl Into<String>, why: String) {
        self.gathering.set(false);
        self.skipped.update(|list| list.push(Skipped { what: what.into(), why }));
    }

    /// Stops every running job; what was found stays.
    pub fn cancel(&self) {
        for job in self.jobs.with_untracked(|jobs| jobs.keys().copied().collect::<Vec<_>>()) {
            self.send(Request::Cancel { job }, Vec::new());
        }
    }

    /// Forgets every spectrum, and offers to bring the files back.
    pub fn clear(&self) {
        self.cancel();
        if self.link.get_value().is_some() {
            self.clearing.update_value(|n| *n += 1);
        }
        self.send(Request::Clear, Vec::new());
        let mut files = Vec::new();
        self.opened.update_value(|opened| files = std::mem::take(opened));
        let mut said = Remembered::new();
        self.remembered.update_value(|remembered| said = std::mem::take(remembered));
        self.saved.offer_cleared(files, said);
        self.autosave();
        self.clear_table();
        self.teach.clear();
        self.likes.clear();
        self.notice.set(None);
    }

    /// Starts the workers that train, if there are none.
    pub(super) fn ensure_trainers(&self) {
        if let Some(link) = self.link.get_value() {
            link.ensure_trainers();
        }
    }

    /// Selects a row and asks for its curves.
    pub fn select(&self, key: RowKey) {
        if self.selected.get_untracked() == Some(key) {
            return;
        }
        self.selected.set(Some(key));
        self.ask_for_view(key);
        self.ask_reading(key);
    }

    /// Selects the row `step` below (above, if negative) the selected one.
    pub fn select_by(&self, step: isize) {
        let rows = self.arrangement.shown.get_untracked();
        let now = self.selected.get_untracked().and_then(|key| rows.iter().position(|row| row.key == key));
        let last = rows.len().saturating_sub(1);
        let next = now.map_or(0, |i| i.saturating_add_signed(step).min(last));
        // At either end nothing is selected anew, and nothing takes the focus.
        self.grabs_focus.update_value(|grabs| *grabs &= now != Some(next));
        if let Some(row) = rows.get(next) {
            self.select(row.key);
        }
    }

    /// The selected row.
    pub fn selected_row(&self) -> Option<Row> {
        let key = self.selected.get()?;
        self.row(key)
    }

    /// Reads a spectrum under other assumptions and predicts again.
    pub fn assume(&self, row: Row, assumptions: Assumptions) {
        row.assumptions.set(assumptions);
        row.answer.set(Answer::Waiting);
        let summary = row.summary.get_untracked();
        let name = (summary.file.clone(), summary.meta.id.clone());
        self.remembered.update_value(|known| {
            known.insert(name, assumptions);
        });
        self.autosave();
        self.send(Request::Assume { spectrum: row.key.id, assumptions }, Vec::new());
    }

    pub(super) fn autosave(&self) {
        let adapter = self
            .teach
            .in_use
            .with_untracked(|used| used.as_ref().map(|used| (used.sha256.clone(), used.file.to_vec())));
        autosave::save(self.opened.get_value(), self.remembered.get_value(), adapter);
    }

    /// True when there are files to be kept for the next visit.
    pub(super) fn has_files(&self) -> bool {
        self.opened.with_value(|opened| !opened.is_empty())
    }

    /// True when the engine that read this spectrum still runs.
    pub fn is_current(&self, key: RowKey) -> bool {
        key.epoch == self.epoch()
    }

    /// Starts a new engine after the last one stopped.
    pub fn restart(&self) {
        self.notice.set(None);
        if let Some(link) = self.link.get_value() {
            link.restart();
        }
    }

    /// Reads again everything that was opened.
    pub fn reopen(&self) {
        let files = self.opened.get_value();
        self.opened.update_value(Vec::clear);
        self.clear_table();
        if self.engine.with_untracked(|e| matches!(e, EngineStatus::Stopped(_))) {
            self.restart();
        }
        self.notice.set(None);
        self.open(files);
    }

    /// The engine died: what it was doing is lost, what it answered stays.
    pub fn lose_engine(&self) {
        self.jobs.update(BTreeMap::clear);
        self.awaited.give_up();
        // They went with the engine that had read them.
        self.networks.set(None);
        self.likes.forget();
        self.lose_reading();
        for row in self.rows.read_untracked().iter() {
            if row.answer.with_untracked(|a| *a == Answer::Waiting) {
                row.answer.set(Answer::Lost);
            }
        }
    }

    /// Opens what may be session files; those that are none go the way of other files.
    fn open_sessions(&self, files: Vec<NamedFile>) {
        let state = *self;
        for named in files {
            leptos::task::spawn_local(async move {
                let opened = match files::bytes_of(&named.file).await {
                    Ok(bytes) => Session::open(bytes).map_err(|e| e.to_string()),
                    Err(why) => Err(why),
                };
                match opened {
                    Ok(session) => state.show_session(session),
                    Err(why) => state.skip(named.path, why),
                }
            });
        }
    }

    /// Adds a row.
    pub fn add_row(&self, key: RowKey, summary: Summary, answer: Answer) {
        let row = Row {
            key,
            summary: RwSignal::new(Arc::new(summary)),
            answer: RwSignal::new(answer),
            assumptions: RwSignal::new(Assumptions::default()),
        };
        self.index.update_value(|index| {
            index.insert(key, row);
        });
        self.rows.update(|rows| rows.push(row));
        self.rearrange_soon();
        if self.selected.get_untracked().is_none() {
            self.select(key);
        }
        if self.is_current(key) {
            self.assume_again(row);
        }
    }

    /// What the user said of a spectrum before it was read anew.
    fn assume_again(&self, row: Row) {
        let (of_file, said) = self.remembered.with_value(|known| {
            if known.is_empty() {
                return (None, None);
            }
            let summary = row.summary.get_untracked();
            let of_file = known.get(&of_file(&summary.file)).copied();
            (of_file, known.get(&(summary.file.clone(), summary.meta.id.clone())).copied())
        });
        if let Some(said) = of_file {
            // The engine was told with the file.
            row.assumptions.set(said);
        }
        if let Some(said) = said {
            self.assume(row, said);
        }
    }

    /// The row in a place.
    pub(super) fn row(&self, key: RowKey) -> Option<Row> {
        self.index.with_value(|index| index.get(&key).copied())
    }

    /// Shows the curves of a row that came with them, or asks the engine for them.
    pub(super) fn ask_for_view(&self, key: RowKey) {
        if let Some(kept) = self.kept.curves(key) {
            self.view.set(Some((key, kept.get())));
        } else if self.is_current(key) {
            self.request_view(key);
        }
    }

    /// Asks the engine for curves.
    pub(super) fn request_view(&self, key: RowKey) {
        self.send(Request::View { spectrum: key.id }, Vec::new());
    }

    fn clear_table(&self) {
        self.jobs.update(BTreeMap::clear);
        self.selected.set(None);
        self.view.set(None);
        self.kept.clear();
        self.awaited.give_up();
        self.tables.update(Vec::clear);
        self.catalogue.update(BTreeMap::clear);
        self.measured.update(BTreeMap::clear);
        self.skipped.update(Vec::clear);
        let rows = self.rows.get_untracked();
        self.rows.update(Vec::clear);
        self.ticked.update(BTreeSet::clear);
        self.rearrange();
        self.index.update_value(BTreeMap::clear);
        for row in rows {
            row.summary.dispose();
            row.answer.dispose();
            row.assumptions.dispose();
        }
    }

    fn epoch(&self) -> u32 {
        self.link.with_value(|link| link.as_ref().map_or(0, |l| l.epoch()))
    }

    pub(super) fn send(&self, request: Request, files: Vec<web_sys::File>) {
        if let Some(link) = self.link.get_value() {
            link.send(&request, &files.into_iter().map(Into::into).collect::<Vec<_>>());
        }
    }
}

/// Under what the word of the user about a whole file is remembered.
pub(super) fn of_file(path: &str) -> (String, String) {
    (path.to_owned(), String::new())
}
