//! `specola experiment`: repeats the experiments that support design choices.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::{ModelsDir, RunOutcome, output};
use crate::result::Label;
use crate::result::finetune::Settings;
use crate::task::predict::Predictor;
use crate::task::synthetic_model::SyntheticModel;
use crate::train::emulator;
use crate::train::experiment;
use crate::train::grid::Grid;
use crate::train::labelled_library::read_labelled;
use crate::train::pretrain::TrainingAmount;
use crate::train::report::with_section;
use crate::train::transfer::{self, Comparison};
use crate::train::transfer_case::TransferCase;

mod pair_data;
mod search_timing;
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
    Transfer(FinetuneArgs),
    /// Ablations of the transfer study: rank, width, learning rate
    Ablation(FinetuneArgs),
    Retrieval(similarity::Retrieval),
    Search(search_timing::Search),
    Xp(xp::XpTables),
}

/// Data for fine-tuning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum CaseName {
    /// Real stars of the MILES library
    Miles,
    /// Simulated spectra similar to the blue arm of DESI
    Desi,
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

/// Parser for names of strategies; `closed-form` is the earlier name of `gp`.
fn strategy_parser() -> impl TypedValueParser<Value = String> {
    let values = transfer::STRATEGIES.map(|(name, _)| match name {
        "gp" => PossibleValue::new(name).alias("closed-form"),
        _ => PossibleValue::new(name),
    });
    PossibleValuesParser::new(values).map(|name| if name == "closed-form" { "gp".into() } else { name })
}

#[derive(Debug, Args)]
struct FinetuneArgs {
    /// Model to fine-tune
    #[arg(long, value_name = "NAME", default_value = "lrs-mlp-synthetic")]
    model: String,
    /// Data for fine-tuning
    #[arg(long, value_enum, default_value = "miles")]
    case: CaseName,
    /// Labelled real stars, miles.npz
    #[arg(long, value_name = "FILE", requires = "labels", required_if_eq("case", "miles"))]
    library: Option<PathBuf>,
    /// Labels of the real stars, CSV
    #[arg(long, value_name = "FILE", requires = "library")]
    labels: Option<PathBuf>,
    /// Synthetic grid, spectra.npz, from which DESI-like spectra are simulated
    #[arg(long, value_name = "FILE", required_if_eq("case", "desi"))]
    grid: Option<PathBuf>,
    /// Labels to fine-tune (transfer)
    #[arg(long, value_name = "LABELS", value_delimiter = ',', default_value = "teff,logg,feh,alpha_fe")]
    targets: Vec<String>,
    /// Numbers of labelled stars
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "25,100")]
    sizes: Vec<usize>,
    /// Numbers of stars with [α/Fe]; few stars have this label
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "10,25,50")]
    alpha_sizes: Vec<usize>,
    /// Seeds of splits and training runs: 1,2,5 or 1-40
    #[arg(long, value_name = "SEEDS", default_value = "1,2,3,4,5", value_parser = Seeds::parse)]
    seeds: Seeds,
    /// Strategies to compare (transfer) [default: all]
    #[arg(long, alias = "ways", value_name = "STRATEGIES", value_delimiter = ',', value_parser = strategy_parser())]
    strategies: Vec<String>,
    /// Settings of Zhao et al. (2026)
    #[arg(long, alias = "paper")]
    zhao2026: bool,
    /// Leave out the Gaussian-process correction
    #[arg(long, alias = "no-closed-form")]
    no_gp: bool,
    #[command(flatten)]
    models: ModelsDir,
}

impl FinetuneArgs {
    fn comparison(&self, which: &str) -> Result<Comparison> {
        let label = |name: &String| {
            Label::from_name(name).filter(|l| *l != Label::Rv).with_context(|| {
                format!("cannot fine-tune a label {name:?}; choose among teff, logg, feh and alpha_fe")
            })
        };
        let mut settings = if self.zhao2026 { Settings::zhao2026() } else { Settings::default() };
        settings.gp_correction &= !self.no_gp;
        let labels = self.targets.iter().map(label).collect::<Result<_>>()?;
        let (sizes, alpha_sizes, seeds) = (self.sizes.clone(), self.alpha_sizes.clone(), self.seeds.all.clone());
        let (strategies, command) = (self.strategies.clone(), self.command(which));
        Ok(Comparison { labels, sizes, alpha_sizes, seeds, settings, strategies, command })
    }

