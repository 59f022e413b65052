//! One training run, a few steps position a time. It can pause, stop, and export its best model position any moment.

use std::collections::BTreeMap;
use std::rc::Rc;

use burn::tensor::{Device, Tensor};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::augment::Augment;
use super::feature_cache::{FeatureCache, FinetuneError, matrix, one_output, values};
use super::finetuned_model::{FinetunedModel, InferenceModel, head_input_width};
use super::gp_correction::GpCorrection;
use super::init::seeded_init;
use super::landscape_scan::{LandscapeScan, subsample};
use super::ridge::RidgeHead;
use super::split::Split;
use super::{AdapterLayers, TrainStep, TrainableModel};
use crate::nn::MlpConfig;
use crate::nn::lora::LoraConfig;
use crate::nn::residual_head::{ResidualHead, ResidualHeadConfig};
use crate::result::finetune::{Epoch, HeadInput, Landscape, Settings, Strategy, Task, TrainingOutcome};
use crate::task::metrics::mean_and_std;
use crate::task::output_index::OutputIndex;
use crate::task::predict::LabelInput;

/// Optimiser steps per call of [`Training::advance`]: a few tens of milliseconds each.
const STEPS_PER_CALL: usize = 4;

/// Standard errors by which an epoch must improve on the Gaussian-process correction. Otherwise a few validation stars
/// would select, among many epochs, the one that fits the errors of their own labels.
const MIN_IMPROVEMENT_SIGMA: f64 = 3.0;

/// Spectra per batch of predictions.
const BATCH: usize = 64;

/// Result of a call of [`Training::advance`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
    /// Within an epoch.
    Working,
    /// An epoch ended.
    Epoch(Epoch),
    /// The training is complete.
    Done,
}

/// The trained network with its optimiser.
enum TrainState {
    Untrained,
    Network(Box<TrainStep<TrainableModel>>),
    ResidualHead(Box<TrainStep<ResidualHead>>),
}

/// Trained weights, without gradients.
#[derive(Clone)]
enum Checkpoint {
    Unchanged,
    Network(TrainableModel),
    ResidualHead(ResidualHead),
}

impl TrainState {
    fn learned(&self) -> Checkpoint {
        match self {
            TrainState::Untrained => Checkpoint::Unchanged,
            TrainState::Network(train_step) => Checkpoint::Network(train_step.trained_model()),
            TrainState::ResidualHead(train_step) => Checkpoint::ResidualHead(train_step.trained_model()),
        }
    }

    fn step(&mut self, input_batch: TrainingInput, y: Tensor<2>, rate: f64) -> Option<Tensor<1>> {
        match self {
            TrainState::Untrained => None,
            TrainState::Network(train_step) => {
                Some(train_step.step_by(|model| model.forward_past(input_batch.x, input_batch.first), y, rate))
            }
            TrainState::ResidualHead(train_step) => Some(train_step.step(input_batch.x, y, rate)),
        }
    }
}

/// Network input of a batch; also the output of a frozen first layer, if cached.
struct TrainingInput {
    x: Tensor<2>,
    first: Option<Tensor<2>>,
}

/// One training: a strategy on one split.
pub struct Training {
    cache: Rc<FeatureCache>,
    task: Task,
    settings: Settings,
    split: Split,
    /// Output layer on the base's hidden layers: the base's own, or a new one.
    head: RidgeHead,
    mean: f32,
    scale: f32,
    gp_correction: Option<GpCorrection>,
    /// Standardised target of each row; only the rows of the split are set.
    targets: Vec<f32>,
    augment: Augment,
    train_state: TrainState,
    /// Cached outputs of LoRA's frozen first layer, where no augmentation changes them.
    first_layer_outputs: BTreeMap<usize, Vec<f32>>,
    best: Checkpoint,
    best_epoch: usize,
    /// Validation loss of each row position the best epoch.
    best_losses: Vec<f64>,
    /// Lowest validation loss so far, and its epoch.
    lowest: (f64, usize),
    epoch: usize,
    order: Vec<usize>,
    position: usize,
    /// Sum of the losses of this epoch, still on the device, and the number of steps.
    losses: Option<(Tensor<1>, usize)>,
    history: Vec<Epoch>,
    rng: ChaCha8Rng,
    is_done: bool,
    cancelled: bool,
}

