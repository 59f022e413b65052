//! State of the fine-tuning panel and the methods that send requests to the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use leptos::prelude::*;

use crate::engine::protocol::{FinetuneEvent, FinetuneJob, FinetuneRequest, LabelColumn, Request, SpectrumId};
use crate::result::ModelCard;
use crate::result::finetune::{
    AdapterCard, CurvePoint, Distance, Epoch, LabelWarning, Landscape, Settings, Strategy, StrategyComparison,
    SubsetCut, Task,
};
use crate::ui::files::text_of;
use crate::ui::state::{RowKey, State};

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

/// Signals of the panel; a cheap handle.
#[derive(Clone, Copy)]
pub struct FinetuneState {
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
}

impl FinetuneState {
    /// The initial state: no labels, no results.
    pub fn new() -> Self {
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
            error: RwSignal::new(None),
            histories: RwSignal::new(BTreeMap::new()),
            comparison: RwSignal::new(None),
            learning_curve: RwSignal::new(Vec::new()),
            chosen: RwSignal::new(None),
            distances: RwSignal::new(Vec::new()),
            landscape: RwSignal::new(None),
            active_adapter: RwSignal::new(None),
            rows: RwSignal::new(Vec::new()),
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
        if self.phase.get_untracked() != Phase::Idle {
            self.error.set(Some("The engine stopped during training. Compare the strategies again.".into()));
        }
        self.phase.set(Phase::Idle);
        self.is_paused.set(false);
        self.active_adapter.set(None);
    }

    fn receive(&self, event: FinetuneEvent, key: impl Fn(SpectrumId) -> RowKey) {
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
                self.rows.set(spectra.into_iter().map(key).collect());
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
}

impl State {
    /// Applies an event of the engine to the panel.
    pub fn receive_finetune_event(&self, generation: u32, event: FinetuneEvent) {
        // A dropped adapter is listed as a SpecCLIP file until the engine has read it.
        if matches!(event, FinetuneEvent::AdapterApplied { .. } | FinetuneEvent::Failed(_)) {
            self.specclip.update(|known| {
                known.take_if(|k| !k.is_complete && k.networks.is_empty() && k.busy.is_none());
            });
        }
        let is_of_adapter = matches!(event, FinetuneEvent::AdapterApplied { .. } | FinetuneEvent::AdapterRemoved);
        self.finetune.receive(event, |id| RowKey { generation, id });
        if is_of_adapter && self.has_files() {
            self.autosave();
        }
    }

    pub(super) fn send_finetune(&self, request: FinetuneRequest) {
        self.send(Request::Finetune(request), Vec::new());
    }

    /// Starts the cross-validation of the selected strategies, or their learning curve.
    pub fn compare_strategies(&self, is_curve: bool) {
        let finetune = self.finetune;
        let Some(target) = untrack(|| finetune.target()) else { return };
        finetune.clear_results();
        finetune.phase.set(Phase::Preparing(0, 0));
        self.ensure_trainers();
        let job = FinetuneJob {
            base: finetune.base_model.get_untracked(),
            target,
            groups: finetune.groups.get_untracked(),
            strategies: finetune.strategies.get_untracked().into_iter().collect(),
            settings: finetune.settings.get_untracked(),
            folds: finetune.folds.get_untracked(),
            seeds: (1..=u64::from(finetune.seeds.get_untracked())).collect(),
            cut: finetune.subset_cut(),
            is_curve,
        };
        self.send_finetune(FinetuneRequest::Compare(Box::new(job)));
    }

    /// Trains a strategy on all labels and applies it.
    pub fn apply_strategy(&self, strategy: Strategy) {
        self.finetune.error.set(None);
        self.finetune.phase.set(Phase::Fitting);
        self.ensure_trainers();
        self.send_finetune(FinetuneRequest::Apply { strategy });
    }

    /// Trains a strategy on all labels and scans the loss around its weights.
    pub fn scan_landscape(&self, strategy: Strategy) {
        self.finetune.error.set(None);
        self.finetune.landscape.set(None);
        self.finetune.phase.set(Phase::Scanning(0, 0));
        self.ensure_trainers();
        self.send_finetune(FinetuneRequest::ScanLandscape { strategy });
    }

    /// Pauses or resumes training.
    pub fn pause_training(&self, is_paused: bool) {
        self.finetune.is_paused.set(is_paused);
        self.send_finetune(FinetuneRequest::Pause(is_paused));
    }

    /// Stops training; results so far stay.
    pub fn stop_training(&self) {
        self.finetune.phase.set(Phase::Idle);
        self.send_finetune(FinetuneRequest::Stop);
    }

    /// Loads the adapter of a session file, unless another adapter is active.
    pub fn reapply_adapter(&self, sha256: String, file: &[u8]) {
        if self.finetune.active_adapter.with_untracked(Option::is_some) {
            return self.skip(
                "The session's adapter",
                "another adapter is active; return to the shipped model, then drop the session again".into(),
            );
        }
        let parts = js_sys::Array::of1(&js_sys::Uint8Array::from(file));
        match web_sys::File::new_with_u8_array_sequence(&parts, "adapter.safetensors") {
            Ok(file) => self.send(Request::Finetune(FinetuneRequest::Load { sha256: Some(sha256) }), vec![file]),
            Err(why) => self.finetune.error.set(Some(text_of(&why))),
        }
    }

    /// Returns to the shipped model.
    pub fn remove_adapter(&self) {
        self.send_finetune(FinetuneRequest::RemoveAdapter);
    }
}
