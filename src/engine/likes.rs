//! What the session knows of look-alikes: the encoder pair, the indices, and the dropped spectra among them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::SpectrumId;
use super::likes_message::LikesRequest;
use crate::result::catalogue::Modality;
use crate::result::likes::{LikesCard, MatchedBy, Oddity, SearchOptions, SearchTime, Star};
use crate::retrieve::index::{About, Bits, Index};
use crate::retrieve::oddity::is_far;
use crate::retrieve::search::{Norms, Query, nearest};
use crate::spectrum::Meta;
use crate::task::likes::Kit;
use crate::task::likes::encode::{Encoded, Encoders};
use crate::task::likes::library::{Library, Wanted};
use crate::task::likes::translate::same_star;

/// What the host of a session shall do for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForHost {
    /// Fetch the encoder pair and its index, and hand them over.
    FetchKit,
    /// Stop fetching them.
    StopFetching,
    /// Fetch the emulator for a model spectrum, and hand it over.
    FetchEmulator,
    /// Fetch it for teaching, and hand it over.
    FetchEmulatorToTeach,
}

/// Where the encoder pair is.
#[derive(Default)]
pub(super) enum State {
    /// Nobody needs it.
    #[default]
    Idle,
    Fetching,
    Ready(Box<Ready>),
}

/// The encoder pair with all that is searched; the last index is that of the dropped spectra.
pub(super) struct Ready {
    pub encoders: Encoders,
    pub library: Library,
}

/// A dropped spectrum in its index.
pub(super) struct Own {
    pub modality: Modality,
    pub row: usize,
    pub reconstruction: Option<f64>,
    pub meta: Meta,
}

/// All of it.
pub(super) struct Likes<F> {
    pub state: State,
    pub for_host: VecDeque<ForHost>,
    /// Whether look-alikes were asked for; else the pair only answers for Gaia XP spectra, and nothing is embedded.
    pub is_asked: bool,
    /// Gaia XP spectra that wait for the pair's answer.
    pub unanswered: BTreeSet<SpectrumId>,
    /// Spectra that were not embedded yet.
    pub waiting: VecDeque<SpectrumId>,
    pub own: BTreeMap<SpectrumId, Own>,
    /// The spectrum of each row of the dropped spectra's index; `None` of one that is not valid any more.
    pub owners: [Vec<Option<SpectrumId>>; 2],
    pub refused: u32,
    pub search: Option<(Vec<Star>, SearchOptions)>,
    pub translate: Option<(SpectrumId, Option<SpectrumId>)>,
    /// What is done as it comes.
    pub queue: VecDeque<(LikesRequest, Option<F>)>,
    /// Spectra whose oddity is asked for, and the oddities so far.
    pub odd: Option<(VecDeque<SpectrumId>, Vec<Oddity>)>,
    pub timed: Option<MadeUp>,
}

impl<F> Default for Likes<F> {
    fn default() -> Self {
        Self {
            state: State::Idle,
            for_host: VecDeque::new(),
            is_asked: false,
            unanswered: BTreeSet::new(),
            waiting: VecDeque::new(),
            own: BTreeMap::new(),
            owners: Default::default(),
            refused: 0,
            search: None,
            translate: None,
            queue: VecDeque::new(),
            odd: None,
            timed: None,
        }
    }
}

/// An index for dropped spectra.
fn empty(encoders: &Encoders) -> Index {
    Index::new(encoders.about("your spectra", "spectra that were dropped", encoders.all_labels()), Bits::Sixteen)
}

impl Ready {
    pub fn new(kit: Kit) -> Self {
        let own = empty(&kit.encoders);
        Self { library: Library::new(vec![kit.index, own]), encoders: kit.encoders }
    }

    /// Position of the dropped spectra's index.
    pub fn own(&self) -> usize {
        self.library.shelves().len() - 1
    }

    pub fn card(&self) -> LikesCard {
        let mut indices = self.library.cards();
        indices.pop();
        LikesCard {
            model: self.encoders.title(),
            card: self.encoders.entry().card(),
            translates: self.encoders.pair().translates(),
            indices,
            labels: self.library.labels(),
        }
    }
}

