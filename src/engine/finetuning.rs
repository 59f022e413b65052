//! Distribution of training runs to the trainers, and collection of their results.

use std::collections::VecDeque;

use super::protocol::{Event, FinetuneEvent, FinetuneJob, SpectrumId};
use super::trainer::{TrainerCommand, TrainerEvent, TrainerStatus};
use crate::result::finetune::{Metrics, Strategy, StrategyComparison, TrainingOutcome, TrainingRun};
use crate::task::finetune::cross_validation::{self, Plan};
use crate::task::finetune::labelled_set::{LabelCandidate, LabelledSet, LabelledSpectrum};

/// Connection to a trainer.
pub trait TrainerLink {
    /// Sends a command. If the trainer has stopped, the page reports it.
    fn send(&self, command: &TrainerCommand);
}

/// A trainer and its current training run.
struct TrainerSlot {
    number: u32,
    link: Box<dyn TrainerLink>,
    task: Option<TrainingRun>,
}

/// A comparison of strategies: its labelled spectra, training runs and results.
struct ComparisonRun {
    number: u32,
    job: FinetuneJob,
    plan: Plan,
    labelled_set: LabelledSet,
    queue: VecDeque<TrainingRun>,
    outcomes: Vec<TrainingOutcome>,
    /// Training runs that failed.
    n_failed: u32,
    total: u32,
    is_stopped: bool,
    has_ended: bool,
    /// Result so far; the adapter's card quotes it.
    result: Option<StrategyComparison>,
}

impl ComparisonRun {
    fn start(&self) -> TrainerCommand {
        TrainerCommand::Start {
            comparison: self.number,
            base: self.job.base.clone(),
            labelled_set: Box::new(self.labelled_set.clone()),
            plan: self.plan.clone(),
            settings: self.job.settings.clone(),
        }
    }

    /// The training run on all labels.
    fn task_on_all(&self, strategy: Strategy) -> TrainingRun {
        TrainingRun { strategy, fold: None, seed: self.job.seeds.first().copied().unwrap_or(1), n_labels: None }
    }
}

/// Hands training runs to the trainers: those of the current comparison, or of an adapter or a landscape.
#[derive(Default)]
pub struct RunDispatcher {
    trainers: Vec<TrainerSlot>,
    /// Number of comparisons so far.
    n_comparisons: u32,
    comparison: Option<ComparisonRun>,
    /// Training run whose adapter is exported.
    export_task: Option<TrainingRun>,
    /// Training run whose landscape is scanned.
    scan_task: Option<TrainingRun>,
}

impl RunDispatcher {
    /// Adds a trainer.
    pub fn connect(&mut self, number: u32, link: Box<dyn TrainerLink>) {
        self.trainers.retain(|trainer| trainer.number != number);
        if let Some(comparison) = &self.comparison {
            link.send(&comparison.start());
        }
        self.trainers.push(TrainerSlot { number, link, task: None });
        self.dispatch();
    }

    /// Removes a trainer that stopped. Another trainer takes over its training run.
    pub fn disconnect(&mut self, number: u32, emit: &mut impl FnMut(Event)) {
        let Some(i) = self.trainers.iter().position(|trainer| trainer.number == number) else { return };
        let lost_task = self.trainers.remove(i).task;
        if lost_task.is_some() && (lost_task == self.export_task || lost_task == self.scan_task) {
            (self.export_task, self.scan_task) = (None, None);
            send(emit, FinetuneEvent::Failed("the training worker stopped; try again".into()));
        } else if let (Some(comparison), Some(task)) = (&mut self.comparison, lost_task) {
            comparison.queue.push_front(task);
        }
        if self.trainers.is_empty() {
            self.stop(emit);
        } else {
            self.dispatch();
        }
    }

