//! Stellar parameters of spectra.
//!
//! One network measures the radial velocity from the spectrum as it came; the other reads the remaining labels from the
//! spectrum at rest. So the labels do not depend on the velocity, and teaching the second network new labels cannot make
//! the velocity drift.

use std::pin::Pin;
use std::sync::Arc;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::model::calibration::Subspace;
use crate::model::manifest::ModelEntry;
use crate::model::regressor::Regressor;
use crate::model::weights::{Tensors, WeightsError};
use crate::preprocess::grid::{self, C_KMS};
use crate::preprocess::noise::pixel_sigma;
use crate::preprocess::recipe::{self, Opened, Prepared, Refusal};
use crate::result::teach::TaughtValue;
use crate::result::{Estimate, Flag, Label, LedgerEntry, Prediction, SpectrumView};
use crate::spectrum::{Frame, Spectrum};
use crate::task::discrepancy::Discrepancy;
use crate::task::fit::Modeller;
use crate::task::kinds;
use crate::task::teach::adapter::Adapter;
use crate::task::teach::look::Column;

/// Why a model cannot be loaded.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum ModelError {
    #[error("model `{model}`: {source}")]
    Weights { model: String, source: WeightsError },
    #[error(
        "model `{model}` was trained behind the recipe `{recipe}`, which this version does not have; update Specola"
    )]
    Recipe { model: String, recipe: String },
    #[error(
        "model `{model}`: its networks take {pixels} pixels and give {outputs} labels, which does not fit its manifest"
    )]
    Shape { model: String, pixels: usize, outputs: usize },
}

/// Why there is no prediction.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs)]
pub enum NoPrediction {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the compute device gave nothing back; reload the page")]
    Device,
    #[error("the adapter in use goes by an emulator, which is not there; load the adapter again")]
    NoEmulator,
}

/// One of a model's two networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// Measures the velocity.
    Rv,
    /// Reads all other labels.
    Labels,
}

/// Work for a network: standardised inputs, row after row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// Which network.
    pub network: Network,
    /// Number of spectra.
    pub rows: usize,
    /// Their pixels.
    pub inputs: Vec<f32>,
}

/// Standardised outputs, row after row; `None` when there will be none.
pub type Outputs<'a> = Pin<Box<dyn Future<Output = Option<Vec<f32>>> + 'a>>;

/// Something that runs a model's networks elsewhere, as a GPU in another worker. What it does not answer the predictor
/// computes itself, so a helper may fail at any moment.
pub trait Helper {
    /// The outputs of a batch.
    fn run<'a>(&'a self, batch: &'a Batch) -> Outputs<'a>;
}

/// A loaded model.
#[derive(Debug)]
pub struct Predictor {
    entry: ModelEntry,
    rv: Regressor,
    labels: Regressor,
    /// Labels of the second network, in the order of its outputs.
    outputs: Vec<Label>,
    known: Subspace,
    device: Device,
    adapter: Option<Box<Adapter>>,
    modeller: Option<Arc<Modeller>>,
}

/// A spectrum as the label network sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelInput {
    /// Normalised flux at rest, `[1462]`; NaN where the spectrum has nothing.
    pub norm: Vec<f32>,
    /// S/N a model pixel, if it can be told.
    pub snr: Option<f64>,
    /// Part of the model's pixels that are there.
    pub coverage: f64,
    /// How it differs from the emulator's spectrum; `None` without an emulator ([`Predictor::emulate`]), and where that has
    /// nothing to say.
    pub discrepancy: Option<Discrepancy>,
}

/// A spectrum whose velocity was measured and taken out.
#[derive(Debug, Clone, PartialEq)]
pub struct RestFrame {
    /// That velocity.
    pub rv_kms: f64,
    /// S/N a model pixel, if it can be told.
    pub snr: Option<f64>,
    /// Normalised flux at rest, `[1462]`; NaN where the spectrum has nothing.
    pub norm: Vec<f32>,
    /// Its errors, `[1462]`; empty when the file has none.
    pub sigma: Vec<f32>,
}

