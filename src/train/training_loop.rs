//! Training loop that can be stopped at any time and resumed with the same losses.
//!
//! All random numbers of a step follow from the seed and the step number, so a checkpoint needs no state of a random
//! number generator. It has only the weights, the optimiser's moments and the losses so far.

use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

use anyhow::{Context, Result, bail, ensure};
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::task::finetune::WarmupCosine;

/// A training objective: batches and loss of a network.
pub trait Objective: Sync {
    /// The network.
    type Network: Module;
    /// Data of one step: plain numbers, made in another thread.
    type Batch: Send;

    /// The batch of a step. The same step always gives the same batch.
    fn batch(&self, step: usize) -> Result<Self::Batch>;

    /// Loss of a batch, on the device of the network (with gradients).
    fn loss(&self, network: &Self::Network, batch: Self::Batch, device: &Device) -> Tensor<1>;

    /// Loss of held-out data. The network has neither gradients nor dropout.
    fn check(&self, network: &Self::Network, device: &Device) -> Result<f64>;
}

/// Steps, learning rate and other settings of the optimiser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Number of steps.
    pub steps: usize,
    /// Steps over which the learning rate rises.
    pub warmup: usize,
    /// Highest learning rate; it falls along half a cosine to zero.
    pub rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// `AdamW`'s second beta.
    pub beta_2: f32,
    /// Largest norm of the gradients of all parameters; longer gradients are scaled to it.
    pub clip: Option<f64>,
    /// Steps between checkpoints.
    pub every: usize,
    /// Seed of all random numbers.
    pub seed: u64,
}

/// Losses at a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LossPoint {
    /// Steps done.
    pub step: usize,
    /// Mean training loss since the last checkpoint.
    pub training: f64,
    /// Loss of held-out data.
    pub held_out: f64,
}

/// Progress of a run.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A step is done: its number (from 0) and its loss.
    Step(usize, f64),
    /// A checkpoint is written: losses at all checkpoints so far.
    Checkpoint(&'a [LossPoint]),
    /// A checkpoint was found; the run resumes at this step.
    Resumed(usize),
}

/// State of a run besides the weights, saved in each checkpoint.
#[derive(Debug, Serialize, Deserialize)]
struct LoopState {
    /// Options of the run. Only a run with the same options may resume it.
    recipe: String,
    step: usize,
    points: Vec<LossPoint>,
}

/// Random number generator for one step and one example of the step, seeded by both.
pub fn rng_of(seed: u64, step: usize, example: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((step as u64) << 20) | example as u64);
    rng
}

