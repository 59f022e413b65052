//! Predictions of an encoder pair: for Gaia XP spectra, and with `--model NAME` of `specola predict` also for optical
//! spectra.

use anyhow::anyhow;
use pollster::block_on;
use rayon::prelude::*;

use super::super::ModelsDir;
use super::BATCH;
use crate::model::manifest::{Kind, ModelEntry};
use crate::result::Prediction;
use crate::spectrum::Spectrum;
use crate::task::pipeline::Pipeline;
use crate::task::predict::Predictor;
use crate::task::similarity::encoder_set::EncoderSet;
use crate::task::similarity::encoders::EncodeError;
use crate::task::similarity::{EncoderBundle, pair_entry};

/// An encoder pair, and the model that measures radial velocities.
pub(in crate::cli) struct PairModel {
    set: EncoderSet,
    predictor: Predictor,
}

impl PairModel {
    /// Loads the encoder pair of this name; `None` if no pair has the name.
    pub(in crate::cli) fn find(models: &ModelsDir, name: &str) -> anyhow::Result<Option<Self>> {
        let is_pair = |m: &ModelEntry| m.name == name && m.kind == Kind::EncoderPair;
        // A folder of other models has its own manifest. Without a manifest there is no pair.
        if !block_on(models.store().manifest()).is_ok_and(|manifest| manifest.models.iter().any(is_pair)) {
            return Ok(None);
        }
        Ok(Some(Self { set: load(models, name)?, predictor: models.load(None)?.1 }))
    }

    /// Entry of the shipped pair, if there is one. The pair predicts for Gaia XP spectra when the user names no model.
    pub(super) fn shipped(models: &ModelsDir) -> Option<ModelEntry> {
        let manifest = block_on(models.store().manifest()).ok()?;
        pair_entry(&manifest, None).ok().cloned()
    }

    /// Loads the pair of this name into a pipeline without a pair. If loading fails, the pipeline refuses Gaia XP
    /// spectra.
    pub(super) fn load_into(pipeline: &mut Pipeline, models: &ModelsDir, name: &str) {
        if !pipeline.has_xp_route() {
            match load(models, name) {
                Ok(set) => pipeline.set_encoders(set),
                Err(why) => pipeline.set_encoders_unavailable(format!("{why:#}")),
            }
        }
    }

    /// Manifest entry of the pair.
    pub(in crate::cli) fn entry(&self) -> &ModelEntry {
        self.set.encoders().entry()
    }

    /// The model that measures radial velocities.
    pub(in crate::cli) fn predictor(&self) -> &Predictor {
        &self.predictor
    }

    /// Predictions in the order of the spectra, computed on all cores.
    pub(in crate::cli) fn predict(&self, part: &[&Spectrum]) -> Vec<Result<Prediction, EncodeError>> {
        let batch_size = part.len().div_ceil(rayon::current_num_threads()).clamp(1, BATCH);
        let predict = |batch: &[&Spectrum]| block_on(self.set.predict(&self.predictor, batch));
        part.par_chunks(batch_size).flat_map_iter(predict).map(|predicted| Ok(predicted?.0)).collect()
    }
}

fn load(models: &ModelsDir, name: &str) -> anyhow::Result<EncoderSet> {
    let bundle =
        block_on(EncoderBundle::fetch(&models.store(), Some(name), |_, _, _| {})).map_err(|why| anyhow!(why))?;
    Ok(EncoderSet::new(bundle))
}
