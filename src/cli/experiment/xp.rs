//! `specola experiment xp`: representations of Gaia XP spectra.

use std::path::PathBuf;

use anyhow::Result;
use burn::tensor::Device;
use clap::Args;

use super::super::ModelsDir;
use super::super::pretrain::encoders::pairs_of;
use super::Seeds;
use super::pair_data::PairDataArgs;
use crate::model::encoders::Size;
use crate::train::pairs::RealShare;
use crate::train::xp::stars::Part;
use crate::train::xp_experiment::XpExperiment;

/// Offset added to the seed for the pairs, so that they differ from those of pretraining.
const SEED_OFFSET: u64 = 80;

/// Label networks on the flux of real Gaia XP spectra, on encoders' outputs, and on aligned embeddings
#[derive(Debug, Args)]
pub(super) struct XpTables {
    #[command(flatten)]
    data: PairDataArgs,
    /// Folder with the encoders of `specola pretrain xp-encoder` and `lrs-encoder`
    #[arg(long, value_name = "DIR", default_value = "target/pretrain")]
    work: PathBuf,
    /// Steps of the alignment
    #[arg(long, default_value_t = 400)]
    steps: usize,
    /// Pairs per step of the alignment
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// Steps of the masked transformer of XP spectra
    #[arg(long, default_value_t = 1500)]
    masked_steps: usize,
    /// Steps of each label network
    #[arg(long, default_value_t = 1000)]
    head_steps: usize,
    /// Seeds of the label networks: 1,2,5 or 1-40
    #[arg(long, value_name = "SEEDS", default_value = "1-5", value_parser = Seeds::parse)]
    seeds: Seeds,
    /// Seed of the encoders
    #[arg(long, default_value_t = 20261121)]
    seed: u64,
    #[command(flatten)]
    models: ModelsDir,
}

impl XpTables {
    /// Trains and measures; returns the section.
    pub(super) fn section(&self, log: &mut dyn FnMut(&str)) -> Result<String> {
        let data = self.data.read(self.models.store().source().path(), self.seed)?;
        let pairs = |nodes: &[usize], stream: u64, part| {
            let share = Some(RealShare::training(&data.stars, part));
            pairs_of(&data.grid, &data.emulator, nodes.to_vec(), self.seed + SEED_OFFSET + stream, share)
        };
        let train = pairs(&data.grid.train, 0, Part::Training);
        let held_out = pairs(&data.grid.held_out, 1, Part::Validation);
        let experiment = XpExperiment {
            size: Size::Shipped,
            alignment: (self.steps, self.batch),
            masked_steps: self.masked_steps,
            head_steps: self.head_steps,
            seeds: self.seeds.all.clone(),
            work: self.work.clone(),
            seed: self.seed,
        };
        let command = format!(
            "specola experiment xp --real real --grid spectra.npz --sed sed.npz --steps {} --batch {} --masked-steps {} --head-steps {} --seeds {} --seed {}",
            self.steps, self.batch, self.masked_steps, self.head_steps, self.seeds.text, self.seed
        );
        experiment.run(&data.stars, &train, &held_out, &command, &Device::flex(), log)
    }
}
