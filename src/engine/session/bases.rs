//! The models that can be taught: the one that answers as shipped, and others, fetched when one is asked for.

use super::{Attachment, Model, Session};
use crate::engine::Event;
use crate::engine::likes::ForHost;
use crate::engine::teach_message::TeachEvent;
use crate::result::ModelCard;
use crate::task::predict::Predictor;
use crate::task::teach::adapter::{Adapter, AdapterError};

/// Models beside the one that answers as shipped.
#[derive(Default)]
pub(super) struct Bases {
    /// What the host can fetch.
    offered: Vec<ModelCard>,
    /// What it has fetched.
    others: Vec<Predictor>,
    /// The name of one on its way.
    coming: Option<String>,
    /// An adapter that waits for its model or for the emulator: its file, and the hash that it must have.
    held: Option<(Vec<u8>, Option<String>)>,
}

impl Bases {
    /// An adapter that waits for its model need not any more.
    pub(super) fn leave_held(&mut self) {
        self.held = None;
    }

    /// An adapter that waits for its model or for the emulator.
    pub(super) fn take_held(&mut self) -> Option<(Vec<u8>, Option<String>)> {
        self.held.take()
    }
}

impl<F: Attachment, E: FnMut(Event)> Session<F, E> {
    /// The models that the host can fetch.
    pub fn offer(&mut self, models: Vec<ModelCard>) {
        (self.emit)(Event::Teaching(TeachEvent::Bases(models.clone())));
        self.bases.offered = models;
    }

    /// The name of a model that is needed and not here; each is asked for once.
    pub fn wanted(&mut self) -> Option<String> {
        if !matches!(self.model, Model::Ready(_)) || self.bases.coming.is_some() {
            return None;
        }
        let to_teach = self.making.as_ref().and_then(|making| making.base());
        let to_teach = to_teach.filter(|name| self.base(Some(name)).is_none()).map(str::to_owned);
        let of_held = || {
            let (file, _) = self.bases.held.as_ref()?;
            self.offered(&Adapter::card_of(file).ok()?.base_sha256).map(|model| model.name.clone())
        };
        self.bases.coming = to_teach.or_else(of_held);
        self.bases.coming.clone()
    }

    /// A model that was wanted has come, or cannot.
    pub async fn fetched(&mut self, model: Result<Predictor, String>) {
        self.bases.coming = None;
        let held = self.bases.held.take();
        match model {
            Ok(predictor) => {
                self.bases.others.push(predictor);
                self.lend_emulator();
                if let Some((file, sha256)) = held {
                    self.adopt(file, sha256).await;
                } else if self.making.is_none() {
                    // Nobody waits for it any more.
                    (self.emit)(Event::Teaching(TeachEvent::Ended { cancelled: true }));
                }
            }
            Err(why) => {
                self.making = None;
                (self.emit)(Event::Teaching(TeachEvent::Failed(why)));
            }
        }
    }

    fn offered(&self, sha256: &str) -> Option<&ModelCard> {
        self.bases.offered.iter().find(|model| model.sha256 == sha256)
    }

    /// The model of a name, if it is here; without one that which answers as shipped.
    pub(super) fn base(&self, name: Option<&str>) -> Option<&Predictor> {
        let Model::Ready(shipped) = &self.model else { return None };
        match name {
            Some(name) if name != shipped.entry().name => self.bases.others.iter().find(|p| p.entry().name == name),
            _ => Some(shipped),
        }
    }

    /// The models that are here, the one that answers as shipped first.
    pub(super) fn predictors_mut(&mut self) -> impl Iterator<Item = &mut Predictor> {
        let shipped = match &mut self.model {
            Model::Ready(shipped) => Some(&mut **shipped),
            _ => None,
        };
        shipped.into_iter().chain(&mut self.bases.others)
    }

    /// The model that answers: that with an adapter, else the shipped one. `true` for the latter, whose networks a helper
    /// has too.
    pub(super) fn answering(&self) -> Option<(&Predictor, bool)> {
        let Model::Ready(shipped) = &self.model else { return None };
        let taught = self.bases.others.iter().find(|p| p.adapter().is_some());
        Some(taught.map_or((&**shipped, true), |taught| (taught, false)))
    }

    /// Forgets the adapter in use; false when there is no model.
    pub(super) fn forget_adapter(&mut self) -> bool {
        let Model::Ready(shipped) = &mut self.model else { return false };
        shipped.teach(None);
        self.bases.others.iter_mut().for_each(|other| other.teach(None));
        true
    }

    /// Answers with an adapter from now on. If a hash is given, its file must have it.
    pub(super) async fn adopt(&mut self, file: Vec<u8>, sha256: Option<String>) {
        match self.opened(&file, sha256.as_deref()).await {
            Ok(Some(adapter)) => {
                let card = Box::new(adapter.card().clone());
                let sha256 = adapter.sha256().to_owned();
                self.forget_adapter();
                if let Some(home) = self.predictors_mut().find(|p| p.entry().sha256 == card.base_sha256) {
                    home.teach(Some(adapter));
                }
                (self.emit)(Event::Teaching(TeachEvent::InUse { card, file, sha256 }));
                self.answer_again();
            }
            Ok(None) => {
                if Adapter::card_of(&file).is_ok_and(|card| card.emulator.is_some()) {
                    self.need_emulator(ForHost::FetchEmulatorToTeach);
                }
                self.bases.held = Some((file, sha256));
            }
            Err(why) => (self.emit)(Event::Teaching(TeachEvent::Failed(why))),
        }
    }

    /// The adapter in a file; `None` when its model or its emulator must be fetched first.
    async fn opened(&self, file: &[u8], sha256: Option<&str>) -> Result<Option<Adapter>, String> {
        let Model::Ready(shipped) = &self.model else { return Err("no model is there to use it on".into()) };
        let card = Adapter::card_of(file).map_err(|why| why.to_string())?;
        let here = self.bases.others.iter().chain([&**shipped]).find(|p| p.entry().sha256 == card.base_sha256);
        if here.is_none() && self.offered(&card.base_sha256).is_some() {
            return Ok(None);
        }
        if card.emulator.is_some() && self.emulator().is_none() {
            return Ok(None);
        }
        let adapter =
            Adapter::open(file, here.unwrap_or(shipped)).await.map_err(|why: AdapterError| why.to_string())?;
        adapter.is_answered_by(self.emulator().map(|m| &**m)).map_err(|why| why.to_string())?;
        match sha256.filter(|wanted| *wanted != adapter.sha256()) {
            Some(wanted) => Err(format!(
                "the adapter is not the one that was saved with the session: its sha256 is {}, not {wanted}; save the session again",
                adapter.sha256()
            )),
            None => Ok(Some(adapter)),
        }
    }
}
