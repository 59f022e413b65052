//! One training, a few steps at a time: it can be paused, stopped and asked for its best at any moment.

use std::collections::BTreeMap;
use std::rc::Rc;

use burn::tensor::{Device, Tensor};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::augment::Augment;
use super::classroom::{Classroom, TeachError, matrix, one_output, values};
use super::closed_form::ClosedForm;
use super::init::fresh;
use super::look::Column;
use super::ridge::Head;
use super::split::Split;
use super::survey::{Survey, thinned};
use super::taught::{Answering, Taught, sight_width};
use super::{Adapter, Pupil, Teacher};
use crate::nn::MlpConfig;
use crate::nn::lora::LoraConfig;
use crate::nn::residual_head::{ResidualHead, ResidualHeadConfig};
use crate::result::teach::{Epoch, Landscape, Outcome, Settings, Sight, Strategy, Task};
use crate::task::metrics::mean_and_std;
use crate::task::predict::LabelInput;

/// Steps between two returns to whoever drives: a few tens of milliseconds each.
const STEPS_AT_ONCE: usize = 4;

/// Standard errors by which a pass must be better than the closed form before it: a handful of validation stars would
/// else pick, among so many passes, the one that suits the errors of their own labels.
const DOUBT: f64 = 3.0;

/// Spectra that are answered at once.
const BATCH: usize = 64;

/// What a call of [`Training::advance`] came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
    /// In the middle of a pass.
    Working,
    /// A pass ended.
    Epoch(Epoch),
    /// There is nothing more to do.
    Done,
}

/// Who learns.
enum Learner {
    Nobody,
    Network(Box<Teacher<Pupil>>),
    Head(Box<Teacher<ResidualHead>>),
}

/// What has been learned, off the gradients.
#[derive(Clone)]
enum Learned {
    Nothing,
    Network(Pupil),
    Head(ResidualHead),
}

impl Learner {
    fn learned(&self) -> Learned {
        match self {
            Learner::Nobody => Learned::Nothing,
            Learner::Network(teacher) => Learned::Network(teacher.taught()),
            Learner::Head(teacher) => Learned::Head(teacher.taught()),
        }
    }

    fn step(&mut self, seen: Seen, y: Tensor<2>, rate: f64) -> Option<Tensor<1>> {
        match self {
            Learner::Nobody => None,
            Learner::Network(teacher) => Some(teacher.step_by(|pupil| pupil.forward_past(seen.x, seen.first), y, rate)),
            Learner::Head(teacher) => Some(teacher.step(seen.x, y, rate)),
        }
    }
}

/// What the learner sees of a batch, and what a frozen first layer makes of it, if that is known.
struct Seen {
    x: Tensor<2>,
    first: Option<Tensor<2>>,
}

/// A strategy learning one side of a split.
pub struct Training {
    room: Rc<Classroom>,
    task: Task,
    settings: Settings,
    split: Split,
    /// Output on the shipped hidden layers: the network's own, or a new one.
    head: Head,
    mean: f32,
    scale: f32,
    closed_form: Option<ClosedForm>,
    /// What is left to learn of each row, standardised; only those of the split count.
    targets: Vec<f32>,
    augment: Augment,
    learner: Learner,
    /// What LoRA's frozen first layer makes of each row, where that is always the same.
    firsts: BTreeMap<usize, Vec<f32>>,
    best: Learned,
    best_epoch: usize,
    /// Validation losses of each row for what is kept.
    kept_losses: Vec<f64>,
    /// Lowest validation loss so far, and the pass that had it.
    lowest: (f64, usize),
    epoch: usize,
    order: Vec<usize>,
    at: usize,
    /// Sum of the losses of this pass, still on the device, and the number of steps.
    losses: Option<(Tensor<1>, usize)>,
    history: Vec<Epoch>,
    rng: ChaCha8Rng,
    is_done: bool,
    cancelled: bool,
}

