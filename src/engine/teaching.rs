//! Teaching as the session sees it: which trainings wait, who runs which, and what came of them.

use std::collections::VecDeque;

use super::teach_message::{TeachEvent, TeachOrder};
use super::trainer::{News, Order, Report};
use super::{Event, SpectrumId};
use crate::result::teach::{BakeOff, Metrics, Outcome, Remark, Strategy, Task};
use crate::task::teach::bake_off::{Plan, curve, verdict};
use crate::task::teach::lesson::{Example, Lesson};

/// The way to a trainer.
pub trait TrainerLink {
    /// Sends an order; a trainer that is gone is reported by whoever watches it.
    fn send(&self, order: &Order);
}

/// A trainer, and what it runs.
struct Slot {
    number: u32,
    link: Box<dyn TrainerLink>,
    runs: Option<Task>,
}

/// Labelled spectra and what is found out about learning from them.
struct Comparison {
    round: u32,
    order: TeachOrder,
    plan: Plan,
    lesson: Lesson,
    waiting: VecDeque<Task>,
    outcomes: Vec<Outcome>,
    /// Trainings that failed.
    failed: u32,
    total: u32,
    is_stopped: bool,
    has_ended: bool,
    /// The last verdict: what the adapter's card quotes.
    verdict: Option<BakeOff>,
}

impl Comparison {
    fn begin(&self) -> Order {
        Order::Begin {
            round: self.round,
            base: self.order.base.clone(),
            lesson: Box::new(self.lesson.clone()),
            plan: self.plan.clone(),
            settings: self.order.settings.clone(),
        }
    }

    /// The training on all labels.
    fn of_all(&self, strategy: Strategy) -> Task {
        Task { strategy, fold: None, seed: self.order.seeds.first().copied().unwrap_or(1), labels: None }
    }
}

/// All that is taught, and who teaches.
#[derive(Default)]
pub struct Teaching {
    slots: Vec<Slot>,
    /// Number of comparisons so far.
    rounds: u32,
    comparison: Option<Comparison>,
    /// The adapter that is being made.
    adopting: Option<Task>,
    /// The training whose surroundings are looked at.
    surveying: Option<Task>,
}

impl Teaching {
    /// A trainer has come.
    pub fn connect(&mut self, number: u32, link: Box<dyn TrainerLink>) {
        self.slots.retain(|slot| slot.number != number);
        if let Some(comparison) = &self.comparison {
            link.send(&comparison.begin());
        }
        self.slots.push(Slot { number, link, runs: None });
        self.deal();
    }

    /// A trainer is gone; another runs what it ran.
    pub fn lose(&mut self, number: u32, emit: &mut impl FnMut(Event)) {
        let Some(i) = self.slots.iter().position(|slot| slot.number == number) else { return };
        let lost = self.slots.remove(i).runs;
        if lost.is_some() && (lost == self.adopting || lost == self.surveying) {
            (self.adopting, self.surveying) = (None, None);
            say(emit, TeachEvent::Failed("the worker that trained stopped; try again".into()));
        } else if let (Some(comparison), Some(task)) = (&mut self.comparison, lost) {
            comparison.waiting.push_front(task);
        }
        if self.slots.is_empty() {
            self.stop(emit);
        } else {
            self.deal();
        }
    }

