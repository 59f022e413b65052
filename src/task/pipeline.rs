//! The pipeline from spectra to predictions: one model, and optionally an adapter, an emulator, a model for Gaia XP
//! spectra and an encoder pair.
//!
//! Command line and engine both predict through it. An optical spectrum goes to the model; the adapter then replaces
//! its label. A Gaia XP spectrum goes to the model for such spectra. The encoder pair only compares spectra. Each
//! optical spectrum is shifted to the rest frame once.

use std::sync::Arc;

use thiserror::Error;

use crate::model::calibration::ErrorKind;
use crate::nn::state_dict::parameters;
use crate::result::diagnostics::{ModelFit, Saliency};
use crate::result::finetune::FinetunedEstimate;
use crate::result::{Prediction, SpectrumView};
use crate::spectrum::{Spectrum, Survey};
use crate::task::finetune::adapter::Adapter;
use crate::task::predict::{InferenceBackend, LabelInput, Network, PredictError, Predictor};
use crate::task::rest_frame::RestFrameSpectrum;
use crate::task::saliency::saliency;
use crate::task::similarity::encoder_set::{EncoderSet, xp_view};
use crate::task::specclip::is_xp;
use crate::task::synthetic_model::SyntheticModel;
use crate::task::xp_model::{XpModel, XpPredictError};

