//! `specola experiment`: repeats the experiments that support design choices.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use super::{RunOutcome, output};
use crate::train::experiment;
use crate::train::grid::Grid;
use crate::train::labelled_library::read_labelled;
use crate::train::pretrain::TrainingAmount;
use crate::train::report::with_section;

mod pair_data;
mod search_timing;
mod transfer;
mod similarity;
mod xp;

/// Repeat an experiment that supports a design choice; prints Markdown
#[derive(Debug, Args)]
pub(super) struct Experiment {
    /// Also write the section into this file, in place of its earlier version (models/report/experiments.md)
    #[arg(long, value_name = "FILE", global = true)]
    report: Option<PathBuf>,
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    Outputs(Outputs),
    /// Table of the transfer study: strategies by number of labelled stars
    Transfer(transfer::TransferArgs),
    /// Ablations of the transfer study: rank, width, learning rate
    Ablation(transfer::TransferArgs),
    Retrieval(similarity::Retrieval),
    Search(search_timing::Search),
    Xp(xp::XpTables),
}

/// Seeds, and the text that they were parsed from.
#[derive(Debug, Clone)]
struct Seeds {
    text: String,
    all: Vec<u64>,
}

impl Seeds {
    /// Largest number of seeds.
    const MAX: usize = 1000;

    fn parse(text: &str) -> Result<Self, String> {
        let part = |part: &str| -> Option<Vec<u64>> {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some((first.trim().parse().ok()?..=last.trim().parse().ok()?).take(Self::MAX + 1).collect())
        };
        let all: Option<Vec<Vec<u64>>> = text.split(',').map(part).collect();
        let all = all.map(|all| all.concat()).filter(|all| (1..=Self::MAX).contains(&all.len()));
        Ok(Self { text: text.into(), all: all.ok_or("write seeds as 1,2,5 or 1-40, 1000 at most")? })
    }
}

/// Compare one network with four outputs with four networks with one output each
#[derive(Debug, Args)]
struct Outputs {
    /// Synthetic grid, spectra.npz
    #[arg(long, value_name = "FILE")]
    grid: PathBuf,
    /// Labelled real stars for testing, miles.npz
    #[arg(long, value_name = "FILE")]
    library: PathBuf,
    /// Labels of the real stars, CSV
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
    /// Number of simulated observations per grid node
    #[arg(long, default_value_t = 6)]
    draws: usize,
    /// Number of epochs
    #[arg(long, default_value_t = 6)]
    epochs: usize,
    /// Seed of all random numbers
    #[arg(long, default_value_t = 20261121)]
    seed: u64,
}

impl Experiment {
    /// Runs the experiment and prints its section. With `--report`, also writes the section into the file.
    pub(super) fn run(&self) -> Result<RunOutcome> {
        let mut log = |line: &str| eprintln!("{line}");
        let report = self.report.as_deref().map(|path| output::open(Some(path))).transpose()?;
        let section = match &self.which {
            Which::Retrieval(args) => return args.run(),
            Which::Search(args) => return args.run(),
            Which::Xp(args) => args.section(&mut log)?,
            Which::Outputs(args) => {
                let (grid, library) = (Grid::read(&args.grid)?, read_labelled(&args.library, &args.labels)?);
                let amount = TrainingAmount { draws: args.draws, epochs: args.epochs };
                experiment::outputs(&grid, &library, amount, args.seed, &mut log)?
            }
            Which::Transfer(args) => args.transfer(&mut log)?,
            Which::Ablation(args) => args.ablation(&mut log)?,
        };
        print!("{section}");
        if let (Some(path), Some(mut out)) = (&self.report, report) {
            let file = match path.exists() {
                true => std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?,
                false => String::new(),
            };
            out.write_all(with_section(&file, &section).as_bytes())?;
            out.finish()?;
        }
        Ok(RunOutcome::Complete)
    }
}

#[cfg(test)]
mod tests {
    use super::Seeds;

    #[test]
    fn seeds_are_numbers_and_ranges_and_bounded() {
        let all = |text: &str| Seeds::parse(text).map(|seeds| seeds.all).ok();
        assert_eq!(all("1,2,5"), Some(vec![1, 2, 5]));
        assert_eq!(all("7, 2-4"), Some(vec![7, 2, 3, 4]));
        for text in ["", "a", "5-1", "1-1001", "1-18446744073709551615", "-3"] {
            assert_eq!(all(text), None, "{text}");
        }
    }
}
