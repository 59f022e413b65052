//! The native program: one file per subcommand, each a thin layer over the same tasks as the page.
//!
//! Exit status: 0 when every file was read, 1 when some files were not (results of the others are still written), 2
//! after wrong usage or an error that stopped the run, 130 after Ctrl-C or a request to end. Results go to standard
//! output or `-o`, messages to standard error.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::whole_file;

mod bench;
mod evaluate;
mod experiment;
mod files;
mod finetune;
mod import;
mod inspect;
mod similarity;
mod models;
mod output;
mod posterior;
mod predict;
mod pretrain;
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
    Posterior(posterior::Posterior),
    Finetune(finetune::Finetune),
    Embed(similarity::embed::Embed),
    Retrieve(similarity::retrieve::Retrieve),
    Translate(similarity::translate::Translate),
    Anomalies(similarity::anomalies::Anomalies),
    RepeatVisits(similarity::repeat_visits::RepeatVisits),
    Models(models::Models),
    Pretrain(pretrain::Pretrain),
    Evaluate(evaluate::Evaluate),
    Verify(verify::Verify),
    Import(import::Import),
    Experiment(experiment::Experiment),
    Bench(bench::Bench),
}

/// Folder of the shipped models, an argument of every subcommand that uses one.
#[derive(Debug, clap::Args)]
struct ModelsDir {
    /// Folder of the shipped models (manifest.json and the files that it lists) [default: next to the program]
    #[arg(long = "models", value_name = "DIR", env = "SPECOLA_MODELS")]
    folder: Option<PathBuf>,
}

/// Outcome of a run without a fatal error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunOutcome {
    /// Every file was read.
    Complete,
    /// Some files could not be read; standard error has a line for each.
    Partial,
}

/// Runs the program on the process's arguments.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // Where no handler can be set, only the parts of incomplete files stay behind.
    let _ = ctrlc::set_handler(|| {
        whole_file::remove_parts();
        std::process::exit(130);
    });
    let outcome = match &cli.command {
        Command::Inspect(args) => args.run(),
        Command::Predict(args) => args.run(),
        Command::Posterior(args) => args.run(),
        Command::Finetune(args) => args.run(),
        Command::Embed(args) => args.run(),
        Command::Retrieve(args) => args.run(),
        Command::Translate(args) => args.run(),
        Command::Anomalies(args) => args.run(),
        Command::RepeatVisits(args) => args.run(),
        Command::Models(args) => args.run(),
        Command::Pretrain(args) => args.run(),
        Command::Evaluate(args) => args.run(),
        Command::Verify(args) => args.run(),
        Command::Import(args) => args.run(),
        Command::Experiment(args) => args.run(),
        Command::Bench(args) => args.run(),
    };
    match outcome {
        Ok(RunOutcome::Complete) => ExitCode::SUCCESS,
        Ok(RunOutcome::Partial) => ExitCode::from(1),
        Err(e) if output::is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            print_message(&format!("{e:#}"));
            ExitCode::from(2)
        }
    }
}

/// Prints a message on standard error, which may be closed. Names of files and stars may hold control characters, which a
/// terminal obeys: they are shown as escapes.
fn print_message(message: &str) {
    let shown = |c: char| if c.is_control() && c != '\n' { c.escape_default().to_string() } else { c.to_string() };
    let _ = writeln!(std::io::stderr(), "specola: {}", message.chars().map(shown).collect::<String>());
}
