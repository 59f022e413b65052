//! `specola pretrain xp-encoder`, `lrs-encoder`, `clip`: the stages of the encoder pair.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use pollster::block_on;

use super::super::RunOutcome;
use super::{EncoderRunArgs, RunReporter, TrainingGrid};
use crate::model::emulator::Emulator;
use crate::model::encoders::Size;
use crate::model::store::{Folder, Store};
use crate::train::emulator::parse;
use crate::train::encoders::{EncoderPlan, PairStage};
use crate::train::grid_sampler::Population;
use crate::train::pairs::{OpticalSurvey, Pairs, RealShare};
use crate::train::xp::stars::Part;
use crate::whole_file;

/// Sizes of the networks.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum SizeName {
    /// For tests
    Tiny,
    /// Size of the shipped networks
    Shipped,
    /// Size of the published networks
    Paper,
}

impl SizeName {
    pub(super) fn size(self) -> Size {
        match self {
            Self::Tiny => Size::Tiny,
            Self::Shipped => Size::Shipped,
            Self::Paper => Size::Paper,
        }
    }
}

/// Arguments of all stages.
#[derive(Debug, Args)]
pub(super) struct Encoder {
    #[command(flatten)]
    pub(super) common: EncoderRunArgs,
    /// Folder with the published emulator of the grid [default: the folder of -o]
    #[arg(long, value_name = "DIR")]
    emulator: Option<PathBuf>,
    /// Sizes of the networks
    #[arg(long, value_enum, default_value = "shipped")]
    pub(super) size: SizeName,
    /// Training steps
    #[arg(long)]
    pub(super) steps: Option<usize>,
    /// Spectra per step
    #[arg(long)]
    batch: Option<usize>,
}

impl Encoder {
    /// Trains one stage.
    pub(super) fn run(&self, stage: PairStage) -> Result<RunOutcome> {
        let (steps, batch) = match stage {
            PairStage::XpEncoder => (6000, 128),
            PairStage::LrsEncoder => (2000, 64),
            PairStage::Clip => (1000, 192),
        };
        let (steps, batch) = (self.steps.unwrap_or(steps), self.batch.unwrap_or(batch));
        let plan = EncoderPlan::new(stage, self.size.size(), steps, batch, self.common.seed);
        let (training_grid, emulator, real) = (self.common.read()?, self.emulator()?, self.common.real_stars()?);
        let share = |part| real.as_ref().map(|stars| RealShare::training(stars, part));
        let reporter = RunReporter::new(stage.name(), &self.common.work, steps);
        let (train, held_out) = (training_grid.train.clone(), training_grid.held_out.clone());
        let seed = self.common.seed;
        let train_pairs = pairs_of(&training_grid, &emulator, train, seed, share(Part::Training));
        let held_out = pairs_of(&training_grid, &emulator, held_out, seed + 1, share(Part::Validation));
        let command = format!(
            "specola pretrain {} {} --steps {steps} --batch {batch} --seed {seed}",
            stage.name(),
            self.common.data_options(),
        );
        std::fs::create_dir_all(&self.common.work)?;
        whole_file::write(&self.common.work.join(format!("{}.command", stage.name())), command.as_bytes())?;
        plan.run(&train_pairs, &held_out, &self.common.work, &self.common.device(), &mut |p| reporter.report(p))?;
        Ok(RunOutcome::Complete)
    }

    /// The published emulator.
    pub(super) fn emulator(&self) -> Result<Emulator> {
        emulator_in(self.emulator.as_ref().unwrap_or(&self.common.output))
    }
}

/// Pairs of stars near these nodes, with real stars among them.
pub(in crate::cli) fn pairs_of<'a>(
    training_grid: &'a TrainingGrid,
    emulator: &'a Emulator,
    nodes: Vec<usize>,
    seed: u64,
    real: Option<RealShare<'a>>,
) -> Pairs<'a> {
    let population = Population { grid: &training_grid.grid, seds: &training_grid.seds, emulator, nodes };
    Pairs { population, real, optical: OpticalSurvey::Mixed, is_between_nodes: true, seed }
}

/// The emulator that is published in a folder.
pub(in crate::cli) fn emulator_in(folder: &Path) -> Result<Emulator> {
    let store = Store::new(Folder::new(folder));
    let manifest = block_on(store.manifest())?;
    let entry = manifest.get("grid-emulator").with_context(|| {
        format!("no grid-emulator in {}; make it with `specola pretrain emulator`", folder.display())
    })?;
    parse(&block_on(store.weights(entry, |_, _| {}))?)
}
