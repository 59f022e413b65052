//! Core of the engine: turns requests into events, in small steps.
//!
//! A [`Session`] does not depend on a browser. Its host passes on every [`Request`] when it arrives
//! ([`Session::request`]), and calls [`Session::step`] in between. A step reads one file or predicts one small batch,
//! so no request waits long: Cancel takes effect after the current file or batch. Files are read one after the other.
//! The session reports spectra before any network runs, and reads files before the model is loaded.
//!
//! The flux arrays of predicted spectra stay in memory up to a limit. Evicted arrays are read again from their files on
//! demand.

mod diagnostics;
mod finetune;
mod job;
mod models;
mod similarity;
mod spectrum_store;
mod xp;

use std::collections::VecDeque;
use std::rc::Rc;

use super::EngineError;
use super::input_files::{Attachment, File, OpenedFile, bytes_of, pair_files};
use super::label_tables::LabelTables;
use super::protocol::{
    Assumptions, Event, JobId, Request, SpecClipRequest, SpectraEvent, SpectraRequest, SpectrumId, WorkerRequest,
};
use super::similarity::SimilarityState;
use super::specclip::SpecClipState;
use crate::read::column_mapping::ColumnMapping;
use crate::read::{self, Contents, ListedParts};
use crate::result::Summary;
use crate::spectrum::Spectrum;
use crate::task::predict::{InferenceBackend, Predictor, raw_view};
use crate::task::similarity::encoder_set::xp_view;
use crate::task::specclip::is_xp;
use diagnostics::DiagnosticsQueue;
use finetune::FinetuneState;
use job::{Job, OpenParts};
use models::Models;
use spectrum_store::{FileLocation, SpectrumStore, StoredSpectrum};
use xp::XpQueue;

/// Largest batch of spectra through a network. The first batch of a job has one spectrum and later batches grow, so
/// that the first prediction comes early.
pub(super) const MAX_BATCH: usize = 32;

/// Reason why a spectrum of a cancelled job has no prediction.
const CANCELLED: &str = "cancelled before the prediction; drop it again";

/// A request of the session to its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostRequest {
    /// Download the encoder pair and its index ([`Session::set_encoders`]).
    FetchEncoders,
    /// Stop that download.
    StopFetchingEncoders,
    /// Download the model for Gaia XP spectra ([`Session::set_xp_model`]).
    FetchXpModel,
    /// Download the joint density of the labels of Gaia XP spectra ([`Session::set_xp_posterior`]).
    FetchXpPosterior,
    /// Download the emulator ([`Session::set_emulator`]).
    FetchEmulator,
    /// Download the model of this name for fine-tuning or for an adapter ([`Session::add_base_model`]).
    FetchBaseModel(String),
}

/// A task that the user waits for. It runs before all jobs.
enum UrgentTask<F> {
    Preview(String, Option<F>),
    View(SpectrumId),
    SetAssumptions(SpectrumId, Assumptions),
    Predict(SpectrumId),
    /// File of an adapter, and the hash that it must have.
    Adapter(Option<F>, Option<String>),
}

/// State of the engine. `F` is the type of its files, `E` receives its events.
pub struct Session<F: Attachment, E> {
    emit: E,
    models: Models,
    jobs: VecDeque<Job<F>>,
    urgent: VecDeque<UrgentTask<F>>,
    store: SpectrumStore<F>,
    label_tables: LabelTables,
    specclip: SpecClipState<F>,
    similarity: SimilarityState<F>,
    xp: XpQueue,
    diagnostics: DiagnosticsQueue,
    finetune: FinetuneState,
    host_requests: VecDeque<HostRequest>,
    /// The last spectrum that was displayed before the model was loaded.
    viewed_without_model: Option<SpectrumId>,
}

impl<F: Attachment, E: FnMut(Event)> Session<F, E> {
    /// An empty session whose model is being loaded.
    pub fn new(emit: E) -> Self {
        Self {
            emit,
            models: Models::default(),
            jobs: VecDeque::new(),
            urgent: VecDeque::new(),
            store: SpectrumStore::default(),
            label_tables: LabelTables::default(),
            specclip: SpecClipState::default(),
            similarity: SimilarityState::default(),
            xp: XpQueue::default(),
            diagnostics: DiagnosticsQueue::default(),
            finetune: FinetuneState::default(),
            host_requests: VecDeque::new(),
            viewed_without_model: None,
        }
    }

    /// Sets another limit on the flux arrays of predicted spectra in memory, bytes.
    pub fn with_memory_limit(mut self, max_bytes: usize) -> Self {
        self.store.set_limit(max_bytes);
        self
    }

