//! The engine's heart: turns requests into events, one small step at a time.
//!
//! A [`Session`] knows no browser. Its host hands it every [`Request`] as it comes ([`Session::request`]) and, in
//! between, lets it work ([`Session::step`]). A step is one file read or one small batch predicted, so a request never
//! waits long for its turn: that is how Cancel overtakes a thousand files. Files are read when their turn comes, rows are
//! reported before any network runs, and reading does not wait for the model.
//!
//! Samples of answered spectra are kept up to a bound; those beyond it are read from their file again when asked for.

mod bases;
mod emulator;
mod held;
mod job;
mod likes;
mod reading;
mod teach;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use super::catalogue::Catalogue;
use super::dropped::{Attachment, File, Opened, bytes_of, files};
use super::likes::Likes;
use super::networks::Networks;
use super::teaching::Teaching;
use super::{Assumptions, Event, Request, SpectrumId};
use crate::read::{self, Contents};
use crate::result::{Prediction, Summary};
use crate::spectrum::Spectrum;
use crate::task::likes::labels::xp_view;
use crate::task::predict::{Helper, NoPrediction, Predictor, raw_view};
use crate::task::published::is_xp;
use bases::Bases;
use held::{Held, Origin};
use job::{Job, OpenArchive};
use teach::{Again, Making};

/// Most spectra that go through the network at once. Batches of a job grow to it from one, so that the first answer does
/// not wait for others.
pub(super) const MAX_BATCH: usize = 32;

/// Most bytes of samples of answered spectra that are kept.
const MAX_KEPT_BYTES: usize = 512 << 20;

/// Why a spectrum of a cancelled job has no answer.
const CANCELLED: &str = "cancelled before it was answered; drop it again";

/// What the session answers with.
enum Model {
    /// On its way.
    Loading,
    Ready(Box<Predictor>),
    /// Why there is none, with the cure.
    Unavailable(String),
}

/// Something that a person waits for; it goes before all jobs.
enum Errand<F> {
    Preview(String, Option<F>),
    View(SpectrumId),
    Assume(SpectrumId, Assumptions),
    Predict(SpectrumId),
    /// The file of an adapter, and the hash that it must have.
    Adapter(Option<F>, Option<String>),
}

/// All that the engine remembers. `F` is the kind of file it is given, `E` takes its events.
pub struct Session<F: Attachment, E> {
    emit: E,
    model: Model,
    helper: Option<Rc<dyn Helper>>,
    jobs: VecDeque<Job<F>>,
    errands: VecDeque<Errand<F>>,
    spectra: BTreeMap<SpectrumId, Held<F>>,
    catalogue: Catalogue,
    networks: Networks<F>,
    likes: Likes<F>,
    reading: reading::Reading,
    emulator: emulator::Emulator,
    teaching: Teaching,
    making: Option<Making>,
    bases: Bases,
    again: Again,
    next_spectrum: SpectrumId,
    /// Answered spectra whose samples are there, longest there first, and the bytes of all samples.
    kept: VecDeque<SpectrumId>,
    kept_bytes: usize,
    max_kept_bytes: usize,
    /// The last spectrum that was shown without the model's view of it.
    shown_raw: Option<SpectrumId>,
}

impl<F: Attachment, E: FnMut(Event)> Session<F, E> {
    /// An empty session whose model is on its way.
    pub fn new(emit: E) -> Self {
        Self {
            emit,
            model: Model::Loading,
            helper: None,
            jobs: VecDeque::new(),
            errands: VecDeque::new(),
            spectra: BTreeMap::new(),
            catalogue: Catalogue::default(),
            networks: Networks::default(),
            likes: Likes::default(),
            reading: reading::Reading::default(),
            emulator: emulator::Emulator::default(),
            teaching: Teaching::default(),
            making: None,
            bases: Bases::default(),
            again: Again::new(),
            next_spectrum: 0,
            kept: VecDeque::new(),
            kept_bytes: 0,
            max_kept_bytes: MAX_KEPT_BYTES,
            shown_raw: None,
        }
    }

