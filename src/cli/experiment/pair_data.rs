//! Data of the experiments with pairs of spectra: the synthetic grid, its emulator, and the real stars.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::super::pretrain::TrainingGrid;
use super::super::pretrain::encoders::emulator_in;
use crate::model::emulator::Emulator;
use crate::train::real_stars::RealStars;

/// Files of the data.
#[derive(Debug, Args)]
pub(super) struct PairDataArgs {
    /// Folder of the standard real sets
    #[arg(long, value_name = "DIR")]
    pub(super) real: PathBuf,
    /// Synthetic grid, spectra.npz
    #[arg(long, value_name = "FILE")]
    grid: PathBuf,
    /// Energy distributions of the grid nodes, sed.npz
    #[arg(long, value_name = "FILE")]
    sed: PathBuf,
}

/// The data.
pub(super) struct PairData {
    pub(super) grid: TrainingGrid,
    pub(super) emulator: Emulator,
    pub(super) stars: RealStars,
}

impl PairDataArgs {
    /// Reads the data, with the split of `seed`; `models` is the folder with the published emulator.
    pub(super) fn read(&self, models: &Path, seed: u64) -> Result<PairData> {
        Ok(PairData {
            grid: TrainingGrid::read(&self.grid, &self.sed, seed)?,
            emulator: emulator_in(models)?,
            stars: RealStars::read(&self.real, seed)?,
        })
    }
}
