//! `specola pretrain index`: the reference index that is shipped with an encoder pair.

use anyhow::{Result, anyhow};
use clap::Args;
use pollster::block_on;

use super::super::RunOutcome;
use super::EncoderRunArgs;
use super::encoders::{emulator_in, pairs_of};
use crate::model::manifest::{Kind, ModelEntry};
use crate::model::publish::publish;
use crate::model::store::{Folder, Store};
use crate::preprocess::conditioning;
use crate::task::similarity::encoders::Encoders;
use crate::task::similarity::{index_name, pair_entry};
use crate::train::grid::Grid;
use crate::train::pairs::RealShare;
use crate::train::reference_index::{self, SEED_OFFSET};
use crate::train::xp::stars::Part;

/// An index of simulated stars in both surveys, made with a published encoder pair
#[derive(Debug, Args)]
pub(super) struct MakeIndex {
    #[command(flatten)]
    common: EncoderRunArgs,
    /// Encoder pair, published in the folder of -o
    #[arg(long, value_name = "NAME", default_value = "lrs-xp-pr")]
    model: String,
    /// Number of simulated stars
    #[arg(long, default_value_t = 4000)]
    stars: usize,
}

impl MakeIndex {
    pub(super) fn run(&self) -> Result<RunOutcome> {
        let common = &self.common;
        let store = Store::new(Folder::new(common.output.clone()));
        let manifest = block_on(store.manifest())?;
        let entry = pair_entry(&manifest, Some(&self.model)).map_err(|why| anyhow!(why))?;
        let weights = block_on(store.weights(entry, |_, _| {}))?;
        let encoders = Encoders::load(entry, &weights, &common.device())?;
        let (training_grid, emulator, stars) = (common.read()?, emulator_in(&common.output)?, common.real_stars()?);
        let nodes: Vec<usize> = (0..training_grid.grid.len()).collect();
        let share = stars.as_ref().map(|stars| RealShare::none(stars, Part::Training));
        let pairs = pairs_of(&training_grid, &emulator, nodes, common.seed + SEED_OFFSET, share);
        let name = index_name(&self.model);
        let made = reference_index::make(&encoders, &pairs, self.stars, &name, &mut |line| eprintln!("{line}"))?;
        for m in &made.measurements {
            println!("{} | {} | {} | {:.4}", m.quantity, m.data_set, m.n, m.value);
        }
        let entry = ModelEntry {
            name,
            kind: Kind::Index,
            version: 2,
            modality: "lrs+xp".into(),
            labels: Grid::LABELS.to_vec(),
            recipe: conditioning::RECIPE_NAME.into(),
            trained_on: made.index.metadata.provenance.clone(),
            command: format!(
                "specola pretrain index {} --model {} --stars {} --seed {}",
                common.data_options(),
                self.model,
                self.stars,
                common.seed
            ),
            seed: common.seed,
            license: "MIT OR Apache-2.0".into(),
            measurements: made.measurements,
            ..ModelEntry::default()
        };
        publish(&common.output, &made.index.to_file()?, entry, &manifest.default)?;
        Ok(RunOutcome::Complete)
    }
}
