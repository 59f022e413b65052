//! Fine-tuning in the session: prepares labelled spectra, and predicts all spectra again after a change of the model.

use std::collections::VecDeque;

use super::spectrum_store::StoredSpectrum;
use super::{Attachment, MAX_BATCH, Session, UrgentTask};
use crate::engine::EngineError;
use crate::engine::finetuning::{RunDispatcher, TrainerLink};
use crate::engine::input_files::bytes_of;
use crate::engine::protocol::{Event, FinetuneEvent, FinetuneJob, FinetuneRequest, SpectraEvent, SpectrumId};
use crate::engine::trainer::TrainerStatus;
use crate::result::Label;
use crate::result::finetune::Cell;
use crate::spectrum::Spectrum;
use crate::task::finetune::labelled_set::LabelCandidate;
use crate::task::finetune::mmd::distance;

/// Spectra prepared in one step.
const PREPARATION_BATCH: usize = 16;

/// Seed of the permutations in the test of distances between abundance samples.
const SEED: u64 = 1;

/// A labelled set in preparation.
struct Preparation {
    job: FinetuneJob,
    queue: VecDeque<SpectrumId>,
    total: u32,
    labelled_spectra: Vec<(SpectrumId, LabelCandidate)>,
}

/// State of fine-tuning in the session: the run dispatcher, the labelled set in preparation, and spectra to
/// predict again.
#[derive(Default)]
pub(super) struct FinetuneState {
    dispatcher: RunDispatcher,
    preparation: Option<Preparation>,
    /// Spectra that are predicted again.
    requeued: VecDeque<SpectrumId>,
}

impl FinetuneState {
    /// Name of the base model of the labelled set in preparation; `None` for the default model.
    pub(super) fn base_model(&self) -> Option<&str> {
        self.preparation.as_ref()?.job.base.as_deref()
    }

    pub(super) fn is_preparing(&self) -> bool {
        self.preparation.is_some()
    }

    pub(super) fn stop_preparing(&mut self) {
        self.preparation = None;
    }

    /// Removes all data about the spectra. The trainers stay.
    pub(super) fn clear(&mut self, emit: &mut impl FnMut(Event)) {
        self.preparation = None;
        self.requeued.clear();
        self.dispatcher.clear(emit);
    }
}

impl<F: Attachment, E: FnMut(Event)> Session<F, E> {
    /// Connects a trainer.
    pub fn connect_trainer(&mut self, number: u32, link: Box<dyn TrainerLink>) {
        self.finetune.dispatcher.connect(number, link);
    }

    /// Handles a status message of a trainer.
    pub async fn trainer_status(&mut self, number: u32, status: TrainerStatus) {
        if let Some(file) = self.finetune.dispatcher.status(number, status, &mut self.emit) {
            self.apply_adapter(file, None).await;
        }
    }

    pub(super) fn finetune_request(&mut self, request: FinetuneRequest, attachment: Option<F>) {
        let dispatcher = &mut self.finetune.dispatcher;
        match request {
            // The host handles this request, which has a port.
            FinetuneRequest::ConnectTrainer { .. } => {}
            FinetuneRequest::TrainerLost { trainer } => dispatcher.disconnect(trainer, &mut self.emit),
            FinetuneRequest::Compare(job) => {
                let queue: VecDeque<SpectrumId> = self.label_tables.labelled_ids().collect();
                let total = queue.len() as u32;
                self.finetune.preparation = Some(Preparation { job: *job, queue, total, labelled_spectra: Vec::new() });
            }
            FinetuneRequest::Apply { strategy } => dispatcher.train_adapter(strategy, &mut self.emit),
            FinetuneRequest::ScanLandscape { strategy } => dispatcher.scan_landscape(strategy, &mut self.emit),
            FinetuneRequest::Pause(is_paused) => dispatcher.pause(is_paused),
            FinetuneRequest::Stop => {
                if self.finetune.preparation.take().is_some() {
                    (self.emit)(FinetuneEvent::Finished { cancelled: true }.into());
                }
                self.finetune.dispatcher.stop(&mut self.emit);
            }
            FinetuneRequest::Load { sha256 } => self.urgent.push_back(UrgentTask::Adapter(attachment, sha256)),
            FinetuneRequest::Distances { samples, reference } => {
                let distances = samples.iter().map(|sample| distance(sample, &reference, SEED)).collect();
                self.send(FinetuneEvent::Distances(distances));
            }
            FinetuneRequest::RemoveAdapter => {
                if self.models.remove_adapter() {
                    self.send(FinetuneEvent::AdapterRemoved);
                    self.requeue_all();
                }
            }
        }
    }