    /// The model to fine-tune, and the emulator if the Gaussian-process correction needs it.
    fn models(&self, gp_correction: bool) -> Result<(Predictor, Option<Arc<SyntheticModel>>)> {
        let (_, predictor) = self.models.load(Some(&self.model))?;
        let emulator = if gp_correction { Some(self.models.emulator()?) } else { None };
        Ok((predictor, emulator))
    }

    /// The stars for training and testing.
    fn case(&self, predictor: &Predictor, synthetic: Option<Arc<SyntheticModel>>) -> Result<TransferCase> {
        match (self.case, &self.library, &self.labels, &self.grid) {
            (CaseName::Desi, _, _, Some(grid)) => {
                let store = self.models.store();
                let manifest = pollster::block_on(store.manifest())?;
                let entry = manifest.get("grid-emulator");
                let entry =
                    entry.context("no grid-emulator among the models; make it with `specola pretrain emulator`")?;
                let emulator = emulator::parse(&pollster::block_on(store.weights(entry, |_, _| {}))?)?;
                TransferCase::desi(predictor, &Grid::read(grid)?, &emulator, synthetic)
            }
            (CaseName::Miles, Some(library), Some(labels), _) => {
                Ok(TransferCase::miles(predictor, synthetic, &read_labelled(library, labels)?))
            }
            _ => anyhow::bail!("give --library and --labels for --case miles, --grid for --case desi"),
        }
    }

    /// The command without the folders of this machine, as the report quotes it.
    fn command(&self, which: &str) -> String {
        let list = |values: &[String]| values.join(",");
        let texts = |values: &[usize]| values.iter().map(ToString::to_string).collect::<Vec<_>>();
        let files = match self.case {
            CaseName::Miles => "--case miles --library miles.npz --labels miles_labels.csv",
            CaseName::Desi => "--case desi --grid spectra.npz",
        };
        let mut command = format!("specola experiment {which} --model {} {files}", self.model);
        if which == "transfer" {
            command += &format!(" --targets {}", list(&self.targets));
        }
        command += &format!(" --sizes {}", list(&texts(&self.sizes)));
        if which == "transfer" && self.targets.iter().any(|t| t == Label::AlphaFe.name()) {
            command += &format!(" --alpha-sizes {}", list(&texts(&self.alpha_sizes)));
        }
        command += &format!(" --seeds {}", self.seeds.text);
        if which == "transfer" && !self.strategies.is_empty() {
            command += &format!(" --strategies {}", list(&self.strategies));
        }
        [(self.zhao2026, " --zhao2026"), (self.no_gp, " --no-gp")]
            .into_iter()
            .filter(|(is_given, _)| *is_given)
            .for_each(|(_, flag)| command += flag);
        command
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
            Which::Transfer(args) => {
                let comparison = args.comparison("transfer")?;
                let (predictor, emulator) = args.models(comparison.settings.gp_correction)?;
                transfer::transfer(&predictor, &args.case(&predictor, emulator)?, &comparison, &mut log)?
            }
            Which::Ablation(args) => {
                let (predictor, emulator) = args.models(false)?;
                transfer::ablation(
                    &predictor,
                    &args.case(&predictor, emulator)?,
                    &args.comparison("ablation")?,
                    &mut log,
                )?
            }
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
    use clap::Parser;

    use super::{FinetuneArgs, Seeds};

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: FinetuneArgs,
    }

    #[test]
    fn earlier_flags_are_read_and_the_printed_command_has_the_present_ones() {
        let files = ["experiment", "--library", "miles.npz", "--labels", "miles_labels.csv"];
        let command = |flags: [&str; 4]| {
            let program = Program::try_parse_from(files.into_iter().chain(flags)).expect("known flags");
            program.args.command("transfer")
        };
        let present = command(["--strategies", "gp,lora", "--zhao2026", "--no-gp"]);
        assert!(present.ends_with(" --strategies gp,lora --zhao2026 --no-gp"), "{present}");
        assert_eq!(command(["--ways", "closed-form,lora", "--paper", "--no-closed-form"]), present);
    }

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
