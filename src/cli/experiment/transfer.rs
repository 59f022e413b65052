//! `specola experiment transfer` and `ablation`: the transfer study on a case.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use super::super::ModelsDir;
use super::Seeds;
use crate::result::Label;
use crate::result::finetune::Settings;
use crate::task::predict::Predictor;
use crate::train::emulator;
use crate::train::grid::Grid;
use crate::train::labelled_library::{LabelledLibrary, read_labelled, read_survey};
use crate::train::transfer::{self, Comparison};
use crate::train::transfer_case::xp::XpTransfer;
use crate::train::transfer_case::{TransferCase, desi, lamost, miles, xp};
use crate::train::xp::stars::XpStars;

/// A case of the study.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum CaseName {
    /// (a) A network trained on LAMOST DR10 with labels of its pipeline, to stars of MILES
    #[value(alias = "a")]
    Lamost,
    /// (b) Gaia XP spectra with labels of APOGEE, from bright to faint stars
    #[value(alias = "b")]
    Xp,
    /// (b) The same, from giants to dwarfs
    XpDwarfs,
    /// (c) A network trained on synthetic spectra, to stars of MILES
    #[value(alias = "c")]
    Miles,
    /// (d) Simulated spectra, like LAMOST's to like DESI's
    #[value(alias = "d")]
    Desi,
}

/// Data, labels and settings of a comparison.
#[derive(Debug, Args)]
pub(super) struct TransferArgs {
    /// Case of the study
    #[arg(long, value_enum, default_value = "miles")]
    case: CaseName,
    /// Folder of the real spectra and their label tables (cases a, b, c)
    #[arg(long, value_name = "DIR", required_unless_present_any = ["library", "grid"])]
    real: Option<PathBuf>,
    /// Labelled real stars of case c, in place of the folder's miles.npz
    #[arg(long, value_name = "FILE", requires = "labels")]
    library: Option<PathBuf>,
    /// Labels of the real stars, CSV
    #[arg(long, value_name = "FILE", requires = "library")]
    labels: Option<PathBuf>,
    /// Synthetic grid, spectra.npz, from which DESI-like spectra are simulated (case d)
    #[arg(long, value_name = "FILE", required_if_eq("case", "desi"))]
    grid: Option<PathBuf>,
    /// Model to fine-tune (cases c and d); in case a, its velocity network brings the spectra to rest
    #[arg(long, value_name = "NAME", default_value = "lrs-mlp-synthetic")]
    model: String,
    /// Case b: train the base network on the training stars of both sets, as the best that fine-tuning can reach
    #[arg(long)]
    on_all: bool,
    /// Labels to fine-tune (transfer)
    #[arg(long, value_name = "LABELS", value_delimiter = ',', default_value = "teff,logg,feh,alpha_fe")]
    targets: Vec<String>,
    /// Numbers of labelled stars
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "25,100")]
    sizes: Vec<usize>,
    /// Numbers of stars with [α/Fe] [default: as for the other labels; in cases a and c 10,25,50, as few stars have it]
    #[arg(long, value_name = "N", value_delimiter = ',')]
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
    /// Largest number of epochs
    #[arg(long, value_name = "E")]
    epochs: Option<usize>,
    /// Start the gradient steps from the GP correction
    #[arg(long)]
    start_from_gp: bool,
    /// Of earlier versions, in which the GP correction was the default
    #[arg(long, alias = "no-closed-form", hide = true, conflicts_with = "start_from_gp")]
    no_gp: bool,
    /// Folder for the checkpoints of base networks that the command trains (cases a and b)
    #[arg(long, value_name = "DIR", default_value = "target/pretrain")]
    work: PathBuf,
    /// Seed of these networks
    #[arg(long, default_value_t = 20261121)]
    seed: u64,
    #[command(flatten)]
    models: ModelsDir,
}

/// Parser for names of strategies; `closed-form` is the earlier name of `gp`.
fn strategy_parser() -> impl TypedValueParser<Value = String> {
    let values = transfer::STRATEGIES.map(|(name, _)| match name {
        "gp" => PossibleValue::new(name).alias("closed-form"),
        _ => PossibleValue::new(name),
    });
    PossibleValuesParser::new(values).map(|name| if name == "closed-form" { "gp".into() } else { name })
}

impl TransferArgs {
    /// Compares the strategies; returns the section.
    pub(super) fn transfer(&self, log: &mut dyn FnMut(&str)) -> Result<String> {
        transfer::transfer(&self.transfer_case(log)?, &self.comparison("transfer")?, log)
    }

    /// Compares ranks, widths and learning rates; returns the section.
    pub(super) fn ablation(&self, log: &mut dyn FnMut(&str)) -> Result<String> {
        transfer::ablation(&self.transfer_case(log)?, &self.comparison("ablation")?, log)
    }

    fn comparison(&self, which: &str) -> Result<Comparison> {
        let label = |name: &String| {
            Label::from_name(name).filter(|l| *l != Label::Rv).with_context(|| {
                format!("cannot fine-tune a label {name:?}; choose among teff, logg, feh and alpha_fe")
            })
        };
        let mut settings = if self.zhao2026 { Settings::zhao2026() } else { Settings::default() };
        settings.start_from_gp = self.start_from_gp && !self.no_gp;
        settings.epochs = self.epochs.unwrap_or(settings.epochs);
        let labels = self.targets.iter().map(label).collect::<Result<_>>()?;
        let (sizes, alpha_sizes, seeds) = (self.sizes.clone(), self.alpha_sizes(), self.seeds.all.clone());
        let (strategies, command) = (self.strategies.clone(), self.command(which));
        Ok(Comparison { labels, sizes, alpha_sizes, seeds, settings, strategies, command })
    }