impl<F> Likes<F> {
    pub fn ready(&self) -> Option<&Ready> {
        match &self.state {
            State::Ready(ready) => Some(ready),
            _ => None,
        }
    }

    /// Fetches the encoder pair if that was not done yet.
    pub fn fetch(&mut self) {
        if matches!(self.state, State::Idle) {
            self.state = State::Fetching;
            self.for_host.push_back(ForHost::FetchKit);
        }
    }

    /// A spectrum is new, or is another than it was. Before the encoders are there nobody waits: then all do.
    pub fn wait(&mut self, id: SpectrumId) {
        if self.is_asked && self.ready().is_some() && !self.waiting.contains(&id) {
            self.waiting.push_back(id);
        }
    }

    /// The spectra are gone; encoders and indices stay.
    pub fn forget_spectra(&mut self) {
        self.waiting.clear();
        self.unanswered.clear();
        self.own.clear();
        self.owners = Default::default();
        self.refused = 0;
        (self.search, self.translate, self.odd) = (None, None, None);
        self.queue.clear();
        self.change(|encoders, indices| {
            indices.pop();
            indices.push(empty(encoders));
        });
    }

    /// Puts an index of the user's before that of the dropped spectra.
    pub fn add(&mut self, index: Index) {
        self.change(|_, indices| indices.insert(indices.len().saturating_sub(1), index));
    }

    /// Drops the user's indices.
    pub fn forget_indices(&mut self) {
        self.change(|_, indices| drop(indices.drain(1..indices.len().saturating_sub(1).max(1))));
    }

    fn change(&mut self, change: impl FnOnce(&Encoders, &mut Vec<Index>)) {
        if let State::Ready(ready) = std::mem::take(&mut self.state) {
            let Ready { encoders, library } = *ready;
            let mut indices = library.into_indices();
            change(&encoders, &mut indices);
            self.state = State::Ready(Box::new(Ready { library: Library::new(indices), encoders }));
        }
    }

    /// What star a row of the library is.
    pub fn star(&self, index: usize, modality: Modality, row: usize) -> Star {
        let is_own = self.ready().is_some_and(|ready| index == ready.own());
        let owner = self.owners[usize::from(modality == Modality::Xp)].get(row).copied().flatten();
        match owner.filter(|_| is_own) {
            Some(id) => Star::Dropped(id),
            None => Star::Indexed { index: index as u32, modality, row: row as u32 },
        }
    }

    /// A star as something to search for, and its survey.
    pub fn wanted(&self, star: Star) -> Option<(Wanted, Modality)> {
        let ready = self.ready()?;
        let (index, modality, row) = match star {
            Star::Dropped(id) => self.own.get(&id).map(|own| (ready.own(), own.modality, own.row))?,
            Star::Indexed { index, modality, row } => (index as usize, modality, row as usize),
        };
        Some((ready.library.wanted(index, modality, row)?, modality))
    }

    /// Whether a dropped spectrum is none like those of the shipped index.
    pub fn is_far(&self, star: Star) -> bool {
        let (Star::Dropped(id), Some(ready), Some((wanted, modality))) = (star, self.ready(), self.wanted(star)) else {
            return false;
        };
        let usual = ready.library.shelves().first().and_then(|shelf| shelf.index().usual.as_ref());
        let rebuilt = self.own.get(&id).and_then(|own| own.reconstruction).zip(usual);
        let rebuilt = rebuilt.map(|(value, usual)| usual.reconstruction(modality).score(value));
        is_far([rebuilt, ready.library.neighbour_score(modality, &wanted.embedding, &wanted.id)])
    }

