//! Answers of an encoder pair's heads: for Gaia XP spectra, and with `specola predict --model` and its name for optical
//! ones too.

use anyhow::anyhow;
use pollster::block_on;
use rayon::prelude::*;

use super::super::ModelsDir;
use super::BATCH;
use crate::model::manifest::{Kind, ModelEntry};
use crate::result::Prediction;
use crate::spectrum::Spectrum;
use crate::task::likes::encode::NotSeen;
use crate::task::likes::labels::Reader;
use crate::task::likes::{Kit, pair_entry};
use crate::task::predict::Predictor;

/// The pair, and what measures velocities.
pub(in crate::cli) struct Answers {
    reader: Reader,
    predictor: Predictor,
}

impl Answers {
    /// The pair of this name; `None` where no pair is called so.
    pub(in crate::cli) fn find(models: &ModelsDir, name: &str) -> anyhow::Result<Option<Self>> {
        let store = models.store();
        let is_pair = |m: &ModelEntry| m.name == name && m.kind == Kind::EncoderPair;
        // A folder with models of its own has its own manifest; without one here there is no pair either.
        if !block_on(store.manifest()).is_ok_and(|manifest| manifest.models.iter().any(is_pair)) {
            return Ok(None);
        }
        Self::load(models, name).map(Some)
    }

    /// The entry of the first pair that is shipped, if one is: it answers the Gaia XP spectra that no model was named for.
    pub(super) fn shipped(models: &ModelsDir) -> Option<ModelEntry> {
        let manifest = block_on(models.store().manifest()).ok()?;
        pair_entry(&manifest, None).ok().cloned()
    }

    /// The pair of a name that is shipped.
    pub(super) fn load(models: &ModelsDir, name: &str) -> anyhow::Result<Self> {
        let kit = block_on(Kit::fetch(&models.store(), Some(name), |_, _, _| {})).map_err(|why| anyhow!(why))?;
        Ok(Self { reader: Reader::new(kit), predictor: models.load(None)?.1 })
    }

    pub(in crate::cli) fn entry(&self) -> &ModelEntry {
        self.reader.encoders().entry()
    }

    /// What measures velocities.
    pub(in crate::cli) fn predictor(&self) -> &Predictor {
        &self.predictor
    }

    /// Answers in the order of the spectra, computed on all cores.
    pub(in crate::cli) fn of(&self, part: &[&Spectrum]) -> Vec<Result<Prediction, NotSeen>> {
        let share = part.len().div_ceil(rayon::current_num_threads()).clamp(1, BATCH);
        let answer = |batch: &[&Spectrum]| block_on(self.reader.predict(&self.predictor, batch));
        part.par_chunks(share).flat_map_iter(answer).map(|answer| Ok(answer?.0)).collect()
    }
}