/// A spectrum on its way: opened, its velocity measured, at rest.
pub(super) struct AtRest {
    pub(super) opened: Opened,
    pub(super) rv_kms: f64,
    pub(super) prepared: Prepared,
}

impl Predictor {
    /// Builds the networks from an assembled safetensors file.
    pub fn new(entry: &ModelEntry, weights: &[u8], device: &Device) -> Result<Self, ModelError> {
        let model = entry.name.clone();
        if entry.recipe != recipe::NAME {
            return Err(ModelError::Recipe { model, recipe: entry.recipe.clone() });
        }
        let load = || -> Result<_, WeightsError> {
            let tensors = Tensors::parse(weights)?;
            let rv = Regressor::load(&tensors, "rv.", device)?;
            let labels = Regressor::load(&tensors, "labels.", device)?;
            Ok((rv, labels, Subspace::load(&tensors, "known.")?))
        };
        let (rv, labels, known) = load().map_err(|source| ModelError::Weights { model: model.clone(), source })?;
        let outputs: Vec<Label> = entry.labels.iter().copied().filter(|l| *l != Label::Rv).collect();
        for (network, expected) in [(&rv, 1), (&labels, outputs.len())] {
            let (pixels, outputs) = (network.input_mean.len(), network.n_outputs());
            if pixels != grid::MODEL_PIXELS || outputs != expected {
                return Err(ModelError::Shape { model, pixels, outputs });
            }
        }
        Ok(Self::from_parts(entry, rv, labels, known, device))
    }

    /// A model that is not in any file yet, as training measures it.
    pub fn from_parts(entry: &ModelEntry, rv: Regressor, labels: Regressor, known: Subspace, device: &Device) -> Self {
        let outputs = entry.labels.iter().copied().filter(|l| *l != Label::Rv).collect();
        let device = device.clone();
        Self { entry: entry.clone(), rv, labels, outputs, known, device, adapter: None, modeller: None }
    }

    /// From now on an adapter's label comes from what was taught; `None` returns to the shipped network. The adapter must
    /// have been opened on this very model.
    pub fn teach(&mut self, adapter: Option<Adapter>) {
        self.adapter = adapter.map(Box::new);
    }

    /// From now on spectra are held against this emulator where that is of use: before teaching, and for adapters that
    /// were taught so.
    pub fn emulate(&mut self, modeller: Arc<Modeller>) {
        self.modeller = Some(modeller);
    }

    /// The emulator that spectra are held against.
    pub fn modeller(&self) -> Option<&Modeller> {
        self.modeller.as_deref()
    }

    /// The adapter in use.
    pub fn adapter(&self) -> Option<&Adapter> {
        self.adapter.as_deref()
    }

    /// The model's manifest entry.
    pub fn entry(&self) -> &ModelEntry {
        &self.entry
    }

    /// What the label network sees of each spectrum, in the same order: what is taught from.
    pub async fn inputs(&self, spectra: &[&Spectrum]) -> Vec<Result<LabelInput, NoPrediction>> {
        let ready = self.bring_to_rest(None, spectra).await;
        ready.into_iter().map(|star| star.map(|star| self.input(&star, None))).collect()
    }

    /// The same, held against the emulator if there is one.
    pub async fn inputs_to_refine(&self, spectra: &[&Spectrum]) -> Vec<Result<LabelInput, NoPrediction>> {
        let ready = self.bring_to_rest(None, spectra).await;
        let inputs: Vec<&[f32]> = ready.iter().flatten().map(|r| r.prepared.norm.as_slice()).collect();
        let labels = match &self.modeller {
            Some(_) => self.infer(None, Network::Labels, &inputs).await.unwrap_or_default(),
            None => Vec::new(),
        };
        let mut labels = labels.iter();
        let mut input = |star: AtRest| self.input(&star, labels.next().map(Vec::as_slice));
        ready.into_iter().map(|star| star.map(&mut input)).collect()
    }

