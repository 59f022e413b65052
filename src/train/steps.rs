//! Training in steps that can be stopped at any time and taken up again at the same next loss.
//!
//! Everything random in a step follows from the seed and the number of the step, so a checkpoint needs no state of a random
//! number generator: weights, the optimiser's moments and the losses so far are all of it.

use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

use anyhow::{Context, Result, bail, ensure};
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::task::teach::WarmupCosine;

/// What is taught.
pub trait Lesson: Sync {
    /// The network.
    type Network: Module;
    /// What one step looks at: plain numbers, made in another thread.
    type Batch: Send;

    /// The examples of a step: always the same of one step.
    fn batch(&self, step: usize) -> Result<Self::Batch>;

    /// The loss of a step's examples, on the device (with gradients) of the network.
    fn loss(&self, network: &Self::Network, batch: Self::Batch, device: &Device) -> Tensor<1>;

    /// A loss of examples that are never learned from; the network is without gradients and dropout.
    fn check(&self, network: &Self::Network, device: &Device) -> Result<f64>;
}

/// How it is taught.
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
    /// AdamW's second beta.
    pub beta_2: f32,
    /// Gradients longer than this (all together) are shortened to it.
    pub clip: Option<f64>,
    /// Steps between checkpoints.
    pub every: usize,
    /// Seed of everything random.
    pub seed: u64,
}

/// Losses around a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Steps done.
    pub step: usize,
    /// Mean training loss since the last checkpoint.
    pub training: f64,
    /// Loss of held-out examples.
    pub held_out: f64,
}

/// What a run tells while it goes on.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A step was done: its number (from 0) and loss.
    Step(usize, f64),
    /// A checkpoint was written; all of them so far.
    Checkpoint(&'a [Point]),
    /// A checkpoint was found; the run goes on from this step.
    Resumed(usize),
}

/// What stands beside the weights of a checkpoint.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    /// What the run was started with: another one must not go on from here.
    recipe: String,
    step: usize,
    points: Vec<Point>,
}

/// A random number generator of one step (and of one example in it), seeded by both.
pub fn rng_of(seed: u64, step: usize, example: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((step as u64) << 20) | example as u64);
    rng
}

