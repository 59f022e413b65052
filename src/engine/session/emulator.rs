//! The emulator: fetched once, when the first asks for it who needs it: a model spectrum, a lesson, an adapter.

use std::sync::Arc;

use super::{Attachment, Session};
use crate::engine::Event;
use crate::engine::likes::ForHost;
use crate::engine::reading_message::ReadingEvent;
use crate::engine::teach_message::TeachEvent;
use crate::task::fit::Modeller;

/// Where it is.
#[derive(Default)]
pub(super) enum Emulator {
    /// Nobody needed it yet.
    #[default]
    Idle,
    Fetching,
    Ready(Arc<Modeller>),
    /// Why it could not be had.
    Failed(String),
}

impl<F: Attachment, E: FnMut(Event)> Session<F, E> {
    /// It has arrived, or why it cannot be had.
    pub async fn modeller(&mut self, modeller: Result<Modeller, String>) {
        let held = self.bases.take_held();
        match modeller {
            Ok(modeller) => {
                self.emulator = Emulator::Ready(Arc::new(modeller));
                self.lend_emulator();
                if let Some((file, sha256)) = held {
                    self.adopt(file, sha256).await;
                }
            }
            Err(why) => {
                if let Some(spectrum) = self.reading.take_fit() {
                    (self.emit)(Event::Reading(ReadingEvent::Fitted { spectrum, fit: Err(why.clone()) }));
                }
                if held.is_some() {
                    (self.emit)(Event::Teaching(TeachEvent::Failed(why.clone())));
                }
                self.emulator = Emulator::Failed(why);
            }
        }
    }

    /// Has it fetched, unless it is here or on its way; where it could not be had, once more.
    pub(super) fn need_emulator(&mut self, errand: ForHost) {
        if matches!(self.emulator, Emulator::Idle | Emulator::Failed(_)) {
            self.emulator = Emulator::Fetching;
            self.likes.for_host.push_back(errand);
        }
    }

    /// It, if it is here.
    pub(super) fn emulator(&self) -> Option<&Arc<Modeller>> {
        match &self.emulator {
            Emulator::Ready(modeller) => Some(modeller),
            _ => None,
        }
    }

    /// Every model has it from now on.
    pub(super) fn lend_emulator(&mut self) {
        if let Some(modeller) = self.emulator().cloned() {
            self.predictors_mut().for_each(|predictor| predictor.emulate(modeller.clone()));
        }
    }
}
