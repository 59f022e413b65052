//! The engine's heart: turns requests into events, one small step at a time.
//!
//! A [`Session`] knows no browser. Its host hands it every [`Request`] as it comes ([`Session::request`]) and, in
//! between, lets it work ([`Session::step`]). A step is one file read or one small batch predicted, so a request never
//! waits long for its turn: that is how Cancel overtakes a thousand files. Files are read when their turn comes, rows are
//! reported before any network runs, and reading does not wait for the model.

use std::collections::{BTreeMap, VecDeque};

use super::{Assumptions, Event, JobId, Request, SpectrumId};
use crate::read;
use crate::result::{Prediction, Summary};
use crate::spectrum::{Frame, Known, Medium, Source, Spectrum};
use crate::task::predict::{Predictor, raw_view};

/// Most spectra that go through the network at once. Batches of a job grow to it from one, so that the first answer does
/// not wait for others.
const MAX_BATCH: usize = 32;

/// Largest file that is taken into memory, bytes. A worker has 4 GiB at most, and a file is there about twice.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// A file that is read when its turn comes.
#[allow(async_fn_in_trait)] // One thread drives it: a browser's worker, or a test that blocks on it.
pub trait Attachment {
    /// Its size in bytes.
    fn size(&self) -> u64;
    /// Its content, or why it cannot be had.
    async fn bytes(self) -> Result<Vec<u8>, String>;
}

impl Attachment for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    async fn bytes(self) -> Result<Vec<u8>, String> {
        Ok(self)
    }
}

/// What the session answers with.
enum Model {
    /// On its way.
    Loading,
    Ready(Box<Predictor>),
    /// Why there is none, with the cure.
    Unavailable(String),
}

/// Files that were dropped together.
struct Job<F> {
    id: JobId,
    files: VecDeque<(String, Option<F>)>,
    files_total: u32,
    /// Spectra that no network has seen yet.
    waiting: VecDeque<SpectrumId>,
    spectra_done: u32,
    spectra_total: u32,
}

impl<F> Job<F> {
    /// How many spectra to predict next.
    fn batch(&self) -> usize {
        (1 + self.spectra_done as usize).min(MAX_BATCH)
    }

    fn progress(&self) -> Event {
        Event::Progress {
            job: self.id,
            files_done: self.files_total - self.files.len() as u32,
            files_total: self.files_total,
            spectra_done: self.spectra_done,
            spectra_total: self.spectra_total,
        }
    }
}

/// A spectrum and what its file said before the user said otherwise.
struct Held {
    file: String,
    spectrum: Spectrum,
    medium: Known<Medium>,
    frame: Known<Frame>,
    resolving_power: Option<Known<f64>>,
}

impl Held {
    fn new(file: String, spectrum: Spectrum) -> Self {
        let meta = &spectrum.meta;
        let (medium, frame, resolving_power) = (meta.medium, meta.frame, meta.resolving_power);
        Self { file, spectrum, medium, frame, resolving_power }
    }

    /// The same spectrum under other assumptions; those that are `None` fall back on the file.
    fn assume(self, assumptions: Assumptions) -> Self {
        let user = |value| Known::new(value, Source::User);
        let mut spectrum =
            self.spectrum.with_medium(assumptions.medium.map_or(self.medium, |m| Known::new(m, Source::User)));
        spectrum.meta.frame = assumptions.frame.map_or(self.frame, |f| Known::new(f, Source::User));
        let stated = assumptions.resolving_power.filter(|r| r.is_finite() && *r > 0.0);
        spectrum.meta.resolving_power = stated.map(user).or(self.resolving_power);
        Self { spectrum, ..self }
    }

    fn summary(&self) -> Box<Summary> {
        Box::new(Summary::of(&self.file, &self.spectrum))
    }
}

/// Something that a person waits for; it goes before all jobs.
enum Errand {
    View(SpectrumId),
    Predict(SpectrumId),
}