    /// The same with another bound on the samples of answered spectra that are kept, bytes.
    pub fn keeping(self, max_kept_bytes: usize) -> Self {
        Self { max_kept_bytes, ..self }
    }

    /// The same with somebody who runs its networks as far as he can.
    pub fn helped_by(self, helper: Rc<dyn Helper>) -> Self {
        Self { helper: Some(helper), ..self }
    }

    /// Bytes of samples in memory.
    pub fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// The model has arrived, or never will: then the text says why and what to do.
    pub fn model(&mut self, model: Result<Predictor, String>) {
        self.model = match model {
            Ok(predictor) => Model::Ready(Box::new(predictor)),
            Err(why) => Model::Unavailable(why),
        };
        self.lend_emulator();
        self.errands.extend(self.shown_raw.take().map(Errand::View));
    }

    /// Takes a request. `attachments` are the files of [`Request::Open`], one for each path.
    pub fn request(&mut self, request: Request, attachments: Vec<F>) {
        match request {
            Request::Open { job, paths, columns } => {
                let files: VecDeque<_> = files(paths, attachments).collect();
                let files_total = files.len() as u32;
                let (waiting, archive) = (VecDeque::new(), None);
                let (spectra_done, spectra_total) = (0, 0);
                self.jobs.push_back(Job {
                    id: job,
                    columns,
                    files,
                    archive,
                    files_total,
                    waiting,
                    apart: BTreeSet::new(),
                    spectra_done,
                    spectra_total,
                });
            }
            Request::Cancel { job } => {
                if let Some(i) = self.jobs.iter().position(|j| j.id == job) {
                    self.end_job(i, true);
                }
            }
            Request::Preview { path } => self.errands.push_back(Errand::Preview(path, attachments.into_iter().next())),
            Request::Networks { paths } => {
                let files = paths.into_iter().zip(attachments).collect();
                self.networks.add(files, self.spectra.keys().copied(), &mut self.emit);
            }
            Request::ForgetNetworks => self.networks = Networks::default(),
            Request::Teaching(request) => self.teach(request, attachments.into_iter().next()),
            Request::Likes(request) => self.ask_likes(request, attachments.into_iter().next()),
            Request::Reading(request) => self.ask_reading(request),
            Request::View { spectrum } => self.errands.push_back(Errand::View(spectrum)),
            Request::Assume { spectrum, assumptions } => self.errands.push_back(Errand::Assume(spectrum, assumptions)),
            Request::Clear => {
                while !self.jobs.is_empty() {
                    self.end_job(0, true);
                }
                self.errands.clear();
                self.spectra.clear();
                self.catalogue = Catalogue::default();
                self.networks.forget_spectra(&mut self.emit);
                self.likes.forget_spectra();
                self.reading.forget_spectra();
                self.making = None;
                self.again.clear();
                self.teaching.clear(&mut self.emit);
                self.kept.clear();
                self.kept_bytes = 0;
                self.shown_raw = None;
                (self.emit)(Event::Cleared);
            }
            // For the workers, not for what they work on.
            Request::TestGpu { .. } | Request::Assist | Request::TakeHelp | Request::DropHelp | Request::Train => {}
        }
    }