    /// Starts a comparison on labelled spectra, each with its number.
    pub fn compare(
        &mut self,
        job: FinetuneJob,
        labelled_spectra: Vec<(SpectrumId, LabelCandidate)>,
        emit: &mut impl FnMut(Event),
    ) {
        self.stop(emit);
        if let Some(problem) = job.settings.problem() {
            return send(emit, FinetuneEvent::Failed(problem));
        }
        let (ids, labelled_spectra): (Vec<SpectrumId>, Vec<LabelCandidate>) = labelled_spectra.into_iter().unzip();
        let names: Vec<String> = labelled_spectra.iter().map(|e| e.id.clone()).collect();
        let (labelled_set, warnings) = match LabelledSet::new(&job.target, labelled_spectra) {
            Ok((labelled_set, warnings)) => (labelled_set.with_subset_cut(job.subset_cut.clone()), warnings),
            Err(warnings) => return send(emit, FinetuneEvent::Refused(warnings)),
        };
        let plan = plan_for(&job, &labelled_set);
        let queue: VecDeque<TrainingRun> = plan.tasks(&labelled_set).into();
        let total = queue.len() as u32;
        let spectra = rows_to_spectra(&labelled_set, &names, &ids);
        self.n_comparisons += 1;
        let comparison = ComparisonRun {
            number: self.n_comparisons,
            job,
            plan,
            labelled_set,
            queue,
            outcomes: Vec::new(),
            n_failed: 0,
            total,
            is_stopped: false,
            has_ended: false,
            result: None,
        };
        self.trainers.iter().for_each(|trainer| trainer.link.send(&comparison.start()));
        self.comparison = Some(comparison);
        send(emit, FinetuneEvent::Started { warnings, spectra, n_runs: total });
        self.dispatch();
    }

    /// Stops all training runs. The results so far stay.
    pub fn stop(&mut self, emit: &mut impl FnMut(Event)) {
        for trainer in &mut self.trainers {
            trainer.link.send(&TrainerCommand::Stop);
            trainer.task = None;
        }
        (self.export_task, self.scan_task) = (None, None);
        if let Some(comparison) = &mut self.comparison {
            comparison.is_stopped = true;
            comparison.queue.clear();
        }
        self.finish_if_done(emit);
    }

    /// Pauses (`true`) or resumes (`false`) the trainers.
    pub fn pause(&self, is_paused: bool) {
        self.trainers.iter().for_each(|trainer| trainer.link.send(&TrainerCommand::Pause(is_paused)));
    }

    /// Removes the labelled spectra.
    pub fn clear(&mut self, emit: &mut impl FnMut(Event)) {
        self.stop(emit);
        self.comparison = None;
    }

    /// Trains on all labels and exports the adapter.
    pub fn train_adapter(&mut self, strategy: Strategy, emit: &mut impl FnMut(Event)) {
        self.stop(emit);
        let (Some(comparison), Some(trainer)) = (&self.comparison, self.trainers.first_mut()) else {
            return send(emit, no_labels());
        };
        let task = comparison.task_on_all(strategy);
        let score = comparison.result.as_ref().and_then(|v| v.scores.iter().find(|s| s.strategy == strategy));
        let metrics = score.map_or(Vec::new(), |score| {
            let subset_metrics = score.subsets.iter().map(|r| {
                let (r2, biweight) = (r.r2.value, r.biweight.value);
                (r.subset.clone(), Metrics { n: r.n, bias: r.bias.value, sigma: r.sigma.value, r2, biweight })
            });
            subset_metrics.collect()
        });
        let seeds = comparison.job.seeds.len();
        let measured_by = format!(
            "{}-fold cross-validation, {seeds} {}",
            comparison.job.folds,
            if seeds == 1 { "seed" } else { "seeds" }
        );
        trainer.link.send(&TrainerCommand::Export { task, metrics, measured_by });
        trainer.task = Some(task);
        self.export_task = Some(task);
    }

    /// Trains on all labels and computes the loss around the trained weights.
    pub fn scan_landscape(&mut self, strategy: Strategy, emit: &mut impl FnMut(Event)) {
        self.stop(emit);
        let (Some(comparison), Some(trainer)) = (&self.comparison, self.trainers.first_mut()) else {
            return send(emit, no_labels());
        };
        let task = comparison.task_on_all(strategy);
        trainer.link.send(&TrainerCommand::ScanLandscape(task));
        trainer.task = Some(task);
        self.scan_task = Some(task);
    }