/// Why a prediction failed.
#[derive(Debug, Clone, PartialEq, Error)]
#[expect(missing_docs, reason = "the message of each variant says what it is")]
pub enum PipelineError {
    #[error(transparent)]
    Predict(#[from] PredictError),
    #[error(transparent)]
    Xp(#[from] XpPredictError),
    /// The model for Gaia XP spectra could not be loaded; the text gives the reason.
    #[error("{0}")]
    NoXpModel(String),
}

/// An adapter and its base model.
#[derive(Debug)]
struct ActiveAdapter {
    adapter: Adapter,
    /// Base model of the adapter; `None` if it is the pipeline's model.
    base: Option<Arc<Predictor>>,
    /// True when both models have the same velocity network, so that their rest frames agree.
    shares_rest_frame: bool,
}

/// Route of Gaia XP spectra.
#[derive(Debug, Default)]
enum XpRoute {
    /// Gaia XP spectra go to the model, which refuses them.
    #[default]
    None,
    Model(Arc<XpModel>),
    /// The model for Gaia XP spectra could not be loaded; the text gives the reason.
    Unavailable(String),
}

/// The pipeline from spectra to predictions.
#[derive(Debug)]
pub struct Pipeline {
    predictor: Arc<Predictor>,
    adapter: Option<ActiveAdapter>,
    emulator: Option<Arc<SyntheticModel>>,
    xp: XpRoute,
    encoders: Option<Box<EncoderSet>>,
}

impl Pipeline {
    /// A pipeline with a model and nothing else.
    pub fn new(predictor: Arc<Predictor>) -> Self {
        Self { predictor, adapter: None, emulator: None, xp: XpRoute::None, encoders: None }
    }

    /// The model.
    pub fn predictor(&self) -> &Arc<Predictor> {
        &self.predictor
    }

    /// Sets the emulator. Fits are checked with it, and adapters that were trained with it need it.
    pub fn set_emulator(&mut self, emulator: Arc<SyntheticModel>) {
        self.emulator = Some(emulator);
    }

    /// The emulator, if one is set.
    pub fn emulator(&self) -> Option<&SyntheticModel> {
        self.emulator.as_deref()
    }

    /// Sets the model for Gaia XP spectra.
    pub fn set_xp_model(&mut self, model: Arc<XpModel>) {
        self.xp = XpRoute::Model(model);
    }

    /// Refuses Gaia XP spectra, because their model could not be loaded; `reason` says why.
    pub fn set_xp_unavailable(&mut self, reason: String) {
        self.xp = XpRoute::Unavailable(reason);
    }

    /// True when Gaia XP spectra go to their model, or are refused because it could not be loaded.
    pub fn has_xp_route(&self) -> bool {
        !matches!(self.xp, XpRoute::None)
    }

    /// Sets the encoder pair.
    pub fn set_encoders(&mut self, encoders: EncoderSet) {
        self.encoders = Some(Box::new(encoders));
    }

    /// The encoder pair, if one is set.
    pub fn encoders(&self) -> Option<&EncoderSet> {
        self.encoders.as_deref()
    }

    /// The encoder pair, to add to its indices.
    pub fn encoders_mut(&mut self) -> Option<&mut EncoderSet> {
        self.encoders.as_deref_mut()
    }

    /// Sets an adapter that was opened with `base`: the pipeline's model or another model.
    pub async fn set_adapter(&mut self, adapter: Adapter, base: &Arc<Predictor>) {
        let base = (!Arc::ptr_eq(base, &self.predictor)).then(|| base.clone());
        let shares_rest_frame = match &base {
            Some(base) => have_same_velocity_network(base, &self.predictor).await,
            None => true,
        };
        self.adapter = Some(ActiveAdapter { adapter, base, shares_rest_frame });
    }

    /// Returns to the predictions of the model.
    pub fn remove_adapter(&mut self) {
        self.adapter = None;
    }

    /// The active adapter.
    pub fn adapter(&self) -> Option<&Adapter> {
        self.adapter.as_ref().map(|active| &active.adapter)
    }

    /// Predictions, in the order of `spectra`. The backend runs the model's networks where it can.
    pub async fn predict(
        &self,
        backend: Option<&dyn InferenceBackend>,
        spectra: &[&Spectrum],
    ) -> Vec<Result<Prediction, PipelineError>> {
        self.predict_and_check(backend, spectra, false).await.into_iter().map(|(prediction, _)| prediction).collect()
    }

    /// Predictions, in the order of `spectra`, without labels outside the range of any star. With `checks_fit` and an emulator, each is compared with the synthetic
    /// spectrum at its labels, and a prediction with a poor fit is flagged.
    pub async fn predict_and_check(
        &self,
        backend: Option<&dyn InferenceBackend>,
        spectra: &[&Spectrum],
        checks_fit: bool,
    ) -> Vec<(Result<Prediction, PipelineError>, Option<ModelFit>)> {
        let is_for_xp_model = |spectrum: &Spectrum| self.has_xp_route() && is_xp(spectrum);
        let (xp, optical): (Vec<&Spectrum>, Vec<&Spectrum>) = spectra.iter().partition(|s| is_for_xp_model(s));
        let mut xp = self.predict_xp(&xp).await.into_iter();
        let mut optical = self.predict_optical(backend, &optical, checks_fit).await.into_iter();
        let next = |spectrum: &&Spectrum| match is_for_xp_model(spectrum) {
            true => (xp.next().unwrap_or(Err(PredictError::Device.into())), None),
            false => optical.next().unwrap_or((Err(PredictError::Device.into()), None)),
        };
        spectra.iter().map(next).collect()
    }

    async fn predict_xp(&self, spectra: &[&Spectrum]) -> Vec<Result<Prediction, PipelineError>> {
        match &self.xp {
            _ if spectra.is_empty() => Vec::new(),
            XpRoute::Model(model) => {
                let withhold = |p: Prediction| p.withhold_impossible(|label| model.entry().is_trained_for(label));
                model.predict(spectra).await.into_iter().map(|prediction| Ok(withhold(prediction?))).collect()
            }
            XpRoute::Unavailable(reason) => {
                spectra.iter().map(|_| Err(PipelineError::NoXpModel(reason.clone()))).collect()
            }
            XpRoute::None => Vec::new(),
        }
    }

    async fn predict_optical(
        &self,
        backend: Option<&dyn InferenceBackend>,
        spectra: &[&Spectrum],
        checks_fit: bool,
    ) -> Vec<(Result<Prediction, PipelineError>, Option<ModelFit>)> {
        if spectra.is_empty() {
            return Vec::new();
        }
        let stars = self.predictor.rest_frame(backend, spectra).await;
        let outputs = self.predictor.outputs_of(backend, &stars).await;
        let predictions = self.predictor.assemble_all(&stars, outputs.as_deref());
        let predictions = predictions.into_iter().map(|prediction| Ok(prediction?));
        let predictions: Vec<Result<Prediction, PipelineError>> = match &self.adapter {
            Some(active) => self.apply_adapter(active, spectra, &stars, outputs, predictions.collect()).await,
            None => predictions.collect(),
        };
        let entry = self.predictor.entry();
        let withhold = |p: Prediction| p.withhold_impossible(|label| entry.is_trained_for(label));
        let predictions = predictions.into_iter().map(|prediction| prediction.map(withhold));
        let checked = predictions.zip(stars.iter().zip(spectra)).map(|(prediction, (star, spectrum))| {
            let (Ok(mut prediction), true, Ok(star)) = (prediction.clone(), checks_fit, star) else {
                return (prediction, None);
            };
            let fit = self.emulator.as_ref().and_then(|emulator| emulator.check_fit(star, spectrum, &prediction));
            if fit.as_ref().is_some_and(|fit| fit.is_poor) {
                prediction.flag_poor_fit();
            }
            (Ok(prediction), fit)
        });
        checked.collect()
    }

    /// Replaces the adapter's label in the model's predictions.
    async fn apply_adapter(
        &self,
        active: &ActiveAdapter,
        spectra: &[&Spectrum],
        stars: &[Result<RestFrameSpectrum, PredictError>],
        outputs: Option<Vec<Vec<f64>>>,
        predictions: Vec<Result<Prediction, PipelineError>>,
    ) -> Vec<Result<Prediction, PipelineError>> {
        let base = active.base.as_ref().unwrap_or(&self.predictor);
        let shifted_by_base;
        let stars = if active.shares_rest_frame {
            stars
        } else {
            shifted_by_base = base.rest_frame(None, spectra).await;
            &shifted_by_base
        };
        let outputs = match &active.base {
            Some(base) => base.outputs_of(None, stars).await,
            None => outputs,
        };
        let inputs: Vec<LabelInput> = stars.iter().flatten().map(LabelInput::of).collect();
        let inputs: Vec<&LabelInput> = inputs.iter().collect();
        let mut values = active.adapter.predict(base, &inputs).await.unwrap_or_default().into_iter();
        let base_predictions = base.assemble_all(stars, outputs.as_deref());
        let merge =
            |((prediction, base_prediction), star): ((Result<_, _>, Result<_, _>), &Result<RestFrameSpectrum, _>)| {
                let (prediction, base_prediction): (Prediction, Prediction) = (prediction?, base_prediction?);
                let (survey, coverage) = star
                    .as_ref()
                    .map_or((Survey::Other, 0.0), |star| (star.conditioned.survey, star.prepared.coverage));
                let value = values.next().ok_or(PredictError::Device)?;
                let finetuned = replace_label(&active.adapter, base, base_prediction, value, (survey, coverage));
                Ok(if active.base.is_some() { prediction.with_finetuned(finetuned) } else { finetuned })
            };
        predictions.into_iter().zip(base_predictions).zip(stars).map(merge).collect()
    }

    /// For each optical spectrum, the input of a base model's label network and the base model's prediction. The active
    /// adapter replaces its label if it belongs to this base model.
    pub async fn inputs_and_predictions(
        &self,
        base: &Arc<Predictor>,
        spectra: &[&Spectrum],
    ) -> Vec<Result<(LabelInput, Prediction), PipelineError>> {
        let stars = base.rest_frame(None, spectra).await;
        let outputs = base.outputs_of(None, &stars).await;
        let inputs: Vec<Result<LabelInput, PredictError>> =
            stars.iter().map(|star| Ok(LabelInput::of(star.as_ref().map_err(Clone::clone)?))).collect();
        let predictions = base.assemble_all(&stars, outputs.as_deref()).into_iter().map(|prediction| Ok(prediction?));
        let active = self.adapter.as_ref().filter(|a| Arc::ptr_eq(a.base.as_ref().unwrap_or(&self.predictor), base));
        let predictions: Vec<Result<Prediction, PipelineError>> = match active {
            Some(active) => self.apply_adapter(active, spectra, &stars, outputs.clone(), predictions.collect()).await,
            None => predictions.collect(),
        };
        inputs.into_iter().zip(predictions).map(|(input, prediction)| Ok((input?, prediction?))).collect()
    }

    /// Curves and processing history of one spectrum.
    pub async fn view(&self, spectrum: &Spectrum) -> SpectrumView {
        match self.xp {
            XpRoute::None => self.predictor.view(spectrum).await,
            _ if is_xp(spectrum) => xp_view(spectrum),
            _ => self.predictor.view(spectrum).await,
        }
    }

    /// Prediction of one optical spectrum, compared with the synthetic spectrum at its labels. `None` without an
    /// emulator, and where the model does not predict Teff, log g and [Fe/H].
    pub async fn check_fit(&self, spectrum: &Spectrum) -> Result<Option<ModelFit>, PipelineError> {
        let (prediction, fit) =
            self.predict_optical(None, &[spectrum], true).await.pop().ok_or(PredictError::Device)?;
        prediction.map(|_| fit)
    }

    /// ∂label/∂flux of each pixel of one optical spectrum. `None` for a label that neither model nor adapter predicts.
    pub async fn saliency(&self, spectrum: &Spectrum, target: &str) -> Result<Option<Saliency>, PipelineError> {
        let active = self.adapter.as_ref().filter(|active| active.adapter.card().target == target);
        let base = active.and_then(|active| active.base.as_ref()).unwrap_or(&self.predictor);
        let adapter = active.map(|active| &active.adapter);
        Ok(saliency(base, adapter, spectrum, target).await?)
    }
}

/// True when two models have the same velocity network; then their rest frames agree to the last bit.
async fn have_same_velocity_network(a: &Predictor, b: &Predictor) -> bool {
    let (a, b) = (a.network(Network::Rv), b.network(Network::Rv));
    let has_same_scaling = a.input_mean == b.input_mean
        && a.input_scale == b.input_scale
        && a.output_mean == b.output_mean
        && a.output_scale == b.output_scale;
    match (parameters(&a.mlp, "").await, parameters(&b.mlp, "").await) {
        (Ok(a), Ok(b)) => has_same_scaling && a == b,
        _ => false,
    }
}

/// Replaces the adapter's label in a prediction of its base model and flags the prediction. `spectrum` is the survey of
/// the spectrum and the fraction of the model's pixels that it covers.
fn replace_label(
    adapter: &Adapter,
    base: &Predictor,
    prediction: Prediction,
    value: f64,
    spectrum: (Survey, f64),
) -> Prediction {
    let card = adapter.card();
    let (survey, coverage) = spectrum;
    let new_or_predicted = |label| match card.label() {
        Some(new) if new == label => Some(value),
        _ => prediction.get(label).map(|e| e.value),
    };
    let kind = ErrorKind::of(survey, new_or_predicted);
    let base_estimate = card.label().and_then(|label| prediction.get(label));
    let shipped_value = base_estimate.map(|e| e.value);
    let mut error = card.error;
    if let Some(base_estimate) = base_estimate {
        // The cross-validated error holds for complete spectra at the S/N of the labelled set. For lower S/N or missing
        // pixels, the increase of the base model's error is added in quadrature.
        let noise = base.entry().errors.iter().find(|e| e.label == base_estimate.label).map_or(0.0, |errors| {
            let snr = prediction.snr.map(|s| s.value);
            let (sigma_spectrum, sigma_labelled_set) =
                (errors.sigma(&kind, snr, coverage), errors.sigma(&kind, card.snr, 1.0));
            (sigma_spectrum * sigma_spectrum - sigma_labelled_set * sigma_labelled_set).max(0.0).sqrt()
        });
        error = error.hypot(noise);
    }
    let finetuned = FinetunedEstimate { target: card.target.clone(), value, error, shipped_value };
    prediction.replace_label(finetuned, (card.title(), adapter.sha256().into()))
}
