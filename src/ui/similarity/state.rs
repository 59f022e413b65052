//! What the page knows of look-alikes, translation and oddities.

use std::sync::Arc;

use leptos::prelude::*;

use crate::engine::protocol::{Request, SimilarityEvent, SimilarityRequest, SpectrumId};
use crate::result::similarity::{
    AnomalyScores, MapPoints, SearchOptions, SimilarityCard, SimilarityView, StarRef, Translation,
};
use crate::ui::download::save_bytes;
use crate::ui::state::{RowKey, State};

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Nothing yet.
    None,
    /// Stars like one.
    Neighbours,
    /// A spectrum in the other survey.
    Translation,
    /// All stars in a plane.
    Map,
    /// The dropped spectra by how odd they are.
    Anomalies,
}

/// Signals of the panel; a handle, copied freely.
#[derive(Clone, Copy)]
pub struct Likes {
    /// What answers, once it is there.
    pub card: RwSignal<Option<SimilarityCard>>,
    /// What is being fetched: so many bytes of so many.
    pub loading: RwSignal<Option<(String, u64, u64)>>,
    /// Spectra embedded of all, while some are not.
    pub embedding: RwSignal<Option<(u32, u32)>>,
    /// True from a question to its answer.
    pub is_waiting: RwSignal<bool>,
    /// What is looked at.
    pub sight: RwSignal<Sight>,
    /// How to search.
    pub options: RwSignal<SearchOptions>,
    /// Stars that were asked for, the last one now.
    pub trail: RwSignal<Vec<Vec<StarRef>>>,
    /// Stars like the last one.
    pub found: RwSignal<Option<Arc<SimilarityView>>>,
    /// A spectrum in the other survey.
    pub translation: RwSignal<Option<Arc<Translation>>>,
    /// Dropped spectra, oddest first.
    pub oddities: RwSignal<Vec<AnomalyScores>>,
    /// The map.
    pub map: RwSignal<Option<Arc<MapPoints>>>,
    /// What cannot be done.
    pub trouble: RwSignal<Option<String>>,
    /// Spectra that cannot be embedded, and why.
    pub refused: RwSignal<Vec<(SpectrumId, String)>>,
}

impl Likes {
    /// Nothing asked yet.
    pub fn new() -> Self {
        Self {
            card: RwSignal::new(None),
            loading: RwSignal::new(None),
            embedding: RwSignal::new(None),
            is_waiting: RwSignal::new(false),
            sight: RwSignal::new(Sight::None),
            options: RwSignal::new(SearchOptions::default()),
            trail: RwSignal::new(Vec::new()),
            found: RwSignal::new(None),
            translation: RwSignal::new(None),
            oddities: RwSignal::new(Vec::new()),
            map: RwSignal::new(None),
            trouble: RwSignal::new(None),
            refused: RwSignal::new(Vec::new()),
        }
    }

    /// As at the start: the engine that knew it is gone.
    pub fn forget(&self) {
        self.card.set(None);
        self.clear();
    }

    /// The spectra are gone; what answers stays.
    pub fn clear(&self) {
        self.sight.set(Sight::None);
        self.trail.set(Vec::new());
        self.refused.set(Vec::new());
        self.rest();
        self.drop_answers();
    }

    fn drop_answers(&self) {
        self.found.set(None);
        self.translation.set(None);
        self.oddities.set(Vec::new());
        self.map.set(None);
        self.trouble.set(None);
    }

    fn rest(&self) {
        self.is_waiting.set(false);
        self.loading.set(None);
        self.embedding.set(None);
    }

    /// The value of a label, by its name in the card, as text.
    pub fn value(&self, labels: &[Option<f64>], at: usize) -> String {
        let unit = self.card.with_untracked(|c| c.as_ref().and_then(|c| c.labels.get(at).map(|l| l.unit.clone())));
        labels.get(at).copied().flatten().map_or("–".into(), |value| number(value, unit.as_deref() == Some("K")))
    }
}

/// A label's value: whole kelvins, else two decimals.
pub fn number(value: f64, is_whole: bool) -> String {
    let text = if is_whole { format!("{value:.0}") } else { format!("{value:.2}") };
    if text == "-0.00" { "0.00".into() } else { text.replace('-', "\u{2212}") }
}

