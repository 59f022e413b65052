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
    SubsetCut, TrainingRun,
};
use crate::ui::engine_link::trainers::Trainers;
use crate::ui::files::text_of;
use crate::ui::row::RowKey;

/// Present task of the engine for this panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FinetunePhase {
    /// Nothing.
    Idle,
    /// The base model is being downloaded: bytes received and in total.
    Fetching(u64, u64),
    /// Labelled spectra are being prepared: number done and in total.
    Preparing(u32, u32),
    /// Training runs: number finished and in total.
    Training(u32, u32),
    /// The chosen strategy is trained on all labels.
    TrainingFinal,
    /// The loss landscape is scanned: points done and in total; both 0 while the strategy is trained.
    Scanning(u32, u32),
}

/// The adapter that is applied to predictions, and its file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ActiveAdapter {
    /// Metadata of the adapter.
    pub card: AdapterCard,
    /// Content of the adapter file.
    pub file: Arc<Vec<u8>>,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub sha256: String,
}

/// Signals of the fine-tuning panel, and the training workers.
#[derive(Clone, Copy)]
pub(crate) struct Finetune {
    /// Models that can be fine-tuned; the default first.
    pub base_models: RwSignal<Vec<ModelCard>>,
    /// Name of the base model; `None` for the first.
    pub base_model: RwSignal<Option<String>>,
    /// Columns of the label tables.
    pub columns: RwSignal<Vec<LabelColumn>>,
    /// Label column to train on; `None` for the first.
    pub target: RwSignal<Option<String>>,
    /// Group column: spectra with the same value in it stay in the same fold.
    pub group_column: RwSignal<Option<String>>,
    /// Column of the additional subsets in the scores.
    pub subset_column: RwSignal<Option<String>>,
    /// Threshold in `subset_column`.
    pub subset_threshold: RwSignal<Option<f64>>,
    /// Strategies to compare.
    pub strategies: RwSignal<BTreeSet<Strategy>>,
    /// Training settings.
    pub settings: RwSignal<Settings>,
    /// Folds of the cross-validation.
    pub folds: RwSignal<u32>,
    /// Number of random seeds.
    pub seeds: RwSignal<u32>,
    /// Present task of the engine.
    pub phase: RwSignal<FinetunePhase>,
    /// True while training is paused.
    pub is_paused: RwSignal<bool>,
    /// Warnings about the labels.
    pub label_warnings: RwSignal<Vec<LabelWarning>>,
    /// The last error.
    pub error: RwSignal<Option<String>>,
    /// Losses of each training run.
    pub histories: RwSignal<BTreeMap<TrainingRun, Vec<Epoch>>>,
    /// Cross-validated scores of the strategies.
    pub comparison: RwSignal<Option<Arc<StrategyComparison>>>,
    /// The learning curve.
    pub learning_curve: RwSignal<Vec<CurvePoint>>,
    /// Strategy whose predictions are plotted; `None` for the recommended one.
    pub chosen_strategy: RwSignal<Option<Strategy>>,
    /// Squared maximum mean discrepancy (MMD²) between each sample and the reference sample, in the plane of [Fe/H] and
    /// [α/Fe].
    pub distances: RwSignal<Vec<Option<Distance>>>,
    /// Loss landscape around the fine-tuned weights.
    pub landscape: RwSignal<Option<Arc<Landscape>>>,
    /// The active adapter.
    pub active_adapter: RwSignal<Option<ActiveAdapter>>,
    labelled_rows: RwSignal<Vec<RowKey>>,
    engine: Engine,
    trainers: StoredValue<Rc<Trainers>, LocalStorage>,
}

impl Finetune {
    /// The initial state: no labels, no results.
    pub(crate) fn new(engine: Engine) -> Self {
        let error = RwSignal::new(None);
        let default_strategies = Strategy::ALL.into_iter().filter(|strategy| strategy.is_transfer());
        Self {
            base_models: RwSignal::new(Vec::new()),
            base_model: RwSignal::new(None),
            columns: RwSignal::new(Vec::new()),
            target: RwSignal::new(None),
            group_column: RwSignal::new(None),
            subset_column: RwSignal::new(None),
            subset_threshold: RwSignal::new(None),
            strategies: RwSignal::new(default_strategies.collect()),
            settings: RwSignal::new(Settings::default()),
            folds: RwSignal::new(5),
            seeds: RwSignal::new(1),
            phase: RwSignal::new(FinetunePhase::Idle),
            is_paused: RwSignal::new(false),
            label_warnings: RwSignal::new(Vec::new()),
            error,
            histories: RwSignal::new(BTreeMap::new()),
            comparison: RwSignal::new(None),
            learning_curve: RwSignal::new(Vec::new()),
            chosen_strategy: RwSignal::new(None),
            distances: RwSignal::new(Vec::new()),
            landscape: RwSignal::new(None),
            active_adapter: RwSignal::new(None),
            labelled_rows: RwSignal::new(Vec::new()),
            engine,
            trainers: StoredValue::new_local(Trainers::new(engine.channel(), error)),
        }
    }