    /// Sets a backend that runs the networks when it can.
    pub fn with_backend(mut self, backend: Rc<dyn InferenceBackend>) -> Self {
        self.models.set_backend(backend);
        self
    }

    /// Bytes of flux arrays in memory.
    pub fn bytes_in_memory(&self) -> usize {
        self.store.bytes()
    }

    /// The next request to the host, if any.
    pub fn host_request(&mut self) -> Option<HostRequest> {
        let base_model = self.models.base_model_to_fetch(self.finetune.base_model());
        base_model.map(HostRequest::FetchBaseModel).or_else(|| self.host_requests.pop_front())
    }

    /// Sets the default model, or the reason why there is none.
    pub fn set_model(&mut self, model: Result<Predictor, EngineError>) {
        self.models.set_default(model);
        self.urgent.extend(self.viewed_without_model.take().map(UrgentTask::View));
    }

    /// Handles a request. `attachments` are its files; [`SpectraRequest::Open`] has one for each path.
    pub fn request(&mut self, request: Request, attachments: Vec<F>) {
        let first_file = |attachments: Vec<F>| attachments.into_iter().next();
        match request {
            Request::Spectra(request) => self.spectra_request(request, attachments),
            Request::SpecClip(SpecClipRequest::Add { paths }) => {
                let files = paths.into_iter().zip(attachments).collect();
                self.specclip.add(files, self.store.ids(), &mut self.emit);
            }
            Request::SpecClip(SpecClipRequest::Remove) => self.specclip = SpecClipState::default(),
            Request::Finetune(request) => self.finetune_request(request, first_file(attachments)),
            Request::Similarity(request) => self.similarity_request(request, first_file(attachments)),
            Request::Diagnostics(request) => self.diagnostics_request(request),
            // The worker handles these requests, not the session.
            Request::Worker(
                WorkerRequest::Train
                | WorkerRequest::TestGpu
                | WorkerRequest::ServeGpu
                | WorkerRequest::ConnectGpu
                | WorkerRequest::DisconnectGpu,
            ) => {}
        }
    }

    fn spectra_request(&mut self, request: SpectraRequest, attachments: Vec<F>) {
        match request {
            SpectraRequest::Open { job, paths, columns } => self.open(job, columns, paths, attachments),
            SpectraRequest::Cancel { job } => {
                if let Some(i) = self.jobs.iter().position(|j| j.id == job) {
                    self.end_job(i, true);
                }
            }
            SpectraRequest::Preview { path } => {
                self.urgent.push_back(UrgentTask::Preview(path, attachments.into_iter().next()));
            }
            SpectraRequest::View { spectrum } => self.urgent.push_back(UrgentTask::View(spectrum)),
            SpectraRequest::SetAssumptions { spectrum, assumptions } => {
                self.urgent.push_back(UrgentTask::SetAssumptions(spectrum, assumptions));
            }
            SpectraRequest::Clear => self.clear(),
        }
    }

    fn open(&mut self, job: JobId, columns: Option<ColumnMapping>, paths: Vec<String>, attachments: Vec<F>) {
        self.jobs.push_back(Job::new(job, columns, pair_files(paths, attachments).collect()));
    }

    fn clear(&mut self) {
        while !self.jobs.is_empty() {
            self.end_job(0, true);
        }
        self.urgent.clear();
        self.store.clear();
        self.label_tables = LabelTables::default();
        self.specclip.clear_spectra(&mut self.emit);
        self.xp.waiting.clear();
        self.similarity.clear_spectra(self.models.encoders_mut());
        self.diagnostics = DiagnosticsQueue::default();
        self.finetune.clear(&mut self.emit);
        self.viewed_without_model = None;
        self.send(SpectraEvent::Cleared);
    }

    /// Does one piece of work. Returns false when there is none.
    pub async fn step(&mut self) -> bool {
        if let Some(task) = self.next_urgent() {
            self.run_urgent(task).await;
            return true;
        }
        if self.diagnostics_step().await || self.similarity_step().await {
            return true;
        }
        if let Some(i) = self.jobs.iter().position(Job::is_done) {
            self.end_job(i, false);
            return true;
        }
        if let Some(i) = self.job_to_predict() {
            self.predict_of_job(i).await;
            return true;
        }
        if let Some(i) = self.jobs.iter().position(|j| !j.is_read()) {
            self.read_next(i).await;
            return true;
        }
        self.finetune_step().await || self.embedding_step().await || self.specclip_step().await
    }