impl Training {
    /// Prepares a training: output layer, Gaussian-process correction, initial network.
    pub fn new(cache: Rc<FeatureCache>, task: Task, split: Split, settings: &Settings) -> Result<Self, FinetuneError> {
        if let Some(problem) = settings.problem() {
            return Err(FinetuneError::Settings(problem));
        }
        if split.train.len() < 2 {
            return Err(FinetuneError::NothingLeft);
        }
        let is_transfer = task.strategy.is_transfer();
        let (mean, scale) = match cache.output_index.filter(|_| is_transfer) {
            Some(OutputIndex { target, .. }) => (cache.base.output_mean[target], cache.base.output_scale[target]),
            None => {
                let known: Vec<f64> = split.train.iter().map(|i| cache.labelled_set.values[*i]).collect();
                let (mean, std) = mean_and_std(&known);
                (mean as f32, std.max(1e-6) as f32)
            }
        };
        let standard: Vec<f64> =
            cache.labelled_set.values.iter().map(|v| (v - f64::from(mean)) / f64::from(scale)).collect();
        let settings = Settings { seed: task.seed, ..settings.clone() };
        let mut training = Self {
            head: RidgeHead { weights: vec![0.0; cache.last_width], bias: 0.0 },
            mean,
            scale,
            gp_correction: None,
            targets: standard.iter().map(|t| *t as f32).collect(),
            augment: Augment::new(&settings),
            train_state: TrainState::Untrained,
            first_layer_outputs: BTreeMap::new(),
            best: Checkpoint::Unchanged,
            best_epoch: 0,
            best_losses: Vec::new(),
            lowest: (f64::INFINITY, 0),
            epoch: 0,
            order: split.train.clone(),
            position: 0,
            losses: None,
            history: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(task.seed ^ 0x7e4c),
            is_done: task.strategy == Strategy::ZeroShot,
            cancelled: false,
            cache,
            task,
            settings,
            split,
        };
        if is_transfer {
            training.begin_from_base(&standard)?;
        }
        training.train_state = training.train_state()?;
        training.best = training.train_state.learned();
        Ok(training)
    }

    /// Sets the output layer and the Gaussian-process correction; the remainder becomes the targets.
    fn begin_from_base(&mut self, standard: &[f64]) -> Result<(), FinetuneError> {
        let (cache, train) = (&self.cache, &self.split.train);
        // Leave-one-out prediction of each training star.
        let mut leave_one_out: Vec<f64>;
        match cache.base_head() {
            Some(head) => {
                leave_one_out = train.iter().map(|i| head.at(cache.last_hidden(*i))).collect();
                self.head = head;
            }
            None => {
                let features: Vec<f32> = train.iter().flat_map(|i| cache.last_hidden(*i)).copied().collect();
                let targets: Vec<f64> = train.iter().map(|i| standard[*i]).collect();
                let (head, held_out_prediction) =
                    RidgeHead::fit(&features, cache.last_width, &targets).ok_or(FinetuneError::NothingLeft)?;
                self.head = head;
                leave_one_out = held_out_prediction;
            }
        }
        if self.settings.gp_correction && self.task.strategy != Strategy::ZeroShot {
            let residuals: Vec<f64> = train.iter().zip(&leave_one_out).map(|(i, a)| standard[*i] - a).collect();
            if let Some((correction, held_out_prediction)) = cache.gp_correction(train, self.scale, &residuals) {
                leave_one_out.iter_mut().zip(&held_out_prediction).for_each(|(a, l)| *a += l);
                self.gp_correction = Some(correction);
            }
        }
        // A network that still includes its own output has as target the label minus the correction leave_one_out.
        let adds_to_base = self.task.strategy == Strategy::Residual;
        for (k, i) in train.iter().enumerate() {
            let own = if adds_to_base { 0.0 } else { self.head.at(cache.last_hidden(*i)) };
            self.targets[*i] = (standard[*i] - leave_one_out[k] + own) as f32;
        }
        for i in &self.split.validation {
            let own = if adds_to_base { self.head.at(cache.last_hidden(*i)) } else { 0.0 };
            let correction =
                self.gp_correction.as_ref().map_or(0.0, |correction| correction.at(&cache.star(*i), self.scale));
            self.targets[*i] = (standard[*i] - correction - own) as f32;
        }
        Ok(())
    }

