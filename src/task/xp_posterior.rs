//! Draws of the stellar parameters of a Gaia XP spectrum from their joint density, by the shipped flow xp-posterior.

use burn::tensor::Device;

use super::xp_model::{XpPredictError, config_of, features};
use crate::model::manifest::{Kind, Manifest, ModelEntry};
use crate::model::store::{Source, Store};
use crate::model::xp_posterior::{XpPosterior, XpPosteriorConfig};
use crate::nn::weights::Tensors;
use crate::result::Label;
use crate::spectrum::Spectrum;

/// The flow with its manifest entry.
#[derive(Debug)]
pub struct XpPosteriorModel {
    entry: ModelEntry,
    posterior: XpPosterior,
    config: XpPosteriorConfig,
    device: Device,
}

impl XpPosteriorModel {
    /// The entry of the shipped flow in a manifest.
    pub fn entry_in(manifest: &Manifest) -> Option<&ModelEntry> {
        manifest.models.iter().find(|m| m.kind == Kind::XpPosterior)
    }

    /// Builds the flow from an assembled safetensors file. The error says what failed and what to do.
    pub fn new(entry: &ModelEntry, weights: &[u8], device: &Device) -> Result<Self, String> {
        let (model, config) = (&entry.name, config_of::<XpPosteriorConfig>(entry)?);
        let posterior = Tensors::parse(weights).and_then(|tensors| XpPosterior::load(&tensors, &config.flow, device));
        let posterior = posterior.map_err(|why| format!("model `{model}`: {why}"))?;
        Ok(Self { entry: entry.clone(), posterior, config, device: device.clone() })
    }

    /// Fetches the shipped flow. `on_progress` receives the bytes received so far and the total.
    pub async fn fetch<S: Source>(store: &Store<S>, on_progress: impl FnMut(u64, u64)) -> Result<Self, String> {
        let manifest = store.manifest().await.map_err(|e| e.to_string())?;
        let entry = Self::entry_in(&manifest)
            .ok_or("this installation has no density for Gaia XP spectra; reinstall the models")?;
        let weights = store.weights(entry, on_progress).await.map_err(|e| e.to_string())?;
        Self::new(entry, &weights, &Device::flex())
    }

    /// The manifest entry.
    pub fn entry(&self) -> &ModelEntry {
        &self.entry
    }

    /// The labels of a draw, in order. `alpha_fe` is APOGEE's [α/M].
    pub fn labels(&self) -> &[Label] {
        &self.entry.labels
    }

    /// `n` draws of the labels (K, dex) for one spectrum, `[n][4]`. The same seed gives the same draws.
    pub async fn draw(&self, spectrum: &Spectrum, n: usize, seed: u64) -> Result<Vec<[f64; 4]>, XpPredictError> {
        let (features, brightness) = features(spectrum)?;
        let projected = self.posterior.components.project(&features);
        let change = self.config.change(brightness);
        let draws = self.posterior.draw(&projected, n, seed, &change, &self.device).await;
        draws.ok_or(XpPredictError::Device)
    }
}
