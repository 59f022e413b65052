//! Published networks that were dropped: checkpoints that are recognised and read, and, when their folder is there, the
//! published SpecCLIP system, which then answers for every spectrum beside the shipped model.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use burn::tensor::Device;

use super::dropped::Attachment;
use super::{Event, ImportedNetwork, NetworksReport, SpectrumId, is_network_name};
use crate::model::import::Checkpoint;
use crate::model::published::Files;
use crate::result::catalogue::Modality;
use crate::spectrum::Spectrum;
use crate::task::published::{Input, System};
use crate::task::teach::adapter;

/// Spectra that go through the published networks at once: one full-size encoder takes half a second for each.
pub(super) const AT_ONCE: usize = 4;

/// Dropped files as the published folder.
#[derive(Debug, Clone)]
struct Dropped<F> {
    files: BTreeMap<String, F>,
    /// What stands before every path: the folder's own name and those above it.
    root: String,
}

impl<F: Attachment> Files for Dropped<F> {
    type File = F::Reader;

    fn open(&self, path: &str) -> io::Result<Self::File> {
        let file = self.files.get(&format!("{}{path}", self.root));
        file.map(Attachment::reader).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it was not dropped"))
    }
}

/// All dropped networks.
pub(super) struct Networks<F: Attachment> {
    files: BTreeMap<String, F>,
    system: Option<System<Dropped<F>>>,
    /// Files that were not looked at yet.
    unread: VecDeque<String>,
    /// Spectra that the system has not answered for.
    waiting: VecDeque<SpectrumId>,
    report: NetworksReport,
}

impl<F: Attachment> Default for Networks<F> {
    fn default() -> Self {
        let (unread, waiting) = (VecDeque::new(), VecDeque::new());
        Self { files: BTreeMap::new(), system: None, unread, waiting, report: NetworksReport::default() }
    }
}

impl<F: Attachment> Networks<F> {
    /// Takes in files. `spectra` are those that are there already.
    pub(super) fn add(
        &mut self,
        files: Vec<(String, F)>,
        spectra: impl Iterator<Item = SpectrumId>,
        emit: &mut impl FnMut(Event),
    ) {
        for (path, file) in files {
            if is_network_name(&path) {
                self.unread.push_back(path.clone());
            }
            self.files.insert(path, file);
        }
        let folder = Dropped { root: root(self.files.keys()), files: self.files.clone() };
        match System::open(folder, &[], &Device::flex()) {
            Ok(system) => {
                // Which of them is what the folder's layout says, and each is read when it is needed.
                self.unread.clear();
                self.system = Some(system);
                self.report = NetworksReport { is_system: true, ..NetworksReport::default() };
                self.waiting.clear();
                spectra.for_each(|id| self.wait(id));
            }
            Err(why) => self.report.not_system = why.to_string(),
        }
        self.tell(emit);
    }

    /// A spectrum is new, or is another than it was.
    pub(super) fn wait(&mut self, id: SpectrumId) {
        if self.system.is_some() && !self.waiting.contains(&id) {
            self.waiting.push_back(id);
            self.report.total += 1;
        }
    }

    /// The spectra are gone; the networks stay.
    pub(super) fn forget_spectra(&mut self, emit: &mut impl FnMut(Event)) {
        self.waiting.clear();
        (self.report.done, self.report.total) = (0, 0);
        if self.system.is_some() || !self.report.networks.is_empty() {
            self.tell(emit);
        }
    }

    /// True while there is something to do that needs no spectrum.
    pub(super) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// The next file if it is an adapter of ours, which is no network by itself.
    pub(super) fn next_adapter(&mut self) -> Option<F> {
        let path = self.unread.front()?;
        if !adapter::is_adapter(self.files.get(path)?.reader()) {
            return None;
        }
        let path = self.unread.pop_front()?;
        self.files.remove(&path)
    }

    /// Recognises the next checkpoint and reads it once through.
    pub(super) fn read_next(&mut self, emit: &mut impl FnMut(Event)) {
        let Some(path) = self.unread.pop_front() else { return };
        let Some(file) = self.files.get(&path) else { return };
        let mut told = 0;
        let report = &mut self.report;
        let read = Checkpoint::open(file.reader()).and_then(|mut checkpoint| {
            checkpoint.import(|done| {
                let percent = (done * 100.0) as u32;
                if percent >= told + 5 {
                    told = percent;
                    report.busy = Some(format!("reading {path}, {percent} %"));
                    emit(Event::Networks { report: Box::new(report.clone()) });
                }
            })
        });
        self.report.networks.retain(|known| known.path != path);
        self.report.networks.push(match read {
            Ok(imported) => {
                let (kind, published) = imported.network.published();
                ImportedNetwork { path, what: Ok((kind.into(), imported.parameters as u64, published as u64)) }
            }
            Err(why) => ImportedNetwork { path, what: Err(why.to_string()) },
        });
        self.report.busy = None;
        self.tell(emit);
    }

    /// The spectra to answer for next.
    pub(super) fn next(&mut self) -> Vec<SpectrumId> {
        let n = AT_ONCE.min(self.waiting.len());
        self.waiting.drain(..n).collect()
    }

    /// Answers for spectra; those that are not there any more are passed over.
    pub(super) async fn measure(
        &mut self,
        spectra: Vec<(SpectrumId, Result<Spectrum, String>)>,
        emit: &mut impl FnMut(Event),
    ) {
        let n = spectra.len() as u32;
        let Some(system) = &mut self.system else { return };
        let mut ready = Vec::new();
        for (spectrum, read) in spectra {
            match read.and_then(|s| Input::of(&s).map_err(|why| why.to_string())) {
                Ok(input) => ready.push((spectrum, input)),
                Err(why) => emit(Event::Measured { spectrum, values: Err(why) }),
            }
        }
        for modality in [Modality::Lrs, Modality::Xp] {
            if !self.report.read.contains(&modality) && ready.iter().any(|(_, input)| input.modality() == modality) {
                self.report.read.push(modality);
                self.report.busy = Some(format!("reading the networks for {} spectra", modality.name().to_uppercase()));
                emit(Event::Networks { report: Box::new(self.report.clone()) });
                system.labels(modality);
            }
        }
        let inputs: Vec<Input> = ready.iter().map(|(_, input)| input.clone()).collect();
        let answers = system.measure(&inputs).await.unwrap_or_default();
        self.report.warnings.extend(system.warnings().iter().map(ToString::to_string));
        let mut answers = answers.into_iter();
        for (spectrum, _) in ready {
            let answer =
                answers.next().ok_or_else(|| "the compute device gave nothing back; reload the page".to_string());
            emit(Event::Measured { spectrum, values: answer.map(|measurements| measurements.values) });
        }
        self.report.done += n;
        self.report.busy = None;
        self.tell(emit);
    }

    fn tell(&self, emit: &mut impl FnMut(Event)) {
        emit(Event::Networks { report: Box::new(self.report.clone()) });
    }
}

/// The folder that holds the published folder's parts: what stands before the shortest path of its `config.json`, or before
/// `specclip/`.
fn root<'a>(paths: impl Iterator<Item = &'a String>) -> String {
    let before = |path: &'a str| -> Option<&'a str> {
        let stem =
            path.strip_suffix("config.json").or_else(|| path.split_once("specclip/").map(|(before, _)| before))?;
        (stem.is_empty() || stem.ends_with('/')).then_some(stem)
    };
    paths.filter_map(|path| before(path)).min_by_key(|stem| stem.len()).unwrap_or_default().to_string()
}