    /// Prepares some labelled spectra, or predicts some requeued spectra. Returns false when there are none.
    pub(super) async fn finetune_step(&mut self) -> bool {
        if self.can_prepare() {
            self.prepare_some().await;
            return true;
        }
        if self.finetune.requeued.is_empty() {
            return false;
        }
        self.predict_requeued().await;
        true
    }

    /// True while labelled spectra can be prepared: the base model is loaded, or known to be unavailable.
    fn can_prepare(&self) -> bool {
        let Some(preparation) = &self.finetune.preparation else { return false };
        self.models.unavailable().is_some() || self.models.base_model(preparation.job.base.as_deref()).is_some()
    }

    /// Prepares some labelled spectra. After the last, starts the comparison.
    async fn prepare_some(&mut self) {
        let Some(mut preparation) = self.finetune.preparation.take() else { return };
        let n = PREPARATION_BATCH.min(preparation.queue.len());
        let ids: Vec<SpectrumId> = preparation.queue.drain(..n).collect();
        // A spectrum that cannot be read again is left out, like a spectrum without a label.
        let (ids, _) = self.store.reload_all(&ids).await;
        if let Some(reason) = self.models.unavailable().map(str::to_owned) {
            return self.send(FinetuneEvent::Failed(reason));
        }
        let labelled_spectra = self.labelled_spectra(&preparation.job, &ids).await;
        preparation.labelled_spectra.extend(labelled_spectra);
        if preparation.queue.is_empty() {
            let Preparation { job, labelled_spectra, .. } = preparation;
            self.finetune.dispatcher.compare(job, labelled_spectra, &mut self.emit);
        } else {
            let done = preparation.total - preparation.queue.len() as u32;
            self.send(FinetuneEvent::Preparing { done, total: preparation.total });
            self.finetune.preparation = Some(preparation);
        }
    }

    async fn labelled_spectra(&self, job: &FinetuneJob, ids: &[SpectrumId]) -> Vec<(SpectrumId, LabelCandidate)> {
        let (Some(base), Some(pipeline)) = (self.models.base_model(job.base.as_deref()), self.models.pipeline()) else {
            return Vec::new();
        };
        let stored = ids.iter().filter_map(|id| Some((*id, self.store.get(*id)?)));
        let stored: Vec<(SpectrumId, &StoredSpectrum<F>, _)> =
            stored.filter_map(|(id, stored)| Some((id, stored, stored.with_assumptions()?))).collect();
        let spectra: Vec<&Spectrum> = stored.iter().map(|(_, _, spectrum)| spectrum.as_ref()).collect();
        let prepared = pipeline.inputs_and_predictions(base, &spectra).await;
        let mut labelled_spectra = Vec::new();
        for ((id, stored, _), prepared) in stored.iter().zip(prepared) {
            let Ok((input, predicted)) = prepared else { continue };
            let number = |column: &str| match self.label_tables.cell(*id, column) {
                Some(Cell::Number(value)) => Some(value),
                _ => Label::from_name(column).and_then(|label| Some(predicted.get(label)?.value)),
            };
            let feh = number(Label::Feh.name());
            let cut = job.subset_cut.as_ref().and_then(|cut| number(&cut.column));
            let value = self.label_tables.cell(*id, &job.target).unwrap_or(Cell::Missing);
            let group = job.groups.as_ref().map_or(String::new(), |column| self.label_tables.text(*id, column));
            labelled_spectra.push((*id, LabelCandidate { id: stored.name.clone(), group, input, value, feh, cut }));
        }
        labelled_spectra
    }

    /// Opens the adapter in a file of the user.
    pub(super) async fn load_adapter(&mut self, file: Option<F>, sha256: Option<String>) {
        let bytes = match file {
            Some(file) => bytes_of(&file).await,
            None => Err(EngineError::NoContent),
        };
        match bytes {
            Ok(bytes) => self.apply_adapter(bytes, sha256).await,
            Err(why) => self.send(FinetuneEvent::Failed(why.to_string())),
        }
    }

    /// Queues all spectra for a new prediction, except spectra that wait for their first prediction.
    pub(super) fn requeue_all(&mut self) {
        let waits = |id: &SpectrumId| self.jobs.iter().any(|job| job.waiting.contains(id));
        self.finetune.requeued = self.store.ids().filter(|id| !waits(id)).collect();
    }

    async fn predict_requeued(&mut self) {
        let requeued = &mut self.finetune.requeued;
        let ids: Vec<SpectrumId> = requeued.drain(..MAX_BATCH.min(requeued.len())).collect();
        let (loaded, failures) = self.store.reload_all(&ids).await;
        for (spectrum, why) in failures {
            self.send(SpectraEvent::NotPredicted { spectrum, reason: why.to_string() });
        }
        self.predict(&loaded).await;
    }
}
