//! `specola pretrain`: makes the models that are shipped.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use burn::tensor::Device;
use clap::{Args, Subcommand};
use indicatif::ProgressBar;

use super::Outcome;
use crate::plot::{LossSeries, losses};
use crate::train::encoders::Stage;
use crate::train::grid::{Grid, Seds};
use crate::train::pretrain::split_nodes;
use crate::train::steps::{Point, Progress};

mod emulator;
pub(super) mod encoders;
mod heads;
mod index;
mod mlp;

/// Train a model from the synthetic grid
#[derive(Debug, Args)]
pub(super) struct Pretrain {
    #[command(subcommand)]
    network: Network,
}

#[derive(Debug, Subcommand)]
// Made once.
#[allow(clippy::large_enum_variant)]
enum Network {
    Mlp(mlp::Mlp),
    Emulator(emulator::MakeEmulator),
    /// The auto-encoder of Gaia XP spectra
    XpEncoder(encoders::Encoder),
    /// The masked transformer of optical spectra
    LrsEncoder(encoders::Encoder),
    /// Both encoders into one space, with decoders, in all variants
    Clip(encoders::Encoder),
    Heads(heads::Heads),
    Index(index::MakeIndex),
}

impl Pretrain {
    /// Trains; each step is told on standard error.
    pub(super) fn run(&self) -> Result<Outcome> {
        match &self.network {
            Network::Mlp(args) => args.run(),
            Network::Emulator(args) => args.run(),
            Network::XpEncoder(args) => args.run(Stage::XpEncoder),
            Network::LrsEncoder(args) => args.run(Stage::LrsEncoder),
            Network::Clip(args) => args.run(Stage::Clip),
            Network::Heads(args) => args.run(),
            Network::Index(args) => args.run(),
        }
    }
}

/// Where computing is done.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Where {
    /// This machine's processor
    Cpu,
}

/// What every network that learns from both surveys needs.
#[derive(Debug, Args)]
struct Common {
    /// The synthetic grid, spectra.npz
    #[arg(long, value_name = "FILE")]
    grid: PathBuf,
    /// Energy distributions of its nodes, sed.npz
    #[arg(long, value_name = "FILE")]
    sed: PathBuf,
    /// Folder for checkpoints and loss curves; a run that was stopped goes on from there
    #[arg(long, value_name = "DIR", default_value = "target/pretrain")]
    work: PathBuf,
    /// Folder that the models are published in
    #[arg(short, long, value_name = "DIR", default_value = "models")]
    output: PathBuf,
    /// Seed of everything random
    #[arg(long, default_value_t = 20261121)]
    seed: u64,
    /// Where to compute
    #[arg(long, value_enum, default_value = "cpu")]
    device: Where,
}

impl Material {
    pub(super) fn read(grid: &Path, sed: &Path, seed: u64) -> Result<Self> {
        let grid = Grid::read(grid)?;
        let seds = Seds::read(sed, &grid)?;
        let (train, held_out) = split_nodes(grid.len(), seed);
        eprintln!("grid: {} nodes to learn from, {} held out", train.len(), held_out.len());
        Ok(Self { grid, seds, train, held_out })
    }
}

/// The grid, and which nodes are learned from and which are held out.
pub(super) struct Material {
    pub(super) grid: Grid,
    seds: Seds,
    pub(super) train: Vec<usize>,
    pub(super) held_out: Vec<usize>,
}

impl Common {
    fn read(&self) -> Result<Material> {
        Material::read(&self.grid, &self.sed, self.seed)
    }

    fn device(&self) -> Device {
        match self.device {
            Where::Cpu => Device::flex(),
        }
    }
}

/// Tells of a run: a bar on a terminal, a line and a figure of the losses at each checkpoint.
struct Teller {
    name: &'static str,
    bar: ProgressBar,
    figure: PathBuf,
    began: std::time::Instant,
}

impl Teller {
    fn new(name: &'static str, work: &Path, steps: usize) -> Self {
        let bar = ProgressBar::new(steps as u64);
        Self { name, bar, figure: work.join(format!("{name}-loss.svg")), began: std::time::Instant::now() }
    }

    fn hear(&self, progress: Progress<'_>) -> Result<()> {
        match progress {
            Progress::Step(step, _) => self.bar.set_position(step as u64 + 1),
            Progress::Resumed(step) => {
                self.bar.set_position(step as u64);
                eprintln!("{}: goes on from step {step}", self.name);
            }
            Progress::Checkpoint(points) => {
                if let Some(Point { step, training, held_out }) = points.last() {
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

    fn draw(&self, points: &[Point]) -> Result<()> {
        let series = |name: &str, of: fn(&Point) -> f64| LossSeries {
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