    /// Handles a status message of a trainer. Returns the file of an adapter when one was exported.
    pub fn status(&mut self, number: u32, status: TrainerStatus, emit: &mut impl FnMut(Event)) -> Option<Vec<u8>> {
        if status.comparison != self.n_comparisons {
            return None;
        }
        let mut file = None;
        match status.event {
            TrainerEvent::Epoch(task, epoch) => {
                send(emit, FinetuneEvent::Epoch { task, epoch });
                return None;
            }
            TrainerEvent::Scanning(done, total) => {
                send(emit, FinetuneEvent::Scanning { done, total });
                return None;
            }
            TrainerEvent::Finished(outcome) => self.add_outcome(*outcome, emit),
            TrainerEvent::Landscape(landscape) => {
                self.scan_task = None;
                send(emit, FinetuneEvent::Landscape(landscape));
            }
            // After a stop by the user, `export_task` is `None`, and the adapter is discarded.
            TrainerEvent::Adapter(adapter) => file = self.export_task.take().map(|_| adapter),
            TrainerEvent::Failed(task, why) => {
                if self.export_task == Some(task) || self.scan_task == Some(task) {
                    (self.export_task, self.scan_task) = (None, None);
                } else if let Some(comparison) = &mut self.comparison {
                    comparison.n_failed += 1;
                }
                send(emit, FinetuneEvent::Failed(format!("{}: {why}", task.strategy.title())));
            }
        }
        if let Some(trainer) = self.trainers.iter_mut().find(|trainer| trainer.number == number) {
            trainer.task = None;
        }
        self.dispatch();
        self.finish_if_done(emit);
        file
    }

    fn add_outcome(&mut self, outcome: TrainingOutcome, emit: &mut impl FnMut(Event)) {
        // The outcome of a run that was stopped in its first epoch is not a result of its strategy.
        let is_useful = !outcome.is_cancelled || outcome.best_epoch > 0;
        let Some(comparison) = &mut self.comparison else { return };
        let task = outcome.task;
        if is_useful {
            comparison.outcomes.push(outcome);
        }
        let done = comparison.outcomes.len() as u32 + comparison.n_failed;
        send(emit, FinetuneEvent::Trained { task, done, total: comparison.total });
        if comparison.job.is_learning_curve {
            return send(
                emit,
                FinetuneEvent::LearningCurve(cross_validation::learning_curve(
                    &comparison.labelled_set,
                    &comparison.outcomes,
                )),
            );
        }
        let subsets = comparison.labelled_set.subsets();
        let result = cross_validation::comparison(&comparison.labelled_set, &comparison.outcomes, &subsets);
        comparison.result = Some(result.clone());
        send(emit, FinetuneEvent::Comparison(Box::new(result)));
    }

    /// Gives every idle trainer a training run.
    fn dispatch(&mut self) {
        let Some(comparison) = &mut self.comparison else { return };
        for trainer in self.trainers.iter_mut().filter(|trainer| trainer.task.is_none()) {
            let Some(task) = comparison.queue.pop_front() else { return };
            trainer.link.send(&TrainerCommand::Run(task));
            trainer.task = Some(task);
        }
    }

    fn finish_if_done(&mut self, emit: &mut impl FnMut(Event)) {
        let is_idle = self.trainers.iter().all(|trainer| trainer.task.is_none());
        let Some(comparison) = self.comparison.as_mut().filter(|c| is_idle && !c.has_ended && c.queue.is_empty())
        else {
            return;
        };
        comparison.has_ended = true;
        send(emit, FinetuneEvent::Finished { cancelled: comparison.is_stopped });
    }
}

fn send(emit: &mut impl FnMut(Event), event: FinetuneEvent) {
    emit(Event::Finetune(event));
}

fn no_labels() -> FinetuneEvent {
    FinetuneEvent::Failed("there are no labelled spectra yet; compare strategies first".into())
}

fn plan_for(job: &FinetuneJob, labelled_set: &LabelledSet) -> Plan {
    let (strategies, folds, seeds) = (job.strategies.clone(), job.folds.clamp(2, 20) as usize, job.seeds.clone());
    if job.is_learning_curve {
        Plan::learning_curve(labelled_set, strategies, folds, seeds)
    } else {
        Plan { strategies, folds, seeds, n_labels: Vec::new() }
    }
}

/// Spectrum of each row of a labelled set. The set lacks some spectra, but has the same order.
fn rows_to_spectra(labelled_set: &LabelledSet, names: &[String], ids: &[SpectrumId]) -> Vec<SpectrumId> {
    let mut next = 0;
    let row = |spectrum: &LabelledSpectrum| {
        while next < names.len() && names[next] != spectrum.id {
            next += 1;
        }
        next += 1;
        ids.get(next - 1).copied().unwrap_or_default()
    };
    labelled_set.spectra.iter().map(row).collect()
}