    /// Numeric columns that can be trained on, without the radial velocity. In each table Specola's labels come first.
    pub(crate) fn targets(&self) -> Vec<LabelColumn> {
        self.columns.get().into_iter().filter(|column| column.numbers > 0 && column.name != "rv").collect()
    }

    /// Label column to train on: the column that the user chose, else the first.
    pub(crate) fn target(&self) -> Option<String> {
        let targets = self.targets();
        let chosen = self.target.get().filter(|name| targets.iter().any(|column| column.name == *name));
        chosen.or_else(|| targets.first().map(|column| column.name.clone()))
    }

    /// The additional subsets; `None` without a column or threshold.
    fn subset_cut(&self) -> Option<SubsetCut> {
        Some(SubsetCut { column: self.subset_column.get_untracked()?, at: self.subset_threshold.get_untracked()? })
    }

    /// Strategy whose predictions are shown.
    pub(crate) fn shown(&self) -> Option<Strategy> {
        let comparison = self.comparison.get()?;
        let has = |strategy: &Strategy| comparison.scores.iter().any(|score| score.strategy == *strategy);
        let recommended = comparison.recommendation.as_ref().map(|r| r.strategy);
        self.chosen_strategy.get().filter(has).or(recommended)
    }

    /// Table row of a point in the plots.
    pub(crate) fn row(&self, point: usize) -> Option<RowKey> {
        self.labelled_rows.with_untracked(|rows| rows.get(point).copied())
    }

    /// True while the engine prepares, trains or scans.
    pub(crate) fn is_busy(&self) -> bool {
        self.phase.get() != FinetunePhase::Idle
    }

    fn clear_results(&self) {
        self.label_warnings.set(Vec::new());
        self.error.set(None);
        self.histories.set(BTreeMap::new());
        self.comparison.set(None);
        self.learning_curve.set(Vec::new());
        self.landscape.set(None);
        self.chosen_strategy.set(None);
    }

    /// Clears results and label columns, when all spectra are cleared.
    pub(crate) fn clear(&self) {
        self.clear_results();
        self.columns.set(Vec::new());
        self.phase.set(FinetunePhase::Idle);
        self.is_paused.set(false);
    }

    /// Resets the state after an engine crash; the active adapter is lost with the engine.
    pub(crate) fn handle_engine_loss(&self) {
        self.trainers.with_value(|trainers| trainers.end());
        if self.phase.get_untracked() != FinetunePhase::Idle {
            self.error.set(Some("The engine stopped during training. Compare the strategies again.".into()));
        }
        self.phase.set(FinetunePhase::Idle);
        self.is_paused.set(false);
        self.active_adapter.set(None);
    }

    /// Applies an event. `generation`: number of engines that were started before the engine that sent it.
    pub(crate) fn apply(&self, generation: u32, event: FinetuneEvent) {
        match event {
            FinetuneEvent::BaseModels(models) => self.base_models.set(models),
            FinetuneEvent::Fetching { done, total } => {
                // The base model of an adapter is fetched only while nothing else runs.
                if matches!(
                    self.phase.get_untracked(),
                    FinetunePhase::Idle | FinetunePhase::Preparing(..) | FinetunePhase::Fetching(..)
                ) {
                    self.phase.set(FinetunePhase::Fetching(done, total));
                }
            }
            FinetuneEvent::Columns(columns) => self.columns.set(columns),
            FinetuneEvent::Preparing { done, total } => self.phase.set(FinetunePhase::Preparing(done, total)),
            FinetuneEvent::Refused(label_warnings) => {
                self.label_warnings.set(label_warnings);
                self.phase.set(FinetunePhase::Idle);
            }
            FinetuneEvent::Started { warnings: label_warnings, spectra, n_runs } => {
                self.label_warnings.set(label_warnings);
                self.labelled_rows.set(spectra.into_iter().map(|id| RowKey { generation, id }).collect());
                self.phase.set(FinetunePhase::Training(0, n_runs));
            }
            FinetuneEvent::Epoch { task, epoch } => {
                self.histories.update(|all| all.entry(task).or_default().push(epoch))
            }
            FinetuneEvent::Trained { done, total, .. } => {
                if matches!(self.phase.get_untracked(), FinetunePhase::Training(..)) {
                    self.phase.set(FinetunePhase::Training(done, total));
                }
            }
            FinetuneEvent::Comparison(comparison) => self.comparison.set(Some(Arc::new(*comparison))),
            FinetuneEvent::LearningCurve(points) => self.learning_curve.set(points),
            FinetuneEvent::Finished { .. } => {
                if !matches!(self.phase.get_untracked(), FinetunePhase::TrainingFinal | FinetunePhase::Scanning(..)) {
                    self.phase.set(FinetunePhase::Idle);
                }
                self.is_paused.set(false);
            }
            FinetuneEvent::Scanning { done, total } => {
                // The scan may have been stopped in the meantime.
                if matches!(self.phase.get_untracked(), FinetunePhase::Scanning(..)) {
                    self.phase.set(FinetunePhase::Scanning(done, total));
                }
            }
            FinetuneEvent::Landscape(landscape) => {
                self.landscape.set(Some(Arc::new(*landscape)));
                self.phase.set(FinetunePhase::Idle);
            }
            FinetuneEvent::AdapterApplied { card, file, sha256 } => {
                self.active_adapter.set(Some(ActiveAdapter { card: *card, file: Arc::new(file), sha256 }));
                self.phase.set(FinetunePhase::Idle);
            }
            FinetuneEvent::Distances(distances) => self.distances.set(distances),
            FinetuneEvent::AdapterRemoved => self.active_adapter.set(None),
            FinetuneEvent::Failed(why) => {
                self.error.set(Some(why));
                if !matches!(self.phase.get_untracked(), FinetunePhase::Training(..)) {
                    self.phase.set(FinetunePhase::Idle);
                }
            }
        }
    }