    /// Begins to compare strategies on labelled spectra; each example comes with its spectrum.
    /// `emulator` is the name of that which they were held against, or why they were not.
    pub fn compare(
        &mut self,
        order: TeachOrder,
        examples: Vec<(SpectrumId, Example)>,
        emulator: Result<Option<String>, String>,
        emit: &mut impl FnMut(Event),
    ) {
        self.stop(emit);
        if let Some(problem) = order.settings.problem() {
            return say(emit, TeachEvent::Failed(problem));
        }
        let (ids, examples): (Vec<SpectrumId>, Vec<Example>) = examples.into_iter().unzip();
        let names: Vec<String> = examples.iter().map(|e| e.id.clone()).collect();
        let (lesson, mut remarks) = match Lesson::new(&order.target, examples) {
            Ok((lesson, remarks)) => (lesson.with_cut(order.cut.clone()), remarks),
            Err(remarks) => return say(emit, TeachEvent::Refused(remarks)),
        };
        let lesson = match emulator {
            Ok(emulator) => lesson.held_against(emulator),
            Err(why) => {
                remarks.push(Remark::NoEmulator { why });
                lesson
            }
        };
        let plan = plan(&order, &lesson);
        let waiting: VecDeque<Task> = plan.tasks(&lesson).into();
        let total = waiting.len() as u32;
        let spectra = rows_to_spectra(&lesson, &names, &ids);
        self.rounds += 1;
        let comparison = Comparison {
            round: self.rounds,
            order,
            plan,
            lesson,
            waiting,
            outcomes: Vec::new(),
            failed: 0,
            total,
            is_stopped: false,
            has_ended: false,
            verdict: None,
        };
        self.slots.iter().for_each(|slot| slot.link.send(&comparison.begin()));
        self.comparison = Some(comparison);
        say(emit, TeachEvent::Begun { remarks, spectra, trainings: total });
        self.deal();
    }

    /// Ends what runs; what was learned so far counts.
    pub fn stop(&mut self, emit: &mut impl FnMut(Event)) {
        for slot in &mut self.slots {
            slot.link.send(&Order::Stop);
            slot.runs = None;
        }
        (self.adopting, self.surveying) = (None, None);
        if let Some(comparison) = &mut self.comparison {
            comparison.is_stopped = true;
            comparison.waiting.clear();
        }
        self.end_if_over(emit);
    }

    /// Lets the trainers rest, or go on.
    pub fn pause(&self, is_paused: bool) {
        self.slots.iter().for_each(|slot| slot.link.send(&Order::Pause(is_paused)));
    }

    /// Forgets the labelled spectra, as their spectra are forgotten.
    pub fn clear(&mut self, emit: &mut impl FnMut(Event)) {
        self.stop(emit);
        self.comparison = None;
    }

    /// Learns from all labels.
    pub fn adopt(&mut self, strategy: Strategy, emit: &mut impl FnMut(Event)) {
        self.stop(emit);
        let (Some(comparison), Some(slot)) = (&self.comparison, self.slots.first_mut()) else {
            return say(emit, nothing_to_learn());
        };
        let task = comparison.of_all(strategy);
        let score = comparison.verdict.as_ref().and_then(|v| v.scores.iter().find(|s| s.strategy == strategy));
        let metrics = score.map_or(Vec::new(), |score| {
            let figures = score.regimes.iter().map(|r| {
                let (r2, biweight) = (r.r2.value, r.biweight.value);
                (r.regime.clone(), Metrics { n: r.n, bias: r.bias.value, sigma: r.sigma.value, r2, biweight })
            });
            figures.collect()
        });
        let seeds = comparison.order.seeds.len();
        let measured_by = format!(
            "{}-fold cross-validation, {seeds} {}",
            comparison.order.folds,
            if seeds == 1 { "seed" } else { "seeds" }
        );
        slot.link.send(&Order::Seal { task, metrics, measured_by });
        slot.runs = Some(task);
        self.adopting = Some(task);
    }

    /// Learns from all labels, and looks at the loss around what was learned.
    pub fn survey(&mut self, strategy: Strategy, emit: &mut impl FnMut(Event)) {
        self.stop(emit);
        let (Some(comparison), Some(slot)) = (&self.comparison, self.slots.first_mut()) else {
            return say(emit, nothing_to_learn());
        };
        let task = comparison.of_all(strategy);
        slot.link.send(&Order::Survey(task));
        slot.runs = Some(task);
        self.surveying = Some(task);
    }

