//! Similar spectra, predictions of the other survey's spectrum, the map and the anomaly scores.

use std::sync::Arc;

use leptos::prelude::*;

use super::engine::Engine;
use super::notice::Notice;
use crate::engine::protocol::{SimilarityEvent, SimilarityRequest, SpectrumId};
use crate::result::similarity::{
    AnomalyScores, MapPoints, SearchOptions, SimilarityCard, SimilarityView, StarRef, Translation,
};
use crate::ui::download::save_bytes;
use crate::ui::row::RowKey;

/// The result that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Panel {
    /// None yet.
    None,
    /// Spectra most similar to one spectrum or to several.
    Neighbours,
    /// Prediction of a spectrum in the other survey.
    Translation,
    /// Map of all embeddings.
    Map,
    /// Opened spectra by anomaly score.
    Anomalies,
}

/// Signals of the panel.
#[derive(Clone, Copy)]
pub(crate) struct Similarity {
    /// Encoder pair and indices, once they are loaded.
    pub card: RwSignal<Option<SimilarityCard>>,
    /// During a download: name of the item, bytes received and bytes in total.
    pub loading: RwSignal<Option<(String, u64, u64)>>,
    /// Spectra embedded and in total, until all are embedded.
    pub embedding: RwSignal<Option<(u32, u32)>>,
    /// True from a request to its result.
    pub is_waiting: RwSignal<bool>,
    /// The result that is shown.
    pub panel: RwSignal<Panel>,
    /// Search options.
    pub options: RwSignal<SearchOptions>,
    /// Queries of the searches so far, the last search at the end.
    pub history: RwSignal<Vec<Vec<StarRef>>>,
    /// Result of the last search.
    pub search_result: RwSignal<Option<Arc<SimilarityView>>>,
    /// Predicted spectrum of the other survey.
    pub translation: RwSignal<Option<Arc<Translation>>>,
    /// Opened spectra, highest anomaly score first.
    pub anomalies: RwSignal<Vec<AnomalyScores>>,
    /// The map.
    pub map: RwSignal<Option<Arc<MapPoints>>>,
    /// The last error.
    pub error: RwSignal<Option<String>>,
    /// Spectra that cannot be embedded, with the reason.
    pub refused: RwSignal<Vec<(SpectrumId, String)>>,
    engine: Engine,
    notice: Notice,
}

impl Similarity {
    /// The initial state: no requests, no results.
    pub(crate) fn new(engine: Engine, notice: Notice) -> Self {
        Self {
            card: RwSignal::new(None),
            loading: RwSignal::new(None),
            embedding: RwSignal::new(None),
            is_waiting: RwSignal::new(false),
            panel: RwSignal::new(Panel::None),
            options: RwSignal::new(SearchOptions::default()),
            history: RwSignal::new(Vec::new()),
            search_result: RwSignal::new(None),
            translation: RwSignal::new(None),
            anomalies: RwSignal::new(Vec::new()),
            map: RwSignal::new(None),
            error: RwSignal::new(None),
            refused: RwSignal::new(Vec::new()),
            engine,
            notice,
        }
    }

    /// Resets the state after an engine crash: the encoders are lost with the engine.
    pub(crate) fn handle_engine_loss(&self) {
        self.card.set(None);
        self.clear();
    }

    /// Clears the results, when all spectra are cleared. The encoders stay loaded.
    pub(crate) fn clear(&self) {
        self.panel.set(Panel::None);
        self.history.set(Vec::new());
        self.refused.set(Vec::new());
        self.clear_progress();
        self.search_result.set(None);
        self.translation.set(None);
        self.anomalies.set(Vec::new());
        self.map.set(None);
        self.error.set(None);
    }

    fn clear_progress(&self) {
        self.is_waiting.set(false);
        self.loading.set(None);
        self.embedding.set(None);
    }

    /// The value of the label with this index in the card, as text.
    pub(crate) fn value_text(&self, labels: &[Option<f64>], index: usize) -> String {
        let unit = self.card.with_untracked(|c| c.as_ref().and_then(|c| c.labels.get(index).map(|l| l.unit.clone())));
        let value = labels.get(index).copied().flatten();
        value.map_or("–".into(), |value| label_text(value, unit.as_deref() == Some("K")))
    }

