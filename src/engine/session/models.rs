//! Models of the session: the pipeline that predicts, further base models, the emulator, and an adapter that waits for
//! one of them.

use std::rc::Rc;
use std::sync::Arc;

use super::{Attachment, HostRequest, Session};
use crate::engine::EngineError;
use crate::engine::protocol::{DiagnosticsEvent, Event, FinetuneEvent};
use crate::result::{ModelCard, Prediction};
use crate::spectrum::Spectrum;
use crate::task::finetune::adapter::Adapter;
use crate::task::pipeline::Pipeline;
use crate::task::predict::{InferenceBackend, Predictor};
use crate::task::similarity::encoder_set::EncoderSet;
use crate::task::synthetic_model::SyntheticModel;
use crate::task::xp_model::XpModel;
use crate::task::xp_posterior::XpPosteriorModel;

/// State of the default model.
#[derive(Default)]
enum Status {
    #[default]
    Loading,
    Ready(Box<Pipeline>),
    /// Reason and remedy.
    Unavailable(String),
}

/// State of the emulator.
#[derive(Default)]
pub(super) enum Emulator {
    /// Not requested, or not available at the last request.
    #[default]
    Idle,
    Fetching,
    Ready(Arc<SyntheticModel>),
}

/// All models of the session.
#[derive(Default)]
pub(super) struct Models {
    status: Status,
    backend: Option<Rc<dyn InferenceBackend>>,
    /// Models that the host can download.
    available: Vec<ModelCard>,
    /// Loaded base models, without the default model.
    base_models: Vec<Arc<Predictor>>,
    /// Name of a base model that is being downloaded.
    fetching: Option<String>,
    pub(super) emulator: Emulator,
    /// Encoder pair that arrived before the default model.
    encoders: Option<EncoderSet>,
    /// Model for Gaia XP spectra that arrived before the default model.
    xp_model: Option<Arc<XpModel>>,
    /// Joint density of the labels of Gaia XP spectra, once it is loaded.
    pub(super) xp_posterior: Option<Arc<XpPosteriorModel>>,
    pub(super) is_fetching_xp_posterior: bool,
    /// Adapter that waits for its base model: its file, and the hash that the file must have.
    pending_adapter: Option<(Vec<u8>, Option<String>)>,
}

impl Models {
    pub(super) fn set_backend(&mut self, backend: Rc<dyn InferenceBackend>) {
        self.backend = Some(backend);
    }

    pub(super) fn set_default(&mut self, model: Result<Predictor, EngineError>) {
        self.status = match model {
            Ok(predictor) => {
                let mut pipeline = Pipeline::new(Arc::new(predictor));
                self.emulator().into_iter().for_each(|emulator| pipeline.set_emulator(emulator.clone()));
                self.encoders.take().into_iter().for_each(|encoders| pipeline.set_encoders(encoders));
                self.xp_model.take().into_iter().for_each(|model| pipeline.set_xp_model(model));
                Status::Ready(Box::new(pipeline))
            }
            Err(why) => Status::Unavailable(why.to_string()),
        };
    }

    /// True until the default model is loaded, or known to be unavailable.
    pub(super) fn is_loading(&self) -> bool {
        matches!(self.status, Status::Loading)
    }

    /// Reason why there is no default model.
    pub(super) fn unavailable(&self) -> Option<&str> {
        match &self.status {
            Status::Unavailable(reason) => Some(reason),
            _ => None,
        }
    }

    /// The pipeline, once the default model is loaded.
    pub(super) fn pipeline(&self) -> Option<&Pipeline> {
        match &self.status {
            Status::Ready(pipeline) => Some(pipeline),
            _ => None,
        }
    }

    fn pipeline_mut(&mut self) -> Option<&mut Pipeline> {
        match &mut self.status {
            Status::Ready(pipeline) => Some(pipeline),
            _ => None,
        }
    }

    /// Predicts spectra, in the order of `spectra`. Without a model, every result is the reason.
    pub(super) async fn predict(&self, spectra: &[&Spectrum]) -> Vec<Result<Prediction, String>> {
        match &self.status {
            Status::Ready(pipeline) => {
                let predictions = pipeline.predict(self.backend.as_deref(), spectra).await;
                predictions.into_iter().map(|prediction| prediction.map_err(|why| why.to_string())).collect()
            }
            Status::Unavailable(reason) => spectra.iter().map(|_| Err(reason.clone())).collect(),
            Status::Loading => Vec::new(),
        }
    }

    pub(super) fn set_xp_model(&mut self, model: Arc<XpModel>) {
        match &mut self.status {
            Status::Ready(pipeline) => pipeline.set_xp_model(model),
            _ => self.xp_model = Some(model),
        }
    }

    pub(super) fn has_xp_model(&self) -> bool {
        self.pipeline().map_or(self.xp_model.is_some(), Pipeline::has_xp_route)
    }

    pub(super) fn set_encoders(&mut self, encoders: EncoderSet) {
        match &mut self.status {
            Status::Ready(pipeline) => pipeline.set_encoders(encoders),
            _ => self.encoders = Some(encoders),
        }
    }

    pub(super) fn encoders(&self) -> Option<&EncoderSet> {
        self.pipeline().map_or(self.encoders.as_ref(), Pipeline::encoders)
    }

    pub(super) fn encoders_mut(&mut self) -> Option<&mut EncoderSet> {
        match &mut self.status {
            Status::Ready(pipeline) => pipeline.encoders_mut(),
            _ => self.encoders.as_mut(),
        }
    }

    pub(super) fn emulator(&self) -> Option<&Arc<SyntheticModel>> {
        match &self.emulator {
            Emulator::Ready(emulator) => Some(emulator),
            _ => None,
        }
    }