/// Trains a network. If `folder` has a checkpoint, the run resumes it. `recipe` describes all options that affect the
/// result; a checkpoint of another recipe is an error. Returns the network without gradients.
pub fn run<O: Objective>(
    objective: &O,
    start: impl FnOnce(&Device) -> Result<O::Network>,
    schedule: &Schedule,
    recipe: &str,
    folder: &Path,
    device: &Device,
    on_progress: &mut dyn FnMut(Progress<'_>) -> Result<()>,
) -> Result<O::Network> {
    let train_device = device.clone().autodiff();
    train_device.seed(schedule.seed);
    let mut network = start(&train_device)?;
    let optimiser =
        AdamWConfig::new().with_weight_decay(schedule.weight_decay).with_epsilon(1e-8).with_beta_2(schedule.beta_2);
    let mut optimiser: ModuleOptimizer = optimiser.init();
    let mut points = Vec::new();
    let mut first = 0;
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    if let Some(state) = read_state(folder, recipe)? {
        let files = CheckpointFiles::of(folder, state.step);
        let action = || format!("reading the checkpoint of step {} in {}", state.step, folder.display());
        network = network.try_load_file(&files.network).with_context(action)?;
        optimiser = optimiser.load(&files.optimiser).with_context(action)?;
        (first, points) = (state.step, state.points);
        on_progress(Progress::Resumed(first))?;
    }
    let rates = WarmupCosine { peak: schedule.rate, warmup: schedule.warmup, total: schedule.steps };
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(2);
        scope.spawn(move || {
            for step in first..schedule.steps {
                let batch = objective.batch(step);
                let is_error = batch.is_err();
                if sender.send(batch).is_err() || is_error {
                    break;
                }
            }
        });
        let (mut sum, mut count) = (0.0, 0usize);
        for step in first..schedule.steps {
            let batch = receiver.recv().with_context(|| format!("the batch of step {step} is missing"))??;
            // Dropout also depends on the step alone.
            train_device.seed(schedule.seed ^ (step as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let loss = objective.loss(&network, batch, &train_device);
            let value = f64::from(loss.clone().into_scalar::<f32>());
            ensure!(
                value.is_finite(),
                "the loss of step {step} is not finite; use a learning rate below {} and an empty work folder",
                schedule.rate
            );
            let mut gradients = GradientsParams::from_grads(loss.backward(), &network);
            if let Some(max_norm) = schedule.clip {
                gradients = clip_gradients(gradients, &network, max_norm);
            }
            network = optimiser.step(rates.rate(step), network, gradients);
            sum += value;
            count += 1;
            on_progress(Progress::Step(step, value))?;
            if (step + 1) % schedule.every.max(1) == 0 || step + 1 == schedule.steps {
                let held_out = objective.check(&network.valid(), device)?;
                points.push(LossPoint { step: step + 1, training: sum / count as f64, held_out });
                (sum, count) = (0.0, 0);
                let state = LoopState { recipe: recipe.into(), step: step + 1, points: points.clone() };
                write_checkpoint(folder, &network, &optimiser, &state)?;
                on_progress(Progress::Checkpoint(&points))?;
            }
        }
        // If the batch thread still waits to send a batch, the closed channel ends it.
        drop(receiver);
        Ok(network.valid())
    })
}

struct CheckpointFiles {
    network: PathBuf,
    optimiser: PathBuf,
}

impl CheckpointFiles {
    fn of(folder: &Path, step: usize) -> Self {
        Self {
            network: folder.join(format!("step-{step}.network.bpk")),
            optimiser: folder.join(format!("step-{step}.optimiser.bpk")),
        }
    }
}

fn state_file(folder: &Path) -> PathBuf {
    folder.join("state.json")
}

fn read_state(folder: &Path, recipe: &str) -> Result<Option<LoopState>> {
    let Ok(json) = std::fs::read(state_file(folder)) else { return Ok(None) };
    let state: LoopState = serde_json::from_slice(&json)
        .with_context(|| format!("{} is damaged; delete it to restart the training", state_file(folder).display()))?;
    if state.recipe != recipe {
        bail!(
            "{} has a checkpoint of a run with other options\n  checkpoint: {}\n  this run:   {recipe}\nuse the same options or another work folder",
            folder.display(),
            state.recipe
        );
    }
    Ok(Some(state))
}

/// Writes the new files first, then the state that names them, and last removes the old files. A run that is killed in
/// between leaves one complete checkpoint.
fn write_checkpoint<M: Module>(
    folder: &Path,
    network: &M,
    optimiser: &ModuleOptimizer,
    state: &LoopState,
) -> Result<()> {
    let action = || format!("writing a checkpoint to {}", folder.display());
    let files = CheckpointFiles::of(folder, state.step);
    network.clone().save_file(&files.network).with_context(action)?;
    optimiser.save(&files.optimiser).with_context(action)?;
    let fresh = folder.join("state.json.new");
    std::fs::write(&fresh, serde_json::to_vec_pretty(state)?).with_context(action)?;
    std::fs::rename(&fresh, state_file(folder)).with_context(action)?;
    for entry in std::fs::read_dir(folder).with_context(action)?.flatten() {
        let path = entry.path();
        let is_checkpoint = path.extension().is_some_and(|e| e == "bpk");
        if is_checkpoint && path != files.network && path != files.optimiser {
            std::fs::remove_file(&path).with_context(action)?;
        }
    }
    Ok(())
}

/// Scales the gradients of a network by one factor, so that the norm of all together is at most `max_norm`.
fn clip_gradients<M: Module>(gradients: GradientsParams, network: &M, max_norm: f64) -> GradientsParams {
    let mut norm = GradientNorm { gradients: &gradients, square: Vec::new() };
    network.visit(&mut norm);
    let square: f64 = norm.square.into_iter().map(|s| f64::from(s.into_scalar::<f32>())).sum();
    let factor = max_norm / square.sqrt().max(1e-12);
    if factor >= 1.0 {
        return gradients;
    }
    let mut scaled = ScaleGradients { from: gradients, factor, to: GradientsParams::new() };
    network.visit(&mut scaled);
    scaled.to
}

struct GradientNorm<'a> {
    gradients: &'a GradientsParams,
    square: Vec<Tensor<1>>,
}

impl ModuleVisitor for GradientNorm<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.square.push(gradient.powi_scalar(2).sum());
        }
    }
}

struct ScaleGradients {
    from: GradientsParams,
    factor: f64,
    to: GradientsParams,
}

impl ModuleVisitor for ScaleGradients {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.from.remove::<D>(param.id) {
            self.to.register(param.id, gradient * self.factor);
        }
    }
}
