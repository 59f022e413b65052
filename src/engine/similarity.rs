//! Similarity in the session: which dropped spectra are embedded, and which requests wait.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::EngineError;
use super::protocol::{SimilarityRequest, SpectrumId};
use crate::result::similarity::{AnomalyScores, MatchedBy, SearchOptions, SimilarityCard, StarRef};
use crate::result::specclip::Modality;
use crate::similarity::anomaly::is_out_of_distribution;
use crate::similarity::index::{Bits, Index};
use crate::spectrum::Meta;
use crate::task::similarity::EncoderBundle;
use crate::task::similarity::encoder_set::EncoderSet;
use crate::task::similarity::encoders::{Encoded, Encoders};
use crate::task::similarity::index_set::Query;
use crate::task::similarity::translation::same_star;

/// A dropped spectrum in its index.
pub(super) struct UserSpectrum {
    pub modality: Modality,
    pub row: usize,
    /// Excess residual of the reconstruction.
    pub reconstruction: Option<f64>,
    pub meta: Meta,
}

/// State of similarity search. `F` is the type of the session's files.
pub(super) struct SimilarityState<F> {
    pub is_fetching: bool,
    /// True after the first request. Before, the pair only predicts for Gaia XP spectra, and nothing is embedded.
    pub is_requested: bool,
    /// Gaia XP spectra whose prediction waits for the pair.
    pub deferred: BTreeSet<SpectrumId>,
    /// Spectra that are not embedded yet.
    pub waiting: VecDeque<SpectrumId>,
    pub embedded: BTreeMap<SpectrumId, UserSpectrum>,
    /// Spectrum of each row in the index of the dropped spectra, by modality; `None` for a row that is not valid any more.
    owners: [Vec<Option<SpectrumId>>; 2],
    /// Number of spectra that cannot be embedded.
    pub refused: u32,
    pub search: Option<(Vec<StarRef>, SearchOptions)>,
    pub translation: Option<(SpectrumId, Option<SpectrumId>)>,
    /// Requests that are answered in order.
    pub queue: VecDeque<(SimilarityRequest, Option<F>)>,
    /// Spectra to be scored, and the scores so far.
    pub scoring: Option<(VecDeque<SpectrumId>, Vec<AnomalyScores>)>,
}

impl<F> Default for SimilarityState<F> {
    fn default() -> Self {
        Self {
            is_fetching: false,
            is_requested: false,
            deferred: BTreeSet::new(),
            waiting: VecDeque::new(),
            embedded: BTreeMap::new(),
            owners: Default::default(),
            refused: 0,
            search: None,
            translation: None,
            queue: VecDeque::new(),
            scoring: None,
        }
    }
}

/// An index for dropped spectra.
fn empty_index(encoders: &Encoders) -> Index {
    Index::new(encoders.about("your spectra", "spectra that were dropped", encoders.all_labels()), Bits::Sixteen)
}

/// The pair with its index, and last an empty index for dropped spectra.
pub(super) fn with_user_index(bundle: EncoderBundle) -> EncoderSet {
    let mut set = EncoderSet::new(bundle);
    set.change_indices(|encoders, indices| indices.push(empty_index(encoders)));
    set
}

/// Position of the index of the dropped spectra.
pub(super) fn user_index(set: &EncoderSet) -> usize {
    set.indices().indices().len() - 1
}

/// Properties of pair and indices, without the index of the dropped spectra.
pub(super) fn card(set: &EncoderSet) -> SimilarityCard {
    let encoders = set.encoders();
    let mut indices = set.indices().cards();
    indices.pop();
    SimilarityCard {
        model: encoders.title(),
        card: encoders.entry().card(),
        translates: encoders.pair().translates(),
        indices,
        labels: set.indices().labels(),
    }
}

/// Adds an index of the user's before that of the dropped spectra.
pub(super) fn add_index(set: &mut EncoderSet, index: Index) {
    set.change_indices(|_, indices| indices.insert(indices.len().saturating_sub(1), index));
}

/// Removes the user's indices.
pub(super) fn remove_indices(set: &mut EncoderSet) {
    set.change_indices(|_, indices| drop(indices.drain(1..indices.len().saturating_sub(1).max(1))));
}

fn number(modality: Modality) -> usize {
    usize::from(modality == Modality::Xp)
}

impl<F> SimilarityState<F> {
    /// A spectrum is new, or its samples changed. Before the encoders are loaded none is queued: later all are.
    pub fn queue_embedding(&mut self, id: SpectrumId) {
        if !self.waiting.contains(&id) {
            self.waiting.push_back(id);
        }
    }

