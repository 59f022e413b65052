//! A trainer: handles commands from the session, one training run at a time, a few steps per call.
//!
//! Trainers are separate workers, so that predictions continue during training. Like the session, a [`Trainer`] does
//! not depend on a browser.

use std::collections::VecDeque;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::result::finetune::{Epoch, Landscape, Metrics, Settings, TrainingOutcome, TrainingRun};
use crate::task::finetune::adapter::{Adapter, card};
use crate::task::finetune::cross_validation::Plan;
use crate::task::finetune::feature_cache::FeatureCache;
use crate::task::finetune::labelled_set::LabelledSet;
use crate::task::finetune::landscape_scan::LandscapeScan;
use crate::task::finetune::training::{Progress, Training};
use crate::task::predict::Predictor;

/// Session → trainer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum TrainerCommand {
    /// Sets the labelled spectra and the training settings. Earlier runs are discarded.
    Start {
        /// Number of the comparison; the status messages carry it.
        comparison: u32,
        /// Name of the base model; `None` for the default model. The caller loads it first
        /// ([`Trainer::set_predictor`]).
        base: Option<String>,
        /// Labelled spectra.
        labelled_set: Box<LabelledSet>,
        /// Folds and seeds.
        plan: Plan,
        /// Training settings.
        settings: Settings,
    },
    /// Runs a training run.
    Run(TrainingRun),
    /// Trains on all labels and exports an adapter.
    Export {
        /// Training run, on all labels.
        task: TrainingRun,
        /// Metrics of the cross-validation, by subset.
        metrics: Vec<(String, Metrics)>,
        /// Description of the cross-validation.
        measured_by: String,
    },
    /// Trains on all labels and computes the loss around the trained weights.
    ScanLandscape(TrainingRun),
    /// Pauses (`true`) or resumes (`false`).
    Pause(bool),
    /// Ends the current training run and removes the waiting ones.
    Stop,
}

/// Trainer → session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrainerStatus {
    /// Number of the comparison it belongs to.
    pub comparison: u32,
    /// Event.
    pub event: TrainerEvent,
}

/// Event of a training run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum TrainerEvent {
    /// An epoch ended.
    Epoch(TrainingRun, Epoch),
    /// A training run ended, or was stopped.
    Finished(Box<TrainingOutcome>),
    /// File of an adapter.
    Adapter(Vec<u8>),
    /// Points of a landscape so far, and in all.
    Scanning(u32, u32),
    /// A landscape.
    Landscape(Box<Landscape>),
    /// A training run failed; the text gives the reason.
    Failed(TrainingRun, String),
}

/// Points of a landscape between two status messages.
const POINTS_PER_STATUS: u32 = 21;

/// Purpose of a training run.
enum RunKind {
    Evaluate,
    Landscape,
    Adapter { metrics: Vec<(String, Metrics)>, measured_by: String },
}

/// A base model and the training runs on it.
pub struct Trainer {
    predictor: Predictor,
    commands: VecDeque<TrainerCommand>,
    setup: Option<(Rc<FeatureCache>, Plan, Settings)>,
    comparison: u32,
    training: Option<(Training, RunKind)>,
    scan: Option<(TrainingRun, LandscapeScan)>,
    is_paused: bool,
}

impl Trainer {
    /// A trainer without labelled spectra.
    pub fn new(predictor: Predictor) -> Self {
        Self {
            predictor,
            commands: VecDeque::new(),
            setup: None,
            comparison: 0,
            training: None,
            scan: None,
            is_paused: false,
        }
    }

    /// Sets the base model for the next [`TrainerCommand::Start`].
    pub fn set_predictor(&mut self, predictor: Predictor) {
        self.predictor = predictor;
    }

    /// Name of the base model.
    pub fn base(&self) -> &str {
        &self.predictor.entry().name
    }

    /// Handles a command. Pause and Stop act at once, the other commands in order.
    pub fn command(&mut self, command: TrainerCommand) {
        match command {
            TrainerCommand::Pause(is_paused) => self.is_paused = is_paused,
            TrainerCommand::Stop => {
                self.commands.retain(|command| matches!(command, TrainerCommand::Start { .. }));
                self.is_paused = false;
                self.scan = None;
                // An incomplete adapter or landscape is discarded. An incomplete training outcome is still reported.
                self.training.take_if(|(_, kind)| !matches!(kind, RunKind::Evaluate));
                if let Some((training, _)) = &mut self.training {
                    training.cancel();
                }
            }
            command => self.commands.push_back(command),
        }
    }