    /// What the label network sees of a spectrum, held against the emulator at that network's labels if they are given.
    fn input(&self, star: &AtRest, labels: Option<&[f64]>) -> LabelInput {
        let of = |labels: &[f64]| {
            let [teff, logg, feh, alpha_fe] = Column::all(&self.outputs)?.map(|i| labels[i]);
            self.modeller.as_ref()?.discrepancy(star, [teff, logg, feh, alpha_fe])
        };
        LabelInput {
            norm: star.prepared.norm.clone(),
            snr: star.opened.snr.map(|s| s.value),
            coverage: star.prepared.coverage,
            discrepancy: labels.and_then(of),
        }
    }

    /// Each spectrum at rest on the model's grid, in the same order: what is compared between surveys.
    pub async fn at_rest(&self, spectra: &[&Spectrum]) -> Vec<Result<RestFrame, NoPrediction>> {
        let ready = self.bring_to_rest(None, spectra).await;
        let rest = |star: AtRest, spectrum: &Spectrum| RestFrame {
            sigma: pixel_sigma(spectrum, &star.opened, &star.prepared, star.rv_kms),
            rv_kms: star.rv_kms,
            snr: star.opened.snr.map(|s| s.value),
            norm: star.prepared.norm,
        };
        ready.into_iter().zip(spectra).map(|(star, spectrum)| Ok(rest(star?, spectrum))).collect()
    }

    /// One spectrum at rest, with all that led there.
    pub(super) async fn rest(&self, spectrum: &Spectrum) -> Result<AtRest, NoPrediction> {
        self.bring_to_rest(None, &[spectrum]).await.pop().unwrap_or(Err(NoPrediction::Device))
    }

    /// Where its networks are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// How far a normalised spectrum at rest is from those that the model knows, in units of the continuum: beyond the
    /// manifest's `max_distance` it is flagged.
    pub fn distance(&self, norm: &[f32], snr: Option<f64>) -> f64 {
        self.known.distance(norm, snr)
    }

    /// The network that reads the labels from the spectrum at rest.
    pub fn label_network(&self) -> &Regressor {
        &self.labels
    }

    /// Labels of that network, in the order of its outputs.
    pub fn outputs(&self) -> &[Label] {
        &self.outputs
    }

    /// One answer a spectrum, in the same order.
    pub async fn predict(&self, spectra: &[&Spectrum]) -> Vec<Result<Prediction, NoPrediction>> {
        self.predict_with(None, spectra).await
    }

    /// The same, with the networks run by a helper as far as it can.
    pub async fn predict_with(
        &self,
        helper: Option<&dyn Helper>,
        spectra: &[&Spectrum],
    ) -> Vec<Result<Prediction, NoPrediction>> {
        let ready = self.bring_to_rest(helper, spectra).await;
        let inputs: Vec<&[f32]> = ready.iter().flatten().map(|r| r.prepared.norm.as_slice()).collect();
        let answers = self.infer(helper, Network::Labels, &inputs).await;
        let taught = match &self.adapter {
            Some(adapter) if adapter.is_answered_by(self.modeller()).is_err() => {
                return spectra.iter().map(|_| Err(NoPrediction::NoEmulator)).collect();
            }
            Some(adapter) => {
                let labels = answers.iter().flatten().map(Vec::as_slice).filter(|_| adapter.taught().is_refined());
                let mut labels = labels.map(Some).chain(std::iter::repeat(None));
                let inputs = ready.iter().flatten().map(|star| self.input(star, labels.next().flatten()));
                let inputs: Vec<LabelInput> = inputs.collect();
                let inputs: Vec<&LabelInput> = inputs.iter().collect();
                Some(adapter.answer(self, &inputs).await.unwrap_or_default())
            }
            None => None,
        };
        let mut answers = answers.map(Vec::into_iter);
        let mut taught = taught.map(Vec::into_iter);
        ready
            .into_iter()
            .map(|ready| {
                let ready = ready?;
                let labels = answers.as_mut().and_then(Iterator::next).ok_or(NoPrediction::Device)?;
                let prediction = self.judge(&ready, &labels);
                match &mut taught {
                    None => Ok(prediction),
                    Some(taught) => {
                        let value = taught.next().ok_or(NoPrediction::Device)?;
                        Ok(self.mark(prediction, value, ready.prepared.coverage))
                    }
                }
            })
            .collect()
    }

