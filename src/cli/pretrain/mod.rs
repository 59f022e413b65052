//! `specola pretrain`: trains the shipped models.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use burn::tensor::Device;
use clap::{Args, Subcommand};
use indicatif::ProgressBar;

use super::RunOutcome;
use crate::plot::{LossSeries, losses};
use crate::train::encoders::PairStage;
use crate::train::grid::{Grid, Seds};
use crate::train::pretrain::split_nodes;
use crate::train::real_stars::RealStars;
use crate::train::training_loop::{LossPoint, Progress};

mod emulator;
pub(super) mod encoders;
mod heads;
mod index;
mod mlp;
mod xp_mlp;
mod xp_posterior;

/// Train a model from the synthetic grid
#[derive(Debug, Args)]
pub(super) struct Pretrain {
    #[command(subcommand)]
    network: Network,
}

#[derive(Debug, Subcommand)]
// The program makes only one value of this enum.
#[allow(clippy::large_enum_variant, reason = "one exists, for the parsed command line")]
enum Network {
    Mlp(mlp::Mlp),
    XpMlp(xp_mlp::XpMlp),
    XpPosterior(xp_posterior::MakeXpPosterior),
    Emulator(emulator::MakeEmulator),
    /// Auto-encoder of Gaia XP spectra
    XpEncoder(encoders::Encoder),
    /// Masked transformer of optical spectra
    LrsEncoder(encoders::Encoder),
    /// Alignment of both encoders in one embedding space, with decoders, in all variants
    Clip(encoders::Encoder),
    Heads(heads::Heads),
    Index(index::MakeIndex),
}

impl Pretrain {
    /// Trains the network. Reports each step on standard error.
    pub(super) fn run(&self) -> Result<RunOutcome> {
        match &self.network {
            Network::Mlp(args) => args.run(),
            Network::XpMlp(args) => args.run(),
            Network::XpPosterior(args) => args.run(),
            Network::Emulator(args) => args.run(),
            Network::XpEncoder(args) => args.run(PairStage::XpEncoder),
            Network::LrsEncoder(args) => args.run(PairStage::LrsEncoder),
            Network::Clip(args) => args.run(PairStage::Clip),
            Network::Heads(args) => args.run(),
            Network::Index(args) => args.run(),
        }
    }
}

/// Device for the computation.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ComputeDevice {
    /// CPU of this machine
    Cpu,
}

/// Arguments of every network that is trained on both surveys.
#[derive(Debug, Args)]
struct EncoderRunArgs {
    /// Synthetic grid, spectra.npz
    #[arg(long, value_name = "FILE")]
    grid: PathBuf,
    /// Energy distributions of the grid nodes, sed.npz
    #[arg(long, value_name = "FILE")]
    sed: PathBuf,
    /// Folder of the standard real sets: real Gaia XP and LAMOST spectra among the pairs [default: simulated spectra only]
    #[arg(long, value_name = "DIR")]
    real: Option<PathBuf>,
    /// Folder for checkpoints and loss curves; a stopped run resumes from them
    #[arg(long, value_name = "DIR", default_value = "target/pretrain")]
    work: PathBuf,
    /// Folder to publish the models in
    #[arg(short, long, value_name = "DIR", default_value = "models")]
    output: PathBuf,
    /// Seed of all random numbers
    #[arg(long, default_value_t = 20261121)]
    seed: u64,
    /// Device for the computation
    #[arg(long, value_enum, default_value = "cpu")]
    device: ComputeDevice,
}

impl TrainingGrid {
    pub(super) fn read(grid: &Path, sed: &Path, seed: u64) -> Result<Self> {
        let grid = Grid::read(grid)?;
        let seds = Seds::read(sed, &grid)?;
        let (train, held_out) = split_nodes(grid.len(), seed);
        eprintln!("grid: {} training nodes, {} held out", train.len(), held_out.len());
        Ok(Self { grid, seds, train, held_out })
    }
}

/// The grid, its training nodes and its held-out nodes.
pub(super) struct TrainingGrid {
    pub(super) grid: Grid,
    seds: Seds,
    pub(super) train: Vec<usize>,
    pub(super) held_out: Vec<usize>,
}

impl EncoderRunArgs {
    fn read(&self) -> Result<TrainingGrid> {
        TrainingGrid::read(&self.grid, &self.sed, self.seed)
    }

    /// The real stars, if their folder is given.
    fn real_stars(&self) -> Result<Option<RealStars>> {
        self.real.as_ref().map(|folder| RealStars::read(folder, self.seed)).transpose()
    }

    /// The options that name the data, without the folders of this machine.
    fn data_options(&self) -> &'static str {
        match self.real {
            Some(_) => "--grid spectra.npz --sed sed.npz --real real",
            None => "--grid spectra.npz --sed sed.npz",
        }
    }

    fn device(&self) -> Device {
        match self.device {
            ComputeDevice::Cpu => Device::flex(),
        }
    }
}

/// Progress report of a run: a bar on a terminal; at each checkpoint, a line and a figure of the losses.
struct RunReporter {
    name: &'static str,
    bar: ProgressBar,
    figure: PathBuf,
    began: std::time::Instant,
}

impl RunReporter {
    fn new(name: &'static str, work: &Path, steps: usize) -> Self {
        let bar = ProgressBar::new(steps as u64);
        Self { name, bar, figure: work.join(format!("{name}-loss.svg")), began: std::time::Instant::now() }
    }

    fn report(&self, progress: Progress<'_>) -> Result<()> {
        match progress {
            Progress::Step(step, _) => self.bar.set_position(step as u64 + 1),
            Progress::Resumed(step) => {
                self.bar.set_position(step as u64);
                eprintln!("{}: resumes at step {step}", self.name);
            }
            Progress::Checkpoint(points) => {
                if let Some(LossPoint { step, training, held_out }) = points.last() {
                    let minutes = self.began.elapsed().as_secs_f64() / 60.0;
                    self.bar.suspend(|| {
                        eprintln!(
                            "{}: step {step}, loss {training:.5}, held out {held_out:.5}, {minutes:.1} min",
                            self.name
                        );
                    });
                }
                self.draw(points)?;
            }
        }
        Ok(())
    }

    fn draw(&self, points: &[LossPoint]) -> Result<()> {
        let series = |name: &str, of: fn(&LossPoint) -> f64| LossSeries {
            name: name.into(),
            points: points.iter().map(|p| (p.step as f64, of(p))).collect(),
        };
        let both = [series("training", |p| p.training), series("held out", |p| p.held_out)];
        match losses(self.name, &both) {
            Some(svg) => {
                std::fs::write(&self.figure, svg).with_context(|| format!("writing {}", self.figure.display()))
            }
            None => Ok(()),
        }
    }
}
