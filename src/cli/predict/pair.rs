//! Predictions of an encoder pair, with `--model NAME` of `specola predict`.

use anyhow::anyhow;
use pollster::block_on;
use rayon::prelude::*;

use super::super::ModelsDir;
use super::BATCH;
use crate::model::manifest::{Kind, ModelEntry};
use crate::result::Prediction;
use crate::spectrum::Spectrum;
use crate::task::predict::Predictor;
use crate::task::similarity::EncoderBundle;
use crate::task::similarity::encoder_set::EncoderSet;
use crate::task::similarity::encoders::EncodeError;

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
        part.par_chunks(batch_size)
            .flat_map_iter(predict)
            .map(|predicted| Ok(predicted?.0.withhold_impossible(|_| true)))
            .collect()
    }
}

fn load(models: &ModelsDir, name: &str) -> anyhow::Result<EncoderSet> {
    let bundle =
        block_on(EncoderBundle::fetch(&models.store(), Some(name), |_, _, _| {})).map_err(|why| anyhow!(why))?;
    Ok(EncoderSet::new(bundle))
}
