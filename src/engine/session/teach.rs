//! What the session does for teaching: prepares labelled spectra, and answers anew when another network answers.

use std::collections::VecDeque;

use super::emulator::Emulator;
use super::{Attachment, Errand, Model, Session};
use crate::engine::dropped::bytes_of;
use crate::engine::likes::ForHost;
use crate::engine::teach_message::{TeachEvent, TeachOrder, TeachRequest};
use crate::engine::teaching::TrainerLink;
use crate::engine::trainer::Report;
use crate::engine::{Event, SpectrumId};
use crate::result::Label;
use crate::result::teach::Cell;
use crate::spectrum::Spectrum;
use crate::task::teach::lesson::Example;
use crate::task::teach::mmd::distance;

/// Spectra that are prepared at once, and when they are held against the emulator.
const AT_ONCE: usize = 16;
const HELD_AT_ONCE: usize = 4;

/// Seed of the permutations that tell distances from chance.
const SEED: u64 = 1;

/// A lesson in the making.
pub(super) struct Making {
    order: TeachOrder,
    waiting: VecDeque<SpectrumId>,
    total: u32,
    examples: Vec<(SpectrumId, Example)>,
}

impl Making {
    /// The model that it is made for; none for that which answers as shipped.
    pub(super) fn base(&self) -> Option<&str> {
        self.order.base.as_deref()
    }
}

/// Spectra that are answered anew.
pub(super) type Again = VecDeque<SpectrumId>;

impl<F: Attachment, E: FnMut(Event)> Session<F, E> {
    /// A trainer has come through a port.
    pub fn trainer(&mut self, number: u32, link: Box<dyn TrainerLink>) {
        self.teaching.connect(number, link);
    }

    /// A trainer reports.
    pub async fn report(&mut self, number: u32, report: Report) {
        if let Some(file) = self.teaching.report(number, report, &mut self.emit) {
            self.adopt(file, None).await;
        }
    }

    pub(super) fn teach(&mut self, request: TeachRequest, attachment: Option<F>) {
        match request {
            // Its port is taken by the host.
            TeachRequest::TakeTrainer { .. } => {}
            TeachRequest::TrainerLost { trainer } => self.teaching.lose(trainer, &mut self.emit),
            TeachRequest::Compare(order) => {
                let waiting: VecDeque<SpectrumId> = self.catalogue.labelled().collect();
                let total = waiting.len() as u32;
                if order.is_refined() {
                    self.need_emulator(ForHost::FetchEmulatorToTeach);
                }
                self.making = Some(Making { order: *order, waiting, total, examples: Vec::new() });
            }
            TeachRequest::Adopt { strategy } => self.teaching.adopt(strategy, &mut self.emit),
            TeachRequest::Survey { strategy } => self.teaching.survey(strategy, &mut self.emit),
            TeachRequest::Pause(is_paused) => self.teaching.pause(is_paused),
            TeachRequest::Stop => {
                if self.making.take().is_some() {
                    (self.emit)(Event::Teaching(TeachEvent::Ended { cancelled: true }));
                }
                self.teaching.stop(&mut self.emit);
            }
            TeachRequest::Load { sha256 } => self.errands.push_back(Errand::Adapter(attachment, sha256)),
            TeachRequest::Distances { samples, reference } => {
                let found = samples.iter().map(|sample| distance(sample, &reference, SEED)).collect();
                (self.emit)(Event::Teaching(TeachEvent::Distances(found)));
            }
            TeachRequest::Forget => {
                self.bases.leave_held();
                if self.forget_adapter() {
                    (self.emit)(Event::Teaching(TeachEvent::NotInUse));
                    self.answer_again();
                }
            }
        }
    }

    /// True while labelled spectra can be prepared: their inputs come from the model that is taught.
    pub(super) fn is_making(&self) -> bool {
        let waits = |making: &Making| making.order.is_refined() && matches!(self.emulator, Emulator::Fetching);
        let is_base_here = |making: &Making| self.base(making.base()).is_some() && !waits(making);
        self.making.as_ref().is_some_and(|m| matches!(self.model, Model::Unavailable(_)) || is_base_here(m))
    }

