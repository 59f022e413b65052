//! `specola pretrain mlp`: regression networks.

use std::path::PathBuf;

use clap::Args;

use super::super::RunOutcome;
use crate::train::pretrain::{Plan, TrainingAmount, run};

/// The regression networks lrs-mlp-synthetic and, with a library of real stars, lrs-mlp
#[derive(Debug, Args)]
pub(super) struct Mlp {
    /// Synthetic grid, spectra.npz
    #[arg(long, value_name = "FILE")]
    grid: PathBuf,
    /// Labelled real stars to fine-tune on, miles.npz
    #[arg(long, value_name = "FILE", requires = "labels")]
    library: Option<PathBuf>,
    /// Labels of the library, CSV
    #[arg(long, value_name = "FILE", requires = "library")]
    labels: Option<PathBuf>,
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
    /// Simulated observations per real star, for each member
    #[arg(long, default_value_t = 50)]
    real_draws: usize,
    /// Epochs on the real stars; more epochs overfit the library
    #[arg(long, default_value_t = 3)]
    real_epochs: usize,
    /// Members: fine-tuned networks whose weights are averaged
    #[arg(long, default_value_t = 3)]
    members: usize,
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
        let plan = Plan {
            grid: args.grid.clone(),
            library: args.library.clone().zip(args.labels.clone()),
            work: args.work.clone(),
            models: args.output.clone(),
            rv: TrainingAmount { draws: args.rv_draws, epochs: args.rv_epochs },
            labels: TrainingAmount { draws: args.draws, epochs: args.epochs },
            real: TrainingAmount { draws: args.real_draws, epochs: args.real_epochs },
            members: args.members.max(1),
            folds: args.folds.max(2),
            seed: args.seed,
            command: command(args),
        };
        run(&plan, &mut |line| eprintln!("{line}"))?;
        Ok(RunOutcome::Complete)
    }
}

/// The command without the folders of this machine, as the manifest records it.
fn command(args: &Mlp) -> String {
    let library = if args.library.is_some() { " --library miles.npz --labels miles_labels.csv" } else { "" };
    format!(
        "specola pretrain mlp --grid spectra.npz{library} --rv-draws {} --rv-epochs {} --draws {} --epochs {} --real-draws {} --real-epochs {} --members {} --folds {} --seed {}",
        args.rv_draws,
        args.rv_epochs,
        args.draws,
        args.epochs,
        args.real_draws,
        args.real_epochs,
        args.members,
        args.folds,
        args.seed
    )
}