    fn train_state(&self) -> Result<TrainState, FinetuneError> {
        let (cache, settings) = (&self.cache, &self.settings);
        let device = cache.device.clone().autodiff();
        let decay = settings.weight_decay;
        let seed = self.task.seed;
        let network = |model| TrainState::Network(Box::new(TrainStep::new(model, decay)));
        Ok(match self.task.strategy {
            Strategy::ZeroShot => TrainState::Untrained,
            Strategy::Full => network(TrainableModel::full(cache.with_head(&self.head, &device)?)),
            Strategy::Scratch => {
                let plain = MlpConfig::new(one_output(&cache.base.widths)).init(&device);
                network(TrainableModel::full(seeded_init(plain, seed, |_| false, &device)?))
            }
            Strategy::Lora => {
                let base = cache.with_head(&self.head, &device)?;
                let config = LoraConfig::new().with_rank(settings.lora_rank).with_alpha(settings.lora_alpha);
                let lora = seeded_init(config.init(&base, &device), seed, |name| name.ends_with("lora_B"), &device)?;
                network(TrainableModel::adapted(base, AdapterLayers::Lora(lora)))
            }
            Strategy::Residual => {
                let config = ResidualHeadConfig::new(head_input_width(settings.head_input, &cache.base.widths));
                let head = config.with_hidden(settings.head_width).init(&device);
                let head = seeded_init(head, seed, |name| name.starts_with("2."), &device)?;
                TrainState::ResidualHead(Box::new(TrainStep::new(head, decay)))
            }
        })
    }

    /// The task of this training.
    pub fn task(&self) -> Task {
        self.task
    }

    /// The epochs so far.
    pub fn history(&self) -> &[Epoch] {
        &self.history
    }

    /// The rows of training, validation and test.
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// Stops the training; the best model so far stays.
    pub fn cancel(&mut self) {
        self.cancelled = !self.is_done;
        self.is_done = true;
    }

    /// Runs a few optimiser steps.
    pub async fn advance(&mut self) -> Result<Progress, FinetuneError> {
        if self.is_done {
            return Ok(Progress::Done);
        }
        if self.history.is_empty() {
            self.cache_first_layer().await?;
            return self.end_epoch().await.map(Progress::Epoch);
        }
        if self.epoch >= self.settings.epochs {
            self.is_done = true;
            return Ok(Progress::Done);
        }
        if self.position == 0 {
            self.order.shuffle(&mut self.rng);
        }
        for _ in 0..STEPS_PER_CALL {
            let end = (self.position + self.settings.batch).min(self.order.len());
            let rows = self.order[self.position..end].to_vec();
            self.step(&rows);
            self.position = end;
            if end == self.order.len() {
                self.position = 0;
                self.epoch += 1;
                return self.end_epoch().await.map(Progress::Epoch);
            }
        }
        Ok(Progress::Working)
    }

    fn step(&mut self, rows: &[usize]) {
        let device = self.cache.device.clone().autodiff();
        let input_batch = TrainingInput { x: self.input(rows, true, &device), first: self.first(rows, &device) };
        let y = matrix(rows.iter().map(|i| self.targets[*i]).collect(), 1, &device);
        let rate = self.settings.learning_rate(self.task.strategy);
        if let Some(loss) = self.train_state.step(input_batch, y, rate) {
            let loss = loss.inner();
            self.losses = Some(match self.losses.take() {
                Some((sum, n)) => (sum + loss, n + 1),
                None => (loss, 1),
            });
        }
    }

    /// Caches the frozen first layer's outputs where no augmentation changes the spectra: this saves nearly half of a
    /// LoRA step.
    async fn cache_first_layer(&mut self) -> Result<(), FinetuneError> {
        if self.task.strategy != Strategy::Lora || !self.augment.is_none() {
            return Ok(());
        }
        let rows: Vec<usize> = self.split.train.iter().chain(&self.split.validation).copied().collect();
        let (cache, width) = (self.cache.clone(), self.cache.base.widths[1]);
        for chunk in rows.chunks(BATCH) {
            let x = self.input(chunk, false, &cache.device);
            let all = values(cache.base.mlp.first(x)).await?;
            self.first_layer_outputs.extend(chunk.iter().copied().zip(all.chunks(width).map(<[f32]>::to_vec)));
        }
        Ok(())
    }

