//! Gaia XP spectra in the session: their model is downloaded when the first of them arrives, and they wait for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::spectrum_store::StoredSpectrum;
use super::{Attachment, HostRequest, Session, UrgentTask};
use crate::engine::EngineError;
use crate::engine::protocol::{Event, SpectraEvent, SpectrumId};
use crate::task::specclip::is_xp;
use crate::task::xp_model::XpModel;

/// Spectra that wait for the model, and the state of its download.
#[derive(Default)]
pub(super) struct XpQueue {
    pub(super) waiting: BTreeSet<SpectrumId>,
    is_fetching: bool,
}

impl<F: Attachment, E: FnMut(Event)> Session<F, E> {
    /// Sets the model for Gaia XP spectra, or the reason why it is not available. The waiting spectra are predicted or
    /// refused; after a failure the next Gaia XP spectrum tries the download again.
    pub fn set_xp_model(&mut self, model: Result<XpModel, EngineError>) {
        self.xp.is_fetching = false;
        match model {
            Ok(model) => {
                self.send(SpectraEvent::XpModelReady(Box::new(model.entry().card())));
                self.models.set_xp_model(Arc::new(model));
                let mut waiting = std::mem::take(&mut self.xp.waiting);
                for job in &mut self.jobs {
                    waiting.retain(|id| !job.waiting_for_xp_model.contains(id));
                    job.waiting.extend(std::mem::take(&mut job.waiting_for_xp_model));
                }
                self.urgent.extend(waiting.into_iter().map(UrgentTask::Predict));
            }
            Err(why) => {
                for spectrum in std::mem::take(&mut self.xp.waiting) {
                    self.send(SpectraEvent::NotPredicted { spectrum, reason: why.to_string() });
                }
                for job in &mut self.jobs {
                    job.spectra_done += std::mem::take(&mut job.waiting_for_xp_model).len() as u32;
                }
            }
        }
    }

    /// Lets the Gaia XP spectra of a batch wait until their model is loaded, and returns the others.
    pub(super) fn wait_for_xp_model(&mut self, batch: &[SpectrumId]) -> Vec<SpectrumId> {
        if self.models.has_xp_model() || self.models.unavailable().is_some() {
            return batch.to_vec();
        }
        let is_xp =
            |id: &SpectrumId| self.store.get(*id).and_then(StoredSpectrum::with_assumptions).is_some_and(|s| is_xp(&s));
        let (xp, optical): (Vec<SpectrumId>, Vec<SpectrumId>) = batch.iter().partition(|id| is_xp(id));
        if !xp.is_empty() {
            self.xp.waiting.extend(xp);
            if !std::mem::replace(&mut self.xp.is_fetching, true) {
                self.host_requests.push_back(HostRequest::FetchXpModel);
            }
        }
        optical
    }
}