    /// Takes a trainer's report. Gives the file of an adapter when one was made.
    pub fn report(&mut self, number: u32, report: Report, emit: &mut impl FnMut(Event)) -> Option<Vec<u8>> {
        if report.round != self.rounds {
            return None;
        }
        let mut file = None;
        match report.news {
            News::Epoch(task, epoch) => {
                say(emit, TeachEvent::Epoch { task, epoch });
                return None;
            }
            News::Surveying(done, total) => {
                say(emit, TeachEvent::Surveying { done, total });
                return None;
            }
            News::Done(outcome) => self.take_in(*outcome, emit),
            News::Surveyed(landscape) => {
                self.surveying = None;
                say(emit, TeachEvent::Landscape(landscape));
            }
            // One that was finished when it was stopped is not wanted any more.
            News::Sealed(sealed) => file = self.adopting.take().map(|_| sealed),
            News::Failed(task, why) => {
                if self.adopting == Some(task) || self.surveying == Some(task) {
                    (self.adopting, self.surveying) = (None, None);
                } else if let Some(comparison) = &mut self.comparison {
                    comparison.failed += 1;
                }
                say(emit, TeachEvent::Failed(format!("{}: {why}", task.strategy.title())));
            }
        }
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.number == number) {
            slot.runs = None;
        }
        self.deal();
        self.end_if_over(emit);
        file
    }

    fn take_in(&mut self, outcome: Outcome, emit: &mut impl FnMut(Event)) {
        // One that was stopped before it learned anything says nothing about its strategy.
        let is_of_use = !outcome.cancelled || outcome.best_epoch > 0;
        let Some(comparison) = &mut self.comparison else { return };
        let task = outcome.task;
        if is_of_use {
            comparison.outcomes.push(outcome);
        }
        let done = comparison.outcomes.len() as u32 + comparison.failed;
        say(emit, TeachEvent::Trained { task, done, total: comparison.total });
        if comparison.order.is_curve {
            return say(emit, TeachEvent::Curve(curve(&comparison.lesson, &comparison.outcomes)));
        }
        let regimes = comparison.lesson.regimes();
        let so_far = verdict(&comparison.lesson, &comparison.outcomes, &regimes);
        comparison.verdict = Some(so_far.clone());
        say(emit, TeachEvent::Compared(Box::new(so_far)));
    }

    /// Gives every idle trainer something to do.
    fn deal(&mut self) {
        let Some(comparison) = &mut self.comparison else { return };
        for slot in self.slots.iter_mut().filter(|slot| slot.runs.is_none()) {
            let Some(task) = comparison.waiting.pop_front() else { return };
            slot.link.send(&Order::Run(task));
            slot.runs = Some(task);
        }
    }

    fn end_if_over(&mut self, emit: &mut impl FnMut(Event)) {
        let is_idle = self.slots.iter().all(|slot| slot.runs.is_none());
        let Some(comparison) = self.comparison.as_mut().filter(|c| is_idle && !c.has_ended && c.waiting.is_empty())
        else {
            return;
        };
        comparison.has_ended = true;
        say(emit, TeachEvent::Ended { cancelled: comparison.is_stopped });
    }
}

fn say(emit: &mut impl FnMut(Event), event: TeachEvent) {
    emit(Event::Teaching(event));
}

fn nothing_to_learn() -> TeachEvent {
    TeachEvent::Failed("there is nothing to learn from yet; compare strategies first".into())
}

fn plan(order: &TeachOrder, lesson: &Lesson) -> Plan {
    let (strategies, folds, seeds) = (order.strategies.clone(), order.folds.clamp(2, 20) as usize, order.seeds.clone());
    if order.is_curve {
        Plan::learning_curve(lesson, strategies, folds, seeds)
    } else {
        Plan { strategies, folds, seeds, labels: Vec::new() }
    }
}

/// The spectrum of each row of a lesson, which left some examples out and kept their order.
fn rows_to_spectra(lesson: &Lesson, names: &[String], ids: &[SpectrumId]) -> Vec<SpectrumId> {
    let mut next = 0;
    let row = |name: &String| {
        while next < names.len() && names[next] != *name {
            next += 1;
        }
        next += 1;
        ids.get(next - 1).copied().unwrap_or_default()
    };
    lesson.ids.iter().map(row).collect()
}