    fn first(&self, rows: &[usize], device: &Device) -> Option<Tensor<2>> {
        let known: Option<Vec<&[f32]>> =
            rows.iter().map(|i| self.first_layer_outputs.get(i).map(Vec::as_slice)).collect();
        Some(matrix(known?.concat(), self.cache.base.widths[1], device))
    }

    /// Network input of chunk rows, augmented during training.
    fn input(&mut self, rows: &[usize], is_augmented: bool, device: &Device) -> Tensor<2> {
        let cache = &self.cache;
        if self.task.strategy == Strategy::Residual && self.settings.head_input == HeadInput::Embedding {
            let all = rows.iter().flat_map(|i| cache.embedding(*i)).copied().collect();
            return matrix(all, cache.embedding_width, device);
        }
        let mut batch = Vec::with_capacity(rows.len() * cache.base.input_mean.len());
        for i in rows {
            let norm = &cache.labelled_set.inputs[*i].norm;
            if is_augmented {
                let mut other = norm.clone();
                self.augment.apply(&mut other, &mut self.rng);
                cache.base.standardise_into(&other, &mut batch);
            } else {
                cache.base.standardise_into(norm, &mut batch);
            }
        }
        matrix(batch, cache.base.input_mean.len(), device)
    }

    /// Losses of an epoch; stores the network if it improves on the best one.
    async fn end_epoch(&mut self) -> Result<Epoch, FinetuneError> {
        let learned = self.train_state.learned();
        let train_loss = match self.losses.take() {
            Some((sum, n)) => f64::from(values(sum).await?[0]) / n as f64,
            None => {
                let train = self.split.train.clone();
                mean_and_std(&self.losses_of(&learned, &train).await?).0
            }
        };
        let validation = self.split.validation.clone();
        let each = self.losses_of(&learned, &validation).await?;
        let validation_loss = (!each.is_empty()).then(|| mean_and_std(&each).0);
        let epoch = Epoch { epoch: self.epoch, train_loss, validation_loss };
        let validation_value = validation_loss.unwrap_or(0.0);
        if !(train_loss.is_finite() && validation_value.is_finite()) {
            self.is_done = true;
            // The best model is from an earlier epoch and stays.
            return Err(FinetuneError::NotFinite { epoch: self.epoch });
        }
        let doubt = if self.gp_correction.is_some() { MIN_IMPROVEMENT_SIGMA } else { 0.0 };
        if self.history.is_empty() || validation_loss.is_none() || is_better(&each, &self.best_losses, doubt) {
            (self.best, self.best_epoch, self.best_losses) = (learned, self.epoch, each);
        }
        self.history.push(epoch);
        if validation_value < self.lowest.0 || validation_loss.is_none() {
            self.lowest = (validation_value, self.epoch);
        } else if self.epoch - self.lowest.1 >= self.settings.patience {
            self.is_done = true;
        }
        Ok(epoch)
    }

    /// Squared error of each row.
    async fn losses_of(&mut self, learned: &Checkpoint, rows: &[usize]) -> Result<Vec<f64>, FinetuneError> {
        let device = self.cache.device.clone();
        let mut losses = Vec::with_capacity(rows.len());
        for chunk in rows.chunks(BATCH) {
            let x = self.input(chunk, false, &device);
            let output = match learned {
                Checkpoint::Unchanged => return Ok(Vec::new()),
                Checkpoint::Network(model) => model.forward_past(x, self.first(chunk, &device)),
                Checkpoint::ResidualHead(head) => head.forward(x),
            };
            let off = values(output).await?.into_iter().zip(chunk).map(|(y, i)| f64::from(y - self.targets[*i]));
            losses.extend(off.map(|d| d * d));
        }
        Ok(losses)
    }