    /// Does one piece of work; false when there is none.
    pub async fn step(&mut self) -> bool {
        if let Some(errand) = self.next_errand() {
            match errand {
                Errand::Preview(path, content) => self.preview(path, content).await,
                Errand::View(id) => self.view(id).await,
                Errand::Assume(id, assumptions) => self.assume(id, assumptions).await,
                Errand::Predict(id) => {
                    self.predict(&[id]).await;
                }
                Errand::Adapter(file, sha256) => self.load_adapter(file, sha256).await,
            }
            return true;
        }
        if self.reading_errand().await || self.likes_errand().await {
            return true;
        }
        if let Some(i) = self.jobs.iter().position(Job::is_done) {
            self.end_job(i, false);
            return true;
        }
        if let Some(i) = self.job_to_predict() {
            let job = &mut self.jobs[i];
            let batch: Vec<SpectrumId> = job.waiting.drain(..job.batch().min(job.waiting.len())).collect();
            self.predict(&batch).await;
            let apart = self.waiting_apart(&batch);
            let job = &mut self.jobs[i];
            job.spectra_done += (batch.len() - apart.len()) as u32;
            job.apart.extend(apart);
            (self.emit)(job.progress());
            return true;
        }
        if let Some(i) = self.jobs.iter().position(|j| !j.is_read()) {
            self.read_next(i).await;
            return true;
        }
        if self.is_making() {
            self.make_lesson().await;
            return true;
        }
        if !self.again.is_empty() {
            self.answer_some_again().await;
            return true;
        }
        if self.likes_at_leisure().await {
            return true;
        }
        if self.networks.has_unread() {
            if let Some(adapter) = self.networks.next_adapter() {
                self.errands.push_back(Errand::Adapter(Some(adapter), None));
                return true;
            }
            self.networks.read_next(&mut self.emit);
            return true;
        }
        let ids = self.networks.next();
        if !ids.is_empty() {
            self.measure(ids).await;
            return true;
        }
        false
    }

    /// Lets the published networks answer for spectra.
    async fn measure(&mut self, ids: Vec<SpectrumId>) {
        let (there, gone) = self.bring_all_back(&ids).await;
        let mut spectra: Vec<_> = gone.into_iter().map(|(id, why)| (id, Err(why))).collect();
        for id in there {
            if let Some(spectrum) = self.spectra.get(&id).and_then(Held::assumed) {
                spectra.push((id, Ok(spectrum.into_owned())));
            }
        }
        self.networks.measure(spectra, &mut self.emit).await;
    }

    /// The first errand that can be run now: predictions wait for the model.
    fn next_errand(&mut self) -> Option<Errand<F>> {
        let model_is_settled = !matches!(self.model, Model::Loading);
        let can_run = |e: &Errand<F>| model_is_settled || !matches!(e, Errand::Predict(_) | Errand::Adapter(..));
        self.errands.iter().position(can_run).and_then(|i| self.errands.remove(i))
    }

    /// The first job with a batch that is full, or as full as it will get.
    fn job_to_predict(&self) -> Option<usize> {
        if matches!(self.model, Model::Loading) {
            return None;
        }
        self.jobs.iter().position(|j| !j.waiting.is_empty() && (j.is_read() || j.waiting.len() >= j.batch()))
    }

    fn end_job(&mut self, i: usize, cancelled: bool) {
        if let Some(job) = self.jobs.remove(i) {
            self.leave_apart(&job.apart);
            for spectrum in job.apart.into_iter().chain(job.waiting) {
                (self.emit)(Event::Refused { spectrum, why: CANCELLED.into() });
            }
            let named = self.spectra.iter().map(|(id, held)| (*id, held.name.as_str(), held.origin.file.path.as_str()));
            self.catalogue.join(named, &mut self.emit);
            (self.emit)(Event::Done { job: job.id, cancelled });
        }
    }

    /// Reads the next file of a job, or of its zip, and reports what is in it.
    async fn read_next(&mut self, i: usize) {
        let job = &mut self.jobs[i];
        if let Some(open) = &mut job.archive {
            let (contents, file, entry) = (open.archive.read(open.next), open.file.clone(), open.next);
            open.next += 1;
            if open.next == open.archive.len() {
                job.archive = None;
            }
            self.take_in(i, &file, Some(entry), contents);
        } else if let Some(file) = job.files.pop_front() {
            match file.open(job.columns.as_ref()).await {
                Ok(Opened::Archive(archive)) => {
                    job.files_total += archive.len() as u32 - 1;
                    job.archive = Some(OpenArchive { archive, file, next: 0 });
                }
                Ok(Opened::Contents(contents)) => self.take_in(i, &file, None, contents),
                Err(why) => (self.emit)(Event::Skipped { job: job.id, what: file.path.clone(), why }),
            }
        }
        (self.emit)(self.jobs[i].progress());
    }