impl Training {
    /// Makes everything ready: the output, the closed-form step, the network before its first step.
    pub fn new(room: Rc<Classroom>, task: Task, split: Split, settings: &Settings) -> Result<Self, TeachError> {
        if let Some(problem) = settings.problem() {
            return Err(TeachError::Settings(problem));
        }
        if split.train.len() < 2 {
            return Err(TeachError::NothingLeft);
        }
        let is_transfer = task.strategy.is_transfer();
        let (mean, scale) = match room.column.filter(|_| is_transfer) {
            Some(Column { taught, .. }) => (room.base.output_mean[taught], room.base.output_scale[taught]),
            None => {
                let known: Vec<f64> = split.train.iter().map(|i| room.lesson.values[*i]).collect();
                let (mean, std) = mean_and_std(&known);
                (mean as f32, std.max(1e-6) as f32)
            }
        };
        let standard: Vec<f64> = room.lesson.values.iter().map(|v| (v - f64::from(mean)) / f64::from(scale)).collect();
        let settings = Settings { seed: task.seed, ..settings.clone() };
        let mut training = Self {
            head: Head { weights: vec![0.0; room.last_width], bias: 0.0 },
            mean,
            scale,
            closed_form: None,
            targets: standard.iter().map(|t| *t as f32).collect(),
            augment: Augment::new(&settings),
            learner: Learner::Nobody,
            firsts: BTreeMap::new(),
            best: Learned::Nothing,
            best_epoch: 0,
            kept_losses: Vec::new(),
            lowest: (f64::INFINITY, 0),
            epoch: 0,
            order: split.train.clone(),
            at: 0,
            losses: None,
            history: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(task.seed ^ 0x7e4c),
            is_done: task.strategy == Strategy::ZeroShot,
            cancelled: false,
            room,
            task,
            settings,
            split,
        };
        if is_transfer {
            training.begin_from_base(&standard)?;
        }
        training.learner = training.learner()?;
        training.best = training.learner.learned();
        Ok(training)
    }

    /// Output and closed-form step on the shipped hidden layers; what they leave becomes the targets.
    fn begin_from_base(&mut self, standard: &[f64]) -> Result<(), TeachError> {
        let (room, train) = (&self.room, &self.split.train);
        // What each training star's answer would be had it not been seen.
        let mut alone: Vec<f64>;
        match room.own_head() {
            Some(head) => {
                alone = train.iter().map(|i| head.at(room.last_hidden(*i))).collect();
                self.head = head;
            }
            None => {
                let features: Vec<f32> = train.iter().flat_map(|i| room.last_hidden(*i)).copied().collect();
                let targets: Vec<f64> = train.iter().map(|i| standard[*i]).collect();
                let (head, left_out) =
                    Head::fit(&features, room.last_width, &targets).ok_or(TeachError::NothingLeft)?;
                self.head = head;
                alone = left_out;
            }
        }
        if self.settings.closed_form && self.task.strategy != Strategy::ZeroShot {
            let residuals: Vec<f64> = train.iter().zip(&alone).map(|(i, a)| standard[*i] - a).collect();
            if let Some((closed, left_out)) = room.closed_form(train, self.scale, &residuals) {
                alone.iter_mut().zip(&left_out).for_each(|(a, l)| *a += l);
                self.closed_form = Some(closed);
            }
        }
        // The network gives its own answer still, so its target is the label less the closed form alone.
        let is_beside = self.task.strategy == Strategy::Residual;
        for (k, i) in train.iter().enumerate() {
            let own = if is_beside { 0.0 } else { self.head.at(room.last_hidden(*i)) };
            self.targets[*i] = (standard[*i] - alone[k] + own) as f32;
        }
        for i in &self.split.validation {
            let own = if is_beside { self.head.at(room.last_hidden(*i)) } else { 0.0 };
            let closed = self.closed_form.as_ref().map_or(0.0, |closed| closed.at(&room.star(*i), self.scale));
            self.targets[*i] = (standard[*i] - closed - own) as f32;
        }
        Ok(())
    }

    fn learner(&self) -> Result<Learner, TeachError> {
        let (room, settings) = (&self.room, &self.settings);
        let device = room.device.clone().autodiff();
        let decay = settings.weight_decay;
        let seed = self.task.seed;
        let network = |pupil| Learner::Network(Box::new(Teacher::new(pupil, decay)));
        Ok(match self.task.strategy {
            Strategy::ZeroShot => Learner::Nobody,
            Strategy::Full => network(Pupil::full(room.with_head(&self.head, &device)?)),
            Strategy::Scratch => {
                let plain = MlpConfig::new(one_output(&room.base.widths)).init(&device);
                network(Pupil::full(fresh(plain, seed, |_| false, &device)?))
            }
            Strategy::Lora => {
                let base = room.with_head(&self.head, &device)?;
                let config = LoraConfig::new().with_rank(settings.rank).with_alpha(settings.alpha);
                let lora = fresh(config.init(&base, &device), seed, |name| name.ends_with("lora_B"), &device)?;
                network(Pupil::adapted(base, Adapter::Lora(lora)))
            }
            Strategy::Residual => {
                let config = ResidualHeadConfig::new(sight_width(settings.sight, &room.base.widths));
                let head = config.with_hidden(settings.hidden).init(&device);
                let head = fresh(head, seed, |name| name.starts_with("2."), &device)?;
                Learner::Head(Box::new(Teacher::new(head, decay)))
            }
        })
    }

    /// Which it is.
    pub fn task(&self) -> Task {
        self.task
    }

    /// The passes so far.
    pub fn history(&self) -> &[Epoch] {
        &self.history
    }