/// All that the engine remembers. `F` is the kind of file it is given, `E` takes its events.
pub struct Session<F, E> {
    emit: E,
    model: Model,
    jobs: VecDeque<Job<F>>,
    errands: VecDeque<Errand>,
    spectra: BTreeMap<SpectrumId, Held>,
    next_spectrum: SpectrumId,
    /// The last spectrum that was shown without the model's view of it.
    shown_raw: Option<SpectrumId>,
}

impl<F: Attachment, E: FnMut(Event)> Session<F, E> {
    /// An empty session whose model is on its way.
    pub fn new(emit: E) -> Self {
        Self {
            emit,
            model: Model::Loading,
            jobs: VecDeque::new(),
            errands: VecDeque::new(),
            spectra: BTreeMap::new(),
            next_spectrum: 0,
            shown_raw: None,
        }
    }

    /// The model has arrived, or never will: then the text says why and what to do.
    pub fn model(&mut self, model: Result<Predictor, String>) {
        self.model = match model {
            Ok(predictor) => Model::Ready(Box::new(predictor)),
            Err(why) => Model::Unavailable(why),
        };
        self.errands.extend(self.shown_raw.take().map(Errand::View));
    }

    /// Takes a request. `attachments` are the files of [`Request::Open`], one for each path.
    pub fn request(&mut self, request: Request, attachments: Vec<F>) {
        match request {
            Request::Open { job, paths } => {
                let files_total = paths.len() as u32;
                let mut attachments = attachments.into_iter();
                let files = paths.into_iter().map(|path| (path, attachments.next())).collect();
                let waiting = VecDeque::new();
                self.jobs.push_back(Job { id: job, files, files_total, waiting, spectra_done: 0, spectra_total: 0 });
            }
            Request::Cancel { job } => {
                if let Some(i) = self.jobs.iter().position(|j| j.id == job) {
                    self.end_job(i, true);
                }
            }
            Request::View { spectrum } => self.errands.push_back(Errand::View(spectrum)),
            Request::Assume { spectrum, assumptions } => self.assume(spectrum, assumptions),
            Request::Clear => {
                while !self.jobs.is_empty() {
                    self.end_job(0, true);
                }
                self.errands.clear();
                self.spectra.clear();
                self.shown_raw = None;
            }
        }
    }

    /// Does one piece of work; false when there is none.
    pub async fn step(&mut self) -> bool {
        if let Some(errand) = self.next_errand() {
            match errand {
                Errand::View(id) => self.view(id).await,
                Errand::Predict(id) => {
                    self.predict(&[id]).await;
                }
            }
            return true;
        }
        if let Some(i) = self.jobs.iter().position(|j| j.files.is_empty() && j.waiting.is_empty()) {
            self.end_job(i, false);
            return true;
        }
        if let Some(i) = self.job_to_predict() {
            let job = &mut self.jobs[i];
            let batch: Vec<SpectrumId> = job.waiting.drain(..job.batch().min(job.waiting.len())).collect();
            self.predict(&batch).await;
            let job = &mut self.jobs[i];
            job.spectra_done += batch.len() as u32;
            (self.emit)(job.progress());
            return true;
        }
        if let Some(i) = self.jobs.iter().position(|j| !j.files.is_empty()) {
            self.read_next(i).await;
            return true;
        }
        false
    }

    /// The first errand that can be run now: predictions wait for the model.
    fn next_errand(&mut self) -> Option<Errand> {
        let model_is_settled = !matches!(self.model, Model::Loading);
        let can_run = |e: &Errand| model_is_settled || matches!(e, Errand::View(_));
        self.errands.iter().position(can_run).and_then(|i| self.errands.remove(i))
    }

    /// The first job with a batch that is full, or as full as it will get.
    fn job_to_predict(&self) -> Option<usize> {
        if matches!(self.model, Model::Loading) {
            return None;
        }
        self.jobs.iter().position(|j| !j.waiting.is_empty() && (j.files.is_empty() || j.waiting.len() >= j.batch()))
    }