    fn take_in(&mut self, i: usize, file: &Rc<File<F>>, entry: Option<usize>, contents: Contents) {
        let job = &mut self.jobs[i];
        for (index, spectrum) in contents.spectra.into_iter().enumerate() {
            let id = self.next_spectrum;
            self.next_spectrum += 1;
            let summary = Box::new(Summary::of(&file.path, &spectrum));
            (self.emit)(Event::Found { job: job.id, spectrum: id, summary });
            self.kept_bytes += spectrum.bytes();
            let origin = Origin { file: file.clone(), entry, index };
            let name = spectrum.meta.id.clone();
            let assumptions = Assumptions { columns: job.columns, ..Assumptions::default() };
            self.spectra.insert(id, Held { name, origin, assumptions, spectrum: Some(spectrum) });
            job.waiting.push_back(id);
            self.networks.wait(id);
            self.likes.wait(id);
            job.spectra_total += 1;
        }
        self.catalogue.add(contents.labels);
        for skipped in contents.skipped {
            let what = format!("{}: {}", file.path, skipped.what);
            (self.emit)(Event::Skipped { job: job.id, what, why: skipped.why });
        }
    }

    /// Predicts and reports; spectra that were forgotten meanwhile are passed over.
    async fn predict(&mut self, batch: &[SpectrumId]) {
        let of_xp = |id: &SpectrumId| self.spectra.get(id).and_then(Held::assumed).is_some_and(|s| is_xp(&s));
        let (xp, batch): (Vec<SpectrumId>, Vec<SpectrumId>) = batch.iter().partition(|id| of_xp(id));
        if !xp.is_empty() {
            self.answer_xp(xp).await;
        }
        if batch.is_empty() {
            return;
        }
        let known = batch.iter().filter_map(|id| Some((*id, self.spectra.get(id)?.assumed()?)));
        let (ids, spectra): (Vec<SpectrumId>, Vec<Cow<Spectrum>>) = known.unzip();
        let answers: Vec<Result<Prediction, String>> = match (&self.model, self.answering()) {
            (Model::Unavailable(why), _) => ids.iter().map(|_| Err(why.clone())).collect(),
            (_, Some((predictor, is_shipped))) => {
                let spectra: Vec<&Spectrum> = spectra.iter().map(AsRef::as_ref).collect();
                let helper = self.helper.as_deref();
                let answers = predictor.predict_with(helper.filter(|_| is_shipped), &spectra).await;
                let answers = match &self.model {
                    // What was not taught is answered as shipped, whatever was taught.
                    Model::Ready(shipped) if !is_shipped => {
                        let shipped = shipped.predict_with(helper, &spectra).await;
                        shipped.into_iter().zip(answers).map(|(own, taught)| Ok(own?.with_taught(taught?))).collect()
                    }
                    _ => answers,
                };
                answers
                    .into_iter()
                    .map(|answer: Result<_, NoPrediction>| answer.map_err(|why| why.to_string()))
                    .collect()
            }
            (_, None) => return,
        };
        drop(spectra);
        for (&spectrum, answer) in ids.iter().zip(answers) {
            (self.emit)(match answer {
                Ok(prediction) => Event::Predicted { spectrum, prediction: Box::new(prediction) },
                Err(why) => Event::Refused { spectrum, why },
            });
        }
        self.keep(ids);
    }

    /// Puts answered spectra last in the line of those whose samples may go, and lets the first go while there are too
    /// many.
    fn keep(&mut self, ids: Vec<SpectrumId>) {
        self.kept.retain(|id| !ids.contains(id));
        let newest = ids.len();
        self.kept.extend(ids);
        while self.kept_bytes > self.max_kept_bytes && self.kept.len() > newest {
            let Some(held) = self.kept.pop_front().and_then(|id| self.spectra.get_mut(&id)) else { continue };
            self.kept_bytes -= held.bytes();
            held.spectrum = None;
        }
    }

