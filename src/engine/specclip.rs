//! Published `SpecCLIP` networks that the user opened. Single checkpoints are recognised and read. The complete folder
//! predicts for every spectrum, in addition to the shipped model.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use burn::tensor::Device;

use super::EngineError;
use super::input_files::Attachment;
use super::protocol::{Event, ImportedCheckpoint, SpecClipEvent, SpecClipReport, SpectrumId, is_checkpoint_name};
use crate::model::import::Checkpoint;
use crate::model::specclip::Files;
use crate::result::specclip::Modality;
use crate::spectrum::Spectrum;
use crate::task::finetune::adapter;
use crate::task::specclip::{Input, SpecClip};

/// Spectra per batch. One full-size encoder takes half a second for each spectrum.
pub(super) const BATCH: usize = 4;

/// Opened files, as the published folder.
#[derive(Debug, Clone)]
struct SpecClipFolder<F> {
    files: BTreeMap<String, F>,
    /// Prefix of every path: the name of the folder and of its parent folders.
    root: String,
}

impl<F: Attachment> Files for SpecClipFolder<F> {
    type File = F::Reader;

    fn open(&self, path: &str) -> io::Result<Self::File> {
        let file = self.files.get(&format!("{}{path}", self.root));
        file.map(Attachment::reader).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it was not dropped"))
    }
}

/// State of the networks that the user opened.
pub(super) struct SpecClipState<F: Attachment> {
    files: BTreeMap<String, F>,
    networks: Option<SpecClip<SpecClipFolder<F>>>,
    /// Files that were not read yet.
    unread: VecDeque<String>,
    /// Spectra without a prediction of the published networks.
    waiting: VecDeque<SpectrumId>,
    report: SpecClipReport,
}

impl<F: Attachment> Default for SpecClipState<F> {
    fn default() -> Self {
        let (unread, waiting) = (VecDeque::new(), VecDeque::new());
        Self { files: BTreeMap::new(), networks: None, unread, waiting, report: SpecClipReport::default() }
    }
}

impl<F: Attachment> SpecClipState<F> {
    /// Adds files. `spectra` are those loaded so far.
    pub(super) fn add(
        &mut self,
        files: Vec<(String, F)>,
        spectra: impl Iterator<Item = SpectrumId>,
        emit: &mut impl FnMut(Event),
    ) {
        for (path, file) in files {
            if is_checkpoint_name(&path) {
                self.unread.push_back(path.clone());
            }
            self.files.insert(path, file);
        }
        let folder = SpecClipFolder { root: root(self.files.keys()), files: self.files.clone() };
        match SpecClip::open(folder, &[], &Device::flex()) {
            Ok(networks) => {
                // The folder's layout names each file; it is read on demand.
                self.unread.clear();
                self.networks = Some(networks);
                self.report = SpecClipReport { is_complete: true, ..SpecClipReport::default() };
                self.waiting.clear();
                spectra.for_each(|id| self.add_spectrum(id));
            }
            Err(why) => self.report.missing = why.to_string(),
        }
        self.send_status(emit);
    }

    /// Queues a spectrum that is new, or whose samples changed.
    pub(super) fn add_spectrum(&mut self, id: SpectrumId) {
        if self.networks.is_some() && !self.waiting.contains(&id) {
            self.waiting.push_back(id);
            self.report.total += 1;
        }
    }

    /// Removes the spectra; the networks stay.
    pub(super) fn clear_spectra(&mut self, emit: &mut impl FnMut(Event)) {
        self.waiting.clear();
        (self.report.done, self.report.total) = (0, 0);
        if self.networks.is_some() || !self.report.networks.is_empty() {
            self.send_status(emit);
        }
    }

    /// True while a network of the user waits to be read.
    pub(super) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// The next file, if it is an adapter of Specola. An adapter is not a network.
    pub(super) fn next_adapter(&mut self) -> Option<F> {
        let path = self.unread.front()?;
        if !adapter::is_adapter(self.files.get(path)?.reader()) {
            return None;
        }
        let path = self.unread.pop_front()?;
        self.files.remove(&path)
    }