    /// Does one piece of work. Returns false when there is none.
    pub async fn step(&mut self, report: &mut impl FnMut(TrainerStatus)) -> bool {
        if self.is_paused {
            return false;
        }
        let comparison = self.comparison;
        let mut emit = |event| report(TrainerStatus { comparison, event });
        if let Some((mut training, kind)) = self.training.take() {
            let task = training.task();
            match training.advance().await {
                Ok(Progress::Done) => self.end(training, kind, &mut emit).await,
                // A landscape run repeats a known training, so its epochs are not reported.
                Ok(Progress::Epoch(_)) if matches!(kind, RunKind::Landscape) => {
                    self.training = Some((training, kind));
                }
                Ok(Progress::Working) => self.training = Some((training, kind)),
                Ok(Progress::Epoch(epoch)) => {
                    emit(TrainerEvent::Epoch(task, epoch));
                    self.training = Some((training, kind));
                }
                Err(why) => emit(TrainerEvent::Failed(task, why.to_string())),
            }
            return true;
        }
        if let Some((task, mut scan)) = self.scan.take() {
            match scan.advance().await {
                Ok(Some(landscape)) => emit(TrainerEvent::Landscape(Box::new(landscape))),
                Ok(None) => {
                    let (done, total) = scan.progress();
                    if done % POINTS_PER_STATUS == 0 {
                        emit(TrainerEvent::Scanning(done, total));
                    }
                    self.scan = Some((task, scan));
                }
                Err(why) => emit(TrainerEvent::Failed(task, why.to_string())),
            }
            return true;
        }
        let Some(command) = self.commands.pop_front() else { return false };
        match command {
            TrainerCommand::Start { comparison, labelled_set, plan, settings, .. } => {
                self.comparison = comparison;
                let device = self.predictor.device().clone();
                // If the device returns no features, the first training run reports it.
                self.setup = FeatureCache::new(&self.predictor, *labelled_set, &device)
                    .await
                    .ok()
                    .map(|c| (Rc::new(c), plan, settings));
            }
            TrainerCommand::Run(task) => self.start(task, RunKind::Evaluate, &mut emit),
            TrainerCommand::Export { task, metrics, measured_by } => {
                self.start(task, RunKind::Adapter { metrics, measured_by }, &mut emit);
            }
            TrainerCommand::ScanLandscape(task) => self.start(task, RunKind::Landscape, &mut emit),
            TrainerCommand::Pause(_) | TrainerCommand::Stop => {}
        }
        true
    }

    fn start(&mut self, task: TrainingRun, kind: RunKind, emit: &mut impl FnMut(TrainerEvent)) {
        let Some((features, plan, settings)) = &self.setup else {
            return emit(TrainerEvent::Failed(task, "the compute device returned no result; reload the page".into()));
        };
        let split = plan.split(&features.labelled_set, &task, settings);
        match Training::new(features.clone(), task, split, settings) {
            Ok(training) => self.training = Some((training, kind)),
            Err(why) => emit(TrainerEvent::Failed(task, why.to_string())),
        }
    }

    async fn end(&mut self, mut training: Training, kind: RunKind, emit: &mut impl FnMut(TrainerEvent)) {
        let task = training.task();
        let event = match kind {
            RunKind::Landscape => match training.landscape_scan().await {
                Ok(Some(scan)) => {
                    let (done, total) = scan.progress();
                    self.scan = Some((task, scan));
                    Ok(TrainerEvent::Scanning(done, total))
                }
                Ok(None) => Err("this strategy trains no weights, so there is no landscape".into()),
                Err(why) => Err(why.to_string()),
            },
            RunKind::Evaluate => {
                training.outcome().await.map(|o| TrainerEvent::Finished(Box::new(o))).map_err(|why| why.to_string())
            }
            RunKind::Adapter { metrics, measured_by } => self.export(training, metrics, &measured_by).await,
        };
        emit(event.unwrap_or_else(|why| TrainerEvent::Failed(task, why)));
    }

    async fn export(
        &self,
        training: Training,
        metrics: Vec<(String, Metrics)>,
        measured_by: &str,
    ) -> Result<TrainerEvent, String> {
        let Some((features, _, settings)) = &self.setup else {
            return Err("the labelled spectra were removed; compare the strategies again".into());
        };
        let model = training.trained_model().map_err(|why| why.to_string())?;
        let card = card(features, training.split(), &model, settings, metrics, measured_by);
        let (_, file) = Adapter::export(card, &model, &self.predictor).await.map_err(|why| why.to_string())?;
        Ok(TrainerEvent::Adapter(file))
    }
}
