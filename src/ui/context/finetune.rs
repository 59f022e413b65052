//! Fine-tuning: the user's choices, the progress and the results, and the requests to the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use leptos::prelude::*;

use super::engine::Engine;
use crate::engine::protocol::{FinetuneEvent, FinetuneJob, FinetuneRequest, LabelColumn};
use crate::result::ModelCard;
use crate::result::finetune::{
    AdapterCard, CurvePoint, Distance, Epoch, LabelWarning, Landscape, Settings, Strategy, StrategyComparison,
    SubsetCut, Task,
};
use crate::ui::engine_link::trainers::Trainers;
use crate::ui::files::text_of;
use crate::ui::row::RowKey;

/// What the engine is doing for this panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing.
    Idle,
    /// The base model is being downloaded: bytes received and in total.
    Fetching(u64, u64),
    /// Labelled spectra are being prepared: number done and in total.
    Preparing(u32, u32),
    /// Training runs: number finished and in total.
    Training(u32, u32),
    /// The chosen strategy is trained on all labels.
    Fitting,
    /// The loss landscape is scanned: points done and in total; both 0 while the strategy is trained.
    Scanning(u32, u32),
}

/// The adapter that is applied to predictions, and its file.
#[derive(Debug, Clone, PartialEq)]
pub struct ActiveAdapter {
    /// Metadata of the adapter.
    pub card: AdapterCard,
    /// Content of the adapter file.
    pub file: Arc<Vec<u8>>,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub sha256: String,
}

/// Signals of the fine-tuning panel, and the training workers.
#[derive(Clone, Copy)]
pub struct Finetune {
    /// Models that can be fine-tuned; the default first.
    pub base_models: RwSignal<Vec<ModelCard>>,
    /// Name of the base model; `None` for the first.
    pub base_model: RwSignal<Option<String>>,
    /// Columns of the label tables.
    pub columns: RwSignal<Vec<LabelColumn>>,
    /// Label column to train on; `None` for the first.
    pub target: RwSignal<Option<String>>,
    /// Column whose equal values keep spectra in the same fold.
    pub groups: RwSignal<Option<String>>,
    /// Column of the additional subsets in the scores.
    pub subset_column: RwSignal<Option<String>>,
    /// Threshold in that column.
    pub subset_threshold: RwSignal<Option<f64>>,
    /// Strategies to compare.
    pub strategies: RwSignal<BTreeSet<Strategy>>,
    /// Training settings.
    pub settings: RwSignal<Settings>,
    /// Folds of the cross-validation.
    pub folds: RwSignal<u32>,
    /// Number of random seeds.
    pub seeds: RwSignal<u32>,
    /// What the engine is doing.
    pub phase: RwSignal<Phase>,
    /// True while training is paused.
    pub is_paused: RwSignal<bool>,
    /// Warnings about the labels.
    pub label_warnings: RwSignal<Vec<LabelWarning>>,
    /// The last error.
    pub error: RwSignal<Option<String>>,
    /// Losses of each training run.
    pub histories: RwSignal<BTreeMap<Task, Vec<Epoch>>>,
    /// Cross-validated scores of the strategies.
    pub comparison: RwSignal<Option<Arc<StrategyComparison>>>,
    /// The learning curve.
    pub learning_curve: RwSignal<Vec<CurvePoint>>,
    /// Strategy whose predictions are plotted; `None` for the recommended one.
    pub chosen: RwSignal<Option<Strategy>>,
    /// MMD² of samples in [Fe/H] and [α/Fe] from the reference sample.
    pub distances: RwSignal<Vec<Option<Distance>>>,
    /// Loss landscape around the fine-tuned weights.
    pub landscape: RwSignal<Option<Arc<Landscape>>>,
    /// The adapter in use.
    pub active_adapter: RwSignal<Option<ActiveAdapter>>,
    rows: RwSignal<Vec<RowKey>>,
    engine: Engine,
    trainers: StoredValue<Rc<Trainers>, LocalStorage>,
}