    /// Requests the distances of samples of `[[Fe/H], [α/Fe]]` from a reference.
    pub(crate) fn request_distances(&self, samples: Vec<Vec<[f64; 2]>>, reference: Vec<[f64; 2]>) {
        self.send(FinetuneRequest::Distances { samples, reference });
    }

    /// Starts the cross-validation of the selected strategies, or their learning curve.
    pub(crate) fn compare_strategies(&self, is_learning_curve: bool) {
        let Some(target) = untrack(|| self.target()) else { return };
        self.clear_results();
        self.phase.set(FinetunePhase::Preparing(0, 0));
        self.trainers.with_value(Trainers::ensure);
        let job = FinetuneJob {
            base: self.base_model.get_untracked(),
            target,
            groups: self.group_column.get_untracked(),
            strategies: self.strategies.get_untracked().into_iter().collect(),
            settings: self.settings.get_untracked(),
            folds: self.folds.get_untracked(),
            seeds: (1..=u64::from(self.seeds.get_untracked())).collect(),
            subset_cut: self.subset_cut(),
            is_learning_curve,
        };
        self.send(FinetuneRequest::Compare(Box::new(job)));
    }

    /// Trains a strategy on all labels and applies it.
    pub(crate) fn apply_strategy(&self, strategy: Strategy) {
        self.error.set(None);
        self.phase.set(FinetunePhase::TrainingFinal);
        self.trainers.with_value(Trainers::ensure);
        self.send(FinetuneRequest::Apply { strategy });
    }

    /// Trains a strategy on all labels and scans the loss around its weights.
    pub(crate) fn scan_landscape(&self, strategy: Strategy) {
        self.error.set(None);
        self.landscape.set(None);
        self.phase.set(FinetunePhase::Scanning(0, 0));
        self.trainers.with_value(Trainers::ensure);
        self.send(FinetuneRequest::ScanLandscape { strategy });
    }

    /// Pauses or resumes training.
    pub(crate) fn pause_training(&self, is_paused: bool) {
        self.is_paused.set(is_paused);
        self.send(FinetuneRequest::Pause(is_paused));
    }

    /// Stops training; results so far stay.
    pub(crate) fn stop_training(&self) {
        self.phase.set(FinetunePhase::Idle);
        self.send(FinetuneRequest::Stop);
    }

    /// Loads the adapter of a session file.
    pub(crate) fn load_adapter(&self, sha256: String, file: &[u8]) {
        let parts = js_sys::Array::of1(&js_sys::Uint8Array::from(file));
        match web_sys::File::new_with_u8_array_sequence(&parts, "adapter.safetensors") {
            Ok(file) => self.engine.send(FinetuneRequest::Load { sha256: Some(sha256) }, vec![file]),
            Err(why) => self.error.set(Some(text_of(&why))),
        }
    }

    /// Returns to the shipped model.
    pub(crate) fn remove_adapter(&self) {
        self.send(FinetuneRequest::RemoveAdapter);
    }

    fn send(&self, request: FinetuneRequest) {
        self.engine.send(request, Vec::new());
    }
}