    /// Reads a spectrum's samples again if they were let go, and lets others go for them.
    async fn bring_back(&mut self, id: SpectrumId) -> Result<(), String> {
        self.bring_all_back(&[id]).await.1.pop().map_or(Ok(()), |(_, why)| Err(why))
    }

    /// The same for some that are needed together. Gives those that are there, and for the others why not.
    async fn bring_all_back(&mut self, ids: &[SpectrumId]) -> (Vec<SpectrumId>, Vec<(SpectrumId, String)>) {
        let (mut there, mut gone) = (Vec::new(), Vec::new());
        // Those that wait for their first answer stay out of the line.
        let mut newest = Vec::new();
        for &id in ids {
            match self.read_again(id).await {
                Ok(was_gone) => {
                    there.push(id);
                    newest.extend(Some(id).filter(|id| was_gone || self.kept.contains(id)));
                }
                Err(why) => gone.push((id, why)),
            }
        }
        self.keep(newest);
        (there, gone)
    }

    /// True when it had been let go.
    async fn read_again(&mut self, id: SpectrumId) -> Result<bool, String> {
        let Some(held) = self.spectra.get(&id).filter(|held| held.spectrum.is_none()) else { return Ok(false) };
        let (file, entry, index) = (held.origin.file.clone(), held.origin.entry, held.origin.index);
        let columns = held.assumptions.columns;
        // What is read by hand is one spectrum.
        let index = if columns.is_some() { 0 } else { index };
        let mut contents = match file.open(columns.as_ref()).await? {
            Opened::Archive(mut archive) => archive.read(entry.unwrap_or_default()),
            Opened::Contents(contents) => contents,
        };
        if index >= contents.spectra.len() {
            return Err(format!("{} was changed since it was dropped; drop it again", file.path));
        }
        let spectrum = contents.spectra.swap_remove(index);
        self.kept_bytes += spectrum.bytes();
        if let Some(held) = self.spectra.get_mut(&id) {
            held.spectrum = Some(spectrum);
        }
        Ok(true)
    }

    async fn view(&mut self, id: SpectrumId) {
        if let Err(why) = self.bring_back(id).await {
            return (self.emit)(Event::NoView { spectrum: id, why });
        }
        let Some(spectrum) = self.spectra.get(&id).and_then(Held::assumed) else { return };
        let view = match self.answering() {
            Some(_) if is_xp(&spectrum) => xp_view(&spectrum),
            Some((predictor, _)) => predictor.view(&spectrum).await,
            None => {
                self.shown_raw = Some(id);
                raw_view(&spectrum)
            }
        };
        (self.emit)(Event::View { spectrum: id, view: Box::new(view) });
    }

    async fn preview(&mut self, path: String, content: Option<F>) {
        let preview = match content {
            Some(content) => bytes_of(&content).await.and_then(|b| read::preview(&b).map_err(|e| e.to_string())),
            None => Err("the page sent no content for this file; drop it again".into()),
        };
        (self.emit)(Event::Preview { path, preview: preview.map(Box::new) });
    }

    async fn assume(&mut self, id: SpectrumId, assumptions: Assumptions) {
        let Some(held) = self.spectra.get_mut(&id) else { return };
        let before = std::mem::replace(&mut held.assumptions, assumptions);
        if before.columns != assumptions.columns {
            // Other columns are other samples.
            self.kept_bytes -= held.bytes();
            held.spectrum = None;
        }
        if let Err(why) = self.bring_back(id).await {
            return (self.emit)(Event::Refused { spectrum: id, why });
        }
        let Some(held) = self.spectra.get(&id) else { return };
        if let Some(spectrum) = held.assumed() {
            let summary = Box::new(Summary::of(&held.origin.file.path, &spectrum));
            (self.emit)(Event::Changed { spectrum: id, summary });
        }
        self.networks.wait(id);
        self.likes.wait(id);
        // One that still waits in its job is answered there, and counted.
        if !self.jobs.iter().any(|j| j.waiting.contains(&id) || j.apart.contains(&id)) {
            self.errands.push_back(Errand::Predict(id));
        }
    }
}
