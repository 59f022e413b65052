//! Training with the trainer of the page's worker, at the settings of the transfer study.

use std::rc::Rc;

use burn::tensor::Device;
use specola::preprocess::grid::MODEL_PIXELS;
use specola::result::finetune::{Settings, Strategy, TrainingRun};
use specola::task::finetune::feature_cache::FeatureCache;
use specola::task::finetune::labelled_set::{LabelledSet, LabelledSpectrum};
use specola::task::finetune::split::Split;
use specola::task::finetune::training::{self, Progress};
use specola::task::predict::LabelInput;

use crate::forward::predictor;
use crate::numbers::pseudo_random;

/// Steps whose losses are compared.
const COMPARED: usize = 8;

/// Largest number of epochs that settings permit.
const MAX_EPOCHS: usize = 100_000;

/// A training without an end, one epoch at a time.
pub(crate) struct Training {
    training: training::Training,
}

impl Training {
    /// Losses of the first steps on one batch, for the comparison of engines. An epoch of one batch is one step, and
    /// its loss does not depend on the order of the spectra.
    pub(crate) async fn losses(
        strategy: Strategy,
        widths: &[usize],
        batch: usize,
        device: &Device,
    ) -> Result<Vec<f32>, String> {
        let mut training = Self::new(strategy, widths, batch, 1, device).await?;
        for _ in 1..COMPARED {
            training.run().await?;
        }
        Ok(training.training.history()[1..].iter().map(|epoch| epoch.train_loss as f32).collect())
    }

    /// A training with `steps` steps per epoch, after its first epoch.
    pub(crate) async fn new(
        strategy: Strategy,
        widths: &[usize],
        batch: usize,
        steps: usize,
        device: &Device,
    ) -> Result<Self, String> {
        let settings = Settings { epochs: MAX_EPOCHS, patience: MAX_EPOCHS, batch, ..Settings::zhao2026() };
        let cache = feature_cache(widths, batch * steps, device).await?;
        let split = Split { train: (0..batch * steps).collect(), ..Split::default() };
        let mut training = Self { training: start(&cache, strategy, split, &settings)? };
        // The loss before the first step, then the first epoch.
        training.run().await?;
        training.run().await?;
        Ok(training)
    }

    /// One epoch.
    pub(crate) async fn run(&mut self) -> Result<(), String> {
        match run_epoch(&mut self.training).await? {
            true => Ok(()),
            false => Err("the training ended too early".into()),
        }
    }
}

/// A training from its first step to its last, with all epochs of the transfer study: early stopping is an error.
pub(crate) struct FullTraining {
    cache: Rc<FeatureCache>,
    strategy: Strategy,
}

impl FullTraining {
    pub(crate) async fn new(
        strategy: Strategy,
        widths: &[usize],
        count: usize,
        device: &Device,
    ) -> Result<Self, String> {
        Ok(Self { cache: feature_cache(widths, count, device).await?, strategy })
    }

    pub(crate) async fn run(&self) -> Result<(), String> {
        let settings = Settings::zhao2026();
        let n = self.cache.labelled_set.len();
        let n_validation = (settings.validation * n as f64) as usize;
        let split =
            Split { validation: (0..n_validation).collect(), train: (n_validation..n).collect(), ..Split::default() };
        let mut training = start(&self.cache, self.strategy, split, &settings)?;
        while run_epoch(&mut training).await? {}
        match training.history().len() {
            n if n == settings.epochs + 1 => Ok(()),
            n => Err(format!("the training ended after {} of {} epochs", n.saturating_sub(1), settings.epochs)),
        }
    }
}

/// One epoch; false if the training has ended.
async fn run_epoch(training: &mut training::Training) -> Result<bool, String> {
    loop {
        match training.advance().await.map_err(|why| why.to_string())? {
            Progress::Working => {}
            Progress::Epoch(_) => return Ok(true),
            Progress::Done => return Ok(false),
        }
    }
}

fn start(
    cache: &Rc<FeatureCache>,
    strategy: Strategy,
    split: Split,
    settings: &Settings,
) -> Result<training::Training, String> {
    let task = TrainingRun { strategy, fold: None, seed: 1, n_labels: None };
    training::Training::new(cache.clone(), task, split, settings).map_err(|why| why.to_string())
}

/// Features of `n` pseudo-random spectra with labels, for a pseudo-random network.
async fn feature_cache(widths: &[usize], n: usize, device: &Device) -> Result<Rc<FeatureCache>, String> {
    let row = |i| pseudo_random("input", i * MODEL_PIXELS, MODEL_PIXELS, 3f64.sqrt(), 0.0);
    let spectrum = |i: usize, value: f32| LabelledSpectrum {
        id: i.to_string(),
        group: i.to_string(),
        input: LabelInput { norm: row(i), snr: None, coverage: 1.0 },
        value: f64::from(value),
        feh: None,
        cut: None,
    };
    let labelled_set = LabelledSet {
        target: "feh".into(),
        spectra: (0..n).zip(pseudo_random("target", 0, n, 1.0, 0.0)).map(|(i, value)| spectrum(i, value)).collect(),
        subset_cut: None,
    };
    let cache = FeatureCache::new(&predictor(widths, device)?, labelled_set, device).await;
    cache.map(Rc::new).map_err(|why| why.to_string())
}