impl Finetune {
    /// The initial state: no labels, no results.
    pub fn new(engine: Engine) -> Self {
        let error = RwSignal::new(None);
        let default_strategies = [Strategy::ZeroShot, Strategy::Residual, Strategy::Lora, Strategy::Full];
        Self {
            base_models: RwSignal::new(Vec::new()),
            base_model: RwSignal::new(None),
            columns: RwSignal::new(Vec::new()),
            target: RwSignal::new(None),
            groups: RwSignal::new(None),
            subset_column: RwSignal::new(None),
            subset_threshold: RwSignal::new(None),
            strategies: RwSignal::new(default_strategies.into()),
            settings: RwSignal::new(Settings::default()),
            folds: RwSignal::new(5),
            seeds: RwSignal::new(1),
            phase: RwSignal::new(Phase::Idle),
            is_paused: RwSignal::new(false),
            label_warnings: RwSignal::new(Vec::new()),
            error,
            histories: RwSignal::new(BTreeMap::new()),
            comparison: RwSignal::new(None),
            learning_curve: RwSignal::new(Vec::new()),
            chosen: RwSignal::new(None),
            distances: RwSignal::new(Vec::new()),
            landscape: RwSignal::new(None),
            active_adapter: RwSignal::new(None),
            rows: RwSignal::new(Vec::new()),
            engine,
            trainers: StoredValue::new_local(Trainers::new(engine.channel(), error)),
        }
    }

    /// Numeric columns that can be trained on: known labels first.
    pub fn targets(&self) -> Vec<LabelColumn> {
        self.columns.get().into_iter().filter(|column| column.numbers > 0 && column.name != "rv").collect()
    }

    /// Label column to train on: the chosen one, else the first.
    pub fn target(&self) -> Option<String> {
        let targets = self.targets();
        let chosen = self.target.get().filter(|name| targets.iter().any(|column| column.name == *name));
        chosen.or_else(|| targets.first().map(|column| column.name.clone()))
    }

    /// The additional subsets; `None` without a column or threshold.
    fn subset_cut(&self) -> Option<SubsetCut> {
        Some(SubsetCut { column: self.subset_column.get_untracked()?, at: self.subset_threshold.get_untracked()? })
    }

    /// Strategy whose predictions are shown.
    pub fn shown(&self) -> Option<Strategy> {
        let comparison = self.comparison.get()?;
        let has = |strategy: &Strategy| comparison.scores.iter().any(|score| score.strategy == *strategy);
        let recommended = comparison.recommendation.as_ref().map(|r| r.strategy);
        self.chosen.get().filter(has).or(recommended)
    }

    /// Table row of a point in the plots.
    pub fn row(&self, point: usize) -> Option<RowKey> {
        self.rows.with_untracked(|rows| rows.get(point).copied())
    }

    /// True while the engine prepares, trains or scans.
    pub fn is_busy(&self) -> bool {
        self.phase.get() != Phase::Idle
    }

    fn clear_results(&self) {
        self.label_warnings.set(Vec::new());
        self.error.set(None);
        self.histories.set(BTreeMap::new());
        self.comparison.set(None);
        self.learning_curve.set(Vec::new());
        self.landscape.set(None);
        self.chosen.set(None);
    }

    /// Clears results and label columns, when all spectra are cleared.
    pub fn clear(&self) {
        self.clear_results();
        self.columns.set(Vec::new());
        self.phase.set(Phase::Idle);
        self.is_paused.set(false);
    }

    /// Resets the state after an engine crash; the active adapter is lost with the engine.
    pub fn handle_engine_loss(&self) {
        self.trainers.with_value(|trainers| trainers.end());
        if self.phase.get_untracked() != Phase::Idle {
            self.error.set(Some("The engine stopped during training. Compare the strategies again.".into()));
        }
        self.phase.set(Phase::Idle);
        self.is_paused.set(false);
        self.active_adapter.set(None);
    }