    /// Takes in what the encoders made of a spectrum.
    pub fn take_in(&mut self, id: SpectrumId, encoded: &Encoded, meta: Meta) -> Result<(), String> {
        let modality = encoded.seen.modality;
        let row = self.own.get(&id).filter(|own| own.modality == modality).map(|own| own.row);
        if row.is_none() {
            self.take_out(id);
        }
        let State::Ready(ready) = &mut self.state else { return Ok(()) };
        let labels = ready.encoders.labels_in_order(encoded);
        let usual = ready.library.shelves().first().and_then(|shelf| shelf.index().usual.as_ref());
        let reconstruction = usual.and_then(|usual| encoded.reconstruction(&usual.floors));
        let own = ready.own();
        let Some(shelf) = ready.library.shelf_mut(own) else { return Ok(()) };
        let put = shelf.put(row, modality, &meta.id, &encoded.embedding, &labels, &encoded.seen.flux);
        let row = put.map_err(|e| e.to_string())?;
        let owners = &mut self.owners[usize::from(modality == Modality::Xp)];
        owners.resize(owners.len().max(row + 1), None);
        owners[row] = Some(id);
        self.own.insert(id, Own { modality, row, reconstruction, meta });
        Ok(())
    }

    /// A spectrum cannot be embedded any more: its row becomes like nothing.
    pub fn take_out(&mut self, id: SpectrumId) {
        let (Some(own), State::Ready(ready)) = (self.own.remove(&id), &mut self.state) else { return };
        self.owners[usize::from(own.modality == Modality::Xp)][own.row] = None;
        let labels = vec![f32::NAN; ready.encoders.all_labels().len()];
        let (zeros, last) = (vec![0.0; ready.encoders.pair().width()], ready.own());
        if let Some(shelf) = ready.library.shelf_mut(last) {
            // As wide as the index, so that this cannot fail.
            let _ = shelf.put(Some(own.row), own.modality, "", &zeros, &labels, &[]);
        }
    }

    /// The spectrum of the same star in the other survey: that which the user names, else by name or place.
    pub fn partner(&self, id: SpectrumId, named: Option<SpectrumId>) -> Option<(SpectrumId, MatchedBy)> {
        let own = self.own.get(&id)?;
        let others = || self.own.iter().filter(|(other, o)| **other != id && o.modality != own.modality);
        if let Some((partner, _)) = others().find(|(other, _)| Some(**other) == named) {
            return Some((*partner, MatchedBy::Hand));
        }
        let found: Vec<_> = others().filter_map(|(p, o)| Some((*p, same_star(&own.meta, &o.meta)?))).collect();
        found.iter().find(|(_, by)| *by == MatchedBy::Id).or(found.first()).copied()
    }
}

/// Entries that were made up to be searched.
#[derive(Debug)]
pub struct MadeUp {
    index: Index,
    norms: Norms,
}

/// Searches made-up entries; they are made anew if they are not as many as before.
pub fn time_search(kept: &mut Option<MadeUp>, entries: u32, width: u32, queries: u32) -> SearchTime {
    let (n, wide) = (entries as usize, (width as usize).clamp(1, 4096));
    let fits = |made: &MadeUp| made.index.lrs.len() == n && made.index.about.width == wide;
    let made = match kept.take().filter(fits) {
        Some(made) => made,
        None => {
            let index = made_up(n, wide);
            MadeUp { norms: Norms::of(&index.lrs, wide), index }
        }
    };
    let rows = &made.index.lrs;
    let mut check = 0;
    for query in 0..queries as usize {
        let query = rows.unit(query * 97 % n.max(1));
        let hits = nearest(rows, &made.norms, &Query::new([query.as_slice()], wide), 10, |_| true);
        check += hits.iter().map(|hit| hit.row as u64).sum::<u64>();
    }
    let bytes = (rows.bytes() + 4 * n) as u64;
    *kept = Some(made);
    SearchTime { entries, width: wide as u32, queries, bytes, check }
}

/// Entries whose numbers a multiplication makes.
fn made_up(entries: usize, width: usize) -> Index {
    let mut index = Index::new(About { width, shared: width, ..About::default() }, Bits::Eight);
    let mut state = 1u32;
    let mut row = vec![0f32; width];
    for _ in 0..entries {
        for v in &mut row {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *v = (state >> 8) as f32 / (1 << 23) as f32 - 1.0;
        }
        // As wide as it was made, so that this cannot fail.
        let _ = index.lrs.push("", &row, &[], &[]);
    }
    index
}