    async fn run_urgent(&mut self, task: UrgentTask<F>) {
        match task {
            UrgentTask::Preview(path, content) => self.preview(path, content).await,
            UrgentTask::View(id) => self.view(id).await,
            UrgentTask::SetAssumptions(id, assumptions) => self.set_assumptions(id, assumptions).await,
            UrgentTask::Predict(id) => self.predict(&[id]).await,
            UrgentTask::Adapter(file, sha256) => self.load_adapter(file, sha256).await,
        }
    }

    /// Reads networks that the user opened, and predicts with the published ones.
    async fn specclip_step(&mut self) -> bool {
        if self.specclip.has_unread() {
            // A dropped file may be an adapter, which the session loads.
            match self.specclip.next_adapter() {
                Some(adapter) => self.urgent.push_back(UrgentTask::Adapter(Some(adapter), None)),
                None => self.specclip.read_next(&mut self.emit),
            }
            return true;
        }
        let ids = self.specclip.next();
        if ids.is_empty() {
            return false;
        }
        let (loaded, failures) = self.store.reload_all(&ids).await;
        let mut spectra: Vec<_> = failures.into_iter().map(|(id, why)| (id, Err(why))).collect();
        for id in loaded {
            if let Some(spectrum) = self.store.get(id).and_then(StoredSpectrum::with_assumptions) {
                spectra.push((id, Ok(spectrum.into_owned())));
            }
        }
        self.specclip.predict(spectra, &mut self.emit).await;
        true
    }

    /// The first urgent task that can run now. Predictions wait for the model.
    fn next_urgent(&mut self) -> Option<UrgentTask<F>> {
        let is_loaded = !self.models.is_loading();
        let can_run = |t: &UrgentTask<F>| is_loaded || !matches!(t, UrgentTask::Predict(_) | UrgentTask::Adapter(..));
        self.urgent.iter().position(can_run).and_then(|i| self.urgent.remove(i))
    }

    /// The first job with a complete batch.
    fn job_to_predict(&self) -> Option<usize> {
        if self.models.is_loading() {
            return None;
        }
        self.jobs.iter().position(|j| !j.waiting.is_empty() && (j.is_read() || j.waiting.len() >= j.batch_size()))
    }

    async fn predict_of_job(&mut self, i: usize) {
        let batch = self.jobs[i].next_batch();
        self.predict(&batch).await;
        let waiting: Vec<SpectrumId> = batch.iter().copied().filter(|id| self.xp.waiting.contains(id)).collect();
        let job = &mut self.jobs[i];
        job.spectra_done += (batch.len() - waiting.len()) as u32;
        job.waiting_for_xp_model.extend(waiting);
        let progress = job.progress();
        self.send(progress);
    }

    fn end_job(&mut self, i: usize, cancelled: bool) {
        if let Some(job) = self.jobs.remove(i) {
            self.xp.waiting.retain(|id| !job.waiting_for_xp_model.contains(id));
            for spectrum in job.waiting_for_xp_model.into_iter().chain(job.waiting) {
                self.send(SpectraEvent::NotPredicted { spectrum, reason: CANCELLED.into() });
            }
            self.label_tables.join(self.store.names(), &mut self.emit);
            self.send(SpectraEvent::Done { job: job.id, cancelled });
        }
    }

    /// Reads the next file of a job, or the next part of its open file, and reports the contents.
    async fn read_next(&mut self, i: usize) {
        let job = &mut self.jobs[i];
        if let Some(open) = &mut job.open {
            let file = open.file.clone();
            (self.emit)(SpectraEvent::Reading { job: job.id, path: file.path.clone() }.into());
            match open.parts.check() {
                Ok(false) => {}
                Ok(true) => {
                    let (mut contents, part) = (open.parts.read(open.next), open.next);
                    open.next += 1;
                    open.listed.limit(&mut contents);
                    if open.next == open.parts.len() {
                        contents.skipped.extend(open.listed.rest());
                        job.open = None;
                    }
                    self.add_contents(i, &file, Some(part), contents);
                }
                Err(why) => {
                    job.open = None;
                    self.skip_file(i, &file.path, why);
                }
            }
        } else if let Some(file) = job.files.pop_front() {
            (self.emit)(SpectraEvent::Reading { job: job.id, path: file.path.clone() }.into());
            match file.open(job.columns.as_ref()).await {
                Ok(OpenedFile::Parts(parts)) => {
                    let open = OpenParts { parts, file, next: 0, listed: ListedParts::default() };
                    job.files_total += open.files_left() as u32 - 1;
                    job.open = Some(open);
                }
                Ok(OpenedFile::Contents(contents)) => self.add_contents(i, &file, None, contents),
                Err(why) => self.skip_file(i, &file.path, why),
            }
        }
        let progress = self.jobs[i].progress();
        self.send(progress);
    }