    /// The curves of one spectrum and the ledger of what was done to it.
    pub async fn view(&self, spectrum: &Spectrum) -> SpectrumView {
        match self.bring_to_rest(None, &[spectrum]).await.pop() {
            Some(Ok(at_rest)) => {
                let outputs = self.infer(None, Network::Labels, &[&at_rest.prepared.norm]).await.unwrap_or_default();
                let note = outputs.first().and_then(|outputs| self.note_on_kind(&at_rest, outputs));
                let mut view = raw_view(spectrum);
                let doppler = 1.0 + at_rest.rv_kms / C_KMS;
                // All that the flux was divided by, the running mean beside the polynomial.
                view.continuum_wave_vac_aa = grid::model_wave_vac_aa().iter().map(|w| (w * doppler) as f32).collect();
                view.continuum = at_rest.prepared.divisor.iter().map(|c| *c as f32).collect();
                view.model_wave_vac_aa = grid::model_wave_vac_aa().iter().map(|w| *w as f32).collect();
                view.model_flux = at_rest.prepared.norm;
                view.ledger = at_rest.opened.ledger;
                view.ledger.extend(at_rest.prepared.ledger);
                view.ledger.extend(note);
                view
            }
            Some(Err(why)) => {
                let mut view = raw_view(spectrum);
                view.ledger.push(LedgerEntry { step: "refused".into(), did: why.to_string(), assumed: false });
                view
            }
            None => raw_view(spectrum),
        }
    }

    /// Runs a network on this model's own device.
    pub async fn run(&self, batch: Batch) -> Option<Vec<f32>> {
        self.network(batch.network).run(batch.inputs, &self.device).await
    }

    fn network(&self, network: Network) -> &Regressor {
        match network {
            Network::Rv => &self.rv,
            Network::Labels => &self.labels,
        }
    }

    /// A network's answers for a batch of normalised spectra, in the labels' units.
    async fn infer(&self, helper: Option<&dyn Helper>, network: Network, inputs: &[&[f32]]) -> Option<Vec<Vec<f64>>> {
        let regressor = self.network(network);
        let batch = Batch { network, rows: inputs.len(), inputs: regressor.standardised(inputs) };
        let helped = match helper {
            Some(helper) => helper.run(&batch).await,
            None => None,
        };
        let whole = |outputs: &Vec<f32>| outputs.len() == inputs.len() * regressor.n_outputs();
        let outputs = match helped.filter(whole) {
            Some(outputs) => outputs,
            None => self.run(batch).await?,
        };
        Some(regressor.all_in_units(&outputs))
    }

    /// Opens spectra, measures their velocities in one batch and shifts them to rest.
    async fn bring_to_rest(
        &self,
        helper: Option<&dyn Helper>,
        spectra: &[&Spectrum],
    ) -> Vec<Result<AtRest, NoPrediction>> {
        let observed: Vec<Result<(Opened, Prepared), NoPrediction>> = spectra
            .iter()
            .map(|spectrum| {
                let opened = Opened::new(spectrum)?;
                let prepared = opened.at_velocity(0.0)?;
                Ok((opened, prepared))
            })
            .collect();
        let inputs: Vec<&[f32]> = observed.iter().flatten().map(|(_, p)| p.norm.as_slice()).collect();
        let velocities = self.infer(helper, Network::Rv, &inputs).await;
        let mut velocities = velocities.map(Vec::into_iter);
        observed
            .into_iter()
            .map(|observed| {
                let (opened, _) = observed?;
                let velocity = velocities.as_mut().and_then(Iterator::next).ok_or(NoPrediction::Device)?;
                let rv_kms = velocity.first().copied().unwrap_or(0.0);
                let prepared = opened.at_velocity(rv_kms)?;
                Ok(AtRest { opened, rv_kms, prepared })
            })
            .collect()
    }

    /// What the label network said of a label.
    fn value_in(&self, outputs: &[f64], label: Label) -> Option<f64> {
        self.outputs.iter().position(|l| *l == label).and_then(|i| outputs.get(i)).copied()
    }