    fn set_emulator(&mut self, emulator: SyntheticModel) {
        let emulator = Arc::new(emulator);
        if let Some(pipeline) = self.pipeline_mut() {
            pipeline.set_emulator(emulator.clone());
        }
        self.emulator = Emulator::Ready(emulator);
    }

    /// The model of this name, if it is loaded; without a name, the default model.
    pub(super) fn base_model(&self, name: Option<&str>) -> Option<&Arc<Predictor>> {
        let default = self.pipeline()?.predictor();
        match name {
            Some(name) if name != default.entry().name => self.base_models.iter().find(|p| p.entry().name == name),
            _ => Some(default),
        }
    }

    /// Name of a base model to download, for the labelled set in preparation or for the pending adapter; `None` while
    /// another is being downloaded.
    pub(super) fn base_model_to_fetch(&mut self, for_finetuning: Option<&str>) -> Option<String> {
        if self.pipeline().is_none() || self.fetching.is_some() {
            return None;
        }
        let for_finetuning = for_finetuning.filter(|name| self.base_model(Some(name)).is_none()).map(str::to_owned);
        let for_adapter = || {
            let (file, _) = self.pending_adapter.as_ref()?;
            self.card_of(&Adapter::card_of(file).ok()?.base_sha256).map(|model| model.name.clone())
        };
        self.fetching = for_finetuning.or_else(for_adapter);
        self.fetching.clone()
    }

    fn card_of(&self, sha256: &str) -> Option<&ModelCard> {
        self.available.iter().find(|model| model.sha256 == sha256)
    }

    /// Removes the active adapter and the pending one. Returns false without a model.
    pub(super) fn remove_adapter(&mut self) -> bool {
        self.pending_adapter = None;
        let pipeline = self.pipeline_mut();
        let has_model = pipeline.is_some();
        pipeline.into_iter().for_each(Pipeline::remove_adapter);
        has_model
    }

    /// The adapter in a file, and its base model; `None` when the base model must be downloaded first.
    async fn open_adapter(
        &self,
        file: &[u8],
        sha256: Option<&str>,
    ) -> Result<Option<(Adapter, Arc<Predictor>)>, EngineError> {
        let Some(pipeline) = self.pipeline() else { return Err(EngineError::NoModel) };
        let default = pipeline.predictor();
        let card = Adapter::card_of(file)?;
        let mut loaded = self.base_models.iter().chain([default]);
        let base = loaded.find(|p| p.entry().sha256 == card.base_sha256);
        let lacks_base = base.is_none() && self.card_of(&card.base_sha256).is_some();
        if lacks_base {
            return Ok(None);
        }
        let base = base.unwrap_or(default);
        let adapter = Adapter::open(file, base).await?;
        match sha256.filter(|expected| *expected != adapter.sha256()) {
            Some(expected) => {
                Err(EngineError::OtherAdapter { found: adapter.sha256().into(), expected: expected.into() })
            }
            None => Ok(Some((adapter, base.clone()))),
        }
    }
}

impl<F: Attachment, E: FnMut(Event)> Session<F, E> {
    /// Sets the models that the host can download, the default first.
    pub fn set_base_models(&mut self, models: Vec<ModelCard>) {
        self.send(FinetuneEvent::BaseModels(models.clone()));
        self.models.available = models;
    }

    /// Adds a requested base model, or the reason why it is not available.
    pub async fn add_base_model(&mut self, model: Result<Predictor, EngineError>) {
        self.models.fetching = None;
        let pending = self.models.pending_adapter.take();
        match model {
            Ok(predictor) => {
                self.models.base_models.push(Arc::new(predictor));
                if let Some((file, sha256)) = pending {
                    self.apply_adapter(file, sha256).await;
                } else if !self.finetune.is_preparing() {
                    // No comparison or adapter waits for the model any more.
                    self.send(FinetuneEvent::Finished { cancelled: true });
                }
            }
            Err(why) => {
                self.finetune.stop_preparing();
                self.send(FinetuneEvent::Failed(why.to_string()));
            }
        }
    }

    /// Sets the emulator, or the reason why it is not available.
    pub fn set_emulator(&mut self, emulator: Result<SyntheticModel, EngineError>) {
        match emulator {
            Ok(emulator) => self.models.set_emulator(emulator),
            Err(why) => {
                let reason = why.to_string();
                if let Some(spectrum) = self.diagnostics.take_fit() {
                    self.send(DiagnosticsEvent::Fit { spectrum, fit: Err(reason) });
                }
                self.models.emulator = Emulator::Idle;
            }
        }
    }

    /// Requests the emulator, unless it is loaded or being downloaded. A download that failed is tried again.
    pub(super) fn fetch_emulator(&mut self) {
        if matches!(self.models.emulator, Emulator::Idle) {
            self.models.emulator = Emulator::Fetching;
            self.host_requests.push_back(HostRequest::FetchEmulator);
        }
    }

    /// Predicts with an adapter from now on. If a hash is given, the adapter's file must have it.
    pub(super) async fn apply_adapter(&mut self, file: Vec<u8>, sha256: Option<String>) {
        match self.models.open_adapter(&file, sha256.as_deref()).await {
            Ok(Some((adapter, base))) => {
                let card = Box::new(adapter.card().clone());
                let sha256 = adapter.sha256().to_owned();
                if let Some(pipeline) = self.models.pipeline_mut() {
                    pipeline.set_adapter(adapter, &base).await;
                }
                self.send(FinetuneEvent::AdapterApplied { card, file, sha256 });
                self.requeue_all();
            }
            Ok(None) => self.models.pending_adapter = Some((file, sha256)),
            Err(why) => self.send(FinetuneEvent::Failed(why.to_string())),
        }
    }
}
