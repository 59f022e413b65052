//! `specola experiment retrieval`: accuracy of the searches for similar spectra, repeat visits and anomalies.

use anyhow::{Result, anyhow};
use clap::Args;
use pollster::block_on;

use super::super::pretrain::encoders::pairs_of;
use super::super::{ModelsDir, RunOutcome};
use super::pair_data::PairDataArgs;
use crate::task::similarity::EncoderBundle;
use crate::train::pairs::RealShare;
use crate::train::reference_index::SEED_OFFSET;
use crate::train::xp::stars::Part;
use crate::train::{injected_anomalies, similarity};

/// Measure the searches for similar spectra of real stars, repeat visits, and injected anomalies
#[derive(Debug, Args)]
pub(super) struct Retrieval {
    #[command(flatten)]
    data: PairDataArgs,
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
        let data = self.data.read(store.source().path(), self.seed)?;
        let nodes: Vec<usize> = (0..data.grid.grid.len()).collect();
        let share = Some(RealShare::none(&data.stars, Part::Training));
        // The same stars as in the index.
        let pairs = pairs_of(&data.grid, &data.emulator, nodes.clone(), self.seed + SEED_OFFSET, share);
        let mut log = |line: &str| eprintln!("{line}");
        print!("{}", similarity::miles(&bundle, &predictor, &pairs, &self.data.real, &mut log)?);
        let visits = similarity::visits(&bundle, &predictor, &self.data.real)?;
        print!("{}", visits.page);
        let new_pairs = pairs_of(&data.grid, &data.emulator, nodes, self.seed + SEED_OFFSET + 1, share);
        print!("{}", injected_anomalies::evaluate_injected(bundle, &new_pairs, self.injected, visits.input, &mut log)?);
        Ok(RunOutcome::Complete)
    }
}