    /// Why the star is of another kind than the label network's answer says, if it is.
    fn note_on_kind(&self, star: &AtRest, outputs: &[f64]) -> Option<LedgerEntry> {
        let (teff_k, feh) = (self.value_in(outputs, Label::Teff)?, self.value_in(outputs, Label::Feh)?);
        let did = kinds::contradiction(&star.opened, star.rv_kms, teff_k, feh)?;
        Some(LedgerEntry { step: "kind of star".into(), did, assumed: false })
    }

    /// Values, errors and flags from what the networks said.
    fn judge(&self, star: &AtRest, outputs: &[f64]) -> Prediction {
        let snr = star.opened.snr;
        let feh = self.value_in(outputs, Label::Feh).unwrap_or(0.0);
        let value = |label: Label| match label {
            // What is left in a spectrum at rest is no velocity of the star.
            Label::Rv => Some(star.rv_kms).filter(|_| star.opened.frame != Frame::Rest),
            other => self.value_in(outputs, other),
        };
        let estimates: Vec<Estimate> = self
            .entry
            .labels
            .iter()
            .filter_map(|&label| {
                let errors = self.entry.errors.iter().find(|e| e.label == label);
                let error = errors.map_or(f64::NAN, |e| e.sigma(feh, snr.map(|s| s.value), star.prepared.coverage));
                value(label).map(|value| Estimate { label, value, error })
            })
            .collect();
        let mut flags = star.opened.flags.clone();
        if self.distance(&star.prepared.norm, snr.map(|s| s.value)) > self.entry.max_distance {
            flags.push(Flag::OutOfTraining);
        }
        let mut ledger: Vec<LedgerEntry> = star.opened.ledger.iter().chain(&star.prepared.ledger).cloned().collect();
        if let Some(note) = self.note_on_kind(star, outputs) {
            flags.push(Flag::OutOfTraining);
            ledger.push(note);
        }
        let beyond = |&(label, low, high): &(Label, f64, f64)| value(label).is_some_and(|v| v < low || v > high);
        if self.entry.label_range.iter().any(beyond) {
            flags.push(Flag::GridEdge);
        }
        flags.sort_unstable();
        flags.dedup();
        let (model, model_sha256) = (self.entry.title(), self.entry.sha256.clone());
        Prediction { model, model_sha256, snr, estimates, flags, ledger, taught: None }
    }

    /// A prediction with the taught label in its place, and marked. `coverage` is the part of the model's pixels that the
    /// spectrum has.
    fn mark(&self, prediction: Prediction, value: f64, coverage: f64) -> Prediction {
        let Some(adapter) = &self.adapter else { return prediction };
        let card = adapter.card();
        let is_feh = card.label() == Some(Label::Feh);
        let feh = prediction.get(Label::Feh).filter(|_| !is_feh).map_or(value, |e| e.value);
        let own = card.label().and_then(|label| prediction.get(label));
        let before = own.map(|e| e.value);
        let mut error = card.error;
        if let Some(own) = own {
            // What cross-validation found holds for whole spectra at the S/N of those taught from; what noise and missing
            // pixels add beyond that comes on top.
            let noise = self.entry.errors.iter().find(|e| e.label == own.label).map_or(0.0, |errors| {
                let snr = prediction.snr.map(|s| s.value);
                let (here, there) = (errors.sigma(feh, snr, coverage), errors.sigma(feh, card.snr, 1.0));
                (here * here - there * there).max(0.0).sqrt()
            });
            error = error.hypot(noise);
        }
        let taught = TaughtValue { target: card.target.clone(), value, error, before };
        prediction.with(taught, (card.title(), adapter.sha256().into()))
    }
}

/// The curves of a spectrum that no model has seen.
pub fn raw_view(spectrum: &Spectrum) -> SpectrumView {
    let narrow = |values: &[f64]| values.iter().map(|v| *v as f32).collect::<Vec<f32>>();
    // Surveys write 0 where nothing was measured: a gap in the curve, not a line down to 0.
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
        wave_vac_aa: narrow(spectrum.wave_vac_aa()),
        flux,
        sigma,
        masked,
        continuum_wave_vac_aa: Vec::new(),
        continuum: Vec::new(),
        model_wave_vac_aa: Vec::new(),
        model_flux: Vec::new(),
        ledger: Vec::new(),
    }
}