    /// Who learns and who is asked.
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// Ends it where it is; the best so far stays.
    pub fn cancel(&mut self) {
        self.cancelled = !self.is_done;
        self.is_done = true;
    }

    /// Does a few steps.
    pub async fn advance(&mut self) -> Result<Progress, TeachError> {
        if self.is_done {
            return Ok(Progress::Done);
        }
        if self.history.is_empty() {
            self.look_past_first_layer().await?;
            return self.end_of_pass().await.map(Progress::Epoch);
        }
        if self.epoch >= self.settings.epochs {
            self.is_done = true;
            return Ok(Progress::Done);
        }
        if self.at == 0 {
            self.order.shuffle(&mut self.rng);
        }
        for _ in 0..STEPS_AT_ONCE {
            let end = (self.at + self.settings.batch).min(self.order.len());
            let rows = self.order[self.at..end].to_vec();
            self.step(&rows);
            self.at = end;
            if end == self.order.len() {
                self.at = 0;
                self.epoch += 1;
                return self.end_of_pass().await.map(Progress::Epoch);
            }
        }
        Ok(Progress::Working)
    }

    fn step(&mut self, rows: &[usize]) {
        let device = self.room.device.clone().autodiff();
        let seen = Seen { x: self.input(rows, true, &device), first: self.first(rows, &device) };
        let y = matrix(rows.iter().map(|i| self.targets[*i]).collect(), 1, &device);
        let rate = self.settings.rate(self.task.strategy);
        if let Some(loss) = self.learner.step(seen, y, rate) {
            let loss = loss.inner();
            self.losses = Some(match self.losses.take() {
                Some((sum, n)) => (sum + loss, n + 1),
                None => (loss, 1),
            });
        }
    }

    /// Computes once what a frozen first layer makes of spectra that are never disturbed: nearly half of a LoRA step.
    async fn look_past_first_layer(&mut self) -> Result<(), TeachError> {
        if self.task.strategy != Strategy::Lora || !self.augment.is_none() {
            return Ok(());
        }
        let rows: Vec<usize> = self.split.train.iter().chain(&self.split.validation).copied().collect();
        let (room, width) = (self.room.clone(), self.room.base.widths[1]);
        for some in rows.chunks(BATCH) {
            let x = self.input(some, false, &room.device);
            let all = values(room.base.mlp.first(x)).await?;
            self.firsts.extend(some.iter().copied().zip(all.chunks(width).map(<[f32]>::to_vec)));
        }
        Ok(())
    }

    fn first(&self, rows: &[usize], device: &Device) -> Option<Tensor<2>> {
        let known: Option<Vec<&[f32]>> = rows.iter().map(|i| self.firsts.get(i).map(Vec::as_slice)).collect();
        Some(matrix(known?.concat(), self.room.base.widths[1], device))
    }

    /// What the learner sees of some rows, disturbed while training.
    fn input(&mut self, rows: &[usize], disturbed: bool, device: &Device) -> Tensor<2> {
        let room = &self.room;
        if self.task.strategy == Strategy::Residual && self.settings.sight == Sight::Embedding {
            let all = rows.iter().flat_map(|i| room.embedding(*i)).copied().collect();
            return matrix(all, room.embedding_width, device);
        }
        let mut batch = Vec::with_capacity(rows.len() * room.base.input_mean.len());
        for i in rows {
            let norm = &room.lesson.inputs[*i].norm;
            if disturbed {
                let mut other = norm.clone();
                self.augment.disturb(&mut other, &mut self.rng);
                room.base.standardise_into(&other, &mut batch);
            } else {
                room.base.standardise_into(norm, &mut batch);
            }
        }
        matrix(batch, room.base.input_mean.len(), device)
    }

    /// Losses of a pass; keeps the network if it is better than the one that is kept.
    async fn end_of_pass(&mut self) -> Result<Epoch, TeachError> {
        let learned = self.learner.learned();
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
        let judged = validation_loss.unwrap_or(0.0);
        if !(train_loss.is_finite() && judged.is_finite()) {
            self.is_done = true;
            // The best so far is from before, and stays.
            return Err(TeachError::NotFinite { epoch: self.epoch });
        }
        let doubt = if self.closed_form.is_some() { DOUBT } else { 0.0 };
        if self.history.is_empty() || validation_loss.is_none() || is_better(&each, &self.kept_losses, doubt) {
            (self.best, self.best_epoch, self.kept_losses) = (learned, self.epoch, each);
        }
        self.history.push(epoch);
        if judged < self.lowest.0 || validation_loss.is_none() {
            self.lowest = (judged, self.epoch);
        } else if self.epoch - self.lowest.1 >= self.settings.patience {
            self.is_done = true;
        }
        Ok(epoch)
    }