    fn end_job(&mut self, i: usize, cancelled: bool) {
        if let Some(job) = self.jobs.remove(i) {
            (self.emit)(Event::Done { job: job.id, cancelled });
        }
    }

    /// Reads the next file of a job and reports what is in it.
    async fn read_next(&mut self, i: usize) {
        let Some((path, file)) = self.jobs[i].files.pop_front() else { return };
        let job = self.jobs[i].id;
        let contents = match load(file).await {
            Ok(bytes) => read::read(&path, &bytes).map_err(|e| e.to_string()),
            Err(why) => Err(why),
        };
        match contents {
            Ok(contents) => {
                for spectrum in contents.spectra {
                    let id = self.next_spectrum;
                    self.next_spectrum += 1;
                    let held = Held::new(path.clone(), spectrum);
                    (self.emit)(Event::Found { job, spectrum: id, summary: held.summary() });
                    self.spectra.insert(id, held);
                    self.jobs[i].waiting.push_back(id);
                    self.jobs[i].spectra_total += 1;
                }
                for skipped in contents.skipped {
                    let what = format!("{path}: {}", skipped.what);
                    (self.emit)(Event::Skipped { job, what, why: skipped.why });
                }
            }
            Err(why) => (self.emit)(Event::Skipped { job, what: path, why }),
        }
        (self.emit)(self.jobs[i].progress());
    }

    /// Predicts and reports; spectra that were forgotten meanwhile are passed over.
    async fn predict(&mut self, batch: &[SpectrumId]) {
        let (ids, spectra): (Vec<SpectrumId>, Vec<&Spectrum>) =
            batch.iter().filter_map(|id| self.spectra.get(id).map(|held| (*id, &held.spectrum))).unzip();
        let answers: Vec<Result<Prediction, String>> = match &self.model {
            Model::Ready(predictor) => {
                let answers = predictor.predict(&spectra).await;
                answers.into_iter().map(|answer| answer.map_err(|why| why.to_string())).collect()
            }
            Model::Unavailable(why) => ids.iter().map(|_| Err(why.clone())).collect(),
            Model::Loading => return,
        };
        for (spectrum, answer) in ids.into_iter().zip(answers) {
            (self.emit)(match answer {
                Ok(prediction) => Event::Predicted { spectrum, prediction: Box::new(prediction) },
                Err(why) => Event::Refused { spectrum, why },
            });
        }
    }

    async fn view(&mut self, id: SpectrumId) {
        let Some(Held { spectrum, .. }) = self.spectra.get(&id) else { return };
        let view = match &self.model {
            Model::Ready(predictor) => predictor.view(spectrum).await,
            Model::Loading | Model::Unavailable(_) => {
                self.shown_raw = Some(id);
                raw_view(spectrum)
            }
        };
        (self.emit)(Event::View { spectrum: id, view: Box::new(view) });
    }

    fn assume(&mut self, id: SpectrumId, assumptions: Assumptions) {
        let Some(held) = self.spectra.remove(&id) else { return };
        let held = held.assume(assumptions);
        (self.emit)(Event::Changed { spectrum: id, summary: held.summary() });
        self.spectra.insert(id, held);
        // One that still waits in its job is answered there, and counted.
        if !self.jobs.iter().any(|j| j.waiting.contains(&id)) {
            self.errands.push_back(Errand::Predict(id));
        }
    }
}

/// The content of an attachment.
async fn load(file: Option<impl Attachment>) -> Result<Vec<u8>, String> {
    let file = file.ok_or("the page sent no content for this file; drop it again")?;
    if file.size() > MAX_FILE_BYTES {
        return Err(format!(
            "the file has {:.1} GiB; the page takes {} GiB at most. Split it, or use the command line",
            file.size() as f64 / (1u64 << 30) as f64,
            MAX_FILE_BYTES >> 30
        ));
    }
    file.bytes().await
}
