//! Stellar parameters of Gaia XP spectra, from the shipped network xp-mlp.

use burn::tensor::Device;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::model::manifest::{Kind, Manifest, ModelEntry};
use crate::model::store::{Source as WeightsSource, Store};
use crate::model::xp_regressor::{Projected, XpBrightness, XpConfig, XpRegressor};
use crate::nn::weights::Tensors;
use crate::preprocess::resample::linear;
use crate::preprocess::xp::{self, XpError};
use crate::preprocess::xp_features::XpFeatures;
use crate::result::{Estimate, Flag, FlagSet, Label, Prediction, ProcessingStep, Snr};
use crate::spectrum::{Source, Sourced, Spectrum};
use crate::stats::median;

/// Name of the preprocessing in training and prediction.
pub const RECIPE_NAME: &str = "specola-xp-1";

/// S/N per sample below which errors are extrapolated ([`Flag::LowSnr`]).
const LOW_SNR: f64 = 10.0;

/// Spectra per batch of the networks.
const BATCH: usize = 256;

/// Why a Gaia XP spectrum has no prediction.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum XpPredictError {
    #[error("as a Gaia XP spectrum: {0}")]
    Spectrum(#[from] XpError),
    #[error("the compute device returned no data; reload the page")]
    Device,
}

/// Features and brightness of a Gaia XP spectrum. Masked samples are interpolated.
pub(super) fn features(spectrum: &Spectrum) -> Result<(XpFeatures, XpBrightness), XpError> {
    let valid: Vec<usize> = (0..spectrum.len()).filter(|&i| !spectrum.masked()[i]).collect();
    let wave_nm: Vec<f64> = valid.iter().map(|&i| spectrum.wave_vac_aa()[i] / 10.0).collect();
    let flux: Vec<f64> = valid.iter().map(|&i| spectrum.flux()[i]).collect();
    let flux_on_grid = xp::on_grid(&wave_nm, &flux)?;
    let sigma = spectrum.ivar().map(|ivar| {
        let sigma: Vec<f64> = valid.iter().map(|&i| 1.0 / ivar[i].sqrt()).collect();
        linear(&wave_nm, &sigma, &xp::grid_nm())
    });
    let unit = flux_on_grid.iter().sum::<f64>() / flux_on_grid.len() as f64;
    if !(unit.is_finite() && unit > 0.0) {
        return Err(XpError::NoFlux);
    }
    let relative = |values: &[f64]| values.iter().map(|v| (v / unit) as f32).collect::<Vec<f32>>();
    let snr = sigma.as_ref().and_then(|s| median(&mut flux_on_grid.iter().zip(s).map(|(f, s)| f / s).collect()));
    let features = XpFeatures::of(&relative(&flux_on_grid), &sigma.map_or_else(Vec::new, |s| relative(&s)));
    Ok((features.ok_or(XpError::NoFlux)?, XpBrightness::of(unit, snr)))
}

/// The configuration in the manifest entry of a model for Gaia XP spectra. The error says what failed and what to do.
pub(super) fn config_of<T: DeserializeOwned>(entry: &ModelEntry) -> Result<T, String> {
    let model = &entry.name;
    if entry.recipe != RECIPE_NAME {
        return Err(format!(
            "model `{model}` was trained with the preprocessing `{}`, which this version lacks; update Specola",
            entry.recipe
        ));
    }
    serde_json::from_str(&entry.networks)
        .map_err(|why| format!("model `{model}`: its configuration is invalid ({why}); update the models"))
}

/// The network with its manifest entry.
#[derive(Debug)]
pub struct XpModel {
    entry: ModelEntry,
    regressor: XpRegressor,
    config: XpConfig,
    device: Device,
}

/// A spectrum as input of the networks.
struct Input {
    projected: Projected,
    brightness: XpBrightness,
    errors_lack_correlations: bool,
}

impl XpModel {
    /// The entry of the shipped network in a manifest.
    pub fn entry_in(manifest: &Manifest) -> Option<&ModelEntry> {
        manifest.models.iter().find(|m| m.kind == Kind::XpPredictor)
    }

    /// Builds the networks from an assembled safetensors file. The error says what failed and what to do.
    pub fn new(entry: &ModelEntry, weights: &[u8], device: &Device) -> Result<Self, String> {
        let (model, config) = (&entry.name, config_of::<XpConfig>(entry)?);
        let regressor = Tensors::parse(weights).and_then(|tensors| XpRegressor::load(&tensors, config.members, device));
        let regressor = regressor.map_err(|why| format!("model `{model}`: {why}"))?;
        Ok(Self { entry: entry.clone(), regressor, config, device: device.clone() })
    }