    /// Applies an event from the engine.
    pub(crate) fn apply(&self, event: SimilarityEvent) {
        match event {
            SimilarityEvent::Loading { item, done, total } => self.loading.set(Some((item, done, total))),
            SimilarityEvent::Ready(card) => {
                self.loading.set(None);
                // The first card precedes the result of a request; each further card is the result of adding an index.
                if self.card.with_untracked(Option::is_some) {
                    self.is_waiting.set(false);
                }
                self.card.set(Some(*card));
            }
            SimilarityEvent::Embedding { done, total } => {
                self.embedding.set((done < total).then_some((done, total)));
                // The map contains only the spectra that were embedded when it was requested.
                if done >= total && self.panel.get_untracked() == Panel::Map {
                    self.draw_map();
                }
            }
            SimilarityEvent::Refused { spectrum, reason } => self.refused.update(|all| {
                all.retain(|(id, _)| *id != spectrum);
                all.push((spectrum, reason));
            }),
            SimilarityEvent::SearchResult(view) => {
                self.clear_progress();
                self.search_result.set(Some(Arc::new(*view)));
            }
            SimilarityEvent::Translated(translation) => {
                self.clear_progress();
                self.translation.set(Some(Arc::new(*translation)));
            }
            SimilarityEvent::Anomalies(all) => {
                self.clear_progress();
                self.anomalies.set(all);
            }
            SimilarityEvent::Map(points) => {
                self.clear_progress();
                self.map.set(Some(Arc::new(*points)));
            }
            SimilarityEvent::IndexSaved { file, spectra } => {
                self.clear_progress();
                let name = format!("specola-index-{spectra}.safetensors");
                if let Err(error) = save_bytes(&name, "application/octet-stream", &file) {
                    self.notice.show(error);
                }
            }
            SimilarityEvent::Stopped => self.clear_progress(),
            SimilarityEvent::Failed(error) => {
                self.clear_progress();
                self.error.set(Some(error));
            }
        }
    }

    /// Starts a new series of searches with these queries.
    pub(crate) fn search(&self, queries: Vec<StarRef>) {
        self.history.set(Vec::new());
        self.push_search(queries);
    }

    /// Searches for the spectra most similar to the queries, and adds the queries to the history.
    pub(crate) fn push_search(&self, queries: Vec<StarRef>) {
        self.history.update(|history| history.push(queries));
        self.repeat_search();
    }

    /// Removes the last search from the history and repeats the search before it.
    pub(crate) fn pop_search(&self) {
        self.history.update(|history| drop(history.pop()));
        self.repeat_search();
    }

    /// Repeats the last search with the present options.
    pub(crate) fn repeat_search(&self) {
        if let Some(queries) = self.history.with_untracked(|history| history.last().cloned()) {
            let options = self.options.get_untracked();
            self.show(Panel::Neighbours, SimilarityRequest::Search { queries, options });
        }
    }

    /// Predicts a spectrum in the other survey. `partner`: observed spectrum of the same star in the
    /// other survey, if the user selected it.
    pub(crate) fn translate(&self, key: RowKey, partner: Option<SpectrumId>) {
        self.translation.set(None);
        self.show(Panel::Translation, SimilarityRequest::Translate { spectrum: key.id, partner });
    }

    /// Ranks the opened spectra by anomaly score.
    pub(crate) fn rank_anomalies(&self) {
        self.show(Panel::Anomalies, SimilarityRequest::Anomalies);
    }

    /// Draws the map.
    pub(crate) fn draw_map(&self) {
        self.show(Panel::Map, SimilarityRequest::Map);
    }

    /// Saves an index of the opened spectra.
    pub(crate) fn save_index(&self) {
        self.send(SimilarityRequest::SaveIndex, Vec::new());
    }

    /// Adds an index file to the indices that are searched.
    pub(crate) fn add_index(&self, file: web_sys::File) {
        self.send(SimilarityRequest::AddIndex { name: file.name() }, vec![file]);
    }

    /// Stops the running requests.
    pub(crate) fn stop(&self) {
        self.engine.send(SimilarityRequest::Stop, Vec::new());
    }

    fn show(&self, panel: Panel, request: SimilarityRequest) {
        self.panel.set(panel);
        self.send(request, Vec::new());
    }

    fn send(&self, request: SimilarityRequest, files: Vec<web_sys::File>) {
        self.error.set(None);
        self.is_waiting.set(true);
        self.engine.send(request, files);
    }
}

/// A label's value as text: whole kelvins, else two decimals.
pub(crate) fn label_text(value: f64, is_whole: bool) -> String {
    let text = if is_whole { format!("{value:.0}") } else { format!("{value:.2}") };
    if text == "-0.00" { "0.00".into() } else { text.replace('-', "\u{2212}") }
}