    /// Applies an event from the engine of this generation.
    pub fn apply(&self, generation: u32, event: FinetuneEvent) {
        match event {
            FinetuneEvent::BaseModels(models) => self.base_models.set(models),
            FinetuneEvent::Fetching { done, total } => {
                // The base model of an adapter is fetched only while nothing else runs.
                if matches!(self.phase.get_untracked(), Phase::Idle | Phase::Preparing(..) | Phase::Fetching(..)) {
                    self.phase.set(Phase::Fetching(done, total));
                }
            }
            FinetuneEvent::Columns(columns) => self.columns.set(columns),
            FinetuneEvent::Preparing { done, total } => self.phase.set(Phase::Preparing(done, total)),
            FinetuneEvent::Refused(label_warnings) => {
                self.label_warnings.set(label_warnings);
                self.phase.set(Phase::Idle);
            }
            FinetuneEvent::Started { warnings: label_warnings, spectra, trainings } => {
                self.label_warnings.set(label_warnings);
                self.rows.set(spectra.into_iter().map(|id| RowKey { generation, id }).collect());
                self.phase.set(Phase::Training(0, trainings));
            }
            FinetuneEvent::Epoch { task, epoch } => {
                self.histories.update(|all| all.entry(task).or_default().push(epoch))
            }
            FinetuneEvent::Trained { done, total, .. } => {
                if matches!(self.phase.get_untracked(), Phase::Training(..)) {
                    self.phase.set(Phase::Training(done, total));
                }
            }
            FinetuneEvent::Comparison(comparison) => self.comparison.set(Some(Arc::new(*comparison))),
            FinetuneEvent::LearningCurve(points) => self.learning_curve.set(points),
            FinetuneEvent::Finished { .. } => {
                if !matches!(self.phase.get_untracked(), Phase::Fitting | Phase::Scanning(..)) {
                    self.phase.set(Phase::Idle);
                }
                self.is_paused.set(false);
            }
            FinetuneEvent::Scanning { done, total } => {
                // The scan may have been stopped in the meantime.
                if matches!(self.phase.get_untracked(), Phase::Scanning(..)) {
                    self.phase.set(Phase::Scanning(done, total));
                }
            }
            FinetuneEvent::Landscape(found) => {
                self.landscape.set(Some(Arc::new(*found)));
                self.phase.set(Phase::Idle);
            }
            FinetuneEvent::AdapterApplied { card, file, sha256 } => {
                self.active_adapter.set(Some(ActiveAdapter { card: *card, file: Arc::new(file), sha256 }));
                self.phase.set(Phase::Idle);
            }
            FinetuneEvent::Distances(found) => self.distances.set(found),
            FinetuneEvent::AdapterRemoved => self.active_adapter.set(None),
            FinetuneEvent::Failed(why) => {
                self.error.set(Some(why));
                if !matches!(self.phase.get_untracked(), Phase::Training(..)) {
                    self.phase.set(Phase::Idle);
                }
            }
        }
    }

    /// Requests the distances of samples of `[[Fe/H], [α/Fe]]` from a reference.
    pub fn request_distances(&self, samples: Vec<Vec<[f64; 2]>>, reference: Vec<[f64; 2]>) {
        self.send(FinetuneRequest::Distances { samples, reference });
    }

    /// Starts the cross-validation of the selected strategies, or their learning curve.
    pub fn compare_strategies(&self, is_curve: bool) {
        let Some(target) = untrack(|| self.target()) else { return };
        self.clear_results();
        self.phase.set(Phase::Preparing(0, 0));
        self.trainers.with_value(Trainers::ensure);
        let job = FinetuneJob {
            base: self.base_model.get_untracked(),
            target,
            groups: self.groups.get_untracked(),
            strategies: self.strategies.get_untracked().into_iter().collect(),
            settings: self.settings.get_untracked(),
            folds: self.folds.get_untracked(),
            seeds: (1..=u64::from(self.seeds.get_untracked())).collect(),
            cut: self.subset_cut(),
            is_curve,
        };
        self.send(FinetuneRequest::Compare(Box::new(job)));
    }

    /// Trains a strategy on all labels and applies it.
    pub fn apply_strategy(&self, strategy: Strategy) {
        self.error.set(None);
        self.phase.set(Phase::Fitting);
        self.trainers.with_value(Trainers::ensure);
        self.send(FinetuneRequest::Apply { strategy });
    }

    /// Trains a strategy on all labels and scans the loss around its weights.
    pub fn scan_landscape(&self, strategy: Strategy) {
        self.error.set(None);
        self.landscape.set(None);
        self.phase.set(Phase::Scanning(0, 0));
        self.trainers.with_value(Trainers::ensure);
        self.send(FinetuneRequest::ScanLandscape { strategy });
    }

    /// Pauses or resumes training.
    pub fn pause_training(&self, is_paused: bool) {
        self.is_paused.set(is_paused);
        self.send(FinetuneRequest::Pause(is_paused));
    }

    /// Stops training; results so far stay.
    pub fn stop_training(&self) {
        self.phase.set(Phase::Idle);
        self.send(FinetuneRequest::Stop);
    }

    /// Loads the adapter of a session file.
    pub fn load(&self, sha256: String, file: &[u8]) {
        let parts = js_sys::Array::of1(&js_sys::Uint8Array::from(file));
        match web_sys::File::new_with_u8_array_sequence(&parts, "adapter.safetensors") {
            Ok(file) => self.engine.send(FinetuneRequest::Load { sha256: Some(sha256) }, vec![file]),
            Err(why) => self.error.set(Some(text_of(&why))),
        }
    }

    /// Returns to the shipped model.
    pub fn remove_adapter(&self) {
        self.send(FinetuneRequest::RemoveAdapter);
    }

    fn send(&self, request: FinetuneRequest) {
        self.engine.send(request, Vec::new());
    }
}