    /// Fetches the shipped network. `on_progress` receives the bytes received so far and the total.
    pub async fn fetch<S: WeightsSource>(store: &Store<S>, on_progress: impl FnMut(u64, u64)) -> Result<Self, String> {
        let manifest = store.manifest().await.map_err(|e| e.to_string())?;
        let entry = Self::entry_in(&manifest)
            .ok_or("this installation has no model for Gaia XP spectra; reinstall the models")?;
        let weights = store.weights(entry, on_progress).await.map_err(|e| e.to_string())?;
        Self::new(entry, &weights, &Device::flex())
    }

    /// The manifest entry.
    pub fn entry(&self) -> &ModelEntry {
        &self.entry
    }

    /// Predictions, in the order of `spectra`.
    pub async fn predict(&self, spectra: &[&Spectrum]) -> Vec<Result<Prediction, XpPredictError>> {
        let mut predictions = Vec::with_capacity(spectra.len());
        for batch in spectra.chunks(BATCH) {
            let inputs: Vec<Result<Input, XpError>> = batch.iter().map(|spectrum| self.input(spectrum)).collect();
            let projected: Vec<Projected> = inputs.iter().flatten().map(|input| input.projected.clone()).collect();
            let mut estimates = self.regressor.predict(&projected, &self.device).await.unwrap_or_default().into_iter();
            predictions.extend(inputs.into_iter().map(|input| {
                let input = input?;
                let estimate = estimates.next().ok_or(XpPredictError::Device)?;
                Ok(self.assemble(&input, estimate.values, estimate.errors))
            }));
        }
        predictions
    }

    fn input(&self, spectrum: &Spectrum) -> Result<Input, XpError> {
        let (features, brightness) = features(spectrum)?;
        let errors_lack_correlations = spectrum.meta.errors_lack_correlations;
        Ok(Input { projected: self.regressor.components.project(&features), brightness, errors_lack_correlations })
    }

    fn assemble(&self, input: &Input, values: [f64; 4], errors: [f64; 4]) -> Prediction {
        let calibration = self.config.calibration(input.brightness);
        let teff = values[0];
        let has_composition = teff <= self.config.max_teff_of_composition;
        let estimates: Vec<Estimate> = self
            .entry
            .labels
            .iter()
            .enumerate()
            .filter(|(_, label)| has_composition || !matches!(label, Label::Feh | Label::AlphaFe))
            .filter_map(|(j, &label)| {
                let factor = calibration.map_or(1.0, |c| c.error_factors[j]);
                Some(Estimate { label, value: *values.get(j)?, error: factor * errors.get(j)? })
            })
            .collect();
        let mut flags = FlagSet::new();
        let is_unlike_training = calibration
            .is_some_and(|c| input.projected.distance > c.max_distance || input.projected.residual > c.max_residual);
        if is_unlike_training {
            flags.insert(Flag::OutOfTraining);
        }
        let is_outside = |e: &Estimate| {
            self.entry
                .label_range
                .iter()
                .any(|(label, low, high)| e.label == *label && !(*low..=*high).contains(&e.value))
        };
        if estimates.iter().any(is_outside) {
            flags.insert(Flag::GridEdge);
        }
        if input.brightness.snr.is_some_and(|snr| snr < LOW_SNR) {
            flags.insert(Flag::LowSnr);
        }
        if input.errors_lack_correlations {
            flags.insert(Flag::CorrelationsMissing);
        }
        let step =
            |step: &str, description: String, is_assumed| ProcessingStep { step: step.into(), description, is_assumed };
        let mut processing_history = vec![step(
            "normalise",
            format!(
                "flux over its mean, on 343 samples from 336 to 1020 nm, as {} principal components",
                self.regressor.components.len()
            ),
            false,
        )];
        if input.brightness.snr.is_none() {
            processing_history.push(step("S/N", "the file gives no errors; S/N 50 per sample is assumed".into(), true));
        }
        if let Some(c) = calibration {
            // A Gaussian would have 1.96.
            let tails: Vec<String> = estimates
                .iter()
                .filter_map(|e| {
                    let j = self.entry.labels.iter().position(|label| *label == e.label)?;
                    Some(format!("{} {:.1}", e.label.symbol(), c.error_factors_95[j] / c.error_factors[j]))
                })
                .collect();
            let description = format!(
                "calibrated on real stars of this brightness; 95 % of them lie within {} errors",
                tails.join(", ")
            );
            processing_history.push(step("errors", description, false));
        }
        if !has_composition {
            flags.insert(Flag::HotStar);
            processing_history.push(step(
                "composition",
                format!(
                    "no [Fe/H] and [α/Fe] above {:.0} K, where the training stars have none",
                    self.config.max_teff_of_composition
                ),
                false,
            ));
        }
        Prediction {
            model: self.entry.title(),
            model_sha256: self.entry.sha256.clone(),
            snr: input.brightness.snr.map(|snr| -> Snr { Sourced::new(snr, Source::File) }),
            estimates,
            flags,
            processing_history,
            finetuned: None,
        }
    }
}
