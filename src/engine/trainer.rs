//! One who trains: takes orders from the session, runs one training at a time, a few steps at once.
//!
//! Trainers are workers of their own, so that predictions go on while they learn. Like the session, a [`Trainer`] knows no
//! browser.

use std::collections::VecDeque;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::result::teach::{Epoch, Landscape, Metrics, Outcome, Settings, Task};
use crate::task::predict::Predictor;
use crate::task::teach::adapter::{Adapter, card};
use crate::task::teach::bake_off::Plan;
use crate::task::teach::classroom::Classroom;
use crate::task::teach::lesson::Lesson;
use crate::task::teach::survey::Survey;
use crate::task::teach::training::{Progress, Training};

/// Session → trainer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Order {
    /// Labelled spectra, and how to learn from them. What was going on is dropped.
    Begin {
        /// Number of the comparison, which its reports bear.
        round: u32,
        /// Name of the model that is taught; none for that which answers as shipped. Whoever hands the order over sees to it
        /// that the trainer has that model ([`Trainer::change`]).
        base: Option<String>,
        /// The spectra.
        lesson: Box<Lesson>,
        /// Folds and seeds.
        plan: Plan,
        /// How.
        settings: Settings,
    },
    /// Run a training.
    Run(Task),
    /// Learn from all labels and make an adapter of it.
    Seal {
        /// Which training; it keeps nothing apart.
        task: Task,
        /// What cross-validation found, by regime.
        metrics: Vec<(String, Metrics)>,
        /// Which cross-validation that was.
        measured_by: String,
    },
    /// Learn from all labels and look at the loss around what was learned.
    Survey(Task),
    /// Rest, or go on.
    Pause(bool),
    /// End the training that runs and forget those that wait.
    Stop,
}

/// Trainer → session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// Number of the comparison it belongs to.
    pub round: u32,
    /// What happened.
    pub news: News,
}

/// What happened to a training.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum News {
    /// A pass ended.
    Epoch(Task, Epoch),
    /// A training ended, or was stopped.
    Done(Box<Outcome>),
    /// The file of an adapter.
    Sealed(Vec<u8>),
    /// So many points of a landscape are known, of so many.
    Surveying(u32, u32),
    /// A landscape.
    Surveyed(Box<Landscape>),
    /// A training failed.
    Failed(Task, String),
}

/// Points of a landscape between two reports.
const POINTS_A_REPORT: u32 = 21;

/// What becomes of a training when it ends.
enum Purpose {
    Outcome,
    Landscape,
    Adapter { metrics: Vec<(String, Metrics)>, measured_by: String },
}

/// A model and who is taught.
pub struct Trainer {
    predictor: Predictor,
    orders: VecDeque<Order>,
    class: Option<(Rc<Classroom>, Plan, Settings)>,
    round: u32,
    training: Option<(Training, Purpose)>,
    survey: Option<(Task, Survey)>,
    is_paused: bool,
}

impl Trainer {
    /// Nothing to do yet.
    pub fn new(predictor: Predictor) -> Self {
        Self {
            predictor,
            orders: VecDeque::new(),
            class: None,
            round: 0,
            training: None,
            survey: None,
            is_paused: false,
        }
    }

    /// Another model is taught from the next lesson on.
    pub fn change(&mut self, predictor: Predictor) {
        self.predictor = predictor;
    }

    /// Name of the model that is taught.
    pub fn base(&self) -> &str {
        &self.predictor.entry().name
    }

    /// Takes an order; those about all others at once.
    pub fn order(&mut self, order: Order) {
        match order {
            Order::Pause(is_paused) => self.is_paused = is_paused,
            Order::Stop => {
                self.orders.retain(|order| matches!(order, Order::Begin { .. }));
                self.is_paused = false;
                self.survey = None;
                // Half an adapter or half a landscape is none; what an outcome says so far counts.
                self.training.take_if(|(_, purpose)| !matches!(purpose, Purpose::Outcome));
                if let Some((training, _)) = &mut self.training {
                    training.cancel();
                }
            }
            order => self.orders.push_back(order),
        }
    }

