//! `specola pretrain xp-encoder`, `lrs-encoder`, `clip`: the stages of the encoder pair.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use pollster::block_on;

use super::super::Outcome;
use super::{Common, Material, Teller};
use crate::model::emulator::Emulator;
use crate::model::encoders::Size;
use crate::model::store::{Folder, Store};
use crate::train::emulator::parse;
use crate::train::encoders::{EncoderPlan, Stage};
use crate::train::pairs::{Optical, Pairs};
use crate::train::population::Population;

/// Sizes of the networks.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum SizeName {
    /// For trying out
    Tiny,
    /// What is shipped
    Shipped,
    /// The papers'
    Paper,
}

impl SizeName {
    pub(super) fn size(self) -> Size {
        match self {
            SizeName::Tiny => Size::Tiny,
            SizeName::Shipped => Size::Shipped,
            SizeName::Paper => Size::Paper,
        }
    }
}

/// What all stages need.
#[derive(Debug, Args)]
pub(super) struct Encoder {
    #[command(flatten)]
    pub(super) common: Common,
    /// Folder that the grid's emulator is published in [default: the folder of -o]
    #[arg(long, value_name = "DIR")]
    emulator: Option<PathBuf>,
    /// Sizes of the networks
    #[arg(long, value_enum, default_value = "shipped")]
    pub(super) size: SizeName,
    /// Steps of training
    #[arg(long)]
    pub(super) steps: Option<usize>,
    /// Spectra a step
    #[arg(long)]
    batch: Option<usize>,
}

impl Encoder {
    /// Trains one stage.
    pub(super) fn run(&self, stage: Stage) -> Result<Outcome> {
        let (steps, batch) = match stage {
            Stage::XpEncoder => (6000, 128),
            Stage::LrsEncoder => (2000, 64),
            Stage::Clip => (1000, 192),
        };
        let (steps, batch) = (self.steps.unwrap_or(steps), self.batch.unwrap_or(batch));
        let plan = EncoderPlan::new(stage, self.size.size(), steps, batch, self.common.seed);
        let (material, emulator) = (self.common.read()?, self.emulator()?);
        let teller = Teller::new(stage.name(), &self.common.work, steps);
        let learned = self.pairs(&material, &emulator, material.train.clone(), 0);
        let held_out = self.pairs(&material, &emulator, material.held_out.clone(), 1);
        let command = format!(
            "specola pretrain {} --grid spectra.npz --sed sed.npz --steps {steps} --batch {batch} --seed {}",
            stage.name(),
            self.common.seed
        );
        std::fs::create_dir_all(&self.common.work)?;
        std::fs::write(self.common.work.join(format!("{}.command", stage.name())), command)?;
        plan.run(&learned, &held_out, &self.common.work, &self.common.device(), &mut |p| teller.hear(p))?;
        Ok(Outcome::Complete)
    }

    /// Simulated pairs of stars near these nodes; `stream` tells apart pairs that must not be alike.
    pub(super) fn pairs<'a>(
        &self,
        material: &'a Material,
        emulator: &'a Emulator,
        nodes: Vec<usize>,
        stream: u64,
    ) -> Pairs<'a> {
        pairs_of(material, emulator, nodes, self.common.seed + stream)
    }

    /// The published emulator.
    pub(super) fn emulator(&self) -> Result<Emulator> {
        emulator_in(self.emulator.as_ref().unwrap_or(&self.common.output))
    }
}

/// Simulated pairs of stars near these nodes.
pub(in crate::cli) fn pairs_of<'a>(
    material: &'a Material,
    emulator: &'a Emulator,
    nodes: Vec<usize>,
    seed: u64,
) -> Pairs<'a> {
    let population = Population { grid: &material.grid, seds: &material.seds, emulator, nodes };
    Pairs { population, optical: Optical::Mixed, between: true, seed }
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
