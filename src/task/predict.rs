//! Stellar parameters of spectra.
//!
//! One network measures the radial velocity from the observed spectrum. The other predicts the remaining labels from
//! the spectrum in the rest frame. So the labels do not depend on the velocity, and fine-tuning the second network
//! cannot change the velocity.

use std::pin::Pin;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::model::calibration::{ErrorKind, Subspace};
use crate::model::manifest::ModelEntry;
use crate::model::regressor::Regressor;
use crate::nn::weights::{Tensors, WeightsError};
use crate::preprocess::conditioning::{self, ConditionedSpectrum, PreparedInput, PreprocessError};
use crate::preprocess::grid::{self, C_KMS};
use crate::result::{Estimate, Flag, Label, Prediction, ProcessingStep, SpectrumView};
use crate::spectrum::{Frame, Spectrum};
use crate::task::rest_frame::{RestFrameFlux, RestFrameSpectrum};
use crate::task::spectral_type_check;

/// Why a model cannot be loaded.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum ModelError {
    #[error("model `{model}`: {source}")]
    Weights { model: String, source: WeightsError },
    #[error("model `{model}` was trained with the preprocessing `{recipe}`, which this version lacks; update Specola")]
    Recipe { model: String, recipe: String },
    #[error(
        "model `{model}`: its networks have {pixels} inputs and {outputs} outputs; its manifest entry differs; download the model again"
    )]
    Shape { model: String, pixels: usize, outputs: usize },
}

/// Why a prediction failed.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum PredictError {
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
    #[error("the compute device returned no data; reload the page")]
    Device,
}

/// One of a model's two networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// Predicts the radial velocity.
    Rv,
    /// Predicts all other labels.
    Labels,
}

/// Inputs of a network: standardised spectra, row after row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// Which network.
    pub network: Network,
    /// Number of spectra.
    pub rows: usize,
    /// Standardised pixels, row after row.
    pub inputs: Vec<f32>,
}

/// Standardised outputs, row after row; `None` when the backend fails.
pub type Outputs<'a> = Pin<Box<dyn Future<Output = Option<Vec<f32>>> + 'a>>;

/// Runs a model's networks elsewhere, for example on a GPU in another worker. When it fails, the predictor runs them
/// itself.
pub trait InferenceBackend {
    /// The outputs of a batch.
    fn run<'a>(&'a self, batch: &'a Batch) -> Outputs<'a>;
}

/// A loaded model.
#[derive(Debug)]
pub struct Predictor {
    entry: ModelEntry,
    rv: Regressor,
    label_network: Regressor,
    /// Labels of the second network, in the order of its outputs.
    output_labels: Vec<Label>,
    training_subspace: Subspace,
    device: Device,
}

/// Input of the label network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelInput {
    /// Normalised flux in the rest frame, `[1462]`; NaN for a missing pixel.
    pub norm: Vec<f32>,
    /// Median S/N per model pixel, if known.
    pub snr: Option<f64>,
    /// Fraction of the model's pixels that the spectrum covers.
    pub coverage: f64,
}

impl LabelInput {
    /// Input of the label network for a star.
    pub(super) fn of(star: &RestFrameSpectrum) -> Self {
        Self { norm: star.prepared.norm.clone(), snr: star.snr(), coverage: star.prepared.coverage }
    }
}

impl Predictor {
    /// Builds the networks from an assembled safetensors file.
    pub fn new(entry: &ModelEntry, weights: &[u8], device: &Device) -> Result<Self, ModelError> {
        let model = entry.name.clone();
        if entry.recipe != conditioning::RECIPE_NAME {
            return Err(ModelError::Recipe { model, recipe: entry.recipe.clone() });
        }
        let load = || -> Result<_, WeightsError> {
            let tensors = Tensors::parse(weights)?;
            let rv = Regressor::load(&tensors, "rv.", device)?;
            let label_network = Regressor::load(&tensors, "labels.", device)?;
            // Training subspace; the name is kept for old files.
            Ok((rv, label_network, Subspace::load(&tensors, "known.")?))
        };
        let (rv, label_network, training_subspace) =
            load().map_err(|source| ModelError::Weights { model: model.clone(), source })?;
        let output_labels: Vec<Label> = entry.labels.iter().copied().filter(|l| *l != Label::Rv).collect();
        for (network, expected) in [(&rv, 1), (&label_network, output_labels.len())] {
            let (pixels, n_outputs) = (network.input_mean.len(), network.n_outputs());
            if pixels != grid::MODEL_PIXELS || n_outputs != expected {
                return Err(ModelError::Shape { model, pixels, outputs: n_outputs });
            }
        }
        Ok(Self::from_parts(entry, rv, label_network, training_subspace, device))
    }

