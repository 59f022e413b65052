//! `specola experiment retrieval`: accuracy of the searches for similar spectra, repeat visits and anomalies.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::Args;
use pollster::block_on;

use super::super::pretrain::TrainingGrid;
use super::super::pretrain::encoders::{emulator_in, pairs_of};
use super::super::{ModelsDir, RunOutcome};
use crate::task::similarity::EncoderBundle;
use crate::train::pairs::RealShare;
use crate::train::real_stars::RealStars;
use crate::train::reference_index::SEED_OFFSET;
use crate::train::xp::stars::Part;
use crate::train::{injected_anomalies, similarity};

/// Measure the searches for similar spectra of real stars, repeat visits, and injected anomalies
#[derive(Debug, Args)]
pub(super) struct Retrieval {
    /// Folder of the standard real sets
    #[arg(long, value_name = "DIR")]
    real: PathBuf,
    /// Synthetic grid, spectra.npz
    #[arg(long, value_name = "FILE")]
    grid: PathBuf,
    /// Energy distributions of the grid nodes, sed.npz
    #[arg(long, value_name = "FILE")]
    sed: PathBuf,
    /// Number of simulated stars with an injected anomaly
    #[arg(long, alias = "planted", default_value_t = 400)]
    injected: usize,
    /// Seed with which the index was made
    #[arg(long, default_value_t = 20261121)]
    seed: u64,
    #[command(flatten)]
    models: ModelsDir,
}

impl Retrieval {
    pub(super) fn run(&self) -> Result<RunOutcome> {
        let store = self.models.store();
        let bundle = block_on(EncoderBundle::fetch(&store, None, |_, _, _| {})).map_err(|why| anyhow!(why))?;
        let (_, predictor) = self.models.load(None)?;
        let training_grid = TrainingGrid::read(&self.grid, &self.sed, self.seed)?;
        let emulator = emulator_in(store.source().path())?;
        let nodes: Vec<usize> = (0..training_grid.grid.len()).collect();
        // The same stars as in the index.
        let stars = RealStars::read(&self.real, self.seed)?;
        let share = Some(RealShare::none(&stars, Part::Training));
        let pairs = pairs_of(&training_grid, &emulator, nodes.clone(), self.seed + SEED_OFFSET, share);
        let mut log = |line: &str| eprintln!("{line}");
        print!("{}", similarity::miles(&bundle, &predictor, &pairs, &self.real, &mut log)?);
        let visits = similarity::visits(&bundle, &predictor, &self.real)?;
        print!("{}", visits.page);
        let new_pairs = pairs_of(&training_grid, &emulator, nodes, self.seed + SEED_OFFSET + 1, share);
        print!("{}", injected_anomalies::evaluate_injected(bundle, &new_pairs, self.injected, visits.input, &mut log)?);
        Ok(RunOutcome::Complete)
    }
}
