//! One training run, a few steps at a time. It can pause, stop, and export its best model at any moment.

use std::collections::BTreeMap;
use std::rc::Rc;

use burn::tensor::{Device, Tensor};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::augment::Augment;
use super::feature_cache::{FeatureCache, FinetuneError, matrix, values};
use super::finetuned_model::FinetunedModel;
use super::landscape_scan::{LandscapeScan, subsample};
use super::split::Split;
use super::start::Start;
use super::train_state::{Checkpoint, TrainState, TrainingInput};
use crate::result::finetune::{Epoch, HeadInput, Landscape, Settings, Strategy, TrainingOutcome, TrainingRun};
use crate::stats::mean_and_std;
use crate::task::predict::LabelInput;

/// Optimiser steps per call of [`Training::advance`]: a few tens of milliseconds each.
const STEPS_PER_CALL: usize = 4;

/// Standard errors by which an epoch must improve on a GP correction that the training starts from. Otherwise the few
/// validation stars would select, among many epochs, the epoch that fits the errors of their own labels.
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

/// One training: a strategy on one split.
pub struct Training {
    cache: Rc<FeatureCache>,
    task: TrainingRun,
    settings: Settings,
    split: Split,
    start: Start,
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
    /// Prepares a training: its [`Start`] and the initial network. A closed-form strategy is complete after this.
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
        let settings = Settings { seed: task.seed, ..settings.clone() };
        let start = Start::new(&cache, task.strategy, &split, &settings)?;
        let train_state = TrainState::new(&cache, task.strategy, &start.head, &settings)?;
        Ok(Self {
            augment: Augment::new(&settings),
            first_layer_outputs: BTreeMap::new(),
            best: train_state.checkpoint(),
            best_epoch: 0,
            best_losses: Vec::new(),
            lowest_validation_loss: (f64::INFINITY, 0),
            epoch: 0,
            row_order: split.train.clone(),
            position: 0,
            losses: None,
            history: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(task.seed ^ TRAINING_STREAM),
            is_done: !task.strategy.has_gradient_steps(),
            is_cancelled: false,
            start,
            train_state,
            cache,
            task,
            settings,
            split,
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
        let input_batch = self.training_input(rows, true, &device);
        let y = matrix(rows.iter().map(|i| self.start.targets[*i]).collect(), 1, &device);
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

    fn training_input(&mut self, rows: &[usize], is_augmented: bool, device: &Device) -> TrainingInput {
        let cached: Option<Vec<&[f32]>> =
            rows.iter().map(|i| self.first_layer_outputs.get(i).map(Vec::as_slice)).collect();
        let first_layer = cached.map(|cached| matrix(cached.concat(), self.cache.base.widths[1], device));
        TrainingInput { x: self.input(rows, is_augmented, device), first_layer }
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
        let min_sigma = if self.start.gp_correction.is_some() { MIN_IMPROVEMENT_SIGMA } else { 0.0 };
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
            let Some(output) = checkpoint.forward(self.training_input(chunk, false, &device)) else {
                return Ok(Vec::new());
            };
            let outputs = values(output).await?.into_iter().zip(chunk);
            losses.extend(outputs.map(|(y, i)| f64::from(y - self.start.targets[*i]).powi(2)));
        }
        Ok(losses)
    }

    /// The best model so far. A GP correction that it starts from is refitted to training and validation labels.
    pub fn trained_model(&self) -> Result<FinetunedModel, FinetuneError> {
        let (cache, start) = (&self.cache, &self.start);
        let gp_correction = match self.task.strategy.has_gradient_steps() {
            true => start.refitted_gp(cache, &self.split),
            false => start.gp_correction.clone(),
        };
        Ok(FinetunedModel {
            strategy: self.task.strategy,
            network: self.best.inference_model(cache, &start.head, &self.settings, &cache.device)?,
            gp_correction,
            mean: start.mean,
            scale: start.scale,
        })
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

    /// A scan of the loss around the best model, on its training and validation labels; `None` for a strategy without
    /// gradient steps.
    pub async fn landscape_scan(&mut self) -> Result<Option<LandscapeScan>, FinetuneError> {
        let labelled_rows: Vec<usize> = self.split.train.iter().chain(&self.split.validation).copied().collect();
        let rows = subsample(&labelled_rows);
        let device = self.cache.device.clone();
        let y = matrix(rows.iter().map(|i| self.start.targets[*i]).collect(), 1, &device);
        let input_batch = (self.input(&rows, false, &device), y);
        let landscape =
            Landscape::empty(self.task.strategy, &self.cache.labelled_set.target, self.task.seed, rows.len());
        let scale = self.start.scale;
        Ok(match &self.best {
            Checkpoint::Unchanged => None,
            Checkpoint::Network(model) => {
                Some(LandscapeScan::around_model(model, input_batch, scale, landscape).await?)
            }
            Checkpoint::ResidualHead(head) => {
                Some(LandscapeScan::around_head(head, input_batch, scale, landscape).await?)
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