    /// A model without a file, for training and tests.
    pub fn from_parts(
        entry: &ModelEntry,
        rv: Regressor,
        label_network: Regressor,
        training_subspace: Subspace,
        device: &Device,
    ) -> Self {
        let output_labels = entry.labels.iter().copied().filter(|l| *l != Label::Rv).collect();
        let device = device.clone();
        Self { entry: entry.clone(), rv, label_network, output_labels, training_subspace, device }
    }

    /// The model's manifest entry.
    pub fn entry(&self) -> &ModelEntry {
        &self.entry
    }

    /// Inputs of the label network, in the order of `spectra`.
    pub async fn inputs(&self, spectra: &[&Spectrum]) -> Vec<Result<LabelInput, PredictError>> {
        let stars = self.rest_frame(None, spectra).await;
        stars.into_iter().map(|star| Ok(LabelInput::of(&star?))).collect()
    }

    /// Normalised spectra in the rest frame, in the order of `spectra`; surveys are compared in this form.
    pub async fn rest_frame_flux(&self, spectra: &[&Spectrum]) -> Vec<Result<RestFrameFlux, PredictError>> {
        let stars = self.rest_frame(None, spectra).await;
        stars.into_iter().zip(spectra).map(|(star, spectrum)| Ok(star?.flux(spectrum))).collect()
    }

    /// Device of the networks.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Distance of a normalised rest-frame spectrum from the training subspace, in units of the continuum. Beyond the
    /// manifest's `max_distance` it is flagged.
    pub fn distance(&self, norm: &[f32], snr: Option<f64>) -> f64 {
        self.training_subspace.distance(norm, snr)
    }

    /// The network that predicts the labels from the rest-frame spectrum.
    pub fn label_network(&self) -> &Regressor {
        &self.label_network
    }

    /// Labels of the label network, in the order of its outputs.
    pub fn outputs(&self) -> &[Label] {
        &self.output_labels
    }

    /// Position of a label among [`Predictor::outputs`]; `None` for a label that is not an output.
    pub fn output_index(&self, label: Option<Label>) -> Option<usize> {
        self.output_labels.iter().position(|output| Some(*output) == label)
    }

    /// One prediction per spectrum, in the same order.
    pub async fn predict(&self, spectra: &[&Spectrum]) -> Vec<Result<Prediction, PredictError>> {
        let stars = self.rest_frame(None, spectra).await;
        let outputs = self.outputs_of(None, &stars).await;
        self.assemble_all(&stars, outputs.as_deref())
    }

    /// Outputs of the label network in the labels' units, one row for each star without an error.
    pub(super) async fn outputs_of(
        &self,
        backend: Option<&dyn InferenceBackend>,
        stars: &[Result<RestFrameSpectrum, PredictError>],
    ) -> Option<Vec<Vec<f64>>> {
        let inputs: Vec<&[f32]> = stars.iter().flatten().map(|star| star.prepared.norm.as_slice()).collect();
        self.infer(backend, Network::Labels, &inputs).await
    }

    /// Predictions from the outputs of [`Predictor::outputs_of`], in the order of `stars`.
    pub(super) fn assemble_all(
        &self,
        stars: &[Result<RestFrameSpectrum, PredictError>],
        outputs: Option<&[Vec<f64>]>,
    ) -> Vec<Result<Prediction, PredictError>> {
        let mut outputs = outputs.map(<[Vec<f64>]>::iter);
        let assemble = |star: &Result<RestFrameSpectrum, PredictError>| {
            let star = star.as_ref().map_err(Clone::clone)?;
            let outputs = outputs.as_mut().and_then(Iterator::next).ok_or(PredictError::Device)?;
            Ok(self.assemble(star, outputs))
        };
        stars.iter().map(assemble).collect()
    }

