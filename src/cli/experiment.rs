//! `specola experiment`: repeats the experiments that choices rest on.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::Outcome;
use crate::train::experiment;
use crate::train::grid::Grid;
use crate::train::library::read_labelled;
use crate::train::pretrain::Amount;

/// Repeat an experiment that a choice rests on; prints Markdown
#[derive(Debug, Args)]
pub(super) struct Experiment {
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    Outputs(Outputs),
}

/// Is one network with four outputs worse than four with one?
#[derive(Debug, Args)]
struct Outputs {
    /// The synthetic grid, spectra.npz
    #[arg(long, value_name = "FILE")]
    grid: PathBuf,
    /// Labelled real stars to test on, miles.npz
    #[arg(long, value_name = "FILE")]
    library: PathBuf,
    /// Their labels, CSV
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
    /// Simulated observations of each node
    #[arg(long, default_value_t = 6)]
    draws: usize,
    /// Passes over them
    #[arg(long, default_value_t = 6)]
    epochs: usize,
    /// Seed of everything random
    #[arg(long, default_value_t = 20261121)]
    seed: u64,
}

impl Experiment {
    /// Trains, and prints the table to standard output.
    pub(super) fn run(&self) -> Result<Outcome> {
        let Which::Outputs(args) = &self.which;
        let (grid, library) = (Grid::read(&args.grid)?, read_labelled(&args.library, &args.labels)?);
        let amount = Amount { draws: args.draws, epochs: args.epochs };
        print!("{}", experiment::outputs(&grid, &library, amount, args.seed, &mut |line| eprintln!("{line}"))?);
        Ok(Outcome::Complete)
    }
}
