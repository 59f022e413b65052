//! What the page knows of teaching.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use leptos::prelude::*;

use crate::engine::teach_message::{TeachColumn, TeachEvent, TeachOrder, TeachRequest};
use crate::engine::{Request, SpectrumId};
use crate::result::ModelCard;
use crate::result::teach::{
    AdapterCard, BakeOff, CurvePoint, Cut, Distance, Epoch, Landscape, Remark, Settings, Strategy, Task,
};
use crate::ui::files::text_of;
use crate::ui::state::{RowKey, State};

/// What is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing.
    Idle,
    /// The model to be taught is on its way: so many bytes of so many.
    Fetching(u64, u64),
    /// Labelled spectra are being prepared: so many of so many.
    Preparing(u32, u32),
    /// Trainings run: so many of so many ended.
    Training(u32, u32),
    /// The chosen strategy learns from all labels.
    Adopting,
    /// The loss is looked at around what was learned: at so many points of so many, none of none while it learns.
    Surveying(u32, u32),
}

/// An adapter that answers, and its file.
#[derive(Debug, Clone, PartialEq)]
pub struct InUse {
    /// What it says about itself.
    pub card: AdapterCard,
    /// Its file.
    pub file: Arc<Vec<u8>>,
    /// SHA-256 of that.
    pub sha256: String,
}

/// Signals of the panel; a handle, copied freely.
#[derive(Clone, Copy)]
pub struct Teach {
    /// The models that can be taught, that which answers as shipped first.
    pub bases: RwSignal<Vec<ModelCard>>,
    /// Name of the one to teach; the first without a choice.
    pub base: RwSignal<Option<String>>,
    /// Columns of the label tables.
    pub columns: RwSignal<Vec<TeachColumn>>,
    /// The column to learn.
    pub target: RwSignal<Option<String>>,
    /// The column that keeps spectra together.
    pub groups: RwSignal<Option<String>>,
    /// The column by which stars are parted when they are judged, beside [Fe/H].
    pub cut_by: RwSignal<Option<String>>,
    /// The value at which.
    pub cut_at: RwSignal<Option<f64>>,
    /// Strategies to compare.
    pub strategies: RwSignal<BTreeSet<Strategy>>,
    /// How they learn.
    pub settings: RwSignal<Settings>,
    /// Folds of the cross-validation.
    pub folds: RwSignal<u32>,
    /// Number of seeds.
    pub seeds: RwSignal<u32>,
    /// What is going on.
    pub phase: RwSignal<Phase>,
    /// True while the trainers rest.
    pub is_paused: RwSignal<bool>,
    /// What is to be known about the labels.
    pub remarks: RwSignal<Vec<Remark>>,
    /// What went wrong.
    pub trouble: RwSignal<Option<String>>,
    /// Losses of each training.
    pub histories: RwSignal<BTreeMap<Task, Vec<Epoch>>>,
    /// How the strategies compare.
    pub bake_off: RwSignal<Option<Arc<BakeOff>>>,
    /// The learning curve.
    pub curve: RwSignal<Vec<CurvePoint>>,
    /// The strategy whose predictions are plotted; the recommended one without a choice.
    pub chosen: RwSignal<Option<Strategy>>,
    /// How far the stars of the plane of [Fe/H] and [α/Fe] are from the reference.
    pub distances: RwSignal<Vec<Option<Distance>>>,
    /// The loss around what was taught.
    pub landscape: RwSignal<Option<Arc<Landscape>>>,
    /// The adapter that answers.
    pub in_use: RwSignal<Option<InUse>>,
    rows: RwSignal<Vec<RowKey>>,
}

impl Teach {
    /// Nothing taught yet.
    pub fn new() -> Self {
        let compared = [Strategy::ZeroShot, Strategy::Residual, Strategy::Lora, Strategy::Full];
        Self {
            bases: RwSignal::new(Vec::new()),
            base: RwSignal::new(None),
            columns: RwSignal::new(Vec::new()),
            target: RwSignal::new(None),
            groups: RwSignal::new(None),
            cut_by: RwSignal::new(None),
            cut_at: RwSignal::new(None),
            strategies: RwSignal::new(compared.into()),
            settings: RwSignal::new(Settings::default()),
            folds: RwSignal::new(5),
            seeds: RwSignal::new(1),
            phase: RwSignal::new(Phase::Idle),
            is_paused: RwSignal::new(false),
            remarks: RwSignal::new(Vec::new()),
            trouble: RwSignal::new(None),
            histories: RwSignal::new(BTreeMap::new()),
            bake_off: RwSignal::new(None),
            curve: RwSignal::new(Vec::new()),
            chosen: RwSignal::new(None),
            distances: RwSignal::new(Vec::new()),
            landscape: RwSignal::new(None),
            in_use: RwSignal::new(None),
            rows: RwSignal::new(Vec::new()),
        }
    }