    /// Curves and processing history of one spectrum.
    pub async fn view(&self, spectrum: &Spectrum) -> SpectrumView {
        match self.rest_frame(None, &[spectrum]).await.pop() {
            Some(Ok(star)) => {
                let outputs = self.infer(None, Network::Labels, &[&star.prepared.norm]).await.unwrap_or_default();
                let note = outputs.first().and_then(|outputs| self.spectral_type_note(&star, outputs));
                let mut view = raw_view(spectrum);
                let doppler = 1.0 + star.rv_kms / C_KMS;
                // The whole divisor of the flux: the polynomial and the running mean.
                view.continuum_wave_vac_aa = grid::model_wave_vac_aa().iter().map(|w| (w * doppler) as f32).collect();
                view.continuum = star.prepared.divisor.iter().map(|c| *c as f32).collect();
                view.model_wave_vac_aa = grid::model_wave_vac_aa().iter().map(|w| *w as f32).collect();
                view.model_flux = star.prepared.norm;
                view.processing_history = star.conditioned.processing_history;
                view.processing_history.extend(star.prepared.processing_history);
                view.processing_history.extend(note);
                view
            }
            Some(Err(why)) => {
                let mut view = raw_view(spectrum);
                view.processing_history.push(ProcessingStep {
                    step: "refused".into(),
                    description: why.to_string(),
                    is_assumed: false,
                });
                view
            }
            None => raw_view(spectrum),
        }
    }

    /// Runs a network on this model's own device.
    pub async fn run(&self, batch: Batch) -> Option<Vec<f32>> {
        self.network(batch.network).run(batch.inputs, &self.device).await
    }

    /// The network for the radial velocity or for the labels.
    pub(super) fn network(&self, network: Network) -> &Regressor {
        match network {
            Network::Rv => &self.rv,
            Network::Labels => &self.label_network,
        }
    }

    /// A network's predictions for normalised spectra, in the labels' units.
    async fn infer(
        &self,
        backend: Option<&dyn InferenceBackend>,
        network: Network,
        inputs: &[&[f32]],
    ) -> Option<Vec<Vec<f64>>> {
        let regressor = self.network(network);
        let batch = Batch { network, rows: inputs.len(), inputs: regressor.standardised(inputs) };
        let backend_outputs = match backend {
            Some(backend) => backend.run(&batch).await,
            None => None,
        };
        let is_complete = |outputs: &Vec<f32>| outputs.len() == inputs.len() * regressor.n_outputs();
        let outputs = match backend_outputs.filter(is_complete) {
            Some(outputs) => outputs,
            None => self.run(batch).await?,
        };
        Some(regressor.all_in_units(&outputs))
    }

    /// Conditions spectra, measures their velocities in one batch and shifts them to the rest frame.
    pub async fn rest_frame(
        &self,
        backend: Option<&dyn InferenceBackend>,
        spectra: &[&Spectrum],
    ) -> Vec<Result<RestFrameSpectrum, PredictError>> {
        let observed: Vec<Result<(ConditionedSpectrum, PreparedInput), PredictError>> = spectra
            .iter()
            .map(|spectrum| {
                let conditioned = ConditionedSpectrum::new(spectrum)?;
                let prepared = conditioned.normalise_at_rv(0.0)?;
                Ok((conditioned, prepared))
            })
            .collect();
        let inputs: Vec<&[f32]> = observed.iter().flatten().map(|(_, p)| p.norm.as_slice()).collect();
        let velocities = self.infer(backend, Network::Rv, &inputs).await;
        let mut velocities = velocities.map(Vec::into_iter);
        observed
            .into_iter()
            .map(|observed| {
                let (conditioned, _) = observed?;
                let velocity = velocities.as_mut().and_then(Iterator::next).ok_or(PredictError::Device)?;
                let rv_kms = velocity.first().copied().unwrap_or(0.0);
                let prepared = conditioned.normalise_at_rv(rv_kms)?;
                Ok(RestFrameSpectrum { conditioned, rv_kms, prepared })
            })
            .collect()
    }

