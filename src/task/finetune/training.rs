//! One training run, a few steps at a time. It can pause, stop, and export its best model at any moment.

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
use crate::result::finetune::{Epoch, HeadInput, Landscape, Settings, Strategy, TrainingOutcome, TrainingRun};
use crate::stats::mean_and_std;
use crate::task::output_index::OutputIndex;
use crate::task::predict::LabelInput;

/// Optimiser steps per call of [`Training::advance`]: a few tens of milliseconds each.
const STEPS_PER_CALL: usize = 4;

/// Standard errors by which an epoch must improve on the Gaussian-process correction. Otherwise the few validation
/// stars would select, among many epochs, the epoch that fits the errors of their own labels.
const MIN_IMPROVEMENT_SIGMA: f64 = 3.0;

/// Separates the random stream of the training from the streams of the split.
const TRAINING_STREAM: u64 = 0x7e4c;

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
    fn checkpoint(&self) -> Checkpoint {
        match self {
            Self::Untrained => Checkpoint::Unchanged,
            Self::Network(train_step) => Checkpoint::Network(train_step.trained_model()),
            Self::ResidualHead(train_step) => Checkpoint::ResidualHead(train_step.trained_model()),
        }
    }

    fn step(&mut self, input_batch: TrainingInput, y: Tensor<2>, rate: f64) -> Option<Tensor<1>> {
        match self {
            Self::Untrained => None,
            Self::Network(train_step) => Some(train_step.step_by(
                |model| model.forward_from_first(input_batch.x, input_batch.first_layer),
                y,
                rate,
            )),
            Self::ResidualHead(train_step) => Some(train_step.step(input_batch.x, y, rate)),
        }
    }
}

/// Network input of a batch; also the output of a frozen first layer, if cached.
struct TrainingInput {
    x: Tensor<2>,
    first_layer: Option<Tensor<2>>,
}

/// One training: a strategy on one split.
pub struct Training {
    cache: Rc<FeatureCache>,
    task: TrainingRun,
    settings: Settings,
    split: Split,
    /// Output layer on the base's hidden layers: the base's own, or a new one.
    head: RidgeHead,
    /// Standardisation of the label: y = (label − mean)/scale.
    mean: f32,
    scale: f32,
    gp_correction: Option<GpCorrection>,
    /// Standardised target of each row; only the rows of the split are set.
    targets: Vec<f32>,
    augment: Augment,
    train_state: TrainState,
    /// Cached outputs of `LoRA`'s frozen first layer, where no augmentation changes them.
    first_layer_outputs: BTreeMap<usize, Vec<f32>>,
    best: Checkpoint,
    best_epoch: usize,
    /// Validation loss of each row at the best epoch.
    best_losses: Vec<f64>,
    /// Lowest validation loss so far, and its epoch.
    lowest_validation_loss: (f64, usize),
    epoch: usize,
    row_order: Vec<usize>,
    position: usize,
    /// Sum of the losses of this epoch, still on the device, and the number of steps.
    losses: Option<(Tensor<1>, usize)>,
    history: Vec<Epoch>,
    rng: ChaCha8Rng,
    is_done: bool,
    is_cancelled: bool,
}