    /// The best model so far. The correction is refitted to training and validation labels.
    pub fn trained_model(&self) -> Result<FinetunedModel, FinetuneError> {
        let cache = &self.cache;
        let frozen = || cache.with_head(&self.head, &cache.device);
        let network = match (&self.best, self.task.strategy) {
            (Checkpoint::Network(model), Strategy::Lora) => match model.adapter() {
                Some(AdapterLayers::Lora(lora)) => InferenceModel::Lora(self.head.clone(), frozen()?, lora.clone()),
                _ => InferenceModel::Frozen(self.head.clone(), frozen()?),
            },
            (Checkpoint::Network(model), _) => InferenceModel::Network(model.base().clone()),
            (Checkpoint::ResidualHead(head), _) => {
                InferenceModel::Residual(self.head.clone(), frozen()?, head.clone(), self.settings.head_input)
            }
            (Checkpoint::Unchanged, _) => InferenceModel::Frozen(self.head.clone(), frozen()?),
        };
        Ok(FinetunedModel {
            strategy: self.task.strategy,
            network,
            output_index: cache.output_index,
            gp_correction: self.refit_gp_correction(),
            mean: self.mean,
            scale: self.scale,
        })
    }

    fn refit_gp_correction(&self) -> Option<GpCorrection> {
        let correction = self.gp_correction.clone()?;
        if self.cache.base_head().is_none() || self.split.validation.is_empty() {
            return Some(correction);
        }
        let rows: Vec<usize> = self.split.train.iter().chain(&self.split.validation).copied().collect();
        let residual = |i: &usize| {
            let standard = (self.cache.labelled_set.values[*i] - f64::from(self.mean)) / f64::from(self.scale);
            standard - self.head.at(self.cache.last_hidden(*i))
        };
        let residuals: Vec<f64> = rows.iter().map(residual).collect();
        self.cache.gp_correction(&rows, self.scale, &residuals).map(|(all, _)| all).or(Some(correction))
    }

    /// Predictions of the best model for rows of the labelled set, in the label's unit.
    pub async fn predictions(&self, rows: &[usize]) -> Result<Vec<f64>, FinetuneError> {
        let model = self.trained_model()?;
        let mut answers = Vec::with_capacity(rows.len());
        for chunk in rows.chunks(BATCH) {
            let inputs: Vec<&LabelInput> = chunk.iter().map(|i| &self.cache.labelled_set.inputs[*i]).collect();
            answers.extend(model.predict(&self.cache.base, &inputs, &self.cache.device).await?);
        }
        Ok(answers)
    }

    /// A scan of the loss around the best model, on its training and validation labels; `None` for a zero-shot model.
    pub async fn landscape_scan(&mut self) -> Result<Option<LandscapeScan>, FinetuneError> {
        let used: Vec<usize> = self.split.train.iter().chain(&self.split.validation).copied().collect();
        let rows = subsample(&used);
        let device = self.cache.device.clone();
        let y = matrix(rows.iter().map(|i| self.targets[*i]).collect(), 1, &device);
        let input_batch = (self.input(&rows, false, &device), y);
        let empty = Landscape::empty(self.task.strategy, &self.cache.labelled_set.target, self.task.seed, rows.len());
        Ok(match &self.best {
            Checkpoint::Unchanged => None,
            Checkpoint::Network(model) => {
                Some(LandscapeScan::around_model(model, input_batch, self.scale, empty).await?)
            }
            Checkpoint::ResidualHead(head) => {
                Some(LandscapeScan::around_head(head, input_batch, self.scale, empty).await?)
            }
        })
    }

    /// The result, with predictions for the held-out rows.
    pub async fn outcome(&self) -> Result<TrainingOutcome, FinetuneError> {
        Ok(TrainingOutcome {
            task: self.task,
            n_train: self.split.train.len(),
            n_validation: self.split.validation.len(),
            rows: self.split.test.iter().map(|i| *i as u32).collect(),
            values: self.predictions(&self.split.test).await?,
            history: self.history.clone(),
            best_epoch: self.best_epoch,
            cancelled: self.cancelled,
        })
    }
}

/// True when the losses fell by more than `doubt` times the standard error of the mean difference.
fn is_better(now: &[f64], kept: &[f64], doubt: f64) -> bool {
    let fallen: Vec<f64> = kept.iter().zip(now).map(|(kept, now)| kept - now).collect();
    let (mean, std) = mean_and_std(&fallen);
    mean > doubt * std / (fallen.len().max(2) as f64 - 1.0).sqrt()
}
