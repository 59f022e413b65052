//! Diagnostics of one spectrum in the session. The user waits for them, so they run before all jobs.

use std::sync::Arc;

use super::spectrum_store::StoredSpectrum;
use super::{Attachment, HostRequest, Session};
use crate::engine::EngineError;
use crate::engine::protocol::{DiagnosticsEvent, DiagnosticsRequest, Event, SpectrumId};
use crate::result::diagnostics::{ModelFit, PosteriorDraws, Saliency};
use crate::spectrum::Spectrum;
use crate::task::pipeline::{Pipeline, PipelineError};
use crate::task::specclip::is_xp;
use crate::task::xp_posterior::XpPosteriorModel;

/// Number and seed of the draws of a spectrum: those of `specola posterior`.
const DRAWS: usize = 1000;
const POSTERIOR_SEED: u64 = 1;

/// Waiting requests. A new request of the same kind replaces a waiting one.
#[derive(Default)]
pub(super) struct DiagnosticsQueue {
    fit: Option<SpectrumId>,
    saliency: Option<(SpectrumId, String)>,
    posterior: Option<SpectrumId>,
}

impl DiagnosticsQueue {
    /// Removes the request for a synthetic spectrum and returns its spectrum.
    pub(super) fn take_fit(&mut self) -> Option<SpectrumId> {
        self.fit.take()
    }
}

impl From<PipelineError> for EngineError {
    fn from(error: PipelineError) -> Self {
        match error {
            PipelineError::Predict(error) => error.into(),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl<F: Attachment, E: FnMut(Event)> Session<F, E> {
    pub(super) fn diagnostics_request(&mut self, request: DiagnosticsRequest) {
        match request {
            DiagnosticsRequest::CheckFit { spectrum } => {
                self.diagnostics.fit = Some(spectrum);
                self.fetch_emulator();
            }
            DiagnosticsRequest::Posterior { spectrum } => {
                self.diagnostics.posterior = Some(spectrum);
                if self.models.xp_posterior.is_none() && !self.models.is_fetching_xp_posterior {
                    self.models.is_fetching_xp_posterior = true;
                    self.host_requests.push_back(HostRequest::FetchXpPosterior);
                }
            }
            DiagnosticsRequest::Saliency { spectrum, target } => self.diagnostics.saliency = Some((spectrum, target)),
        }
    }

    /// Answers a waiting request. Returns false when there is none, or when it waits for the model or the emulator.
    pub(super) async fn diagnostics_step(&mut self) -> bool {
        if self.models.is_loading() {
            return false;
        }
        if let Some((spectrum, target)) = self.diagnostics.saliency.take() {
            let saliency = self.saliency(spectrum, &target).await.map(Box::new).map_err(|why| why.to_string());
            self.send(DiagnosticsEvent::Saliency { spectrum, saliency });
            return true;
        }
        if let (Some(model), Some(spectrum)) = (self.models.xp_posterior.clone(), self.diagnostics.posterior) {
            self.diagnostics.posterior = None;
            let draws = self.posterior(spectrum, &model).await.map(Box::new).map_err(|why| why.to_string());
            self.send(DiagnosticsEvent::Posterior { spectrum, draws });
            return true;
        }
        if self.models.emulator().is_none() {
            return false;
        }
        let Some(spectrum) = self.diagnostics.fit.take() else { return false };
        let fit = self.check_fit(spectrum).await.map(Box::new).map_err(|why| why.to_string());
        self.send(DiagnosticsEvent::Fit { spectrum, fit });
        true
    }

    /// Sets the density of the labels of Gaia XP spectra, or the reason why it is not available.
    pub fn set_xp_posterior(&mut self, model: Result<XpPosteriorModel, EngineError>) {
        self.models.is_fetching_xp_posterior = false;
        match model {
            Ok(model) => self.models.xp_posterior = Some(Arc::new(model)),
            Err(why) => {
                if let Some(spectrum) = self.diagnostics.posterior.take() {
                    self.send(DiagnosticsEvent::Posterior { spectrum, draws: Err(why.to_string()) });
                }
            }
        }
    }

    async fn posterior(&mut self, id: SpectrumId, model: &XpPosteriorModel) -> Result<PosteriorDraws, EngineError> {
        self.store.reload(id).await?;
        let spectrum = self.store.get(id).and_then(StoredSpectrum::with_assumptions).ok_or(EngineError::NoSpectrum)?;
        let draws = model.draw(&spectrum, DRAWS, POSTERIOR_SEED).await;
        let draws = draws.map_err(|why| EngineError::Unavailable(why.to_string()))?;
        Ok(PosteriorDraws {
            model: model.entry().title(),
            labels: model.labels().to_vec(),
            draws: draws.into_iter().map(|draw| draw.map(|v| v as f32)).collect(),
        })
    }

    async fn saliency(&mut self, id: SpectrumId, target: &str) -> Result<Saliency, EngineError> {
        self.store.reload(id).await?;
        let (pipeline, spectrum) = self.optical(id)?;
        pipeline.saliency(&spectrum, target).await?.ok_or_else(|| EngineError::NoLabel(target.into()))
    }

    async fn check_fit(&mut self, id: SpectrumId) -> Result<ModelFit, EngineError> {
        self.store.reload(id).await?;
        let (pipeline, spectrum) = self.optical(id)?;
        pipeline.check_fit(&spectrum).await?.ok_or(EngineError::NoSyntheticSpectrum)
    }

    /// The pipeline and an optical spectrum under the user's assumptions.
    fn optical(&self, id: SpectrumId) -> Result<(&Pipeline, Spectrum), EngineError> {
        if let Some(reason) = self.models.unavailable() {
            return Err(EngineError::Unavailable(reason.into()));
        }
        let pipeline = self.models.pipeline().ok_or(EngineError::NoSpectrum)?;
        let spectrum = self.store.get(id).and_then(StoredSpectrum::with_assumptions).ok_or(EngineError::NoSpectrum)?;
        if is_xp(&spectrum) {
            return Err(EngineError::NoXpDiagnostics);
        }
        Ok((pipeline, spectrum.into_owned()))
    }
}
