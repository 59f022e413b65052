//! `specola pretrain mlp`: regression networks.

use std::path::PathBuf;

use clap::Args;

use super::super::RunOutcome;
use super::encoders::emulator_in;
use crate::train::pretrain::{Plan, TrainingAmount, run};
use crate::train::real_training::RealPlan;

/// The regression networks lrs-mlp-synthetic and, with real stars, lrs-mlp
#[derive(Debug, Args)]
pub(super) struct Mlp {
    /// Synthetic grid, spectra.npz
    #[arg(long, value_name = "FILE")]
    grid: PathBuf,
    /// Folder of the standard real sets: train on MILES and LAMOST too
    #[arg(long, value_name = "DIR")]
    real: Option<PathBuf>,
    /// Folder with the published emulator of the grid [default: the folder of -o]
    #[arg(long, value_name = "DIR")]
    emulator: Option<PathBuf>,
    /// Folder for the networks of each stage; a stage whose file exists is skipped
    #[arg(long, value_name = "DIR", default_value = "target/pretrain")]
    work: PathBuf,
    /// Folder to publish the models in
    #[arg(short, long, value_name = "DIR", default_value = "models")]
    output: PathBuf,
    /// Simulated observations per grid node for the velocity network
    #[arg(long, default_value_t = 8)]
    rv_draws: usize,
    /// Epochs of the velocity network
    #[arg(long, default_value_t = 10)]
    rv_epochs: usize,
    /// Simulated observations per grid node for the label network
    #[arg(long, default_value_t = 16)]
    draws: usize,
    /// Epochs of the label network
    #[arg(long, default_value_t = 14)]
    epochs: usize,
    /// Simulated observations per star of MILES
    #[arg(long, default_value_t = 50)]
    library_draws: usize,
    /// Simulated observations per spectrum of LAMOST
    #[arg(long, default_value_t = 12)]
    survey_draws: usize,
    /// Epochs on the corrected grid and MILES
    #[arg(long, default_value_t = 5)]
    anchor_epochs: usize,
    /// Epochs on the corrected grid, MILES and LAMOST
    #[arg(long, default_value_t = 6)]
    real_epochs: usize,
    /// Folds of the cross-validation
    #[arg(long, default_value_t = 5)]
    folds: usize,
    /// Seed of all random numbers
    #[arg(long, default_value_t = 20261121)]
    seed: u64,
}

impl Mlp {
    /// Trains the networks. Reports each step on standard error.
    pub(super) fn run(&self) -> anyhow::Result<RunOutcome> {
        let args = self;
        let real = |folder: &PathBuf| -> anyhow::Result<RealPlan> {
            Ok(RealPlan {
                folder: folder.clone(),
                emulator: emulator_in(args.emulator.as_ref().unwrap_or(&args.output))?,
                library_draws: args.library_draws,
                survey_draws: args.survey_draws,
                anchor_epochs: args.anchor_epochs,
                epochs: args.real_epochs,
                folds: args.folds.max(2),
            })
        };
        let plan = Plan {
            grid: args.grid.clone(),
            real: args.real.as_ref().map(real).transpose()?,
            work: args.work.clone(),
            models: args.output.clone(),
            rv: TrainingAmount { draws: args.rv_draws, epochs: args.rv_epochs },
            labels: TrainingAmount { draws: args.draws, epochs: args.epochs },
            seed: args.seed,
            command: command(args),
        };
        run(&plan, &mut |line| eprintln!("{line}"))?;
        Ok(RunOutcome::Complete)
    }
}

/// The command without the folders of this machine, as the manifest records it.
fn command(args: &Mlp) -> String {
    let library = if args.real.is_some() { " --real DIR" } else { "" };
    format!(
        "specola pretrain mlp --grid spectra.npz{library} --rv-draws {} --rv-epochs {} --draws {} --epochs {} --library-draws {} --survey-draws {} --anchor-epochs {} --real-epochs {} --folds {} --seed {}",
        args.rv_draws,
        args.rv_epochs,
        args.draws,
        args.epochs,
        args.library_draws,
        args.survey_draws,
        args.anchor_epochs,
        args.real_epochs,
        args.folds,
        args.seed
    )
}
