//! Predictions of the model for Gaia XP spectra.

use pollster::block_on;

use super::super::ModelsDir;
use super::super::files::LoadedSpectrum;
use crate::model::manifest::{Kind, ModelEntry};
use crate::result::Prediction;
use crate::result::diagnostics::ModelFit;
use crate::task::pipeline::Pipeline;
use crate::task::specclip::is_xp;
use crate::task::xp_model::{XpModel, XpPredictError};

/// Entry of the shipped model, if there is one. It predicts for Gaia XP spectra when the user names no model.
pub(super) fn shipped(models: &ModelsDir) -> Option<ModelEntry> {
    let manifest = block_on(models.store().manifest()).ok()?;
    XpModel::entry_in(&manifest).cloned()
}

/// Loads the shipped model into a pipeline without one. If loading fails, the pipeline refuses Gaia XP spectra.
pub(super) fn load_into(pipeline: &mut Pipeline, models: &ModelsDir) {
    if !pipeline.has_xp_route() {
        match block_on(XpModel::fetch(&models.store(), |_, _| {})) {
            Ok(model) => pipeline.set_xp_model(model.into()),
            Err(why) => pipeline.set_xp_unavailable(why),
        }
    }
}

/// The model of this name; `None` if no model for Gaia XP spectra has the name.
pub(in crate::cli) fn find(models: &ModelsDir, name: &str) -> anyhow::Result<Option<XpModel>> {
    let store = models.store();
    // A folder of other models has its own manifest. Without a manifest there is no such model.
    let Ok(manifest) = block_on(store.manifest()) else { return Ok(None) };
    let is_named = |m: &&ModelEntry| m.name == name && m.kind == Kind::XpPredictor;
    let Some(entry) = manifest.models.iter().find(is_named) else { return Ok(None) };
    let weights = block_on(store.weights(entry, |_, _| {}))?;
    XpModel::new(entry, &weights, &burn::tensor::Device::flex()).map(Some).map_err(anyhow::Error::msg)
}

/// Predictions in the order of the spectra. Spectra of other surveys are refused.
pub(in crate::cli) fn predict(
    model: &XpModel,
    part: &[LoadedSpectrum],
) -> Vec<(Result<Prediction, String>, Option<ModelFit>)> {
    let xp: Vec<_> = part.iter().map(|loaded| &loaded.spectrum).filter(|s| is_xp(s)).collect();
    let mut predictions = block_on(model.predict(&xp)).into_iter();
    let next = |loaded: &LoadedSpectrum| match is_xp(&loaded.spectrum) {
        true => predictions.next().unwrap_or(Err(XpPredictError::Device)).map_err(|why| why.to_string()),
        false => Err(format!("{} predicts only from Gaia XP spectra; leave --model out", model.entry().name)),
    };
    let withhold = |p: Prediction| p.withhold_impossible(|label| model.entry().is_trained_for(label));
    part.iter().map(next).map(|prediction| (prediction.map(withhold), None)).collect()
}
