//! State of similarity search in the session: the embedded spectra of the user, and the waiting requests.

use std::collections::{BTreeMap, VecDeque};

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

/// A spectrum of the user, and its row in the index of the user's spectra.
pub(super) struct UserSpectrum {
    pub modality: Modality,
    pub row: usize,
    /// Excess residual of the reconstruction: the mean of (difference/σ)² over the pixels, without unit.
    pub reconstruction: Option<f64>,
    pub meta: Meta,
}

/// State of similarity search. `F` is the type of the session's files.
pub(super) struct SimilarityState<F> {
    pub is_fetching: bool,
    /// True after the first request. Before it, nothing is embedded.
    pub is_requested: bool,
    /// Spectra that are not embedded yet.
    pub waiting: VecDeque<SpectrumId>,
    pub embedded: BTreeMap<SpectrumId, UserSpectrum>,
    /// Spectrum of each row in the index of the user's spectra, by modality; `None` for a row that is not valid any
    /// more.
    owners: [Vec<Option<SpectrumId>>; 2],
    /// Number of spectra that cannot be embedded.
    pub refused: u32,
    pub search: Option<(Vec<StarRef>, SearchOptions)>,
    pub translation: Option<(SpectrumId, Option<SpectrumId>)>,
    /// Requests that are answered in order.
    pub queue: VecDeque<(SimilarityRequest, Option<F>)>,
    /// Spectra that are still to be scored, and the scores so far.
    pub scoring: Option<(VecDeque<SpectrumId>, Vec<AnomalyScores>)>,
}

