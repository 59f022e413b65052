//! `specola experiment`: repeats the experiments that choices rest on.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use super::{ModelsDir, Outcome};
use crate::result::Label;
use crate::result::teach::Settings;
use crate::train::experiment;
use crate::train::grid::Grid;
use crate::train::library::read_labelled;
use crate::train::pretrain::Amount;
use crate::train::transfer::{self, Comparison};

mod likes;

/// Repeat an experiment that a choice rests on; prints Markdown
#[derive(Debug, Args)]
pub(super) struct Experiment {
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

#[derive(Debug, Args)]
struct Teaching {
    /// Model to teach
    #[arg(long, value_name = "NAME", default_value = "lrs-mlp-synthetic")]
    model: String,
    /// Labelled real stars, miles.npz
    #[arg(long, value_name = "FILE")]
    library: PathBuf,
    /// Their labels, CSV
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
    /// Labels to teach (transfer)
    #[arg(long, value_name = "LABELS", value_delimiter = ',', default_value = "teff,logg,feh,alpha_fe")]
    targets: Vec<String>,
    /// Numbers of labelled stars
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "25,100")]
    sizes: Vec<usize>,
    /// The same for [α/Fe], which few stars have
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "10,25,50")]
    alpha_sizes: Vec<usize>,
    /// Seeds of splits and trainings
    #[arg(long, value_name = "S", value_delimiter = ',', default_value = "1,2,3,4,5")]
    seeds: Vec<u64>,
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
    fn comparison(&self) -> Result<Comparison> {
        let label = |name: &String| {
            Label::from_name(name)
                .filter(|l| *l != Label::Rv)
                .with_context(|| format!("there is no label {name:?} to teach; there are teff, logg, feh and alpha_fe"))
        };
        let mut settings = if self.paper { Settings::paper() } else { Settings::default() };
        settings.closed_form &= !self.no_closed_form;
        Ok(Comparison {
            labels: self.targets.iter().map(label).collect::<Result<_>>()?,
            sizes: self.sizes.clone(),
            alpha_sizes: self.alpha_sizes.clone(),
            seeds: self.seeds.clone(),
            settings,
        })
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
    /// Trains, and prints the table to standard output.
    pub(super) fn run(&self) -> Result<Outcome> {
        let args = match &self.which {
            Which::Outputs(args) => args,
            Which::Retrieval(args) => return args.run(),
            Which::Search(args) => return args.run(),
            Which::Transfer(args) | Which::Ablation(args) => {
                let library = read_labelled(&args.library, &args.labels)?;
                let (_, predictor) = args.models.load(Some(&args.model))?;
                let what = args.comparison()?;
                let mut say = |line: &str| eprintln!("{line}");
                let page = match &self.which {
                    Which::Ablation(_) => transfer::ablation(&predictor, &library, &what, &mut say)?,
                    _ => transfer::transfer(&predictor, &library, &what, &mut say)?,
                };
                print!("{page}");
                return Ok(Outcome::Complete);
            }
        };
        let (grid, library) = (Grid::read(&args.grid)?, read_labelled(&args.library, &args.labels)?);
        let amount = Amount { draws: args.draws, epochs: args.epochs };
        print!("{}", experiment::outputs(&grid, &library, amount, args.seed, &mut |line| eprintln!("{line}"))?);
        Ok(Outcome::Complete)
    }
}