/// Teaches a network, from the checkpoint in `folder` if there is one. `recipe` names all that the outcome depends on; a
/// checkpoint of another recipe is refused. Gives the network without gradients.
pub fn run<L: Lesson>(
    lesson: &L,
    start: impl FnOnce(&Device) -> Result<L::Network>,
    how: &Schedule,
    recipe: &str,
    folder: &Path,
    device: &Device,
    tell: &mut dyn FnMut(Progress<'_>) -> Result<()>,
) -> Result<L::Network> {
    let taught = device.clone().autodiff();
    taught.seed(how.seed);
    let mut network = start(&taught)?;
    let optimiser = AdamWConfig::new().with_weight_decay(how.weight_decay).with_epsilon(1e-8).with_beta_2(how.beta_2);
    let mut optimiser: ModuleOptimizer = optimiser.init();
    let mut points = Vec::new();
    let mut first = 0;
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    if let Some(state) = read_state(folder, recipe)? {
        let files = Files::of(folder, state.step);
        let what = || format!("reading the checkpoint of step {} in {}", state.step, folder.display());
        network = network.try_load_file(&files.network).with_context(what)?;
        optimiser = optimiser.load(&files.optimiser).with_context(what)?;
        (first, points) = (state.step, state.points);
        tell(Progress::Resumed(first))?;
    }
    let rates = WarmupCosine { peak: how.rate, warmup: how.warmup, total: how.steps };
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(2);
        scope.spawn(move || {
            for step in first..how.steps {
                let batch = lesson.batch(step);
                let is_bad = batch.is_err();
                if sender.send(batch).is_err() || is_bad {
                    break;
                }
            }
        });
        let (mut sum, mut count) = (0.0, 0usize);
        for step in first..how.steps {
            let batch = receiver.recv().with_context(|| format!("no examples for step {step}"))??;
            // Dropout too depends on the step alone.
            taught.seed(how.seed ^ (step as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let loss = lesson.loss(&network, batch, &taught);
            let value = f64::from(loss.clone().into_scalar::<f32>());
            ensure!(
                value.is_finite(),
                "the loss of step {step} is not a number; lower the learning rate ({}) and start again from the last checkpoint",
                how.rate
            );
            let mut gradients = GradientsParams::from_grads(loss.backward(), &network);
            if let Some(longest) = how.clip {
                gradients = shortened(gradients, &network, longest);
            }
            network = optimiser.step(rates.rate(step), network, gradients);
            sum += value;
            count += 1;
            tell(Progress::Step(step, value))?;
            if (step + 1) % how.every.max(1) == 0 || step + 1 == how.steps {
                let held_out = lesson.check(&network.valid(), device)?;
                points.push(Point { step: step + 1, training: sum / count as f64, held_out });
                (sum, count) = (0.0, 0);
                let state = State { recipe: recipe.into(), step: step + 1, points: points.clone() };
                write_checkpoint(folder, &network, &optimiser, &state)?;
                tell(Progress::Checkpoint(&points))?;
            }
        }
        // The maker of examples, if it still waits to hand one over, ends with its channel.
        drop(receiver);
        Ok(network.valid())
    })
}

struct Files {
    network: PathBuf,
    optimiser: PathBuf,
}

impl Files {
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

fn read_state(folder: &Path, recipe: &str) -> Result<Option<State>> {
    let Ok(json) = std::fs::read(state_file(folder)) else { return Ok(None) };
    let state: State = serde_json::from_slice(&json)
        .with_context(|| format!("{} is damaged; remove it to start anew", state_file(folder).display()))?;
    if state.recipe != recipe {
        bail!(
            "{} holds a run with other options\n  there: {}\n  here:  {recipe}\ngive the same options or another work folder",
            folder.display(),
            state.recipe
        );
    }
    Ok(Some(state))
}

/// The new files first, then the state that names them, then the old files away: a run that is killed in between finds one of
/// both checkpoints whole.
fn write_checkpoint<M: Module>(folder: &Path, network: &M, optimiser: &ModuleOptimizer, state: &State) -> Result<()> {
    let what = || format!("writing a checkpoint to {}", folder.display());
    let files = Files::of(folder, state.step);
    network.clone().save_file(&files.network).with_context(what)?;
    optimiser.save(&files.optimiser).with_context(what)?;
    let fresh = folder.join("state.json.new");
    std::fs::write(&fresh, serde_json::to_vec_pretty(state)?).with_context(what)?;
    std::fs::rename(&fresh, state_file(folder)).with_context(what)?;
    for entry in std::fs::read_dir(folder).with_context(what)?.flatten() {
        let path = entry.path();
        let is_checkpoint = path.extension().is_some_and(|e| e == "bpk");
        if is_checkpoint && path != files.network && path != files.optimiser {
            std::fs::remove_file(&path).with_context(what)?;
        }
    }
    Ok(())
}

/// Gradients of a network, multiplied by one factor so that all together are no longer than `longest`.
fn shortened<M: Module>(gradients: GradientsParams, network: &M, longest: f64) -> GradientsParams {
    let mut length = Length { gradients: &gradients, square: Vec::new() };
    network.visit(&mut length);
    let square: f64 = length.square.into_iter().map(|s| f64::from(s.into_scalar::<f32>())).sum();
    let factor = longest / square.sqrt().max(1e-12);
    if factor >= 1.0 {
        return gradients;
    }
    let mut scaled = Scaled { from: gradients, factor, to: GradientsParams::new() };
    network.visit(&mut scaled);
    scaled.to
}

struct Length<'a> {
    gradients: &'a GradientsParams,
    square: Vec<Tensor<1>>,
}

impl ModuleVisitor for Length<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.square.push(gradient.powi_scalar(2).sum());
        }
    }
}

struct Scaled {
    from: GradientsParams,
    factor: f64,
    to: GradientsParams,
}

impl ModuleVisitor for Scaled {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.from.remove::<D>(param.id) {
            self.to.register(param.id, gradient * self.factor);
        }
    }
}