    /// Square error of each row.
    async fn losses_of(&mut self, learned: &Learned, rows: &[usize]) -> Result<Vec<f64>, TeachError> {
        let device = self.room.device.clone();
        let mut losses = Vec::with_capacity(rows.len());
        for some in rows.chunks(BATCH) {
            let x = self.input(some, false, &device);
            let output = match learned {
                Learned::Nothing => return Ok(Vec::new()),
                Learned::Network(pupil) => pupil.forward_past(x, self.first(some, &device)),
                Learned::Head(head) => head.forward(x),
            };
            let off = values(output).await?.into_iter().zip(some).map(|(y, i)| f64::from(y - self.targets[*i]));
            losses.extend(off.map(|d| d * d));
        }
        Ok(losses)
    }

    /// The best so far, to answer with. Labels that decided when to stop now serve the closed-form step too.
    pub fn taught(&self) -> Result<Taught, TeachError> {
        let room = &self.room;
        let frozen = || room.with_head(&self.head, &room.device);
        let network = match (&self.best, self.task.strategy) {
            (Learned::Network(pupil), Strategy::Lora) => match pupil.adapter() {
                Some(Adapter::Lora(lora)) => Answering::Lora(self.head.clone(), frozen()?, lora.clone()),
                _ => Answering::Frozen(self.head.clone(), frozen()?),
            },
            (Learned::Network(pupil), _) => Answering::Network(pupil.base().clone()),
            (Learned::Head(head), _) => {
                Answering::Residual(self.head.clone(), frozen()?, head.clone(), self.settings.sight)
            }
            (Learned::Nothing, _) => Answering::Frozen(self.head.clone(), frozen()?),
        };
        Ok(Taught {
            strategy: self.task.strategy,
            network,
            column: room.column,
            closed_form: self.closed_form_of_all(),
            mean: self.mean,
            scale: self.scale,
        })
    }

    fn closed_form_of_all(&self) -> Option<ClosedForm> {
        let closed = self.closed_form.clone()?;
        if self.room.own_head().is_none() || self.split.validation.is_empty() {
            return Some(closed);
        }
        let rows: Vec<usize> = self.split.train.iter().chain(&self.split.validation).copied().collect();
        let residual = |i: &usize| {
            let standard = (self.room.lesson.values[*i] - f64::from(self.mean)) / f64::from(self.scale);
            standard - self.head.at(self.room.last_hidden(*i))
        };
        let residuals: Vec<f64> = rows.iter().map(residual).collect();
        self.room.closed_form(&rows, self.scale, &residuals).map(|(all, _)| all).or(Some(closed))
    }

    /// Answers of the best so far for rows of the lesson, in the label's unit.
    pub async fn answers(&self, rows: &[usize]) -> Result<Vec<f64>, TeachError> {
        let taught = self.taught()?;
        let mut answers = Vec::with_capacity(rows.len());
        for some in rows.chunks(BATCH) {
            let inputs: Vec<&LabelInput> = some.iter().map(|i| &self.room.lesson.inputs[*i]).collect();
            answers.extend(taught.answer(&self.room.base, &inputs, &self.room.device).await?);
        }
        Ok(answers)
    }

    /// A look at the loss around the best so far, on the labels that it learned from; `None` where nothing is taught.
    pub async fn survey(&mut self) -> Result<Option<Survey>, TeachError> {
        let used: Vec<usize> = self.split.train.iter().chain(&self.split.validation).copied().collect();
        let rows = thinned(&used);
        let device = self.room.device.clone();
        let y = matrix(rows.iter().map(|i| self.targets[*i]).collect(), 1, &device);
        let seen = (self.input(&rows, false, &device), y);
        let empty = Landscape::empty(self.task.strategy, &self.room.lesson.target, self.task.seed, rows.len());
        Ok(match &self.best {
            Learned::Nothing => None,
            Learned::Network(pupil) => Some(Survey::of_pupil(pupil, seen, self.scale, empty).await?),
            Learned::Head(head) => Some(Survey::of_head(head, seen, self.scale, empty).await?),
        })
    }

    /// How it went, with the answers for what was kept apart.
    pub async fn outcome(&self) -> Result<Outcome, TeachError> {
        Ok(Outcome {
            task: self.task,
            n_train: self.split.train.len(),
            n_validation: self.split.validation.len(),
            rows: self.split.test.iter().map(|i| *i as u32).collect(),
            values: self.answers(&self.split.test).await?,
            history: self.history.clone(),
            best_epoch: self.best_epoch,
            cancelled: self.cancelled,
        })
    }
}

/// True when losses have fallen by more than `doubt` times the standard error of their differences.
fn is_better(now: &[f64], kept: &[f64], doubt: f64) -> bool {
    let fallen: Vec<f64> = kept.iter().zip(now).map(|(kept, now)| kept - now).collect();
    let (mean, std) = mean_and_std(&fallen);
    mean > doubt * std / (fallen.len().max(2) as f64 - 1.0).sqrt()
}