    fn alpha_sizes(&self) -> Vec<usize> {
        match (self.alpha_sizes.as_slice(), self.case) {
            ([], CaseName::Lamost | CaseName::Miles) => vec![10, 25, 50],
            ([], _) => self.sizes.clone(),
            (sizes, _) => sizes.to_vec(),
        }
    }

    fn predictor(&self) -> Result<Predictor> {
        Ok(self.models.load(Some(&self.model))?.1)
    }

    /// A file of the folder of real spectra.
    fn real(&self, file: &str) -> Result<PathBuf> {
        let folder = self.real.as_ref().with_context(|| format!("give --real, the folder with {file}"))?;
        Ok(folder.join(file))
    }

    fn miles(&self) -> Result<LabelledLibrary> {
        match (&self.library, &self.labels) {
            (Some(library), Some(labels)) => read_labelled(library, labels),
            _ => read_labelled(&self.real("miles.npz")?, &self.real("miles_labels.csv")?),
        }
    }

    /// The network and the stars for training and testing.
    fn transfer_case(&self, log: &mut dyn FnMut(&str)) -> Result<TransferCase> {
        match self.case {
            CaseName::Lamost => {
                let lamost = read_survey(&self.real("lamost_dr10.npz")?, &self.real("lamost_dr10_labels.csv")?)?;
                lamost::case(&self.predictor()?, &lamost, &self.miles()?, &self.work, self.seed, log)
            }
            CaseName::Xp | CaseName::XpDwarfs => {
                let stars = XpStars::read(&self.real("gaia_xp_apogee.npz")?, self.seed)?;
                let is_dwarfs = self.case == CaseName::XpDwarfs;
                let transfer = if is_dwarfs { XpTransfer::GiantsToDwarfs } else { XpTransfer::BrightToFaint };
                xp::case(transfer, self.on_all, &stars, &self.work, self.seed, log)
            }
            CaseName::Miles => Ok(miles::case(&self.predictor()?, &self.miles()?)),
            CaseName::Desi => {
                let store = self.models.store();
                let manifest = pollster::block_on(store.manifest())?;
                let entry = manifest.get("grid-emulator");
                let entry =
                    entry.context("no grid-emulator among the models; make it with `specola pretrain emulator`")?;
                let emulator = emulator::parse(&pollster::block_on(store.weights(entry, |_, _| {}))?)?;
                let grid = self.grid.as_ref().context("give --grid, the synthetic grid")?;
                desi::case(&self.predictor()?, &Grid::read(grid)?, &emulator)
            }
        }
    }

    /// The command without the folders of this machine, as the report quotes it.
    fn command(&self, which: &str) -> String {
        let list = |values: &[usize]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let (name, files) = match self.case {
            CaseName::Lamost => ("lamost", "--real real"),
            CaseName::Xp => ("xp", "--real real"),
            CaseName::XpDwarfs => ("xp-dwarfs", "--real real"),
            CaseName::Miles => ("miles", "--real real"),
            CaseName::Desi => ("desi", "--grid spectra.npz"),
        };
        let mut command = format!("specola experiment {which} --case {name} {files}");
        if matches!(self.case, CaseName::Miles | CaseName::Desi) {
            command += &format!(" --model {}", self.model);
        }
        if which == "transfer" {
            command += &format!(" --targets {}", self.targets.join(","));
        }
        command += &format!(" --sizes {}", list(&self.sizes));
        if which == "transfer" && self.targets.iter().any(|t| t == Label::AlphaFe.name()) {
            command += &format!(" --alpha-sizes {}", list(&self.alpha_sizes()));
        }
        command += &format!(" --seeds {}", self.seeds.text);
        if which == "transfer" && !self.strategies.is_empty() {
            command += &format!(" --strategies {}", self.strategies.join(","));
        }
        if let Some(epochs) = self.epochs {
            command += &format!(" --epochs {epochs}");
        }
        [(self.on_all, " --on-all"), (self.zhao2026, " --zhao2026"), (self.start_from_gp, " --start-from-gp")]
            .into_iter()
            .filter(|(is_given, _)| *is_given)
            .for_each(|(_, flag)| command += flag);
        command
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::TransferArgs;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: TransferArgs,
    }

    #[test]
    fn earlier_flags_are_read_and_the_printed_command_has_the_present_ones() {
        let files = ["experiment", "--library", "miles.npz", "--labels", "miles_labels.csv"];
        let command = |flags: [&str; 4]| {
            let program = Program::try_parse_from(files.into_iter().chain(flags)).expect("known flags");
            program.args.command("transfer")
        };
        let present = command(["--strategies", "gp,lora", "--zhao2026", "--start-from-gp"]);
        assert!(present.ends_with(" --strategies gp,lora --zhao2026 --start-from-gp"), "{present}");
        assert_eq!(command(["--ways", "closed-form,lora", "--paper", "--start-from-gp"]), present);
    }
}
