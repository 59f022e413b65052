//! `specola experiment`: repeats the experiments that choices rest on.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use super::{ModelsDir, Outcome};
use crate::result::Label;
use crate::result::teach::Settings;
use crate::task::predict::Predictor;
use crate::train::emulator;
use crate::train::experiment;
use crate::train::grid::Grid;
use crate::train::library::read_labelled;
use crate::train::pretrain::Amount;
use crate::train::report::with_section;
use crate::train::transfer::{self, Comparison};
use crate::train::transfer_case::Case;

mod likes;

/// Repeat an experiment that a choice rests on; prints Markdown
#[derive(Debug, Args)]
pub(super) struct Experiment {
    /// Page to put the section into as well, in the place of its own earlier one (models/MODELS.md)
    #[arg(long, value_name = "FILE", global = true)]
    report: Option<PathBuf>,
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    Outputs(Outputs),
    /// The transfer study's table: strategies by number of labelled stars
    Transfer(Teaching),
    /// The transfer study's ablations: rank, width, learning rate
    Ablation(Teaching),
    Retrieval(likes::Retrieval),
    Search(likes::Search),
}

/// What the network is taught.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum CaseName {
    /// Real stars of the MILES library
    Miles,
    /// Simulated spectra like those of DESI's blue arm
    Desi,
}

/// Seeds, and how they were written.
#[derive(Debug, Clone)]
struct Seeds {
    text: String,
    all: Vec<u64>,
}

impl Seeds {
    /// Most of them.
    const MOST: usize = 1000;

    fn parse(text: &str) -> Result<Self, String> {
        let part = |part: &str| -> Option<Vec<u64>> {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some((first.trim().parse().ok()?..=last.trim().parse().ok()?).take(Self::MOST + 1).collect())
        };
        let all: Option<Vec<Vec<u64>>> = text.split(',').map(part).collect();
        let all = all.map(|all| all.concat()).filter(|all| (1..=Self::MOST).contains(&all.len()));
        Ok(Self { text: text.into(), all: all.ok_or("write seeds as 1,2,5 or 1-40, 1000 at most")? })
    }
}

#[derive(Debug, Args)]
struct Teaching {
    /// Model to teach
    #[arg(long, value_name = "NAME", default_value = "lrs-mlp-synthetic")]
    model: String,
    /// What it is taught
    #[arg(long, value_enum, default_value = "miles")]
    case: CaseName,
    /// Labelled real stars, miles.npz
    #[arg(long, value_name = "FILE", requires = "labels", required_if_eq("case", "miles"))]
    library: Option<PathBuf>,
    /// Their labels, CSV
    #[arg(long, value_name = "FILE", requires = "library")]
    labels: Option<PathBuf>,
    /// The synthetic grid, spectra.npz, that DESI-like stars are made of
    #[arg(long, value_name = "FILE", required_if_eq("case", "desi"))]
    grid: Option<PathBuf>,
    /// Labels to teach (transfer)
    #[arg(long, value_name = "LABELS", value_delimiter = ',', default_value = "teff,logg,feh,alpha_fe")]
    targets: Vec<String>,
    /// Numbers of labelled stars
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "25,100")]
    sizes: Vec<usize>,
    /// The same for [α/Fe], which few stars have
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "10,25,50")]
    alpha_sizes: Vec<usize>,
    /// Seeds of splits and trainings: 1,2,5 or 1-40
    #[arg(long, value_name = "SEEDS", default_value = "1,2,3,4,5", value_parser = Seeds::parse)]
    seeds: Seeds,
    /// Ways of teaching (transfer) [default: all]
    #[arg(long, value_name = "WAYS", value_delimiter = ',', value_parser = PossibleValuesParser::new(transfer::WAYS.map(|(way, _)| way)))]
    ways: Vec<String>,
    /// With the study's own settings
    #[arg(long)]
    paper: bool,
    /// Without the closed-form step
    #[arg(long)]
    no_closed_form: bool,
    #[command(flatten)]
    models: ModelsDir,
}