impl Training {
    /// Prepares a training: output layer, Gaussian-process correction, initial network.
    pub fn new(
        cache: Rc<FeatureCache>,
        task: TrainingRun,
        split: Split,
        settings: &Settings,
    ) -> Result<Self, FinetuneError> {
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
                let labels: Vec<f64> = split.train.iter().map(|i| cache.labelled_set.spectra[*i].value).collect();
                let (mean, std) = mean_and_std(&labels);
                (mean as f32, std.max(1e-6) as f32)
            }
        };
        let standardised_labels: Vec<f64> =
            cache.labelled_set.spectra.iter().map(|s| (s.value - f64::from(mean)) / f64::from(scale)).collect();
        let settings = Settings { seed: task.seed, ..settings.clone() };
        let mut training = Self {
            head: RidgeHead { weights: vec![0.0; cache.last_width], bias: 0.0 },
            mean,
            scale,
            gp_correction: None,
            targets: standardised_labels.iter().map(|t| *t as f32).collect(),
            augment: Augment::new(&settings),
            train_state: TrainState::Untrained,
            first_layer_outputs: BTreeMap::new(),
            best: Checkpoint::Unchanged,
            best_epoch: 0,
            best_losses: Vec::new(),
            lowest_validation_loss: (f64::INFINITY, 0),
            epoch: 0,
            row_order: split.train.clone(),
            position: 0,
            losses: None,
            history: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(task.seed ^ TRAINING_STREAM),
            is_done: task.strategy == Strategy::ZeroShot,
            is_cancelled: false,
            cache,
            task,
            settings,
            split,
        };
        if is_transfer {
            training.begin_from_base(&standardised_labels)?;
        }
        training.train_state = training.initial_state()?;
        training.best = training.train_state.checkpoint();
        Ok(training)
    }

    /// Sets the output layer and the Gaussian-process correction; the remainder becomes the targets.
    fn begin_from_base(&mut self, standardised_labels: &[f64]) -> Result<(), FinetuneError> {
        let (cache, train) = (&self.cache, &self.split.train);
        // Prediction of output layer and correction for each training star. Each part that is fitted to the labels
        // predicts the star from the other stars (leave-one-out).
        let mut leave_one_out: Vec<f64>;
        match cache.base_head() {
            Some(head) => {
                leave_one_out = train.iter().map(|i| head.at(cache.last_hidden(*i))).collect();
                self.head = head;
            }
            None => {
                let features: Vec<f32> = train.iter().flat_map(|i| cache.last_hidden(*i)).copied().collect();
                let targets: Vec<f64> = train.iter().map(|i| standardised_labels[*i]).collect();
                let (head, head_leave_one_out) =
                    RidgeHead::fit(&features, cache.last_width, &targets).ok_or(FinetuneError::NothingLeft)?;
                self.head = head;
                leave_one_out = head_leave_one_out;
            }
        }
        if self.settings.gp_correction && self.task.strategy != Strategy::ZeroShot {
            let residuals: Vec<f64> =
                train.iter().zip(&leave_one_out).map(|(i, a)| standardised_labels[*i] - a).collect();
            if let Some((correction, leave_one_out_correction)) = cache.gp_correction(train, self.scale, &residuals) {
                leave_one_out.iter_mut().zip(&leave_one_out_correction).for_each(|(a, l)| *a += l);
                self.gp_correction = Some(correction);
            }
        }
        // A network that contains the output layer learns the label minus the leave-one-out correction. A residual head
        // learns the remainder after output layer and correction.
        let adds_to_base = self.task.strategy == Strategy::Residual;
        for (k, i) in train.iter().enumerate() {
            let head_output = if adds_to_base { 0.0 } else { self.head.at(cache.last_hidden(*i)) };
            self.targets[*i] = (standardised_labels[*i] - leave_one_out[k] + head_output) as f32;
        }
        for i in &self.split.validation {
            let head_output = if adds_to_base { self.head.at(cache.last_hidden(*i)) } else { 0.0 };
            let correction =
                self.gp_correction.as_ref().map_or(0.0, |correction| correction.at(&cache.star(*i), self.scale));
            self.targets[*i] = (standardised_labels[*i] - correction - head_output) as f32;
        }
        Ok(())
    }

    fn initial_state(&self) -> Result<TrainState, FinetuneError> {
        let (cache, settings) = (&self.cache, &self.settings);
        let device = cache.device.clone().autodiff();
        let decay = settings.weight_decay;
        let seed = self.task.seed;
        let network = |model| TrainState::Network(Box::new(TrainStep::new(model, decay)));
        Ok(match self.task.strategy {
            Strategy::ZeroShot => TrainState::Untrained,
            Strategy::Full => network(TrainableModel::full(cache.with_head(&self.head, &device)?)),
            Strategy::Scratch => {
                let uninitialised = MlpConfig::new(one_output(&cache.base.widths)).init(&device);
                network(TrainableModel::full(seeded_init(uninitialised, seed, |_| false, &device)?))
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
    pub fn task(&self) -> TrainingRun {
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
        self.is_cancelled = !self.is_done;
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
            self.row_order.shuffle(&mut self.rng);
        }
        for _ in 0..STEPS_PER_CALL {
            let end = (self.position + self.settings.batch).min(self.row_order.len());
            let rows = self.row_order[self.position..end].to_vec();
            self.step(&rows);
            self.position = end;
            if end == self.row_order.len() {
                self.position = 0;
                self.epoch += 1;
                return self.end_epoch().await.map(Progress::Epoch);
            }
        }
        Ok(Progress::Working)
    }

    fn step(&mut self, rows: &[usize]) {
        let device = self.cache.device.clone().autodiff();
        let input_batch =
            TrainingInput { x: self.input(rows, true, &device), first_layer: self.first_layer(rows, &device) };
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
    /// `LoRA` step.
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

    fn first_layer(&self, rows: &[usize], device: &Device) -> Option<Tensor<2>> {
        let cached: Option<Vec<&[f32]>> =
            rows.iter().map(|i| self.first_layer_outputs.get(i).map(Vec::as_slice)).collect();
        Some(matrix(cached?.concat(), self.cache.base.widths[1], device))
    }

    /// Network input of `rows`, augmented during training.
    fn input(&mut self, rows: &[usize], is_augmented: bool, device: &Device) -> Tensor<2> {
        let cache = &self.cache;
        if self.task.strategy == Strategy::Residual && self.settings.head_input == HeadInput::Embedding {
            let all = rows.iter().flat_map(|i| cache.embedding(*i)).copied().collect();
            return matrix(all, cache.embedding_width, device);
        }
        let mut batch = Vec::with_capacity(rows.len() * cache.base.input_mean.len());
        for i in rows {
            let norm = &cache.labelled_set.spectra[*i].input.norm;
            if is_augmented {
                let mut augmented = norm.clone();
                self.augment.apply(&mut augmented, &mut self.rng);
                cache.base.standardise_into(&augmented, &mut batch);
            } else {
                cache.base.standardise_into(norm, &mut batch);
            }
        }
        matrix(batch, cache.base.input_mean.len(), device)
    }

    /// Computes the losses of an epoch; stores the network if it improves on the best network so far.
    async fn end_epoch(&mut self) -> Result<Epoch, FinetuneError> {
        let checkpoint = self.train_state.checkpoint();
        let train_loss = match self.losses.take() {
            Some((sum, n)) => f64::from(values(sum).await?[0]) / n as f64,
            None => {
                let train = self.split.train.clone();
                mean_and_std(&self.losses_of(&checkpoint, &train).await?).0
            }
        };
        let validation = self.split.validation.clone();
        let row_losses = self.losses_of(&checkpoint, &validation).await?;
        let validation_loss = (!row_losses.is_empty()).then(|| mean_and_std(&row_losses).0);
        let epoch = Epoch { epoch: self.epoch, train_loss, validation_loss };
        let validation_value = validation_loss.unwrap_or(0.0);
        if !(train_loss.is_finite() && validation_value.is_finite()) {
            self.is_done = true;
            // The best model is from an earlier epoch and stays.
            return Err(FinetuneError::NotFinite { epoch: self.epoch });
        }
        let min_sigma = if self.gp_correction.is_some() { MIN_IMPROVEMENT_SIGMA } else { 0.0 };
        if self.history.is_empty() || validation_loss.is_none() || is_better(&row_losses, &self.best_losses, min_sigma)
        {
            (self.best, self.best_epoch, self.best_losses) = (checkpoint, self.epoch, row_losses);
        }
        self.history.push(epoch);
        if validation_value < self.lowest_validation_loss.0 || validation_loss.is_none() {
            self.lowest_validation_loss = (validation_value, self.epoch);
        } else if self.epoch - self.lowest_validation_loss.1 >= self.settings.patience {
            self.is_done = true;
        }
        Ok(epoch)
    }

    /// Squared error of each row, in squared standardised units.
    async fn losses_of(&mut self, checkpoint: &Checkpoint, rows: &[usize]) -> Result<Vec<f64>, FinetuneError> {
        let device = self.cache.device.clone();
        let mut losses = Vec::with_capacity(rows.len());
        for chunk in rows.chunks(BATCH) {
            let x = self.input(chunk, false, &device);
            let output = match checkpoint {
                Checkpoint::Unchanged => return Ok(Vec::new()),
                Checkpoint::Network(model) => model.forward_from_first(x, self.first_layer(chunk, &device)),
                Checkpoint::ResidualHead(head) => head.forward(x),
            };
            let differences =
                values(output).await?.into_iter().zip(chunk).map(|(y, i)| f64::from(y - self.targets[*i]));
            losses.extend(differences.map(|d| d * d));
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
            let standardised_label =
                (self.cache.labelled_set.spectra[*i].value - f64::from(self.mean)) / f64::from(self.scale);
            standardised_label - self.head.at(self.cache.last_hidden(*i))
        };
        let residuals: Vec<f64> = rows.iter().map(residual).collect();
        self.cache.gp_correction(&rows, self.scale, &residuals).map(|(refitted, _)| refitted).or(Some(correction))
    }

    /// Predictions of the best model for rows of the labelled set, in the label's unit.
    pub async fn predictions(&self, rows: &[usize]) -> Result<Vec<f64>, FinetuneError> {
        let model = self.trained_model()?;
        let mut predictions = Vec::with_capacity(rows.len());
        for chunk in rows.chunks(BATCH) {
            let inputs: Vec<&LabelInput> = chunk.iter().map(|i| &self.cache.labelled_set.spectra[*i].input).collect();
            predictions.extend(model.predict(&self.cache.base, &inputs, &self.cache.device).await?);
        }
        Ok(predictions)
    }

    /// A scan of the loss around the best model, on its training and validation labels; `None` for a zero-shot model.
    pub async fn landscape_scan(&mut self) -> Result<Option<LandscapeScan>, FinetuneError> {
        let labelled_rows: Vec<usize> = self.split.train.iter().chain(&self.split.validation).copied().collect();
        let rows = subsample(&labelled_rows);
        let device = self.cache.device.clone();
        let y = matrix(rows.iter().map(|i| self.targets[*i]).collect(), 1, &device);
        let input_batch = (self.input(&rows, false, &device), y);
        let landscape =
            Landscape::empty(self.task.strategy, &self.cache.labelled_set.target, self.task.seed, rows.len());
        Ok(match &self.best {
            Checkpoint::Unchanged => None,
            Checkpoint::Network(model) => {
                Some(LandscapeScan::around_model(model, input_batch, self.scale, landscape).await?)
            }
            Checkpoint::ResidualHead(head) => {
                Some(LandscapeScan::around_head(head, input_batch, self.scale, landscape).await?)
            }
        })
    }

    /// Outcome of the training, with predictions for the held-out rows.
    pub async fn outcome(&self) -> Result<TrainingOutcome, FinetuneError> {
        Ok(TrainingOutcome {
            task: self.task,
            n_train: self.split.train.len(),
            n_validation: self.split.validation.len(),
            rows: self.split.test.iter().map(|i| *i as u32).collect(),
            values: self.predictions(&self.split.test).await?,
            history: self.history.clone(),
            best_epoch: self.best_epoch,
            is_cancelled: self.is_cancelled,
        })
    }
}

/// True when the losses fell by more than `min_sigma` times the standard error of the mean difference.
fn is_better(losses: &[f64], best_losses: &[f64], min_sigma: f64) -> bool {
    let decreases: Vec<f64> = best_losses.iter().zip(losses).map(|(best, loss)| best - loss).collect();
    let (mean, std) = mean_and_std(&decreases);
    mean > min_sigma * std / (decreases.len().max(2) as f64 - 1.0).sqrt()
}