    /// The label network's output for a label.
    fn output_value(&self, outputs: &[f64], label: Label) -> Option<f64> {
        self.output_labels.iter().position(|l| *l == label).and_then(|i| outputs.get(i)).copied()
    }

    /// A note where spectral features contradict the predicted labels.
    fn spectral_type_note(&self, star: &RestFrameSpectrum, outputs: &[f64]) -> Option<ProcessingStep> {
        let (teff_k, feh) = (self.output_value(outputs, Label::Teff)?, self.output_value(outputs, Label::Feh)?);
        let description = spectral_type_check::check(&star.conditioned, star.rv_kms, teff_k, feh)?;
        Some(ProcessingStep { step: "spectral-type check".into(), description, is_assumed: false })
    }

    /// Assembles estimates, errors and flags from the networks' outputs.
    pub(super) fn assemble(&self, star: &RestFrameSpectrum, outputs: &[f64]) -> Prediction {
        let snr = star.conditioned.snr;
        let kind = ErrorKind::of(star.conditioned.survey, |label| self.output_value(outputs, label));
        let value = |label: Label| match label {
            // For a spectrum already in the rest frame, the measured shift is not the star's velocity.
            Label::Rv => Some(star.rv_kms).filter(|_| star.conditioned.frame != Frame::Rest),
            other => self.output_value(outputs, other),
        };
        let estimates: Vec<Estimate> = self
            .entry
            .labels
            .iter()
            .filter_map(|&label| {
                let errors = self.entry.errors.iter().find(|e| e.label == label);
                let error = errors.map_or(f64::NAN, |e| e.sigma(&kind, snr.map(|s| s.value), star.prepared.coverage));
                value(label).map(|value| Estimate { label, value, error })
            })
            .collect();
        let mut flags = star.conditioned.flags.clone();
        if self.distance(&star.prepared.norm, snr.map(|s| s.value)) > self.entry.max_distance {
            flags.insert(Flag::OutOfTraining);
        }
        let mut processing_history: Vec<ProcessingStep> =
            star.conditioned.processing_history.iter().chain(&star.prepared.processing_history).cloned().collect();
        if let Some(note) = self.spectral_type_note(star, outputs) {
            flags.insert(Flag::OutOfTraining);
            processing_history.push(note);
        }
        let is_outside_range =
            |&(label, low, high): &(Label, f64, f64)| value(label).is_some_and(|v| v < low || v > high);
        if self.entry.label_range.iter().any(is_outside_range) {
            flags.insert(Flag::GridEdge);
        }
        let (model, model_sha256) = (self.entry.title(), self.entry.sha256.clone());
        Prediction { model, model_sha256, snr, estimates, flags, processing_history, finetuned: None }
    }
}

/// The curves of a spectrum before any model.
pub fn raw_view(spectrum: &Spectrum) -> SpectrumView {
    let to_f32 = |values: &[f64]| values.iter().map(|v| *v as f32).collect::<Vec<f32>>();
    // Surveys write 0 for a missing pixel: plot a gap, not a line down to 0.
    let measured = |(v, bad): (&f64, &bool)| if *bad && *v == 0.0 { f32::NAN } else { *v as f32 };
    let flux = spectrum.flux().iter().zip(spectrum.masked()).map(measured).collect();
    let sigma = spectrum.ivar().map_or(Vec::new(), |ivar| {
        ivar.iter().map(|v| if *v > 0.0 { (1.0 / v.sqrt()) as f32 } else { f32::NAN }).collect()
    });
    let mut masked: Vec<(u32, u32)> = Vec::new();
    for (i, _) in spectrum.masked().iter().enumerate().filter(|(_, bad)| **bad) {
        match masked.last_mut() {
            Some((_, end)) if *end == i as u32 => *end += 1,
            _ => masked.push((i as u32, i as u32 + 1)),
        }
    }
    SpectrumView {
        wave_vac_aa: to_f32(spectrum.wave_vac_aa()),
        flux,
        sigma,
        masked,
        continuum_wave_vac_aa: Vec::new(),
        continuum: Vec::new(),
        model_wave_vac_aa: Vec::new(),
        model_flux: Vec::new(),
        processing_history: Vec::new(),
    }
}
