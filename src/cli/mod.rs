//! The native program: one file a subcommand, thin faces over the same tasks as the page.
//!
//! Exit status: 0 when every file was read, 1 when some were not (the rest is still written), 2 on wrong use or when
//! nothing could be done at all. Results go to standard output or `-o`, everything else to standard error.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod evaluate;
mod experiment;
mod files;
mod finetune;
mod import;
mod inspect;
mod likes;
mod models;
mod output;
mod predict;
mod pretrain;
mod published;
mod verify;

/// Stellar parameters from spectra, computed on this machine.
#[derive(Debug, Parser)]
#[command(name = "specola", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Inspect(inspect::Inspect),
    Predict(predict::Predict),
    Finetune(finetune::Finetune),
    Embed(likes::embed::Embed),
    Retrieve(likes::retrieve::Retrieve),
    Translate(likes::translate::Translate),
    Odd(likes::odd::Odd),
    Repeats(likes::repeats::Repeats),
    Models(models::Models),
    Pretrain(pretrain::Pretrain),
    Evaluate(evaluate::Evaluate),
    Verify(verify::Verify),
    Import(import::Import),
    Experiment(experiment::Experiment),
    Bench(bench::Bench),
}

/// Where the shipped models are, for every subcommand that uses one.
#[derive(Debug, clap::Args)]
struct ModelsDir {
    /// Folder of the shipped models (manifest.json and its parts) [default: beside the program]
    #[arg(long = "models", value_name = "DIR", env = "SPECOLA_MODELS")]
    folder: Option<PathBuf>,
}

/// How a run ended that came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Every file was read.
    Complete,
    /// Some were not, each with a line on standard error.
    Partial,
}

/// Runs the program on the process's arguments.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Command::Inspect(args) => args.run(),
        Command::Predict(args) => args.run(),
        Command::Finetune(args) => args.run(),
        Command::Embed(args) => args.run(),
        Command::Retrieve(args) => args.run(),
        Command::Translate(args) => args.run(),
        Command::Odd(args) => args.run(),
        Command::Repeats(args) => args.run(),
        Command::Models(args) => args.run(),
        Command::Pretrain(args) => args.run(),
        Command::Evaluate(args) => args.run(),
        Command::Verify(args) => args.run(),
        Command::Import(args) => args.run(),
        Command::Experiment(args) => args.run(),
        Command::Bench(args) => args.run(),
    };
    match done {
        Ok(Outcome::Complete) => ExitCode::SUCCESS,
        Ok(Outcome::Partial) => ExitCode::from(1),
        Err(e) if output::is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            say(&format!("{e:#}"));
            ExitCode::from(2)
        }
    }
}

/// A line for people. Standard error may be closed: then nobody is there to be told.
fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "specola: {what}");
}