impl<F> Default for SimilarityState<F> {
    fn default() -> Self {
        Self {
            is_fetching: false,
            is_requested: false,
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

/// An empty index for the user's spectra.
fn empty_index(encoders: &Encoders) -> Index {
    Index::new(
        encoders.index_metadata("your spectra", "spectra that were dropped", encoders.all_labels()),
        Bits::Sixteen,
    )
}

/// The encoder pair with its index, and at the end an empty index for the user's spectra.
pub(super) fn with_user_index(bundle: EncoderBundle) -> EncoderSet {
    let mut set = EncoderSet::new(bundle);
    set.change_indices(|encoders, indices| indices.push(empty_index(encoders)));
    set
}

/// Position of the index of the user's spectra.
pub(super) fn user_index_position(set: &EncoderSet) -> usize {
    set.indices().indices().len() - 1
}

/// Properties of the encoder pair and its indices, without the index of the user's spectra.
pub(super) fn card(set: &EncoderSet) -> SimilarityCard {
    let encoders = set.encoders();
    let mut indices = set.indices().cards();
    indices.pop();
    SimilarityCard {
        model: encoders.title(),
        card: encoders.entry().card(),
        can_translate: encoders.pair().can_translate(),
        indices,
        labels: set.indices().labels(),
    }
}

/// Adds an index file of the user, before the index of the user's spectra.
pub(super) fn add_index(set: &mut EncoderSet, index: Index) {
    set.change_indices(|_, indices| indices.insert(indices.len().saturating_sub(1), index));
}

/// Removes the index files of the user.
pub(super) fn remove_indices(set: &mut EncoderSet) {
    set.change_indices(|_, indices| drop(indices.drain(1..indices.len().saturating_sub(1).max(1))));
}

fn modality_index(modality: Modality) -> usize {
    usize::from(modality == Modality::Xp)
}

impl<F> SimilarityState<F> {
    /// Queues a spectrum that is new, or whose samples changed. Before the encoders are loaded no spectrum is queued;
    /// then all are.
    pub(super) fn queue_embedding(&mut self, id: SpectrumId) {
        if !self.waiting.contains(&id) {
            self.waiting.push_back(id);
        }
    }

    /// Removes all data about the spectra. Encoders and indices stay.
    pub(super) fn clear_spectra(&mut self, set: Option<&mut EncoderSet>) {
        self.waiting.clear();
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

    /// Removes all waiting requests. The results so far stay.
    pub(super) fn stop(&mut self) {
        (self.search, self.translation, self.scoring) = (None, None, None);
        self.queue.clear();
        self.waiting.clear();
    }

    /// The star of a row in the index set.
    pub(super) fn star(&self, set: &EncoderSet, index: usize, modality: Modality, row: usize) -> StarRef {
        let owner = self.owners[modality_index(modality)].get(row).copied().flatten();
        match owner.filter(|_| index == user_index_position(set)) {
            Some(id) => StarRef::User(id),
            None => StarRef::Indexed { index: index as u32, modality, row: row as u32 },
        }
    }

    /// The query for a star, and its modality.
    pub(super) fn query(&self, set: &EncoderSet, star: StarRef) -> Option<(Query, Modality)> {
        let (index, modality, row) = match star {
            StarRef::User(id) => self
                .embedded
                .get(&id)
                .map(|user_spectrum| (user_index_position(set), user_spectrum.modality, user_spectrum.row))?,
            StarRef::Indexed { index, modality, row } => (index as usize, modality, row as usize),
        };
        Some((set.indices().query(index, modality, row)?, modality))
    }

    /// True when a spectrum of the user lies outside the reference set.
    pub(super) fn is_out_of_distribution(&self, set: &EncoderSet, star: StarRef) -> bool {
        let (StarRef::User(id), Some((query, modality))) = (star, self.query(set, star)) else { return false };
        let excess = self.embedded.get(&id).and_then(|user_spectrum| user_spectrum.reconstruction);
        let reconstruction =
            excess.zip(set.reference_stats()).map(|(value, stats)| stats.reconstruction(modality).score(value));
        is_out_of_distribution([reconstruction, set.indices().neighbour_score(modality, &query.embedding, &query.id)])
    }

    /// Adds an encoded spectrum to the index of the user's spectra, or replaces its row.
    pub(super) fn insert(
        &mut self,
        set: &mut EncoderSet,
        id: SpectrumId,
        encoded: &Encoded,
        meta: Meta,
    ) -> Result<(), EngineError> {
        let modality = encoded.input.modality;
        let row = self
            .embedded
            .get(&id)
            .filter(|user_spectrum| user_spectrum.modality == modality)
            .map(|user_spectrum| user_spectrum.row);
        if row.is_none() {
            self.remove(set, id);
        }
        let labels = set.encoders().labels_in_order(encoded);
        let reconstruction = set.reference_stats().and_then(|stats| encoded.reconstruction_error(&stats.noise_floors));
        let position = user_index_position(set);
        let Some(index) = set.indices_mut().index_mut(position) else { return Ok(()) };
        let inserted =
            index.insert_or_replace(row, modality, &meta.id, &encoded.embedding, &labels, &encoded.input.flux);
        let row = inserted.map_err(|e| EngineError::Unavailable(e.to_string()))?;
        let owners = &mut self.owners[modality_index(modality)];
        owners.resize(owners.len().max(row + 1), None);
        owners[row] = Some(id);
        self.embedded.insert(id, UserSpectrum { modality, row, reconstruction, meta });
        Ok(())
    }

    /// Removes a spectrum that cannot be embedded any more. Its row gets a zero embedding, which is similar to no
    /// other.
    pub(super) fn remove(&mut self, set: &mut EncoderSet, id: SpectrumId) {
        let Some(user_spectrum) = self.embedded.remove(&id) else { return };
        self.owners[modality_index(user_spectrum.modality)][user_spectrum.row] = None;
        let labels = vec![f32::NAN; set.encoders().all_labels().len()];
        let (zeros, last) = (vec![0.0; set.encoders().pair().width()], user_index_position(set));
        if let Some(index) = set.indices_mut().index_mut(last) {
            // The embedding has the width of the index, so this cannot fail.
            let _ = index.insert_or_replace(Some(user_spectrum.row), user_spectrum.modality, "", &zeros, &labels, &[]);
        }
    }

    /// Spectrum of the same star in the other survey: the spectrum that the user named, or else a match by id or
    /// position.
    pub(super) fn partner(&self, id: SpectrumId, named: Option<SpectrumId>) -> Option<(SpectrumId, MatchedBy)> {
        let user_spectrum = self.embedded.get(&id)?;
        let others = || {
            self.embedded
                .iter()
                .filter(|(other_id, other)| **other_id != id && other.modality != user_spectrum.modality)
        };
        if let Some((partner, _)) = others().find(|(other_id, _)| Some(**other_id) == named) {
            return Some((*partner, MatchedBy::User));
        }
        let matches: Vec<_> =
            others().filter_map(|(p, other)| Some((*p, same_star(&user_spectrum.meta, &other.meta)?))).collect();
        matches.iter().find(|(_, by)| *by == MatchedBy::Id).or(matches.first()).copied()
    }
}
