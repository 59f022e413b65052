//! `specola pretrain index`: the look-alikes that are shipped with an encoder pair.

use anyhow::{Result, anyhow};
use clap::Args;
use pollster::block_on;

use super::super::Outcome;
use super::Common;
use super::encoders::{emulator_in, pairs_of};
use crate::model::manifest::{Kind, ModelEntry};
use crate::model::publish::publish;
use crate::model::store::{Folder, Store};
use crate::preprocess::recipe;
use crate::task::likes::encode::Encoders;
use crate::task::likes::{index_name, pair_entry};
use crate::train::grid::Grid;
use crate::train::reference::{self, STREAM};

/// An index of simulated stars in both surveys, made with a published encoder pair
#[derive(Debug, Args)]
pub(super) struct MakeIndex {
    #[command(flatten)]
    common: Common,
    /// Encoder pair, published in the folder of -o
    #[arg(long, value_name = "NAME", default_value = "lrs-xp-pr")]
    model: String,
    /// Stars
    #[arg(long, default_value_t = 4000)]
    stars: usize,
}

impl MakeIndex {
    pub(super) fn run(&self) -> Result<Outcome> {
        let common = &self.common;
        let store = Store::new(Folder::new(common.output.clone()));
        let manifest = block_on(store.manifest())?;
        let entry = pair_entry(&manifest, Some(&self.model)).map_err(|why| anyhow!(why))?;
        let weights = block_on(store.weights(entry, |_, _| {}))?;
        let encoders = Encoders::load(entry, &weights, &common.device())?;
        let (material, emulator) = (common.read()?, emulator_in(&common.output)?);
        let nodes: Vec<usize> = (0..material.grid.len()).collect();
        let pairs = pairs_of(&material, &emulator, nodes, common.seed + STREAM);
        let name = index_name(&self.model);
        let made = reference::make(&encoders, &pairs, self.stars, &name, &mut |line| eprintln!("{line}"))?;
        for f in &made.figures {
            println!("{} | {} | {} | {:.4}", f.what, f.on, f.n, f.value);
        }
        let entry = ModelEntry {
            name,
            kind: Kind::Index,
            version: 1,
            modality: "lrs+xp".into(),
            labels: Grid::LABELS.to_vec(),
            recipe: recipe::NAME.into(),
            trained_on: made.index.about.made_from.clone(),
            command: format!(
                "specola pretrain index --grid spectra.npz --sed sed.npz --model {} --stars {} --seed {}",
                self.model, self.stars, common.seed
            ),
            seed: common.seed,
            license: "MIT OR Apache-2.0".into(),
            figures: made.figures,
            ..ModelEntry::default()
        };
        publish(&common.output, &made.index.to_file()?, entry, &manifest.default)?;
        Ok(Outcome::Complete)
    }
}