    /// Columns with numbers to learn: ours first.
    pub fn targets(&self) -> Vec<TeachColumn> {
        self.columns.get().into_iter().filter(|column| column.numbers > 0 && column.name != "rv").collect()
    }

    /// The column to learn: the chosen one, else the first.
    pub fn target(&self) -> Option<String> {
        let targets = self.targets();
        let chosen = self.target.get().filter(|name| targets.iter().any(|column| column.name == *name));
        chosen.or_else(|| targets.first().map(|column| column.name.clone()))
    }

    /// Where the user parts the stars; none without a value.
    fn cut(&self) -> Option<Cut> {
        Some(Cut { column: self.cut_by.get_untracked()?, at: self.cut_at.get_untracked()? })
    }

    /// The strategy whose predictions are shown.
    pub fn shown(&self) -> Option<Strategy> {
        let bake_off = self.bake_off.get()?;
        let has = |strategy: &Strategy| bake_off.scores.iter().any(|score| score.strategy == *strategy);
        let recommended = bake_off.recommendation.as_ref().map(|r| r.strategy);
        self.chosen.get().filter(has).or(recommended)
    }

    /// The row of the table of a point of the plots.
    pub fn row(&self, point: usize) -> Option<RowKey> {
        self.rows.with_untracked(|rows| rows.get(point).copied())
    }

    /// True while something runs.
    pub fn is_busy(&self) -> bool {
        self.phase.get() != Phase::Idle
    }

    fn forget_results(&self) {
        self.remarks.set(Vec::new());
        self.trouble.set(None);
        self.histories.set(BTreeMap::new());
        self.bake_off.set(None);
        self.curve.set(Vec::new());
        self.landscape.set(None);
        self.chosen.set(None);
    }

    /// As all spectra are forgotten.
    pub fn clear(&self) {
        self.forget_results();
        self.columns.set(Vec::new());
        self.phase.set(Phase::Idle);
        self.is_paused.set(false);
    }

    /// The engine is gone, and with it all that was taught.
    pub fn lose_engine(&self) {
        if self.phase.get_untracked() != Phase::Idle {
            self.trouble.set(Some("The engine stopped while it learned; compare anew.".into()));
        }
        self.phase.set(Phase::Idle);
        self.is_paused.set(false);
        self.in_use.set(None);
    }

    fn receive(&self, event: TeachEvent, key: impl Fn(SpectrumId) -> RowKey) {
        match event {
            TeachEvent::Bases(models) => self.bases.set(models),
            TeachEvent::Fetching { done, total } => {
                // An adapter's model is fetched while nothing else goes on.
                if matches!(self.phase.get_untracked(), Phase::Idle | Phase::Preparing(..) | Phase::Fetching(..)) {
                    self.phase.set(Phase::Fetching(done, total));
                }
            }
            TeachEvent::Columns(columns) => self.columns.set(columns),
            TeachEvent::Preparing { done, total } => self.phase.set(Phase::Preparing(done, total)),
            TeachEvent::Refused(remarks) => {
                self.remarks.set(remarks);
                self.phase.set(Phase::Idle);
            }
            TeachEvent::Begun { remarks, spectra, trainings } => {
                self.remarks.set(remarks);
                self.rows.set(spectra.into_iter().map(key).collect());
                self.phase.set(Phase::Training(0, trainings));
            }
            TeachEvent::Epoch { task, epoch } => self.histories.update(|all| all.entry(task).or_default().push(epoch)),
            TeachEvent::Trained { done, total, .. } => {
                if matches!(self.phase.get_untracked(), Phase::Training(..)) {
                    self.phase.set(Phase::Training(done, total));
                }
            }
            TeachEvent::Compared(bake_off) => self.bake_off.set(Some(Arc::new(*bake_off))),
            TeachEvent::Curve(points) => self.curve.set(points),
            TeachEvent::Ended { .. } => {
                if !matches!(self.phase.get_untracked(), Phase::Adopting | Phase::Surveying(..)) {
                    self.phase.set(Phase::Idle);
                }
                self.is_paused.set(false);
            }
            TeachEvent::Surveying { done, total } => {
                // It may have been stopped meanwhile.
                if matches!(self.phase.get_untracked(), Phase::Surveying(..)) {
                    self.phase.set(Phase::Surveying(done, total));
                }
            }
            TeachEvent::Landscape(found) => {
                self.landscape.set(Some(Arc::new(*found)));
                self.phase.set(Phase::Idle);
            }
            TeachEvent::InUse { card, file, sha256 } => {
                self.in_use.set(Some(InUse { card: *card, file: Arc::new(file), sha256 }));
                self.phase.set(Phase::Idle);
            }
            TeachEvent::Distances(found) => self.distances.set(found),
            TeachEvent::NotInUse => self.in_use.set(None),
            TeachEvent::Failed(why) => {
                self.trouble.set(Some(why));
                if !matches!(self.phase.get_untracked(), Phase::Training(..)) {
                    self.phase.set(Phase::Idle);
                }
            }
        }
    }
}