    fn skip_file(&mut self, i: usize, path: &str, why: impl std::fmt::Display) {
        let job = self.jobs[i].id;
        self.send(SpectraEvent::Skipped { job, item: path.to_string(), reason: why.to_string() });
    }

    fn add_contents(&mut self, i: usize, file: &Rc<File<F>>, part: Option<usize>, contents: Contents) {
        let job = &mut self.jobs[i];
        let mut new_ids = Vec::new();
        for (index, spectrum) in contents.spectra.into_iter().enumerate() {
            let summary = Box::new(Summary::of(&file.path, &spectrum));
            let location = FileLocation { file: file.clone(), part, index };
            let assumptions = Assumptions { columns: job.columns, ..Assumptions::default() };
            let id = self.store.insert(spectrum, location, assumptions);
            (self.emit)(SpectraEvent::Added { job: job.id, spectrum: id, summary }.into());
            job.waiting.push_back(id);
            self.specclip.add_spectrum(id);
            job.spectra_total += 1;
            new_ids.push(id);
        }
        new_ids.into_iter().for_each(|id| self.queue_embedding(id));
        let job = &mut self.jobs[i];
        self.label_tables.add(contents.labels);
        let job = job.id;
        for skipped in contents.skipped {
            let item = format!("{}: {}", file.path, skipped.part);
            self.send(SpectraEvent::Skipped { job, item, reason: skipped.reason });
        }
    }

    /// Predicts a batch and reports the results. Spectra that were removed meanwhile are skipped.
    async fn predict(&mut self, batch: &[SpectrumId]) {
        let batch = self.wait_for_xp_model(batch);
        let loaded = batch.iter().filter_map(|id| Some((*id, self.store.get(*id)?.with_assumptions()?)));
        let (ids, spectra): (Vec<SpectrumId>, Vec<_>) = loaded.unzip();
        let spectra: Vec<&Spectrum> = spectra.iter().map(AsRef::as_ref).collect();
        if spectra.is_empty() {
            return;
        }
        let predictions = self.models.predict(&spectra).await;
        for (&spectrum, prediction) in ids.iter().zip(predictions) {
            self.send(match prediction {
                Ok(prediction) => SpectraEvent::Predicted { spectrum, prediction: Box::new(prediction) },
                Err(why) => SpectraEvent::NotPredicted { spectrum, reason: why.to_string() },
            });
        }
        self.store.mark_evictable(ids);
    }

    async fn view(&mut self, id: SpectrumId) {
        if let Err(why) = self.store.reload(id).await {
            return self.send(SpectraEvent::ViewUnavailable { spectrum: id, reason: why.to_string() });
        }
        let Some(spectrum) = self.store.get(id).and_then(StoredSpectrum::with_assumptions) else { return };
        let view = match self.models.pipeline() {
            Some(_) if is_xp(&spectrum) => xp_view(&spectrum),
            Some(pipeline) => pipeline.view(&spectrum).await,
            None => {
                self.viewed_without_model = Some(id);
                raw_view(&spectrum)
            }
        };
        self.send(SpectraEvent::View { spectrum: id, view: Box::new(view) });
    }

    async fn preview(&mut self, path: String, content: Option<F>) {
        let preview = match content {
            Some(content) => bytes_of(&content).await.and_then(|bytes| Ok(read::preview(&bytes)?)),
            None => Err(EngineError::NoContent),
        };
        let preview = preview.map(Box::new).map_err(|why| why.to_string());
        self.send(SpectraEvent::Preview { path, preview });
    }

    async fn set_assumptions(&mut self, id: SpectrumId, assumptions: Assumptions) {
        self.store.set_assumptions(id, assumptions);
        if let Err(why) = self.store.reload(id).await {
            return self.send(SpectraEvent::NotPredicted { spectrum: id, reason: why.to_string() });
        }
        let Some(stored) = self.store.get(id) else { return };
        if let Some(spectrum) = stored.with_assumptions() {
            let summary = Box::new(Summary::of(&stored.location.file.path, &spectrum));
            self.send(SpectraEvent::Updated { spectrum: id, summary });
        }
        self.specclip.add_spectrum(id);
        self.queue_embedding(id);
        // A spectrum that still waits in its job is predicted and counted there.
        if !self.jobs.iter().any(|j| j.waiting.contains(&id) || j.waiting_for_xp_model.contains(&id)) {
            self.urgent.push_back(UrgentTask::Predict(id));
        }
    }

    fn send(&mut self, event: impl Into<Event>) {
        (self.emit)(event.into());
    }
}
