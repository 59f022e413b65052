//! What the page knows of look-alikes, translation and oddities.

use std::sync::Arc;

use leptos::prelude::*;

use crate::engine::likes_message::{LikesEvent, LikesRequest};
use crate::engine::{Request, SpectrumId};
use crate::result::likes::{LikesCard, LikesView, MapPoints, Oddity, SearchOptions, Star, Translation};
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
    Oddities,
}

/// Signals of the panel; a handle, copied freely.
#[derive(Clone, Copy)]
pub struct Likes {
    /// What answers, once it is there.
    pub card: RwSignal<Option<LikesCard>>,
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
    pub trail: RwSignal<Vec<Vec<Star>>>,
    /// Stars like the last one.
    pub found: RwSignal<Option<Arc<LikesView>>>,
    /// A spectrum in the other survey.
    pub translation: RwSignal<Option<Arc<Translation>>>,
    /// Dropped spectra, oddest first.
    pub oddities: RwSignal<Vec<Oddity>>,
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
    pub fn receive_likes(&self, event: LikesEvent) {
        let likes = self.likes;
        match event {
            LikesEvent::Loading { what, done, total } => likes.loading.set(Some((what, done, total))),
            LikesEvent::Ready(card) => {
                likes.loading.set(None);
                // The first is news on the way to an answer, the others answer a file that was added.
                if likes.card.with_untracked(Option::is_some) {
                    likes.is_waiting.set(false);
                }
                likes.card.set(Some(*card));
            }
            LikesEvent::Embedding { done, total } => {
                likes.embedding.set((done < total).then_some((done, total)));
                // The map was drawn with what was embedded by then.
                if done >= total && likes.sight.get_untracked() == Sight::Map {
                    self.draw_map();
                }
            }
            LikesEvent::Refused { spectrum, why } => likes.refused.update(|all| {
                all.retain(|(known, _)| *known != spectrum);
                all.push((spectrum, why));
            }),
            LikesEvent::Found(view) => {
                likes.rest();
                likes.found.set(Some(Arc::new(*view)));
            }
            LikesEvent::Translated(translation) => {
                likes.rest();
                likes.translation.set(Some(Arc::new(*translation)));
            }
            LikesEvent::Oddities(all) => {
                likes.rest();
                likes.oddities.set(all);
            }
            LikesEvent::Map(points) => {
                likes.rest();
                likes.map.set(Some(Arc::new(*points)));
            }
            LikesEvent::Saved { file, spectra } => {
                likes.rest();
                let name = format!("specola-index-{spectra}.safetensors");
                if let Err(why) = save_bytes(&name, "application/octet-stream", &file) {
                    self.notice.set(Some(why));
                }
            }
            LikesEvent::Timed(_) => {}
            LikesEvent::Stopped => likes.rest(),
            LikesEvent::Failed(why) => {
                likes.rest();
                likes.trouble.set(Some(why));
            }
        }
    }

    fn ask_likes(&self, sight: Option<Sight>, request: LikesRequest) {
        let likes = self.likes;
        likes.trouble.set(None);
        likes.is_waiting.set(true);
        if let Some(sight) = sight {
            likes.sight.set(sight);
        }
        self.send(Request::Likes(request), Vec::new());
    }

    /// Finds stars like these, from here on; `keep` puts them on the trail.
    pub fn find_likes(&self, queries: Vec<Star>, keep: bool) {
        if keep {
            self.likes.trail.update(|trail| trail.push(queries.clone()));
        }
        let options = self.likes.options.get_untracked();
        self.ask_likes(Some(Sight::Neighbours), LikesRequest::Search { queries, options });
    }

    /// Asks for the star before the last one again.
    pub fn find_before(&self) {
        self.likes.trail.update(|trail| drop(trail.pop()));
        if let Some(queries) = self.likes.trail.with_untracked(|t| t.last().cloned()) {
            self.find_likes(queries, false);
        }
    }

    /// Predicts a spectrum in the other survey, beside a partner that the user names.
    pub fn translate(&self, key: RowKey, partner: Option<SpectrumId>) {
        self.likes.translation.set(None);
        self.ask_likes(Some(Sight::Translation), LikesRequest::Translate { spectrum: key.id, partner });
    }

    /// Ranks the dropped spectra.
    pub fn rank_oddities(&self) {
        self.ask_likes(Some(Sight::Oddities), LikesRequest::Oddities);
    }

    /// Draws the map.
    pub fn draw_map(&self) {
        self.ask_likes(Some(Sight::Map), LikesRequest::Map);
    }

    /// Makes an index of the dropped spectra.
    pub fn save_index(&self) {
        self.ask_likes(None, LikesRequest::Save);
    }

    /// Searches a file of the user's too.
    pub fn add_index(&self, file: web_sys::File) {
        self.likes.trouble.set(None);
        self.likes.is_waiting.set(true);
        self.send(Request::Likes(LikesRequest::AddIndex { name: file.name() }), vec![file]);
    }

    /// Stops what runs.
    pub fn stop_likes(&self) {
        self.send(Request::Likes(LikesRequest::Stop), Vec::new());
    }
}