impl State {
    /// Takes what the engine says about teaching.
    pub fn receive_teaching(&self, epoch: u32, event: TeachEvent) {
        // A dropped adapter was taken for a network until the engine looked into it.
        if matches!(event, TeachEvent::InUse { .. } | TeachEvent::Failed(_)) {
            self.networks.update(|known| {
                known.take_if(|k| !k.is_system && k.networks.is_empty() && k.busy.is_none());
            });
        }
        let is_of_adapter = matches!(event, TeachEvent::InUse { .. } | TeachEvent::NotInUse);
        self.teach.receive(event, |id| RowKey { epoch, id });
        if is_of_adapter && self.has_files() {
            self.autosave();
        }
    }

    pub(super) fn ask_teacher(&self, request: TeachRequest) {
        self.send(Request::Teaching(request), Vec::new());
    }

    /// Compares strategies on the labels, or draws their learning curve.
    pub fn compare_strategies(&self, is_curve: bool) {
        let teach = self.teach;
        let Some(target) = untrack(|| teach.target()) else { return };
        teach.forget_results();
        teach.phase.set(Phase::Preparing(0, 0));
        self.ensure_trainers();
        let order = TeachOrder {
            base: teach.base.get_untracked(),
            target,
            groups: teach.groups.get_untracked(),
            strategies: teach.strategies.get_untracked().into_iter().collect(),
            settings: teach.settings.get_untracked(),
            folds: teach.folds.get_untracked(),
            seeds: (1..=u64::from(teach.seeds.get_untracked())).collect(),
            cut: teach.cut(),
            is_curve,
        };
        self.ask_teacher(TeachRequest::Compare(Box::new(order)));
    }

    /// Learns from all labels and answers with it.
    pub fn adopt_strategy(&self, strategy: Strategy) {
        self.teach.trouble.set(None);
        self.teach.phase.set(Phase::Adopting);
        self.ensure_trainers();
        self.ask_teacher(TeachRequest::Adopt { strategy });
    }

    /// Looks at the loss around what a strategy learns.
    pub fn survey_strategy(&self, strategy: Strategy) {
        self.teach.trouble.set(None);
        self.teach.landscape.set(None);
        self.teach.phase.set(Phase::Surveying(0, 0));
        self.ensure_trainers();
        self.ask_teacher(TeachRequest::Survey { strategy });
    }

    /// Lets the trainers rest, or go on.
    pub fn pause_teaching(&self, is_paused: bool) {
        self.teach.is_paused.set(is_paused);
        self.ask_teacher(TeachRequest::Pause(is_paused));
    }

    /// Stops; what was learned so far stays.
    pub fn stop_teaching(&self) {
        self.teach.phase.set(Phase::Idle);
        self.ask_teacher(TeachRequest::Stop);
    }

    /// Answers with the adapter that came with a session file.
    pub fn restore_adapter(&self, sha256: String, file: &[u8]) {
        if self.teach.in_use.with_untracked(Option::is_some) {
            return self.skip(
                "The session's adapter",
                "another adapter answers; return to the shipped model and drop the session again to use it".into(),
            );
        }
        let parts = js_sys::Array::of1(&js_sys::Uint8Array::from(file));
        match web_sys::File::new_with_u8_array_sequence(&parts, "adapter.safetensors") {
            Ok(file) => self.send(Request::Teaching(TeachRequest::Load { sha256: Some(sha256) }), vec![file]),
            Err(why) => self.teach.trouble.set(Some(text_of(&why))),
        }
    }

    /// Returns to the shipped model.
    pub fn forget_adapter(&self) {
        self.ask_teacher(TeachRequest::Forget);
    }
}