    /// Prepares some labelled spectra, and begins when all are.
    pub(super) async fn make_lesson(&mut self) {
        let Some(mut making) = self.making.take() else { return };
        let at_once = if making.order.is_refined() { HELD_AT_ONCE } else { AT_ONCE };
        let ids: Vec<SpectrumId> = making.waiting.drain(..at_once.min(making.waiting.len())).collect();
        // One that cannot be read again is left out, as one without a label is.
        let (ids, _) = self.bring_all_back(&ids).await;
        if let Model::Unavailable(why) = &self.model {
            return (self.emit)(Event::Teaching(TeachEvent::Failed(why.clone())));
        }
        let examples = self.examples(&making.order, &ids).await;
        making.examples.extend(examples);
        if making.waiting.is_empty() {
            let emulator = match (making.order.is_refined(), &self.emulator) {
                (true, Emulator::Ready(modeller)) => Ok(Some(modeller.title().to_owned())),
                (true, Emulator::Failed(why)) => Err(why.clone()),
                _ => Ok(None),
            };
            self.teaching.compare(making.order, making.examples, emulator, &mut self.emit);
        } else {
            let done = making.total - making.waiting.len() as u32;
            (self.emit)(Event::Teaching(TeachEvent::Preparing { done, total: making.total }));
            self.making = Some(making);
        }
    }

    async fn examples(&self, order: &TeachOrder, ids: &[SpectrumId]) -> Vec<(SpectrumId, Example)> {
        let Some(predictor) = self.base(order.base.as_deref()) else { return Vec::new() };
        let known = ids.iter().filter_map(|id| Some((*id, self.spectra.get(id)?)));
        let known: Vec<_> = known.filter_map(|(id, held)| Some((id, held.name.clone(), held.assumed()?))).collect();
        let spectra: Vec<&Spectrum> = known.iter().map(|(_, _, spectrum)| spectrum.as_ref()).collect();
        let inputs = match order.is_refined() {
            true => predictor.inputs_to_refine(&spectra).await,
            false => predictor.inputs(&spectra).await,
        };
        let predicted = predictor.predict(&spectra).await;
        let mut examples = Vec::new();
        for (((id, name, _), input), predicted) in known.iter().zip(inputs).zip(predicted) {
            let Ok(input) = input else { continue };
            let predicted = predicted.ok();
            let number = |column: &str| match self.catalogue.cell(*id, column) {
                Some(Cell::Number(value)) => Some(value),
                _ => Label::from_name(column).and_then(|label| Some(predicted.as_ref()?.get(label)?.value)),
            };
            let feh = number(Label::Feh.name());
            let cut = order.cut.as_ref().and_then(|cut| number(&cut.column));
            let value = self.catalogue.cell(*id, &order.target).unwrap_or(Cell::Missing);
            let group = order.groups.as_ref().map_or(String::new(), |column| self.catalogue.text(*id, column));
            examples.push((*id, Example { id: name.clone(), group, input, value, feh, cut }));
        }
        examples
    }

    /// Opens the adapter in a dropped file.
    pub(super) async fn load_adapter(&mut self, file: Option<F>, sha256: Option<String>) {
        let bytes = match file {
            Some(file) => bytes_of(&file).await,
            None => Err("the page sent no content for this file; drop it again".into()),
        };
        match bytes {
            Ok(bytes) => self.adopt(bytes, sha256).await,
            Err(why) => (self.emit)(Event::Teaching(TeachEvent::Failed(why))),
        }
    }

    /// All spectra are answered anew, but for those that wait for their first answer.
    pub(super) fn answer_again(&mut self) {
        let waits = |id: &SpectrumId| self.jobs.iter().any(|job| job.waiting.contains(id));
        self.again = self.spectra.keys().copied().filter(|id| !waits(id)).collect();
    }

    /// Answers some spectra anew.
    pub(super) async fn answer_some_again(&mut self) {
        let ids: Vec<SpectrumId> = self.again.drain(..super::MAX_BATCH.min(self.again.len())).collect();
        let (there, gone) = self.bring_all_back(&ids).await;
        for (spectrum, why) in gone {
            (self.emit)(Event::Refused { spectrum, why });
        }
        self.predict(&there).await;
    }
}
