//! Steps of a training, by the very trainer that a worker of the page runs, at the transfer study's settings.

use std::rc::Rc;

use burn::tensor::Device;
use specola::preprocess::grid::MODEL_PIXELS;
use specola::result::teach::{Settings, Strategy, Task};
use specola::task::predict::LabelInput;
use specola::task::teach::classroom::Classroom;
use specola::task::teach::lesson::Lesson;
use specola::task::teach::split::Split;
use specola::task::teach::training::{self, Progress};

use crate::forward::predictor;
use crate::numbers::made;

/// Steps whose losses are compared.
const COMPARED: usize = 8;

/// As many as settings may ask for.
const MOST_EPOCHS: usize = 100_000;

/// A training that goes on for ever, a pass at a time.
pub struct Training {
    training: training::Training,
}

impl Training {
    /// Losses of the first steps on one batch, by which engines are compared: a pass is a step then, and its loss does not
    /// depend on the order of the spectra.
    pub async fn losses(
        strategy: Strategy,
        widths: &[usize],
        batch: usize,
        device: &Device,
    ) -> Result<Vec<f32>, String> {
        let mut one = Self::new(strategy, widths, batch, 1, device).await?;
        for _ in 1..COMPARED {
            one.run().await?;
        }
        Ok(one.training.history()[1..].iter().map(|epoch| epoch.train_loss as f32).collect())
    }

    /// A training of which one pass is so many steps, after its first pass.
    pub async fn new(
        strategy: Strategy,
        widths: &[usize],
        batch: usize,
        steps: usize,
        device: &Device,
    ) -> Result<Self, String> {
        let settings = Settings { epochs: MOST_EPOCHS, patience: MOST_EPOCHS, batch, ..Settings::paper() };
        let room = classroom(widths, batch * steps, device).await?;
        let split = Split { train: (0..batch * steps).collect(), ..Split::default() };
        let mut training = Self { training: begin(&room, strategy, split, &settings)? };
        // The loss before the first step, then the first pass.
        training.run().await?;
        training.run().await?;
        Ok(training)
    }

    /// One pass over the spectra.
    pub async fn run(&mut self) -> Result<(), String> {
        match pass(&mut self.training).await? {
            true => Ok(()),
            false => Err("the training ended by itself".into()),
        }
    }
}

/// A whole training from its first step to its last: the transfer study's number of passes, with none left out because
/// validation got no better.
pub struct Course {
    room: Rc<Classroom>,
    strategy: Strategy,
}

impl Course {
    pub async fn new(strategy: Strategy, widths: &[usize], count: usize, device: &Device) -> Result<Self, String> {
        Ok(Self { room: classroom(widths, count, device).await?, strategy })
    }

    pub async fn run(&self) -> Result<(), String> {
        let settings = Settings::paper();
        let n = self.room.lesson.len();
        let first = (settings.validation * n as f64) as usize;
        let split = Split { validation: (0..first).collect(), train: (first..n).collect(), ..Split::default() };
        let mut training = begin(&self.room, self.strategy, split, &settings)?;
        while pass(&mut training).await? {}
        match training.history().len() {
            all if all == settings.epochs + 1 => Ok(()),
            some => Err(format!("it ended after {some} of {} passes", settings.epochs)),
        }
    }
}

/// One pass; false when there is nothing more to do.
async fn pass(training: &mut training::Training) -> Result<bool, String> {
    loop {
        match training.advance().await.map_err(|why| why.to_string())? {
            Progress::Working => {}
            Progress::Epoch(_) => return Ok(true),
            Progress::Done => return Ok(false),
        }
    }
}

fn begin(
    room: &Rc<Classroom>,
    strategy: Strategy,
    split: Split,
    settings: &Settings,
) -> Result<training::Training, String> {
    let task = Task { strategy, fold: None, seed: 1, labels: None };
    training::Training::new(room.clone(), task, split, settings).map_err(|why| why.to_string())
}

/// `n` made-up spectra and labels before a made-up network.
async fn classroom(widths: &[usize], n: usize, device: &Device) -> Result<Rc<Classroom>, String> {
    let row = |i| made("input", i * MODEL_PIXELS, MODEL_PIXELS, 3f64.sqrt(), 0.0);
    let lesson = Lesson {
        target: "feh".into(),
        ids: (0..n).map(|i| i.to_string()).collect(),
        groups: (0..n).map(|i| i.to_string()).collect(),
        inputs: (0..n).map(|i| LabelInput { norm: row(i), snr: None, coverage: 1.0, discrepancy: None }).collect(),
        values: made("target", 0, n, 1.0, 0.0).into_iter().map(f64::from).collect(),
        feh: vec![f64::NAN; n],
        cut: None,
        cut_values: vec![f64::NAN; n],
        emulator: None,
    };
    let room = Classroom::new(&predictor(widths, device)?, lesson, device).await;
    room.map(Rc::new).map_err(|why| why.to_string())
}