    /// Does one piece of work; false when there is none.
    pub async fn step(&mut self, report: &mut impl FnMut(Report)) -> bool {
        if self.is_paused {
            return false;
        }
        let round = self.round;
        let mut tell = |news| report(Report { round, news });
        if let Some((mut training, purpose)) = self.training.take() {
            let task = training.task();
            match training.advance().await {
                Ok(Progress::Done) => self.end(training, purpose, &mut tell).await,
                // The losses on the way to a landscape are known: they are those of the adapter.
                Ok(Progress::Epoch(_)) if matches!(purpose, Purpose::Landscape) => {
                    self.training = Some((training, purpose));
                }
                Ok(Progress::Working) => self.training = Some((training, purpose)),
                Ok(Progress::Epoch(epoch)) => {
                    tell(News::Epoch(task, epoch));
                    self.training = Some((training, purpose));
                }
                Err(why) => tell(News::Failed(task, why.to_string())),
            }
            return true;
        }
        if let Some((task, mut survey)) = self.survey.take() {
            match survey.advance().await {
                Ok(Some(landscape)) => tell(News::Surveyed(Box::new(landscape))),
                Ok(None) => {
                    let (done, total) = survey.progress();
                    if done % POINTS_A_REPORT == 0 {
                        tell(News::Surveying(done, total));
                    }
                    self.survey = Some((task, survey));
                }
                Err(why) => tell(News::Failed(task, why.to_string())),
            }
            return true;
        }
        let Some(order) = self.orders.pop_front() else { return false };
        match order {
            Order::Begin { round, lesson, plan, settings, .. } => {
                self.round = round;
                let device = self.predictor.device().clone();
                // A network that gives nothing back says so at the first training.
                self.class =
                    Classroom::new(&self.predictor, *lesson, &device).await.ok().map(|c| (Rc::new(c), plan, settings));
            }
            Order::Run(task) => self.start(task, Purpose::Outcome, &mut tell),
            Order::Seal { task, metrics, measured_by } => {
                self.start(task, Purpose::Adapter { metrics, measured_by }, &mut tell);
            }
            Order::Survey(task) => self.start(task, Purpose::Landscape, &mut tell),
            Order::Pause(_) | Order::Stop => {}
        }
        true
    }

    fn start(&mut self, task: Task, purpose: Purpose, tell: &mut impl FnMut(News)) {
        let Some((room, plan, settings)) = &self.class else {
            return tell(News::Failed(task, "the compute device gave nothing back; reload the page".into()));
        };
        let split = plan.split(&room.lesson, &task, settings);
        match Training::new(room.clone(), task, split, settings) {
            Ok(training) => self.training = Some((training, purpose)),
            Err(why) => tell(News::Failed(task, why.to_string())),
        }
    }

    async fn end(&mut self, mut training: Training, purpose: Purpose, tell: &mut impl FnMut(News)) {
        let task = training.task();
        let news = match purpose {
            Purpose::Landscape => match training.survey().await {
                Ok(Some(survey)) => {
                    let (done, total) = survey.progress();
                    self.survey = Some((task, survey));
                    Ok(News::Surveying(done, total))
                }
                Ok(None) => Err("nothing is taught, so that nothing can move".into()),
                Err(why) => Err(why.to_string()),
            },
            Purpose::Outcome => {
                training.outcome().await.map(|o| News::Done(Box::new(o))).map_err(|why| why.to_string())
            }
            Purpose::Adapter { metrics, measured_by } => self.seal(training, metrics, &measured_by).await,
        };
        tell(news.unwrap_or_else(|why| News::Failed(task, why)));
    }

    async fn seal(
        &self,
        training: Training,
        metrics: Vec<(String, Metrics)>,
        measured_by: &str,
    ) -> Result<News, String> {
        let Some((room, _, settings)) = &self.class else { return Err("its lesson is gone; compare anew".into()) };
        let taught = training.taught().map_err(|why| why.to_string())?;
        let card = card(room, training.split(), &taught, settings, metrics, measured_by);
        let (_, file) = Adapter::seal(card, &taught, &self.predictor).await.map_err(|why| why.to_string())?;
        Ok(News::Sealed(file))
    }
}
