//! How the reading of one spectrum hangs in the session: a person waits for it, so it goes before all jobs.

use super::{Attachment, Held, Model, Session};
use crate::engine::likes::ForHost;
use crate::engine::reading_message::{ReadingEvent, ReadingRequest};
use crate::engine::{Event, SpectrumId};
use crate::result::reading::{ModelFit, Saliency};
use crate::spectrum::Spectrum;
use crate::task::predict::Predictor;
use crate::task::published::is_xp;
use crate::task::saliency::saliency;

/// What is asked for, and what answers.
#[derive(Default)]
pub(super) struct Reading {
    fit: Option<SpectrumId>,
    saliency: Option<(SpectrumId, String)>,
}

impl Reading {
    /// The spectra are gone.
    pub fn forget_spectra(&mut self) {
        (self.fit, self.saliency) = (None, None);
    }

    /// The spectrum whose model spectrum is waited for.
    pub fn take_fit(&mut self) -> Option<SpectrumId> {
        self.fit.take()
    }
}

/// Why a spectrum has neither.
const GONE: &str = "the spectrum is not here any more; drop it again";

impl<F: Attachment, E: FnMut(Event)> Session<F, E> {
    pub(super) fn ask_reading(&mut self, request: ReadingRequest) {
        match request {
            ReadingRequest::Fit { spectrum } => {
                self.reading.fit = Some(spectrum);
                self.need_emulator(ForHost::FetchEmulator);
            }
            ReadingRequest::Saliency { spectrum, target } => self.reading.saliency = Some((spectrum, target)),
        }
    }

    /// Does what was asked for; false when there is nothing or it cannot be done yet.
    pub(super) async fn reading_errand(&mut self) -> bool {
        if matches!(self.model, Model::Loading) {
            return false;
        }
        if let Some((spectrum, target)) = self.reading.saliency.take() {
            let saliency = self.saliency_of(spectrum, &target).await.map(Box::new);
            self.say_reading(ReadingEvent::Salient { spectrum, saliency });
            return true;
        }
        if self.emulator().is_none() {
            return false;
        }
        let Some(spectrum) = self.reading.fit.take() else { return false };
        let fit = self.fit_of(spectrum).await.map(Box::new);
        self.say_reading(ReadingEvent::Fitted { spectrum, fit });
        true
    }

    async fn saliency_of(&mut self, id: SpectrumId, target: &str) -> Result<Saliency, String> {
        self.bring_back(id).await?;
        let (predictor, spectrum) = self.to_read(id)?;
        let found = saliency(predictor, &spectrum, target).await.map_err(|why| why.to_string())?;
        found.ok_or_else(|| format!("the model in use gives no {target}; choose another label"))
    }

    async fn fit_of(&mut self, id: SpectrumId) -> Result<ModelFit, String> {
        self.bring_back(id).await?;
        let (predictor, spectrum) = self.to_read(id)?;
        let modeller = self.emulator().ok_or(GONE)?;
        let answer = predictor.predict(&[&spectrum]).await.pop().ok_or(GONE)?.map_err(|why| why.to_string())?;
        let fit = modeller.fit(predictor, &spectrum, &answer).await.map_err(|why| why.to_string())?;
        fit.ok_or_else(|| "a model spectrum needs Teff, log g and [Fe/H]; the model in use does not give them".into())
    }

    fn to_read(&self, id: SpectrumId) -> Result<(&Predictor, Spectrum), String> {
        if let Model::Unavailable(why) = &self.model {
            return Err(why.clone());
        }
        let (predictor, _) = self.answering().ok_or(GONE)?;
        let spectrum = self.spectra.get(&id).and_then(Held::assumed).ok_or(GONE)?;
        if is_xp(&spectrum) {
            return Err(
                "the encoder pair that answers for Gaia XP spectra has neither a model spectrum nor a saliency".into(),
            );
        }
        Ok((predictor, spectrum.into_owned()))
    }

    fn say_reading(&mut self, event: ReadingEvent) {
        (self.emit)(Event::Reading(event));
    }
}