impl Teaching {
    fn comparison(&self, which: &str) -> Result<Comparison> {
        let label = |name: &String| {
            Label::from_name(name)
                .filter(|l| *l != Label::Rv)
                .with_context(|| format!("there is no label {name:?} to teach; there are teff, logg, feh and alpha_fe"))
        };
        let mut settings = if self.paper { Settings::paper() } else { Settings::default() };
        settings.closed_form &= !self.no_closed_form;
        let labels = self.targets.iter().map(label).collect::<Result<_>>()?;
        let (sizes, alpha_sizes, seeds) = (self.sizes.clone(), self.alpha_sizes.clone(), self.seeds.all.clone());
        let (ways, command) = (self.ways.clone(), self.command(which));
        Ok(Comparison { labels, sizes, alpha_sizes, seeds, settings, ways, command })
    }

    /// The model to teach, with the emulator where there is a closed form, which goes by it.
    fn predictor(&self, closed_form: bool) -> Result<Predictor> {
        let (_, mut predictor) = self.models.load(Some(&self.model))?;
        if closed_form {
            predictor.emulate(self.models.emulator()?);
        }
        Ok(predictor)
    }

    /// The stars to teach and to ask about.
    fn case(&self, predictor: &Predictor) -> Result<Case> {
        match (self.case, &self.library, &self.labels, &self.grid) {
            (CaseName::Desi, _, _, Some(grid)) => {
                let store = self.models.store();
                let manifest = pollster::block_on(store.manifest())?;
                let entry = manifest.get("grid-emulator");
                let entry =
                    entry.context("no grid-emulator among the models; make it with `specola pretrain emulator`")?;
                let emulator = emulator::parse(&pollster::block_on(store.weights(entry, |_, _| {}))?)?;
                Case::desi(predictor, &Grid::read(grid)?, &emulator)
            }
            (CaseName::Miles, Some(library), Some(labels), _) => {
                Ok(Case::miles(predictor, &read_labelled(library, labels)?))
            }
            _ => anyhow::bail!("give --library and --labels for --case miles, --grid for --case desi"),
        }
    }

    /// The command without the folders of this machine, as the page quotes it.
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
        if which == "transfer" && !self.ways.is_empty() {
            command += &format!(" --ways {}", list(&self.ways));
        }
        [(self.paper, " --paper"), (self.no_closed_form, " --no-closed-form")]
            .into_iter()
            .filter(|(is_given, _)| *is_given)
            .for_each(|(_, flag)| command += flag);
        command
    }
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
    /// Trains, and prints the section to standard output; a page gets it too.
    pub(super) fn run(&self) -> Result<Outcome> {
        let mut say = |line: &str| eprintln!("{line}");
        let section = match &self.which {
            Which::Retrieval(args) => return args.run(),
            Which::Search(args) => return args.run(),
            Which::Outputs(args) => {
                let (grid, library) = (Grid::read(&args.grid)?, read_labelled(&args.library, &args.labels)?);
                let amount = Amount { draws: args.draws, epochs: args.epochs };
                experiment::outputs(&grid, &library, amount, args.seed, &mut say)?
            }
            Which::Transfer(args) => {
                let what = args.comparison("transfer")?;
                let predictor = args.predictor(what.settings.closed_form)?;
                transfer::transfer(&predictor, &args.case(&predictor)?, &what, &mut say)?
            }
            Which::Ablation(args) => {
                let predictor = args.predictor(false)?;
                transfer::ablation(&predictor, &args.case(&predictor)?, &args.comparison("ablation")?, &mut say)?
            }
        };
        print!("{section}");
        if let Some(path) = &self.report {
            let page = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            std::fs::write(path, with_section(&page, &section))
                .with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(Outcome::Complete)
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