impl State {
    /// Takes what the engine says.
    pub fn apply_similarity_event(&self, event: SimilarityEvent) {
        let likes = self.similarity;
        match event {
            SimilarityEvent::Loading { item: what, done, total } => likes.loading.set(Some((what, done, total))),
            SimilarityEvent::Ready(card) => {
                likes.loading.set(None);
                // The first is news on the way to an answer, the others answer a file that was added.
                if likes.card.with_untracked(Option::is_some) {
                    likes.is_waiting.set(false);
                }
                likes.card.set(Some(*card));
            }
            SimilarityEvent::Embedding { done, total } => {
                likes.embedding.set((done < total).then_some((done, total)));
                // The map was drawn with what was embedded by then.
                if done >= total && likes.sight.get_untracked() == Sight::Map {
                    self.draw_map();
                }
            }
            SimilarityEvent::Refused { spectrum, reason: why } => likes.refused.update(|all| {
                all.retain(|(known, _)| *known != spectrum);
                all.push((spectrum, why));
            }),
            SimilarityEvent::SearchResult(view) => {
                likes.rest();
                likes.found.set(Some(Arc::new(*view)));
            }
            SimilarityEvent::Translated(translation) => {
                likes.rest();
                likes.translation.set(Some(Arc::new(*translation)));
            }
            SimilarityEvent::Anomalies(all) => {
                likes.rest();
                likes.oddities.set(all);
            }
            SimilarityEvent::Map(points) => {
                likes.rest();
                likes.map.set(Some(Arc::new(*points)));
            }
            SimilarityEvent::IndexSaved { file, spectra } => {
                likes.rest();
                let name = format!("specola-index-{spectra}.safetensors");
                if let Err(why) = save_bytes(&name, "application/octet-stream", &file) {
                    self.notice.set(Some(why));
                }
            }
            SimilarityEvent::Stopped => likes.rest(),
            SimilarityEvent::Failed(why) => {
                likes.rest();
                likes.trouble.set(Some(why));
            }
        }
    }

    fn send_similarity(&self, sight: Option<Sight>, request: SimilarityRequest) {
        let likes = self.similarity;
        likes.trouble.set(None);
        likes.is_waiting.set(true);
        if let Some(sight) = sight {
            likes.sight.set(sight);
        }
        self.send(Request::Similarity(request), Vec::new());
    }

    /// Finds stars like these, from here on; `keep` puts them on the trail.
    pub fn find_similar(&self, queries: Vec<StarRef>, keep: bool) {
        if keep {
            self.similarity.trail.update(|trail| trail.push(queries.clone()));
        }
        let options = self.similarity.options.get_untracked();
        self.send_similarity(Some(Sight::Neighbours), SimilarityRequest::Search { queries, options });
    }

    /// Asks for the star before the last one again.
    pub fn find_before(&self) {
        self.similarity.trail.update(|trail| drop(trail.pop()));
        if let Some(queries) = self.similarity.trail.with_untracked(|t| t.last().cloned()) {
            self.find_similar(queries, false);
        }
    }

    /// Predicts a spectrum in the other survey, beside a partner that the user names.
    pub fn translate(&self, key: RowKey, partner: Option<SpectrumId>) {
        self.similarity.translation.set(None);
        self.send_similarity(Some(Sight::Translation), SimilarityRequest::Translate { spectrum: key.id, partner });
    }

    /// Ranks the dropped spectra.
    pub fn rank_anomalies(&self) {
        self.send_similarity(Some(Sight::Anomalies), SimilarityRequest::Anomalies);
    }

    /// Draws the map.
    pub fn draw_map(&self) {
        self.send_similarity(Some(Sight::Map), SimilarityRequest::Map);
    }

    /// Makes an index of the dropped spectra.
    pub fn save_index(&self) {
        self.send_similarity(None, SimilarityRequest::SaveIndex);
    }

    /// Searches a file of the user's too.
    pub fn add_index(&self, file: web_sys::File) {
        self.similarity.trouble.set(None);
        self.similarity.is_waiting.set(true);
        self.send(Request::Similarity(SimilarityRequest::AddIndex { name: file.name() }), vec![file]);
    }

    /// Stops what runs.
    pub fn stop_similarity(&self) {
        self.send(Request::Similarity(SimilarityRequest::Stop), Vec::new());
    }
}