    /// Removes everything about the spectra; encoders and indices stay.
    pub fn clear_spectra(&mut self, set: Option<&mut EncoderSet>) {
        self.waiting.clear();
        self.deferred.clear();
        self.embedded.clear();
        self.owners = Default::default();
        self.refused = 0;
        self.stop();
        if let Some(set) = set {
            set.change_indices(|encoders, indices| {
                indices.pop();
                indices.push(empty_index(encoders));
            });
        }
    }

    /// Removes all waiting requests; the results so far stay.
    pub fn stop(&mut self) {
        (self.search, self.translation, self.scoring) = (None, None, None);
        self.queue.clear();
        self.waiting.clear();
    }

    /// The star of a row in the index set.
    pub fn star(&self, set: &EncoderSet, index: usize, modality: Modality, row: usize) -> StarRef {
        let owner = self.owners[number(modality)].get(row).copied().flatten();
        match owner.filter(|_| index == user_index(set)) {
            Some(id) => StarRef::Dropped(id),
            None => StarRef::Indexed { index: index as u32, modality, row: row as u32 },
        }
    }

    /// The query for a star, and its modality.
    pub fn query(&self, set: &EncoderSet, star: StarRef) -> Option<(Query, Modality)> {
        let (index, modality, row) = match star {
            StarRef::Dropped(id) => self.embedded.get(&id).map(|own| (user_index(set), own.modality, own.row))?,
            StarRef::Indexed { index, modality, row } => (index as usize, modality, row as usize),
        };
        Some((set.indices().wanted(index, modality, row)?, modality))
    }

    /// True when a dropped spectrum lies outside of the reference set.
    pub fn is_out_of_distribution(&self, set: &EncoderSet, star: StarRef) -> bool {
        let (StarRef::Dropped(id), Some((query, modality))) = (star, self.query(set, star)) else { return false };
        let excess = self.embedded.get(&id).and_then(|own| own.reconstruction);
        let reconstruction =
            excess.zip(set.reference_stats()).map(|(value, stats)| stats.reconstruction(modality).score(value));
        is_out_of_distribution([reconstruction, set.indices().neighbour_score(modality, &query.embedding, &query.id)])
    }

    /// Adds an encoded spectrum to the index of the dropped spectra, or replaces it there.
    pub fn insert(
        &mut self,
        set: &mut EncoderSet,
        id: SpectrumId,
        encoded: &Encoded,
        meta: Meta,
    ) -> Result<(), EngineError> {
        let modality = encoded.input.modality;
        let row = self.embedded.get(&id).filter(|own| own.modality == modality).map(|own| own.row);
        if row.is_none() {
            self.remove(set, id);
        }
        let labels = set.encoders().labels_in_order(encoded);
        let reconstruction = set.reference_stats().and_then(|stats| encoded.reconstruction_error(&stats.noise_floors));
        let own = user_index(set);
        let Some(index) = set.indices_mut().index_mut(own) else { return Ok(()) };
        let put = index.put(row, modality, &meta.id, &encoded.embedding, &labels, &encoded.input.flux);
        let row = put.map_err(|e| EngineError::Unavailable(e.to_string()))?;
        let owners = &mut self.owners[number(modality)];
        owners.resize(owners.len().max(row + 1), None);
        owners[row] = Some(id);
        self.embedded.insert(id, UserSpectrum { modality, row, reconstruction, meta });
        Ok(())
    }

    /// Removes a spectrum that cannot be embedded any more: its row gets a zero embedding, which is similar to nothing.
    pub fn remove(&mut self, set: &mut EncoderSet, id: SpectrumId) {
        let Some(own) = self.embedded.remove(&id) else { return };
        self.owners[number(own.modality)][own.row] = None;
        let labels = vec![f32::NAN; set.encoders().all_labels().len()];
        let (zeros, last) = (vec![0.0; set.encoders().pair().width()], user_index(set));
        if let Some(index) = set.indices_mut().index_mut(last) {
            // The embedding has the width of the index, so this cannot fail.
            let _ = index.put(Some(own.row), own.modality, "", &zeros, &labels, &[]);
        }
    }

    /// Spectrum of the same star in the other survey: the one that the user named, else by id or position.
    pub fn partner(&self, id: SpectrumId, named: Option<SpectrumId>) -> Option<(SpectrumId, MatchedBy)> {
        let own = self.embedded.get(&id)?;
        let others = || self.embedded.iter().filter(|(other, o)| **other != id && o.modality != own.modality);
        if let Some((partner, _)) = others().find(|(other, _)| Some(**other) == named) {
            return Some((*partner, MatchedBy::Hand));
        }
        let found: Vec<_> = others().filter_map(|(p, o)| Some((*p, same_star(&own.meta, &o.meta)?))).collect();
        found.iter().find(|(_, by)| *by == MatchedBy::Id).or(found.first()).copied()
    }
}
