//! Downloads of models, encoder pair and emulator from the page's own site, with progress.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use burn::tensor::Device;
use futures_channel::oneshot;
use wasm_bindgen_futures::spawn_local;

use super::EngineError;
use super::protocol::{DiagnosticsEvent, FinetuneEvent, MODELS_CACHE, SimilarityEvent, SpectraEvent};
use super::scope::{post, scope};
use crate::model::manifest::{Manifest, ModelEntry};
use crate::model::store::{Site, Store};
use crate::task::predict::Predictor;
use crate::task::similarity::EncoderBundle;
use crate::task::synthetic_model::SyntheticModel;
use crate::task::xp_model::XpModel;
use crate::task::xp_posterior::XpPosteriorModel;

/// Folder of the shipped models, relative to the worker's script.
const MODELS_FOLDER: &str = "models/";

/// Bytes between two progress events.
const PROGRESS_STEP_BYTES: u64 = 1 << 17;

fn store() -> Result<Store<Site>, EngineError> {
    Ok(Store::new(Site::beside(scope(), MODELS_FOLDER, MODELS_CACHE).map_err(EngineError::Unavailable)?))
}

/// Passes on one progress report in [`PROGRESS_STEP_BYTES`], and the last one.
fn throttle(mut report: impl FnMut(&str, u64, u64)) -> impl FnMut(&str, u64, u64) {
    let mut reported = 0;
    move |item, done, total| {
        if done == total || done.abs_diff(reported) >= PROGRESS_STEP_BYTES {
            reported = done;
            report(item, done, total);
        }
    }
}

/// A downloaded model.
pub(super) struct DownloadedModel {
    pub(super) manifest: Manifest,
    pub(super) entry: ModelEntry,
    weights: Vec<u8>,
}

impl DownloadedModel {
    /// Builds the model's networks on a device.
    pub(super) fn predictor(&self, device: &Device) -> Result<Predictor, EngineError> {
        Predictor::new(&self.entry, &self.weights, device).map_err(|e| EngineError::Unavailable(e.to_string()))
    }
}

/// Downloads the weights of a model; without a name, of the default model. `report` gets name and version, the bytes so
/// far, and the bytes in all.
pub(super) async fn model(
    name: Option<&str>,
    report: impl FnMut(&str, u64, u64),
) -> Result<DownloadedModel, EngineError> {
    let unavailable = |why: &dyn std::fmt::Display| EngineError::Unavailable(why.to_string());
    let store = store()?;
    let manifest = store.manifest().await.map_err(|e| unavailable(&e))?;
    let entry = match name {
        Some(name) => manifest
            .get(name)
            .ok_or_else(|| unavailable(&format!("the list of models has no {name}; reload the page")))?,
        None => manifest
            .default_model()
            .ok_or_else(|| unavailable(&"the list of models has no default; reload the page"))?,
    };
    let (title, mut report) = (entry.title(), throttle(report));
    let weights = store.weights(entry, |done, total| report(&title, done, total)).await.map_err(|e| unavailable(&e))?;
    let entry = entry.clone();
    Ok(DownloadedModel { manifest, entry, weights })
}

/// Downloads a base model for fine-tuning.
pub(super) async fn base_model(name: &str) -> Result<Predictor, EngineError> {
    let report = |_: &str, done, total| post(FinetuneEvent::Fetching { done, total });
    model(Some(name), report).await?.predictor(&Device::flex())
}

/// Downloads the encoder pair and its index in the background, and passes them to `on_done`. The returned sender stops
/// the download.
pub(super) fn encoders(on_done: impl FnOnce(Result<EncoderBundle, EngineError>) + 'static) -> oneshot::Sender<()> {
    let (stop, mut stop_signal) = oneshot::channel::<()>();
    spawn_local(async move {
        let mut fetch = pin!(fetch_encoders());
        let bundle = poll_fn(|cx| match Pin::new(&mut stop_signal).poll(cx) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => fetch.as_mut().poll(cx).map(Some),
        });
        if let Some(bundle) = bundle.await {
            on_done(bundle);
        }
    });
    stop
}

async fn fetch_encoders() -> Result<EncoderBundle, EngineError> {
    let report = throttle(|item, done, total| post(SimilarityEvent::Loading { item: item.into(), done, total }));
    EncoderBundle::fetch(&store()?, None, report).await.map_err(EngineError::Unavailable)
}

/// Downloads the model for Gaia XP spectra.
pub(super) async fn xp_model() -> Result<XpModel, EngineError> {
    let report = |done, total| post(SpectraEvent::XpModelLoading { done, total });
    XpModel::fetch(&store()?, report).await.map_err(EngineError::Unavailable)
}

/// Downloads the joint density of the labels of Gaia XP spectra.
pub(super) async fn xp_posterior() -> Result<XpPosteriorModel, EngineError> {
    let report = |done, total| post(DiagnosticsEvent::Loading { done, total });
    XpPosteriorModel::fetch(&store()?, report).await.map_err(EngineError::Unavailable)
}

/// Downloads the emulator.
pub(super) async fn emulator() -> Result<SyntheticModel, EngineError> {
    let report = |done, total| post(DiagnosticsEvent::Loading { done, total });
    SyntheticModel::fetch(&store()?, report).await.map_err(EngineError::Unavailable)
}