    /// Recognises the next checkpoint and reads it completely.
    pub(super) fn read_next(&mut self, emit: &mut impl FnMut(Event)) {
        let Some(path) = self.unread.pop_front() else { return };
        let Some(file) = self.files.get(&path) else { return };
        let mut reported = 0;
        let report = &mut self.report;
        let read = Checkpoint::open(file.reader()).and_then(|mut checkpoint| {
            checkpoint.import(|done| {
                let percent = (done * 100.0) as u32;
                if percent >= reported + 5 {
                    reported = percent;
                    report.busy = Some(format!("reading {path}, {percent} %"));
                    emit(Event::SpecClip(SpecClipEvent::Status(Box::new(report.clone()))));
                }
            })
        });
        self.report.networks.retain(|network| network.path != path);
        self.report.networks.push(match read {
            Ok(imported) => {
                let (kind, published) = imported.network.published();
                ImportedCheckpoint { path, content: Ok((kind.into(), imported.parameters as u64, published as u64)) }
            }
            Err(why) => ImportedCheckpoint { path, content: Err(why.to_string()) },
        });
        self.report.busy = None;
        self.send_status(emit);
    }

    /// The next batch of spectra.
    pub(super) fn next(&mut self) -> Vec<SpectrumId> {
        let n = BATCH.min(self.waiting.len());
        self.waiting.drain(..n).collect()
    }

    /// Predicts with the published networks. Reports the reason for each spectrum that could not be read.
    pub(super) async fn predict(
        &mut self,
        spectra: Vec<(SpectrumId, Result<Spectrum, EngineError>)>,
        emit: &mut impl FnMut(Event),
    ) {
        let n = spectra.len() as u32;
        let Some(networks) = &mut self.networks else { return };
        let mut ready = Vec::new();
        for (spectrum, read) in spectra {
            match read.map_err(|why| why.to_string()).and_then(|s| Input::of(&s).map_err(|why| why.to_string())) {
                Ok(input) => ready.push((spectrum, input)),
                Err(why) => emit(Event::SpecClip(SpecClipEvent::Values { spectrum, values: Err(why) })),
            }
        }
        for modality in [Modality::Lrs, Modality::Xp] {
            if !self.report.read.contains(&modality) && ready.iter().any(|(_, input)| input.modality() == modality) {
                self.report.read.push(modality);
                self.report.busy = Some(format!("reading the networks for {} spectra", modality.name().to_uppercase()));
                emit(Event::SpecClip(SpecClipEvent::Status(Box::new(self.report.clone()))));
                networks.labels(modality);
            }
        }
        let inputs: Vec<Input> = ready.iter().map(|(_, input)| input.clone()).collect();
        let predictions = networks.measure(&inputs).await.unwrap_or_default();
        self.report.warnings.extend(networks.warnings().iter().map(ToString::to_string));
        let mut predictions = predictions.into_iter();
        for (spectrum, _) in ready {
            let prediction =
                predictions.next().ok_or_else(|| "the compute device returned no result; reload the page".to_string());
            emit(Event::SpecClip(SpecClipEvent::Values {
                spectrum,
                values: prediction.map(|measurements| measurements.values),
            }));
        }
        self.report.done += n;
        self.report.busy = None;
        self.send_status(emit);
    }

    fn send_status(&self, emit: &mut impl FnMut(Event)) {
        emit(Event::SpecClip(SpecClipEvent::Status(Box::new(self.report.clone()))));
    }
}

/// Prefix of the published folder: the part of the shortest path before `config.json`, or before `specclip/`.
fn root<'a>(paths: impl Iterator<Item = &'a String>) -> String {
    let folder_prefix = |path: &'a str| -> Option<&'a str> {
        let stem =
            path.strip_suffix("config.json").or_else(|| path.split_once("specclip/").map(|(before, _)| before))?;
        (stem.is_empty() || stem.ends_with('/')).then_some(stem)
    };
    paths.filter_map(|path| folder_prefix(path)).min_by_key(|stem| stem.len()).unwrap_or_default().to_string()
}
